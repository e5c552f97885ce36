"""Drives a headless browser: Chromium by its DevTools protocol, Firefox by WebDriver BiDi; and serves it pages.

Debian has no driver program for Firefox, and both protocols are JSON over a WebSocket: the `websockets` package is
all that is needed. It and the published SIP applications are fetched from PyPI when a test first wants them, into
`.build/peers`, and never committed.
"""

import base64
import contextlib
import fcntl
import functools
import glob
import http.server
import json
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request
import warnings
import zipfile

import bed

CACHE = os.environ.get("VESTIBULE_PEERS", os.path.join(bed.ROOT, ".build/peers"))
KINDS = {"chromium": "chromium", "firefox": "firefox-esr"}
NO_REGISTRY = "no public registry"

# In a page: how long it took from the answer that a connection applied last to its first packet of media, by kind of media,
# in `arrivals`. Chromium counts anew every 50 ms only, so the truth may be so much better.
ARRIVALS = """
window.arrivals = {};
const applyDescription = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = async function (description) {
  await applyDescription.call(this, description);
  if (description.type !== 'answer') return;
  const applied = performance.now();
  const waited = new Set(this.getTransceivers().filter(one => /recv/.test(one.currentDirection)).map(one => one.receiver.track.kind));
  const look = async () => {
    for (const report of (await this.getStats()).values())
      if (report.type === 'inbound-rtp' && report.packetsReceived > 0 && waited.delete(report.kind))
        arrivals[report.kind] = performance.now() - applied;
    if (waited.size && performance.now() - applied < 5000) setTimeout(look, 10);
  };
  look();
};
"""


def pip(*words):
    if subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, timeout=300).returncode != 0:
        raise unittest.SkipTest(NO_REGISTRY)


@contextlib.contextmanager
def made(name):
    """A folder of that name below the cache, and whether it is to be filled: modules run side by side, one of them fills it,
    and what is in use is never written to."""
    folder = os.path.join(CACHE, name)
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(folder):
            yield folder, False
            return
        shutil.rmtree(folder + ".new", ignore_errors=True)
        yield folder + ".new", True
        os.rename(folder + ".new", folder)


def fetched(requirement, pattern):
    """The first file that matches `pattern` in the wheel of `requirement`, downloaded if it is not here yet."""
    name = requirement.replace("==", "-")
    with made(name) as (folder, is_new):
        if is_new:
            pip("download", "-q", "--no-deps", "--only-binary", ":all:", "-d", folder, requirement)
            for wheel in glob.glob(os.path.join(folder, "*.whl")):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(folder)
    return glob.glob(os.path.join(CACHE, name, pattern), recursive=True)[0]


@functools.cache
def websockets():
    """The `websockets` package, which is pure Python where its speed-ups do not fit."""
    root = os.path.dirname(os.path.dirname(fetched("websockets==15.0.1", "websockets/version.py")))
    if root not in sys.path:
        sys.path.insert(0, root)
    warnings.simplefilter("ignore")
    import websockets.sync.client
    return websockets


@functools.cache
def aiortc():
    """Puts aiortc, with what it builds upon, where Python finds it."""
    name = "aiortc-1.16.0"
    with made(name) as (folder, is_new):
        if is_new:
            pip("install", "-q", "--only-binary", ":all:", "--target", folder, "aiortc==1.16.0")
    folder = os.path.join(CACHE, name)
    if folder not in sys.path:
        sys.path.append(folder)


class Pages:
    """A web server for test pages, on an origin of its own."""

    def __init__(self, files):
        self.folder = tempfile.mkdtemp(prefix="vestibule-pages.")
        for name, source in files.items():
            path = os.path.join(self.folder, name)
            if os.path.exists(source):
                shutil.copy(source, path)
            else:
                with open(path, "w") as file:
                    file.write(source)

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *words):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def server_bind(self):
                # HTTPServer's own asks for the host's name, which may take seconds without a resolver.
                socketserver.TCPServer.server_bind(self)
                self.server_name, self.server_port = self.server_address[:2]

        self.server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=self.folder))
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)


FIREFOX = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.peerconnection.ice.loopback": True,
    "media.autoplay.default": 0,
    "media.gmp-manager.updateEnabled": False,
    "network.websocket.allowInsecureFromHTTPS": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "app.update.enabled": False,
    "remote.active-protocols": 1,
}


