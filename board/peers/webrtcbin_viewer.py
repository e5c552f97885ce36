"""A player of Debian's GStreamer: webrtcbin with libnice. A program of its own, for the system's Python has its bindings.

    webrtcbin_viewer.py URL TOKEN COUNT

Posts an offer to the WHEP endpoint, decodes, and prints one JSON object a line: `{"posted": status}`, then `{"number",
"milliseconds"}` of each test picture or `{"width"}` of another picture, `{"done"}` after COUNT of them.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pattern  # noqa: E402

url, token, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def tell(**words):
    print(json.dumps(words), flush=True)


def ask(method, address, body=None, **fields):
    request = urllib.request.Request(address, body, {"Authorization": f"Bearer {token}", **fields}, method=method)
    try:
        return urllib.request.urlopen(request, context=context, timeout=15)
    except urllib.error.HTTPError as answer:
        return answer


class Viewer:
    def __init__(self):
        self.seen, self.session, self.is_posted = 0, None, False
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new()
        self.web = Gst.ElementFactory.make("webrtcbin")
        self.web.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.web)
        formats = Gst.Caps.from_string(
            "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,packetization-mode=(string)1,"
            "profile-level-id=(string)42e01f,rtcp-fb-nack-pli=(boolean)true,rtcp-fb-nack=(boolean)true")
        self.web.emit("add-transceiver", GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY, formats)
        self.web.connect("on-negotiation-needed", self.offer)
        self.web.connect("notify::ice-gathering-state", lambda *_: GLib.idle_add(self.post))
        self.web.connect("pad-added", self.show)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", lambda _, message: self.fail(message.parse_error()[0].message))

    def fail(self, why):
        tell(error=str(why))
        self.loop.quit()

    def offer(self, _):
        def made(promise):
            reply = promise.get_reply()
            offered = reply.get_value("offer")
            self.web.emit("set-local-description", offered, None)
        self.web.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def post(self):
        """Once its addresses are all known: webrtcbin has no other way to tell that they are."""
        if self.is_posted or self.web.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return False
        self.is_posted = True
        offered = self.web.get_property("local-description").sdp.as_text()
        answer = ask("POST", url, offered.encode(), **{"Content-Type": "application/sdp"})
        text = answer.read().decode()
        tell(posted=answer.status)
        if answer.status != 201:
            self.fail(text[:300])
            return False
        self.session = urllib.parse.urljoin(url, answer.headers["Location"])
        _, message = GstSdp.SDPMessage.new_from_text(text)
        self.web.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(
            GstWebRTC.WebRTCSDPType.ANSWER, message), None)
        return False

    def show(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        part = Gst.parse_bin_from_description(
            "rtph264depay ! h264parse ! openh264dec ! videoconvert ! video/x-raw,format=I420 ! "
            "appsink name=sink emit-signals=true sync=false max-buffers=60", True)
        self.pipeline.add(part)
        part.get_by_name("sink").connect("new-sample", self.picture)
        part.sync_state_with_parent()
        pad.link(part.get_static_pad("sink"))

    def picture(self, sink):
        sample = sink.emit("pull-sample")
        shape = sample.get_caps().get_structure(0)
        width, height = shape.get_value("width"), shape.get_value("height")
        buffer = sample.get_buffer()
        found = pattern.read(buffer.extract_dup(0, buffer.get_size()), width, height, (width + 3) // 4 * 4)
        tell(**({"number": found[0], "milliseconds": found[1]} if found else {"width": width, "height": height}))
        self.seen += 1
        if self.seen == count:
            tell(done=self.seen)
            GLib.idle_add(self.loop.quit)
        return Gst.FlowReturn.OK

    def run(self):
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        if self.session:
            tell(ended=ask("DELETE", self.session).status)
        self.pipeline.set_state(Gst.State.NULL)


Gst.init(None)
Viewer().run()
