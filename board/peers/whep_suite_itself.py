"""Does the WHEP conformance suite notice? Small servers that break a rule each, which the suite must find; and habits that are
allowed, which it must bear."""

import email.utils
import http.server
import socketserver
import threading
import time
import unittest

import whep_endpoint_tests
import whep_session_tests
import whep_suite
from whep_client import Description, offer


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as a WHEP server does that `habits` say; sends no media."""

    protocol_version = "HTTP/1.1"
    habits = {}

    def log_message(self, *words):
        pass

    def reply(self, status, body="", **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        self.reply(204)

    do_DELETE = do_GET

    def do_PATCH(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(204 if self.habits.get("trickles") else 405)

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.habits.pop("is_busy", False):
            return self.reply(503, Retry_After=email.utils.formatdate(time.time() + 1, usegmt=True))
        if self.habits.get("moved") and not self.path.startswith("/moved"):
            return self.reply(307, Location="/moved/here")
        fields = {"ETag": '"one"'} if self.habits.get("tags") else {}
        if self.habits.get("extension"):
            fields["Link"] = f'</x>; rel="{self.habits["extension"]}"'
        location = "session" if self.path.startswith("/moved") else "/session"
        self.reply(201, asked.replace("recvonly", "sendonly").replace("actpass", "passive"), Content_Type=whep_suite.SDP,
                   Location=location, **fields)


class Itself(unittest.TestCase):
    def serve(self, **habits):
        kind = type("Habitual", (Server,), {"habits": habits})
        # HTTPServer's own asks for the host's name, which may take seconds without a resolver.
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), kind)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}/whep"

    def judge(self, kind, test, **habits):
        """What the suite says of such a server: "ok", "skip", or its words."""
        one = type(kind.__name__, (kind,), {"url": self.serve(**habits), "seen_statuses": set()})(f"test_{test}")
        result = unittest.TestResult()
        one.run(result)
        found = result.failures + result.errors
        return found[0][1] if found else "skip" if result.skipped else "ok"

    def test_an_entity_tag_is_demanded_of_who_takes_candidates_and_of_nobody_else(self):
        for test in ["the_201_has_a_strong_entity_tag", "a_patch_without_an_entity_tag_is_428"]:
            self.assertIn("it takes candidates, and its 201 has no ETag", self.judge(whep_session_tests.Session, test, trickles=True))
            self.assertEqual(self.judge(whep_session_tests.Session, test), "skip")
        self.assertEqual(self.judge(whep_session_tests.Session, "the_201_has_a_strong_entity_tag", trickles=True, tags=True), "ok")

    def test_an_offer_that_is_sent_elsewhere_goes_there_and_its_session_is_found_there(self):
        suite = whep_suite.Suite()
        suite.url = self.serve(moved=True)
        suite.setUp()
        _, answer, session = suite.session()
        self.assertEqual(session, suite.url.replace("/whep", "/moved/session"))
        self.assertEqual(len(Description(answer.text).live), 2)
        self.assertEqual(self.judge(whep_endpoint_tests.Endpoint, "an_offer_is_answered_201_with_sdp_and_a_location", moved=True), "ok")

    def test_when_to_come_back_may_be_a_date(self):
        suite = whep_suite.Suite()
        suite.url, began = self.serve(is_busy=True), time.monotonic()
        suite.setUp()
        self.assertEqual(suite.post(offer()).status, 201)
        self.assertLess(time.monotonic() - began, 3)

    def test_having_no_extension_is_no_fault_and_a_false_one_is(self):
        test = "extensions_are_links_with_an_address"
        self.assertEqual(self.judge(whep_session_tests.Session, test), "ok")
        self.assertEqual(self.judge(whep_session_tests.Session, test, extension="urn:ietf:params:whep:ext:core:layer"), "ok")
        self.assertNotIn(self.judge(whep_session_tests.Session, test, extension="urn:ietf:params:whep:other"), ("ok", "skip"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
