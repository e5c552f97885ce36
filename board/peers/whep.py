"""Cameras seen by browsers over WHEP, Chromium and Firefox, and by the requests of MediaMTX's reader: joins at any moment, a
bad network, a relay, new paths, and who may look when. Other players are in `whep_clients`, our own page in `page`.

The test picture tells its number and the time it was drawn, so what is asserted is what was shown: numbers that rise,
none that was damaged. How long the first frame took and how old frames are is printed, not judged on a busy machine,
beyond limits that no player would bear.
"""

import json
import unittest

import browser
import pattern
import whep_gateway
from bed import wait_for
from impairment import Impairment
from relay import Relay
from whep_client import own_address
from whep_gateway import Camera, Watching, middle

# A player in a page: what is written about WHEP, and nothing of ours.
PLAYER = pattern.SCRIPT + browser.ARRIVALS + """
window.look = async (url, token, options = {}) => {
  const one = { numbers: [], ages: [], widths: [], unread: 0, frames: 0, began: performance.now() };
  const peer = one.peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle', ...options.peer });
  const transceiver = peer.addTransceiver('video', { direction: 'recvonly' });
  if (options.codec) transceiver.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs
    .filter(codec => codec.mimeType === 'video/' + options.codec));
  const video = one.video = document.createElement('video');
  video.muted = video.playsInline = video.autoplay = true;
  document.body.append(video);
  const shown = (now, frame) => {
    one.first ??= performance.now() - one.began;
    if (++one.frames === 10) one.tenth = now - one.began;
    if (one.widths.at(-1)?.[0] !== frame.width) one.widths.push([frame.width, Math.round(now - one.began)]);
    const found = readPattern(video);
    if (found) { one.numbers.push(found.number); one.ages.push((Date.now() - found.milliseconds + 86400000) % 86400000); }
    else one.unread++;
    video.requestVideoFrameCallback(shown);
  };
  video.requestVideoFrameCallback(shown);
  peer.ontrack = event => { video.srcObject = new MediaStream([event.track]); video.play(); };
  await peer.setLocalDescription();
  if (options.gather) await new Promise(done => { peer.onicecandidate = event => event.candidate || done(); });
  one.posted = performance.now();
  const reply = await fetch(url, { method: 'POST', body: peer.localDescription.sdp,
    headers: { 'Content-Type': 'application/sdp', Authorization: 'Bearer ' + token } });
  one.status = reply.status;
  const text = one.answer = await reply.text();
  if (reply.status !== 201) { peer.close(); video.remove(); return one; }
  one.location = new URL(reply.headers.get('Location'), url).href;
  one.tag = reply.headers.get('ETag');
  await peer.setRemoteDescription({ type: 'answer', sdp: options.candidate
    ? text.replace(/a=candidate:[^\\r\\n]*/, 'a=' + options.candidate).replace(/a=candidate:(?!1 1 udp 2130706431 )[^\\r\\n]*\\r\\n/g, '') : text });
  one.stats = async () => {
    const found = {};
    for (const report of (await peer.getStats()).values()) {
      if (report.type === 'inbound-rtp' && report.kind === 'video') Object.assign(found, report);
      if (report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded') found.pair = report;
    }
    return found;
  };
  one.end = async () => {
    peer.close(); video.remove();
    return (await fetch(one.location, { method: 'DELETE', headers: { Authorization: 'Bearer ' + token } })).status;
  };
  return one;
};
window.summary = async one => ({ status: one.status, began: one.began, until: performance.now(), first: one.first, tenth: one.tenth, frames: one.frames, unread: one.unread,
  numbers: one.numbers, ages: one.ages, widths: one.widths, stats: one.stats ? await one.stats() : null,
  state: one.peer.connectionState, answer: one.answer });
"""
PAGE = "<!doctype html><title>player</title><body><script src='player.js'></script>"


