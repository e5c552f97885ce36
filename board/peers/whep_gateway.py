"""The building whose cameras the tests of WHEP look through: its gateway, its tokens, and the gateway as the conformance
suite's server.

  entrance   the test picture; seen by unit 401 while the station at the entrance rings or talks to it
  hall       the test picture, seen by everybody of the building at any time
  dark       a network camera that nobody put up
"""

import json
import os
import subprocess
import time

import bed
import browser
from bed import Gateway, Stage, wait_for
from whep_client import ask

STATION, PANEL = "127.0.0.10", "127.0.0.23"


def directory():
    building = bed.building(camera="test:pattern")
    building["units"][0]["accounts"] = [
        {"username": "web401", "kind": "browser"}, {"username": "panel401", "kind": "panel"}]
    building["units"][1]["accounts"] = [{"username": "web402", "kind": "browser"}]
    # Whoever may open a door may see through the cameras of its stations.
    building["stations"] += [
        {"username": name, "name": name, "door": "entrance", "camera": name} for name in ("hall", "dark")]
    building["cameras"] += [
        {"id": "hall", "source": "test:pattern", "view": "always"},
        {"id": "dark", "source": f"rtsp://127.0.0.1:{bed.free_port(kind=bed.socket.SOCK_STREAM)}/none", "view": "always"}]
    return building


class House:
    """A gateway with cameras, asked as the devices of its residents ask."""

    def __init__(self, building=None, address=bed.GATEWAY, **config):
        self.port = bed.free_port(address, bed.socket.SOCK_STREAM)
        config.setdefault("http", {})["tls"] = [f"{address}:{self.port}"]
        self.gateway = Gateway(building or directory(), config={"media": {"webrtcPort": 0}, **config})
        self.origin = f"https://{address}:{self.port}"
        self.bearers = {}

    def close(self):
        self.gateway.close()

    def ask(self, method, path, bearer=None):
        """One answer of the API."""
        return ask(method, self.origin + path, {"Authorization": f"Bearer {bearer}"} if bearer else {})

    def bearer(self, account):
        """What a device of the account proves itself with."""
        if account not in self.bearers:
            link = self.gateway.run("enroll", account, "--format", "url")["url"].split("#enroll=")[1]
            given = self.ask("POST", f"/provision/{link}")
            assert given.status == 200, given
            self.bearers[account] = given.json["bearer"]
        return self.bearers[account]

    def view(self, camera, account="web401"):
        """What the account is told when it asks to see a camera: (status, token). Who asked too often comes later."""
        while True:
            told = self.ask("POST", f"/api/v1/cameras/{camera}/token", self.bearer(account))
            if told.status != 429:
                break
            time.sleep(told.patience)
        return told.status, told.json.get("token")

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


class Watching(Stage):
    """A house with cameras that a class shares."""

    @classmethod
    def setUpClass(cls):
        cls.begin()

    @classmethod
    def begin(cls, building=None, **config):
        cls.house = House(building, **config)
        cls.share(cls.house.gateway)

    def panel(self):
        """A panel of unit 401 that rings until it is told to stop."""
        return super().panel("panel_cancelled", "panel401", PANEL, cause=487)

    def ring(self, scenario="station_cancel", **keys):
        """The station at the entrance rings unit 401."""
        call = self.sipp(scenario, STATION, keys={
            "talk": 1500, "caller": "401", "target": "401", "after": 60000, **keys})
        self.stack.callback(self.hang_up_all)
        return call

    def hang_up_all(self):
        for call in self.gateway.run("calls"):
            self.gateway.run("calls", "hangup", call["id"])
        wait_for("nothing rings", lambda: not self.gateway.run("calls"))


class Camera:
    """A network camera of Debian's gst-rtsp-server with a picture of its own."""

    def __init__(self, **wish):
        self.wish = {"address": bed.GATEWAY, "port": bed.free_port(kind=bed.socket.SOCK_STREAM), **wish}
        self.url, self.small = (f"rtsp://{bed.GATEWAY}:{self.wish['port']}/{name}" for name in ("live", "small"))
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


# Nobody is there: viewers are told of them all the same.
SERVERS = {"stun": ["stun:127.0.0.1:9"], "turn": [{"url": "turn:127.0.0.1:9", "username": "resident", "password": "a \\ \" b"}]}


def CONFORMANCE(*kinds):
    """The suite's classes, each with a gateway of its own."""
    def bound(kind):
        class OfGateway(kind):
            @classmethod
            def setUpClass(cls):
                browser.aiortc()
                cls.house = House(http={"allowedOrigins": [cls.origin]}, media={"webrtcPort": 0, **SERVERS})
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
