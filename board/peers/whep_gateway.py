"""The building whose cameras the tests of WHEP look through: its gateway, its tokens, and the gateway as the conformance
suite's server.

  entrance   the test picture; seen by unit 401 while the station at the entrance rings or talks to it
  hall       the test picture, seen by everybody of the building at any time
  dark       a network camera that nobody put up
"""

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import unittest

import bed
import browser
from bed import Gateway, Sipp, wait_for

STATION, PANEL = "127.0.0.10", "127.0.0.23"


def directory():
    building = bed.building()
    building["units"][0]["accounts"] = [
        {"username": "web401", "kind": "browser"}, {"username": "panel401", "kind": "panel"}]
    building["units"][1]["accounts"] = [{"username": "web402", "kind": "browser"}]
    building["stations"][0]["camera"] = "entrance"
    # Whoever may open a door may see through the cameras of its stations.
    building["stations"] += [
        {"username": name, "name": name, "door": "entrance", "camera": name} for name in ("hall", "dark")]
    building["cameras"] = [
        {"id": "entrance", "source": "test:pattern", "view": "ring"},
        {"id": "hall", "source": "test:pattern", "view": "always"},
        {"id": "dark", "source": f"rtsp://127.0.0.1:{bed.free_port(kind=bed.socket.SOCK_STREAM)}/none", "view": "always"}]
    return building


class House:
    """A gateway with cameras, asked as the devices of its residents ask."""

    def __init__(self, building=None, **config):
        self.port = bed.free_port(kind=bed.socket.SOCK_STREAM)
        config.setdefault("http", {})["tls"] = [f"127.0.0.1:{self.port}"]
        self.gateway = Gateway(building or directory(), config={"media": {"webrtcPort": 0}, **config})
        self.origin = f"https://127.0.0.1:{self.port}"
        self.bearers = {}

    def close(self):
        self.gateway.close()

    def ask(self, method, path, bearer=None, body=None):
        """Status and JSON of one answer of the API."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        fields = {"Content-Type": "application/json"}
        if bearer:
            fields["Authorization"] = f"Bearer {bearer}"
        connection.request(method, path, body and json.dumps(body), fields)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if "json" in (answer.getheader("Content-Type") or "") else None

    def bearer(self, account):
        """What a device of the account proves itself with."""
        if account not in self.bearers:
            link = self.gateway.run("enroll", account, "--format", "url")["url"].split("#enroll=")[1]
            status, given = self.ask("POST", f"/provision/{link}")
            assert status == 200, (status, given)
            self.bearers[account] = given["bearer"]
        return self.bearers[account]

    def view(self, camera, account="web401"):
        """What the account is told when it asks to see a camera: (status, token)."""
        status, told = self.ask("POST", f"/api/v1/cameras/{camera}/token", self.bearer(account))
        return status, told.get("token") if told else None

    def token(self, camera, account="web401"):
        status, token = self.view(camera, account)
        assert status in (200, 201), f"{account} may not see {camera}: {status}"
        return token

    def whep(self, camera):
        return f"{self.origin}/whep/{camera}"


def rise(numbers):
    return all(one < other for one, other in zip(numbers, numbers[1:]))


def middle(values):
    return sorted(values)[len(values) // 2] if values else None


class Watching(unittest.TestCase):
    """A house with cameras that a class shares."""

    @classmethod
    def setUpClass(cls):
        cls.begin()

    @classmethod
    def begin(cls, building=None, **config):
        cls.house = House(building, **config)
        cls.addClassCleanup(cls.house.close)

    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)

    def panel(self):
        """A panel of unit 401 that rings until it is told to stop."""
        gateway = self.house.gateway
        port, secret = bed.free_port(PANEL), gateway.enroll("panel401")
        bed.register(gateway, "panel401", secret, PANEL, port)
        self.stack.callback(lambda: bed.register(gateway, "panel401", secret, PANEL, port, expires=0))
        panel = Sipp("panel_cancelled", gateway, PANEL, port=port, keys={"cause": 487, "after": 200, "talk": 500})
        self.stack.callback(panel.stop)
        return panel

    def ring(self, scenario="station_cancel", **keys):
        """The station at the entrance rings unit 401."""
        keys = {"media": 9, "talk": 1500, "caller": "401", "target": "401", "after": 60000, **keys}
        call = Sipp(scenario, self.house.gateway, STATION, keys=keys)
        self.stack.callback(call.stop)
        self.stack.callback(self.hang_up_all)
        return call

    def hang_up_all(self):
        gateway = self.house.gateway
        for call in gateway.run("calls"):
            gateway.run("calls", "hangup", call["id"])
        wait_for("nothing rings", lambda: not gateway.run("calls"))


class Camera:
    """A network camera of Debian's gst-rtsp-server with a picture of its own."""

    def __init__(self, **wish):
        self.wish = {"address": bed.GATEWAY, "port": bed.free_port(kind=bed.socket.SOCK_STREAM), **wish}
        self.url = f"rtsp://{bed.GATEWAY}:{self.wish['port']}/live"
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(bed.HERE, "rtsp_server.py"), json.dumps(self.wish)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def restart(self):
        self.close()
        self.start()


def CONFORMANCE(*kinds):
    """The suite's classes, each with a gateway of its own."""
    def bound(kind):
        class OfGateway(kind):
            @classmethod
            def setUpClass(cls):
                browser.aiortc()
                cls.house = House(http={"allowedOrigins": [cls.origin]})
                cls.addClassCleanup(cls.house.close)
                cls.url, cls.not_live = cls.house.whep("hall"), cls.house.whep("dark")

            def setUp(self):
                super().setUp()
                self.token = self.house.token("hall")

            def ask(self, method, url, *words, **options):
                if url == self.not_live and options.get("token", True) is True:
                    options["token"] = self.house.token("dark")
                return super().ask(method, url, *words, **options)
        OfGateway.__name__ = OfGateway.__qualname__ = kind.__name__
        return OfGateway
    return [bound(kind) for kind in kinds]
