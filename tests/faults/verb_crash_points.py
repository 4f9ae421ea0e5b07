#!/usr/bin/env python3
"""Every verb that writes: killed at any system call, it leaves nothing half done under a final name, and
the same command finishes it to the same bytes. crash_points.py and its like sweep what verbs share call by
call; here are the other ways to it, and what single verbs write of their own."""
import filecmp
import itertools
import unittest

import rig



def one_in(number):
    """A step that leaves out nothing where there is time."""
    return 1 if rig.THOROUGH else number


class FolderVerb(rig.CrashTest):
    some = [("pwrite64", "all", 9), ("fdatasync", "all", 2), ("renameat2", "all", 1),
            ("renameat2", "main", 2)]
    every = [("fdatasync", "all", one_in(4)), ("renameat2", "all", one_in(3)),
             ("renameat2", "main", one_in(2)), ("pwrite64", "all", one_in(50))]
    beside = [(call, "main", 1) for call in ("fsync", "rename", "mkdir", "unlink", "rmdir",
                                             "ftruncate", "flock", "pwrite64", "openat")]

    def kill_at_some_calls(self):
        for call, threads, number in self.some:
            self.assertEqual(self.sweep(call, threads, [number]), 1, f"{call} of {threads} threads")

    def kill_at_any_call(self):
        for call, threads, step in self.every + (self.beside if rig.THOROUGH else []):
            crashes = self.sweep(call, threads, itertools.count(1, step))
            print(f"{type(self).__name__}: {crashes} crashes at {call} of {threads} threads", flush=True)
            self.assertGreater(crashes, 0, f"{call} of {threads} threads")


class ReshardForRanks(FolderVerb):
    verb, arguments = "reshard", ["--mp", "2"]


class Quantize(FolderVerb):
    verb, arguments = "quantize", ["--scheme", "awq"]


class Repack(FolderVerb):
    """From one integer format to another: the source is an output itself."""
    verb, arguments = "quantize", ["--scheme", "repack-gptq"]

    @classmethod
    def make_clean(cls):
        original, cls.source = cls.source, cls.folder / "integers"
        rig.must("quantize", original, cls.source, "--scheme", "w4a16", "--search", "absmax")
        super().make_clean()


class JoinMtp(FolderVerb):
    verb, arguments = "join-mtp", []

    @classmethod
    def make_clean(cls):
        original, cls.source, cls.module = cls.source, cls.folder / "main", cls.folder / "mtp"
        rig.must("split-mtp", original, "--main", cls.source, "--mtp", cls.module)
        rig.must("join-mtp", cls.source, cls.module, cls.clean)

    def command(self, *more):
        return [rig.tessera, "join-mtp", self.source, self.module, self.out, "--json", *more]


class LastPart(FolderVerb):
    """Of a run in parts the last one, which also seals the output."""

    def part(self, number, *more):
        return [rig.tessera, "cast", self.source, self.out, *self.arguments, "--part", f"{number}/2",
                "--json", *more]

    def prepare(self):
        done = rig.run(*self.part(1))
        self.assertEqual(done.status, 0, done.err)

    def command(self, *more):
        return self.part(2, *more)


class Finish(LastPart):
    """`finish`, after the last part was killed when it had nothing left to do but to seal."""
    other_ways = ([],)
    some = [("renameat2", "main", 2), ("renameat2", "main", 7), ("fsync", "main", 4),
            ("unlink", "main", 5)]
    every = [("renameat2", "main", one_in(2)), ("unlink", "main", one_in(4)), ("rmdir", "main", 1)]

    def prepare(self):
        super().prepare()
        # The main thread gives no names before all parts are done.
        done = rig.run("strace", "-o", "/dev/null", "-e", "trace=renameat2", "-e",
                       "inject=renameat2:signal=KILL:when=1", *self.part(2))
        self.assertEqual(done.status, rig.KILLED, done.err)

    def command(self, *more):
        return [rig.tessera, "finish", self.out, "--json", *more]

    def assert_rerun_finishes(self, *more):
        done = self.cast(*more)
        if done.status == 2:
            # Killed while it tidied up, which the recorded command is a part of: OUT is finished.
            self.assertTrue((self.out / rig.MANIFEST).exists(), done.err)
            done = rig.run(*self.part(2))
        self.assertEqual(done.status, 0, done.err)
        self.assert_finished()


class FileVerb(FolderVerb):
    """A verb that writes one file has nothing to resume: the file is whole, or not there."""
    other_ways = ([],)
    some = [(call, "all", 1) for call in ("pwrite64", "fsync", "rename")]
    every = [("pwrite64", "all", one_in(40)), ("fsync", "all", 1), ("rename", "all", 1),
             ("ftruncate", "all", 1)]
    beside = []

    @classmethod
    def make_clean(cls):
        cls.ids = cls.folder / "ids.txt"
        cls.ids.write_text(" ".join(str(i * 7919 % 640) for i in range(40)))
        cls.clean.mkdir()
        rig.must(*cls.words(cls.clean))

    def prepare(self):
        self.out.mkdir()

    def command(self, *more):
        return [rig.tessera, *self.words(self.out), "--json", *more]

    def assert_consistent(self):
        for path in self.out.iterdir():
            if path.suffix != ".partial":
                self.assertTrue(filecmp.cmp(path, self.clean / path.name, shallow=False), path)


class Calibrate(FileVerb):
    @classmethod
    def words(cls, folder):
        return ["calibrate", cls.source, folder / "c.gguf", "--tokens", cls.ids]


class ForwardLogits(FileVerb):
    @classmethod
    def words(cls, folder):
        return ["forward", cls.source, "--tokens", cls.ids, "--logits", folder / "l.safetensors"]


def test_of(verb, method):
    def test(self):
        verb.setUpClass()
        try:
            getattr(verb(), method)()
        finally:
            verb.doClassCleanups()
    return test


class Quick(unittest.TestCase):
    pass


class Sweep(unittest.TestCase):
    pass


for verb in (ReshardForRanks, Quantize, Repack, JoinMtp, LastPart, Finish, Calibrate, ForwardLogits):
    setattr(Quick, f"test_{verb.__name__}", test_of(verb, "kill_at_some_calls"))
    setattr(Sweep, f"test_{verb.__name__}", test_of(verb, "kill_at_any_call"))


if __name__ == "__main__":
    rig.main()
