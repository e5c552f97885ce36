"""What all tests of the WHEP conformance suite share: the server, asking it, and that what they open is closed again."""

import secrets
import time
import unittest
import urllib.parse

from whep_client import Description, Player, ask, find_aiortc, fragment, offer

NOWHERE = "candidate:1 1 udp 2130706431 192.0.2.9 40000 typ host"
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
        """One request. Who is told to come later comes later, and who is sent elsewhere goes there, as polite players do.
        `fields` with _ for -."""
        fields = {name.replace("_", "-"): value for name, value in fields.items() if value is not None}
        if kind:
            fields["Content-Type"] = kind
        if token is True and self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        elif isinstance(token, str):
            fields["Authorization"] = f"Bearer {token}"
        until, ways = time.monotonic() + 45, 0
        while True:
            answer = ask(method, url, fields, body, verify=self.verify)
            self.seen_statuses.add((method, answer.status))
            if polite and answer.status in (307, 308) and answer["Location"] and ways < 5:
                url, ways = urllib.parse.urljoin(url, answer["Location"]), ways + 1
                continue
            wait = answer.patience
            if not polite or answer.status not in (429, 503) or wait is None or time.monotonic() + wait > until:
                return answer
            time.sleep(wait)

    def post(self, sdp, kind=SDP, url=None, **fields):
        answer = self.ask("POST", url or self.url, sdp, kind, **fields)
        if answer.status == 201 and answer["Location"]:
            self.sessions.append(self.place(answer))
        return answer

    def place(self, answer):
        return urllib.parse.urljoin(answer.url, answer["Location"])

    def session(self, **options):
        """A session of a player that never comes: (its offer, the 201, its address)."""
        sdp = offer(**options)
        answer = self.post(sdp)
        self.assertEqual(answer.status, 201, answer)
        return sdp, answer, self.place(answer)

    def patch(self, session, body, kind=FRAGMENT, **fields):
        return self.ask("PATCH", session, body, kind, **fields)

    def player(self, is_empty=False, setup="actpass", **options):
        """A player that posted its offer: (player, the 201, the session's address)."""
        if not find_aiortc():
            self.skipTest("aiortc is not installed")
        player = Player(**options)
        self.players.append(player)
        answer = self.post(player.local(is_empty, setup))
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

    def tagged(self):
        """A session of a server that takes candidates or restarts ICE, which must give it an entity tag."""
        sdp, answer, session = self.session()
        if not answer["ETag"]:
            trickle = self.patch(session, fragment(sdp, [NOWHERE]), If_Match="*")
            restart = self.patch(session, fragment(sdp, ufrag=secrets.token_hex(4), password=secrets.token_hex(12)), If_Match="*")
            for what, told in (("candidates", trickle), ("a restart of ICE", restart)):
                self.assertNotEqual(told.status // 100, 2, f"it takes {what}, and its 201 has no ETag")
            self.skipTest("neither trickle nor restart is supported, so no ETag")
        return sdp, answer, session

    def counter_offer(self):
        """A 406 with an offer, if this server makes any: (the 406, the session's address)."""
        for sdp in (offer(("video",), codecs=["X-NOBODY/90000"]), offer(("audio",)), offer(("application",), codecs=["X/1000"])):
            answer = self.post(sdp)
            if answer.status == 406 and answer.kind == SDP:
                self.assertTrue(answer["Location"], answer)
                self.sessions.append(self.place(answer))
                return answer, self.place(answer)
        self.skipTest("the server makes no counter-offers")

    def answers(self, answer, session):
        """A player that answers a counter-offer and sees all that was promised there."""
        if not find_aiortc():
            self.skipTest("aiortc is not installed")
        player = Player(kinds=("audio",))
        self.players.append(player)
        told = self.patch(session, player.answer_to(answer.text), SDP)
        self.assertEqual((told.status, told.body), (204, b""), told)
        player.wait("ICE and DTLS are connected", lambda: player.peer.connectionState == "connected", 10)
        for section in Description(answer.text).live:
            if section.direction.startswith("send"):
                player.decodes(5, section.kind)

    def wait(self, what, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                self.fail(f"not within {seconds} s: {what}")
            time.sleep(0.05)
