"""The bed that real peers are tested in: one gateway on loopback addresses, sipp, baresip and linphone around it.

Every host of the building is an address of 127.0.0.0/8, so nothing leaves this machine and no two tests share a
port. Nothing here waits for a fixed time where it can wait for a fact.
"""

import contextlib
import datetime
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from voice import Voice

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DAEMON = os.environ.get("VESTIBULED", os.path.join(ROOT, ".build/release/vestibuled"))
CLI = os.environ.get("VESTIBULE", os.path.join(ROOT, ".build/release/vestibule"))
GATEWAY = "127.0.0.1"


def wait_for(what, condition, seconds=10.0):
    """Waits until `condition()` is true (and gives its value back), or fails naming `what`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def or_close(peer, step):
    """Runs `step`; a peer that it fails for is not left behind, but what it said is."""
    try:
        step()
    except BaseException as failure:
        failure.add_note(peer.text()[-3000:])
        peer.close()
        raise


def free_port(address=GATEWAY, kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def building(camera=None, **changes):
    """The building most tests use: unit 401 with two panels, a mobile; 402 with one; a guard; one trusted station, which
    shows who rings where `camera` is a source."""
    directory = {
        "site": {"id": "lilas", "name": "Les Lilas", "timezone": "Europe/Paris"},
        "building": {"id": "bat-a", "name": "A"},
        "units": [
            {
                "number": "401",
                "name": "Martin",
                "accounts": [
                    {"username": "panel401", "kind": "panel"},
                    {"username": "kitchen401", "kind": "panel"},
                    {"username": "mobile401", "kind": "mobile"},
                ],
                "doors": ["entrance"],
            },
            {
                "number": "402",
                "name": "Durand",
                "accounts": [{"username": "panel402", "kind": "panel"}],
                "doors": ["entrance"],
            },
        ],
        "accounts": [{"username": "guard1", "kind": "guard", "name": "Loge"}],
        "stations": [
            {"username": "intercom-main", "name": "Entrance", "door": "entrance", "address": "127.0.0.10"},
            {"username": "intercom-rear", "name": "Rear", "door": "rear"},
        ],
        "doors": [
            {"id": "entrance", "actuator": {"kind": "none"}, "openCode": "#"},
            {"id": "rear", "actuator": {"kind": "none"}, "openCode": "#"},
        ],
    }
    if camera:
        directory["cameras"] = [{"id": "entrance", "source": camera, "view": "ring"}]
        directory["stations"][0]["camera"] = "entrance"
    directory.update(changes)
    return directory


class Gateway:
    """A running vestibuled with a state directory of its own."""

    def __init__(self, directory=None, config=None, state=None, arguments=(), inside=()):
        self.folder = state or tempfile.mkdtemp(prefix="vestibule-test.")
        self.owns_folder = state is None
        self.config = {
            "gateway": {"domain": "vestibule.test"},
            "sip": {"udp": [f"{GATEWAY}:0"], "tcp": [f"{GATEWAY}:0"], "tls": [f"{GATEWAY}:0"]},
            "http": {"plain": [f"{GATEWAY}:0"], "tls": []},
            "control": {"socket": os.path.join(self.folder, "control.sock")},
            "media": {
                "ports": "%d-%d" % ((lambda p: (p, p + 399))(20000 + 400 * (os.getpid() % 40))), "webrtcPort": 0},
        }
        for key, value in (config or {}).items():
            self.config.setdefault(key, {}).update(value)
        self.arguments, self.inside = list(arguments), list(inside)
        self.process = None
        self.start()
        if directory is not None:
            self.apply(directory)

    def start(self):
        path = os.path.join(self.folder, "vestibule.json5")
        with open(path, "w") as file:
            json.dump(self.config, file)
        self.log_path = os.path.join(self.folder, "log")
        log = open(self.log_path, "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*self.inside, DAEMON, "--config", path, "--state", self.folder, *self.arguments],
            stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
        line = self.process.stdout.readline().decode()
        self.ready_seconds = time.monotonic() - began
        if not line.startswith("ready "):
            raise AssertionError(f"the gateway did not become ready: {line!r}\n{self.log()[-2000:]}")
        fields = dict(word.split("=", 1) for word in line.split()[1:])
        self.socket = fields["control"]
        self.ports = {}
        for part in fields["sip"].split(","):
            kind, address = part.split(":", 1)
            self.ports.setdefault(kind, int(address.rsplit(":", 1)[1]))
        self.http_port = int(fields["http"].rsplit(":", 1)[1]) if fields.get("http") else None
        self.https_port = int(fields["https"].rsplit(":", 1)[1]) if fields.get("https") else None

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def close(self):
        self.stop()
        log = self.log()
        place = log.find("Sanitizer: ")
        if place >= 0:
            raise AssertionError(f"a sanitizer spoke up: {self.log_path}\n{log[max(0, place - 200):][:6000]}")
        if self.owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *words, check=True):
        """Runs the command line; gives back what --json printed, parsed."""
        done = subprocess.run(
            [CLI, "--socket", self.socket, *words, "--json"], capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError(f"vestibule {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()}")
        self.last = done
        return json.loads(done.stdout) if done.stdout.strip() else None

    def apply(self, directory):
        path = os.path.join(self.folder, "directory.json5")
        with open(path, "w") as file:
            json.dump(directory, file)
        return self.run("apply", path)

    def enroll(self, account):
        return self.run("enroll", account, "--format", "sip")["secret"]

    def account(self, name):
        return next(row for row in self.run("accounts") + self.run("stations") if row["username"] == name)

    def registered(self, name):
        return wait_for(f"{name} registers", lambda: self.account(name)["registered"], 30)

    def last_record(self, count=1):
        return wait_for("a call record", lambda: (lambda rows: rows[:1] if len(rows) >= count else None)(self.run("cdr")))[0]


def parts(messages):
    """One part a message that sipp heard or sent."""
    return messages.split("-----------------------------------------------")


class Sipp:
    """One sipp run: a published scenario engine playing the peer that `scenario` describes."""

    def __init__(self, scenario, gateway, address, port=None, transport="udp", keys=None, user="", password="",
                 calls=1, seconds=60, arguments=(), inside=()):
        self.name = getattr(scenario, "name", scenario)
        self.folder = tempfile.mkdtemp(prefix="vestibule-sipp.")
        self.address, self.port = address, port or free_port(address)
        mode = {"udp": "u1", "tcp": "t1"}[transport]
        # sipp takes keywords in messages only; a status to wait for has to stand in the file.
        if isinstance(scenario, str):
            with open(os.path.join(HERE, "sipp", scenario + ".xml")) as file:
                text = file.read()
        else:
            text = scenario.text
        given = {"codecs": "8 0", "station": "Entrance", "media": 9, "from": "vestibule.test", "after": 300,
                 **(keys or {})}
        for key, value in given.items():
            text = text.replace(f"[{key}]", str(value))
        path = os.path.join(self.folder, "scenario.xml")
        with open(path, "w") as file:
            file.write(text)
        command = [
            *inside, "sipp", f"{GATEWAY}:{gateway.ports[transport]}", "-sf", path,
            "-i", address, "-mi", address, "-p", str(self.port), "-t", mode, "-m", str(calls), "-nostdin",
            "-timeout", f"{seconds}s", "-timeout_error", "-trace_err", "-error_file", os.path.join(self.folder, "errors"),
            "-trace_msg", "-message_file", os.path.join(self.folder, "messages"),
        ]
        if user:
            command += ["-s", user, "-au", user, "-ap", password]
        self.process = subprocess.Popen(
            command + list(arguments), stdout=open(os.path.join(self.folder, "out"), "wb"),
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.folder)

    def messages(self):
        try:
            with open(os.path.join(self.folder, "messages"), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_until_received(self, text, seconds=10):
        wait_for(f"{self.name} sees {text!r}", lambda: text in self.messages(), seconds)

    def go_on(self):
        """Ends the time that a caller talks or rings; without this it ends by itself. sipp is told by a MESSAGE which looks
        like the last that it heard, for of that it makes its next."""
        wait_for(f"{self.name} talks or rings", lambda: re.match(r"[^/]*\n\n(ACK |SIP/2.0 180)", parts(self.messages())[-1]))
        heard = next(part for part in reversed(parts(self.messages())) if "message received" in part).split("\n\n")[1]
        lines = [line for line in heard.splitlines()[1:] if not line.startswith(("CSeq:", "Content-"))]
        lines = ["MESSAGE sip:go.on SIP/2.0", *lines, "CSeq: 9 MESSAGE", "Content-Length: 0", "", ""]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as friend:
            friend.sendto("\r\n".join(lines).encode(), (self.address, self.port))

    def end(self):
        """What was to be seen of it was seen."""
        self.go_on()
        return self.finish()

    def finish(self, seconds=25):
        """Waits for the scenario's end; a scenario that did not run through is a failure with its own words."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "still running"
        if code != 0:
            try:
                with open(os.path.join(self.folder, "errors"), errors="replace") as file:
                    errors = file.read()[-1500:]
            except FileNotFoundError:
                errors = ""
            with open(os.path.join(self.folder, "out"), errors="replace") as file:
                errors += file.read()[-800:]
            raise AssertionError(f"sipp {self.name}: {code}\n{errors}\n{self.messages()[-3000:]}")
        messages = self.messages()
        shutil.rmtree(self.folder, ignore_errors=True)
        return messages

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def is_open(connection):
    """Whether the other side has not ended a connection on which it says nothing."""
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def register(gateway, user, password, address, port, transport="udp", expires=300):
    """Registers `user` with digest through sipp, its contact being address:port."""
    Sipp("register", gateway, address, port, transport, user=user, password=password,
         keys={"expires": expires}, seconds=10).finish()


