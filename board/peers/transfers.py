"""Transfer with sipp as who transfers: REFER blind and attended, INVITE with Replaces, and what the peers are told."""

import unittest

import bed
from bed import Stage, media_of, wait_for
from script import (answered, answers, asks, hangs_up, hears, hung_up, invites, refused, requests, responds, rings, rung,
                    says, script, talks, waits)

STATION, PANEL, KITCHEN, OTHER, GUARD = "127.0.0.10", "127.0.0.25", "127.0.0.26", "127.0.0.35", "127.0.0.55"

PANEL_ANSWERS = script("panel answers, is hung up on", rung(), rings(), answers(), hung_up())
STATION_TALKS = script("station talks", invites(), answered(), talks(), hangs_up(2))
STATION_STAYS = script("station is hung up on", invites(), answered(), hung_up())


def notified(*statuses):
    """NOTIFYs of these statuses, in order, each replied to; the last ends the subscription."""
    text = ""
    for place, status in enumerate(statuses):
        state = "terminated" if place == len(statuses) - 1 else "active"
        text += (f'  <recv request="NOTIFY"><action>'
                 f'<ereg regexp="SIP/2.0 {status}" search_in="body" check_it="true" assign_to="n{place}"/><log message="[$n{place}]"/>'
                 f'<ereg regexp="{state}" search_in="hdr" header="Subscription-State:" check_it="true" assign_to="s{place}"/>'
                 f'<log message="[$s{place}]"/>'
                 f'<ereg regexp="refer" search_in="hdr" header="Event:" check_it="true" assign_to="e{place}"/>'
                 f'<log message="[$e{place}]"/></action></recv>\n' + says("200 OK"))
    return text


def refer(cseq, target):
    return asks("REFER", cseq, f"Refer-To: <{target}>\nReferred-By: <sip:panel401@vestibule.test>\n") + hears("202")


