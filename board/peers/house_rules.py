"""What a building decides about calls, seen by sipp: quiet, paging, steps, second calls, ends by rule, odd requests."""

import time
import unittest

import bed
from bed import Stage, media_of, wait_for
from script import (answered, answers, asks, hangs_up, hears, hung_up, invites, provisional, refused,
                    responds, rings, rung, says, script, sdp, talks, unacknowledged, waits)

STATION, REAR, PANEL, KITCHEN, OTHER, GUARD = (
    "127.0.0.10", "127.0.0.12", "127.0.0.23", "127.0.0.24", "127.0.0.33", "127.0.0.53")

PANEL_ANSWERS = script("panel answers, is hung up on", rung(), rings(), answers(), hung_up())
PANEL_REFUSES = script("panel refuses", rung(), rings(), responds("[status] No"), hears("ACK"))
STATION_TALKS = script("station talks", invites(), answered(), talks(), hangs_up(2))
STATION_HEARS_THE_END = script("station is hung up on", invites(), answered(), hung_up())
STATION_REFUSED = script("station is refused", invites(), refused("[status]"))


def unit(number, *accounts, **more):
    return {"number": number, "name": number, "doors": ["entrance", "rear"],
            "accounts": [{"username": name, "kind": "panel"} for name in accounts], **more}


