"""Stations over TLS, connections that die, and a gateway that is killed: who is reached afterwards, and how soon."""

import subprocess
import time
import unittest

import bed
from bed import Stage, media_of, wait_for
from phones import HOST, Baresip, Linphone
from script import answers, hears, hung_up, invites, refused, responds, rings, rung, script
from voice import strength

STATION, PANEL, OTHER, MOBILE = "127.0.0.10", "127.0.0.28", "127.0.0.38", "127.0.0.45"

PANEL_ANSWERS = script("panel answers, is hung up on", rung(), rings(), answers(), hung_up())
PANEL_REFUSES = script("panel refuses", rung(), rings(), responds("[status] No"), hears("ACK"))
STATION_REFUSED = script("station is refused", invites(), refused("[status]"))


def connections(address):
    """Established TCP connections of an address."""
    out = subprocess.run(["ss", "-Htn", "state", "established", "src", address], capture_output=True, text=True)
    return out.stdout.splitlines()


class Wires(Stage):
    def station(self, scenario, target, **keys):
        return self.sipp(scenario, STATION, keys={"caller": "gate", "target": target, **keys})

    def test_a_station_over_tls_calls_and_both_are_heard(self):
        resident = self.voice(OTHER, 1100)
        panel = self.panel(PANEL_ANSWERS, "panel402", OTHER, media=resident.port)
        station = Baresip(self.gateway, "intercom-rear", self.secret("intercom-rear"), HOST, transport="tls")
        self.stack.callback(station.close)
        self.assertEqual(self.gateway.run("stations")[1]["username"], "intercom-rear")
        station.command("dial", "sip:402@vestibule.test")
        panel.wait_until_received("ACK sip:")
        resident.send_to(*media_of(panel.messages(), "INVITE sip:"))
        wait_for("the panel hears the station", lambda: resident.hears(440) > 0.7, 5)
        wait_for("the call is established", lambda: "Call established" in station.text(), 5)
        time.sleep(1.0)  # baresip writes what it hears: a second of it is compared
        station.command("hangup")
        panel.finish()
        samples, rate = station.recording()
        middle = samples[len(samples) // 2 - rate // 8: len(samples) // 2 + rate // 8]
        self.assertGreater(strength(middle, 1100, rate), 0.7, "the station hears the panel")
        self.assertEqual(self.gateway.last_record()["from"], "intercom-rear")

    def test_a_tcp_binding_is_dialled_anew_after_its_connection_died(self):
        port = self.register("panel401", PANEL, "tcp")
        wait_for("the connection of the registration is gone", lambda: not connections(PANEL))
        time.sleep(0.2)
        panel = self.sipp(PANEL_REFUSES, PANEL, port=port, transport="tcp", keys={"status": 486})
        self.station(STATION_REFUSED, "panel401", status=486).finish()
        panel.finish()

    def test_a_tcp_binding_whose_device_is_away_is_unreachable_soon(self):
        self.register("panel401", PANEL, "tcp")
        began = time.monotonic()
        self.station(STATION_REFUSED, "panel401", status=480).finish()
        self.assertLess(time.monotonic() - began, 5)

    def test_after_a_kill_udp_bindings_ring_at_once(self):
        ports = {account: self.register(account, address)
                 for account, address in [("panel401", PANEL), ("panel402", OTHER)]}
        # What devices were told to talk to stays where it was.
        sip = self.gateway.ports
        self.gateway.config["sip"] = {kind: [f"{bed.GATEWAY}:{port}"] for kind, port in sip.items()}
        self.gateway.kill()
        panel = self.sipp(PANEL_REFUSES, PANEL, port=ports["panel401"], keys={"status": 486})
        self.gateway.start()
        ready = time.monotonic()
        self.station(STATION_REFUSED, "panel401", status=486).finish()
        self.assertLess(time.monotonic() - ready, 1.5, "no panel has registered anew, and yet it rings")
        panel.finish()
        self.assertLess(self.gateway.ready_seconds, 2)
        self.assertEqual(self.gateway.ports, sip)

    def test_linphone_over_tls_calls_the_door(self):
        """A resident looks who is there: an account of the unit calls the station of its door."""
        visitor = self.voice(STATION, 700)
        port = bed.free_port(STATION)
        station = self.sipp(script("station is called", rung(), rings(), answers(), hung_up()), STATION, port=port,
                            keys={"media": visitor.port})
        directory = self.directory()
        directory["stations"][0]["address"] = f"{STATION}:{port}"
        self.gateway.apply(directory)
        phone = Linphone(self.gateway, "mobile401", self.secret("mobile401"), MOBILE)
        self.stack.callback(phone.close)
        phone.command("call sip:intercom-main@vestibule.test")
        station.wait_until_received("ACK sip:")
        visitor.send_to(*media_of(station.messages(), "INVITE sip:"))
        phone.play(lambda: visitor.hears(1000) > 0.7)
        phone.command("terminate")
        station.finish()


if __name__ == "__main__":
    unittest.main(verbosity=2)
