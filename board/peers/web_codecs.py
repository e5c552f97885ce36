"""A browser answers stations that speak one codec only, and the same codec goes through to it: PCMU, G.722, Opus. And what
the record of a call says about how it sounded."""

import browser
from bed import Stage, wait_for
from script import answered, hangs_up, invites, script, talks
from voice import Voice, strength
from web_talks import SOUND, STATION, Scene

# Name in a description, payload type, PyAV's coder, its rate, samples of 20 ms, ticks of 20 ms.
CODECS = {
    "PCMU": ("PCMU/8000", 0, "pcm_mulaw", 8000, 160, 160),
    "G722": ("G722/8000", 9, "g722", 16000, 320, 160),
    "opus": ("opus/48000/2", 111, "libopus", 48000, 960, 960),
}


class Coded(Voice):
    """A phone's voice in one of these codecs."""

    def __init__(self, address, frequency, codec):
        self.codec = codec
        _, number, _, _, _, ticks = CODECS[codec]
        super().__init__(address, frequency, payload_type=number, frames=self.coded(frequency), ticks=ticks)

    def coder(self, mode):
        import av
        _, _, name, rate, _, _ = CODECS[self.codec]
        coder = av.CodecContext.create(name, mode)
        coder.sample_rate, coder.layout, coder.format = rate, "mono", "s16"
        return coder

    def coded(self, frequency):
        import av
        import numpy
        _, _, _, rate, samples, _ = CODECS[self.codec]
        coder, frames = self.coder("w"), []
        for start in range(0, rate, samples):
            times = numpy.arange(start, start + samples)
            wave = (8000 * numpy.sin(2 * numpy.pi * frequency * times / rate)).astype(numpy.int16)
            frame = av.AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            frames += [bytes(packet) for packet in coder.encode(frame)]
        return frames

    def hears(self, frequency):
        import av
        coder, heard = self.coder("r"), []
        for packet in self.packets(self.payload_type)[-75:]:
            for frame in coder.decode(av.Packet(packet[12:])):
                heard += [float(value) for value in frame.to_ndarray()[0]]
        return strength(heard[len(heard) // 3:], frequency, CODECS[self.codec][3])


class Chromium(Scene, Stage):
    kind = "chromium"

    @classmethod
    def setUpClass(cls):
        browser.aiortc()
        super().setUpClass()

    def talk(self, codec):
        """Both are heard by the other in that codec; the legs of the record."""
        name, number, *_ = CODECS[codec]
        self.visitor = Coded(STATION, 700, codec)
        self.stack.callback(self.visitor.close)
        body = (f"v=0\no=- 88 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\nm=audio [media] RTP/AVP {number}\n"
                f"a=rtpmap:{number} {name}\na=ptime:20\na=sendrecv\n")
        call = self.sipp(script(f"station speaks {codec}", invites(body=body), answered(), talks(), hangs_up(2)), STATION,
                         keys={"caller": "gate", "target": "401", "talk": 20000, "media": self.visitor.port})
        self.browser.until("it rings", "return calls.length")
        self.answer(call)
        self.hears_the_visitor()
        wait_for("1,100 Hz is heard at the door", lambda: self.visitor.hears(1100) > 0.8, 8)
        kind = self.browser.run("""const all = await peer().getStats(); for (const report of all.values())
            if (report.type === 'inbound-rtp' && report.kind === 'audio') return all.get(report.codecId).mimeType""")
        self.assertEqual(kind.lower(), f"audio/{codec.lower()}")
        call.end()
        legs = self.gateway.last_record()["legs"]
        return {leg["account"]: leg for leg in legs if leg["account"] in ("web401", "intercom-main")}

    def test_pcmu_goes_through(self):
        legs = self.talk("PCMU")
        self.assertEqual({leg["codec"] for leg in legs.values()}, {"PCMU"}, legs)

    def test_g722_goes_through(self):
        legs = self.talk("G722")
        self.assertEqual({leg["codec"] for leg in legs.values()}, {"G722"}, legs)

    def test_opus_goes_through(self):
        legs = self.talk("opus")
        self.assertEqual({leg["codec"].lower().split("/")[0] for leg in legs.values()}, {"opus"}, legs)

    def test_the_record_says_how_it_sounded(self):
        call = self.ring()
        self.answer(call)
        self.hears_the_visitor()
        self.is_heard_at_the_door()
        def legs():
            [live] = self.gateway.run("calls")
            return {leg["account"]: leg for leg in live["legs"] if leg["state"] == "talking"}
        # It reports every few seconds.
        wait_for("the browser has reported", lambda: legs().get("web401", {}).get("roundTrip") is not None, 15)
        call.end()
        [leg] = [leg for leg in self.gateway.last_record()["legs"] if leg["account"] == "web401"]
        self.assertLess(leg["lost"], 5)
        self.assertLess(leg["jitter"], 100)
        # On a machine that is busy with other things the way is long, and the score says so.
        self.assertTrue(0 <= leg["roundTrip"] < 3000, leg)
        self.assertTrue((3.5 if leg["roundTrip"] < 200 else 1) < leg["mos"] <= 4.41, leg)
