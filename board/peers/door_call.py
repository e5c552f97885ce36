"""Door stations played by sipp call units whose panels are played by sipp; voices are checked by frequency."""

import socket
import unittest

from bed import Stage, media_of, wait_for

STATION, PANEL, KITCHEN, OTHER = "127.0.0.10", "127.0.0.21", "127.0.0.22", "127.0.0.31"


class DoorCall(Stage):
    def station(self, scenario, target="401", **keys):
        return self.sipp(scenario, STATION, keys={"media": 9, "talk": 1500, "caller": target, "target": target, **keys})

    def test_first_answer_wins_and_the_other_panel_learns_who_answered(self):
        visitor, resident = self.voice(STATION, 700), self.voice(PANEL, 1100)
        answering = self.panel("panel_answer", "panel401", PANEL, media=resident.port)
        other = self.panel("panel_cancelled", "kitchen401", KITCHEN, cause=200)
        call = self.station("station_call", media=visitor.port)
        self.meet(visitor, resident, answering, call)
        call.finish()
        answering.finish()
        other.finish()
        record = self.gateway.last_record()
        self.assertEqual(record["end"], "answered")
        self.assertEqual(record["unit"], "401")
        legs = {leg["account"]: leg for leg in record["legs"]}
        self.assertGreater(legs["panel401"]["packetsIn"], 20)
        self.assertGreater(legs["panel401"]["packetsOut"], 20)

    def test_a_registered_station_calls_with_digest(self):
        port = self.register("intercom-rear", "127.0.0.11")
        answering = self.panel("panel_answer", "panel402", OTHER)
        call = self.sipp("station_registered_call", "127.0.0.11", port=port, user="intercom-rear", password=self.secret("intercom-rear"),
                         keys={"media": 9, "talk": 300, "caller": "intercom-rear", "target": "402"})
        call.finish()
        answering.wait_until_received("BYE ")

    def test_a_stranger_may_not_call(self):
        call = self.sipp("station_refused", "127.0.0.99", keys={"media": 9, "caller": "x", "target": "401", "status": 401})
        call.finish()

    def test_busy_everywhere_is_busy_at_the_door(self):
        panel = self.panel("panel_refuse", "panel401", PANEL, status=486)
        self.station("station_refused", status=486).finish()
        panel.finish()
        self.assertEqual(self.gateway.last_record()["end"], "busy")

    def test_declined_by_all_who_rang_is_declined_at_the_door(self):
        panel = self.panel("panel_refuse", "panel401", PANEL, status=603)
        self.station("station_refused", status=603).finish()
        panel.finish()
        self.assertEqual(self.gateway.last_record()["end"], "declined")

    def test_nobody_registered_is_temporarily_unavailable(self):
        self.station("station_refused", target="402", status=480).finish()

    def test_an_unknown_unit_is_not_found(self):
        self.station("station_refused", target="999", status=404).finish()

    def test_a_visitor_who_leaves_cancels_every_panel(self):
        first = self.panel("panel_cancelled", "panel401", PANEL, cause=487)
        second = self.panel("panel_cancelled", "kitchen401", KITCHEN, cause=487)
        self.station("station_cancel").finish()
        first.finish()
        second.finish()
        self.assertEqual(self.gateway.last_record()["end"], "cancelled")

    def test_do_not_disturb_keeps_a_unit_silent(self):
        self.panel("panel_answer", "panel402", OTHER)
        self.gateway.run("dnd", "on", "402")
        try:
            self.station("station_refused", target="402", status=480).finish()
        finally:
            self.gateway.run("dnd", "off", "402")

    def test_a_key_as_info_opens_the_door(self):
        panel = self.panel("panel_info_key", "panel401", PANEL)
        call = self.station("station_call_ended")
        panel.finish()
        call.finish()
        door = next(row for row in self.gateway.run("doors") if row["id"] == "entrance")
        self.assertEqual(door["lastResult"], "opened")
        self.assertNotIn("INFO sip", call.messages(), "the key must never reach the station")

    def test_a_key_as_rfc_4733_opens_the_door_and_never_reaches_the_station(self):
        visitor, resident = self.voice(STATION, 700), self.voice(OTHER, 1100)
        panel = self.panel("panel_answer", "panel402", OTHER, media=resident.port)
        call = self.station("station_call", target="402", media=visitor.port, talk=20000)
        panel.wait_until_received("ACK sip:")
        before = self.last_attempt()
        resident.send_to(*media_of(panel.messages(), "INVITE sip:"))
        call.wait_until_received("SIP/2.0 200 OK")
        visitor.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        wait_for("the resident is heard", lambda: visitor.hears(1100) > 0.8, 3)
        resident.key("#")
        wait_for("the attempt is recorded", lambda: self.last_attempt() != before, 3)
        call.end()
        self.assertEqual(visitor.packets(101), [], "a key reached the station as RFC 4733")

    def last_attempt(self):
        return next(row["lastAt"] for row in self.gateway.run("doors") if row["id"] == "entrance")

    def test_late_offer_is_answered_in_the_ack(self):
        visitor, resident = self.voice(STATION, 700), self.voice(OTHER, 1100)
        panel = self.panel("panel_answer", "panel402", OTHER, media=resident.port)
        call = self.station("station_late_offer", target="402", media=visitor.port, talk=1500)
        self.meet(visitor, resident, panel, call)
        call.finish()

    def test_hold_and_resume_keep_the_call(self):
        visitor, resident = self.voice(STATION, 700), self.voice(PANEL, 1100)
        panel = self.panel("panel_hold", "panel401", PANEL, media=resident.port)
        call = self.station("station_hold", media=visitor.port)
        panel.wait_until_received("ACK sip:")
        resident.send_to(*media_of(panel.messages(), "INVITE sip:"))
        panel.finish()
        call.finish()
        sources = {packet[8:12] for packet in visitor.packets(8)}
        self.assertLessEqual(len(sources), 1, "one source towards the station over hold and resume")

    def test_session_timers_are_refreshed_by_an_empty_update(self):
        panel = self.panel("panel_session_timer", "panel401", PANEL)
        call = self.station("station_call_ended")
        panel.finish()
        call.finish()

    def test_a_panel_over_tcp_is_rung(self):
        panel = self.panel("panel_answer", "panel402", OTHER, transport="tcp")
        self.station("station_call", target="402", talk=300).finish()
        panel.finish()

    def test_foreign_packets_are_counted_and_never_heard_before_and_during_the_call(self):
        visitor, resident = self.voice(STATION, 700), self.voice(OTHER, 1100)
        panel = self.panel("panel_answer", "panel402", OTHER, media=resident.port, after=600)
        call = self.station("station_call", target="402", media=visitor.port, talk=2500)
        marker = b"\x80\x08\x00\x01\x00\x00\x00\x01\xde\xad\xbe\xef" + b"\x2a" * 160

        def throw(leg, address, packet=marker, count=40):
            """A handful at a time: what the kernel's buffer drops is not seen by the gateway."""
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker:
                attacker.bind((address, 0))
                for _ in range(count):
                    attacker.sendto(packet, leg)

        panel.wait_until_received("INVITE sip:")
        to_resident = media_of(panel.messages(), "INVITE sip:")
        throw(to_resident, "127.0.0.66")
        throw(to_resident, OTHER)  # the right host, but it has not answered yet
        panel.wait_until_received("ACK sip:")
        throw(to_resident, "127.0.0.66")  # a stranger may not be the first either
        resident.send_to(*to_resident)
        call.wait_until_received("SIP/2.0 200 OK")
        to_visitor = media_of(call.messages(), "SIP/2.0 200 OK")
        visitor.send_to(*to_visitor)
        wait_for("the resident is heard", lambda: visitor.hears(1100) > 0.8, 3)
        wait_for("the visitor is heard", lambda: resident.hears(700) > 0.8, 3)
        for leg, own in [(to_resident, OTHER), (to_visitor, STATION)]:
            throw(leg, "127.0.0.66")
            throw(leg, own)
        # The right port is known, the source is not: what a spoofed address would send.
        spoofed = marker[:8] + b"\xba\xad\xf0\x0d" + marker[12:]
        with resident.lock:
            for _ in range(40):
                resident.rtp.sendto(spoofed, to_resident)
        wait_for("the call goes on", lambda: visitor.hears(1100) > 0.8 and resident.hears(700) > 0.8, 3)
        call.finish()
        for voice in [visitor, resident]:
            self.assertFalse([p for p in voice.packets() if p[12:] == marker[12:]], "a foreign packet came through")
        record = self.gateway.last_record()
        self.assertEqual({leg["account"]: leg["foreign"] for leg in record["legs"]},
                         {"intercom-main": 80, "panel402": 240})


if __name__ == "__main__":
    unittest.main(verbosity=2)
