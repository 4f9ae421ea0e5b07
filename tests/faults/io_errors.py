#!/usr/bin/env python3
"""A failing system call ends the run with its exit code and the name of the file; what failed to reach
the disk is not believed, and the same command finishes the work."""
import itertools
import os
import unittest

import rig

# What the error object calls each error.
RULES = {"EIO": "write-failed", "ENOSPC": "no-space", "EDQUOT": "no-space", "EFBIG": "no-space",
         "EROFS": "output-not-writable", "EACCES": "output-not-writable"}


class IoErrors(rig.FaultTest):
    def fail(self, call, number, error, threads="all"):
        """One run with a failing call; returns whether there was one."""
        self.drop_output()
        done = self.cast_with(f"{call}:error={error}:when={number}", threads=threads)
        failed = [c for c in self.calls() if "(INJECTED)" in c.result]
        if not failed:
            self.assertEqual(done.status, 0, done.err)
            return False
        self.assert_fails(done, 4)
        self.assertEqual(self.error(done)["class"], "output")
        self.assertEqual(self.error(done)["rule"], RULES[error])
        path, named = rig.path_of(failed[0]), self.error(done)["file"]
        # strace counts by thread: several may have met the error, one of them is reported.
        met = [rig.path_of(call) for call in failed]
        # OUT's own entry is synced in the folder that OUT is made in.
        self.assertTrue(named.startswith(str(self.out)) or named == str(self.out.parent), done.err)
        self.assertTrue(None in met or any(p.endswith(named) for p in met), f"{met}: {done.err}")
        self.assert_consistent()
        if call in ("fsync", "fdatasync"):
            self.assert_not_believed(path)
        self.assert_rerun_finishes(*rig.OTHER_WAYS[number % len(rig.OTHER_WAYS)])
        return True

    def assert_not_believed(self, path):
        """After a failed sync the kernel may call lost pages clean: a second sync would lie."""
        calls = self.calls()
        at = next(i for i, call in enumerate(calls) if "(INJECTED)" in call.result)
        for call in calls[at + 1:]:
            self.assertFalse(call.name in ("fsync", "fdatasync") and rig.path_of(call) == path,
                             f"synced again after a failure: {call}")
            self.assertFalse(call.name.startswith("rename") and f'"{path}"' in call.text,
                             f"published after a failed sync: {call}")

    def sweep(self, points):
        for call, error, threads, numbers in points:
            if call == "fallocate" and not rig.reserves_space():
                continue
            hits = 0
            for number in numbers:
                try:
                    if not self.fail(call, number, error, threads):
                        break
                except AssertionError as wrong:
                    raise AssertionError(f"{error} at {call} {number} of {threads}: {wrong}") from wrong
                hits += 1
            self.assertGreater(hits, 0, call)
            print(f"{hits} times {error} at {call} of {threads} threads", flush=True)


