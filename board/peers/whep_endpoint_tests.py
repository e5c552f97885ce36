"""The WHEP conformance suite on endpoints: draft-ietf-wish-whep-03 up to section 4.4."""

import email.utils
import json
import re
import time

from whep_client import Description, fragment, offer
from whep_suite import FRAGMENT, SDP, Suite, draft


class Endpoint(Suite):
    """How sessions come to be, and end."""

    # --- 4.1 HTTP usage ---

    @draft("4.1", "MUST")
    def test_a_get_of_the_endpoint_succeeds_without_content(self):
        answer = self.ask("GET", self.url)
        self.assertEqual(answer.status // 100, 2, answer)
        self.assertEqual(answer.body, b"")

    @draft("4.1", "MUST")
    def test_a_get_of_a_session_succeeds_without_content(self):
        _, _, session = self.session()
        answer = self.ask("GET", session)
        self.assertEqual(answer.status // 100, 2, answer)
        self.assertEqual(answer.body, b"")

    @draft("4.1", "MAY")
    def test_problem_details_are_an_object_with_the_same_status(self):
        answer = self.post("nonsense")
        self.refused(answer)
        if answer.kind != "application/problem+json":
            self.skipTest(f"errors come as {answer.kind or 'nothing'}")
        told = json.loads(answer.body)
        self.assertIsInstance(told, dict)
        self.assertEqual(told.get("status", answer.status), answer.status)
        self.assertTrue(told.get("title") or told.get("type"), told)

    # --- 4.2 discoverability ---

    @draft("4.2", "SHOULD")
    def test_a_head_of_the_endpoint_is_ok_and_tells_application_sdp(self):
        answer = self.ask("HEAD", self.url)
        self.assertEqual((answer.status, answer.kind), (200, SDP), answer)

    @draft("4.2", "MUST")
    def test_a_head_carries_the_fields_of_a_get_and_no_body(self):
        head, get = self.ask("HEAD", self.url), self.ask("GET", self.url)
        passing = {"date", "content-length", "connection", "keep-alive", "age", "transfer-encoding"}
        self.assertEqual(head.names() - passing, get.names() - passing)
        self.assertEqual(head["Content-Type"], get["Content-Type"])
        self.assertEqual(head.body, b"")

    # --- 4.3.1 the offer is accepted ---

    @draft("4.3.1", "MUST")
    def test_an_offer_is_answered_201_with_sdp_and_a_location(self):
        answer = self.post(offer())
        self.assertEqual((answer.status, answer.kind), (201, SDP), answer)
        self.assertTrue(answer["Location"], answer)
        self.assertTrue(self.alive(self.place(answer)), "the Location is no session")

    @draft("4.3.1", "MUST")
    def test_the_answer_mirrors_the_offers_sections(self):
        sdp, answer, _ = self.session()
        asked, told = Description(sdp), Description(answer.text)
        self.assertEqual(told.order[:3], "vos", "RFC 8866: v=, o=, s= come first")
        self.assertEqual([s.kind for s in told.sections], [s.kind for s in asked.sections])
        self.assertEqual([s.protocol for s in told.sections], [s.protocol for s in asked.sections])
        self.assertEqual([s.get("mid") for s in told.live], [s.get("mid") for s in asked.sections if s.get("mid") in
                                                            [one.get("mid") for one in told.live]])
        self.assertTrue(told.live, "nothing was accepted")
        for mine, theirs in zip(asked.sections, told.sections):
            if theirs.is_refused:
                continue
            self.assertLessEqual(set(theirs.formats), set(mine.formats), "a format that was not offered")
            for number, name in theirs.codecs().items():
                self.assertEqual(name, mine.codecs()[number], f"format {number} is another codec")

    @draft("4.3.1", "MUST")
    def test_the_answer_has_what_ice_and_dtls_need(self):
        _, answer, _ = self.session()
        for section in Description(answer.text).live:
            self.assertIn(section.get("setup"), ("active", "passive"), "RFC 8842: an answer decides the role")
            self.assertGreaterEqual(len(section.get("ice-ufrag") or ""), 4)
            self.assertGreaterEqual(len(section.get("ice-pwd") or ""), 22)
            self.assertRegex(section.get("fingerprint") or "", r"(?i)^sha-(256|384|512) ([0-9A-F]{2}:)+[0-9A-F]{2}$")

    @draft("4.3.1", "RFC")
    def test_who_offers_rtcp_mux_without_demanding_it_is_served(self):
        # As browsers do; the word that demands it has no place in their offers (RFC 8858).
        _, answer, _ = self.session(without=("rtcp-mux-only",))
        self.assertTrue(all(section.has("rtcp-mux") for section in Description(answer.text).live))

    @draft("4.3.1", "RFC")
    def test_who_leaves_no_choice_of_the_dtls_role_is_answered_with_the_other(self):
        for offered, wanted in [("active", "passive"), ("passive", "active")]:
            _, answer, _ = self.session(setup=offered)
            self.assertEqual({section.get("setup") for section in Description(answer.text).live}, {wanted}, "RFC 8842")

    @draft("4.3.1", "RFC")
    def test_a_player_that_waits_for_the_servers_dtls_is_served(self):
        player, _, _ = self.connected(setup="passive", kinds=("video",))
        self.assertEqual(player.dtls._role, "server")
        player.decodes(5)

    @draft("4.3.1", "MUST")
    def test_the_answer_takes_no_extension_number_that_was_not_offered(self):
        sdp, answer, _ = self.session()
        for mine, theirs in zip(Description(sdp).sections, Description(answer.text).sections):
            asked = {value.split()[0].split("/")[0]: value.split()[1] for value in mine.all("extmap")}
            for value in theirs.all("extmap"):
                self.assertEqual(asked.get(value.split()[0].split("/")[0]), value.split()[1])

    @draft("4.3.1", "MUST")
    def test_what_the_answer_promises_comes(self):
        player, answer, _ = self.connected()
        self.assertTrue(Description(answer.text).live)
        player.receives(20)

    @draft("4.3.1", "MUST")
    def test_the_video_that_comes_can_be_decoded(self):
        player, answer, _ = self.connected(kinds=("video",))
        player.decodes(5)

    # --- 4.3.2 counter-offers ---

    @draft("4.3.2", "MUST")
    def test_a_counter_offer_is_an_offer_with_a_location(self):
        answer, _ = self.counter_offer()
        told = Description(answer.text)
        self.assertTrue(told.live)
        for section in told.live:
            self.assertEqual(section.get("setup"), "actpass", "RFC 8842: an initial offer leaves the role open")
            self.assertTrue(section.get("ice-ufrag") and section.get("ice-pwd") and section.get("fingerprint"))
            self.assertIn(section.get("mid"), told.bundle)

    @draft("4.6.1", "MUST")
    def test_every_section_of_a_counter_offer_says_rtcp_mux_only(self):
        answer, _ = self.counter_offer()
        self.assertTrue(all(s.has("rtcp-mux") and s.has("rtcp-mux-only") for s in Description(answer.text).live))

    @draft("4.3.5", "MUST NOT")
    def test_a_counter_offer_is_neither_inactive_nor_recvonly(self):
        answer, _ = self.counter_offer()
        self.assertEqual([s.direction for s in Description(answer.text).live if s.direction in ("inactive", "recvonly")], [])

    @draft("4.3.5", "SHOULD")
    def test_a_counter_offer_is_sendonly(self):
        answer, _ = self.counter_offer()
        self.assertEqual({s.direction for s in Description(answer.text).live}, {"sendonly"})

    @draft("4.3.2", "MUST")
    def test_until_when_a_counter_offer_holds_is_a_date_of_http(self):
        answer, _ = self.counter_offer()
        match = re.search(r'valid-until\s*=\s*"?([^";]+)"?', answer["Content-Type"])
        if not match:
            self.skipTest("it names no time, so it holds 30 seconds")
        self.assertRegex(match[1], r"^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$")
        self.assertGreater(email.utils.parsedate_to_datetime(match[1]).timestamp(), time.time() - 60)

    @draft("4.3.2", "MUST")
    def test_the_answer_to_a_counter_offer_is_taken_with_204_and_media_comes(self):
        self.answers(*self.counter_offer())

    @draft("4.3.2", "MUST")
    def test_a_malformed_answer_to_a_counter_offer_is_refused(self):
        _, session = self.counter_offer()
        self.refused(self.patch(session, "v=0\r\nnonsense", SDP))

    # --- 4.3.4 errors ---

    @draft("4.3.4", "MUST")
    def test_an_offer_of_another_content_type_is_refused(self):
        for kind in ("text/plain", "application/json", FRAGMENT, "application/sdpx", None):
            self.refused(self.post(offer(), kind), kind)

    @draft("4.3.4", "RFC")
    def test_a_content_type_is_known_in_any_case_and_with_parameters(self):
        for kind in ("Application/SDP", "application/sdp; charset=utf-8"):
            self.assertEqual(self.post(offer(), kind).status, 201, kind)

    @draft("4.3.4", "MUST")
    def test_a_malformed_offer_is_refused(self):
        whole = offer()
        for name, text in {
                "nothing": "", "words": "hello", "a number": "\x00\x01\xff", "no sections": whole.split("m=")[0],
                "no v line": whole[5:], "no user fragment": offer(without=("ice-ufrag",)), "no password": offer(without=("ice-pwd",)),
                "no fingerprint": offer(without=("fingerprint",)), "a short password": offer(password="short"),
                "a port that is none": whole.replace(" 9 ", " 99999 "), "a group of nobody": whole.replace("BUNDLE 0 1", "BUNDLE 7 8"),
        }.items():
            with self.subTest(name):
                self.refused(self.post(text), name)

    @draft("4.3.4", "MUST")
    def test_an_offer_beyond_all_measure_is_refused(self):
        self.refused(self.post(offer() + "a=x:" + "y" * 2_000_000 + "\r\n"))
        self.assertEqual(self.post(offer()).status, 201, "and the next player is served")

    # --- 4.3.5 directions ---

    @draft("4.3.5", "MUST")
    def test_an_answer_is_sendonly(self):
        _, answer, _ = self.session()
        self.assertEqual({s.direction for s in Description(answer.text).live}, {"sendonly"})

    @draft("4.3.5", "MUST")
    def test_an_answer_is_sendonly_to_a_sendrecv_offer_too(self):
        _, answer, _ = self.session(direction="sendrecv")
        self.assertEqual({s.direction for s in Description(answer.text).live}, {"sendonly"})

    @draft("4.3.5", "MUST NOT")
    def test_nothing_is_sent_to_who_offers_only_to_send(self):
        for direction in ("sendonly", "inactive"):
            answer = self.post(offer(direction=direction))
            if answer.status == 201:
                self.assertEqual([s for s in Description(answer.text).live if s.direction.startswith("send")], [], direction)
            else:
                self.refused(answer, direction)

    # --- 4.3.8 sessions ---

    @draft("4.3.8", "SHALL")
    def test_without_a_live_stream_the_answer_is_409_with_when_to_come_back(self):
        if not self.not_live:
            self.skipTest("no endpoint without a source was named")
        answer = self.post(offer(), url=self.not_live, polite=False)
        self.assertEqual(answer.status, 409, answer)
        self.assertIsNotNone(answer.patience, answer)

    @draft("4.3.8", "SHALL")
    def test_a_player_that_ends_dtls_has_ended_the_session(self):
        player, _, session = self.connected()
        player.receives(5)
        player.close()
        self.wait("the session is gone", lambda: not self.alive(session), 10)

    # --- 4.4 ends ---

    @draft("4.4", "MUST")
    def test_a_delete_removes_the_session(self):
        _, _, session = self.session()
        self.assertEqual(self.ask("DELETE", session).status, 200)
        self.sessions.remove(session)
        self.assertIn(self.ask("GET", session).status, (404, 410))
        self.assertIn(self.patch(session, fragment(offer()), If_Match="*").status, (404, 410))

    @draft("4.4", "MUST")
    def test_a_delete_ends_dtls_and_nothing_is_sent_any_more(self):
        player, _, session = self.connected()
        player.receives(10)
        self.assertEqual(self.ask("DELETE", session).status, 200)
        player.wait("the server ends DTLS", lambda: player.state == "closed", 5)
        seen = player.media
        self.assertTrue(player.is_silent())
        self.assertLess(player.media - seen, 5, "media after consent was withdrawn")

    @draft("4.4", "MUST")
    def test_options_of_the_endpoint_allow_other_origins(self):
        answer = self.ask("OPTIONS", self.url, token=False, Origin=self.origin,
                          Access_Control_Request_Method="POST", Access_Control_Request_Headers="authorization,content-type")
        self.assertEqual(answer.status // 100, 2, answer)
        self.assertIn(answer["Access-Control-Allow-Origin"], ("*", self.origin))
        if self.needs("POST", answer):
            self.assertIn("post", answer.items("Access-Control-Allow-Methods"))
        allowed = answer.items("Access-Control-Allow-Headers")
        # The wildcard of FETCH does not cover Authorization.
        self.assertIn("authorization", allowed)
        self.assertTrue("content-type" in allowed or "*" in allowed, answer)

    @staticmethod
    def needs(method, answer):
        return "*" not in answer.items("Access-Control-Allow-Methods")

    @draft("4.4", "MUST")
    def test_options_of_a_session_allow_other_origins_to_patch_and_delete(self):
        _, _, session = self.session()
        for method in ("PATCH", "DELETE"):
            answer = self.ask("OPTIONS", session, token=False, Origin=self.origin,
                              Access_Control_Request_Method=method,
                              Access_Control_Request_Headers="authorization,content-type,if-match")
            self.assertEqual(answer.status // 100, 2, answer)
            self.assertIn(answer["Access-Control-Allow-Origin"], ("*", self.origin))
            if self.needs(method, answer):
                self.assertIn(method.lower(), answer.items("Access-Control-Allow-Methods"))
            allowed = answer.items("Access-Control-Allow-Headers")
            self.assertIn("authorization", allowed)
            self.assertTrue({"content-type", "if-match"} <= set(allowed) or "*" in allowed, answer)

    @draft("4.4", "MUST")
    def test_other_origins_may_read_location_and_etag(self):
        answer = self.post(offer(), Origin=self.origin)
        self.assertEqual(answer.status, 201, answer)
        self.assertIn(answer["Access-Control-Allow-Origin"], ("*", self.origin))
        exposed = answer.items("Access-Control-Expose-Headers")
        wanted = [name for name in ("Location", "ETag", "Link") if answer[name]]
        self.assertTrue("*" in exposed or all(name.lower() in exposed for name in wanted), exposed)

    @draft("4.4", "SHOULD")
    def test_options_tell_what_may_be_posted(self):
        answer = self.ask("OPTIONS", self.url, token=False)
        self.assertEqual(answer.status, 200, answer)
        self.assertIn(SDP, answer.items("Accept-Post"))