class InBrowser:
    """What both browsers are shown; `kind` says which."""

    @classmethod
    def setUpClass(cls):
        browser.websockets()
        cls.pages = browser.Pages({"index.html": PAGE, "player.js": PLAYER})
        cls.addClassCleanup(cls.pages.close)
        cls.begin(http={"allowedOrigins": [cls.pages.origin]})
        cls.browser = browser.Browser(cls.kind)
        cls.addClassCleanup(cls.browser.kill)

    def setUp(self):
        super().setUp()
        self.browser.open(self.pages.origin + "/index.html")

    def look(self, camera="hall", token=None, name="one", **options):
        """Posts an offer; the status. What is seen is kept in the page under `name`."""
        token = token or self.house.token(camera)
        return self.browser.run(
            f"window.{name} = await look({self.house.whep(camera)!r}, {token!r}, {json.dumps(options)}); return {name}.status")

    def seen(self, name="one"):
        return self.browser.run(f"return await summary({name})")

    def sees(self, count, seconds=20, name="one"):
        """So many frames, and what there is to say of them."""
        try:
            self.browser.until(f"{count} frames", f"return window.{name}.frames >= {count}", seconds)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{json.dumps(self.seen(name))[:3000]}\n{self.house.gateway.log()[-2000:]}") from None
        return self.seen(name)

    def fluent(self, seen, most_unread=1):
        # The very first frame may be called before it is drawn. A page that is late reads the same frame for two: its
        # canvas gets what is shown by then.
        numbers = seen["numbers"]
        self.assertEqual(numbers, sorted(numbers), "the numbers fall")
        self.assertGreater(len(set(numbers)), len(numbers) * 0.8, "the picture stands")
        self.assertLessEqual(seen["unread"], most_unread, "frames whose blocks could not be read")

    def arrived(self):
        """How long the first packet of the picture took from the answer, and that it did not take long."""
        took = self.browser.run("return arrivals.video")
        self.assertLess(took, 1000, "the aim is 300 ms, on a machine that does nothing else")
        return f"{took:.0f} ms from the answer to the first packet"

    def undisturbed(self, seen):
        """Nothing had to be asked for again, and only a machine that is busy elsewhere made it stand a little."""
        stats = seen["stats"]
        self.assertEqual(stats.get("pliCount", 0), 0, "key pictures were asked for")
        self.assertEqual(stats.get("packetsLost", 0), 0)
        watched = (seen["until"] - seen["began"]) / 1000
        self.assertLessEqual(stats.get("totalFreezesDuration", 0), 1 + watched * 0.3,
                             f"{stats.get('freezeCount')} freezes in {watched:.0f} s")

    def impaired(self, camera="hall", **how):
        """A look through a bad network."""
        # The first answer tells where the gateway's media lives.
        self.assertEqual(self.look(camera, name="probe"), 201)
        where = Impairment.server_of(self.browser.run("return probe.answer"))
        self.browser.run("return await probe.end()")
        network = Impairment(where, **how)
        self.stack.callback(network.close)
        self.assertEqual(self.look(camera, candidate=network.candidate()), 201)
        return network

    def plays_h264(self):
        return self.browser.run(
            "return RTCRtpReceiver.getCapabilities('video').codecs.some(codec => codec.mimeType === 'video/H264')")


