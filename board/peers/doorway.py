"""Who rings is seen by WHEP, answered by it, and photographed: a player that is no browser (aiortc) does as a resident's
application would, with the token that the ring's event brings."""

import contextlib
import datetime
import glob
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import bed
import browser
import pattern
import whep_client
import whep_gateway
from bed import Gateway, wait_for
from whep_client import ask, offer


class Device:
    """A resident's device: its token, and what its event stream told."""

    def __init__(self, gateway, account):
        self.gateway, self.events = gateway, []
        link = gateway.run("enroll", account, "--format", "url")["url"].split("#enroll=")[1]
        self.bearer = self.ask("POST", f"/provision/{link}", token=None).json["bearer"]
        self.stream = http.client.HTTPConnection("127.0.0.1", gateway.http_port)
        self.stream.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {self.bearer}"})
        self.answer = self.stream.getresponse()
        assert self.answer.status == 200
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        try:
            for line in self.answer:
                if line.startswith(b"data:"):
                    self.events.append(json.loads(line[5:]))
        except (OSError, ValueError, AttributeError):
            pass

    def close(self):
        self.stream.sock and self.stream.sock.shutdown(bed.socket.SHUT_RDWR)

    def ask(self, method, path, token="", body=None, **fields):
        """`token`: this device's own unless told, None for none."""
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        token = self.bearer if token == "" else token
        if token:
            fields["Authorization"] = f"Bearer {token}"
        return ask(method, f"http://127.0.0.1:{self.gateway.http_port}{path}", fields, body)

    def told(self, kind, call=None):
        return [one for one in list(self.events) if one["type"] == kind and call in (None, one["call"])]

    def rung(self):
        return wait_for("it rings", lambda: [one for one in self.told("call.ringing") if "token" in one])[-1]


class Player(whep_client.Player):
    """A player that asks a device's gateway at once; `answer` is what came back."""

    def __init__(self, device, token, tone=None, camera="entrance"):
        super().__init__(kinds=("video",), tone=tone)
        self.device = device
        self.answer = device.ask("POST", f"/whep/{camera}", token, self.local(), Content_Type="application/sdp")
        self.status, self.body, self.location = self.answer.status, self.answer.body, self.answer["Location"]
        if self.status == 201:
            self.accept(self.answer.text)

    def sees(self, count):
        self.decodes(count, seconds=10)


