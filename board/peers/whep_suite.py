"""What all tests of the WHEP conformance suite share: the server, asking it, and that what they open is closed again."""

import time
import unittest
import urllib.parse

from whep_client import Player, ask, find_aiortc, offer

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"


def draft(section, level):
    """Marks a test with what it comes from."""
    def mark(test):
        test.section, test.level = section, level
        return test
    return mark


class Suite(unittest.TestCase):
    """The server, and what was opened there."""

    url = token = not_live = None
    origin = "https://player.example"
    verify = False
    seen_statuses = set()

    def setUp(self):
        self.sessions = []
        self.players = []
        self.addCleanup(self.put_away)

    @property
    def sentence(self):
        method = getattr(self, self._testMethodName)
        words = self._testMethodName.removeprefix("test_").replace("_", " ")
        return f"whep {method.section} {method.level}: {words}"

    def put_away(self):
        for player in self.players:
            player.close()
        for session in self.sessions:
            try:
                self.ask("DELETE", session)
            except OSError:
                pass

    # --- asking ---

    def ask(self, method, url, body=None, kind=None, token=True, polite=True, **fields):
        """One request. Who is told to come later comes later, as polite players do. `fields` with _ for -."""
        fields = {name.replace("_", "-"): value for name, value in fields.items() if value is not None}
        if kind:
            fields["Content-Type"] = kind
        if token is True and self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        elif isinstance(token, str):
            fields["Authorization"] = f"Bearer {token}"
        until = time.monotonic() + 45
        while True:
            answer = ask(method, url, fields, body, verify=self.verify)
            self.seen_statuses.add((method, answer.status))
            wait = answer["Retry-After"]
            if not polite or answer.status not in (429, 503) or not wait or time.monotonic() + float(wait) > until:
                return answer
            time.sleep(float(wait))

    def post(self, sdp, kind=SDP, url=None, **fields):
        answer = self.ask("POST", url or self.url, sdp, kind, **fields)
        if answer.status == 201 and answer["Location"]:
            self.sessions.append(self.place(answer, url))
        return answer

    def place(self, answer, url=None):
        return urllib.parse.urljoin(url or self.url, answer["Location"])

    def session(self, **options):
        """A session of a player that never comes: (its offer, the 201, its address)."""
        sdp = offer(**options)
        answer = self.post(sdp)
        self.assertEqual(answer.status, 201, answer)
        return sdp, answer, self.place(answer)

    def patch(self, session, body, kind=FRAGMENT, **fields):
        return self.ask("PATCH", session, body, kind, **fields)

    def player(self, is_empty=False, **options):
        """A player that posted its offer: (player, the 201, the session's address)."""
        if not find_aiortc():
            self.skipTest("aiortc is not installed")
        player = Player(**options)
        self.players.append(player)
        answer = self.post(player.local(is_empty))
        self.assertEqual(answer.status, 201, answer)
        player.accept(answer.text)
        return player, answer, self.place(answer)

    def connected(self, **options):
        player, answer, session = self.player(**options)
        player.connects()
        return player, answer, session

    def refused(self, answer, what=""):
        self.assertIn(answer.status // 100, (4,), f"{what}: {answer}")

    def alive(self, session):
        return self.ask("GET", session).status // 100 == 2

    def can_restart(self, answer):
        if not answer["ETag"]:
            self.skipTest("no ETag in the 201, so no ICE restart")

    def wait(self, what, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail(f"not within {seconds} s: {what}")
            time.sleep(0.05)
