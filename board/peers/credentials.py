"""What a device was given outlives the daemon: links, bearers and cookies; and so does what was taken back."""

import unittest

import bed
from bed import Gateway, wait_for
from whep_client import ask


def directory():
    building = bed.building()
    building["units"][0]["accounts"].append({"username": "web401", "kind": "browser"})
    return building


class Credentials(unittest.TestCase):
    def setUp(self):
        self.gateway = Gateway(directory())
        self.addCleanup(self.gateway.close)

    def ask(self, method, path, bearer=None, cookie=None, body=None):
        origin = f"http://127.0.0.1:{self.gateway.http_port}"
        fields = {"Origin": origin, "Content-Type": "application/json"}
        if bearer:
            fields["Authorization"] = f"Bearer {bearer}"
        if cookie:
            fields["Cookie"] = cookie
        return ask(method, origin + path, fields, body)

    def link(self):
        return self.gateway.run("enroll", "web401", "--format", "url")["url"].split("#enroll=")[1]

    def redeem(self, token):
        return self.ask("POST", f"/provision/{token}")

    def redeemed(self, token):
        answer = self.redeem(token)
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def account(self, **proof):
        told = self.ask("GET", "/api/v1/session", **proof)
        return told.json["account"] if told.status == 200 else told.status

    def restart(self, kills):
        if kills:
            self.gateway.kill()
        else:
            self.gateway.stop()
        self.gateway.start()

    def test_a_bearer_and_its_cookie_outlive_a_kill_and_a_restart(self):
        given = self.redeemed(self.link())
        told = self.ask("POST", "/api/v1/session", bearer=given["bearer"])
        self.assertEqual(told.status, 204)
        cookie = told["Set-Cookie"].split(";")[0]
        for kills in [True, False, True]:
            self.restart(kills)
            self.assertEqual(self.account(bearer=given["bearer"]), "web401")
            self.assertEqual(self.account(cookie=cookie), "web401")
            # A door takes no second command for three seconds, which begin anew with the daemon.
            wait_for("it opens what it may", lambda: self.opens(cookie), 5)
        self.assertEqual(self.account(bearer="0" * 64), 401)
        # The state holds neither of them.
        with open(self.gateway.folder + "/vestibule.sqlite", "rb") as file:
            self.assertNotIn(given["bearer"].encode(), file.read())

    def opens(self, cookie):
        opened = self.ask("POST", "/api/v1/doors/entrance/open", cookie=cookie, body="{}")
        self.assertEqual(opened.status, 200)
        self.assertIn(opened.json["reason"], [None, "cooldown"])
        return opened.json["result"] == "opened"

    def test_a_link_waits_through_a_kill_and_is_good_once(self):
        token = self.link()
        self.restart(kills=True)
        given = self.redeemed(token)
        self.assertEqual(self.account(bearer=given["bearer"]), "web401")
        self.restart(kills=True)
        self.assertEqual(self.redeem(token).status, 410, "what was redeemed stays so")

    def test_what_was_revoked_stays_revoked(self):
        token = self.link()
        given = self.redeemed(self.link())
        self.assertEqual(self.gateway.run("revoke", "web401")["revoked"], 1)
        self.assertEqual(self.account(bearer=given["bearer"]), 401)
        self.restart(kills=True)
        self.assertEqual(self.account(bearer=given["bearer"]), 401)
        self.assertEqual(self.redeem(token).status, 410, "and so do links that were on their way")

    def test_a_page_that_forgot_itself_is_forgotten(self):
        first, second = self.redeemed(self.link()), self.redeemed(self.link())
        self.assertEqual(self.ask("DELETE", "/api/v1/session", bearer=first["bearer"]).status, 204)
        self.restart(kills=True)
        self.assertEqual(self.account(bearer=first["bearer"]), 401)
        self.assertEqual(self.account(bearer=second["bearer"]), "web401", "the other devices of the account stay")

    def test_quiet_outlives_a_kill(self):
        given = self.redeemed(self.link())
        told = self.ask("PUT", "/api/v1/accounts/web401/dnd", bearer=given["bearer"], body='{"dnd":true}')
        self.assertEqual((told.status, told.json["dnd"]), (200, True))
        self.restart(kills=True)
        self.assertTrue(self.gateway.account("web401")["dnd"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
