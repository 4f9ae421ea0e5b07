#!/usr/bin/env python3
"""Killed at any system call, a run that writes split GGUF files leaves none half done under its final name and the first
only beside all others, and the same command finishes it to the same bytes."""
import filecmp
import itertools

import rig


class GgufCrashPoints(rig.CrashTest):
    arguments = ["--type", "Q4_K_M", "--no-tokenizer", "--split-size", "2MB"]

    @classmethod
    def make_clean(cls):
        done = rig.run(rig.tessera, "gguf", cls.source, cls.clean / "m.gguf", *cls.arguments)
        assert done.status == 0, done.err
        cls.first = min(rig.files_of(cls.clean))
        assert cls.first.name.startswith("m-00001-of-"), cls.first

    def command(self, *more):
        return [rig.tessera, "gguf", self.source, self.out / "m.gguf", *self.arguments, "--json", *more]

    def assert_consistent(self):
        if not self.out.exists():
            return
        files, clean = rig.files_of(self.out), rig.files_of(self.clean)
        self.assertLessEqual(files, clean)
        for file in files:
            self.assertTrue(filecmp.cmp(self.out / file, self.clean / file, shallow=False),
                            f"{file} has its final name but not its final bytes")
        manifest = {file for file in clean if file.suffix == ".json"}
        if self.first in files:
            self.assertLessEqual(clean - manifest, files)
        if manifest <= files:
            self.assertEqual(files, clean)


class Quick(GgufCrashPoints):
    def test_a_kill_at_some_calls_of_each_kind(self):
        for call, threads, numbers in [("pwrite64", "all", [2, 20]), ("fdatasync", "all", [2]),
                                       ("renameat2", "all", [2, 3]), ("rename", "main", [1]),
                                       ("renameat2", "main", [1]), ("unlink", "main", [2])]:
            self.assertEqual(self.sweep(call, threads, numbers), len(numbers), call)

    def test_a_published_file_that_vanished_is_made_again_and_the_first_waits_for_it(self):
        done = self.cast_with("renameat2:signal=KILL:when=1", threads="main")
        self.assertEqual(done.status, rig.KILLED, done.err)
        names = sorted(rig.files_of(self.out))
        self.assertEqual(names[0], self.first)
        (self.out / names[1]).unlink()
        done = self.cast_with("fdatasync:signal=KILL:when=2")
        self.assertEqual(done.status, rig.KILLED, done.err)
        self.assertNotIn(self.first, rig.files_of(self.out))
        self.assert_rerun_finishes()

    def test_a_run_killed_again_and_again_gets_there(self):
        for attempt in itertools.count(1):
            done = self.cast_with(f"renameat2:signal=KILL:when={attempt}",
                                  *rig.OTHER_WAYS[attempt % len(rig.OTHER_WAYS)])
            self.assert_consistent()
            if done.status == 0:
                break
            self.assertEqual(done.status, rig.KILLED, done.err)
        self.assertGreater(attempt, 2)
        self.assert_finished()


class Sweep(GgufCrashPoints):
    def test_a_kill_at_any_call(self):
        shards = len(self.shards())
        self.sweep_all([
            ("fdatasync", "all", shards + 1), ("fsync", "all", 2 * shards), ("fsync", "main", 4),
            ("renameat2", "all", shards), ("renameat2", "main", 1), ("rename", "main", 1),
            ("mkdir", "main", 1), ("unlink", "main", 3), ("rmdir", "main", 1), ("flock", "main", 1),
            ("ftruncate", "all", self.by_one_writer(shards)), ("openat", "main", 20),
            ("pwrite64", "main", 4), ("pwrite64", "all", 40)])


if __name__ == "__main__":
    rig.main()
