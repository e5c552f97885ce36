"""Browsers that UDP does not lead to the gateway: over TCP, and through a relay that the gateway was lent. And browsers
whose network becomes another one while they talk.

Each class has a network of its own, where a firewall drops what a strict one would: everybody lives in it, and nobody
else sees it. Where networks change, the browser lives across the street from the gateway.
"""

import contextlib
import ctypes
import os
import socket
import subprocess
import tempfile
import unittest

import browser
import page
import web_talks
from bed import Gateway, Stage, free_port, is_open, wait_for
from relay import Relay
from whep_gateway import Watching

ADDRESS, PORT, RELAY = "10.77.0.1", 8189, 3478
NEW_NETWORK = 0x40000000  # CLONE_NEWNET

TURN_ONLY = [f"udp sport {PORT} udp dport != {RELAY} drop", f"udp dport {PORT} udp sport != {RELAY} drop",
             f"tcp dport {PORT} drop"]
NO_UDP = [f"udp sport {PORT} drop", f"udp dport {PORT} drop"]


LIBRARY = ctypes.CDLL(None, use_errno=True)


def run(command):
    subprocess.run(command.split(), check=True)


def apart(cls):
    """Puts this thread, and what it starts, into a network of its own until the class ends; gives it."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    if LIBRARY.unshare(NEW_NETWORK):
        os.close(home)
        raise unittest.SkipTest("no namespaces")
    cls.addClassCleanup(lambda: (LIBRARY.setns(home, NEW_NETWORK), os.close(home)))
    run("ip link set lo up")
    new = os.open("/proc/self/ns/net", os.O_RDONLY)
    cls.addClassCleanup(os.close, new)
    return new


class Apart(web_talks.Scene):
    """`rules` are the firewall's."""

    @classmethod
    def setUpClass(cls):
        # What is fetched comes from the world outside.
        browser.fetched("odoo-addon-voip-oca==19.0.1.0.2", "**/voip_oca/static/lib/sip.js")
        browser.websockets()
        apart(cls)
        for command in ["ip link add home type veth peer name street", "ip link set street up",
                        f"ip address add {ADDRESS}/24 dev home", "ip link set home up",
                        # Firefox offers the address that leads to the world.
                        "ip route add default dev home", "nft add table inet strict",
                        "nft add chain inet strict out { type filter hook output priority 0 ; }",
                        *(f"nft add rule inet strict out {rule}" for rule in cls.rules)]:
            run(command)
        cls.prepare()
        super().setUpClass()

    @classmethod
    def prepare(cls):
        pass

    def talk(self):
        """One call from ring to goodbye, with both voices heard; gives the path that was used."""
        call = self.ring()
        self.answer(call)
        self.hears_the_visitor()
        self.is_heard_at_the_door()
        used = wait_for("a path is used", self.selected)
        call.end()
        return used


class WithoutUDP(Apart):
    rules = NO_UDP
    media = {"webrtcPort": PORT}

    def test_a_browser_whose_datagrams_are_dropped_talks_over_tcp(self):
        ours, theirs = self.talk()
        self.assertEqual((ours["protocol"], theirs["protocol"], theirs["port"]), ("tcp", "tcp", PORT))
        wait_for("the connection ends with the call", lambda: not subprocess.run(
            ["ss", "-Htn", "state", "established", "sport", "=", f":{PORT}"], capture_output=True, text=True).stdout)


class ThroughRelay(Apart):
    rules = TURN_ONLY
    media = {"webrtcPort": PORT,
             "turn": [{"url": f"turn:{ADDRESS}:{RELAY}", "username": "resident", "password": "secret"}]}

    @classmethod
    def prepare(cls):
        folder = tempfile.TemporaryDirectory(prefix="vestibule-turn.")
        cls.addClassCleanup(folder.cleanup)
        cls.addClassCleanup(Relay(ADDRESS, folder.name, RELAY).close)

    @staticmethod
    def leases():
        """Ports that coturn lends at this moment."""
        out = subprocess.run(["ss", "-Hlunp"], capture_output=True, text=True).stdout
        return sum("turnserver" in line and int(line.split()[3].rsplit(":", 1)[1]) >= 49152 for line in out.splitlines())

    def test_voices_pass_through_the_relay_that_the_gateway_was_lent(self):
        ready = wait_for("leases lie ready", lambda: self.leases() == 4 and self.leases())
        ours, theirs = self.talk()
        self.assertEqual((theirs["kind"], theirs["protocol"]), ("relay", "udp"))
        wait_for("the lease is given back, and another lies ready", lambda: self.leases() == ready)
        self.gateway.stop()
        wait_for("a gateway that stops gives them all back", lambda: self.leases() == 0, 3)


