"""Does a WHEP server do what draft-ietf-wish-whep-03 asks of one? Every MUST and SHOULD that speaks to a server is a test,
named by what it asks, with its section.

    whep_conformance.py URL [--token TOKEN] [--not-live URL] [--origin ORIGIN] [--only WORDS]
        [--flood] [--list] [--verify] [--strict]

`--not-live` names an endpoint whose stream has no source; `--origin` one whose pages may look, where not all may;
`--flood` asks so often that a limit must show itself, and comes last; `--verify` wants a certificate that is known here;
`--strict` counts a SHOULD that is not kept as a failure. What a server may leave out is skipped, with what was missing.
With aiortc (`pip install aiortc`) media is received for real.

What only a player can keep (4.3.6, most of 4.5.3's last paragraph) has no test here. Tests marked `RFC` come from what the
draft refers to and builds on. Within this project the tests run against the gateway (run.py).
"""

import argparse
import sys
import unittest

from whep_endpoint_tests import Endpoint
from whep_session_tests import Flood, Session
from whep_suite import Suite
from whep_waiting_tests import Checks, Patience

# --- by itself ---------------------------------------------------------------------------------------------------


class Lines(unittest.TestResult):
    """One line a requirement."""

    def __init__(self, is_strict):
        super().__init__()
        self.is_strict, self.counts, self.failed = is_strict, {}, False

    def tell(self, test, word, why=""):
        method = getattr(test, getattr(test, "_testMethodName", ""), None)
        level = getattr(method, "level", "")
        kept = self.counts.setdefault(level, {})
        kept[word] = kept.get(word, 0) + 1
        print(f"{word:5} {getattr(test, 'sentence', test)}" + (f"\n      {why}" if why else ""), flush=True)

    def addSuccess(self, test):
        self.tell(test, "ok")

    def addSkip(self, test, why):
        self.tell(test, "skip", why)

    def addSubTest(self, test, subtest, error):
        if error:
            self.addFailure(test, error)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        level = getattr(test, test._testMethodName).level
        is_must = level in ("MUST", "MUST NOT", "SHALL")
        self.failed = self.failed or is_must or self.is_strict
        self.tell(test, "FAIL" if is_must else "weak", str(error[1]).split("\n")[0][:400])

    addError = addFailure


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="See the head of this file.")
    words.add_argument("url", nargs="?")
    words.add_argument("--token")
    words.add_argument("--not-live")
    words.add_argument("--origin", default=Suite.origin)
    words.add_argument("--only", default="")
    words.add_argument("--flood", action="store_true")
    words.add_argument("--list", action="store_true")
    words.add_argument("--verify", action="store_true")
    words.add_argument("--strict", action="store_true")
    given = words.parse_args()
    Suite.url, Suite.token, Suite.not_live, Suite.verify = given.url, given.token, given.not_live, given.verify
    Suite.origin = given.origin
    tests = [test for kind in [Endpoint, Session, Checks, Patience, *([Flood] if given.flood or given.list else [])]
             for test in unittest.defaultTestLoader.loadTestsFromTestCase(kind)]
    tests = [test for test in tests if given.only.lower() in test.sentence.lower()]
    if not given.flood:
        tests.sort(key=lambda test: [int(part) for part in getattr(test, test._testMethodName).section.split(".")])
    if given.list or not given.url:
        for test in tests:
            print(test.sentence)
        return 0 if given.list else words.error("which server?")
    result = Lines(given.strict)
    for test in tests:
        test.run(result)
    for level, counts in sorted(result.counts.items()):
        print(f"{level}: " + ", ".join(f"{count} {word}" for word, count in counts.items()))
    return 1 if result.failed else 0


def load_tests(loader, standard, pattern):
    """Within this project: against the gateway, which the project's own module starts."""
    import whep_gateway
    kinds = whep_gateway.CONFORMANCE(Endpoint, Session, Checks, Patience, Flood)
    return unittest.TestSuite(loader.loadTestsFromTestCase(kind) for kind in kinds)


if __name__ == "__main__":
    sys.exit(main())
