"""A real RTSP server as a camera: Debian's gst-rtsp-server with a test picture by x264.

Run as a program with one JSON object as its argument; it prints `ready` and serves until it is killed.
  address, port   where to listen
  protocols       any of "tcp", "udp"
  user, password, auth   "digest" or "basic"; without a user anyone may look
  encoder         options of x264enc; default: zero latency, a key picture each second
  profile         baseline, main or high
  size            [width, height]
  sound           "pcma", "pcmu", "aac" or null
  codec           "h264", "h265" or "jpeg"
  certificate, key   PEM files: then it speaks rtsps
  bitrate         kbit/s
  deaf            true: makes key pictures when it likes, not when it is asked
  numbers         true: numbered pictures, read as README.md says, over noise that brings as many bits as are allowed. Unlike
                  GStreamer's own test picture they are never sought in: who plays it anew gets no key picture by that
  rate            pictures a second; default 25
  small           [width, height, kbit/s] of a second, smaller stream at /small. Then both show numbered pictures
"""

import json
import os
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

SOUNDS = {
    "pcma": "rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8",
    "pcmu": "rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0",
    "aac": "rate=16000,channels=1 ! voaacenc ! aacparse ! rtpmp4gpay name=pay1 pt=97",
}


def is_numbered(wish):
    return wish.get("numbers") or wish.get("small")


def pipeline(wish):
    width, height = wish.get("size", [320, 240])
    form = f"video/x-raw,width={width},height={height},framerate={wish.get('rate', 25)}/1"
    picture = (
        f"appsrc name=numbers is-live=true do-timestamp=true format=time caps={form},format=I420 ! "
        if is_numbered(wish) else f"videotestsrc is-live=true pattern=ball ! {form} ! ")
    codec = wish.get("codec", "h264")
    if codec == "h264":
        options = wish.get("encoder", "tune=zerolatency sliced-threads=false key-int-max=25 bframes=0")
        picture += (
            f"x264enc name=coder {options} speed-preset=ultrafast bitrate={wish.get('bitrate', 500)} ! video/x-h264,profile={wish.get('profile', 'baseline')} ! "
            f"h264parse ! rtph264pay name=pay0 pt=96 config-interval={wish.get('interval', -1)} ")
    elif codec == "jpeg":
        picture += "videoconvert ! video/x-raw,format=I420 ! jpegenc ! rtpjpegpay name=pay0 pt=26 "
    else:
        picture += "x265enc tune=zerolatency speed-preset=ultrafast ! h265parse ! rtph265pay name=pay0 pt=96 "
    sound = wish.get("sound")
    if sound:
        picture += f"audiotestsrc is-live=true ! audioconvert ! audioresample ! audio/x-raw,{SOUNDS[sound]} "
    return f"( {picture})"


class Numbers:
    """Numbered pictures for the media of one factory, so many a second. The number is that of the moment, so it is the same
    in both streams."""

    def __init__(self, rate, width, height):
        self.rate, self.width, self.height, self.source = rate, width, height, None
        size = width * (height - height // 4)
        self.noise = [bytes(112 + (byte & 31) for byte in os.urandom(size)) for _ in range(7)]

    def begin(self, _, media):
        self.source = media.get_element().get_child_by_name("numbers")
        GLib.timeout_add(1000 // self.rate, self.push, self.source)

    def push(self, source):
        if source is not self.source:
            return False
        moment = time.time()
        value = (int(moment * self.rate) & 0xFFFFFFF) << 28 | int(moment * 1000) % 86400000
        check = 0xFF
        for place in range(48, -1, -8):
            check ^= value >> place & 0xFF
            for _ in range(8):
                check = (check << 1 ^ 7) & 0xFF if check & 0x80 else check << 1
        bits, width, quarter = f"{value << 8 | check:064b}", self.width, self.height // 4
        edges = [width * column // 16 for column in range(17)]
        lines = [b"".join(bytes([235 if bit == "1" else 16]) * (edges[place + 1] - edges[place])
                          for place, bit in enumerate(bits[row * 16:row * 16 + 16])) for row in range(4)]
        luma = b"".join(lines[min(3, 4 * line // quarter)] for line in range(quarter)) + self.noise[int(moment * 25) % 7]
        source.emit("push-buffer", Gst.Buffer.new_wrapped(luma + bytes([128]) * (width * self.height // 2)))
        return True


def deafen(_, media):
    """What asks the encoder for a key picture does not get there."""
    def hears(_, info):
        wish = info.get_event().get_structure()
        asks = wish is not None and wish.get_name() == "GstForceKeyUnit"
        return Gst.PadProbeReturn.DROP if asks else Gst.PadProbeReturn.OK
    media.get_element().get_child_by_name("coder").get_static_pad("src").add_probe(
        Gst.PadProbeType.EVENT_UPSTREAM, hears)


def main():
    wish = json.loads(sys.argv[1])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(wish["address"])
    server.set_service(str(wish["port"]))

    def serve(wish):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline(wish))
        factory.set_shared(True)
        if wish.get("deaf"):
            factory.connect("media-configure", deafen)
        if is_numbered(wish):
            factory.connect("media-configure", Numbers(wish.get("rate", 25), *wish.get("size", [320, 240])).begin)
        return factory
    factory = serve(wish)
    flags = GstRtsp.RTSPLowerTrans(0)
    for protocol in wish.get("protocols", ["tcp", "udp"]):
        flags |= {"tcp": GstRtsp.RTSPLowerTrans.TCP, "udp": GstRtsp.RTSPLowerTrans.UDP}[protocol]
    factory.set_protocols(flags)
    if wish.get("user") or wish.get("certificate"):
        auth = GstRtspServer.RTSPAuth()
        if wish.get("certificate"):
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(wish["certificate"], wish["key"]))
        permissions = GstRtspServer.RTSPPermissions()
        for name in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("user", name, True)
        factory.set_permissions(permissions)
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        if wish.get("user"):
            if wish.get("auth", "digest") == "digest":
                auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
                auth.add_digest(wish["user"], wish["password"], token)
            else:
                auth.add_basic(GstRtspServer.RTSPAuth.make_basic(wish["user"], wish["password"]), token)
        else:
            auth.set_default_token(token)
        server.set_auth(auth)
    server.get_mount_points().add_factory("/live", factory)
    if wish.get("small"):
        width, height, bitrate = wish["small"]
        server.get_mount_points().add_factory("/small", serve({**wish, "size": [width, height], "bitrate": bitrate}))
    if server.attach(None) == 0:
        sys.exit("the server could not listen")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