class Browser:
    """One headless browser with a profile of its own, for somebody who reads `language`."""

    def __init__(self, kind, language="en-US"):
        program = shutil.which(KINDS[kind])
        if not program:
            raise AssertionError(f"{KINDS[kind]} is not installed")
        library = websockets()
        self.kind, self.calls, self.log, self.loaded = kind, 0, [], set()
        self.folder = tempfile.mkdtemp(prefix="vestibule-browser.")
        port = bed.free_port(kind=socket.SOCK_STREAM)
        if kind == "chromium":
            command = [
                program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                f"--user-data-dir={self.folder}", f"--remote-debugging-port={port}", "--remote-allow-origins=*",
                "--ignore-certificate-errors", "--autoplay-policy=no-user-gesture-required",
                "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                "--disable-background-networking", "--disable-component-update",
                # A page that is left is kept, with its connections, until something is sent to it: see README.md.
                "--disable-features=WebRtcHideLocalIpsWithMdns,MediaRouter,BackForwardCache",
                f"--accept-lang={language}", "about:blank"]
        else:
            with open(os.path.join(self.folder, "user.js"), "w") as file:
                for key, value in {**FIREFOX, "intl.accept_languages": language}.items():
                    file.write(f"user_pref({json.dumps(key)}, {json.dumps(value)});\n")
            command = [program, "--headless", "--no-remote", "--profile", self.folder,
                       f"--remote-debugging-port={port}", "about:blank"]
        self.output = open(os.path.join(self.folder, "output"), "wb")
        self.process = subprocess.Popen(
            command, stdout=self.output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "HOME": self.folder, "DBUS_SESSION_BUS_ADDRESS": "disabled:"})
        try:
            address = bed.wait_for(f"{kind} starts", lambda: self.address(port), 60)
            self.socket = library.sync.client.connect(address, max_size=None, origin=None, open_timeout=30)
            if kind == "chromium":
                self.call("Runtime.enable")
                self.call("Page.enable")
                self.call("Page.setLifecycleEventsEnabled", enabled=True)
            else:
                self.call("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
                self.call("session.subscribe", events=["log.entryAdded"])
                # The tab that it began with is not in front: it takes keys, but presses no button by them.
                self.context = self.call("browsingContext.create", type="tab")["context"]
        except BaseException:
            self.kill()
            raise

    def address(self, port):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.kind} ended with {self.process.returncode}")
        try:
            if self.kind == "firefox":
                socket.create_connection(("127.0.0.1", port), 1).close()
                return f"ws://127.0.0.1:{port}/session"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=2) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            return pages[0]["webSocketDebuggerUrl"] if pages else None
        except OSError:
            return None

    def call(self, method, seconds=60, **parameters):
        self.calls += 1
        wanted = self.calls
        self.socket.send(json.dumps({"id": wanted, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=seconds))
            if message.get("id") == wanted:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message.get("result")
            news = message.get("params", {})
            if message.get("method") == "Page.lifecycleEvent" and news["name"] == "load":
                self.loaded.add(news["loaderId"])
            elif message.get("method") == "Runtime.consoleAPICalled":
                self.log.append(" ".join(str(word.get("value", word.get("description"))) for word in news["args"]))
            elif message.get("method") == "log.entryAdded":
                self.log.append(str(news.get("text")))

    def open(self, url):
        if self.kind == "firefox":
            self.call("browsingContext.navigate", context=self.context, url=url, wait="complete")
            return
        # The error page too is "complete": the navigation's own load event is what counts.
        result = self.call("Page.navigate", url=url)
        if result.get("errorText"):
            raise AssertionError(f"{url}: {result['errorText']}")
        bed.wait_for(f"{url} loads", lambda: self.run("return 1") and result["loaderId"] in self.loaded, 30)

    def run(self, body, seconds=60):
        """Runs the body of an async function in the page; its value comes back."""
        text = "(async () => JSON.stringify(await (async () => {" + body + "\n})()))()"
        if self.kind == "firefox":
            result = self.call("script.evaluate", seconds, expression=text, target={"context": self.context},
                               awaitPromise=True, userActivation=True)
            if result["type"] != "success":
                raise AssertionError(f"in the page: {json.dumps(result)[:1000]}")
        else:
            result = self.call("Runtime.evaluate", seconds, expression=text, awaitPromise=True, userGesture=True,
                               returnByValue=True)
            if "exceptionDetails" in result:
                raise AssertionError(f"in the page: {json.dumps(result['exceptionDetails'])[:1000]}")
        value = result["result"].get("value")
        return json.loads(value) if value else None

    def until(self, what, body, seconds=15):
        """Waits until the body of a function gives something true, and gives it back."""
        return bed.wait_for(f"in {self.kind}: {what}", lambda: self.run(body), seconds)

    def resize(self, width, height):
        if self.kind == "firefox":
            self.call("browsingContext.setViewport", context=self.context, viewport={"width": width, "height": height})
        else:
            self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def photograph(self, path):
        """Writes what is seen to a PNG file."""
        if self.kind == "firefox":
            data = self.call("browsingContext.captureScreenshot", context=self.context)["data"]
        else:
            data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def press(self, key):
        """Presses and releases a key, as fingers do: `Tab`, `Enter`, `Escape` or a character."""
        if self.kind == "firefox":
            value = {"Tab": "\uE004", "Enter": "\uE007", "Escape": "\uE00C"}.get(key, key)
            self.call("input.performActions", context=self.context, actions=[
                {"type": "key", "id": "keys", "actions": [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]}])
            return
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}.get(key, 0)
        text = {"text": "\r"} if key == "Enter" else {"text": key} if len(key) == 1 else {}
        for kind in ["keyDown", "keyUp"]:
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key if len(key) > 1 else "", windowsVirtualKeyCode=code,
                      **(text if kind == "keyDown" else {}))

    def kill(self):
        """Ends it at once, as a crash would: the group that it began, and nothing else."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)
