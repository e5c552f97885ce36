"""Runs the peer tests of this folder and reports one line a test; names of modules or tests as arguments choose."""

import contextlib
import ctypes
import os
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

PR_SET_CHILD_SUBREAPER = 36
BY_ITSELF = "by itself: run.py "
# Each has a gateway of its own, and addresses are shared but no ports. Of these four run at a time: two that look at
# pictures or have a browser, and two that mostly wait.
BUSY = ["page", "page_rings", "web_talks", "web_codecs", "networks", "whep_conformance", "whep_clients", "browsers"]
WAITING = ["scanners", "cameras", "camera_faults", "house_rules", "pictures", "phones", "door_call", "doors", "transfers",
           "ring_verb", "credentials", "views", "upkeep", "wires", "names", "whep_suite_itself"]
# These judge how soon something comes, or fill the machine by themselves.
ALONE = ["whep", "attackers", "doorway", "web_clients"]


class Report(unittest.TestResult):
    """One line a test, as board/test counts them; `took` are seconds and sentences."""

    def __init__(self):
        super().__init__()
        self.took = []

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        self.took.append((time.monotonic() - self.began, self.sentence(test)))

    def addSuccess(self, test):
        print(f"ok {self.sentence(test)}", flush=True)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        print(self._exc_info_to_string(error, test))
        print(f"FAIL {self.sentence(test)}\n{BY_ITSELF}{test.id()}", flush=True)

    addError = addFailure

    def addSubTest(self, test, subtest, error):
        if error:
            self.addFailure(test, error)

    def addSkip(self, test, reason):
        print(f"skip {self.sentence(test)}: {reason}", flush=True)

    @staticmethod
    def sentence(test):
        return getattr(test, "sentence", None) or test.id().split(".")[-1].removeprefix("test_").replace("_", " ")


def run(names):
    # What a browser leaves that was killed is ours, so that its work is counted.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    result, began = Report(), time.monotonic()
    unittest.defaultTestLoader.loadTestsFromNames(names).run(result)
    between = time.monotonic() - began - sum(seconds for seconds, _ in result.took)
    print(f"took {between:.0f} s: before and between the tests")
    for seconds, sentence in sorted(result.took, reverse=True)[:5]:
        print(f"took {seconds:.0f} s: {sentence}", flush=True)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return 1 if result.failures or result.errors else 0


def run_apart(*names):
    """What they print, a status, seconds, and seconds of a core."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, *names], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process.stdout:
        output = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return output, process.returncode, time.monotonic() - began, used.ru_utime + used.ru_stime


def run_module(module):
    """Its name, a status, what was run again, and its costs. What fails beside others is run once more; what it says then is
    what counts, and the first failure stays in the output."""
    output, status, *costs = run_apart(module)
    failed = []
    if status:
        lines = output.splitlines(keepends=True)
        good = [line for line in lines if line.startswith(("ok ", "skip "))]
        failed = list(dict.fromkeys(line.removeprefix(BY_ITSELF).strip() for line in lines if line.startswith(BY_ITSELF)))
        # What is no test of the module's own cannot be run by its name.
        if not failed or not all(name.startswith(f"{module}.") for name in failed):
            good, failed = [], [module]
        print(f"failed, and runs again: {' '.join(failed)}\n" + "".join(f"  first: {line}" for line in lines if not line.startswith("ok ")),
              flush=True)
        output, status, *more = run_apart(*failed)
        output, costs = "".join(good) + output, map(sum, zip(costs, more))
    print(output, end="", flush=True)
    if status and "FAIL " not in output:
        print(f"FAIL {module}: ended with status {status}", flush=True)
    return module, status, failed, *costs


if sys.argv[1:]:
    sys.exit(run(sys.argv[1:]))
began = time.monotonic()
# What peers leave lying about, sipp and the browsers above all, goes with this folder.
with tempfile.TemporaryDirectory(prefix="peers.", ignore_cleanup_errors=True) as os.environ["TMPDIR"]:
    with ThreadPoolExecutor(2) as busy, ThreadPoolExecutor(2) as waiting:
        lanes = busy.map(run_module, BUSY), waiting.map(run_module, WAITING)
    outcomes = [outcome for lane in lanes for outcome in lane]
    outcomes += [run_module(module) for module in ALONE]
for module, _, _, seconds, busy in sorted(outcomes, key=lambda outcome: -outcome[3]):
    print(f"{module}: {seconds:.0f} s, {busy:.0f} s of a core")
print(f"all modules: {time.monotonic() - began:.0f} s")
again = [name for _, _, failed, *_ in outcomes for name in failed]
print(f"run again: {len(again)}" + "".join(f"\n  {name}" for name in again))
sys.exit(max(status for _, status, *_ in outcomes))
