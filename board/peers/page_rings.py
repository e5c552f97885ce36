"""The gateway's own page in real browsers, when things are not as they should be: clocks that differ, impatient fingers,
other devices that are quicker, a gateway that hangs or errs, and a browser that takes the sound away."""

import contextlib
import os
import signal
import ssl
import unittest
import urllib.request

import bed
import browser
from bed import wait_for
from page import REAR, TONE, OnThePage
from whep_gateway import PANEL, STATION, Watching

# A page that others look at: who rings is told by a notification. The worker's come only when the test lets them.
NOTIFIED = """
window.told = []; document.hasFocus = () => false;
window.Notification = class { constructor(title, options) { told.push(this); Object.assign(this, options, { title }); }
  close() { this.isClosed = true; } static permission = 'granted'; };
navigator.serviceWorker.getRegistration = async () => window.worker;
window.makeWorker = () => window.worker = {
  showNotification: (title, options) => new Promise(done => window.letShow = () => { new Notification(title, options); done(); }),
  getNotifications: async () => told.filter(one => !one.isClosed) };
"""
# Answers of the gateway to what the page asks at a path that ends so: they come when the test lets them.
HELD = """
const own = window.fetch;
window.fetch = async (path, options) => {
  const reply = await own(path, options);
  if (String(path).endsWith('%s') && options.method === '%s') await new Promise(done => window.letAnswer = done);
  return reply; };
"""
# What the gateway says to the next so many such questions.
FAULTY = """
const own = window.fetch; window.faults = %d;
window.fetch = async (path, options) => String(path).includes('%s') && window.faults-- > 0
  ? new Response('{"title":"out of order"}', { status: 503 }) : own(path, options);
"""


