#!/usr/bin/env python3
"""SIGINT and SIGTERM stop a run within 2 s, with their exit codes, and the same command finishes it."""
import itertools
import signal
import subprocess
import time

import rig

LIMIT = 2.0
# Of the 15 ms that each read takes now, the run is to notice the signal after at most a few.
SLOWLY = "pread64:delay_enter=15000"


class Interruption(rig.FaultTest):
    def stop(self, name, status, number, call="pwrite64", threads="all"):
        """One run that gets the signal at that call; returns whether it lived to see it."""
        self.drop_output()
        done = self.cast_with(f"{call}:signal={name}:when={number}", threads=threads)
        signals = self.trace.read_text().count(f"--- SIG{name} ")
        if done.status == 0:  # none, or too near the end to stop
            self.assert_finished()
            return signals > 0
        self.assertEqual(done.status, status, done.err)
        # strace counts by thread, so two threads may get one each, and a second signal asks to go at
        # once. Before main() there is nobody to say anything.
        if signals == 1 and self.out.exists():
            self.assert_fails(done, status, "same command")
        self.assert_consistent()
        self.assert_rerun_finishes(*rig.OTHER_WAYS[number % len(rig.OTHER_WAYS)])
        return True


class Quick(Interruption):
    def test_a_signal_is_an_exit_code_and_the_work_goes_on(self):
        done = self.cast_with("fdatasync:signal=INT:when=2")
        self.assert_fails(done, 130, "same command")
        self.assertEqual(self.error(done)["rule"], "interrupted")
        self.assert_rerun_finishes()
        self.drop_output()
        done = self.cast_with("fdatasync:signal=TERM:when=2")
        self.assert_fails(done, 143, "same command")
        self.assertEqual(self.error(done)["rule"], "terminated")
        self.assert_rerun_finishes()
        self.assertTrue(self.stop("INT", 130, 1))
        self.assertTrue(self.stop("TERM", 143, 20))
        self.assertTrue(self.stop("INT", 130, 3, "pread64", "main"))

    def test_it_stops_within_two_seconds(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            self.drop_output()
            strace = subprocess.Popen(
                ["strace", "-f", "-o", self.trace, "-e", "trace=pread64", "-e",
                 "inject=" + SLOWLY.replace("15000", "60000"), *map(str, self.command())],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while not list(self.out.glob(".partial/*.part")):
                time.sleep(0.01)
            time.sleep(0.3)
            traced = int(self.trace.read_text().split(maxsplit=1)[0])
            begin = time.monotonic()
            rig.os.kill(traced, number)
            out, err = strace.communicate(timeout=20)
            self.assertLess(time.monotonic() - begin, LIMIT)
            self.assert_fails(rig.Done(strace.returncode % 256 if strace.returncode >= 0
                                       else 128 - strace.returncode, out, err), status)
            self.assert_consistent()
            self.assertGreater(self.assert_rerun_finishes()["resumed_steps"], 0)

    def test_a_second_signal_ends_a_run_at_once(self):
        # One thread alone meets the first two of these calls.
        done = self.cast_with("fdatasync:signal=INT:when=1+")
        self.assertEqual(done.status, 130, done.err)
        self.assertEqual(self.trace.read_text().count("--- SIGINT "), 2)
        self.assert_consistent()
        self.assert_rerun_finishes()

    def test_a_signal_to_verify_and_synth_ends_them(self):
        for arguments in (["verify", self.clean], ["synth", self.out, "--preset", "tiny"]):
            done = rig.run("strace", "-f", "-o", "/dev/null", "-e", "trace=pread64,pwrite64",
                           "-e", "inject=pread64,pwrite64:signal=INT:when=3", rig.tessera, *arguments)
            self.assertEqual(done.status, 130, f"{arguments}: {done.err}")


class Sweep(Interruption):
    def test_a_signal_at_any_time(self):
        for name, status, call, threads, step in [
                ("INT", 130, "pwrite64", "all", 7), ("TERM", 143, "pread64", "main", 3),
                ("INT", 130, "pread64", "all", 25), ("TERM", 143, "fsync", "main", 1),
                ("INT", 130, "renameat2", "main", 1), ("TERM", 143, "unlink", "main", 1)]:
            stops = 0
            for number in itertools.count(1, step):
                try:
                    if not self.stop(name, status, number, call, threads):
                        break
                except AssertionError as wrong:
                    raise AssertionError(f"{name} at {call} {number} of {threads}: {wrong}") from wrong
                stops += 1
            self.assertGreater(stops, 0, call)
            print(f"{stops} times {name} at {call} of {threads} threads", flush=True)


if __name__ == "__main__":
    rig.main()
