#!/usr/bin/env python3
"""Sees that the sanitizers of a build report what they are there for, and only that.

usage: check_reports.py SANITIZERS PROGRAM TESSERA
SANITIZERS is what was given to -fsanitize=, PROGRAM is built from planted_fault.cc.
"""
import os
import subprocess
import sys
import unittest

# By sanitizer: planted faults, and what the report must say.
FAULTS = {
    "thread": {
        "race-of-workers": "ThreadSanitizer: data race",
        "race-of-threads": "ThreadSanitizer: data race",
    },
    "address": {"read-beyond": "AddressSanitizer: heap-buffer-overflow"},
    "undefined": {"overflow": "signed integer overflow"},
}
sanitizers, program, tessera = sys.argv[1].split(","), *sys.argv[2:4]


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


class Reports(unittest.TestCase):
    def test_planted_faults_are_reported_and_fail(self):
        for sanitizer in sanitizers:
            for fault, report in FAULTS[sanitizer].items():
                with self.subTest(fault=fault):
                    done = run(program, fault)
                    self.assertNotIn(done.returncode, (0, 2))
                    self.assertIn(report, done.stderr)

    def test_threads_that_lock_are_not(self):
        for innocent in ("locked-workers", "locked-threads"):
            done = run(program, innocent)
            self.assertEqual((done.returncode, done.stderr), (0, ""), innocent)

    def test_nothing_is_suppressed(self):
        for name, options in os.environ.items():
            if name.endswith("SAN_OPTIONS"):
                self.assertNotIn("suppressions", options, name)

    @unittest.skipUnless("thread" in sanitizers, "for the sanitizer of threads")
    def test_no_scheduler_that_is_not_instrumented_is_linked(self):
        for binary in (program, tessera):
            libraries = run("ldd", binary).stdout
            self.assertIn("libc.so", libraries)
            self.assertNotIn("tbb", libraries, binary)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
