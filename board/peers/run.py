"""Runs the peer tests of this folder and reports one line a test; names of modules or tests as arguments choose."""

import sys
import unittest

MODULES = [
    "door_call", "ring_verb", "house_rules", "transfers", "pictures", "doors", "wires", "phones", "attackers",
    "web_clients", "browsers", "web_talks", "page",
]


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
        return test.id().split(".")[-1].removeprefix("test_").replace("_", " ")


names = sys.argv[1:] or MODULES
result = Report()
unittest.defaultTestLoader.loadTestsFromNames(names).run(result)
sys.exit(1 if result.failures or result.errors else 0)
