#!/usr/bin/env python3
"""Too little of what the system gives, be it memory, open files or threads, is an error with its exit code,
and leaves OUT as any other failure does."""
import os
import subprocess
import unittest

import rig


def sanitized():
    return any(name in rig.tessera.read_bytes() for name in (b"__asan_init", b"__tsan_init"))


class Resources(rig.FaultTest):
    def cast_within(self, limit):
        """A run under a limit of the shell's ulimit."""
        return rig.run("bash", "-c", f'ulimit {limit}; exec "$@"', "bash", *self.command())

    def assert_done_or(self, done, statuses, *mentions):
        """A clear error, or all of the work; returns whether it was the work."""
        if done.status != 0:
            self.assertIn(done.status, statuses, done.err)
            self.assertEqual(self.error(done)["code"], done.status)
            for text in mentions:
                self.assertIn(text, done.err)
            self.assert_consistent()
        self.assert_rerun_finishes()
        return done.status == 0


class Quick(Resources):
    def test_few_open_files_are_an_error_or_enough(self):
        if sanitized():
            self.skipTest("a sanitizer opens pipes to see whether it may read an address")
        done = {limit: self.assert_done_or(self.cast_within(f"-n {limit}"), (3, 4), "Too many open files")
                for limit in (10, 14, 18, 22, 32) if not self.drop_output()}
        self.assertFalse(done[10])
        self.assertTrue(done[32])

    def test_few_threads_are_an_error_or_enough(self):
        # Of root no process is refused.
        done = self.cast_within("-u 1")
        self.assert_done_or(done, (6,), "threads cannot be started")

    def test_little_address_space_is_an_error_or_enough(self):
        if sanitized():
            self.skipTest("a sanitizer needs terabytes of addresses for its shadow memory")
        seen = set()
        for mebibytes in (60, 90, 120, 160, 250, 500, 1000, 4000):
            self.drop_output()
            done = self.cast_within(f"-v {mebibytes << 10}")
            # With less, not even the libraries can be loaded.
            if "error while loading shared libraries" in done.err:
                continue
            seen.add(self.assert_done_or(done, (6,)))
        self.assertEqual(seen, {False, True})


class Sweep(Resources):
    def run_failing(self, which, *words):
        environment = {**os.environ, "LD_PRELOAD": os.environ["TESSERA_FAILING_MALLOC"],
                       "FAILING_MALLOC": which}
        done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, env=environment,
                              capture_output=True, text=True)
        return rig.Done(done.returncode, done.stdout, done.stderr)

    def fail_allocations(self, words, growth, ending):
        """Fails one allocation after the other, or it and all after it; returns how many were missed."""
        number, missed, harmless = 1, 0, 0
        # Three in a row that nobody missed are beyond the last.
        while harmless < 3:
            self.drop_output()
            done = self.run_failing(f"{number}{ending}", *words)
            with self.subTest(allocation=f"{number}{ending}"):
                self.assertIn(done.status, (0, 6), done.err)
                if done.status == 6:
                    self.assertEqual(self.error(done)["rule"], "memory-budget")
                self.assert_consistent()
            missed += done.status == 6
            harmless = harmless + 1 if done.status == 0 else 0
            number = int(number * growth) + 1
        return missed

    @unittest.skipUnless("TESSERA_FAILING_MALLOC" in os.environ, "a sanitizer has a malloc of its own")
    def test_an_allocation_that_fails_is_exit_6(self):
        for ending in ("", "+"):
            missed = self.fail_allocations(self.command(), 1.05 if rig.THOROUGH else 1.5, ending)
            print(f"{missed} times out of memory, {'for good' if ending else 'once'}", flush=True)
            self.assertGreater(missed, 10)
        self.assert_rerun_finishes()


if __name__ == "__main__":
    rig.main()