def memory(gateway):
    """What a gateway holds in memory, in KiB."""
    with open(f"/proc/{gateway.process.pid}/status") as file:
        return int(next(line for line in file if line.startswith("VmRSS")).split()[1])


class Stage(unittest.TestCase):
    """Tests around one gateway that a class shares; what a test starts ends with it."""

    @classmethod
    def directory(cls):
        return building()

    @classmethod
    def setUpClass(cls):
        cls.share(Gateway(cls.directory()))

    @classmethod
    def share(cls, gateway):
        cls.gateway, cls.secrets = gateway, {}
        cls.addClassCleanup(gateway.close)

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def secret(self, account):
        if account not in self.secrets:
            self.secrets[account] = self.gateway.enroll(account)
        return self.secrets[account]

    def voice(self, address, frequency, **options):
        voice = Voice(address, frequency, **options)
        self.stack.callback(voice.close)
        return voice

    def sipp(self, scenario, address, **options):
        run = Sipp(scenario, self.gateway, address, **options)
        self.stack.callback(run.stop)
        return run

    def register(self, account, address, transport="udp"):
        """Registers a device; gives its port back. It is gone with the test."""
        port = free_port(address)
        register(self.gateway, account, self.secret(account), address, port, transport)
        self.stack.callback(
            lambda: register(self.gateway, account, self.secret(account), address, port, transport, 0))
        return port

    def panel(self, scenario, account, address, transport="udp", calls=1, seconds=60, **keys):
        """A registered device that waits in `scenario`."""
        port = self.register(account, address, transport)
        return self.sipp(scenario, address, port=port, transport=transport, calls=calls, seconds=seconds,
                         keys={"after": 200, "talk": 500, **keys})

    def caller(self, scenario, account, address, target, **keys):
        """A device that calls with digest."""
        return self.sipp(scenario, address, user=account, password=self.secret(account),
                         keys={"caller": account, "target": target, **keys})

    def rests(self, door="entrance"):
        """Waits until a door that was opened takes another command: for three seconds it takes none."""
        def is_rested():
            last = next(row for row in self.gateway.run("doors") if row["id"] == door)["lastAt"]
            return not last or datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(
                last.replace("Z", "+00:00")) > datetime.timedelta(seconds=3.1)
        wait_for("the door has rested", is_rested)

    def meet(self, one, other, panel, call):
        """Lets two voices speak into a call that is answered, and waits until each hears the other."""
        panel.wait_until_received("ACK sip:")
        other.send_to(*media_of(panel.messages(), "INVITE sip:"))
        call.wait_until_received("SIP/2.0 200 OK")
        one.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        wait_for("the caller is heard", lambda: other.hears(one.frequency) > 0.8, 3)
        wait_for("the called is heard", lambda: one.hears(other.frequency) > 0.8, 3)


def media_of(messages, marker):
    """Address and port of the first audio line in the last message of `messages` that has `marker` in it."""
    for part in reversed(parts(messages)):
        if marker in part and "m=audio" in part:
            port = int(part.split("m=audio ", 1)[1].split()[0])
            address = part.split("c=IN IP4 ", 1)[1].split()[0]
            return address, port
    raise AssertionError(f"no message with {marker!r} and an audio line")


def dialog_of(messages, marker="SIP/2.0 200 OK"):
    """Call-ID, To tag and From tag of the last message of `messages` that has `marker` in it."""
    for part in reversed(parts(messages)):
        if marker in part and ";tag=" in part:
            lines = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in part.splitlines() if ":" in line}
            tag = lambda value: value.split(";tag=", 1)[1].split(";")[0]
            return lines["call-id"], tag(lines["to"]), tag(lines["from"])
    raise AssertionError(f"no message with {marker!r}")
