"""Attackers: floods, silent connections, torture messages on the wire, and kill -9."""

import contextlib
import glob
import os
import random
import socket
import ssl
import subprocess
import threading
import time
import unittest

import bed
import browser
from bed import Sipp, register
from scanners import Attacked
from script import responds, rings, rung, says, script

STATION, PANEL = "127.0.0.10", "127.0.0.21"
# REGISTERs a second, from a hundred addresses.
FLOOD = 10_000
LONG = os.environ.get("VESTIBULE_LONG") == "yes"
TORTURE = os.path.join(bed.ROOT, "Tests/SIPTests/Torture")


class Attackers(Attacked):
    def messages(self):
        return sorted(glob.glob(TORTURE + "/rfc4475/*.dat") + glob.glob(TORTURE + "/rfc5118/*.dat"))

    def torture_gateway(self):
        return self.gateway(config={"gateway": {"aliases": ["example.com", "example.net", "example.org", "company.com"]}})

    def connect(self, gateway, kind, number):
        """A connection from an address of its own: one address may not open sixty in a moment."""
        return socket.create_connection((bed.GATEWAY, gateway.ports[kind]), 5, (f"127.0.2.{number + 1}", 0))

    def test_torture_messages_over_udp(self):
        gateway = self.torture_gateway()
        self.assertEqual(len(self.messages()), 61)
        for number, path in enumerate(self.messages()):
            with open(path, "rb") as file, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.bind(("127.0.0.78", 0))
                sender.sendto(file.read(), (bed.GATEWAY, gateway.ports["udp"]))
            self.assertTrue(self.alive(gateway, number), f"no answer after {os.path.basename(path)}")

    def test_torture_messages_over_tcp_in_single_bytes(self):
        gateway = self.torture_gateway()
        for number, path in enumerate(self.messages()):
            with open(path, "rb") as file, self.connect(gateway, "tcp", number) as sender:
                sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError):
                    for byte in file.read():
                        sender.send(bytes([byte]))
            self.assertTrue(self.alive(gateway, number), f"no answer after {os.path.basename(path)}")

    def test_torture_messages_over_tls(self):
        gateway = self.torture_gateway()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for number, path in enumerate(self.messages()):
            with open(path, "rb") as file, self.connect(gateway, "tls", number) as plain:
                with context.wrap_socket(plain) as sender, contextlib.suppress(OSError):
                    sender.sendall(file.read())
            self.assertTrue(self.alive(gateway, number), f"no answer after {os.path.basename(path)}")

    def test_torture_messages_over_websocket(self):
        gateway = self.torture_gateway()
        library = browser.websockets()
        for number, path in enumerate(self.messages()):
            plain = socket.create_connection((bed.GATEWAY, gateway.http_port), 5, (f"127.0.2.{number + 1}", 0))
            with open(path, "rb") as file, library.sync.client.connect(
                    f"ws://{bed.GATEWAY}:{gateway.http_port}/sip", sock=plain, subprotocols=["sip"], close_timeout=1) as sender:
                self.assertEqual(sender.subprotocol, "sip")
                # As a binary message: some are no UTF-8.
                with contextlib.suppress(library.ConnectionClosed):
                    sender.send(file.read())
            self.assertTrue(self.alive(gateway, number), f"no answer after {os.path.basename(path)}")

    def test_a_flood_of_registers_does_not_keep_a_station_from_ringing(self):
        gateway = self.gateway()
        secret = gateway.enroll("panel401")
        port = bed.free_port(PANEL)
        register(gateway, "panel401", secret, PANEL, port)
        seconds, running = (600 if LONG else 20), threading.Event()
        running.set()

        def flood():
            sockets = []
            for host in range(100, 200):
                one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                one.bind((f"127.0.1.{host}", 0))
                sockets.append(one)
            number, began = 0, time.monotonic()
            while running.is_set():
                number += 1
                # A rate, not all this machine can: else the test says how many other programs run on it.
                if number % 100 == 0:
                    time.sleep(max(0, began + number / FLOOD - time.monotonic()))
                text = (f"REGISTER sip:vestibule.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.1.1:9;branch=z9hG4bKf{number}\r\n"
                        f"From: <sip:u{number}@vestibule.test>;tag=f\r\nTo: <sip:u{number}@vestibule.test>\r\n"
                        f"Call-ID: f{number}\r\nCSeq: 1 REGISTER\r\nContact: <sip:u@127.0.1.1:9>\r\nMax-Forwards: 70\r\n"
                        f"Content-Length: 0\r\n\r\n").encode()
                with contextlib.suppress(OSError):
                    sockets[number % 100].sendto(text, (bed.GATEWAY, gateway.ports["udp"]))
            for one in sockets:
                one.close()

        attacker = threading.Thread(target=flood, daemon=True)
        attacker.start()
        self.stack.callback(running.clear)
        # Answers pings, and an INVITE however often it comes: on a busy machine an answer waits its turn.
        patient = script("panel refuses, however often it is asked",
                         '  <recv request="OPTIONS" optional="true" next="1"/>\n', rung(), rings(), '  <label id="2"/>\n',
                         responds("486 Busy Here", retrans=False), '  <recv request="INVITE" optional="true" next="2"/>\n',
                         '  <recv request="ACK" next="3"/>\n  <label id="1"/>\n', says("200 OK"), '  <label id="3"/>\n  <nop/>\n')
        panel = Sipp(patient, gateway, PANEL, port, calls=100_000, seconds=seconds + 60)
        self.stack.callback(panel.stop)
        before = bed.memory(gateway)
        end, rung_for = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            call = Sipp("station_refused", gateway, STATION, keys={"media": 9, "caller": "x", "target": "401", "status": 486})
            self.stack.callback(call.stop)
            call.finish(20)
            rung_for += 1
        running.clear()
        attacker.join()
        self.assertGreater(rung_for, seconds / 5)
        self.assertLess(bed.memory(gateway) - before, 40_000, "memory stays flat under a flood (kB)")

    def test_silent_connections_are_capped_and_a_call_still_rings(self):
        gateway = self.gateway()
        idle = []
        self.stack.callback(lambda: [one.close() for one in idle])
        for _ in range(1000):
            with contextlib.suppress(OSError):
                one = socket.create_connection((bed.GATEWAY, gateway.ports["tcp"]), 1, ("127.0.0.88", 0))
                idle.append(one)
        secret = gateway.enroll("panel401")
        port = bed.free_port(PANEL)
        register(gateway, "panel401", secret, PANEL, port, "tcp")
        self.assertLess(sum(map(bed.is_open, idle)), 200, "one address holds no more than its share of connections")

    def test_killed_at_random_moments_it_comes_back_with_its_bindings(self):
        gateway = self.gateway()
        secret = gateway.enroll("panel401")
        port = bed.free_port(PANEL)
        register(gateway, "panel401", secret, PANEL, port, expires=3600)
        dice = random.Random(2)
        rounds = 10_000 if LONG else 50
        for number in range(rounds):
            acknowledged = gateway.enroll("guard1") if number % 10 == 0 else None
            running = threading.Event()
            running.set()

            def load():
                with contextlib.suppress(OSError, AssertionError, ValueError):
                    while running.is_set():
                        gateway.run("dnd", "on" if dice.random() < 0.5 else "off", "402")

            worker = threading.Thread(target=load, daemon=True)
            worker.start()
            time.sleep(dice.random() * 0.05)
            gateway.kill()
            running.clear()
            worker.join()
            gateway.start()
            self.assertLess(gateway.ready_seconds, 2.0)
            self.assertTrue(gateway.account("panel401")["registered"], f"round {number}: the binding is gone")
            if acknowledged:
                guard = bed.free_port("127.0.0.51")
                register(gateway, "guard1", acknowledged, "127.0.0.51", guard)
        gateway.kill()
        check = subprocess.run(["sqlite3", gateway.folder + "/vestibule.sqlite", "pragma integrity_check"],
                               capture_output=True, text=True)
        self.assertEqual(check.stdout.strip(), "ok", check.stderr)
        gateway.start()
        panel = Sipp("panel_refuse", gateway, PANEL, port, keys={"status": 486, "after": 1})
        self.stack.callback(panel.stop)
        Sipp("station_refused", gateway, STATION, keys={"media": 9, "caller": "x", "target": "401", "status": 486}).finish()


if __name__ == "__main__":
    unittest.main(verbosity=2)
