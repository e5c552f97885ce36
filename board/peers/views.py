"""The way to see who rings: every INVITE to a device of the unit carries one of its own, which ends with the ring."""

import re
import unittest

import bed
from bed import Stage, wait_for
from script import answered, answers, hangs_up, hung_up, invites, rings, rung, script, waits
from whep_client import ask

STATION, REAR, PANEL, KITCHEN = "127.0.0.10", "127.0.0.12", "127.0.0.23", "127.0.0.24"
VIEW = re.compile(r'^X-Vestibule-Whep: <(http://[^>]+/whep/entrance)>;token="([^"]{20,})"\r?$', re.MULTILINE)


class Views(Stage):
    @classmethod
    def directory(cls):
        return bed.building(camera="test:pattern")

    def view(self, panel):
        """Address and token of the INVITE that a panel got."""
        panel.wait_until_received("X-Vestibule-Whep: ")
        return VIEW.search(panel.messages()).groups()

    def sees(self, token):
        """What the camera's address says to a token: 401 once it is no good, else that this is no offer."""
        fields = {"Content-Type": "application/sdp", **({"Authorization": f"Bearer {token}"} if token else {})}
        return ask("POST", f"http://127.0.0.1:{self.gateway.http_port}/whep/entrance", fields, "v=0\r\n").status

    def ends(self, what, token):
        wait_for(what, lambda: self.sees(token) == 401, 3)

    def test_each_device_has_its_own_view_and_it_ends_with_the_ring(self):
        first = self.panel("panel_cancelled", "panel401", PANEL, cause=487)
        second = self.panel("panel_cancelled", "kitchen401", KITCHEN, cause=487)
        call = self.sipp("station_cancel", STATION, keys={"caller": "gate", "target": "401", "after": 15000})
        views = [self.view(panel) for panel in (first, second)]
        self.assertNotEqual(views[0][1], views[1][1], "what one device may see is not another's to hand on")
        for url, token in views:
            self.assertEqual(self.sees(token), 400, "it is good while it rings")
            self.assertTrue(url.endswith(f":{self.gateway.http_port}/whep/entrance"), url)
        self.ends("nobody without a token sees anything", "0" * 40)
        call.end()
        for _, token in views:
            self.ends("the view ends with the ring", token)

    def test_it_lasts_as_long_as_the_talk_for_whom_answered_and_no_longer_for_the_others(self):
        winner = self.panel(script("panel answers, is hung up on", rung(), rings(), waits(300), answers(), hung_up()),
                            "panel401", PANEL)
        loser = self.panel("panel_cancelled", "kitchen401", KITCHEN, cause=200)
        call = self.sipp(script("station talks", invites(), answered(), waits(1500), hangs_up(2)), STATION,
                         keys={"caller": "gate", "target": "401"})
        won, lost = self.view(winner)[1], self.view(loser)[1]
        winner.wait_until_received("ACK sip:")
        self.ends("who did not answer sees no more", lost)
        self.assertEqual(self.sees(won), 400, "who talks sees with whom")
        call.finish()
        self.ends("the view ends with the call", won)

    def test_where_no_camera_shows_the_caller_nothing_is_promised(self):
        panel = self.panel("panel_cancelled", "panel401", PANEL, cause=487)
        port = self.register("intercom-rear", REAR)
        call = self.sipp("station_registered_call", REAR, port=port, user="intercom-rear",
                         password=self.secret("intercom-rear"), keys={"media": 9, "talk": 300, "caller": "intercom-rear", "target": "401"})
        panel.wait_until_received("INVITE sip:")
        self.assertNotIn("X-Vestibule-Whep", panel.messages())
        call.stop()
        for live in self.gateway.run("calls"):
            self.gateway.run("calls", "hangup", live["id"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