class Quick(IoErrors):
    def test_an_error_of_the_output_is_exit_4_and_names_the_file(self):
        self.sweep([("pwrite64", "EIO", "all", [4]), ("pwrite64", "ENOSPC", "all", [30]),
                    ("pwrite64", "EIO", "main", [6]),
                    ("fsync", "EIO", "all", [5]), ("fsync", "EIO", "main", [8, 9]),
                    ("fdatasync", "EIO", "all", [2]), ("renameat2", "EIO", "all", [2]),
                    ("renameat2", "EIO", "main", [3]), ("fallocate", "ENOSPC", "all", [2]),
                    ("pwrite64", "EDQUOT", "all", [7]), ("pwrite64", "EFBIG", "main", [4]),
                    ("fdatasync", "EDQUOT", "all", [1]), ("renameat2", "EROFS", "main", [1]),
                    ("mkdir", "EDQUOT", "main", [2])])

    def test_no_space_says_what_to_do(self):
        done = self.cast_with("pwrite64:error=ENOSPC:when=9+")
        self.assert_fails(done, 4, "No space left on device", "same command again")
        self.assert_rerun_finishes()

    def test_an_interrupted_call_is_made_again(self):
        name = self.first_shard()
        # Not what the program's loader reads and opens.
        for call, path in (("pread64", self.source / name), ("openat", self.source / name),
                           ("openat", self.staged(name)), ("pwrite64", None), ("ftruncate", None),
                           ("fallocate", None)):
            if call == "fallocate" and not rig.reserves_space():
                continue
            self.drop_output()
            done = self.cast_with(f"{call}:error=EINTR:when=1..4", path=path)
            self.assertEqual(done.status, 0, f"{call}: {done.err}")
            self.assertTrue(any("EINTR" in c.result for c in self.calls()), call)
            self.assert_finished()

    @unittest.skipUnless("TESSERA_SHORT_IO" in os.environ, "a sanitizer stands before the C library")
    def test_reads_and_writes_that_are_cut_short_go_on(self):
        preload = f"LD_PRELOAD={os.environ['TESSERA_SHORT_IO']}"
        done = rig.run("strace", "-f", "--seccomp-bpf", "-E", preload, "-o", self.trace, "-e",
                       "trace=pwrite64", *self.command())
        self.assertEqual(done.status, 0, done.err)
        self.assertGreater(len([c for c in self.calls() if c.name == "pwrite64"]), 5000)
        self.assert_finished()

    def test_a_close_that_fails_says_nothing_that_a_sync_has_not_said(self):
        # Files are closed after they have got their names.
        for path in (self.out / self.first_shard(), self.out / "config.json", self.out):
            self.drop_output()
            done = self.cast_with("close:error=EIO:when=1+", path=path)
            self.assertEqual(done.status, 0, done.err)
            self.assertTrue(any("(INJECTED)" in c.result for c in self.calls()), path)
            self.assert_finished()

    def first_shard(self):
        return sorted(self.clean.glob("*.safetensors"))[0].name

    def test_a_write_that_lies_is_found_by_the_size(self):
        for name in ("config.json", "tokenizer.json", rig.INDEX, rig.MANIFEST):
            self.drop_output()
            size = (self.clean / name).stat().st_size
            done = self.cast_with(f"pwrite64:retval={size}", path=self.staged(name))
            self.assert_fails(done, 4, name, f"{size} bytes", "0 bytes")
            self.assertFalse((self.out / name).exists())
            self.assert_rerun_finishes()

    def test_a_write_that_loses_bytes_is_found_by_verify(self):
        for name in (self.first_shard(), "config.json", "tokenizer.json", rig.INDEX, rig.MANIFEST):
            self.drop_output()
            # The rest follows where it belongs, so that the size is right.
            done = self.cast_with("pwrite64:retval=100:when=1", path=self.staged(name))
            self.assertEqual(done.status, 0, done.err)
            done = rig.run(rig.tessera, "verify", self.out)
            self.assertEqual(done.status, 3 if name == rig.MANIFEST else 1, done.err)
            self.assertIn(name, done.out + done.err)

    def test_a_write_that_writes_nothing_does_not_go_on_for_ever(self):
        done = self.cast_with("pwrite64:retval=0:when=3+")
        self.assert_fails(done, 4)
        self.assert_rerun_finishes()

    def test_where_names_cannot_be_given_exclusively_they_are_looked_up_first(self):
        for error in ("EINVAL", "ENOSYS"):
            self.drop_output()
            done = self.cast_with(f"renameat2:error={error}")
            self.assertEqual(done.status, 0, done.err)
            self.assert_finished()

    def test_a_shard_that_cannot_be_read_is_exit_3_and_named(self):
        for shard in sorted(self.source.glob("*.safetensors"))[::3]:
            self.drop_output()
            # The first reads are the header's.
            for number in (1, 4):
                done = self.cast_with(f"pread64:error=EIO:when={number}+", path=shard)
                self.assert_fails(done, 3, shard.name, "Input/output error")
                self.assert_consistent()
            self.assert_rerun_finishes()

    def test_another_file_that_cannot_be_read_is_exit_3_and_named(self):
        for name in ("config.json", rig.INDEX, "tokenizer.json", "LICENSE"):
            self.drop_output()
            done = self.cast_with("pread64:error=EIO", path=self.source / name)
            self.assert_fails(done, 3, name, "Input/output error")
            self.assertEqual(self.error(done)["rule"], "read-failed")
            self.assert_rerun_finishes()

    def test_a_shard_that_ends_early_is_exit_3_and_named(self):
        shard = sorted(self.source.glob("*.safetensors"))[4]
        done = self.cast_with("pread64:retval=0:when=4+", path=shard)
        self.assert_fails(done, 3, shard.name, "expected:", "found:")
        self.assert_rerun_finishes()

    def test_a_file_size_limit_is_an_error_and_no_death_by_signal(self):
        command = " ".join(str(word) for word in self.command())
        done = rig.run("bash", "-c", f"ulimit -f 1000; exec {command}")
        self.assert_fails(done, 4)
        self.assert_consistent()
        self.assert_rerun_finishes()


class Sweep(IoErrors):
    def test_an_error_at_any_call(self):
        every = itertools.count
        self.sweep([("pwrite64", "EIO", "all", every(1, 5)),
                    ("pwrite64", "ENOSPC", "all", every(3, 9)),
                    ("pwrite64", "EIO", "main", every(1)),
                    ("fsync", "EIO", "all", every(1)), ("fsync", "EIO", "main", every(1)),
                    ("fdatasync", "EIO", "all", every(1)), ("renameat2", "EIO", "all", every(1)),
                    ("renameat2", "EIO", "main", every(1)), ("ftruncate", "EIO", "all", every(1)),
                    ("fallocate", "ENOSPC", "all", every(1)), ("mkdir", "EACCES", "main", every(1)),
                    ("pwrite64", "EDQUOT", "all", every(5, 1 if rig.THOROUGH else 20)),
                    ("fsync", "EDQUOT", "main", every(1, 1 if rig.THOROUGH else 4))])


if __name__ == "__main__":
    rig.main()