class HouseRules(Stage):
    @classmethod
    def directory(cls):
        guard_last = [{"from": "*", "action": "ring", "timeout": 2}, {"from": "*", "action": "forward", "target": "guard"}]
        return bed.building(
            units=[
                unit("401", "panel401", "kitchen401"),
                unit("402", "panel402", rules=guard_last),
                unit("403", "panel403", callWaiting="busy"),
                unit("404", "panel404", callWaiting="next", rules=guard_last),
            ],
            stations=[
                {"username": "intercom-main", "name": "Entrance", "door": "entrance", "address": STATION, "maxTalk": 5},
                {"username": "intercom-rear", "name": "Rear", "door": "rear", "address": REAR, "hangupAfterOpen": True},
            ])

    def station(self, scenario, target, address=STATION, **keys):
        return self.sipp(scenario, address, keys={"caller": "gate", "target": target, "talk": 1000, **keys})

    # MARK: Paging

    def test_a_page_is_answered_by_itself_and_heard_one_way(self):
        pager, listener = self.voice(PANEL, 700), self.voice(KITCHEN, 1100)
        pages = script("panel is paged", rung(check=[("Call-Info", "@vestibule.test>;answer-after=0"),
                                                     ("Alert-Info", "info=alert-autoanswer")]),
                       answers(sdp("recvonly")), hung_up())
        panel = self.panel(pages, "kitchen401", KITCHEN, media=listener.port)
        call = self.caller(script("pages", invites(digest=True), answered(2), waits(1500), hangs_up(3)),
                           "panel401", PANEL, "page-401", media=pager.port)
        panel.wait_until_received("ACK sip:")
        self.assertIn("a=sendonly", panel.messages())
        listener.send_to(*media_of(panel.messages(), "INVITE sip:"))
        call.wait_until_received("SIP/2.0 200 OK")
        pager.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        wait_for("the page is heard", lambda: listener.hears(700) > 0.8, 3)
        call.finish()
        panel.finish()
        self.assertEqual(pager.packets(), [], "whoever pages hears nothing")

    def test_only_ones_own_unit_is_paged(self):
        self.caller(script("is refused", invites(digest=True), refused("403", 2)), "panel402", OTHER, "page-401").finish()

    # MARK: Do not disturb

    def quiet(self, code):
        service = self.caller(script("dials a service", invites(digest=True), answered(2), hung_up()),
                              "panel403", OTHER, code)
        service.finish()

    def test_star_78_makes_quiet_and_star_79_ends_it(self):
        panel = self.panel(PANEL_REFUSES, "panel403", OTHER, status=486)
        self.quiet("*78")
        wait_for("quiet", lambda: self.gateway.account("panel403")["dnd"], 2)
        self.station(STATION_REFUSED, "403", status=480).finish()
        self.quiet("*79")
        self.station(STATION_REFUSED, "403", status=486).finish()
        panel.finish()

    def test_dnd_of_one_account_lets_the_other_ring(self):
        panel = self.panel(PANEL_REFUSES, "panel401", PANEL, status=486)
        silent = self.panel(PANEL_REFUSES, "kitchen401", KITCHEN, status=486)
        self.gateway.run("dnd", "on", "kitchen401")
        try:
            self.station(STATION_REFUSED, "401", status=486).finish()
        finally:
            self.gateway.run("dnd", "off", "kitchen401")
        panel.finish()
        self.assertNotIn("INVITE", silent.messages())

    # MARK: Steps and second calls

    def test_the_guard_rings_when_the_unit_does_not_answer(self):
        panel = self.panel(script("panel rings in vain", rung(), rings(), hears("CANCEL"), says("200 OK"),
                                  responds("487 Request Terminated"), hears("ACK")), "panel402", PANEL)
        guard = self.panel(PANEL_ANSWERS, "guard1", GUARD)
        self.station(STATION_TALKS, "402", talk=200).finish()
        panel.finish()
        guard.finish()
        record = self.gateway.last_record()
        self.assertEqual({leg["account"]: leg["state"] for leg in record["legs"]}["panel402"], "noanswer")
        self.assertEqual(record["end"], "answered")

    def talking(self, target, account, address, **keys):
        """A call from the front door that goes on; to be finished by the caller of this."""
        panel = self.panel(PANEL_ANSWERS, account, address)
        call = self.station(STATION_TALKS, target, talk=20000, **keys)
        panel.wait_until_received("ACK sip:")
        return panel, call

    def over(self, panel, call):
        call.end()
        panel.finish()

    def test_a_second_call_rings_where_the_unit_says_ring(self):
        first = self.talking("401", "panel401", PANEL)
        kitchen = self.panel(PANEL_REFUSES, "kitchen401", KITCHEN, status=486)
        busy = self.station(STATION_REFUSED, "kitchen401", REAR, status=486)
        busy.finish()
        kitchen.finish()
        self.over(*first)

    def test_a_second_call_is_busy_where_the_unit_says_busy(self):
        first = self.talking("403", "panel403", OTHER)
        self.station(STATION_REFUSED, "403", REAR, status=486).finish()
        self.over(*first)

    def test_a_second_call_goes_on_where_the_unit_says_next(self):
        first = self.talking("404", "panel404", OTHER)
        guard = self.panel(PANEL_ANSWERS, "guard1", GUARD)
        began = time.monotonic()
        self.station(STATION_TALKS, "404", REAR, talk=200).finish()
        self.assertLess(time.monotonic() - began, 1.9, "the busy unit's step is passed over, not waited for")
        guard.finish()
        self.over(*first)

    # MARK: Many

    def test_two_doors_talk_to_two_units_at_once_and_hear_only_their_own(self):
        voices = [self.voice(*pair) for pair in [(STATION, 700), (PANEL, 1100), (REAR, 1500), (OTHER, 1900)]]
        front, one, rear, two = voices
        panels = [self.panel(PANEL_ANSWERS, "panel401", PANEL, media=one.port),
                  self.panel(PANEL_ANSWERS, "panel403", OTHER, media=two.port)]
        calls = [self.station(STATION_TALKS, "401", STATION, media=front.port, talk=20000),
                 self.station(STATION_TALKS, "403", REAR, media=rear.port, talk=20000)]
        self.meet(front, one, panels[0], calls[0])
        self.meet(rear, two, panels[1], calls[1])
        self.assertEqual(len(self.gateway.run("calls")), 2)
        for voice, foreign in [(front, 1900), (one, 1500), (rear, 1100), (two, 700)]:
            self.assertLess(voice.hears(foreign), 0.05, "a call is heard in another")
        for pair in zip(panels, calls):
            self.over(*pair)

    def test_twenty_calls_at_once_to_one_unit_are_all_answered(self):
        panel = self.panel(PANEL_ANSWERS, "panel401", PANEL, calls=20)
        call = self.sipp(STATION_TALKS, REAR, calls=20, arguments=["-r", "20", "-l", "20"],
                         keys={"caller": "gate", "target": "401", "talk": 1500})
        wait_for("twenty calls", lambda: len(self.gateway.run("calls")) == 20)
        call.finish()
        panel.finish()
        wait_for("no call left", lambda: self.gateway.run("calls") == [])

    # MARK: Ends by rule

    def test_a_station_talks_no_longer_than_it_may(self):
        panel = self.panel(PANEL_ANSWERS, "panel401", PANEL)
        began = time.monotonic()
        self.station(STATION_HEARS_THE_END, "401").finish()
        panel.finish()
        self.assertTrue(4.5 < time.monotonic() - began < 8)
        self.assertEqual(self.gateway.last_record()["end"], "answered")

    def test_the_call_ends_soon_after_the_door_opened_where_the_station_wants_that(self):
        opens = script("panel opens, is hung up on", rung(), rings(), answers(), waits(200),
                       asks("INFO", 20, body="Signal=#\nDuration=160\n", type="application/dtmf-relay"),
                       hears("200"), hung_up())
        panel = self.panel(opens, "panel401", PANEL)
        began = time.monotonic()
        self.station(STATION_HEARS_THE_END, "401", REAR).finish()
        panel.finish()
        self.assertLess(time.monotonic() - began, 4)
        door = next(row for row in self.gateway.run("doors") if row["id"] == "rear")
        self.assertEqual(door["lastResult"], "opened")

    # MARK: Odd requests

    def test_a_body_that_is_no_description_is_415(self):
        scenario = script("offers JSON", invites(body="{}", type="application/json"), provisional(),
                          hears("415", check=[("Accept", "application/sdp")]), unacknowledged(1))
        self.station(scenario, "401").finish()

    def test_an_offer_without_sound_is_488(self):
        fax = "v=0\no=- 1 1 IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\nm=image 9 udptl t38\n"
        self.panel(PANEL_ANSWERS, "panel401", PANEL)
        self.station(script("offers a fax", invites(body=fax), refused("488")), "401").finish()

    def test_no_shared_encoding_is_488(self):
        speex = sdp(audio="97").replace("a=rtpmap:8 PCMA/8000\n", "a=rtpmap:97 speex/16000\n")
        panel = self.panel(script("panel shares no encoding", rung(), responds("488 Not Acceptable Here"), hears("ACK")),
                           "panel401", PANEL)
        self.station(script("offers speex", invites(body=speex), refused("488")), "401").finish()
        panel.finish()

    def test_an_update_with_a_description_is_answered_with_one(self):
        updates = script("panel updates", rung(), rings(), answers(), waits(200),
                         asks("UPDATE", 20, body=sdp("sendonly", 2)),
                         hears("200", check=[("Content-Type", "application/sdp")]), waits(200),
                         asks("UPDATE", 21), hears("200"), waits(100),
                         asks("UPDATE", 22, body=sdp("sendrecv", 3)),
                         hears("200", check=[("Content-Type", "application/sdp")]), waits(100),
                         asks("BYE", 23), hears("200"))
        held = script("station is held and resumed", invites(), answered(), hears("INVITE"),
                      says("200 OK", body=sdp("recvonly", 2)), hears("ACK"), hears("INVITE"),
                      says("200 OK", body=sdp("sendrecv", 3)), hears("ACK"), hung_up())
        panel = self.panel(updates, "panel401", PANEL)
        call = self.station(held, "401")
        panel.finish()
        messages = call.finish()
        self.assertIn("a=sendonly", messages, "the station learns that it is on hold")

    def test_a_station_that_requires_reliable_ringing_gets_it(self):
        scenario = script("requires PRACK", invites("Require: 100rel\nSupported: 100rel\n"),
                          hears("100", optional=True), ringing(), prack(), answered(3 - 2, quietly=True), waits(200),
                          hangs_up(4))
        panel = self.panel(script("panel answers late", rung(), rings(), waits(400), answers(), hung_up()), "panel401", PANEL)
        self.station(scenario, "401").finish()
        panel.finish()

    def test_a_panel_that_rings_reliably_is_acknowledged(self):
        reliable = "Require: 100rel\nRSeq: 4711\n"
        panel = self.panel(script("panel rings reliably", rung(), responds("180 Ringing", reliable, retrans=False),
                                  hears("PRACK", check=[("RAck", "4711 +[0-9]+ +INVITE")]), says("200 OK"),
                                  answers(), hung_up()), "panel401", PANEL)
        self.station(STATION_TALKS, "401", talk=200).finish()
        panel.finish()


def ringing():
    """180 that wants a PRACK; where to send it and what it must say is remembered."""
    kept = "".join(f'<ereg regexp="{regexp}" search_in="hdr" header="{header}:" assign_to="{name}"/>' for name, header, regexp in [
        ("tagged", "To", ".*"), ("ringer", "Contact", "sip:[^&gt;]*"), ("rseq", "RSeq", "[0-9]+")])
    check = '<ereg regexp="100rel" search_in="hdr" header="Require:" check_it="true" assign_to="r"/><log message="[$r]"/>'
    return f'  <recv response="180"><action>{check}{kept}</action></recv>\n'


def prack():
    from script import CALLER, CONTACT, VIA, send
    return send(f"PRACK [$ringer] SIP/2.0\n{VIA}{CALLER}To:[$tagged]\nCall-ID: [call_id]\nCSeq: 2 PRACK\n{CONTACT}"
                "RAck: [$rseq] 1 INVITE\nMax-Forwards: 70\n") + hears("200")


if __name__ == "__main__":
    unittest.main(verbosity=2)
