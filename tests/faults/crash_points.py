#!/usr/bin/env python3
"""Killed at any system call, a run leaves nothing half done under a final name, and the same command
finishes it to the same bytes."""
import itertools

import rig


class Quick(rig.CrashTest):
    def test_a_kill_at_some_calls_of_each_kind(self):
        for call, threads, numbers in [("pwrite64", "all", [2, 30]), ("fdatasync", "all", [2]),
                                       ("fsync", "all", [6]), ("fsync", "main", [9]),
                                       ("renameat2", "all", [4]), ("rename", "main", [1]),
                                       ("renameat2", "main", [5, 7]), ("unlink", "main", [11])]:
            self.assertEqual(self.sweep(call, threads, numbers), len(numbers), call)

    def test_a_run_killed_again_and_again_gets_there(self):
        for attempt in itertools.count(1):
            done = self.cast_with(f"renameat2:signal=KILL:when={attempt}",
                                  *rig.OTHER_WAYS[attempt % len(rig.OTHER_WAYS)])
            self.assert_consistent()
            if done.status == 0:
                break
            self.assertEqual(done.status, rig.KILLED, done.err)
        self.assertGreater(attempt, 4)
        self.assert_finished()


class Sweep(rig.CrashTest):
    def test_a_kill_at_any_call(self):
        shards = len(self.shards())
        made = self.by_one_writer(shards)
        self.sweep_all([
            ("fdatasync", "all", shards + 1), ("fsync", "all", 2 * shards), ("fsync", "main", 18),
            ("renameat2", "all", shards), ("renameat2", "main", 7), ("rename", "main", 1),
            ("mkdir", "main", 2), ("unlink", "main", 8), ("rmdir", "main", 1),
            ("fallocate", "all", made if rig.reserves_space() else 0), ("ftruncate", "all", made),
            ("flock", "main", 1), ("openat", "main", 40), ("pwrite64", "main", 10),
            ("pwrite64", "all", 60)])


if __name__ == "__main__":
    rig.main()
