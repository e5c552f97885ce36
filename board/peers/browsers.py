"""A published SIP application (SIP.js, as Odoo ships it) registers in real browsers and is rung by a door station."""

import time

import bed
import browser
from bed import Gateway, Stage, wait_for

STATION = "127.0.0.10"

PAGE = """<!doctype html><meta charset="utf-8"><title>test</title><script src="sip.js"></script>
<script>
window.calls = []; window.news = [];
window.connect = async (server, name, password, options = {}) => {
  const ua = new SIP.UserAgent({
    uri: SIP.UserAgent.makeURI(`sip:${name}@vestibule.test`), authorizationUsername: name,
    authorizationPassword: password, logBuiltinEnabled: false,
    transportOptions: { server, ...(options.transport || {}) },
    delegate: {
      onInvite: call => { window.calls.push(call); call.stateChange.addListener(state => news.push('call ' + state)); },
      onDisconnect: error => news.push('disconnected ' + (error ? 'by failure' : 'in order')),
    },
  });
  window.ua = ua;
  await ua.start();
  window.registerer = new SIP.Registerer(ua, options.registerer || {});
  registerer.stateChange.addListener(state => news.push(state));
};
window.enter = () => new Promise(done => registerer.register({ requestDelegate: {
  onAccept: answer => done({ status: answer.message.statusCode, contacts: answer.message.getHeaders('contact') }),
  onReject: answer => done({ status: answer.message.statusCode }),
} }));
</script>"""


def directory():
    """Unit 401 with two browsers and a panel; a guard who may use anything."""
    building = bed.building()
    building["units"][0]["accounts"] = [
        {"username": "web401", "kind": "browser"},
        {"username": "web401b", "kind": "browser"},
        {"username": "panel401", "kind": "panel"},
    ]
    return building


class Registering:
    """A browser with such a page, and the gateway that it registers with; `kind` says which browser."""

    page, media = PAGE, {}

    @classmethod
    def setUpClass(cls):
        application = browser.fetched("odoo-addon-voip-oca==19.0.1.0.2", "**/voip_oca/static/lib/sip.js")
        browser.websockets()
        cls.pages = browser.Pages({"index.html": cls.page, "sip.js": application})
        cls.addClassCleanup(cls.pages.close)
        cls.share(Gateway(directory(), config={
            "http": {"tls": ["127.0.0.1:0"], "allowedOrigins": [cls.pages.origin]}, "media": cls.media}))
        cls.browser = browser.Browser(cls.kind)
        cls.addClassCleanup(lambda: cls.browser.kill())

    def setUp(self):
        super().setUp()
        # A page that is left closes its connections; the next test begins with nobody registered.
        self.browser.open(self.pages.origin + "/index.html")
        wait_for("nobody is registered", lambda: not self.contacts(), 10)

    def contacts(self, name="web401"):
        return self.gateway.account(name)["contacts"]

    def enter(self, account="web401", page=None, secure=True, path="/ws", secret=None, options="{}"):
        """Registers; the answer's status and contacts."""
        page = page or self.browser
        server = f"wss://127.0.0.1:{self.gateway.https_port}{path}" if secure \
            else f"ws://127.0.0.1:{self.gateway.http_port}{path}"
        page.run(f"await connect({server!r}, {account!r}, {(secret or self.secret(account))!r}, {options}); return true")
        return page.run("return await enter()")

    def another(self, kind):
        """One more browser with the page."""
        other = browser.Browser(kind)
        self.stack.callback(other.kill)
        other.open(self.pages.origin + "/index.html")
        return other