class Chromium(InBrowser, Watching):
    kind = "chromium"

    def test_the_picture_comes_at_once_and_flows(self):
        self.assertEqual(self.look(), 201)
        seen = self.sees(100)
        self.fluent(seen)
        stats = seen["stats"]
        print(f"chromium: {self.arrived()}, first frame after {seen['first']:.0f} ms, age of frames {middle(seen['ages'])} ms, "
              f"{stats['framesDecoded']} decoded, {stats.get('freezeCount')} freezes", flush=True)
        self.assertGreaterEqual(stats["framesDecoded"], 100)
        self.undisturbed(seen)
        self.assertLess(seen["first"], 3000)
        missing = seen["numbers"][-1] - seen["numbers"][0] + 1 - len(seen["numbers"])
        self.assertLess(missing, 10, "frames that were never shown")
        self.assertEqual(self.browser.run("return await one.end()"), 200)

    def test_who_joins_at_any_moment_sees_at_once(self):
        self.assertEqual(self.look(name="first"), 201)
        self.sees(30, name="first")
        delays = []
        for turn in range(8):
            # A few frames later each time: every place within a group of pictures.
            at = self.seen("first")["frames"]
            self.browser.until("the next moment", f"return first.frames >= {at + 3 + turn * 2}")
            self.assertEqual(self.look(), 201)
            seen = self.sees(15)
            newest = self.seen("first")["numbers"][-1]
            self.fluent(seen)
            self.undisturbed(seen)
            self.assertLess(newest - seen["numbers"][-1], 12, "it stays behind")
            delays.append(seen["first"])
            self.assertEqual(self.browser.run("return await one.end()"), 200)
        print("chromium: joins after " + ", ".join(f"{delay:.0f}" for delay in delays) + " ms", flush=True)
        self.assertLess(middle(delays), 1500)
        first = self.seen("first")
        self.fluent(first)
        # Who watches is not disturbed by who comes.
        self.undisturbed(first)

    def test_several_watch_and_one_that_leaves_takes_nothing_along(self):
        names = ["a", "b", "c", "d"]
        for name in names:
            self.assertEqual(self.look(name=name), 201)
        for name in names:
            self.fluent(self.sees(30, name=name))
        self.assertEqual(self.browser.run("return await b.end()"), 200)
        at = self.seen("a")["frames"]
        for name in ["a", "c", "d"]:
            self.fluent(self.sees(at + 30, name=name))

    def test_new_paths_are_found_by_a_patch_and_the_picture_flows_on(self):
        self.assertEqual(self.look(), 201)
        self.sees(20)
        told = self.browser.run(f"""
            await one.peer.setLocalDescription(await one.peer.createOffer({{ iceRestart: true }}));
            const sdp = one.peer.localDescription.sdp, line = name => sdp.match(new RegExp('a=' + name + ':[^\\r\\n]*'))[0];
            const before = one.peer.remoteDescription.sdp;
            const reply = await fetch(one.location, {{ method: 'PATCH', headers: {{ 'If-Match': '*',
              'Content-Type': 'application/trickle-ice-sdpfrag', Authorization: 'Bearer {self.house.token("hall")}' }},
              body: [line('ice-ufrag'), line('ice-pwd'), sdp.match(/m=video.*/)[0], line('mid'), ''].join('\\r\\n') }});
            const text = await reply.text(), find = name => text.match(new RegExp('a=' + name + ':[^\\r\\n]*'))[0];
            const after = before.replace(/a=ice-ufrag:[^\\r\\n]*/g, find('ice-ufrag')).replace(/a=ice-pwd:[^\\r\\n]*/g, find('ice-pwd'));
            await one.peer.setRemoteDescription({{ type: 'answer', sdp: after }});
            return [reply.status, reply.headers.get('ETag') !== one.tag && Boolean(reply.headers.get('ETag')), before !== after]""")
        self.assertEqual(told, [200, True, True])
        at = self.seen()["frames"]
        seen = self.sees(at + 50)
        self.fluent(seen)
        self.assertEqual(seen["state"], "connected")
        self.browser.until("by the new names", """for (const report of (await one.peer.getStats()).values())
            if (report.type === 'transport' && report.iceLocalUsernameFragment
              === one.peer.localDescription.sdp.match(/ice-ufrag:(\\S+)/)[1]) return report.selectedCandidatePairChanges > 1;""")

    def test_loss_is_repaired(self):
        network = self.impaired(loss=0.03, delay=0.02)
        seen = self.sees(200, 40)
        stats = seen["stats"]
        print(f"chromium, 3 % loss: {network.dropped} datagrams lost, {stats.get('nackCount')} nacks, "
              f"{stats.get('retransmittedPacketsReceived')} came again, {stats.get('pliCount')} key frames asked, "
              f"{stats['freezeCount']} freezes, age {middle(seen['ages'])} ms", flush=True)
        self.fluent(seen, most_unread=2)
        self.assertGreater(network.dropped, 0)
        self.assertGreater(stats["nackCount"], 0)
        self.assertGreater(stats.get("retransmittedPacketsReceived", 0), 0)
        self.assertLess(stats["freezeCount"], 8)

    def test_jitter_and_reordering_are_borne(self):
        network = self.impaired(delay=0.01, jitter=0.015, reorder=0.05)
        seen = self.sees(150, 40)
        print(f"chromium, 15 ms of jitter, 5 % out of order: {seen['stats']['freezeCount']} freezes, "
              f"age {middle(seen['ages'])} ms", flush=True)
        self.fluent(seen, most_unread=2)
        self.assertLess(seen["stats"]["freezeCount"], 4)
        self.assertGreater(network.passed, 300)

    def test_a_network_that_breaks_for_two_seconds_comes_back(self):
        network = self.impaired(delay=0.01)
        self.sees(40)
        network.loss = 1.0
        dropped = network.dropped
        wait_for("much is lost", lambda: network.dropped > dropped + 60, 10)
        network.loss = 0.0
        at = self.seen()["frames"]
        seen = self.sees(at + 60, 20)
        self.fluent(seen, most_unread=2)

    def test_it_goes_through_a_relay(self):
        relay = Relay(own_address(), self.house.gateway.folder)
        self.stack.callback(relay.close)
        self.assertEqual(self.look(gather=True, peer={"iceTransportPolicy": "relay", "iceServers": [relay.server()]}), 201)
        seen = self.sees(50)
        self.fluent(seen)
        kind = self.browser.run("""const all = await one.peer.getStats(); for (const report of all.values())
            if (report.type === 'candidate-pair' && report.nominated && report.state === 'succeeded')
              return all.get(report.localCandidateId).candidateType; return null""")
        self.assertEqual(kind, "relay")

    def test_what_mediamtx_players_ask_is_answered(self):
        # The requests of MediaMTX's reader.js in their order: OPTIONS with the token, an offer with a data channel and
        # codecs that browsers do not name themselves, candidates one by one with a star and without a token, DELETE likewise.
        told = self.browser.run(f"""
            const url = {self.house.whep("hall")!r}, authorization = {{ Authorization: 'Bearer {self.house.token("hall")}' }};
            const seen = {{ patches: [] }};
            const asked = await fetch(url, {{ method: 'OPTIONS', headers: authorization }});
            seen.options = asked.status; seen.link = asked.headers.get('Link');
            const peer = window.mtx = new RTCPeerConnection({{ iceServers: [], sdpSemantics: 'unified-plan' }});
            peer.addTransceiver('video', {{ direction: 'recvonly' }}); peer.addTransceiver('audio', {{ direction: 'recvonly' }});
            peer.createDataChannel('');
            const queued = []; let session = null, offered = null;
            const send = candidates => fetch(session, {{ method: 'PATCH',
              headers: {{ 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': '*' }},
              body: 'a=ice-ufrag:' + offered.match(/ice-ufrag:(\\S+)/)[1] + '\\r\\na=ice-pwd:' + offered.match(/ice-pwd:(\\S+)/)[1] + '\\r\\n'
                + candidates.map(one => 'm=' + offered.split('m=')[1 + one.sdpMLineIndex].split('\\r\\n')[0] + '\\r\\na=mid:'
                + one.sdpMLineIndex + '\\r\\na=' + one.candidate + '\\r\\n').join('') }}).then(reply => seen.patches.push(reply.status));
            peer.onicecandidate = event => {{ if (event.candidate) session ? send([event.candidate]) : queued.push(event.candidate); }};
            peer.ontrack = event => {{ if (event.track.kind === 'video') {{ const video = document.createElement('video'); video.muted = true;
              video.srcObject = event.streams[0]; document.body.append(video); video.play(); window.mtxVideo = video; }} }};
            const offer = await peer.createOffer();
            // L16 and stereo G.711 put behind the audio line's own formats, stereo asked of Opus.
            offered = offer.sdp.replace(/(m=audio [^\\r\\n]*)/, '$1 30 31').replace(/(a=mid:1\\r\\n)/,
              '$1a=rtpmap:30 PCMU/8000/2\\r\\na=rtpmap:31 L16/48000/2\\r\\na=rtcp-fb:31 transport-cc\\r\\n')
              .replace(/(a=fmtp:111 [^\\r\\n]*)/, '$1;stereo=1;sprop-stereo=1');
            await peer.setLocalDescription(offer);
            const reply = await fetch(url, {{ method: 'POST', headers: {{ ...authorization, 'Content-Type': 'application/sdp' }}, body: offered }});
            seen.post = reply.status; session = new URL(reply.headers.get('location'), url).toString();
            window.mtxSession = session;
            const text = await reply.text();
            await peer.setRemoteDescription(new RTCSessionDescription({{ type: 'answer', sdp: text }}));
            if (queued.length) await send(queued);
            return seen""")
        self.assertEqual((told["options"] // 100, told["post"], set(told["patches"]) - {204}), (2, 201, set()))
        found = self.browser.until("the picture", "return window.mtxVideo && readPattern(mtxVideo)")
        self.browser.until("it moves", f"const now = readPattern(mtxVideo); return now && now.number > {found['number']} + 20")
        self.assertEqual(self.browser.run("return (await fetch(mtxSession, { method: 'DELETE' })).status"), 200)
        self.browser.until("it has ended", "return ['failed', 'closed', 'disconnected'].includes(mtx.connectionState)", 10)

    def test_who_may_not_look_sees_nothing(self):
        self.assertEqual(self.look(token="0" * 32), 401)
        # Neither somebody else's camera nor one's own before it rings.
        self.assertEqual(self.house.view("entrance", "web402")[0], 403)
        self.assertEqual(self.house.view("entrance", "web401")[0], 403)
        self.assertIn(self.look("entrance", self.house.token("hall")), (401, 403))
        self.assertEqual(self.house.view("nowhere")[0], 403)

    def test_a_ring_shows_its_door_and_only_while_it_rings(self):
        self.panel()
        self.ring(after=15000)
        token = wait_for("the view of the ring", lambda: self.house.view("entrance")[1])
        self.assertEqual(self.house.view("entrance", "web402")[0], 403, "the neighbour's device")
        self.assertEqual(self.look("entrance", token), 201)
        self.fluent(self.sees(40))
        self.hang_up_all()
        self.browser.until("the picture ends with the ring",
                           "return ['failed', 'closed', 'disconnected'].includes(one.peer.connectionState)", 12)
        self.assertIn(self.look("entrance", token), (401, 403))

    def test_a_browser_without_h264_gets_vp8(self):
        self.assertEqual(self.look(codec="VP8"), 201)
        seen = self.sees(40)
        self.fluent(seen, most_unread=2)
        self.assertIn("VP8/90000", seen["answer"])
        self.assertNotIn("H264", seen["answer"])
        self.assertGreater(seen["stats"]["framesDecoded"], 30)

    def test_a_camera_that_is_not_there_says_so(self):
        self.assertEqual(self.look("dark"), 409)
        told = json.loads(self.seen()["answer"])
        self.assertEqual(told["status"], 409)
        self.assertTrue(told["title"])


class Firefox(InBrowser, Watching):
    kind = "firefox"

    def test_the_picture_comes_in_what_firefox_plays(self):
        # Without its plugin, as here, that is VP8.
        self.assertEqual(self.look(), 201)
        seen = self.sees(60, 30)
        self.fluent(seen, most_unread=2)
        print(f"firefox: {self.arrived()}, first frame after {seen['first']:.0f} ms, age of frames {middle(seen['ages'])} ms", flush=True)
        self.assertIn("H264/90000" if self.plays_h264() else "VP8/90000", seen["answer"])
        self.assertGreater(seen["stats"]["framesDecoded"], 50)
        self.assertEqual(self.browser.run("return await one.end()"), 200)

    def test_vp8_is_what_comes_where_nothing_else_is_offered(self):
        self.assertEqual(self.look(codec="VP8"), 201)
        seen = self.sees(40, 30)
        self.fluent(seen, most_unread=2)
        self.assertIn("VP8/90000", seen["answer"])
        self.assertNotIn("H264", seen["answer"])

    def test_who_may_not_look_sees_nothing(self):
        self.assertEqual(self.look(token="0" * 32), 401)


class NetworkCamera(InBrowser, Watching):
    """A camera with a key picture every four seconds, whose pictures nobody can ask for."""

    kind = "chromium"

    @classmethod
    def setUpClass(cls):
        cls.camera = Camera(size=[640, 360], profile="baseline", deaf=True,
                            encoder="tune=zerolatency speed-preset=ultrafast key-int-max=100 sliced-threads=false")
        cls.addClassCleanup(cls.camera.close)
        cls.steps = Camera(size=[640, 360], bitrate=1500, small=[320, 180, 200])
        cls.addClassCleanup(cls.steps.close)
        # A key picture a second, which is ten pictures.
        cls.slow = Camera(numbers=True, rate=10, deaf=True,
                          encoder="tune=zerolatency sliced-threads=false key-int-max=10 option-string=scenecut=0 bframes=0")
        cls.addClassCleanup(cls.slow.close)
        building = whep_gateway.directory()
        building["stations"] += [
            {"username": name, "name": name, "door": "entrance", "camera": name} for name in ("street", "lane", "yard")]
        building["cameras"] += [
            {"id": "street", "source": cls.camera.url, "view": "always"},
            {"id": "yard", "source": cls.slow.url, "view": "always"},
            {"id": "lane", "source": cls.steps.url, "substream": cls.steps.small, "view": "always"}]
        browser.websockets()
        cls.pages = browser.Pages({"index.html": PAGE, "player.js": PLAYER})
        cls.addClassCleanup(cls.pages.close)
        cls.begin(building, http={"allowedOrigins": [cls.pages.origin]})
        cls.browser = browser.Browser(cls.kind)
        cls.addClassCleanup(cls.browser.kill)

    def test_who_joins_between_two_key_pictures_sees_at_once(self):
        wait_for("the camera is there", lambda: self.look("street", name="first") == 201, 20)
        self.sees(30, name="first")
        delays = []
        for turn in range(6):
            at = self.seen("first")["frames"]
            self.browser.until("the next moment", f"return first.frames >= {at + 7 + turn * 5}")
            self.assertEqual(self.look("street"), 201)
            seen = self.sees(30)
            delays.append(seen["first"])
            self.undisturbed(seen)
            self.browser.run("return await one.end()")
        print("network camera: joins after " + ", ".join(f"{delay:.0f}" for delay in delays) + " ms", flush=True)
        self.assertLess(max(delays), 2500, "less than a group of pictures")

    def test_joins_at_every_picture_of_a_group_show_at_once_and_disturb_nobody(self):
        wait_for("the camera is there", lambda: self.look("yard", name="first") == 201, 20)
        self.sees(15, name="first")
        # The first viewer's own counts say where in a group of pictures the camera is.
        # Eight look for a unit at most, so two units do.
        tokens = [self.house.token("yard", account) for account in ("web401", "web402")]
        told = self.browser.run(f"""
            window.joins = []; const tokens = {json.dumps(tokens)};
            const place = async () => {{ const stats = await first.stats(); return [stats.keyFramesDecoded, stats.framesDecoded]; }};
            let [keys] = await place(), base;
            for (let wanted = 0; wanted < 10;) {{
              await new Promise(done => setTimeout(done, 10));
              const [now, frames] = await place();
              if (now > keys) {{ keys = now; base = frames; }}
              if (base === undefined || (frames - base) % 10 !== wanted) continue;
              joins.push(look({self.house.whep("yard")!r}, tokens[wanted % 2]));
              wanted++;
            }}
            window.joins = await Promise.all(joins);
            joins.forEach((one, at) => window['join' + at] = one);
            return joins.map(one => one.status)""")
        self.assertEqual(told, [201] * 10)
        delays = []
        for at in range(10):
            seen = self.sees(12, name=f"join{at}")
            self.fluent(seen)
            self.undisturbed(seen)
            delays.append(seen["first"])
        print("at each picture of a group: " + ", ".join(f"{delay:.0f}" for delay in delays) + " ms", flush=True)
        # Who had to wait for the next key picture would wait half a second in the middle, and connect before that.
        self.assertLess(middle(delays), 600)
        first = self.seen("first")
        self.fluent(first)
        self.undisturbed(first)

    def test_without_h264_the_picture_flows_at_once_between_two_key_pictures(self):
        wait_for("the camera is there", lambda: self.look("street", name="first") == 201, 20)
        self.sees(30, name="first")
        delays = []
        for turn in range(3):
            at = self.seen("first")["frames"]
            self.browser.until("the next moment", f"return first.frames >= {at + 5 + turn * 5}")
            self.assertEqual(self.look("street", codec="VP8"), 201)
            delays.append(self.sees(10)["tenth"])
            self.browser.run("return await one.end()")
        print("network camera in VP8: tenth frame after " + ", ".join(f"{delay:.0f}" for delay in delays) + " ms", flush=True)
        self.assertLess(max(delays), 2500, "less than a group of pictures")

    def test_whose_path_is_too_narrow_sees_the_smaller_stream_and_nobody_else_does(self):
        wait_for("the camera is there", lambda: self.look("lane", name="wide") == 201, 20)
        self.sees(25, name="wide")
        network = self.impaired("lane")
        before = self.sees(75)
        self.assertEqual([width for width, _ in before["widths"]], [640])
        network.rate = 500_000
        self.browser.until("the smaller stream", "return one.widths.at(-1)[0] === 320", 15)
        seen = self.sees(self.seen()["frames"] + 75)
        after = seen["widths"][-1][1] - (before["until"] - before["began"])
        print(f"a camera of 1.5 Mbit/s on a path of 0.5: the smaller stream after {after / 1000:.1f} s, "
              f"{seen['stats']['freezeCount']} freezes, {seen['stats']['pliCount']} key frames asked, "
              f"age {middle(seen['ages'][-50:])} ms", flush=True)
        self.fluent(seen)
        self.assertEqual([width for width, _ in seen["widths"]], [640, 320])
        self.assertLess(after, 12_000)
        self.assertLess(middle(seen["ages"][-50:]), 1500, "it has caught up")
        wide = self.seen("wide")
        self.fluent(wide)
        self.undisturbed(wide)
        self.assertEqual([width for width, _ in wide["widths"]], [640])

    def test_a_camera_that_comes_back_is_seen_again(self):
        wait_for("the camera is there", lambda: self.look("street") == 201, 20)
        self.sees(20)
        self.camera.restart()
        wait_for("it is seen again", lambda: self.look("street") == 201 and self.sees(20, 10), 40)


if __name__ == "__main__":
    unittest.main(verbosity=2)