class Rings(OnThePage):
    """What both browsers are shown."""

    def rear_rings(self, **keys):
        """The station at the rear rings unit 401 too."""
        port = self.register("intercom-rear", REAR)
        return self.sipp("station_registered_call", REAR, port=port, user="intercom-rear", password=self.secret("intercom-rear"),
                         keys={"talk": 300, "caller": "intercom-rear", "target": "401", **keys})

    def answering_panel(self):
        return bed.Stage.panel(self, "panel_answer", "panel401", PANEL)

    def stops(self):
        self.browser.until("it stops", "return !document.getElementById('call').open")

    def says(self, name, words):
        self.browser.until(f"{words!r} is seen", f"""
            const box = document.getElementById('{name}');
            return box.getBoundingClientRect().height > 0 && !box.closest('dialog:not([open])') && box.textContent === {words!r}""")

    # --- ringing ---

    def test_it_rings_whatever_its_clock_says_and_by_the_keyboard_it_is_answered(self):
        visitor, call = self.visited(TONE + "const now = Date.now; Date.now = () => now() + 40 * 365 * 864e5")
        self.browser.press("Enter")
        call.wait_until_received("SIP/2.0 200 OK")
        visitor.send_to(*bed.media_of(call.messages(), "SIP/2.0 200 OK"))
        self.browser.until("it talks", "return state.talk && state.talk.since")
        self.hears_the_visitor()
        self.assertEqual(self.browser.run("return document.activeElement.id"), "caller", "a key held too long does not hang up")
        self.click("hangUp")
        call.finish()

    def test_what_rang_while_it_was_away_does_not_ring_when_it_is_back(self):
        self.enrolled()
        self.ring()
        self.rings()
        self.hang_up_all()
        self.stops()
        self.browser.run("""
            window.rung = []; const own = startRinging; startRinging = call => { rung.push(call); own(call); };
            const wait = pause; pause = () => new Promise(done => window.comeBack = done); state.abort.abort();""")
        self.browser.until("it is away", "return Boolean(window.comeBack)")
        call = self.ring()
        call.end()
        wait_for("nothing rings", lambda: not self.gateway.run("calls"))
        self.browser.run("comeBack()")
        self.browser.until("it is back", "return state.isOnline")
        self.ring()
        self.rings()
        self.assertEqual(self.browser.run("return rung.length"), 1)

    def test_who_declined_is_not_rung_again_by_a_device_that_joins_in_and_has_missed_nothing(self):
        self.enrolled()
        self.panel()
        self.ring()
        self.rings()
        self.click("decline")
        self.stops()
        self.browser.run("""
            window.heard = []; const own = take; take = message => { own(message); heard.push(message); };""")
        request = urllib.request.Request(
            self.house.origin + "/api/v1/events", headers={"Authorization": f"Bearer {self.house.bearer('web401')}"})
        with contextlib.closing(urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=10)):
            self.browser.until("it hears of the other", "return heard.some(one => one.includes('call.ringing'))")
        self.assertFalse(self.browser.run("return document.getElementById('call').open"))
        self.hang_up_all()
        record = self.gateway.last_record()
        self.assertNotIn(record["started"], self.browser.run("""
            await renderMissed(); return [...document.querySelectorAll('#missed time')].map(one => one.dateTime)"""))
        self.assertEqual(self.browser.run("return state.declined.size"), 0)

    def test_a_second_caller_comes_to_the_front_and_is_named(self):
        self.enrolled()
        self.rests()
        self.ring()
        self.rings()
        self.click("openDoor")
        self.says("callSaid", "Entrance is open.")
        self.rear_rings()
        self.says("other", "Rear rings too.")
        self.browser.run("document.getElementById('decline').focus()")
        first = next(call for call in self.gateway.run("calls") if call["from"] == "intercom-main")
        self.gateway.run("calls", "hangup", first["id"])
        self.says("callSaid", "Rear rings")
        self.assertEqual(self.browser.run("""return [document.getElementById('caller').textContent,
            document.getElementById('callSaid').dataset.result ?? null, document.activeElement.id]"""), ["Rear", None, "answer"])

    def test_that_somebody_else_has_answered_is_said_where_it_is_seen(self):
        self.enrolled()
        panel = self.answering_panel()
        call = self.ring("station_call")
        self.rings()
        self.stops()
        self.says("news", "Somebody else has answered.")
        self.accessible()
        call.end()
        panel.finish()

    def test_it_is_told_by_a_notification_that_goes_with_the_call(self):
        self.enrolled()
        self.browser.run(NOTIFIED)
        self.ring()
        self.browser.until("it is told", "return told.length === 1 && told[0].title === 'Entrance rings'")
        self.hang_up_all()
        self.browser.until("that is taken away", "return told[0].isClosed")
        # By way of the worker, as on Android; it shows only when the call is over.
        self.browser.run("told.length = 0; makeWorker()")
        self.ring()
        self.browser.until("it is to be shown", "return Boolean(window.letShow)")
        self.hang_up_all()
        self.stops()
        self.browser.run("letShow()")
        self.browser.until("nothing is left", "return told.length === 1 && told[0].isClosed")

    # --- answering ---

    def test_what_is_hung_up_while_it_connects_is_given_back(self):
        self.enrolled()
        self.browser.run(TONE + HELD % ("/answer", "POST"))
        call = self.ring("station_call_ended", media=9)
        self.rings()
        self.click("answer")
        call.wait_until_received("SIP/2.0 200 OK")
        self.assertEqual(self.text("callState"), "Connecting…")
        self.click("hangUp")
        self.stops()
        self.browser.run("letAnswer()")
        call.finish()
        self.assertFalse(self.browser.run("return document.getElementById('call').open"))

    def test_what_is_hung_up_before_the_microphone_is_lent_is_declined(self):
        self.enrolled()
        self.browser.run("""
            const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
            navigator.mediaDevices.getUserMedia = async wanted => {
              window.lent = await own(wanted);
              await new Promise(done => window.lend = done);
              return lent; };""")
        call = self.ring("station_refused", status=603)
        self.rings()
        self.click("answer")
        self.browser.until("the microphone is asked for", "return Boolean(window.lend)")
        self.click("hangUp")
        self.stops()
        call.finish()
        self.browser.run("lend()")
        self.browser.until("it is given back", "return lent.getTracks().every(one => one.readyState === 'ended')")
        self.assertEqual(self.browser.run("return state.talk"), None)

    def test_an_answer_that_it_cannot_read_is_said_and_hung_up(self):
        self.enrolled()
        self.browser.run(TONE + """
            RTCPeerConnection.prototype.setRemoteDescription = async () => { throw new Error('unreadable'); };""")
        call = self.ring("station_call_ended", media=9)
        self.rings()
        self.click("answer")
        self.stops()
        self.says("news", "The call could not be answered.")
        call.finish()

    def test_why_it_has_no_microphone_is_told_apart(self):
        for fault, words in [("NotFoundError", "There is no microphone here."), ("NotReadableError", "another program may have it")]:
            visitor, call = self.visited(
                f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('no', '{fault}'); }}")
            self.answers(visitor, call)
            self.browser.until("it is said", "return document.getElementById('callSaid').textContent")
            self.assertIn(words, self.text("callSaid"))
            self.click("hangUp")
            call.finish()

    def test_the_name_of_mute_stays_and_its_state_changes(self):
        visitor, call = self.visited()
        self.answers(visitor, call)
        said = "const mute = document.getElementById('mute'); return [mute.textContent, mute.getAttribute('aria-pressed')]"
        self.assertEqual(self.browser.run(said), ["Mute", "false"])
        self.click("mute")
        self.assertEqual(self.browser.run(said), ["Mute", "true"])
        self.click("hangUp")
        call.finish()

    # --- a gateway that hangs or errs ---

    def test_a_gateway_that_hangs_leaves_nobody_before_opening_and_opens_nothing_afterwards(self):
        self.enrolled()
        self.rests()
        os.kill(self.gateway.process.pid, signal.SIGSTOP)
        self.stack.callback(os.kill, self.gateway.process.pid, signal.SIGCONT)
        self.browser.run("""
            document.querySelector('#doors button').click();
            ask('PATCH', 'api/v1/calls/1/answer/1').catch(fault => window.fault = fault.name);""")
        self.assertEqual(self.text("doorSaid"), "Opening…")
        self.browser.until("it is said", "return document.getElementById('doorSaid').dataset.result === 'unknown'", 8)
        self.assertEqual(self.text("doorSaid"), "It is not known whether Entrance opened. Look before you try again.")
        self.accessible()
        self.browser.until("any question is given up", "return window.fault === 'TimeoutError'", 2)
        os.kill(self.gateway.process.pid, signal.SIGCONT)
        # What was tapped lies there still, and comes now.
        attempts = lambda: [(one["result"], one["reason"]) for one in self.gateway.run("events") if one["type"] == "door.attempt"]
        wait_for("it is too old", lambda: attempts()[-1:] == [("refused", "expired")])
        # Whose clock was set meanwhile is asked what it shows.
        self.browser.until("it is back", "return state.isOnline")
        self.browser.run("state.clock -= 864e5; document.querySelector('#doors button').click()")
        self.says("doorSaid", "Entrance is open.")

    def test_a_path_that_stays_lost_is_given_up(self):
        self.enrolled()
        self.browser.run("""
            window.path = { candidates: [], location: 'nowhere', onLost: () => window.isLost = true,
              peer: { connectionState: 'disconnected' } };
            recover(path); path.lostSince -= 21000; recover(path);""")
        self.assertTrue(self.browser.run("return window.isLost"))

    def test_a_gateway_that_errs_when_it_is_asked_who_we_are_is_asked_again(self):
        self.enrolled()
        self.browser.run(FAULTY.replace("window.faults-- > 0", "(window.asked = (window.asked ?? 0) + 1) === 2") % (0, "api/v1/session")
                         + "state.abort.abort();")
        self.browser.until("it is back", "return window.asked > 3 && state.isOnline && state.session.account === 'web401'")
        self.ring()
        self.rings()

    def test_a_link_put_into_the_open_page_is_redeemed_and_kept_while_nobody_answers(self):
        self.enrolled()
        self.gateway.run("revoke", "web401")
        self.browser.until("it is out", "return !document.getElementById('stranger').hidden")
        link = self.gateway.run("enroll", "web401", "--format", "url")["url"]
        self.browser.run(FAULTY % (1, "provision") + f"location.hash = {'#' + link.split('#')[1]!r}")
        self.says("strangerWhy", "The gateway could not be asked. The link is kept: try again in a moment.")
        self.assertEqual(self.browser.run("return location.href"), link)
        self.browser.run("location.hash = ''")
        self.browser.run(f"location.hash = {'#' + link.split('#')[1]!r}")
        self.browser.until("it is enrolled", "return state.isOnline && location.hash === ''")

    # --- what it says of itself ---

    def test_it_says_of_itself_what_is_true(self):
        self.enrolled()
        self.says("onlyOpen", "This page rings only while it is open.")
        self.assertEqual(self.browser.run("return document.getElementById('armText').textContent.includes('screen stays on')"),
                         self.browser.run("return Boolean(navigator.wakeLock)"))
        self.assertFalse(self.browser.run("""
            Object.defineProperty(navigator, 'wakeLock', { value: undefined }); speak();
            return document.getElementById('armText').textContent.includes('screen stays on')"""))
        # A live region that is written to speaks.
        self.assertEqual(self.browser.run("""
            let changes = 0; const observer = new MutationObserver(all => changes += all.length);
            observer.observe(document.getElementById('link'), { childList: true, characterData: true, subtree: true });
            render(); render(); await null; return changes"""), 0)


