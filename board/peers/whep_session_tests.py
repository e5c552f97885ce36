"""The WHEP conformance suite on sessions, and on everybody's restraint: draft-ietf-wish-whep-03 from section 4.5 on."""

import re
import secrets
import threading

import whep_client
from whep_client import Description, find_aiortc, fragment, offer
from whep_suite import FRAGMENT, NOWHERE, SDP, Suite, draft

EXTENSION = "urn:ietf:params:whep:ext"


class Session(Suite):
    """What may be asked of a session, and what its description must say."""

    # --- 4.5.1 PATCH ---

    @draft("4.5.1", "MUST")
    def test_a_patch_of_another_content_type_is_refused(self):
        sdp, answer, session = self.session()
        for kind in ("text/plain", "application/json", SDP, None):
            self.refused(self.patch(session, fragment(sdp), kind, If_Match=answer["ETag"] or "*"), kind)
        self.assertTrue(self.alive(session))

    @draft("4.5.1", "MUST")
    def test_a_malformed_fragment_is_refused(self):
        sdp, answer, session = self.session()
        for name, text in {
                "nothing": "", "words": "hello", "no credentials": "a=mid:0\r\n", "bytes": "\x00\xff\xfe",
        }.items():
            with self.subTest(name):
                self.refused(self.patch(session, text, If_Match=answer["ETag"] or "*"), name)
        self.assertTrue(self.alive(session))

    @draft("4.5.1", "MUST")
    def test_what_is_not_supported_of_trickle_and_restart_is_422(self):
        sdp, answer, session = self.session()
        trickle = self.patch(session, fragment(sdp, [NOWHERE]),
                             If_Match=answer["ETag"] or "*")
        restart = self.patch(session, fragment(sdp, ufrag="anew", password=secrets.token_hex(12)), If_Match="*")
        works = [one.status // 100 == 2 for one in (trickle, restart)]
        if all(works):
            return
        if not any(works):
            self.skipTest("neither trickle nor restart is supported")
        self.assertEqual((restart if works[0] else trickle).status, 422)

    @draft("4.5.1", "MUST")
    def test_the_201_has_a_strong_entity_tag(self):
        _, answer, _ = self.tagged()
        self.assertRegex(answer["ETag"], r'^"[^"]+"$')

    @draft("4.5.1", "MUST")
    def test_entity_tags_of_two_sessions_differ(self):
        tags = [self.tagged()[1]["ETag"] for _ in range(3)]
        self.assertEqual(len(set(tags)), 3)

    @draft("4.5.1", "MUST")
    def test_a_delete_with_any_entity_tag_succeeds(self):
        _, _, session = self.session()
        self.assertEqual(self.ask("DELETE", session, If_Match='"of-somebody-else"').status, 200)

    @draft("4.5.1", "MUST")
    def test_a_patch_without_an_entity_tag_is_428(self):
        sdp, _, session = self.tagged()
        self.assertEqual(self.patch(session, fragment(sdp)).status, 428)

    @draft("4.5.1", "MUST")
    def test_a_patch_with_another_entity_tag_is_412(self):
        sdp, _, session = self.tagged()
        self.assertEqual(self.patch(session, fragment(sdp), If_Match='"of-another-session"').status, 412)

    @draft("4.5.1", "MAY")
    def test_patches_that_overlap_are_all_answered(self):
        sdp, answer, session = self.session()
        seen = []
        body = fragment(sdp, [NOWHERE])
        work = [threading.Thread(target=lambda: seen.append(self.patch(session, body, If_Match=answer["ETag"] or "*").status))
                for _ in range(6)]
        for one in work:
            one.start()
        for one in work:
            one.join()
        if 405 in seen or 422 in seen:
            self.skipTest("no trickle")
        self.assertEqual(seen, [204] * 6)

    # --- 4.5.2 trickle ---

    @draft("4.5.2", "SHALL")
    def test_the_answer_has_the_servers_addresses(self):
        _, answer, _ = self.session()
        found = [value for section in Description(answer.text).live for value in section.all("candidate")]
        self.assertTrue(found, "no candidate")
        for value in found:
            self.assertRegex(value, r"(?i)^\S+ \d+ (udp|tcp) \d+ \S+ \d+ typ (host|srflx|prflx|relay)")

    @draft("4.5.2", "MUST")
    def test_a_trickle_is_204_without_content_and_entity_tag(self):
        sdp, answer, session = self.session()
        told = self.patch(session, fragment(sdp, [NOWHERE], end=True),
                          If_Match=answer["ETag"] or "*")
        if told.status in (405, 422):
            self.skipTest("no trickle")
        self.assertEqual((told.status, told.body, told["ETag"]), (204, b"", None), told)

    @draft("4.5.2", "MUST")
    def test_candidates_that_cannot_be_used_are_passed_over(self):
        sdp, answer, session = self.session()
        for candidate in (
                "candidate:1 1 tcp 1518280447 192.0.2.9 9 typ host tcptype active",
                "candidate:2 1 sctp 1518280447 192.0.2.9 9 typ host",
                "candidate:3 1 udp 2122260223 0c2ae2b4-7a5c-4d3e-9a1d-3a0a3b1f7f10.local 50000 typ host",
                "candidate:4 1 udp 2122260223 no-such-host.invalid 50000 typ host",
                "candidate:5 1 udp 2122260223 fe80::1 50000 typ host",
                "candidate:6 2 udp 2122260222 192.0.2.9 50001 typ host",
                "candidate:7 1 udp 1677729535 198.51.100.2 50002 typ srflx raddr 0.0.0.0 rport 0 generation 0 network-cost 999"):
            with self.subTest(candidate):
                told = self.patch(session, fragment(
                    sdp, [candidate, NOWHERE]), If_Match=answer["ETag"] or "*")
                if told.status in (405, 422):
                    self.skipTest("no trickle")
                self.assertEqual(told.status, 204, told)

    @draft("4.5.2", "MUST")
    def test_a_player_whose_addresses_come_later_is_served(self):
        player, answer, session = self.player(is_empty=True)
        told = self.patch(session, fragment(player.local(), player.candidates(), end=True), If_Match=answer["ETag"] or "*")
        if told.status in (405, 422):
            self.skipTest("no trickle")
        self.assertEqual(told.status, 204, told)
        player.connects()
        player.receives(5)

    # --- 4.5.3 restarts ---

    def restart(self, session, sdp, ufrag=None, password=None, candidates=(), tag="*"):
        told = self.patch(session, fragment(sdp, candidates, ufrag or secrets.token_hex(4), password or secrets.token_hex(12)),
                          If_Match=tag)
        if told.status in (405, 422, 501):
            self.skipTest("no ICE restart")
        return told

    @draft("4.5.3", "SHALL")
    def test_a_restart_is_200_with_new_credentials(self):
        sdp, answer, session = self.session()
        told = self.restart(session, sdp)
        self.assertEqual((told.status, told.kind), (200, FRAGMENT), told)
        old = Description(answer.text).live[0]
        found = dict(re.findall(r"a=(ice-ufrag|ice-pwd):(\S+)", told.text))
        self.assertGreaterEqual(len(found["ice-ufrag"]), 4)
        self.assertGreaterEqual(len(found["ice-pwd"]), 22)
        self.assertNotEqual(found["ice-ufrag"], old.get("ice-ufrag"))
        self.assertNotEqual(found["ice-pwd"], old.get("ice-pwd"))

    @draft("4.5.3", "SHALL")
    def test_a_restart_names_the_servers_addresses(self):
        sdp, _, session = self.session()
        self.assertRegex(self.restart(session, sdp).text, r"(?m)^a=candidate:")

    @draft("4.5.3", "MUST")
    def test_a_restart_gives_another_entity_tag(self):
        sdp, answer, session = self.session()
        told = self.restart(session, sdp)
        self.assertRegex(told["ETag"] or "", r'^"[^"]+"$')
        self.assertNotEqual(told["ETag"], answer["ETag"])

    @draft("4.5.3", "MUST")
    def test_after_a_restart_the_new_entity_tag_holds_and_the_old_does_not(self):
        sdp, answer, session = self.session()
        ufrag, password = secrets.token_hex(4), secrets.token_hex(12)
        told = self.restart(session, sdp, ufrag, password)
        self.assertEqual(told.status, 200, told)
        anew = fragment(sdp, [NOWHERE], ufrag, password)
        self.assertEqual(self.patch(session, anew, If_Match=answer["ETag"]).status, 412)
        self.assertEqual(self.patch(session, anew, If_Match=told["ETag"]).status, 204)

    @draft("4.5.3", "MUST")
    def test_a_restart_has_the_same_ice_options_and_lite_as_the_answer(self):
        sdp, answer, session = self.session()
        told = self.restart(session, sdp)
        self.assertEqual(told.status, 200, told)

        def words(text, name):
            return {word for value in re.findall(rf"(?m)^a={name}:(.*?)\r?$", text) for word in value.split()}
        self.assertEqual("a=ice-lite" in told.text, "a=ice-lite" in answer.text)
        self.assertEqual(words(told.text, "ice-options"), words(answer.text, "ice-options"))
        self.assertEqual(words(told.text, "ice-pacing"), words(answer.text, "ice-pacing"))

    @draft("4.5.3", "RFC")
    def test_the_star_in_quotes_of_the_drafts_own_example_restarts_too(self):
        sdp, _, session = self.session()
        self.assertEqual(self.restart(session, sdp, tag='"*"').status, 200)

    @draft("4.5.3", "MUST")
    def test_media_goes_on_over_a_restart(self):
        player, answer, session = self.connected()
        player.receives(10)
        ufrag, password, candidates = player.gather_anew()
        told = self.restart(session, player.local(), ufrag, password, candidates)
        self.assertEqual(told.status, 200, told)
        found = dict(re.findall(r"a=(ice-ufrag|ice-pwd):(\S+)", told.text))
        player.go_over(found["ice-ufrag"], found["ice-pwd"], re.findall(r"a=(candidate:[^\r\n]+)", told.text),
                       "a=ice-lite" in told.text)
        player.receives(30)
        self.assertEqual(player.state, "connected", "DTLS is the same one")

    @draft("4.5.3", "MUST NOT")
    def test_a_restart_that_fails_leaves_the_session_as_it_was(self):
        player, answer, session = self.connected()
        player.receives(5)
        told = self.patch(session, fragment(player.local(), ufrag="anew", password="short"), If_Match="*")
        self.assertIn(told.status // 100, (4, 5), told)
        player.receives(30)
        self.assertTrue(self.alive(session))
        # By the same names as before: a trickle is still one.
        if answer["ETag"]:
            self.assertEqual(self.patch(session, fragment(player.local(), player.candidates()), If_Match=answer["ETag"]).status, 204)

    # --- 4.6 constraints ---

    @draft("4.6.1", "SHALL")
    def test_all_accepted_sections_are_one_bundle(self):
        _, answer, _ = self.session()
        told = Description(answer.text)
        self.assertEqual(set(told.bundle), {section.get("mid") for section in told.live})

    @draft("4.6.1", "SHALL")
    def test_rtcp_comes_with_rtp(self):
        _, answer, _ = self.session()
        self.assertTrue(all(section.has("rtcp-mux") for section in Description(answer.text).live))

    @draft("4.6.1", "MUST")
    def test_every_bundled_section_says_rtcp_mux_only(self):
        _, answer, _ = self.session()
        self.assertTrue(all(section.has("rtcp-mux-only") for section in Description(answer.text).live))

    @draft("4.6.1", "MUST")
    def test_everything_comes_on_one_transport(self):
        _, answer, _ = self.session()
        live = Description(answer.text).live
        self.assertEqual(len({section.get("ice-ufrag") for section in live}), 1)
        self.assertEqual(len({section.get("fingerprint") for section in live}), 1)

    @draft("4.6.2", "MUST")
    def test_every_section_names_the_same_stream(self):
        _, answer, _ = self.session()
        streams = [section.get("msid") for section in Description(answer.text).live]
        self.assertTrue(streams and all(streams), "a section without msid")
        self.assertEqual(len({stream.split()[0] for stream in streams}), 1)

    @draft("4.6.2", "MUST NOT")
    def test_a_second_track_of_a_kind_is_not_sent(self):
        answer = self.post(offer(("video", "video", "audio", "audio")))
        if answer.status != 201:
            return self.refused(answer)
        live = Description(answer.text).live
        for kind in ("video", "audio"):
            self.assertLessEqual(len([s for s in live if s.kind == kind and s.direction.startswith("send")]), 1)

    @draft("4.6.2", "MUST")
    def test_who_offers_video_alone_gets_it(self):
        _, answer, _ = self.session(sections=("video",))
        self.assertEqual([section.kind for section in Description(answer.text).live], ["video"])

    @draft("4.6.3", "SHOULD")
    def test_ice_is_full_or_every_address_can_be_reached(self):
        if not find_aiortc():
            self.skipTest("aiortc is not installed")
        _, answer, _ = self.session()
        if "a=ice-lite" not in answer.text:
            return
        # Lite is for who can be reached by any player: here at least by this one.
        player, _, _ = self.connected()
        player.receives(1)

    # --- 4.7 redirections ---

    @draft("4.7", "MUST NOT")
    def test_no_post_is_redirected_in_a_way_that_loses_its_method(self):
        for url in (self.url, self.url + "/", self.url.rsplit("/", 1)[0]):
            self.assertNotIn(self.post(offer(), url=url, polite=False).status, (301, 302), url)
        self.assertEqual([one for one in self.seen_statuses if one[1] in (301, 302)], [])

    # --- 4.8 servers of the player ---

    @draft("4.8", "MUST")
    def test_ice_servers_are_links_that_players_can_read(self):
        _, answer, _ = self.session()
        servers = [link for link in answer.links() if link[1].get("rel") == "ice-server"]
        if not servers:
            self.skipTest("no ICE servers in the 201")
        for address, parameters in servers:
            self.assertRegex(address, r"^(stuns?|turns?):")
            if address.startswith("turn"):
                self.assertTrue(parameters.get("username") and parameters.get("credential"), parameters)

    # --- 4.9 who may ---

    @draft("4.9", "MUST")
    def test_without_a_token_the_answer_is_401_and_names_the_scheme(self):
        if not self.token:
            self.skipTest("no token was named")
        answer = self.post(offer(), token=False)
        self.assertEqual(answer.status, 401, answer)
        self.assertRegex((answer["WWW-Authenticate"] or "").lower(), r"\bbearer\b")

    @draft("4.9.1", "MUST")
    def test_a_wrong_token_is_refused_on_the_endpoint_and_the_session(self):
        if not self.token:
            self.skipTest("no token was named")
        wrong = secrets.token_hex(16)
        self.assertIn(self.post(offer(), token=wrong).status, (401, 403))
        sdp, answer, session = self.session()
        for told in (self.patch(session, fragment(sdp), token=wrong, If_Match=answer["ETag"] or "*"),
                     self.ask("DELETE", session, token=wrong)):
            self.assertIn(told.status, (401, 403, 404))
        self.assertTrue(self.alive(session))

    @draft("4.9.1", "RFC")
    def test_the_schemes_name_is_known_in_any_case(self):
        if not self.token:
            self.skipTest("no token was named")
        answer = self.post(offer(), token=False, Authorization=f"bearer {self.token}")
        self.assertEqual(answer.status, 201, answer)

    @draft("4.9.1", "MUST")
    def test_preflight_requests_need_no_token(self):
        _, _, session = self.session()
        for url in (self.url, session):
            self.assertEqual(self.ask("OPTIONS", url, token=False, Origin=self.origin,
                                      Access_Control_Request_Method="POST").status // 100, 2)

    # --- 4.10 extensions ---

    @draft("4.10", "MUST")
    def test_extensions_are_links_with_an_address(self):
        _, answer, _ = self.session()
        found = [link for link in answer.links() if (link[1].get("rel") or "").startswith("urn:ietf:params:whep")]
        for address, parameters in found:
            self.assertTrue(address)
            self.assertTrue(parameters["rel"].startswith(EXTENSION), parameters)
            self.assertEqual(len(parameters["rel"].split()), 1, "one Link for each extension")

    @draft("4.10", "MUST NOT")
    def test_no_extension_is_needed_to_watch(self):
        player, _, _ = self.connected()
        player.receives(5)

    # --- 5 security ---

    @draft("5", "SHALL")
    def test_it_is_https(self):
        if not self.url.startswith("https:"):
            self.fail("the endpoint was named by http:")

    @draft("5", "SHOULD")
    def test_addresses_of_sessions_cannot_be_guessed(self):
        places = []
        for _ in range(8):
            places.append(self.session()[2].rstrip("/"))
            self.ask("DELETE", self.sessions.pop())
        self.assertEqual(len(set(places)), 8)
        prefix = min(places)
        while not all(place.startswith(prefix) for place in places):
            prefix = prefix[:-1]
        rest = [place[len(prefix):] for place in places]
        # 122 bits, as a random UUID has; told from what the characters of all of them can say.
        alphabet = 4 if re.fullmatch(r"[0-9a-fA-F-]+", "".join(rest)) else 6
        self.assertGreaterEqual(min(len(re.sub(r"[^0-9A-Za-z_]", "", one)) for one in rest) * alphabet, 112, rest)

    @draft("5", "RFC")
    def test_the_description_does_not_tell_what_the_sessions_address_is(self):
        _, answer, session = self.session()
        self.assertNotIn(session.rstrip("/").rsplit("/", 1)[1], answer.text)


class Flood(Suite):
    """Asks without measure. Comes last, for the server may not like the asker for a while."""

    def floods(self, method, url, body=None, most=1500, **fields):
        """The same request again and again on one connection, until a limit shows itself."""
        if self.token:
            fields["Authorization"] = f"Bearer {self.token}"
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        line = whep_client.connect(url, verify=self.verify)
        self.addCleanup(line.close)
        seen = {}
        for _ in range(most):
            try:
                answer = whep_client.ask(method, url, fields, body() if callable(body) else body, on=line)
            except OSError:
                return
            if answer.status == 201:
                self.sessions.append(self.place(answer))
            seen[answer.status] = seen.get(answer.status, 0) + 1
            if answer.status in (429, 503):
                self.assertTrue(answer["Retry-After"] is None or answer.patience is not None, answer)
                return
        self.fail(f"no limit within {most} requests: {seen}")

    @draft("5", "SHOULD")
    def test_posts_without_measure_meet_a_limit(self):
        self.floods("POST", self.url, offer, Content_Type=SDP)

    @draft("5", "SHOULD")
    def test_patches_without_measure_meet_a_limit(self):
        sdp, answer, session = self.session()
        body = fragment(sdp, [NOWHERE])
        self.floods("PATCH", session, body, Content_Type=FRAGMENT, If_Match=answer["ETag"] or "*")

    @draft("5", "SHOULD")
    def test_deletes_without_measure_meet_a_limit(self):
        _, _, session = self.session()
        self.floods("DELETE", session.rstrip("/") + secrets.token_hex(2))
