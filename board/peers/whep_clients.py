"""Cameras seen over WHEP by players that are no browsers: aiortc, which decodes, and GStreamer's webrtcbin; a device that was
rung by SIP and follows the INVITE's X-Vestibule-Whep; and players that vanish or send junk.
"""

import contextlib
import json
import os
import re
import subprocess
import threading
import time
import unittest

import bed
import browser
import pattern
import whep_client
import whep_gateway
from bed import wait_for
from voice import strength
from whep_client import Description, Loop, Player, ask, offer
from whep_gateway import Camera, Watching, rise


# Players that come while strangers disturb.
SET_UPS = 1000 if os.environ.get("VESTIBULE_LONG") == "yes" else 50


class IceAlone:
    """A peer that speaks ICE and nothing else."""

    def __init__(self):
        async def work():
            import aioice
            self.connection = aioice.Connection(ice_controlling=True)
            await self.connection.gather_candidates()
        Loop.run(work())
        self.ufrag, self.password = self.connection.local_username, self.connection.local_password
        self.candidates = ["candidate:" + candidate.to_sdp() for candidate in self.connection.local_candidates]

    def connect(self, section, is_lite):
        async def work():
            import aioice
            one = self.connection
            one.remote_username, one.remote_password, one.remote_is_lite = section.get("ice-ufrag"), section.get("ice-pwd"), is_lite
            for value in section.all("candidate"):
                candidate = aioice.Candidate.from_sdp(value)
                if candidate.transport.lower() == "udp":
                    await one.add_remote_candidate(candidate)
            await one.add_remote_candidate(None)
            await one.connect()
        Loop.run(work())

    def is_alive(self):
        return bool(self.connection._nominated)

    def close(self):
        Loop.run(self.connection.close())