class Chromium(Rings, Watching):
    kind = "chromium"

    def test_a_browser_that_is_killed_ends_the_call(self):
        self.browser = browser.Browser(self.kind)
        self.stack.callback(self.browser.kill)
        visitor, call = self.visited()
        self.answers(visitor, call)
        self.is_heard_by(visitor)
        self.browser.kill()
        self.assertIn("BYE sip:", call.finish(60))
        self.assertEqual(self.gateway.last_record()["end"], "answered")

    # Firefox without a sound card runs no AudioContext.

    def test_its_ring_is_heard_and_it_asks_for_the_tap_anew_when_the_sound_is_taken_away(self):
        self.enrolled()
        self.browser.run("""
            window.tones = 0; const own = state.audio.createOscillator.bind(state.audio);
            state.audio.createOscillator = () => { tones += 1; return own(); };""")
        self.ring()
        self.rings()
        self.browser.until("it sounds", "return tones >= 6")
        self.hang_up_all()
        self.stops()
        self.browser.run("""
            window.resume = state.audio.resume; state.audio.resume = () => new Promise(() => {}); await state.audio.suspend();""")
        self.browser.until("it asks for the tap", "return !document.getElementById('arm').hidden && !state.isArmed")
        self.browser.run("state.audio.resume = window.resume; document.getElementById('armButton').click()")
        self.browser.until("it sounds again", "return state.audio.state === 'running' && state.isArmed")
        # Suspended for a moment, as when a telephone rings: nobody need do anything.
        self.browser.run("await state.audio.suspend()")
        self.browser.until("it sounds again", "return state.audio.state === 'running' && state.isArmed")

    def test_armed_from_memory_it_keeps_the_screen_on(self):
        self.enrolled()
        self.browser.open("about:blank")
        self.browser.open(self.house.origin + "/")
        self.browser.until("it waits without a tap", "return !document.getElementById('waiting').hidden")
        self.browser.until("the screen stays on", "return state.lock && !state.lock.released")


class Firefox(Rings, Watching):
    kind = "firefox"


if __name__ == "__main__":
    unittest.main(verbosity=2)
