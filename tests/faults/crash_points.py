#!/usr/bin/env python3
"""Killed at any system call, a run leaves nothing half done under a final name, and the same command
finishes it to the same bytes."""
import itertools

import rig


class Quick(rig.CrashTest):
    def test_a_kill_at_some_calls_of_each_kind(self):
        for call, threads, numbers in [("pwrite64", "all", [2, 30]), ("fdatasync", "all", [2]),
                                       ("fsync", "all", [6]), ("fsync", "main", [9]),
                                       ("rename", "all", [4]), ("rename", "main", [6, 8]),
                                       ("unlink", "main", [11])]:
            self.assertEqual(self.sweep(call, threads, numbers), len(numbers), call)

    def test_a_run_killed_again_and_again_gets_there(self):
        for attempt in itertools.count(1):
            done = self.cast_with(f"rename:signal=KILL:when={attempt}",
                                  *rig.OTHER_WAYS[attempt % len(rig.OTHER_WAYS)])
            self.assert_consistent()
            if done.status == 0:
                break
            self.assertEqual(done.status, rig.KILLED, done.err)
        self.assertGreater(attempt, 4)
        self.assert_finished()


class Sweep(rig.CrashTest):
    def test_a_kill_at_any_call(self):
        # Call, threads, at least how many points there must be: a sweep that kills nothing proves
        # nothing. The writing threads share their calls by chance.
        for call, threads, least in [
                ("fdatasync", "all", 3), ("fsync", "all", 10), ("fsync", "main", 18),
                ("rename", "all", 7), ("rename", "main", 8), ("mkdir", "main", 2),
                ("unlink", "main", 8), ("rmdir", "main", 1),
                ("fallocate", "all", 3 if rig.reserves_space() else 0), ("ftruncate", "all", 3),
                ("flock", "main", 1),
                ("openat", "main", 40), ("pwrite64", "main", 10), ("pwrite64", "all", 60)]:
            crashes = self.sweep(call, threads, itertools.count(1))
            print(f"{crashes} crashes at {call} of {threads} threads", flush=True)
            self.assertGreaterEqual(crashes, least, f"{call} of {threads} threads")


if __name__ == "__main__":
    rig.main()