class InBrowser(Registering):
    """What both browsers are shown."""

    def test_it_registers_over_wss(self):
        answer = self.enter()
        self.assertEqual(answer["status"], 200)
        [contact] = self.contacts()
        self.assertEqual(contact["transport"], "wss")
        self.assertIn(".invalid", contact["uri"])
        self.assertIn(".invalid", answer["contacts"][0])
        self.browser.run("await registerer.unregister(); return true")
        wait_for("it is gone", lambda: not self.contacts())

    def test_it_registers_over_ws(self):
        self.assertEqual(self.enter(secure=False, path="/sip")["status"], 200)
        [contact] = self.contacts()
        self.assertEqual(contact["transport"], "ws")

    def test_it_renews_and_stays_one_contact(self):
        self.enter()
        for _ in range(3):
            self.assertEqual(self.browser.run("return await enter()")["status"], 200)
        self.assertEqual(len(self.contacts()), 1)

    def test_outbound_parameters_are_kept(self):
        answer = self.enter(options="{registerer: {instanceId: '8f2d3c1a-1b2c-4d3e-8f4a-5b6c7d8e9f00', regId: 1}}")
        self.assertEqual(answer["status"], 200)
        self.assertIn("reg-id=1", answer["contacts"][0])
        self.assertIn("8f2d3c1a-1b2c-4d3e-8f4a-5b6c7d8e9f00", answer["contacts"][0])

    def test_a_wrong_password_does_not_register(self):
        self.assertEqual(self.enter(secret="nothing like it")["status"], 401)
        self.assertEqual(self.contacts(), [])

    def test_a_page_that_is_left_is_unregistered_at_once(self):
        self.enter()
        self.assertEqual(len(self.contacts()), 1)
        self.browser.open(self.pages.origin + "/index.html?elsewhere")
        wait_for("it is gone", lambda: not self.contacts(), 1)

    def test_keep_alives_are_answered(self):
        # SIP.js ends the connection when no CRLF comes back within its time.
        self.enter(options="{transport: {keepAliveInterval: 1, keepAliveDebounce: 0}}")
        before = time.monotonic()
        wait_for("three keep-alives long", lambda: time.monotonic() - before > 3.5)
        self.assertNotIn("disconnected by failure", self.browser.run("return news"))
        self.assertEqual(len(self.contacts()), 1)

    def ring(self, scenario, **keys):
        return self.sipp(scenario, STATION, keys={"caller": "401", "target": "401", **keys})

    def test_it_is_rung_and_declines(self):
        self.enter()
        call = self.ring("station_refused", status=603)
        seen = self.browser.until("it rings", """return calls.length && {
            from: calls[0].remoteIdentity.uri.user, name: calls[0].remoteIdentity.displayName,
            state: calls[0].state, type: calls[0].request.getHeader('content-type'), via: calls[0].request.getHeader('via') }""")
        self.assertEqual(seen["from"], "intercom-main")
        self.assertEqual(seen["name"], "Entrance")
        self.assertEqual(seen["type"], "application/sdp")
        self.assertTrue(seen["via"].startswith("SIP/2.0/WSS "))
        self.browser.run("await calls[0].reject({ statusCode: 603 }); return true")
        call.finish()
        self.assertEqual(self.gateway.last_record()["end"], "declined")

    def test_a_visitor_who_leaves_stops_the_ringing(self):
        self.enter()
        call = self.ring("station_cancel")
        self.browser.until("it rings", "return calls.length")
        self.browser.until("it stops", "return news.includes('call Terminated')")
        call.finish()

    def test_a_page_that_is_left_in_mid_ring_ends_its_branch(self):
        self.enter()
        call = self.ring("station_refused", status=480)
        self.browser.until("it rings", "return calls.length")
        began = time.monotonic()
        self.browser.open(self.pages.origin + "/index.html?away")
        call.finish()
        self.assertLess(time.monotonic() - began, 5, "nobody waits for a page that is gone")

    def test_a_killed_browser_is_unregistered_at_once(self):
        own = self.another(self.kind)
        self.assertEqual(self.enter("web401b", own, path="/sip")["status"], 200)
        self.assertEqual(len(self.contacts("web401b")), 1)
        own.kill()
        wait_for("it is gone", lambda: not self.contacts("web401b"), 1)

    def test_pages_of_other_origins_may_not_connect(self):
        foreign = browser.Pages({"index.html": PAGE, "sip.js": ""})
        self.stack.callback(foreign.close)
        self.browser.open(foreign.origin + "/index.html")
        outcome = self.browser.run(f"""return await new Promise(done => {{
            const socket = new WebSocket('wss://127.0.0.1:{self.gateway.https_port}/sip', 'sip');
            socket.onopen = () => done('open'); socket.onclose = event => done(event.code); }})""")
        self.assertEqual(outcome, 1006)
        wait_for("the log names it", lambda: foreign.origin in self.gateway.log())


class Chromium(InBrowser, Stage):
    kind = "chromium"


class Firefox(InBrowser, Stage):
    kind = "firefox"
