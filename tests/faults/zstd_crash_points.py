#!/usr/bin/env python3
"""Killed while shards are compressed and published, a run finishes to the same bytes."""
import rig


class Quick(rig.CrashTest):
    arguments = ["--to", "bf16", "--compress", "zstd:1"]
    other_ways = [[], ["--threads", "1"], ["--memory", "8MiB"], ["--threads", "5"]]

    def test_a_kill_at_some_calls_of_each_kind(self):
        for call, threads, numbers in [("pwrite64", "all", [4]), ("fsync", "all", [4]),
                                       ("renameat2", "all", [2, 3]), ("unlink", "all", [1, 2]),
                                       ("renameat2", "main", [6])]:
            self.assertEqual(self.sweep(call, threads, numbers), len(numbers), call)

    def test_a_stop_while_a_shard_is_compressed_is_obeyed_and_kept(self):
        done = self.cast_with("fsync:signal=INT:when=3")
        self.assertEqual(done.status, 130, done.err)
        self.assert_consistent()
        self.assert_rerun_finishes()

    def test_what_was_published_and_is_not_recorded_is_taken_back(self):
        """The journal is cut in the middle: a compressed file must become a staged one again."""
        for keep in (0, 0.5):
            self.drop_output()
            done = self.cast_with("unlink:signal=KILL:when=2")
            self.assertEqual(done.status, rig.KILLED, done.err)
            self.assertTrue(list(self.out.glob("*.safetensors.zst")))
            journal = self.out / ".partial" / "part-1-of-1.journal"
            data = journal.read_bytes()
            head = data.index(b"\n") + 1
            journal.write_bytes(data[:head + int((len(data) - head) * keep)])
            self.assert_rerun_finishes()


class Sweep(rig.CrashTest):
    arguments = ["--to", "bf16", "--compress", "zstd-planes:1"]
    other_ways = Quick.other_ways

    def test_a_kill_at_any_call(self):
        shards = len(self.shards())
        self.sweep_all([("renameat2", "all", shards), ("unlink", "all", shards),
                        ("fsync", "all", 2 * shards)])


if __name__ == "__main__":
    rig.main()
