"""Runs the peer tests of this folder and reports one line a test; names of modules or tests as arguments choose."""

import concurrent.futures
import subprocess
import sys
import unittest

# Two at a time: each has a gateway of its own, and addresses are shared but no ports.
SIDE_BY_SIDE = ["phones", "house_rules", "wires", "transfers", "doors", "door_call", "pictures", "ring_verb", "names", "credentials", "views",
                "upkeep", "cameras", "doorway"]
# These fill the machine by themselves.
ALONE = ["attackers", "web_clients", "browsers", "web_talks", "networks", "page", "whep", "whep_clients", "whep_conformance"]


class Report(unittest.TestResult):
    """One line a test, as board/test counts them."""

    def addSuccess(self, test):
        print(f"ok {self.sentence(test)}", flush=True)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        print(self._exc_info_to_string(error, test))
        print(f"FAIL {self.sentence(test)}", flush=True)

    addError = addFailure

    def addSkip(self, test, reason):
        print(f"skip {self.sentence(test)}: {reason}", flush=True)

    @staticmethod
    def sentence(test):
        return getattr(test, "sentence", None) or test.id().split(".")[-1].removeprefix("test_").replace("_", " ")


def run(names):
    result = Report()
    unittest.defaultTestLoader.loadTestsFromNames(names).run(result)
    return 1 if result.failures or result.errors else 0


def run_apart(module, again=True):
    """A module that fails beside others is run once more, when `again`; what it says then is what counts, and the first
    failure stays in the output."""
    done = subprocess.run([sys.executable, __file__, module], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode and again:
        print(f"{module} failed, and runs again:", flush=True)
        print("".join(f"  first: {line}\n" for line in done.stdout.splitlines() if not line.startswith("ok ")), flush=True)
        return run_apart(module, again=False)
    print(done.stdout, end="", flush=True)
    if done.returncode and "FAIL " not in done.stdout:
        print(f"FAIL {module}: ended with status {done.returncode}", flush=True)
    return done.returncode


if sys.argv[1:]:
    sys.exit(run(sys.argv[1:]))
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    outcomes = list(pool.map(run_apart, SIDE_BY_SIDE))
sys.exit(max(outcomes + [run_apart(module) for module in ALONE]))
