#!/usr/bin/env python3
"""An unfinished OUT is only continued by the run that began it: same source, same options, one at a
time."""
import hashlib
import json
import os
import re
import subprocess
import time

import rig


def touch(path, seconds=3):
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + seconds * 10**9))


class Quick(rig.FaultTest):
    def interrupt(self):
        """Leaves an OUT with some shards done."""
        done = self.cast_with("renameat2:signal=KILL:when=4")
        self.assertEqual(done.status, 137, done.err)
        self.assertTrue(list(self.out.glob("*.safetensors")))

    def tree(self):
        """All but the lock, which says who holds it."""
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in self.out.rglob("*")
                if path.is_file() and path.suffix != ".lock"}

    def assert_refused(self, *more):
        """The unfinished OUT is another's: exit 5 with both values, and nothing touched."""
        before = self.tree()
        done = self.cast(*more)
        self.assert_fails(done, 5, "expected:", "found:")
        self.assertEqual(self.error(done)["class"], "conflict")
        self.assertEqual(self.tree(), before)
        expected, found = (re.search(rf"{word}: +(.*)", done.err)[1] for word in ("expected", "found"))
        self.assertNotEqual(expected, found)
        return expected, found

    def test_another_option_is_refused_with_both_values(self):
        self.interrupt()
        for arguments, values in ((["--to", "f16"], "bf16 f16"),
                                  (["--to", "bf16", "--mtp", "drop"], "keep drop"),
                                  (["--to", "bf16", "--shard-size", "9MB"], "9")):
            self.arguments = arguments
            with self.subTest(arguments=arguments):
                expected, found = self.assert_refused()
                for value in values.split():
                    self.assertIn(value, expected + " " + found)
        del self.arguments
        self.assert_rerun_finishes()

    def test_a_touched_input_is_refused_with_both_values(self):
        self.interrupt()
        shard = sorted(self.source.glob("*.safetensors"))[2]
        stat = shard.stat()
        try:
            touch(shard)
            self.assert_refused()
        finally:
            os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.assert_rerun_finishes()

    def test_a_grown_config_is_refused(self):
        self.interrupt()
        config = self.source / "config.json"
        text, stat = config.read_bytes(), config.stat()
        try:
            config.write_bytes(text.replace(b'"rope_theta": 10000', b'"rope_theta": 50000'))
            self.assert_refused()
        finally:
            config.write_bytes(text)
            os.utime(config, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        self.assert_rerun_finishes()

    def test_force_begins_anew(self):
        self.interrupt()
        done = self.cast("--mtp", "drop", "--force")
        self.assertEqual(done.status, 0, done.err)
        self.assertEqual(rig.run(rig.tessera, "verify", self.out).status, 0)
        self.assertFalse((self.out / ".partial").exists())

    def test_a_torn_journal_is_continued(self):
        self.interrupt()
        (journal,) = self.out.glob(".partial/*.journal")
        text = journal.read_bytes()
        for kept in (len(text) - 1, len(text) - 40, len(text) // 2):
            journal.write_bytes(text[:kept])
            # What the journal no longer knows is made again.
            copy = self.folder / "copy"
            subprocess.run(["cp", "-a", self.out, copy], check=True)
            self.assert_rerun_finishes()
            self.drop_output()
            copy.rename(self.out)

    def test_a_damaged_journal_is_not_believed(self):
        self.interrupt()
        (journal,) = self.out.glob(".partial/*.journal")
        text = bytearray(journal.read_bytes())
        text[len(text) // 2] ^= 1
        journal.write_bytes(text)
        done = self.cast()
        if done.status == 0:
            self.assert_finished()
        else:
            self.assert_fails(done, 5, "journal", self.out)

    def test_a_record_does_not_outlive_the_file_it_speaks_of(self):
        self.interrupt()
        lost = sorted(self.out.glob(".partial/*.safetensors.part"))[0]
        lost.unlink()
        # Killed anew once the file is there again, at its full size and without its tensors.
        for when in (1, 2):
            done = self.cast_with(f"pwrite64:signal=KILL:when={when}", path=lost)
            self.assertEqual(done.status, rig.KILLED, done.err)
        self.assertTrue(lost.exists())
        self.assert_rerun_finishes()

    def test_a_shard_truncated_while_it_is_read_is_exit_3(self):
        source = self.folder / "shrinking"
        for way in ("truncated", "written"):
            subprocess.run(["cp", "-a", self.source, source], check=True)
            shard = sorted(source.glob("*.safetensors"))[5]
            strace = subprocess.Popen(
                ["strace", "-f", "-o", "/dev/null", "-e", "trace=pread64",
                 "-e", "inject=pread64:delay_enter=8000",
                 rig.tessera, "cast", source, self.out, *self.arguments, "--json"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            while not list(self.out.glob(".partial/*.part")):
                self.assertIsNone(strace.poll())
                time.sleep(0.01)
            if way == "truncated":
                os.truncate(shard, shard.stat().st_size - 1)
            else:
                with shard.open("r+b") as file:
                    file.seek(-7, os.SEEK_END)
                    file.write(b"changed")
                touch(shard)
            out, err = strace.communicate(timeout=60)
            done = rig.Done(strace.returncode, out, err)
            self.assert_fails(done, 3, shard.name)
            if way == "written":
                self.assertEqual(self.error(done)["rule"], "input-changed")
            self.assertFalse((self.out / rig.INDEX).exists())
            self.drop_output()
            subprocess.run(["rm", "-r", source], check=True)

    def start_slowly(self):
        """A run that takes seconds, once it has begun to write."""
        process = subprocess.Popen(
            ["strace", "-f", "-o", "/dev/null", "-e", "trace=pread64", "-e",
             "inject=pread64:delay_enter=8000", *map(str, self.command())],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not list(self.out.glob(".partial/*.part")):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        return process

    def assert_foreign(self, done, path):
        self.assert_fails(done, 5, path)
        self.assertEqual(self.error(done)["rule"], "foreign-file")

    def test_a_file_that_appears_during_a_run_is_not_replaced(self):
        for name in (sorted(self.clean.glob("*.safetensors"))[-1].name, "tokenizer.json", "config.json",
                     rig.MANIFEST):
            self.drop_output()
            process = self.start_slowly()
            path = self.out / name
            path.write_text("theirs")
            out, err = process.communicate(timeout=120)
            self.assert_foreign(rig.Done(process.returncode, out, err), path)
            self.assertEqual(path.read_text(), "theirs")
            path.unlink()
            self.assert_rerun_finishes()

    def test_a_file_beside_the_one_that_is_to_have_its_name_is_not_replaced(self):
        self.interrupt()
        name = sorted(self.out.glob(".partial/*.part"))[-1].name.removesuffix(".part")
        path = self.out / name
        for theirs in ("theirs", "x" * (self.clean / name).stat().st_size):
            path.write_text(theirs)
            self.assert_foreign(self.cast(), path)
            self.assertEqual(path.read_text(), theirs)
        path.unlink()
        self.assert_rerun_finishes()

    def test_a_published_file_that_was_edited_is_found_by_verify(self):
        self.interrupt()
        shard = sorted(self.out.glob("*.safetensors"))[0]
        with shard.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([last ^ 1]))
        self.assertEqual(self.cast().status, 0)
        done = rig.run(rig.tessera, "verify", self.out)
        self.assertEqual(done.status, 1)
        self.assertIn(shard.name, done.out)

    def test_what_else_a_staged_file_is_called_is_not_written_to(self):
        self.interrupt()
        staged = sorted(self.out.glob(".partial/*.part"))[-1]
        other = self.folder / "other"
        os.link(staged, other)
        before = other.read_bytes()
        self.assert_foreign(self.cast(), staged)
        staged.unlink()
        staged.symlink_to(other)
        self.assert_fails(self.cast(), 4, staged)
        self.assertEqual(other.read_bytes(), before)
        staged.unlink()
        other.unlink()
        self.assert_rerun_finishes()

    def test_of_runs_at_once_one_wins(self):
        runs = [subprocess.Popen([str(word) for word in self.command()], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for _ in range(6)]
        results = []
        for process in runs:
            out, err = process.communicate(timeout=120)
            results.append(rig.Done(process.returncode, out, err))
        # A loser that came when the winner had finished finds nothing to do.
        self.assertLessEqual({done.status for done in results}, {0, 5})
        worked = [done for done in results if done.status == 0
                  and json.loads(done.out)["written_bytes"] > 0]
        self.assertEqual(len(worked), 1)
        for done in results:
            if done.status == 5:
                self.assert_fails(done, 5)
        self.assert_finished()

    def test_a_second_run_leaves_the_first_alone(self):
        first = self.start_slowly()
        for more in ([], ["--force"], ["--mtp", "drop"], ["--mtp", "drop", "--force"]):
            begin = time.monotonic()
            done = self.cast(*more)
            self.assertLess(time.monotonic() - begin, 1)
            self.assert_fails(done, 5)
        self.assertIsNone(first.poll(), "the first run was to last longer than the others' tries")
        first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0)
        self.assert_finished()

    def test_the_lock_of_a_dead_run_does_not_hold(self):
        self.interrupt()
        self.assertTrue(list(self.out.glob(".partial/*.lock")))
        self.assert_rerun_finishes()


if __name__ == "__main__":
    rig.main()