class Doorway(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        browser.aiortc()
        cls.gateway = Gateway(whep_gateway.directory())
        cls.addClassCleanup(cls.gateway.close)

    def device(self, account="web401"):
        device = Device(self.gateway, account)
        self.addCleanup(device.close)
        return device

    def player(self, *words, **options):
        player = Player(*words, **options)
        self.addCleanup(player.close)
        return player

    def ring(self, seconds=6):
        caller = subprocess.Popen(
            [bed.CLI, "--socket", self.gateway.socket, "ring", "401", "--as", "intercom-main", "--seconds", str(seconds), "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

        def end():
            if caller.poll() is None:
                caller.kill()
            caller.wait()
            caller.stdout.close()
            for call in self.gateway.run("calls"):
                self.gateway.run("calls", "hangup", call["id"], check=False)
            wait_for("no call is left", lambda: not self.gateway.run("calls"))
        self.addCleanup(end)
        return caller

    def metric(self, name, gateway=None):
        lines = ask("GET", f"http://127.0.0.1:{(gateway or self.gateway).http_port}/metrics").text.split("\n")
        return sum(int(line.split()[-1]) for line in lines if line.startswith(name))

    def test_who_speaks_answers_the_door_and_the_picture_stays(self):
        device = self.device()
        caller = self.ring()
        rung = device.rung()
        token = rung["token"]
        looks = self.player(device, token)
        self.assertEqual(looks.status, 201)
        looks.sees(10)
        talks = self.player(device, token, tone=1000)
        self.assertEqual(talks.status, 201, talks.body)
        wait_for("the call is answered", lambda: device.told("call.answered"))
        self.assertEqual(len(device.told("call.ringing", rung["call"])), 1, "neither its other devices nor its answer ring it again")
        talks.sees(20)
        wait_for("the door is heard", lambda: talks.frames["audio"] > 50)
        [call] = self.gateway.run("calls")
        [leg] = [leg for leg in call["legs"] if leg["account"] == "web401" and leg["state"] == "talking"]
        self.assertGreater(leg["packetsIn"], 50)
        looks.sees(10)
        tag = talks.answer["ETag"]
        self.assertEqual(talks.device.ask("PATCH", talks.location, token, "a=nonsense", If_Match='"other"',
                                          Content_Type="application/trickle-ice-sdpfrag").status, 412)
        self.assertNotEqual(tag, looks.answer["ETag"])
        report = json.loads(caller.communicate(timeout=20)[0])
        self.assertTrue(report["answered"])
        self.assertEqual(report["by"], "web401")
        self.assertGreater(report["audio"]["received"], 50)
        wait_for("both ends are told goodbye", lambda: looks.state == "closed" and talks.state == "closed")
        self.assertEqual(device.ask("GET", looks.location, token=None).status, 404)

    def test_a_million_bad_packets_do_not_end_a_talk(self):
        device = self.device()
        caller = self.ring(120)
        token = device.rung()["token"]
        talks = self.player(device, token, tone=1000)
        self.assertEqual(talks.status, 201, talks.body)
        talks.sees(20)
        memory = bed.memory(self.gateway)
        pair = next(iter(talks.ice._connection._nominated.values()))
        forged = bytearray(os.urandom(172))
        forged[:2] = b"\x80\x08"
        # From the socket that proved itself: strangers' packets would go no further than ICE.
        with bed.socket.socket(fileno=os.dup(pair.protocol.transport.get_extra_info("socket").fileno())) as path:
            sent = 0
            while sent < 1_000_000:
                forged[2:4] = (sent & 0xFFFF).to_bytes(2, "big")
                with contextlib.suppress(BlockingIOError):
                    path.sendto(forged, pair.remote_addr)
                    sent += 1
        [before] = self.gateway.run("calls")
        talks.sees(30)
        [after] = self.gateway.run("calls")
        heard = [next(leg["packetsIn"] for leg in one["legs"] if leg["account"] == "web401" and leg["state"] == "talking")
                 for one in (before, after)]
        self.assertGreater(heard[1], heard[0] + 20, "the resident is heard on")
        self.assertLess(bed.memory(self.gateway), memory + 20_000, "of 172 MB nothing is kept (kB)")
        self.assertIsNone(caller.poll(), "the call goes on")

    def test_who_hangs_up_there_ends_the_call(self):
        device = self.device()
        self.ring(20)
        token = device.rung()["token"]
        talks = self.player(device, token, tone=800)
        self.assertEqual(talks.status, 201, talks.body)
        talks.sees(5)
        self.assertEqual(device.ask("DELETE", talks.location, token=None).status, 401, "nobody ends a talk by its address alone")
        self.assertEqual(device.ask("DELETE", talks.location, token).status, 200)
        wait_for("the call ends", lambda: not self.gateway.run("calls"))
        self.assertEqual(self.gateway.last_record()["end"], "answered")
        self.assertEqual(device.ask("POST", "/whep/entrance", token, "v=0", Content_Type="application/sdp").status, 401)

    def test_a_device_that_is_revoked_sees_and_says_nothing_more(self):
        device = self.device()
        self.ring(20)
        token = device.rung()["token"]
        asked = device.ask("POST", "/api/v1/cameras/entrance/token").json["token"]
        looks = self.player(device, asked)
        looks.sees(5)
        talks = self.player(device, token, tone=800)
        self.assertEqual(talks.status, 201, talks.body)
        talks.sees(5)
        self.gateway.run("revoke", "web401")
        wait_for("both are told goodbye", lambda: looks.state == "closed" and talks.state == "closed")
        wait_for("the call ends", lambda: not self.gateway.run("calls"))
        for shown in (asked, token, device.bearer):
            refused = device.ask("POST", "/whep/entrance", shown, "v=0", Content_Type="application/sdp")
            self.assertEqual(refused.status, 401)

    def test_a_ring_leaves_three_pictures_for_those_it_was_for(self):
        device, neighbour = self.device(), self.device("web402")
        self.ring(20)
        call = device.rung()["call"]
        self.assertEqual(neighbour.told("call.ringing"), [])
        wait_for("two pictures", lambda: len(device.told("call.snapshot", call)) == 2)
        # For a second the same picture is new enough.
        later = time.monotonic() + 1.1
        wait_for("another picture can be taken", lambda: time.monotonic() > later)
        self.gateway.run("calls", "hangup", call)
        wait_for("the third", lambda: len(device.told("call.snapshot", call)) == 3)
        [record] = [one for one in self.gateway.run("cdr") if one["id"] == call]
        self.assertEqual([one["moment"] for one in record["snapshots"]], ["ring", "after", "end"])
        shown = []
        for one in record["snapshots"]:
            answer = device.ask("GET", one["url"])
            self.assertEqual((answer.status, answer["Content-Type"], answer.body[:3]), (200, "image/jpeg", b"\xff\xd8\xff"))
            self.assertEqual(neighbour.ask("GET", one["url"]).status, 404, "it was not rung")
            shown.append(pattern.read_jpeg(answer.body))
        self.assertTrue(all(shown), "a picture is not the camera's")
        numbers = [number for number, _ in shown]
        self.assertEqual(numbers, sorted(set(numbers)))
        # When each was drawn, in milliseconds since the ring was told. The camera may have to start for the first, or have one
        # that is a second old.
        rung = datetime.datetime.fromisoformat(device.told("call.ringing", call)[0]["at"].replace("Z", "+00:00"))
        day = 86_400_000
        since = [(drawn - rung.timestamp() * 1000 + day / 2) % day - day / 2 for _, drawn in shown]
        self.assertTrue(-1100 < since[0] < 1900, since)
        self.assertTrue(900 < since[1] < 3500 and since[1] < since[2], since)
        self.assertEqual(neighbour.told("call.snapshot"), [])
        kept = os.listdir(os.path.join(self.gateway.folder, "snapshots"))
        self.assertEqual(len([name for name in kept if call in name]), 3)

    def test_pictures_are_kept_for_the_days_that_are_set_also_over_a_start(self):
        state = tempfile.mkdtemp(prefix="vestibule-test.")
        self.addCleanup(shutil.rmtree, state, ignore_errors=True)
        album, now = os.path.join(state, "snapshots"), int(time.time())
        names = {hours: f"{now - hours * 3600}-c0ffee-ring.jpg" for hours in (1, 47, 49, 24 * 31)}
        os.makedirs(album)
        for name in names.values():
            with open(os.path.join(album, name), "wb") as file:
                file.write(b"\xff\xd8\xff")
        gateway = Gateway(whep_gateway.directory(), state=state, config={"snapshots": {"days": 2}})
        self.addCleanup(gateway.close)
        wait_for("the older ones are forgotten", lambda: sorted(os.listdir(album)) == sorted([names[1], names[47]]))

    def test_with_no_days_no_picture_is_kept(self):
        gateway = Gateway(whep_gateway.directory(), config={"snapshots": {"days": 0}})
        self.addCleanup(gateway.close)
        device = Device(gateway, "web401")
        self.addCleanup(device.close)
        caller = subprocess.Popen(
            [bed.CLI, "--socket", gateway.socket, "ring", "401", "--as", "intercom-main", "--json"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (caller.kill(), caller.wait()))
        rung = device.rung()
        call, looks = rung["call"], self.player(device, rung["token"])
        looks.sees(10)
        gateway.run("calls", "hangup", call)
        wait_for("it is over", lambda: device.told("call.ended", call))
        self.assertEqual(device.told("call.snapshot"), [])
        [record] = gateway.run("cdr")
        self.assertEqual((record["id"], record.get("snapshots", [])), (call, []))
        self.assertEqual(glob.glob(os.path.join(gateway.folder, "snapshots", "*")), [])

    def test_a_disk_that_is_full_costs_the_pictures_only(self):
        state = tempfile.mkdtemp(prefix="vestibule-test.")
        self.addCleanup(shutil.rmtree, state, ignore_errors=True)
        album = os.path.join(state, "snapshots")
        os.makedirs(album)
        # In a mount namespace of its own the pictures have a disk of two pages.
        apart = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                 'mount -t tmpfs -o size=8k tmpfs "$0" && exec "$@"', album]
        if subprocess.run([*apart, "true"], capture_output=True).returncode != 0:
            self.skipTest("no namespaces")
        gateway = Gateway(whep_gateway.directory(), state=state, inside=apart)
        self.addCleanup(gateway.close)
        device = Device(gateway, "web401")
        self.addCleanup(device.close)
        caller = subprocess.Popen(
            [bed.CLI, "--socket", gateway.socket, "ring", "401", "--as", "intercom-main", "--seconds", "20", "--json"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (caller.kill(), caller.wait()))
        rung = device.rung()
        self.addCleanup(gateway.run, "calls", "hangup", rung["call"])
        looks = self.player(device, rung["token"])
        self.assertEqual(looks.status, 201)
        wait_for("the loss is counted", lambda: self.metric("vestibule_snapshots_lost_total", gateway) > 0)
        looks.sees(20)
        self.assertRegex(gateway.log(), "snapshots cannot be kept: .*No space left on device; video goes on")
        self.assertEqual(device.told("call.snapshot"), [])
        # Nor does half a picture stay, in that namespace.
        self.assertEqual(os.listdir(f"/proc/{gateway.process.pid}/root{album}"), [])

    def test_a_disk_that_takes_no_pictures_costs_the_pictures_only(self):
        album = os.path.join(self.gateway.folder, "snapshots")
        aside = album + ".aside"
        if os.path.exists(album):
            os.rename(album, aside)
        with open(album, "w"):
            pass

        def mend():
            os.remove(album)
            if os.path.exists(aside):
                os.rename(aside, album)
        self.addCleanup(mend)
        lost = self.metric("vestibule_snapshots_lost_total")
        device = self.device()
        self.ring(20)
        token = device.rung()["token"]
        looks = self.player(device, token)
        self.assertEqual(looks.status, 201)
        wait_for("the loss is counted", lambda: self.metric("vestibule_snapshots_lost_total") > lost)
        looks.sees(20)
        self.assertIn("snapshots cannot be kept", self.gateway.log())

    def test_a_camera_that_is_not_there_says_why_everywhere(self):
        device = self.device()
        answer = device.ask("POST", "/whep/dark", body=offer(("video",)), Content_Type="application/sdp")
        problem = answer.json
        self.assertEqual((answer.status, problem["reason"]), (409, "camera-off"), problem)
        self.assertGreaterEqual(int(answer["Retry-After"]), 1)
        [camera] = [one for one in self.gateway.run("cameras") if one["id"] == "dark"]
        self.assertEqual(camera["reason"], "unreachable")
        self.assertEqual(problem["detail"], camera["detail"])
        self.assertEqual(self.metric('vestibule_camera_faulty{camera="dark"}'), 1)
        [check] = [one for one in self.gateway.run("doctor", check=False) if one["name"] == "camera dark"]
        self.assertEqual((check["status"], bool(check["fix"])), ("failed", True))
        self.assertEqual(device.ask("GET", "/snapshot/dark.jpg").status, 409)

    def test_who_opens_without_end_meets_a_limit_and_harms_nobody(self):
        device, mine = self.device("web402"), self.device()
        self.ring(20)
        token = mine.rung()["token"]
        looks = self.player(mine, token)
        statuses = []
        for _ in range(12):
            answer = mine.ask("POST", "/whep/entrance", token, offer(("video",)), Content_Type="application/sdp")
            statuses.append(answer.status)
            if answer.status == 503:
                self.assertGreaterEqual(int(answer["Retry-After"]), 1)
        self.assertIn(503, statuses)
        self.assertIn(201, statuses)
        looks.sees(10)
        self.assertEqual(device.ask("POST", "/whep/entrance", body=offer(("video",)), Content_Type="application/sdp").status, 403)