class Transfers(Stage):
    def station(self, scenario, target="panel401", **keys):
        return self.sipp(scenario, STATION, keys={"caller": "gate", "target": target, "talk": 20000, **keys})

    def test_a_blind_transfer_joins_the_visitor_and_the_guard(self):
        visitor, guard_voice = self.voice(STATION, 700), self.voice(GUARD, 1500)
        guard = self.panel(PANEL_ANSWERS, "guard1", GUARD, media=guard_voice.port)
        panel = self.panel(script("panel transfers", rung(), rings(), answers(), waits(300),
                                  refer(20, "sip:guard1@vestibule.test"), notified(100, 180, 200), hung_up()),
                           "panel401", PANEL)
        call = self.station(STATION_TALKS, media=visitor.port)
        panel.finish()
        self.meet(visitor, guard_voice, guard, call)
        call.end()
        guard.finish()
        record = self.gateway.last_record()
        self.assertEqual(record["end"], "answered")
        self.assertEqual([leg["account"] for leg in record["legs"]], ["intercom-main", "panel401", "guard1"])

    def test_a_blind_transfer_that_nobody_takes_leaves_the_call_as_it_was(self):
        visitor, resident = self.voice(STATION, 700), self.voice(PANEL, 1100)
        guard = self.panel(script("guard declines", rung(), rings(), responds("603 Decline"), hears("ACK")), "guard1", GUARD)
        panel = self.panel(script("panel transfers in vain", rung(), rings(), answers(), waits(300),
                                  refer(20, "sip:guard1@vestibule.test"), notified(100, 180, 603), hung_up()),
                           "panel401", PANEL, media=resident.port)
        call = self.station(STATION_TALKS, media=visitor.port)
        guard.finish()
        self.meet(visitor, resident, panel, call)
        call.end()
        panel.finish()

    def test_a_transfer_to_whom_one_may_not_call_is_refused(self):
        for target, status in [("sip:panel402@vestibule.test", "403"), ("sip:999@vestibule.test", "404"),
                               ("sip:guard1@elsewhere.example", "404")]:
            panel = self.panel(script("panel may not transfer", rung(), rings(), answers(),
                                      asks("REFER", 20, f"Refer-To: <{target}>\n"), hears(status),
                                      asks("BYE", 21), hears("200")), "panel401", PANEL)
            call = self.station(STATION_STAYS)
            panel.finish()
            call.finish()

    def test_a_station_may_not_transfer(self):
        panel = self.panel(PANEL_ANSWERS, "panel401", PANEL)
        self.station(script("station transfers", invites(), answered(),
                            requests("REFER", 2, "Refer-To: <sip:402@vestibule.test>\n"), hears("403"),
                            hangs_up(3))).finish()
        panel.finish()

    def test_an_attended_transfer_joins_the_visitor_and_whom_the_panel_called(self):
        """The panel talks to the visitor, calls the guard, and sends REFER with Replaces of that second call."""
        visitor, guard_voice = self.voice(STATION, 700), self.voice(GUARD, 1500)
        guard = self.panel(PANEL_ANSWERS, "guard1", GUARD, media=guard_voice.port)
        port = self.register("panel401", PANEL)
        # sipp keeps to one dialog a run: the consultation is a second run, and its identity is carried over.
        consults = script("panel consults", invites(digest=True), answered(2), hung_up())
        transfers = script("panel transfers attended", rung(), rings(), answers(), waits(1500),
                           asks("REFER", 20, "Refer-To: <sip:guard1@vestibule.test?Replaces=[call]%3Bto-tag%3D[theirtag]"
                                             "%3Bfrom-tag%3D[mytag]>\n"), hears("202"), notified(200), hung_up())
        second = self.caller(consults, "panel401", PANEL, "guard1")
        guard.wait_until_received("ACK sip:")
        second.wait_until_received("SIP/2.0 200 OK")
        call_id, to_tag, from_tag = bed.dialog_of(second.messages())
        first = self.sipp(transfers, PANEL, port=port,
                          keys={"call": call_id.replace("@", "%40"), "theirtag": to_tag, "mytag": from_tag})
        call = self.station(STATION_TALKS, media=visitor.port)
        first.finish()
        second.finish()
        self.meet(visitor, guard_voice, guard, call)
        call.end()
        guard.finish()

    def test_an_invite_with_replaces_takes_a_call_over_inside_the_unit(self):
        visitor, kitchen_voice = self.voice(STATION, 700), self.voice(KITCHEN, 1500)
        panel = self.panel(PANEL_ANSWERS, "panel401", PANEL)
        call = self.station(STATION_TALKS, media=visitor.port)
        panel.wait_until_received("ACK sip:")
        call_id, ours, theirs = bed.dialog_of(panel.messages(), marker="ACK sip:")
        taker = self.caller(script("kitchen takes over", invites("Replaces: [replaces]\nRequire: replaces\n", digest=True),
                                   answered(2), hung_up()), "kitchen401", KITCHEN, "panel401", media=kitchen_voice.port,
                            replaces=f"{call_id};to-tag={theirs};from-tag={ours}")
        panel.finish()
        taker.wait_until_received("SIP/2.0 200 OK")
        kitchen_voice.send_to(*media_of(taker.messages(), "SIP/2.0 200 OK"))
        visitor.send_to(*media_of(call.messages(), "SIP/2.0 200 OK"))
        wait_for("the kitchen hears the visitor", lambda: kitchen_voice.hears(700) > 0.8, 3)
        wait_for("the visitor hears the kitchen", lambda: visitor.hears(1500) > 0.8, 3)
        call.end()
        taker.finish()

    def test_a_call_of_another_unit_is_not_taken_over(self):
        panel = self.panel(PANEL_ANSWERS, "panel401", PANEL)
        call = self.station(STATION_TALKS)
        panel.wait_until_received("ACK sip:")
        call_id, ours, theirs = bed.dialog_of(panel.messages(), marker="ACK sip:")
        self.caller(script("a neighbour tries", invites("Replaces: [replaces]\nRequire: replaces\n", digest=True),
                           refused("481", 2)), "panel402", OTHER, "panel401",
                    replaces=f"{call_id};to-tag={theirs};from-tag={ours}").finish()
        call.end()
        panel.finish()


if __name__ == "__main__":
    unittest.main(verbosity=2)
