"""Cameras that lie, and where it is told: to who wants to look, by `vestibule cameras`, in the metrics, by the doctor."""

import contextlib
import os
import subprocess
import tempfile
import unittest

import bed
import whep_gateway
from akuvox import Akuvox
from bed import wait_for
from whep_client import ask, offer

NAMES = ["renamed", "endless", "locked", "reordered", "replaced"]


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        building = whep_gateway.directory()
        cls.ports = {name: bed.free_port(bed.GATEWAY, bed.socket.SOCK_STREAM) for name in NAMES}
        building["stations"] += [{"username": name, "name": name, "door": "entrance", "camera": name} for name in NAMES]
        for name, port in cls.ports.items():
            scheme = "rtsps" if name == "replaced" else "rtsp"
            camera = {"id": name, "source": f"{scheme}://{bed.GATEWAY}:{port}/live", "view": "always"}
            if name == "locked":
                camera.update(username="admin", password="hunter3")
            building["cameras"].append(camera)
        cls.house = whep_gateway.House(building)
        cls.addClassCleanup(cls.house.close)

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def akuvox(self, name, codec="libx264", **habits):
        camera = Akuvox(bed.GATEWAY, self.ports[name], codec, **habits)
        self.stack.callback(camera.close)

    def server(self, name, **wish):
        camera = whep_gateway.Camera(port=self.ports[name], **wish)
        self.stack.callback(camera.close)
        return camera

    def look(self, name):
        return ask("POST", self.house.whep(name), {
            "Authorization": f"Bearer {self.house.token(name)}", "Content-Type": "application/sdp"}, offer(("video",)))

    def shows(self, name):
        return next(one for one in self.house.gateway.run("cameras") if one["id"] == name)

    def faults(self, name):
        """So often it failed, by why."""
        lines = ask("GET", f"http://127.0.0.1:{self.house.gateway.http_port}/metrics").text.split("\n")
        found = {}
        for line in lines:
            if line.startswith("vestibule_camera_faults_total{") and f'camera="{name}"' in line:
                found[line.split('reason="')[1].split('"')[0]] = int(line.split()[-1])
        return found

    def is_told(self, name, reason, words):
        """That it failed for that reason, everywhere."""
        answers = []

        def refused():
            answers.append(self.look(name))
            return answers[-1].status == 409 and words in answers[-1].text
        wait_for(f"{words!r} is told", refused, 15)
        answer = answers[-1]
        self.assertEqual(answer.json["reason"], "camera-off")
        self.assertGreaterEqual(answer.patience, 1)
        camera = self.shows(name)
        self.assertEqual((camera["reason"], camera["detail"]), (reason, answer.json["detail"]))
        self.assertIn(camera["state"], ["idle", "backing off", "faulty"])
        self.assertGreaterEqual(self.faults(name).get(reason, 0), 1, self.faults(name))
        [check] = [one for one in self.house.gateway.run("doctor", check=False) if one["name"] == f"camera {name}"]
        self.assertEqual((check["status"], bool(check["fix"])), ("failed", True), check)

    def test_h265_under_the_name_of_h264(self):
        self.akuvox("renamed", "libx265")
        self.is_told("renamed", "coding", "announces H.264 and sends H.265")

    def test_headers_without_end(self):
        self.akuvox("endless", endless=True)
        self.is_told("endless", "malformed", "headers without end")

    def test_a_wrong_password(self):
        self.akuvox("locked", user="admin", password="hunter2")
        self.is_told("locked", "credentials", "refuses the user name or the password")
        self.assertNotIn("hunter3", self.house.gateway.log())

    def test_pictures_out_of_order(self):
        self.server("reordered", encoder="bframes=2 b-adapt=false key-int-max=50", profile="main")
        # Their order is foretold by the parameter sets, so already the first to look is told.
        wait_for("B-frames are told of", lambda: "B-frames" in self.look("reordered").text, 15)
        self.is_told("reordered", "coding", "B-frames")

    def test_another_certificate_than_before(self):
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="vestibule-camera."))
        pairs = []
        for number in range(2):
            pair = {name: os.path.join(folder, f"{name}{number}") for name in ["certificate", "key"]}
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
                 pair["key"], "-out", pair["certificate"], "-days", "2", "-subj", "/CN=camera"], check=True, capture_output=True)
            pairs.append(pair)
        camera = self.server("replaced", **pairs[0])
        wait_for("it is seen", lambda: self.look("replaced").status == 201, 15)
        self.assertEqual(self.shows("replaced")["state"], "live")
        camera.wish.update(pairs[1])
        camera.restart()
        self.is_told("replaced", "certificate", "another certificate than before")


if __name__ == "__main__":
    unittest.main(verbosity=2)
