"""Names by a real name server: dnsmasq in a network of its own, and a telephone that only its SRV record leads to."""

import contextlib
import os
import subprocess
import types
import unittest

import bed
from bed import Sipp, wait_for
from script import answers, hung_up, rings, rung, script

TESTS = os.path.join(bed.ROOT, ".build/debug/vestibulePackageTests.xctest")
DOMAIN, PORT = "panels.test", 5099


class Names(unittest.TestCase):
    def setUp(self):
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.network = f"vestibule-{os.getpid()}"
        if subprocess.run(["ip", "netns", "add", self.network], capture_output=True).returncode:
            self.skipTest("no namespaces")
        self.stack.callback(lambda: subprocess.run(["ip", "netns", "del", self.network]))
        self.inside = ["ip", "netns", "exec", self.network]
        subprocess.run([*self.inside, "ip", "link", "set", "lo", "up"], check=True)
        # `ip netns exec` shows programs this file as /etc/resolv.conf.
        folder = f"/etc/netns/{self.network}"
        os.makedirs(folder)
        self.stack.callback(lambda: subprocess.run(["rm", "-rf", folder]))
        with open(folder + "/resolv.conf", "w") as file:
            file.write("nameserver 127.0.0.53\noptions timeout:2 attempts:2\n")

    def name_server(self, *records):
        server = subprocess.Popen(
            [*self.inside, "dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
             "--bind-interfaces", "--listen-address=127.0.0.53", "--log-queries", "--log-facility=-",
             "--local=/test/", *records], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.stack.callback(lambda: (server.kill(), server.wait(), server.stderr.close()))
        wait_for("the name server listens", lambda: subprocess.run(
            [*self.inside, "ss", "-Hlun", "sport", "=", ":53"], capture_output=True, text=True).stdout)
        return server

    def call(self):
        if not os.path.exists(TESTS):
            subprocess.run(["swift", "build", "--build-tests"], cwd=bed.ROOT, check=True, capture_output=True)
        return subprocess.run([*self.inside, TESTS, "--testing-library", "swift-testing", "--filter",
                               "aCallFindsItsDomainByTheServiceRecord"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                              env={**os.environ, "VESTIBULE_SRV_DOMAIN": DOMAIN})

    def telephone(self, address):
        nowhere = types.SimpleNamespace(ports={"udp": 9})
        run = Sipp(script("panel answers", rung(), rings(), answers(), hung_up()), nowhere, address, port=PORT,
                   inside=self.inside)
        self.stack.callback(run.stop)
        return run

    def test_a_call_finds_a_domain_by_its_service_record(self):
        self.name_server(f"--srv-host=_sip._udp.{DOMAIN},door.{DOMAIN},{PORT},10,5",
                         f"--host-record=door.{DOMAIN},127.0.0.9")
        telephone = self.telephone("127.0.0.9")
        done = self.call()
        self.assertIn("1 test", done.stdout)
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        telephone.finish()

    def test_the_record_of_least_priority_is_called_first_and_the_next_when_it_is_dead(self):
        self.name_server(f"--srv-host=_sip._udp.{DOMAIN},dead.{DOMAIN},{PORT},1,5",
                         f"--srv-host=_sip._udp.{DOMAIN},door.{DOMAIN},{PORT},10,5",
                         f"--host-record=door.{DOMAIN},127.0.0.9")
        telephone = self.telephone("127.0.0.9")
        done = self.call()
        self.assertEqual(done.returncode, 0, done.stdout[-2000:])
        telephone.finish()

    def test_a_domain_without_records_is_not_called(self):
        self.name_server()
        done = self.call()
        self.assertNotEqual(done.returncode, 0, "the test above can fail")
        self.assertIn("refused", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