class Doorstep(unittest.TestCase):
    """Connections to the port for media, of whoever has no session there."""

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.port = free_port(kind=socket.SOCK_STREAM)
        self.gateway = Gateway(config={"media": {"webrtcPort": self.port}})
        self.stack.callback(self.gateway.close)

    def knock(self, words=b"", source="127.0.0.66"):
        one = socket.create_connection(("127.0.0.1", self.port), 2, (source, 0))
        self.stack.callback(one.close)
        one.sendall(words)
        return one

    def test_who_says_nothing_or_the_wrong_thing_is_shown_the_door(self):
        idle = []
        for _ in range(200):
            with contextlib.suppress(OSError):
                idle.append(self.knock())
        wait_for("one address holds no more than its share", lambda: sum(map(is_open, idle)) <= 16, 5)
        for words in [b"GET / HTTP/1.1\r\n\r\n", b"\0\4\x16\xfe\xfd\0", b"\xff\xff", b"\0\x14" + bytes(20)]:
            one = self.knock(words, "127.0.0.67")
            wait_for(f"{words!r} ends it", lambda: not is_open(one), 3)
        wait_for("nobody stays who proves nothing", lambda: not any(map(is_open, idle)), 15)


class AcrossTheStreet(page.OnThePage):
    """The gateway's own page in a browser on another host, whose address changes as that of a telephone does."""

    FIRST, SECOND = "10.77.0.2", "10.77.0.3"
    PATH = """
        const all = await state.talk.peer.getStats(); for (const report of all.values())
          if (report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded' && report.bytesReceived > 0)
            return all.get(report.localCandidateId).address; return null"""
    PACKETS = """
        for (const report of (await state.talk.peer.getStats()).values())
          if (report.type === 'inbound-rtp' && report.kind === 'audio') return report.packetsReceived"""

    @classmethod
    def setUpClass(cls):
        browser.websockets()
        os.makedirs(page.PICTURES, exist_ok=True)
        cls.there, cls.here = apart(cls), apart(cls)
        run("ip link add home type veth peer name street")
        run(f"ip link set street netns /proc/{os.getpid()}/fd/{cls.there}")
        run(f"ip address add {ADDRESS}/24 dev home")
        run("ip link set home up")
        with cls.across():
            run("ip link set street up")
            cls.moves_to(cls.FIRST)
        cls.begin(page.directory(), address=ADDRESS)
        with cls.across():
            cls.browser = browser.Browser(cls.kind)
        cls.addClassCleanup(cls.browser.kill)

    @classmethod
    @contextlib.contextmanager
    def across(cls):
        """What is started meanwhile lives across the street; what was connected there stays so."""
        LIBRARY.setns(cls.there, NEW_NETWORK)
        try:
            yield
        finally:
            LIBRARY.setns(cls.here, NEW_NETWORK)

    @staticmethod
    def moves_to(address):
        run("ip address flush dev street")
        run(f"ip address add {address}/24 dev street")
        run(f"ip route add default via {ADDRESS}")

    def test_a_talk_goes_on_when_the_address_is_another(self):
        visitor, call = self.visited()
        self.answers(visitor, call)
        self.is_heard_by(visitor)
        self.hears_the_visitor()
        self.assertEqual(self.browser.run(self.PATH), self.FIRST)
        with self.across():
            self.moves_to(self.SECOND)
        self.browser.until("the page asks for new paths", "return state.talk.restarts > 0", 30)
        wait_for("the new address is used", lambda: self.browser.run(self.PATH) == self.SECOND, 30)
        visitor.received.clear()
        self.is_heard_by(visitor)
        heard = self.browser.run(self.PACKETS)
        self.browser.until("the visitor is heard on", self.PACKETS.replace("return report.packetsReceived", f"return report.packetsReceived > {heard} + 100"))
        self.click("hangUp")
        call.finish()
        self.assertEqual(self.gateway.last_record()["end"], "answered")


class ChromiumWithoutUDP(WithoutUDP, Stage):
    kind = "chromium"


class FirefoxWithoutUDP(WithoutUDP, Stage):
    kind = "firefox"


class ChromiumThroughRelay(ThroughRelay, Stage):
    kind = "chromium"


class FirefoxThroughRelay(ThroughRelay, Stage):
    kind = "firefox"


class ChromiumAcrossTheStreet(AcrossTheStreet, Watching):
    kind = "chromium"


class FirefoxAcrossTheStreet(AcrossTheStreet, Watching):
    kind = "firefox"


if __name__ == "__main__":
    unittest.main(verbosity=2)
