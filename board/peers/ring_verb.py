"""`vestibule ring` rings panels that sipp and baresip play, hears them, and says so."""

import json
import subprocess
import time
import unittest

import bed
from bed import Stage, media_of, wait_for
from phones import HOST, Baresip

PANEL, KITCHEN, OTHER = "127.0.0.21", "127.0.0.22", "127.0.0.31"


class RingVerb(Stage):
    def ring(self, *words):
        """The command under way; `outcome` waits for its end."""
        run = subprocess.Popen([bed.CLI, "--socket", self.gateway.socket, "ring", *words, "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.stack.callback(run.kill)
        return run

    def outcome(self, run):
        text, errors = run.communicate(timeout=30)
        return run.returncode, json.loads(text) if text.strip() else None, errors

    def panel(self, scenario, account, address, **keys):
        return super().panel(scenario, account, address, **{"station": ".*", **keys})

    def answered_by_sipp(self, *words, station):
        resident = self.voice(PANEL, 1100)
        panel = self.panel("panel_answer", "panel401", PANEL, media=resident.port, station=station)
        run = self.ring("401", "--seconds", "3", *words)
        panel.wait_until_received("ACK sip:")
        resident.send_to(*media_of(panel.messages(), "INVITE sip:"))
        wait_for("the resident hears the ring's tone", lambda: resident.hears(440) > 0.8, 3)
        code, report, errors = self.outcome(run)
        panel.finish()
        self.assertEqual((code, errors), (0, ""))
        self.assertTrue(report["answered"])
        self.assertEqual(report["by"], "panel401")
        legs = {leg["account"]: leg for leg in report["legs"]}
        self.assertEqual(legs["panel401"]["state"], "answered")
        self.assertEqual(legs["panel401"]["codec"].split("/")[0], "PCMA")
        self.assertGreater(report["audio"]["sent"], 50)
        self.assertGreater(report["audio"]["received"], 50)

    def test_ring_is_answered_by_a_sipp_panel_and_both_are_heard(self):
        self.answered_by_sipp(station="Entrance")

    def test_ring_as_another_station_shows_its_name(self):
        self.answered_by_sipp("--as", "intercom-rear", station="Rear")

    def test_ring_is_answered_by_baresip(self):
        phone = Baresip(self.gateway, "panel402", self.secret("panel402"), HOST)
        self.stack.callback(phone.close)
        run = self.ring("402", "--seconds", "2")
        wait_for("baresip rings", lambda: "Incoming call" in phone.text())
        phone.command("accept")
        code, report, errors = self.outcome(run)
        self.assertEqual((code, errors), (0, ""))
        self.assertEqual((report["answered"], report["by"]), (True, "panel402"))
        self.assertGreater(report["audio"]["received"], 20)

    def refused(self, *words):
        code, report, errors = self.outcome(self.ring(*words))
        self.assertEqual(code, 1, errors)
        self.assertEqual(len(errors.strip().splitlines()), 1, errors)
        return report, errors

    def test_ring_that_is_declined_says_so_and_fails(self):
        panel = self.panel("panel_refuse", "panel401", PANEL, status=603)
        report, errors = self.refused("401")
        panel.finish()
        self.assertFalse(report["answered"])
        self.assertEqual({leg["account"]: leg["code"] for leg in report["legs"]}["panel401"], 603)
        self.assertIn("declined", errors)

    def test_ring_that_nobody_hears_says_so_and_fails(self):
        report, errors = self.refused("401")
        self.assertFalse(report["answered"])
        self.assertIn("nobody answered (unreachable)", errors)

    def test_ring_of_a_mute_panel_fails_after_the_answer(self):
        self.panel("panel_answer", "panel401", PANEL)
        report, errors = self.refused("401", "--seconds", "1")
        self.assertTrue(report["answered"])
        self.assertEqual(report["audio"]["received"], 0)
        self.assertIn("no audio came back", errors)

    def test_ring_of_an_unknown_unit_or_as_an_unknown_station_fails(self):
        code, _, errors = self.outcome(self.ring("999"))
        self.assertEqual(code, 1)
        self.assertEqual(len(errors.strip().splitlines()), 1, errors)
        code, report, errors = self.outcome(self.ring("401", "--as", "nobody"))
        self.assertNotEqual(code, 0)
        self.assertIsNone(report)
        self.assertIn("nobody", errors)

    def test_the_right_to_ring_is_for_one_call(self):
        began = time.monotonic()
        self.refused("402")
        self.assertLess(time.monotonic() - began, 10)
        self.assertNotIn("vestibule-ring", str(self.gateway.run("accounts")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
