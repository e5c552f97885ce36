"""Doors that open by a device: an Akuvox station's web interface, emulated, and keys sent to a station sipp plays."""

import hashlib
import http.server
import os
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

import bed
from bed import Stage, media_of
from script import (answered, answers, asks, hears, hung_up, invites, rings, rung, says, script, waits)

STATION, REAR, PANEL, DEVICE = "127.0.0.10", "127.0.0.13", "127.0.0.27", "127.0.0.90"
USER, PASSWORD = "api", "tür auf"


def digest(text):
    return hashlib.md5(text.encode()).hexdigest()


class Akuvox:
    """The relay part of an Akuvox door station's web interface, by firmware generation; counts what moves."""

    def __init__(self, generation="secure", behaviour="", certificate=None, port=0):
        self.moved, self.orders = 0, []
        device = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def reply(self, status, body="", headers=()):
                data = body.encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def authentic(self):
                given = self.headers.get("Authorization", "")
                if not given.startswith("Digest "):
                    return False
                fields = dict(part.strip().split("=", 1) for part in given[7:].split(", "))
                fields = {key: value.strip('"') for key, value in fields.items()}
                first = digest(f"{USER}:{fields['realm']}:{PASSWORD}")
                second = digest(f"{self.command}:{self.path}")
                wanted = digest(f"{first}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth:{second}")
                return fields["uri"] == self.path and fields["nonce"] == "n0nce" and fields["response"] == wanted

            def serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length).decode()
                device.orders.append((self.command, self.path, body))
                page = self.path.split("?")[0]
                home = {"secure": "/fcgi/OpenDoor", "legacy": "/fcgi/do", "trigger": "/api/relay/trig"}[generation]
                if page != home:
                    return self.reply(404)
                if generation == "legacy":
                    if f"UserName={USER}" not in self.path or "Password=t%C3%BCr%20auf" not in self.path:
                        return self.reply(200, "<Result>Failed</Result>")
                elif not self.authentic():
                    return self.reply(401, headers=[("WWW-Authenticate",
                                                     'Digest realm="HTTPAPI",nonce="n0nce",qop="auth",algorithm=MD5')])
                device.moved += 1
                if behaviour == "silent":
                    time.sleep(8)
                elif behaviour == "cut":
                    self.close_connection = True
                elif generation == "trigger":
                    self.reply(200, '{"retcode": %d, "action": "trig"}' % (-1 if behaviour == "fails" else 0))
                else:
                    self.reply(200, "<Result>%s</Result>" % ("Failed" if behaviour == "fails" else "OK"))

            do_GET = do_POST = serve

        class Server(http.server.ThreadingHTTPServer):
            def server_bind(self):  # HTTPServer would ask a name server for its own name
                http.server.socketserver.TCPServer.server_bind(self)
                self.server_name, self.server_port = DEVICE, self.server_address[1]

            def handle_error(self, request, address):
                pass

        self.server = Server((DEVICE, port), Handler)
        self.port = self.server.server_port
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://{DEVICE}:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Doors(Stage):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="vestibule-doors.")
        cls.certificates = [cls.certificate(name) for name in ["one", "two"]]
        cls.devices = {
            "secure": Akuvox("secure"), "legacy": Akuvox("legacy"), "trigger": Akuvox("trigger"),
            "tls": Akuvox("secure", certificate=cls.certificates[0]), "fails": Akuvox("trigger", "fails"),
            "silent": Akuvox("secure", "silent"), "cut": Akuvox("legacy", "cut"), "locked": Akuvox("secure"),
        }
        cls.addClassCleanup(lambda: [device.close() for device in cls.devices.values()])
        super().setUpClass()

    @classmethod
    def certificate(cls, name):
        path = os.path.join(cls.folder, name + ".pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=akuvox", "-days", "30", "-keyout", path + ".key", "-out", path + ".crt"],
                       check=True, capture_output=True)
        with open(path, "w") as both:
            for part in [".key", ".crt"]:
                with open(path + part) as one:
                    both.write(one.read())
        return path

    @classmethod
    def directory(cls):
        doors = [{"id": name, "actuator": {"kind": "http", "url": device.url, "username": USER,
                                           "password": "wrong" if name == "locked" else PASSWORD}}
                 for name, device in cls.devices.items()]
        doors += [
            {"id": "entrance", "actuator": {"kind": "dtmf", "code": "#9", "mode": "rfc4733"}, "openCode": "1"},
            {"id": "rear", "actuator": {"kind": "dtmf", "code": "#9", "mode": "info"}, "openCode": "1"},
            {"id": "gone", "actuator": {"kind": "http", "url": "http://127.0.0.91:9", "username": USER,
                                        "password": PASSWORD}},
        ]
        directory = bed.building(doors=doors)
        directory["units"][0]["doors"] = ["entrance", "rear", "secure"]
        directory["stations"] = [
            {"username": "intercom-main", "name": "Entrance", "door": "entrance", "address": STATION},
            {"username": "intercom-rear", "name": "Rear", "door": "rear", "address": REAR},
        ]
        return directory

    def open(self, door, result, reason=None):
        answer = self.gateway.run("open", door, check=False)
        self.assertEqual((answer["door"], answer["result"]), (door, result), answer)
        if reason:
            self.assertIn(reason, answer["reason"])
        row = next(row for row in self.gateway.run("doors") if row["id"] == door)
        self.assertEqual(row["lastResult"], result)
        return answer

    # MARK: By HTTP

    def test_the_newest_form_opens_with_digest(self):
        self.open("secure", "opened")
        device = self.devices["secure"]
        self.assertEqual(device.moved, 1)
        self.assertEqual([order[:2] for order in device.orders],
                         2 * [("GET", "/fcgi/OpenDoor?action=OpenDoor&DoorNum=1")])

    def test_the_older_form_is_found_by_probing_and_remembered(self):
        device = self.devices["legacy"]
        self.open("legacy", "opened")
        self.assertEqual(device.moved, 1)
        before = len(device.orders)
        self.rests("legacy")
        self.open("legacy", "opened")
        self.assertEqual(len(device.orders) - before, 1, "the form that worked is asked first")

    def test_the_json_form_is_found_by_probing(self):
        self.open("trigger", "opened")
        device = self.devices["trigger"]
        self.assertEqual(device.moved, 1)
        self.assertIn("/api/relay/trig", device.orders[-1][1])

    def test_what_the_device_says_went_wrong_is_a_refusal(self):
        self.open("fails", "refused")
        self.assertEqual(self.devices["fails"].moved, 1)

    def test_a_wrong_password_is_a_refusal_and_moves_nothing(self):
        self.open("locked", "refused")
        self.assertEqual(self.devices["locked"].moved, 0)
        self.assertLessEqual(len(self.devices["locked"].orders), 2, "no guessing at the device")

    def test_silence_after_the_order_is_unknown_and_never_ordered_again(self):
        self.open("silent", "unknown")
        self.assertEqual(self.devices["silent"].moved, 1)

    def test_a_cut_after_the_order_is_unknown_and_never_ordered_again(self):
        self.open("cut", "unknown")
        self.assertEqual(self.devices["cut"].moved, 1)

    def test_a_device_that_is_not_there_is_a_refusal(self):
        self.open("gone", "refused")

    def test_a_certificate_is_pinned_at_first_contact(self):
        self.open("tls", "opened")
        device = self.devices["tls"]
        port = device.port
        device.close()
        impostor = self.devices["tls"] = Akuvox("secure", certificate=self.certificates[1], port=port)
        self.rests("tls")
        self.open("tls", "refused")
        self.assertEqual(impostor.orders, [], "name and password are not shown to another device")
        self.gateway.stop()
        self.gateway.start()
        self.open("tls", "refused")
        self.assertEqual(impostor.orders, [], "the pin outlives a restart")

    # MARK: By keys

    def keyed(self, panel_address, station_address, station_scenario):
        """A call in which the panel presses 1; gives the station's run and voice back when it is over."""
        visitor = self.voice(station_address, 700)
        presses = script("panel presses 1", rung(), rings(), answers(), waits(500),
                         asks("INFO", 20, body="Signal=1\nDuration=160\n", type="application/dtmf-relay"), hears("200"),
                         waits(1500), asks("BYE", 21), hears("200"))
        panel = self.panel(presses, "panel401", panel_address)
        call = self.sipp(station_scenario, station_address,
                         keys={"caller": "gate", "target": "401", "media": visitor.port})
        call.wait_until_received("SIP/2.0 200 OK")
        visitor.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        panel.finish()
        return call, visitor

    def test_an_actuator_sends_its_keys_to_the_station_as_rfc_4733(self):
        call, visitor = self.keyed(PANEL, STATION, script("station gets keys", invites(), answered(), hung_up()))
        call.finish()
        events = [packet[12] for packet in visitor.packets(101)]
        order = [event for place, event in enumerate(events) if place == 0 or events[place - 1] != event]
        self.assertEqual(order, [11, 9], "pound and nine, and not the resident's own key")
        ends = [packet for packet in visitor.packets(101) if packet[13] & 0x80]
        self.assertEqual(len(ends), 6, "each end is sent three times")
        door = next(row for row in self.gateway.run("doors") if row["id"] == "entrance")
        self.assertEqual(door["lastResult"], "unknown", "nobody tells whether the station obeyed")

    def test_an_actuator_sends_its_keys_to_the_station_as_info(self):
        def key():
            return hears("INFO", check=[("Content-Type", "application/dtmf-relay")]) + says("200 OK")

        call, visitor = self.keyed(PANEL, REAR, script("station gets keys", invites(), answered(), key(), key(), hung_up()))
        messages = call.finish()
        heard = [line for line in messages.splitlines() if line.startswith("Signal=")]
        self.assertEqual(heard, ["Signal=#", "Signal=9"])
        self.assertEqual(visitor.packets(101), [])

    def test_keys_without_a_call_are_refused(self):
        self.open("rear", "refused")


if __name__ == "__main__":
    unittest.main(verbosity=2)
