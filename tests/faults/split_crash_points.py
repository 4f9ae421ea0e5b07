#!/usr/bin/env python3
"""Killed at any system call, split-mtp leaves both folders whole or unfinished, and the same command
finishes them to the same bytes, whatever became of one of them meanwhile."""
import shutil

import rig


class SplitCrashPoints(rig.CrashTest):
    @classmethod
    def make_clean(cls):
        done = rig.run(rig.tessera, "split-mtp", cls.source, *cls.folders(cls.clean))
        assert done.status == 0, done.err

    @staticmethod
    def folders(parent):
        return ["--main", parent / "main", "--mtp", parent / "mtp"]

    def command(self, *more):
        return [rig.tessera, "split-mtp", self.source, *self.folders(self.out), "--json", *more]

    def assert_consistent(self):
        for name in ("main", "mtp"):
            self.assert_folder_consistent(self.out / name, self.clean / name)
        # The main model is sealed last.
        if (self.out / "main" / rig.MANIFEST).exists():
            self.assertTrue((self.out / "mtp" / rig.MANIFEST).exists())


class Quick(SplitCrashPoints):
    def test_a_kill_at_some_calls_of_each_kind(self):
        for call, threads, numbers in [("pwrite64", "all", [20]), ("fdatasync", "all", [2]),
                                       ("renameat2", "all", [5]), ("rename", "main", [2]),
                                       ("renameat2", "main", [1, 7, 12]),
                                       ("unlink", "main", [4, 12]), ("flock", "main", [2])]:
            self.assertEqual(self.sweep(call, threads, numbers), len(numbers), call)

    def test_a_folder_that_vanishes_between_two_kills_is_made_again(self):
        for gone in ("main", "mtp"):
            self.drop_output()
            done = self.cast_with("renameat2:signal=KILL:when=5")
            self.assertEqual(done.status, rig.KILLED, done.err)
            shutil.rmtree(self.out / gone)
            # The second run stages the lost folder anew and gets less far.
            done = self.cast_with("pwrite64:signal=KILL:when=8", "--threads", "1")
            self.assertEqual(done.status, rig.KILLED, done.err)
            self.assert_rerun_finishes()

    def test_runs_that_journal_elsewhere_do_not_share_the_module(self):
        done = self.cast_with("renameat2:signal=KILL:when=5")
        self.assertEqual(done.status, rig.KILLED, done.err)
        other = self.folder / "other"
        done = rig.run(rig.tessera, "split-mtp", self.source, "--main", other, "--mtp",
                       self.out / "mtp", "--json")
        self.assert_fails(done, 5, "journal=", other, self.out / "main")
        self.assert_rerun_finishes()


class Sweep(SplitCrashPoints):
    def test_a_kill_at_any_call(self):
        shards = len(self.shards())
        self.sweep_all([
            ("fdatasync", "all", shards + 1), ("fsync", "all", 2 * shards), ("fsync", "main", 25),
            ("renameat2", "all", shards), ("renameat2", "main", 12),
            ("rename", "main", 2), ("mkdir", "main", 3),
            ("unlink", "main", 12), ("rmdir", "main", 1), ("flock", "main", 2),
            ("ftruncate", "all", self.by_one_writer(shards)), ("pwrite64", "main", 12),
            ("pwrite64", "all", 40)])


if __name__ == "__main__":
    rig.main()
