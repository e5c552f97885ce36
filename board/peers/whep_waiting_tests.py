"""The WHEP conformance suite on what goes on without HTTP: the checks of ICE as they come over the wire, and what time ends."""

import email.utils
import hashlib
import hmac
import re
import secrets
import socket
import time

from whep_client import Description, fragment, own_address
from whep_suite import Suite, draft

USERNAME, MESSAGE_INTEGRITY = 0x0006, 0x0008


class Ear:
    """An address that a player may name. It answers nothing; `heard` are the checks that came: names, whether they are proved
    with `password`."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((own_address(), 0))
        self.socket.setblocking(False)
        self.heard, self.close = [], self.socket.close

    def candidate(self):
        address, port = self.socket.getsockname()
        return f"candidate:1 1 udp 2130706431 {address} {port} typ host"

    def checks(self, names, password):
        """How many binding requests came so far by these names, all with the right proof."""
        while True:
            try:
                self.heard.append(self.socket.recv(2048))
            except BlockingIOError:
                break
        return sum(self.is_check(data, names, password) for data in self.heard)

    @staticmethod
    def is_check(data, names, password):
        if data[:2] != b"\0\1" or len(data) < 20:
            return False
        place, named = 20, None
        while place + 4 <= len(data):
            kind, length = int.from_bytes(data[place:place + 2], "big"), int.from_bytes(data[place + 2:place + 4], "big")
            value = data[place + 4:place + 4 + length]
            if kind == USERNAME:
                named = value.decode()
            elif kind == MESSAGE_INTEGRITY and named == names:
                # The length that was signed ends with this attribute.
                signed = data[:2] + (place + 24 - 20).to_bytes(2, "big") + data[4:place]
                assert hmac.compare_digest(hmac.new(password.encode(), signed, hashlib.sha1).digest(), value), "a false proof"
                return True
            place += 4 + (length + 3) // 4 * 4
        return False


class Checks(Suite):
    """What a server with full ICE sends to the addresses of a player."""

    def ear(self):
        ear = Ear()
        self.addCleanup(ear.close)
        return ear

    def named(self, ear):
        """A session of a player at that address: (its offer, the 201, the session, both names, the player's password)."""
        ufrag, password = secrets.token_hex(4), secrets.token_hex(12)
        sdp, answer, session = self.session(candidates=[ear.candidate()], ufrag=ufrag, password=password)
        if "a=ice-lite" in answer.text:
            self.skipTest("ICE lite sends no checks")
        return sdp, answer, session, f"{ufrag}:{Description(answer.text).live[0].get('ice-ufrag')}", password

    @draft("4.6.3", "RFC")
    def test_full_ice_checks_the_players_addresses(self):
        ear = self.ear()
        _, _, _, names, password = self.named(ear)
        self.wait("a check", lambda: ear.checks(names, password), 5)

    @draft("4.5.3", "MUST")
    def test_the_addresses_of_a_restart_take_the_place_of_the_old_ones(self):
        old, new = self.ear(), self.ear()
        sdp, _, session, names, password = self.named(old)
        self.wait("a check at the old address", lambda: old.checks(names, password), 5)
        ufrag, password = secrets.token_hex(4), secrets.token_hex(12)
        told = self.patch(session, fragment(sdp, [new.candidate()], ufrag, password), If_Match="*")
        if told.status in (405, 422, 501):
            self.skipTest("no ICE restart")
        self.assertEqual(told.status, 200, told)
        names = f"{ufrag}:" + re.search(r"a=ice-ufrag:(\S+)", told.text)[1]
        # By the third the old address would have had its first.
        self.wait("three checks at the new address", lambda: new.checks(names, password) >= 3, 10)
        self.assertEqual(old.checks(names, password), 0, "the old address is asked by the new names")


class Patience(Suite):
    """What takes half a minute of real time, for it is the server's clock that is asked. All of it begins with the first of
    these tests."""

    begun = None

    @staticmethod
    def outcome(begin):
        try:
            return begin(), None
        except Exception as reason:
            return None, reason

    def taken(self, name):
        if not type(self).begun:
            type(self).begun = {begin.__name__: self.outcome(begin) for begin in (self.proposed, self.restarted, self.vanished)}
            # Each test puts away what it waited for.
            self.players, self.sessions = [], []
        value, reason = type(self).begun[name]
        if reason:
            raise reason
        return value

    def proposed(self):
        return (*self.counter_offer(), time.monotonic())

    def restarted(self):
        player, answer, session = self.full()
        anew = fragment(player.local(), ufrag=secrets.token_hex(4), password=secrets.token_hex(12))
        told = self.patch(session, anew, If_Match="*")
        if told.status in (405, 422, 501):
            self.skipTest("no ICE restart")
        self.assertEqual(told.status, 200, told)
        player.vanish()
        return player, session

    def vanished(self):
        player, answer, session = self.full()
        player.vanish()
        return player, session

    def full(self):
        player, answer, session = self.connected()
        if "a=ice-lite" in answer.text:
            self.skipTest("ICE lite asks for no consent")
        player.receives(5)
        return player, answer, session

    def ends(self, player, session):
        self.players.append(player)
        self.sessions.append(session)
        # RFC 7675: consent is good for thirty seconds; then there is none.
        self.wait("the session is gone", lambda: not self.alive(session), 75)

    @draft("4.3.2", "SHALL")
    def test_a_counter_offer_stands_for_as_long_as_it_says_or_thirty_seconds(self):
        answer, session, since = self.taken("proposed")
        self.sessions.append(session)
        match = re.search(r'valid-until\s*=\s*"?([^";]+)"?', answer["Content-Type"])
        holds = 30.0
        if match:
            said, now = (email.utils.parsedate_to_datetime(text).timestamp() for text in (match[1], answer["Date"]))
            holds = min(holds, said - now)
        self.wait("its time is nearly over", lambda: time.monotonic() > since + holds - 3, 30)
        self.answers(answer, session)

    @draft("4.3.8", "SHALL")
    def test_a_player_that_vanished_loses_its_session(self):
        self.ends(*self.taken("vanished"))

    @draft("4.5.3", "MUST")
    def test_the_session_ends_with_consent_after_a_restart_that_came_to_nothing(self):
        self.ends(*self.taken("restarted"))
