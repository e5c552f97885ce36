"""The WebSocket and HTTP side of the gateway, met by the `websockets` package, by sockets that say nothing, and by
sockets that say wrong things."""

import contextlib
import hashlib
import http.client
import re
import socket
import ssl
import time
import unittest

import bed
import browser
from bed import Gateway, wait_for

TLS = ssl.create_default_context()
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE


def digest(name, secret, realm, nonce, method, uri):
    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    return md5(f"{md5(f'{name}:{realm}:{secret}')}:{nonce}:00000001:c0ffee:auth:{md5(f'{method}:{uri}')}")


class WebClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.library = browser.websockets()
        building = bed.building()
        building["units"][0]["accounts"] = [
            {"username": "web401", "kind": "browser"}, {"username": "line401", "kind": "extension"},
            {"username": "panel401", "kind": "panel"}]
        cls.gateway = Gateway(building, config={"http": {"tls": ["127.0.0.1:0"]}})
        cls.addClassCleanup(cls.gateway.close)
        cls.secrets = {name: cls.gateway.enroll(name) for name in ["web401", "line401", "panel401"]}

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def connect(self, secure=True, source=None, **options):
        url = f"wss://127.0.0.1:{self.gateway.https_port}/sip" if secure else f"ws://127.0.0.1:{self.gateway.http_port}/ws"
        options = {"subprotocols": ["sip"], **options}
        if secure:
            options["ssl"] = TLS
        if source:
            options["source_address"] = (source, 0)
        client = self.library.sync.client.connect(url, **options)
        self.stack.callback(client.close)
        return client

    def register(self, client, name, secure=True, expires=600, binary=False):
        """REGISTER with one challenge answered; the last answer's text."""
        transport = "WSS" if secure else "WS"
        uri = "sip:vestibule.test"
        user = f"a{id(client) % 9973}"

        def ask(number, authorization=""):
            text = (
                f"REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/{transport} df7jal23ls0d.invalid;branch=z9hG4bK{name}{number}\r\n"
                f"Max-Forwards: 70\r\nFrom: <sip:{name}@vestibule.test>;tag=65bnmj\r\nTo: <sip:{name}@vestibule.test>\r\n"
                f"Call-ID: aiuy7k9njasd{user}\r\nCSeq: {number} REGISTER\r\n"
                f"Contact: <sip:{user}@df7jal23ls0d.invalid;transport=ws>;+sip.ice;reg-id=1;"
                f"+sip.instance=\"<urn:uuid:f81-7dec-14a06cf1-{user}>\";expires={expires}\r\n"
                f"Supported: path,gruu,outbound\r\n{authorization}Content-Length: 0\r\n\r\n")
            client.send(text.encode() if binary else text)
            return client.recv(timeout=5)

        answer = ask(1)
        text = answer.decode() if isinstance(answer, bytes) else answer
        challenges = re.findall(r"^WWW-Authenticate: (.*)$", text, re.M)
        self.assertEqual(len(challenges), 1, "one challenge only, for clients that read the first and no other")
        self.assertIn("algorithm=MD5", challenges[0])
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenges[0]))
        proof = digest(name, self.secrets[name], fields["realm"], fields["nonce"], "REGISTER", uri)
        answer = ask(2, f'Authorization: Digest username="{name}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", '
                        f'uri="{uri}", response="{proof}", algorithm=MD5, qop=auth, nc=00000001, cnonce="c0ffee"\r\n')
        return answer.decode() if isinstance(answer, bytes) else answer

    def contacts(self, name):
        return self.gateway.account(name)["contacts"]

    def test_a_client_registers_by_text_and_by_binary_messages(self):
        for binary in [False, True]:
            with self.connect() as client:
                self.assertEqual(client.subprotocol, "sip")
                answer = self.register(client, "web401", binary=binary)
                self.assertTrue(answer.startswith("SIP/2.0 200 "), answer)
                self.assertIn("Via: SIP/2.0/WSS df7jal23ls0d.invalid;branch=z9hG4bKweb4012", answer)
                self.assertIn("reg-id=1", answer)
                self.assertEqual([row["transport"] for row in self.contacts("web401")], ["wss"])
            wait_for("its binding is gone", lambda: not self.contacts("web401"), 1)

    def test_a_client_registers_over_plain_websocket(self):
        client = self.connect(secure=False)
        self.assertTrue(self.register(client, "web401", secure=False).startswith("SIP/2.0 200 "))
        self.assertEqual([row["transport"] for row in self.contacts("web401")], ["ws"])

    def test_a_kind_keeps_to_its_transports_and_contacts(self):
        over = self.connect()
        self.assertTrue(self.register(over, "panel401").startswith("SIP/2.0 403 "), "a panel has no business here")
        plain = self.connect(secure=False)
        self.assertTrue(self.register(plain, "line401", secure=False).startswith("SIP/2.0 403 "), "an extension wants TLS")
        first, second = self.connect(), self.connect()
        self.register(first, "line401")
        self.register(second, "line401")
        self.assertEqual(len(self.contacts("line401")), 1, "an extension has one contact; the newest wins")

    def test_a_socket_that_dies_without_a_word_is_unregistered_at_once(self):
        client = self.connect()
        self.register(client, "web401")
        client.socket.shutdown(socket.SHUT_RDWR)
        wait_for("its binding is gone", lambda: not self.contacts("web401"), 1)

    def test_pings_and_keep_alives_are_answered(self):
        client = self.connect()
        self.assertTrue(client.ping(b"alive?").wait(5))
        client.send("\r\n\r\n")
        self.assertEqual(client.recv(timeout=5), "\r\n")

    def test_what_is_not_offered_is_refused(self):
        library = self.library
        for subprotocols in [None, ["mqtt"]]:
            with self.assertRaises(library.exceptions.InvalidStatus) as caught:
                self.connect(subprotocols=subprotocols)
            self.assertEqual(caught.exception.response.status_code, 400)
        with self.assertRaises(library.exceptions.InvalidStatus) as caught:
            self.connect(origin="https://evil.example")
        self.assertEqual(caught.exception.response.status_code, 403)
        self.connect(origin=f"https://127.0.0.1:{self.gateway.https_port}")

    def test_a_message_that_is_too_long_closes_with_1009(self):
        client = self.connect()
        client.send("x" * 70_000)
        with self.assertRaises(self.library.exceptions.ConnectionClosed) as caught:
            client.recv(timeout=5)
        self.assertEqual(caught.exception.rcvd.code, 1009)

    def test_rubbish_costs_its_sender_only(self):
        client, bad = self.connect(), self.connect()
        bad.send(b"\x00\x01\x02 nothing like SIP \xff")
        bad.send("INVITE nothing SIP/2.0\r\n\r\n")
        bad.socket.sendall(b"\xff" * 200)
        self.assertTrue(self.register(client, "web401").startswith("SIP/2.0 200 "))

    def request(self, source, secure=True):
        """GET /health from an address of one's own; how long the answer took."""
        began = time.monotonic()
        port = self.gateway.https_port if secure else self.gateway.http_port
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind("127.0.0.1", port, timeout=5, source_address=(source, 0), **({"context": TLS} if secure else {}))
        connection.request("GET", "/health")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        self.assertEqual(answer.status, 200)
        return time.monotonic() - began

    def test_a_thousand_idle_sockets_of_one_address_are_capped(self):
        idle = []
        self.stack.callback(lambda: [one.close() for one in idle])
        for _ in range(1000):
            one = socket.socket()
            one.bind(("127.0.0.77", 0))
            one.connect(("127.0.0.1", self.gateway.https_port))
            idle.append(one)

        wait_for("no more than 16 stay", lambda: sum(map(bed.is_open, idle)) <= 16, 5)
        for secure in [True, False]:
            took = min(self.request("127.0.0.78", secure) for _ in range(3))
            self.assertLess(took, 0.3, "a resident is answered meanwhile")
        client = self.connect(source="127.0.0.79")
        began = time.monotonic()
        self.assertTrue(self.register(client, "web401").startswith("SIP/2.0 200 "))
        self.assertLess(time.monotonic() - began, 0.3)

    def test_an_address_that_asks_without_end_is_told_to_wait(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=5, source_address=("127.0.0.76", 0))
        self.stack.callback(connection.close)
        seen = []
        for _ in range(100):
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            seen.append(answer.status)
            if answer.status == 429:
                self.assertGreaterEqual(int(answer.getheader("Retry-After")), 1)
                break
        self.assertEqual(seen[-1], 429)
        self.assertGreater(len(seen), 50, "a page and its pictures are not too many")
        self.assertLess(self.request("127.0.0.75"), 0.3)

    def test_a_slow_request_is_ended(self):
        slow = socket.create_connection(("127.0.0.1", self.gateway.http_port))
        self.stack.callback(slow.close)
        slow.settimeout(20)
        slow.sendall(b"GET /sip HTTP/1.1\r\nHost: a\r\n")
        self.assertTrue(slow.recv(100).startswith(b"HTTP/1.1 408 "), "ten seconds are enough for a head")

    def test_one_connection_carries_many_requests(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=5)
        self.stack.callback(connection.close)
        for _ in range(5):
            connection.request("GET", "/health")
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)
        port = connection.sock.getsockname()[1]
        connection.request("GET", "/sip")
        answer = connection.getresponse()
        answer.read()
        self.assertEqual((answer.status, answer.getheader("Upgrade")), (426, "websocket"))
        self.assertEqual(connection.sock.getsockname()[1], port, "a refusal keeps the connection")
