"""What keeps a gateway in order, by the command line: backups that are put back, maintenance mode, a support bundle."""

import json
import os
import stat
import subprocess
import unittest

import bed
from bed import Gateway, wait_for


def directory():
    building = bed.building()
    building["units"][0]["name"] = "Family Secretive"
    building["units"][0]["accounts"].append({"username": "web401", "kind": "browser"})
    return building


class Upkeep(unittest.TestCase):
    def setUp(self):
        self.gateway = Gateway(directory())
        self.addCleanup(self.gateway.close)

    def file(self, name):
        return os.path.join(self.gateway.folder, name)

    def say(self, *words):
        """The command line as people use it."""
        return subprocess.run([bed.CLI, "--socket", self.gateway.socket, *words], capture_output=True, text=True,
                              timeout=60, cwd=self.gateway.folder)

    def comes_back(self, units):
        def is_back():
            done = self.say("units", "--json")
            return done.returncode == 0 and len(json.loads(done.stdout)) == units
        wait_for("the gateway is back with it", is_back, 10)

    # --- backups ---

    def test_what_a_backup_holds_is_there_again(self):
        secret = self.gateway.enroll("panel401")
        before = self.gateway.account("panel401")["credentials"]
        made = self.gateway.run("backup", self.file("first.backup"))
        self.assertEqual(made["bytes"], os.path.getsize(self.file("first.backup")))
        self.assertEqual(stat.S_IMODE(os.stat(self.file("first.backup")).st_mode), 0o600)
        with open(self.file("first.backup"), "rb") as file:
            held = file.read()
        self.assertNotIn(secret.encode(), held)
        with open(self.file("device-key")) as key:
            self.assertNotIn(key.read().strip().encode(), held, "the key is not in it")
        # Everything changes, and is taken back.
        self.gateway.run("revoke", "panel401")
        self.gateway.apply(bed.building(units=[]))
        self.assertEqual(self.gateway.run("units"), [])
        process = self.gateway.process.pid
        answer = self.gateway.run("restore", self.file("first.backup"))
        self.assertEqual((answer["units"], answer["credentials"], answer["unreadable"]), (2, 1, 0))
        self.comes_back(units=2)
        self.assertIsNone(self.gateway.process.poll(), "the process is the same")
        self.assertEqual(self.gateway.process.pid, process)
        self.assertEqual(self.gateway.process.stdout.readline()[:6], b"ready ", "and says that it is ready")
        self.assertEqual(
            [row["id"] for row in self.gateway.account("panel401")["credentials"]], [row["id"] for row in before])
        self.assertTrue(os.path.exists(self.file("vestibule.sqlite.before-restore")), "what was kept stays beside it")
        self.assertFalse(os.path.exists(self.file("vestibule.restored")))
        # And it is the store from now on.
        self.gateway.kill()
        self.gateway.start()
        self.assertEqual(len(self.gateway.run("units")), 2)

    def test_a_backup_that_is_none_changes_nothing(self):
        self.gateway.run("backup", self.file("good.backup"))
        with open(self.file("good.backup"), "rb") as file:
            good = bytearray(file.read())
        broken = {"empty": b"", "text": b"no backup", "cut": bytes(good[: len(good) // 2])}
        for place in range(100, len(good), 97):
            good[place] ^= 0xFF
        broken["damaged"] = bytes(good)
        for name, held in broken.items():
            with open(self.file(name), "wb") as file:
                file.write(held)
            done = self.say("restore", self.file(name))
            self.assertEqual(done.returncode, 1, name)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertIn("nothing was changed", done.stderr)
        self.assertEqual(len(self.gateway.run("units")), 2)
        self.assertEqual([name for name in os.listdir(self.gateway.folder) if "inspected" in name or "restored" in name], [])

    def test_a_backup_of_another_domain_or_device_is_told_apart(self):
        other = Gateway(directory(), config={"gateway": {"domain": "elsewhere.test"}})
        self.addCleanup(other.close)
        other.run("backup", self.file("other.backup"))
        done = self.say("restore", self.file("other.backup"))
        self.assertEqual(done.returncode, 1)
        self.assertIn('the backup is of the domain "elsewhere.test"', done.stderr)
        twin = Gateway(directory())
        self.addCleanup(twin.close)
        twin.enroll("panel401")
        twin.run("backup", self.file("twin.backup"))
        done = self.say("restore", self.file("twin.backup"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 credentials were wrapped with another device's key", done.stderr)
        self.comes_back(units=2)
        checks = {check["name"]: check for check in json.loads(self.say("doctor", "--json").stdout)}
        self.assertEqual(checks["account panel401"]["status"], "warning", "and the doctor says so")

    def test_a_backup_overwrites_nothing(self):
        with open(self.file("there"), "w") as file:
            file.write("precious")
        self.assertEqual(self.say("backup", self.file("there")).returncode, 1)
        with open(self.file("there")) as file:
            self.assertEqual(file.read(), "precious")

    # --- maintenance ---

    def test_in_maintenance_wrong_passwords_ban_nobody_and_doors_ring(self):
        self.gateway.enroll("panel401")
        self.assertIn("on until 20", self.say("maintenance", "on").stdout)
        self.assertIsNotNone(self.gateway.run("status")["maintenance"])

        def guess():
            for _ in range(7):
                done = subprocess.run(
                    ["sipsak", "-U", "-s", f"sip:panel401@{bed.GATEWAY}:{self.gateway.ports['udp']}", "-a", "wrong", "-u",
                     "panel401", "-x", "60"], capture_output=True, timeout=10)
                self.assertNotEqual(done.returncode, 0)
        guess()
        self.assertEqual(self.gateway.run("bans"), [])
        self.assertEqual(self.gateway.run("open", "entrance")["result"], "opened")
        # It outlives a kill, and ends by a word.
        self.gateway.kill()
        self.gateway.start()
        self.assertIsNotNone(self.gateway.run("status")["maintenance"])
        self.assertEqual(self.say("maintenance", "off").stdout, "maintenance mode is off\n")
        self.assertIsNone(self.gateway.run("status")["maintenance"])
        types = [event["type"] for event in self.gateway.run("events")]
        self.assertIn("maintenance.set", types)

    # --- support ---

    def test_a_support_bundle_says_how_it_is_and_not_who_lives_there(self):
        secret = self.gateway.enroll("panel401")
        bed.register(self.gateway, "panel401", secret, "127.0.0.62", bed.free_port("127.0.0.62"))
        done = self.say("support-bundle")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.file("vestibule-support.json")) as file:
            text = file.read()
        bundle = json.loads(text)
        for part in ["version", "status", "doctor", "directory", "accounts", "records", "log", "metrics"]:
            self.assertIn(part, bundle)
        self.assertEqual(len(bundle["directory"]["units"]), 2)
        self.assertTrue(any(row["username"] == "panel401" and row["registered"] for row in bundle["accounts"]))
        for hidden in [secret, "Secretive", "127.0.0.62"]:
            self.assertNotIn(hidden, text)
        self.assertEqual(json.loads(self.say("support-bundle", "--json").stdout)["version"], bundle["version"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
