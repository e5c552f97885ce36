"""A browser answers a door station through a published SIP application: sound both ways, keys, the end of the call."""

import json

import browsers
from bed import Stage, media_of, wait_for
from pictures import VIDEO, Camera, video_of
from relay import Relay
from script import answered, hangs_up, invites, script, sdp, talks
from whep_client import own_address

STATION = "127.0.0.10"

# The microphone is a tone, and what the speaker would play is listened to. Firefox without a sound card runs no
# AudioContext: it has a tone of its own (1,000 Hz) for a microphone, and tells the energy of what it hears.
SOUND = """<script>
window.context = null;
const isFirefox = navigator.userAgent.includes('Firefox');
if (!isFirefox) navigator.mediaDevices.getUserMedia = async wanted => {
  if (wanted.video) throw new Error('a camera was asked for');
  context = context || new AudioContext();
  await context.resume();
  const tone = context.createOscillator(); tone.frequency.value = 1100;
  const out = context.createMediaStreamDestination(); tone.connect(out); tone.start();
  return out.stream;
};
window.peer = () => calls[0].sessionDescriptionHandler.peerConnection;
window.listen = () => {
  const stream = new MediaStream(peer().getReceivers().filter(r => r.track.kind === 'audio').map(r => r.track));
  const audio = new Audio(); audio.srcObject = stream; audio.play(); window.audio = audio;
  if (isFirefox) return;
  window.analyser = context.createAnalyser(); analyser.fftSize = 4096;
  context.createMediaStreamSource(stream).connect(analyser);
};
window.pitch = () => {
  const bins = new Uint8Array(analyser.frequencyBinCount); analyser.getByteFrequencyData(bins);
  const top = bins.indexOf(Math.max(...bins));
  return bins[top] > 60 ? top * context.sampleRate / analyser.fftSize : 0;
};
window.energy = async () => {
  for (const report of (await peer().getStats()).values())
    if (report.type === 'inbound-rtp' && report.kind === 'audio')
      return { energy: report.totalAudioEnergy, packets: report.packetsReceived, codec: report.codecId, lost: report.packetsLost };
  return null;
};
</script>"""


class Scene(browsers.Registering):
    """A browser that rings at a station's call, and both their voices."""

    page, media = browsers.PAGE + SOUND, {"webrtcPort": 0}

    def setUp(self):
        super().setUp()
        self.assertEqual(self.enter()["status"], 200)

    def ring(self, scenario="station_call", **keys):
        self.visitor = self.voice(STATION, 700)
        call = self.sipp(scenario, STATION, keys={
            "media": self.visitor.port, "talk": 20000, "caller": "401", "target": "401", **keys})
        self.browser.until("it rings", "return calls.length")
        return call

    def answer(self, call):
        self.browser.run("""await calls[0].accept({ sessionDescriptionHandlerOptions: {
            constraints: { audio: true, video: false } } }); return true""")
        call.wait_until_received("SIP/2.0 200 OK")
        self.visitor.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        try:
            self.browser.until("media is connected", "return peer().connectionState === 'connected'", 10)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.gateway.log()}\n" + self.browser.run(
                "return peer().remoteDescription.sdp + peer().localDescription.sdp + peer().iceConnectionState"))
        self.browser.run("listen(); return true")

    def hears_the_visitor(self):
        if self.kind == "chromium":
            self.browser.until("700 Hz is heard", "return Math.abs(pitch() - 700) < 25 ? pitch() : 0", 10)
        else:
            self.browser.until(
                "something is heard", "const seen = await energy(); return seen && seen.energy > 0.001 && seen.packets > 50", 10)

    def is_heard_at_the_door(self):
        tone = 1100 if self.kind == "chromium" else 1000
        wait_for(f"{tone} Hz is heard at the door", lambda: self.visitor.hears(tone) > 0.8, 8)

    def selected(self):
        """The two candidates of the path that is used: ours, the gateway's."""
        return self.browser.run("""const all = await peer().getStats(); for (const report of all.values())
            if (report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded'
                && report.bytesSent > 0)
              return [all.get(report.localCandidateId), all.get(report.remoteCandidateId)].map(
                one => ({ kind: one.candidateType, protocol: one.protocol, port: one.port })); return null""")


