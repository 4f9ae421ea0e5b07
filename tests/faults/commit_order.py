#!/usr/bin/env python3
"""A file is synced whole before it gets its name, and names are synced before anything that relies on
them appears. Judged from the calls of one run."""
import re

import rig


class Quick(rig.FaultTest):
    def assert_order(self, calls):
        """Returns the final names in the order in which they appeared."""
        out = str(self.out)
        unsynced = set()   # files written since they were last synced
        unnamed = set()    # folders with names added since they were last synced
        published = []
        for call in calls:
            path = rig.path_of(call)
            if call.name in ("pwrite64", "ftruncate", "fallocate"):
                unsynced.add(path)
            elif call.name in ("fsync", "fdatasync"):
                unsynced.discard(path)
                unnamed.discard(path)
            elif call.name.startswith("rename") and call.result == "0":
                source, target = re.findall(r'"([^"]*)"', call.text)
                self.assertNotIn(source, unsynced, "named before it was synced")
                folder, name = target.rsplit("/", 1)
                if folder == out:
                    self.assert_may_appear(name, published, unnamed)
                    published.append(name)
                unnamed.add(folder)
            elif call.name in ("unlink", "unlinkat", "rmdir") and call.result == "0":
                self.assertIn(rig.MANIFEST, published, f"{call} before the manifest")
                self.assertFalse(unnamed, "the journal went before the names were synced")
        self.assertFalse({path for path in unsynced
                          if "/.partial/part-" not in path and not path.endswith(".lock")})
        self.assertFalse(unnamed)
        return published

    def assert_may_appear(self, name, published, unnamed):
        if name == rig.INDEX:
            self.assertIn("config.json", published)
        if name in (rig.INDEX, rig.MANIFEST):
            self.assertNotIn(str(self.out), unnamed, f"{name} before the names it relies on")

    def test_whatever_gets_its_name_is_on_the_disk(self):
        for way in rig.OTHER_WAYS:
            self.drop_output()
            self.assertEqual(self.cast_with(None, *way).status, 0)
            published = self.assert_order(self.calls())
            self.assertEqual(published[-2:], [rig.INDEX, rig.MANIFEST])
            shards = [name for name in published if name.endswith(".safetensors")]
            self.assertEqual(published[:len(shards)], shards, "shards come first")
            self.assertEqual(len(shards), len(list(self.clean.glob("*.safetensors"))))

    def test_a_run_that_goes_on_keeps_the_order(self):
        for number in (2, 4, 7):
            self.drop_output()
            self.assertEqual(self.cast_with(f"renameat2:signal=KILL:when={number}").status, 137)
            self.assertEqual(self.cast_with(None).status, 0)
            self.assertEqual(self.assert_order(self.calls())[-2:], [rig.INDEX, rig.MANIFEST])

    def test_what_several_machines_may_write_to_is_open_for_writing_only(self):
        """Open for both, NFS might write back whole pages, over what another machine wrote beside."""
        for more in ([], ["--compress", "zstd:1"]):
            self.drop_output()
            self.assertEqual(self.cast_with("renameat2:signal=KILL:when=3", *more).status, 137)
            calls = self.calls()
            self.assertEqual(self.cast_with(None, *more).status, 0)
            opened = [call.text for call in calls + self.calls()
                      if call.name == "openat" and '.part"' in call.text]
            self.assertGreater(len([text for text in opened if "O_WRONLY" in text]), 7)
            self.assertFalse([text for text in opened if "O_RDWR" in text])

    def test_the_order_is_judged(self):
        self.assertEqual(self.cast_with(None).status, 0)
        calls = self.calls()
        self.assert_order(calls)
        for left_out in (f"{self.out}", "LICENSE.tmp", "index.json.tmp"):
            with self.assertRaises(AssertionError):
                self.assert_order([call for call in calls if call.name != "fsync"
                                   or not rig.path_of(call).endswith(left_out)])


if __name__ == "__main__":
    rig.main()
