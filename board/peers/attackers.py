"""Attackers: sipsak and SIPVicious, floods, silent connections, torture messages on the wire, and kill -9."""

import contextlib
import glob
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

import bed
from bed import Gateway, Sipp, register, wait_for

STATION, PANEL = "127.0.0.10", "127.0.0.21"
LONG = os.environ.get("VESTIBULE_LONG") == "yes"
TORTURE = os.path.join(bed.ROOT, "Tests/SIPTests/Torture")


def options(gateway, number):
    return (f"OPTIONS sip:vestibule.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKok{number}\r\n"
            f"From: <sip:probe@vestibule.test>;tag=p{number}\r\nTo: <sip:vestibule.test>\r\nCall-ID: probe{number}\r\n"
            f"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode()


class Attackers(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def gateway(self, **options):
        gateway = Gateway(bed.building(), **options)
        self.stack.callback(gateway.close)
        return gateway

    def alive(self, gateway, number=0):
        """Any final response to an OPTIONS within a second."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.77", 0))
            probe.settimeout(1)
            for attempt in range(3):
                probe.sendto(options(gateway, f"{number}-{attempt}"), (bed.GATEWAY, gateway.ports["udp"]))
                with contextlib.suppress(TimeoutError):
                    return probe.recv(4096).startswith(b"SIP/2.0 ")
        return False

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

    def guess(self, gateway):
        """Six wrong passwords from sipsak; the banned hear nothing, so it may wait in vain."""
        for _ in range(6):
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(["sipsak", "-U", "-s", f"sip:panel401@{bed.GATEWAY}:{gateway.ports['udp']}", "-a",
                                "wrong", "-u", "panel401", "-x", "60"], capture_output=True, timeout=3)

    def test_sipsak_guessing_passwords_is_banned_and_a_line_is_left(self):
        gateway = self.gateway()
        gateway.enroll("panel401")
        self.guess(gateway)
        bans = wait_for("a ban", lambda: gateway.run("bans"), 5)
        self.assertTrue(any("panel401" in str(ban) for ban in bans), bans)
        self.assertRegex(gateway.log(), r"failed for '127\.0\.0\.1:\d+' - Wrong password")
        gateway.run("bans", "lift", "127.0.0.1")
        self.assertEqual(gateway.run("bans"), [])

    def test_bans_outlive_a_restart(self):
        gateway = self.gateway()
        gateway.enroll("panel401")
        self.guess(gateway)
        wait_for("a ban", lambda: gateway.run("bans"), 5)
        gateway.stop()
        gateway.start()
        self.assertTrue(gateway.run("bans"))

    def test_sipvicious_learns_nothing_about_accounts(self):
        gateway = self.gateway()
        tools = self.sipvicious()
        done = subprocess.run([tools + "/sipvicious_svwar", "-D", "-m", "REGISTER", "-e", "panel401,nobody,guard1,zz9",
                               "-p", str(gateway.ports["udp"]), bed.GATEWAY], capture_output=True, text=True, timeout=60)
        seen = done.stdout + done.stderr
        self.assertEqual("panel401" in seen, "nobody" in seen, seen)
        self.assertTrue(self.alive(gateway))

    def sipvicious(self):
        folder = os.path.join(bed.ROOT, ".build/sipvicious")
        if not os.path.exists(folder + "/bin/sipvicious_svwar"):
            done = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True)
            done = done.returncode or subprocess.run(
                [folder + "/bin/pip", "-q", "install", "sipvicious==0.3.4"], capture_output=True).returncode
            if done:
                self.skipTest("no public registry")
        return folder + "/bin"

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
            number = 0
            while running.is_set():
                number += 1
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
        before = self.memory(gateway)
        end, rings = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            panel = Sipp("panel_refuse", gateway, PANEL, port, keys={"status": 486, "after": 1})
            call = Sipp("station_refused", gateway, STATION, keys={"media": 9, "caller": "x", "target": "401", "status": 486})
            self.stack.callback(panel.stop)
            call.finish(10)
            panel.finish(10)
            rings += 1
        running.clear()
        attacker.join()
        self.assertGreater(rings, seconds / 5)
        self.assertLess(self.memory(gateway) - before, 40_000, "memory stays flat under a flood (kB)")

    def memory(self, gateway):
        with open(f"/proc/{gateway.process.pid}/status") as file:
            return int(next(line for line in file if line.startswith("VmRSS")).split()[1])

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
        alive = 0
        for one in idle:
            one.setblocking(False)
            try:
                alive += 1 if one.recv(1) else 0
            except BlockingIOError:
                alive += 1
            except OSError:
                pass
        self.assertLess(alive, 200, "one address holds no more than its share of connections")

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
