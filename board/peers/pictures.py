"""The station's picture: H.264 that ffmpeg makes, relayed to a baresip panel that decodes it, and shown by WHEP to a
player (aiortc) while a panel without a screen talks."""

import glob
import socket
import subprocess
import threading
import unittest

import bed
import browser
from bed import Stage, media_of, wait_for
from phones import HOST, Baresip
from script import answered, answers, hangs_up, hung_up, invites, rings, rung, script, sdp, talks
from whep_client import Player, ask

STATION, PANEL = "127.0.0.10", "127.0.0.21"
VIDEO = ("m=video [video] RTP/AVP 99\na=rtpmap:99 H264/90000\na=fmtp:99 profile-level-id=42e01f;packetization-mode=1\n"
         "a=sendonly\n[mux]\n")


class Camera:
    """A station's camera: RTP of ffmpeg sent on from one socket, on which muxed RTCP comes back."""

    def __init__(self, address, colour):
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            port = bed.free_port(address)
            try:
                self.rtp.bind((address, port - port % 2))
                self.rtcp.bind((address, port - port % 2 + 1))
                break
            except OSError:
                for name in ["rtp", "rtcp"]:
                    getattr(self, name).close()
                    setattr(self, name, socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.port = self.rtp.getsockname()[1]
        self.feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.feed.bind((address, 0))
        self.feed.settimeout(0.1)
        self.rtcp.setblocking(False)
        self.rtp.setblocking(False)
        self.remote, self.sent, self.muxed, self.apart = None, 0, [], []
        self.encoder = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", f"color=c={colour}:size=320x240:rate=15", "-c:v", "libx264",
             "-profile:v", "baseline", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "15", "-pix_fmt", "yuv420p",
             "-bsf:v", "dump_extra", "-payload_type", "99", "-f", "rtp",
             f"rtp://{address}:{self.feed.getsockname()[1]}?pkt_size=1200"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running = True
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while self.running:
            try:
                packet = self.feed.recv(2048)
                if self.remote:
                    self.rtp.sendto(packet, self.remote)
                    self.sent += 1
            except OSError:
                pass
            for came_on, kept in [(self.rtp, self.muxed), (self.rtcp, self.apart)]:
                try:
                    while True:
                        kept.append(came_on.recv(2048))
                except OSError:
                    pass

    def close(self):
        self.running = False
        self.thread.join()
        self.encoder.kill()
        self.encoder.wait()
        for one in [self.rtp, self.rtcp, self.feed]:
            one.close()


def video_of(messages, marker):
    for part in reversed(bed.parts(messages)):
        if marker in part and "m=video" in part:
            return bed.GATEWAY, int(part.split("m=video ", 1)[1].split()[0]), part
    raise AssertionError(f"no message with {marker!r} and a video line")


class Pictures(Stage):
    def show(self, colour, mux):
        voice = self.voice(STATION, 700)
        camera = Camera(STATION, colour)
        self.stack.callback(camera.close)
        phone = Baresip(self.gateway, "panel402", self.secret("panel402"), HOST, video=True)
        self.stack.callback(phone.close)
        call = self.sipp(script("station shows", invites(body=sdp(more=VIDEO)), answered(), talks(), hangs_up(2)),
                         STATION, keys={"caller": "gate", "target": "402", "talk": 20000, "media": voice.port,
                                        "video": camera.port, "mux": mux})
        wait_for("baresip rings", lambda: "Incoming call" in phone.text())
        phone.command("accept")
        call.wait_until_received("SIP/2.0 200 OK")
        voice.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        host, port, answer = video_of(call.messages(), "SIP/2.0 200 OK")
        self.assertGreater(port, 0, "the picture is taken")
        # A stranger's picture, ahead of the camera's: not relayed, not pinned.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.66", 0))
            for _ in range(30):
                stranger.sendto(b"\x80\x63\x00\x01" + b"\x00" * 8 + b"\x41" + b"\x2a" * 400, (host, port))
        camera.remote = (host, port)
        return call, camera, phone, answer

    def colour_seen(self, phone):
        """Mean red, green and blue of what baresip decoded last; None before there is any."""
        phone.command("snapshot")
        for path in sorted(glob.glob(phone.folder + "/snapshot-recv*"), reverse=True):
            pixel = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-vf", "scale=1:1", "-f", "rawvideo", "-pix_fmt",
                                    "rgb24", "-"], capture_output=True).stdout
            if len(pixel) == 3:
                return tuple(pixel)

    def test_the_stations_picture_is_relayed_and_decoded_with_muxed_reports(self):
        call, camera, phone, answer = self.show("red", "a=rtcp-mux")
        self.assertIn("a=rtcp-mux", answer)
        red, green, blue = wait_for("baresip decodes", lambda: self.colour_seen(phone), 5)
        self.assertTrue(red > 180 and green < 60 and blue < 60, (red, green, blue))
        wait_for("reports come muxed", lambda: any(200 <= packet[1] <= 206 for packet in camera.muxed), 5)
        self.assertEqual(camera.apart, [], "no report on the port beside")
        wait_for("more than thirty packets of the picture", lambda: camera.sent > 30)
        call.end()
        record = self.gateway.last_record()
        self.assertEqual({leg["account"]: leg["foreign"] for leg in record["legs"]}["intercom-main"], 30)

    def test_without_mux_reports_come_on_the_port_beside(self):
        call, camera, phone, answer = self.show("blue", "a=framerate:15")
        self.assertNotIn("a=rtcp-mux", answer)
        red, green, blue = wait_for("baresip decodes", lambda: self.colour_seen(phone), 5)
        self.assertTrue(blue > 180 and green < 60 and red < 60, (red, green, blue))
        wait_for("reports come beside", lambda: any(200 <= packet[1] <= 206 for packet in camera.apart), 5)
        self.assertEqual([packet for packet in camera.muxed if 200 <= packet[1] <= 206], [])
        call.end()


