#!/usr/bin/env python3
"""After a power loss, in which everything that no sync had covered is gone or garbage, the same command
finishes the work to the same bytes.

The loss is made from a crash: the run is killed, and what its trace shows as written, but not synced
after, is overwritten; files whose name was not synced vanish.
"""
import itertools
import pathlib
import re

import rig

SYNCS = ("fsync", "fdatasync")
# So many reads a second that a small checkpoint takes long enough to be journalled in several parts.
SLOWLY = "pread64:delay_enter=15000"


def written(call):
    """The path and the range [begin, end) of a pwrite64."""
    size, offset = re.search(r", (\d+), (\d+) ?\)$", call.text).groups()
    return rig.path_of(call), int(offset), int(offset) + int(size)


class PowerLoss(rig.FaultTest):
    def lose(self, number):
        """Takes from OUT what the last trace shows as unsynced; returns how many bytes that was."""
        calls = [call for call in self.calls() if not call.result.startswith("-1")]
        syncs = [call for call in calls if call.name in SYNCS and call.result == "0"]
        lost = 0
        for call in calls:
            if call.name == "pwrite64":
                path, begin, end = written(call)
                if any(rig.path_of(s) == path and s.begin > call.end for s in syncs):
                    continue
                lost += self.spoil(self.present(path), begin, end, number)
        return lost

    def present(self, path):
        """Where the file written as `path` is by now."""
        path = pathlib.Path(path)
        final = self.out / path.name.removesuffix(".part").removesuffix(".tmp")
        return path if path.exists() else final

    def spoil(self, path, begin, end, number):
        if not path.exists():
            return 0
        if path.suffix == ".part" or path.parent == self.out:
            with path.open("r+b") as file:
                file.seek(begin)
                file.write(b"\xa5" * (end - begin))
            return end - begin
        # Of a journal any part may be there: all that was written, none of it, or the first half.
        keep = [end, begin, (begin + end) // 2][number % 3]
        if path.stat().st_size > keep:
            with path.open("r+b") as file:
                file.truncate(keep)
        return 0

    def lose_unsynced_names(self):
        """Removes the staged files whose folder was not synced after they were made."""
        calls = self.calls()
        staging = str(self.out / ".partial")
        for call in calls:
            made = re.search(r'"([^"]*\.part)", [^"]*O_CREAT', call.text)
            if call.name != "openat" or not made:
                continue
            synced = any(c.name == "fsync" and rig.path_of(c) == staging and c.begin > call.end
                         for c in calls)
            if not synced:
                pathlib.Path(made[1]).unlink(missing_ok=True)

    def sweep(self, call, numbers, names=False):
        """Power losses at those of `numbers` that exist; returns how many, and the bytes lost."""
        losses, lost = 0, 0
        for number in numbers:
            self.drop_output()
            done = self.cast_with(f"{call}:signal=KILL:when={number}", also=SLOWLY)
            if done.status == 0:
                break
            self.assertEqual(done.status, 137, done.err)
            lost += self.lose(number)
            if names:
                self.lose_unsynced_names()
            try:
                self.assert_consistent()
                self.assert_rerun_finishes(*rig.OTHER_WAYS[number % len(rig.OTHER_WAYS)])
            except AssertionError as wrong:
                raise AssertionError(f"power lost at {call} {number}: {wrong}") from wrong
            losses += 1
        return losses, lost


class Quick(PowerLoss):
    def test_unsynced_bytes_are_written_again(self):
        self.assertEqual(self.sweep("pwrite64", [25, 80])[0], 2)
        # At the first sync of all nothing is on the disk yet.
        losses, lost = self.sweep("fdatasync", [1, 4])
        self.assertEqual(losses, 2)
        self.assertGreater(lost, 0)

    def test_staged_files_whose_name_is_lost_are_written_again(self):
        self.assertEqual(self.sweep("pwrite64", [90], names=True)[0], 1)


class Sweep(PowerLoss):
    def test_power_lost_at_any_time(self):
        for names in (False, True):
            for call, step, least in [("pwrite64", 7, 8), ("fdatasync", 1, 4), ("renameat2", 1, 7)]:
                losses, lost = self.sweep(call, itertools.count(1, step), names)
                print(f"{losses} losses at {call}, {lost} bytes lost", flush=True)
                self.assertGreaterEqual(losses, least)


if __name__ == "__main__":
    rig.main()
