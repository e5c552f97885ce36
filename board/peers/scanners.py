"""Scanners that guess names and passwords: sipsak and SIPVicious, and Fail2Ban, which reads what they left in the log."""

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import sys
import unittest

import bed
from bed import Gateway, Sipp, register, wait_for
from script import CONTACT, VIA, hears, invites, refused, script, send

PANEL = "127.0.0.21"

REGISTER = (f"REGISTER sip:vestibule.test SIP/2.0\n{VIA}From: \"[display]\" <sip:[caller]@vestibule.test>;tag=[pid]R\n"
            "To: <sip:[caller]@vestibule.test>\nCall-ID: [call_id]\nCSeq: 1 REGISTER\n"
            f"{CONTACT}Max-Forwards: 70\nExpires: 300\n")


def options(gateway, number):
    return (f"OPTIONS sip:vestibule.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bKok{number}\r\n"
            f"From: <sip:probe@vestibule.test>;tag=p{number}\r\nTo: <sip:vestibule.test>\r\nCall-ID: probe{number}\r\n"
            f"CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode()


class Attacked(unittest.TestCase):
    """Tests that each have a gateway of their own."""

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


class Scanners(Attacked):
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

    def sipvicious(self, disguised=False):
        """Its folder of programs: as published, or under a telephone's name, which lets it past the first look."""
        folder = os.path.join(bed.ROOT, ".build/sipvicious-disguised" if disguised else ".build/sipvicious")
        if not os.path.exists(folder + "/ready"):
            shutil.rmtree(folder, ignore_errors=True)
            done = subprocess.run([sys.executable, "-m", "venv", folder], capture_output=True)
            done = done.returncode or subprocess.run(
                [folder + "/bin/pip", "-q", "install", "sipvicious==0.3.4"], capture_output=True).returncode
            if done:
                self.skipTest("no public registry")
            for path in glob.glob(folder + "/lib/*/site-packages/sipvicious/libs/svhelper.py") if disguised else []:
                with open(path) as file:
                    text = file.read()
                self.assertIn("friendly-scanner", text)
                with open(path, "w") as file:
                    file.write(text.replace("friendly-scanner", "Yealink SIP-T33G 124.86.0.40"))
            open(folder + "/ready", "w").close()
        return folder + "/bin/sipvicious_"

    def attack(self, gateway, tool, *words, disguised=False):
        """Everything a tool of SIPVicious says at the end of its attack. It speaks from 127.0.0.1, whatever it is told."""
        tools = self.sipvicious(disguised)
        done = subprocess.run([tools + tool, "-p", str(gateway.ports["udp"]), *words, bed.GATEWAY],
                              capture_output=True, text=True, timeout=60, cwd=gateway.folder,
                              env={**os.environ, "HOME": gateway.folder})
        return done.stdout + done.stderr

    def dictionary(self, gateway, *words):
        path = os.path.join(gateway.folder, "dictionary")
        with open(path, "w") as file:
            file.write("\n".join(words) + "\n")
        return path

    def test_sipvicious_finds_no_device(self):
        gateway = self.gateway()
        for method in ["OPTIONS", "REGISTER", "INVITE"]:
            seen = self.attack(gateway, "svmap", "-m", method, "-v")
            self.assertNotIn("Vestibule", seen)
            self.assertNotRegex(seen, r"127\.0\.0\.1:\d+ *\|", "a device was listed")
        self.assertTrue(self.alive(gateway))

    def test_sipvicious_learns_nothing_about_accounts(self):
        gateway = self.gateway()
        gateway.enroll("panel401")
        for disguised in [False, True]:
            for method in ["REGISTER", "OPTIONS", "INVITE"]:
                seen = self.attack(gateway, "svwar", "-m", method, "--force", "-e", "401,999", "--maximumtime=4",
                                   disguised=disguised)
                listed = {name: f"| {name} " in seen for name in ["401", "999"]}
                self.assertEqual(listed["401"], listed["999"], f"{method}: {seen}")
        self.assertEqual(gateway.run("calls"), [], "nothing rang")
        self.assertTrue(self.alive(gateway))

    def test_sipvicious_does_not_find_a_password_that_it_tries(self):
        gateway = self.gateway()
        secret = gateway.enroll("panel401")
        words = self.dictionary(gateway, secret)
        seen = self.attack(gateway, "svcrack", "-u", "panel401", "-d", words, "--maximumtime=4")
        self.assertNotIn(secret, seen, "a scanner that says its name hears nothing")
        self.assertEqual(gateway.run("bans"), [])
        # Control: under a telephone's name it is an ordinary client, and a right first word is right.
        seen = self.attack(gateway, "svcrack", "-u", "panel401", "-d", words, "--domain=vestibule.test",
                           "--maximumtime=4", disguised=True)
        self.assertIn(secret, seen)

    def test_sipvicious_is_banned_after_five_words_and_hears_nothing_of_the_right_one(self):
        gateway = self.gateway()
        secret = gateway.enroll("panel401")
        words = self.dictionary(gateway, "a", "b", "c", "d", "e", "f", secret)
        seen = self.attack(gateway, "svcrack", "-u", "panel401", "-d", words, "--domain=vestibule.test",
                           "--maximumtime=6", disguised=True)
        self.assertNotIn(secret, seen)
        bans = gateway.run("bans")
        self.assertEqual([(ban["address"], ban["account"]) for ban in bans], [(bed.GATEWAY, "panel401")])
        self.assertEqual(gateway.log().count("Wrong password"), 5, "no word after the ban is judged")
        # The pair is banned, not the account: the resident's own panel registers.
        register(gateway, "panel401", secret, PANEL, bed.free_port(PANEL))

    def test_twenty_wrong_words_over_any_accounts_ban_the_address(self):
        gateway = self.gateway()
        for account in ["panel401", "kitchen401", "panel402", "guard1", "nobody"]:
            words = self.dictionary(gateway, "a", "b", "c", "d", "e")
            self.attack(gateway, "svcrack", "-u", account, "-d", words, "--domain=vestibule.test", "--maximumtime=4",
                        disguised=True)
        bans = gateway.run("bans")
        self.assertIn((bed.GATEWAY, None), [(ban["address"], ban.get("account")) for ban in bans])
        secret = gateway.enroll("panel401")
        words = self.dictionary(gateway, secret)
        self.gateway_is_deaf(gateway, bed.GATEWAY)
        self.assertNotIn(secret, self.attack(gateway, "svcrack", "-u", "kitchen401", "-d", words, "--maximumtime=3",
                                             "--domain=vestibule.test", disguised=True))
        self.assertTrue(self.alive(gateway), "others are heard")

    def gateway_is_deaf(self, gateway, address):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
            probe.settimeout(0.7)
            probe.sendto(options(gateway, "deaf"), (bed.GATEWAY, gateway.ports["udp"]))
            with self.assertRaises(TimeoutError):
                probe.recv(4096)

    def test_fail2ban_reads_every_failure_and_only_the_failures(self):
        gateway = self.gateway()
        secret = gateway.enroll("panel401")
        register(gateway, "panel401", secret, PANEL, bed.free_port(PANEL))
        again = script("is wrong", send(REGISTER), '  <recv response="401" auth="true"/>\n',
                       send(REGISTER.replace("CSeq: 1", "CSeq: 2").replace("Expires", "[authentication]\nExpires")),
                       hears("401"))
        calls = script("calls with a wrong password", invites(digest=True), refused("401", 2))
        # Who writes the log's own words into a name must neither add a line nor name somebody else.
        hostile = "x' failed for '127.0.0.10:5060' - Wrong password"
        for address, scenario, display in [("127.0.0.81", again, "a"), ("127.0.0.82", calls, "b"), ("127.0.0.83", again, hostile)]:
            Sipp(scenario, gateway, address, user="panel401", password="wrong",
                 keys={"caller": "panel401", "target": "402", "display": display}).finish()
        done = subprocess.run(["fail2ban-regex", "-o", "ip", gateway.log_path, "asterisk"], capture_output=True, text=True)
        self.assertEqual(sorted(done.stdout.split()), ["127.0.0.81", "127.0.0.82", "127.0.0.83"], gateway.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