class CallAsCamera(Stage):
    @classmethod
    def directory(cls):
        return bed.building(camera="sip:intercom-main")

    @classmethod
    def setUpClass(cls):
        browser.aiortc()
        super().setUpClass()

    def offers(self, player, token):
        url = f"http://127.0.0.1:{self.gateway.http_port}/whep/entrance"
        return ask("POST", url, {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}, player.local())

    def test_a_station_is_seen_while_it_talks_to_a_panel_without_a_screen(self):
        voice, other = self.voice(STATION, 700), self.voice(PANEL, 900)
        camera = Camera(STATION, "red")
        self.stack.callback(camera.close)
        panel = self.panel(script("panel answers late", rung(), rings(), talks(), answers(), hung_up()), "panel401", PANEL,
                           media=other.port, talk=20000)
        call = self.sipp(script("station shows", invites(body=sdp(more=VIDEO)), answered(), talks(), hangs_up(2)),
                         STATION, keys={"caller": "gate", "target": "401", "talk": 20000, "media": voice.port,
                                        "video": camera.port, "mux": "a=rtcp-mux"})
        panel.wait_until_received("X-Vestibule-Whep: ")
        token = panel.messages().split("X-Vestibule-Whep: ", 1)[1].split('token="', 1)[1].split('"', 1)[0]
        player = Player(kinds=("video",))
        self.stack.callback(player.close)
        refused = self.offers(player, token)
        self.assertEqual(refused.status, 409, refused)
        self.assertIn("once it is answered", refused.text)
        panel.go_on()
        call.wait_until_received("SIP/2.0 200 OK")
        voice.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        host, port, answer = video_of(call.messages(), "SIP/2.0 200 OK")
        self.assertGreater(port, 0, "the picture is taken for those who look")
        self.assertIn("a=recvonly", answer)
        camera.remote = (host, port)
        colours = []
        player.on_picture = lambda frame: colours.append(frame.to_ndarray(format="rgb24").mean(axis=(0, 1)))
        reply = wait_for("the camera shows", lambda: (lambda one: one if one.status == 201 else None)(self.offers(player, token)))
        player.accept(reply.text)
        player.decodes(15)
        red, green, blue = colours[-1]
        self.assertTrue(red > 180 and green < 60 and blue < 60, colours[-1])
        [shown] = self.gateway.run("cameras")
        self.assertEqual((shown["state"], shown["size"]), ("live", "320x240"))
        wait_for("reports come", lambda: any(200 <= packet[1] <= 206 for packet in camera.muxed), 5)
        call.end()
        player.wait("the picture ends with the call", lambda: player.state == "closed")
        wait_for("the camera rests", lambda: self.gateway.run("cameras")[0]["state"] == "idle")


if __name__ == "__main__":
    unittest.main(verbosity=2)
