"""Network cameras: a real RTSP server and one that answers as Akuvox stations do, watched by the gateway's own sources.

They live on 127.0.0.1: gst-rtsp-server sends its datagrams from the address the kernel chooses, which must be the one that
was asked.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest

import bed
from akuvox import Akuvox
from bed import wait_for

WATCH = os.environ.get("WATCH", os.path.join(bed.ROOT, ".build/debug/Watch"))
HOST = "127.0.0.1"


class Viewer:
    """The program Watch on one camera. `lines` are what it told: milliseconds, a word, the rest."""

    def __init__(self, url, environment=None, **words):
        self.lines = []
        self.process = subprocess.Popen(
            [WATCH, f"url={url}", *(f"{key}={value}" for key, value in words.items())],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            env={**os.environ, **(environment or {})})
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            time, word, *rest = line.split(" ", 2)
            self.lines.append((int(time), word, rest[0].strip() if rest else ""))

    def told(self, word):
        return [rest for _, kind, rest in list(self.lines) if kind == word]

    def when(self, word):
        return [time for time, kind, _ in list(self.lines) if kind == word]

    def sees(self, count, seconds=15):
        wait_for(f"{count} pictures, not {self.lines[-5:]}", lambda: len(self.told("picture")) >= count, seconds)

    def ends(self, kind, seconds=20):
        wait_for(f"an end, not {self.lines[-5:]}", lambda: self.told("ended"), seconds)
        fault = self.told("ended")[0]
        assert fault.startswith(kind + " "), fault
        return fault

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.thread.join(5)
        self.process.stdout.close()


class Watching(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.port = bed.free_port(HOST, bed.socket.SOCK_STREAM)

    def watch(self, path="/live", scheme="rtsp", port=None, **words):
        viewer = Viewer(f"{scheme}://{HOST}:{port or self.port}{path}", **words)
        self.stack.callback(viewer.close)
        return viewer

    def folder(self):
        folder = tempfile.mkdtemp(prefix="vestibule-camera.")
        self.stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder


class TestPicture(Watching):
    def look(self, **words):
        viewer = Viewer("test:pattern", **words)
        self.stack.callback(viewer.close)
        return viewer

    def test_its_numbers_grow_by_one_and_ffmpeg_decodes_it_without_a_fault(self):
        dump = os.path.join(self.folder(), "stream.h264")
        viewer = self.look(size="640x360", shows="yes", dump=dump)
        viewer.sees(50)
        viewer.close()
        self.assertEqual(viewer.told("began"), ["640x360 silent"])
        numbers = [line.split(" ")[2] for line in viewer.told("shows")]
        self.assertEqual(numbers, [str(number) for number in range(len(numbers))])
        decoded = subprocess.run(
            ["ffmpeg", "-v", "warning", "-i", dump, "-f", "framemd5", "-"], capture_output=True, text=True)
        self.assertEqual(decoded.stderr, "")

    def test_without_libavcodec_the_reason_is_told(self):
        # What is found first under the library's name is no library.
        folder = self.folder()
        for version in range(58, 64):
            open(os.path.join(folder, f"libavcodec.so.{version}"), "w").close()
        viewer = self.look(environment={"LD_LIBRARY_PATH": folder})
        self.assertIn("libavcodec is not installed", viewer.ends("coding"))
        self.assertEqual(viewer.told("picture"), [])


class RealServer(Watching):
    def serve(self, **wish):
        server = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(bed.HERE, "rtsp_server.py"),
             json.dumps({"address": HOST, "port": self.port, **wish})],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)

        def end():
            server.kill()
            server.wait()
            server.stdout.close()

        self.stack.callback(end)
        self.assertEqual(server.stdout.readline(), "ready\n")
        return end

    def test_pictures_of_a_real_server_decode_without_a_fault(self):
        self.serve(sound="pcma", size=[640, 360], profile="high")
        dump = os.path.join(self.folder(), "stream.h264")
        viewer = self.watch(dump=dump)
        viewer.sees(75)
        viewer.close()
        self.assertEqual(viewer.told("began"), ["640x360 pcma"])
        self.assertTrue(viewer.told("picture")[0].startswith("key "))
        self.assertGreater(len(viewer.told("sound")), 15)
        decoded = subprocess.run(
            ["ffmpeg", "-v", "warning", "-i", dump, "-f", "framemd5", "-"], capture_output=True, text=True)
        self.assertEqual(decoded.stderr, "")
        frames = [line for line in decoded.stdout.splitlines() if not line.startswith("#")]
        self.assertEqual(len(frames), len(viewer.told("picture")))

    def test_aac_is_heard_as_pcma(self):
        self.serve(sound="aac")
        voice = os.path.join(self.folder(), "voice.pcma")
        viewer = self.watch(voice=voice)
        wait_for("two seconds of sound", lambda: sum(
            int(line.split(" ")[1]) for line in viewer.told("sound")) > 16000, 20)
        viewer.close()
        self.assertEqual(viewer.told("began"), ["320x240 pcma"])
        with open(voice, "rb") as file:
            sound = file.read()
        # The server plays 440 Hz. What A-law calls negative has its highest bit clear.
        steady = sound[4000:16000]
        crossings = sum((one ^ other) >> 7 for one, other in zip(steady, steady[1:]))
        self.assertAlmostEqual(crossings * 8000 / len(steady) / 2, 440, delta=6)

    def test_datagrams_alone_will_do(self):
        self.serve(protocols=["udp"], sound="pcmu")
        viewer = self.watch()
        viewer.sees(50)
        self.assertEqual(viewer.told("learnt"), ["datagrams -"])
        self.assertEqual(viewer.told("began"), ["320x240 pcmu"])

    def test_a_remembered_way_that_is_gone_is_given_up_for_the_other(self):
        self.serve(protocols=["tcp"])
        viewer = self.watch(known="datagrams -")
        viewer.sees(25)
        self.assertEqual(viewer.told("learnt"), ["interleaved -"])

    def test_datagrams_that_are_remembered_are_asked_for_at_once(self):
        self.serve()
        viewer = self.watch(known="datagrams -")
        viewer.sees(25)
        self.assertEqual(viewer.told("learnt"), [])

    def test_digest_and_basic_open_and_a_wrong_password_is_told(self):
        self.serve(user="admin", password="hunter2")
        self.watch(user="admin", password="hunter2").sees(10)
        self.watch(user="admin", password="hunter3").ends("credentials")
        fault = self.watch().ends("credentials")
        self.assertIn("none are configured", fault)

    def test_basic_opens(self):
        self.serve(user="admin", password="hunter2", auth="basic")
        self.watch(user="admin", password="hunter2").sees(10)
        self.watch(user="admin", password="hunter3").ends("credentials")

    def test_a_certificate_is_pinned_and_another_one_refused(self):
        folder = self.folder()
        files = {name: os.path.join(folder, name) for name in ["certificate", "key"]}
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", files["key"], "-out",
             files["certificate"], "-days", "2", "-subj", "/CN=camera"], check=True, capture_output=True)
        shown = subprocess.run(
            ["openssl", "x509", "-in", files["certificate"], "-noout", "-fingerprint", "-sha256"],
            check=True, capture_output=True, text=True).stdout.split("=")[1].strip().replace(":", "").lower()
        self.serve(**files)
        viewer = self.watch(scheme="rtsps")
        viewer.sees(10)
        self.assertEqual(viewer.told("learnt"), [f"interleaved {shown}"])
        self.watch(scheme="rtsps", known=f"interleaved {shown}").sees(10)
        self.assertIn(shown, self.watch(scheme="rtsps", known="interleaved " + 64 * "0").ends("certificate"))

    def test_what_browsers_do_not_show_is_told(self):
        self.serve(codec="jpeg")
        self.assertIn("JPEG", self.watch().ends("coding"))

    def test_pictures_out_of_order_are_told(self):
        self.serve(encoder="bframes=2 b-adapt=false key-int-max=50", profile="main")
        self.assertIn("B-frames", self.watch().ends("coding"))

    def test_a_path_that_is_not_there_is_told(self):
        self.serve()
        self.assertIn("/other", self.watch("/other").ends("missing"))

    def test_a_server_that_restarts_comes_back_by_itself(self):
        end = self.serve()
        viewer = self.watch(again="yes")
        viewer.sees(25)
        end()
        wait_for("the loss is told", lambda: viewer.told("ended"), 8)
        self.serve()
        wait_for("it begins again", lambda: len(viewer.told("began")) == 2, 15)
        pause = int(viewer.told("pause")[0])
        self.assertTrue(500 <= pause <= 750, pause)

    # A key picture a minute, unless somebody asks for one.
    RARE = "tune=zerolatency sliced-threads=false key-int-max=1500 bframes=0"

    def test_who_comes_between_two_key_pictures_asks_for_one_and_sees_at_once(self):
        self.serve(numbers=True, encoder=self.RARE)
        first = self.watch()
        first.sees(25)
        late = self.watch()
        late.sees(5, 4)
        self.assertTrue(late.told("picture")[0].startswith("key "))
        # The wish reached the encoder that both watch.
        wait_for("the first gets it too", lambda: sum(told.startswith("key ") for told in first.told("picture")) > 1, 2)

    def test_a_server_that_is_deaf_to_the_wish_leaves_who_comes_late_without_a_picture(self):
        # That the test above can fail.
        self.serve(numbers=True, encoder=self.RARE, deaf=True)
        first = self.watch()
        first.sees(25)
        late = self.watch()
        seen = len(first.told("picture"))
        wait_for("four seconds of pictures", lambda: len(first.told("picture")) > seen + 100, 8)
        self.assertEqual(late.told("picture"), [])


class AkuvoxStation(Watching):
    def camera(self, codec="libx264", **habits):
        camera = Akuvox(HOST, self.port, codec, **habits)
        self.stack.callback(camera.close)
        return camera

    def methods(self, camera):
        return [method for method, _ in camera.requests]

    def test_its_answer_with_datagrams_and_an_empty_port_is_understood(self):
        camera = self.camera()
        dump = os.path.join(self.folder(), "stream.h264")
        viewer = self.watch(dump=dump)
        viewer.sees(75)
        self.assertEqual(viewer.told("learnt"), ["datagrams -"])
        self.assertEqual(
            self.methods(camera), ["DESCRIBE", "SETUP", "TEARDOWN", "DESCRIBE", "SETUP", "PLAY"])
        self.assertEqual(len(camera.sessions), 1)
        self.assertLess(viewer.when("picture")[0], 2000)
        viewer.close()
        decoded = subprocess.run(
            ["ffmpeg", "-v", "warning", "-i", dump, "-f", "null", "-"], capture_output=True, text=True)
        self.assertEqual(decoded.stderr, "")
        wait_for("it is told goodbye", lambda: not camera.sessions, 3)

    def test_what_was_learnt_spares_the_second_try(self):
        camera = self.camera()
        self.watch(known="datagrams -").sees(10)
        self.assertEqual(self.methods(camera), ["DESCRIBE", "SETUP", "PLAY"])

    def test_one_that_calls_tcp_a_bad_request_is_asked_for_datagrams(self):
        camera = self.camera(refuses_tcp="400 Bad Request")
        viewer = self.watch()
        viewer.sees(10)
        self.assertEqual(self.methods(camera), ["DESCRIBE", "SETUP", "DESCRIBE", "SETUP", "PLAY"])
        self.assertEqual(viewer.told("learnt"), ["datagrams -"])

    def test_its_digest_is_answered_on_both_connections(self):
        camera = self.camera(user="admin", password="akuvox")
        self.watch(user="admin", password="akuvox").sees(10)
        self.assertEqual(self.methods(camera).count("DESCRIBE"), 4)

    def test_a_nonce_that_ages_between_two_requests_is_no_wrong_password(self):
        self.camera(user="admin", password="akuvox", stale_after=2)
        self.watch(user="admin", password="akuvox", known="datagrams -").sees(10)

    def test_a_wrong_password_is_asked_about_once(self):
        camera = self.camera(user="admin", password="akuvox")
        self.watch(user="admin", password="wrong", again="yes").ends("credentials")
        self.assertEqual(self.methods(camera), ["DESCRIBE", "DESCRIBE"])

    def test_one_that_has_place_for_one_only_says_so_to_the_second(self):
        self.camera(places=1)
        self.watch(known="datagrams -").sees(10)
        self.watch(known="datagrams -").ends("refused")

    def test_h265_under_the_name_of_h264_is_told(self):
        self.camera("libx265")
        self.assertIn("H.265", self.watch().ends("coding"))

    def test_one_that_plays_and_sends_nothing_is_told(self):
        self.camera(mute=True)
        self.assertIn("sends nothing", self.watch(known="datagrams -").ends("frozen", 25))

    def test_one_that_freezes_is_told_within_six_seconds(self):
        camera = self.camera()
        viewer = self.watch(known="datagrams -")
        viewer.sees(10)
        camera.frozen = True
        viewer.ends("frozen", 8)
        self.assertLess(viewer.when("ended")[0] - viewer.when("picture")[-1], 6000)

    def test_one_that_restarts_in_mid_stream_comes_back_by_itself(self):
        camera = self.camera()
        viewer = self.watch(known="datagrams -", again="yes")
        viewer.sees(10)
        camera.close()
        wait_for("the loss is told", lambda: viewer.told("ended"), 8)
        camera.start()
        wait_for("it begins again", lambda: len(viewer.told("began")) == 2, 10)

    def test_headers_without_end_are_told(self):
        self.camera(endless=True)
        self.assertIn("without end", self.watch().ends("malformed"))


if __name__ == "__main__":
    unittest.main()