class Talk(Scene):
    """What both browsers are shown."""

    def test_voices_go_both_ways(self):
        call = self.ring()
        self.answer(call)
        self.is_heard_at_the_door()
        self.hears_the_visitor()
        wait_for("more than a second is heard at the door", lambda: len(self.visitor.packets()) > 60)
        self.browser.until("and inside", "return (await energy()).packets > 60")
        call.end()
        self.browser.until("the call ends there too", "return news.includes('call Terminated')")
        record = self.gateway.last_record()
        self.assertEqual(record["end"], "answered")
        [leg] = [leg for leg in record["legs"] if leg["account"] == "web401"]
        self.assertEqual(leg["codec"], "PCMA")
        self.assertGreater(leg["packetsIn"], 50)
        self.assertGreater(leg["packetsOut"], 50)
        self.assertLess(leg["lost"], 5)

    def test_the_station_is_seen(self):
        camera = Camera(STATION, "red")
        self.stack.callback(camera.close)
        call = self.ring(script("station shows", invites(body=sdp(more=VIDEO)), answered(), talks(), hangs_up(2)),
                         caller="gate", video=camera.port, mux="a=rtcp-mux")
        self.answer(call)
        host, port, described = video_of(call.messages(), "SIP/2.0 200 OK")
        # Firefox here has no H.264 without its plugin: then the station's line is refused, and the talk goes on.
        if self.browser.run("return RTCRtpReceiver.getCapabilities('video').codecs.some(one => /h264/i.test(one.mimeType))"):
            self.assertGreater(port, 0, described)
            camera.remote = (host, port)
            self.browser.until("pictures are decoded", """for (const report of (await peer().getStats()).values())
                if (report.type === 'inbound-rtp' && report.kind === 'video' && report.framesDecoded > 20)
                  return report.frameWidth === 320 && report.frameHeight === 240""", 10)
            red, green, blue = self.browser.run("""const video = document.createElement('video');
                video.muted = true; video.srcObject = new MediaStream(peer().getReceivers()
                  .filter(one => one.track.kind === 'video').map(one => one.track));
                await video.play();
                const canvas = new OffscreenCanvas(1, 1).getContext('2d');
                canvas.drawImage(video, 0, 0, 1, 1);
                return Array.from(canvas.getImageData(0, 0, 1, 1).data.slice(0, 3))""")
            self.assertTrue(red > 180 and green < 60 and blue < 60, (red, green, blue))
        else:
            self.assertEqual(port, 0, described)
        self.hears_the_visitor()
        call.end()

    def attempt(self):
        return next(door for door in self.gateway.run("doors") if door["id"] == "entrance")

    def test_a_key_opens_the_door(self):
        self.rests()
        before = self.attempt()["lastAt"]
        call = self.ring()
        self.answer(call)
        self.browser.run("""await calls[0].info({ requestOptions: { body: {
            contentDisposition: 'render', contentType: 'application/dtmf-relay', content: 'Signal=#\\r\\nDuration=160' } } });
            return true""")
        wait_for("the door opens", lambda: self.attempt()["lastAt"] != before and self.attempt()["lastResult"] == "opened", 5)
        call.end()

    def test_a_key_in_the_sound_opens_the_door(self):
        call = self.ring()
        self.answer(call)
        before = self.attempt()["lastAt"]
        self.browser.run("peer().getSenders().find(s => s.dtmf).dtmf.insertDTMF('#', 200, 70); return true")
        wait_for("the door is asked", lambda: self.attempt()["lastAt"] != before, 5)
        call.end()

    def test_talk_goes_on_over_an_ice_restart(self):
        call = self.ring()
        self.answer(call)
        self.hears_the_visitor()
        before = self.browser.run("return peer().localDescription.sdp.match(/ice-ufrag:(\\S+)/)[1]")
        self.browser.run("""await calls[0].invite({ sessionDescriptionHandlerOptions: {
            constraints: { audio: true, video: false }, offerOptions: { iceRestart: true } } }); return true""")
        self.browser.until(
            "it is connected by new words",
            f"return peer().signalingState === 'stable' && peer().connectionState === 'connected' && "
            f"peer().localDescription.sdp.match(/ice-ufrag:(\\S+)/)[1] !== {before!r}", 10)
        heard = len(self.visitor.packets())
        wait_for("the resident is still heard", lambda: len(self.visitor.packets()) > heard + 100, 6)
        seen = self.browser.run("return (await energy()).packets")
        self.browser.until("the visitor is still heard", f"return (await energy()).packets > {seen} + 100", 6)
        call.end()

    def test_talk_goes_through_a_relay(self):
        # The relay lives on this machine's own address, as the gateway's candidates do.
        relay = Relay(own_address(), self.gateway.folder)
        self.stack.callback(relay.close)
        self.browser.run(f"""ua.configuration.sessionDescriptionHandlerFactoryOptions = {{ iceGatheringTimeout: 3000,
            peerConnectionConfiguration: {{ iceTransportPolicy: 'relay', iceServers: [{json.dumps(relay.server())}] }} }};
            return true""")
        call = self.ring()
        self.answer(call)
        self.hears_the_visitor()
        self.is_heard_at_the_door()
        kind = self.browser.run("""const all = await peer().getStats(); for (const report of all.values())
            if (report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded')
              return all.get(report.localCandidateId).candidateType; return null""")
        self.assertEqual(kind, "relay")
        call.end()

    def test_the_resident_hangs_up(self):
        call = self.ring("station_call_ended")
        self.answer(call)
        self.browser.run("await calls[0].bye(); return true")
        call.finish()

    def test_a_browser_that_is_gone_ends_the_call(self):
        call = self.ring("station_call_ended", talk=30000)
        self.answer(call)
        self.browser.open("about:blank")
        call.finish(40)
        self.assertEqual(self.gateway.last_record()["end"], "answered")


class Chromium(Talk, Stage):
    kind = "chromium"

    def test_two_browsers_and_a_panel_ring_together(self):
        other = self.another("firefox")
        self.assertEqual(self.enter("web401b", other, path="/sip")["status"], 200)
        panel = self.panel("panel_cancelled", "panel401", "127.0.0.21", cause=200)
        call = self.ring()
        other.until("it rings there too", "return calls.length")
        self.answer(call)
        self.hears_the_visitor()
        other.until("it stops there", "return news.includes('call Terminated')")
        panel.finish()
        call.end()
        legs = {leg["account"]: leg["state"] for leg in self.gateway.last_record()["legs"]}
        self.assertEqual((legs["web401"], legs["web401b"], legs["panel401"]), ("answered", "cancelled", "cancelled"))


class Firefox(Talk, Stage):
    kind = "firefox"

    # To the gateway one that is killed is like another: of the page it is shown with Chromium.

    def test_a_browser_that_is_killed_ends_the_call(self):
        own = self.another(self.kind)
        self.assertEqual(self.enter("web401b", own)["status"], 200)
        self.browser = own
        call = self.ring("station_call_ended", talk=60000)
        self.answer(call)
        self.is_heard_at_the_door()
        own.kill()
        self.assertIn("BYE sip:", call.finish(60))
        self.assertEqual(self.gateway.last_record()["end"], "answered")