class Clients(Watching):
    """Players that are no browsers."""

    @classmethod
    def setUpClass(cls):
        browser.aiortc()
        building = whep_gateway.directory()
        building["stations"].append({"username": "street", "name": "street", "door": "entrance", "camera": "street"})
        cls.sounding = Camera(sound="pcma")
        cls.addClassCleanup(cls.sounding.close)
        building["cameras"].append({"id": "street", "source": cls.sounding.url, "view": "always"})
        cls.begin(building)

    def player(self, camera="hall", token=None, **options):
        """A connected aiortc player: (it, the answer)."""
        token = token or self.house.token(camera)
        player = Player(**options)
        self.stack.callback(player.close)
        numbers = player.numbers = []
        player.unread = 0

        def picture(frame):
            found = pattern.read_frame(frame)
            if found:
                numbers.append(found[0])
            else:
                player.unread += 1
        player.on_picture = picture

        def post():
            return ask("POST", self.house.whep(camera), {
                "Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}, player.local())
        # A network camera may take its time to start.
        answer = wait_for("no 409", lambda: (lambda one: one if one.status != 409 else None)(post()), 20)
        player.answer, player.token = answer, token
        player.began = time.monotonic()
        if answer.status == 201:
            player.session = self.house.origin + answer["Location"]
            player.accept(answer.text)
            player.connects()
        return player

    def test_aiortc_decodes_what_it_is_sent(self):
        player = self.player(kinds=("video",), preferred=("video/h264", "video/rtx"))
        self.assertEqual(player.answer.status, 201, player.answer)
        player.decodes(60)
        self.assertTrue(rise(player.numbers), player.numbers)
        self.assertLess(player.unread, 3)

    def test_aiortc_with_vp8_alone_gets_it(self):
        player = self.player(kinds=("video",), preferred=("video/vp8", "video/rtx"))
        self.assertEqual(player.answer.status, 201, player.answer)
        self.assertIn("VP8/90000", player.answer.text)
        self.assertNotIn("H264", player.answer.text)
        player.decodes(30)
        self.assertTrue(rise(player.numbers), player.numbers)
        self.assertLess(player.unread, 3)

    def test_a_player_that_vanished_is_forgotten_and_one_that_never_begins_dtls_in_twenty_seconds(self):
        player = self.player(kinds=("video",))
        player.decodes(5)
        player.vanish()
        token = self.house.token("hall")

        def is_gone(session):
            return ask("GET", session, {"Authorization": f"Bearer {token}"}).status in (404, 410)
        began, (session, ice) = time.monotonic(), self.ice_alone(token)
        wait_for("its session is gone", lambda: is_gone(session), 30)
        self.assertTrue(18 < time.monotonic() - began < 25, time.monotonic() - began)
        # All the while its path stood: what the session died of is that no handshake came.
        self.assertTrue(ice.is_alive())
        wait_for("the other's session is gone", lambda: is_gone(player.session), 90)

    def ice_alone(self, token):
        """A session whose player connects by ICE and says nothing else: (its address, it)."""
        ice = IceAlone()
        self.stack.callback(ice.close)
        answer = ask("POST", self.house.whep("hall"), {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"},
                     offer(("video",), candidates=ice.candidates, ufrag=ice.ufrag, password=ice.password))
        self.assertEqual(answer.status, 201, answer)
        ice.connect(Description(answer.text).live[0], "a=ice-lite" in answer.text)
        return self.house.origin + answer["Location"], ice

    def test_junk_from_one_player_disturbs_no_other(self):
        good = self.player(kinds=("video",))
        good.decodes(5)
        bad = self.player(kinds=("video",))
        bad.receives(5)
        noise = [bytes([byte]) * size for byte in (0, 20, 22, 23, 63, 64, 128, 144, 200, 255) for size in (1, 13, 60, 1300)]
        for data in noise * 5:
            whep_client.Loop.run(bad.carriers[-1].send(data))
        at = good.frames["video"]
        good.wait("the other sees on", lambda: good.frames["video"] > at + 30)
        self.assertTrue(rise(good.numbers))

    def test_a_cameras_sound_is_heard(self):
        # The camera plays 440 Hz in A-law, which this player speaks too.
        player = self.player("street")
        samples = []

        def sound(frame):
            planes = frame.to_ndarray().reshape(-1)
            samples.extend(int(value) for value in planes[::len(frame.layout.channels)])
            player.rate = frame.sample_rate
        player.on_sound = sound
        player.wait("a second of sound", lambda: len(samples) > 48_000)
        heard = samples[-24_000:]
        self.assertGreater(strength(heard, 440, player.rate), 0.9)
        self.assertLess(strength(heard, 700, player.rate), 0.1)
        self.assertIn("PCMA/8000", player.answer.text)
        player.decodes(10)

    def test_stray_hellos_disturb_no_set_up(self):
        # The hello of a client that this one is not, from an address that no player has, twice in a millisecond.
        from OpenSSL import SSL
        stranger = SSL.Connection(SSL.Context(SSL.DTLS_CLIENT_METHOD))
        stranger.set_connect_state()
        with contextlib.suppress(SSL.WantReadError):
            stranger.do_handshake()
        hello = stranger.bio_read(4096)
        first = self.player(kinds=("video",))
        where = re.search(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host", first.answer.text)[1]
        spraying, sent = threading.Event(), [0]

        def spray():
            with bed.socket.socket(bed.socket.AF_INET, bed.socket.SOCK_DGRAM) as sender:
                sender.bind(("127.0.0.99", 0))
                while not spraying.wait(0.001):
                    for _ in range(2):
                        sender.sendto(hello, (bed.GATEWAY, int(where)))
                    sent[0] += 2
        attacker = threading.Thread(target=spray, daemon=True)
        attacker.start()
        self.stack.callback(lambda: (spraying.set(), attacker.join()))
        for _ in range(SET_UPS):
            player = self.player(kinds=("video",))
            self.assertEqual(player.answer.status, 201, player.answer)
            player.receives(3)
            whep_client.ask("DELETE", player.session, {"Authorization": f"Bearer {player.token}"})
            player.close()
        self.assertGreater(sent[0], SET_UPS * 10)
        first.receives(10)

    def test_gstreamers_webrtcbin_decodes_what_it_is_sent(self):
        viewer = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(bed.HERE, "webrtcbin_viewer.py"), self.house.whep("hall"), self.house.token("hall"), "40"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stack.callback(lambda: (viewer.kill(), viewer.wait()))
        guard = threading.Timer(40, viewer.kill)
        guard.start()
        told, errors = viewer.communicate()
        guard.cancel()
        lines = [json.loads(line) for line in told.splitlines()]
        self.assertEqual([line["posted"] for line in lines if "posted" in line], [201], told + errors[-2000:])
        numbers = [line["number"] for line in lines if "number" in line]
        self.assertGreater(len(numbers), 30, told[-500:] + errors[-2000:])
        self.assertTrue(rise(numbers), numbers)
        self.assertIn({"ended": 200}, lines)

    def test_an_invite_shows_the_door_to_the_device_that_rings(self):
        panel = self.panel()
        self.ring(after=20000)
        panel.wait_until_received("X-Vestibule-Whep: ")
        line = next(line for line in panel.messages().splitlines() if line.startswith("X-Vestibule-Whep: "))
        url, token = line.split("<", 1)[1].split(">", 1)[0], line.split('token="', 1)[1].split('"', 1)[0]
        self.assertTrue(url.endswith("/whep/entrance"), url)
        player = self.player("entrance", token, kinds=("video",))
        self.assertEqual(player.answer.status, 201, player.answer)
        player.decodes(20)
        self.assertTrue(rise(player.numbers), player.numbers)
        self.hang_up_all()
        player.wait("the picture ends with the ring", lambda: player.state == "closed")
        self.assertEqual(ask("POST", self.house.whep("entrance"), {
            "Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}, player.local()).status, 401)


if __name__ == "__main__":
    unittest.main(verbosity=2)
