"""Runs the program with faults injected by strace, and says what must hold of what it leaves.

usage of the scripts that import this: SCRIPT.py TESSERA [CLASS...]
"""
import collections
import filecmp
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).parents[1] / "support"))
import tensor_file  # noqa: E402

INDEX = "model.safetensors.index.json"
MANIFEST = "tessera.manifest.json"
KILLED = 137
# Sweeps leave out nothing; otherwise they take a few minutes in all.
THOROUGH = bool(os.environ.get("TESSERA_THOROUGH"))
TRACED = ("pread64,pwrite64,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,openat,mkdir,"
          "rmdir,unlink,unlinkat,ftruncate,fallocate,flock,close")
# Ways to finish a run that give the same bytes.
OTHER_WAYS = ([], ["--threads", "1"], ["--memory", "2MiB"], ["--threads", "5", "--memory", "600KiB"])

tessera = None
Done = collections.namedtuple("Done", "status out err")
# begin, end: line numbers of the trace.
Call = collections.namedtuple("Call", "name text result begin end")


# The leak checker cannot work under strace, and says so with an exit code of its own.
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"


def run(*command):
    """A process killed by a signal has the status its shell would show."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Done(status, done.stdout, done.stderr)


def must(*arguments):
    """A run of the program that a test relies on."""
    done = run(tessera, *arguments)
    assert done.status == 0, done.err
    return done


def strace_works():
    try:
        return run("strace", "-f", "-o", "/dev/null", "true").status == 0
    except FileNotFoundError:
        return False


def reserves_space():
    """Whether outputs are reserved with fallocate: not on a file system in memory."""
    return run("stat", "-f", "-c", "%T", tempfile.gettempdir()).out.strip() != "tmpfs"


def path_of(call):
    """The path behind the descriptor that is the call's first argument, as `strace -y` shows it."""
    found = re.match(r"\(\d+<([^>]*)>", call.text)
    return found and found[1]


def files_of(folder):
    """The files of a finished or unfinished OUT under their final names, without the staging."""
    return {path.relative_to(folder) for path in folder.rglob("*")
            if path.is_file() and not any(part.endswith(".partial") for part in path.relative_to(folder).parts)}


class FaultTest(unittest.TestCase):
    """Has a checkpoint with all quirks, what a clean run of `verb` makes of it, and a place for
    outputs."""
    verb = "cast"
    arguments = ["--to", "bf16"]
    # Of a clean run: 1 where a quantization says that weights are worse than their scales promise.
    status = 0

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="tessera-faults-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.source = cls.folder / "in"
        cls.clean = cls.folder / "clean"
        cls.out = cls.folder / "out"
        cls.trace = cls.folder / "trace"
        must("synth", cls.source, "--preset", "tiny", "--quirks", "--seed", 7)
        cls.make_clean()

    @classmethod
    def make_clean(cls):
        done = run(tessera, cls.verb, cls.source, cls.clean, *cls.arguments)
        assert done.status in (0, 1), done.err
        cls.status = done.status

    def setUp(self):
        self.drop_output()

    def drop_output(self):
        shutil.rmtree(self.out, ignore_errors=True)

    def command(self, *more):
        return [tessera, self.verb, self.source, self.out, *self.arguments, "--json", *more]

    def cast(self, *more):
        return run(*self.command(*more))

    def staged(self, name):
        """Where a file of OUT is while it is being written."""
        ending = ".part" if name.endswith(".safetensors") else ".tmp"
        return self.out / ".partial" / (name + ending)

    def cast_with(self, fault, *more, threads="all", path=None, also=None):
        """Casts with `fault`, strace's description of one, and leaves the trace of calls.

        strace counts calls by thread. threads="main" leaves the other threads alone, to reach what
        the main thread does after them.
        """
        # Not --seccomp-bpf, with which strace 6.1 injects no signals.
        follow = ["-f"] if threads == "all" else []
        return run("strace", *follow, "-y", "-o", self.trace, *(["-P", path] if path else []),
                   "-e", f"trace={TRACED}", *itertools.chain(*(["-e", f"inject={f}"] for f in (fault, also) if f)),
                   *self.command(*more))

    def calls(self):
        """The calls of the last cast_with, whole even where threads interrupted each other."""
        calls, begun = [], {}
        for number, line in enumerate(self.trace.read_text().splitlines()):
            begin = number
            thread, text = re.fullmatch(r"(?:(\d+) +)?(.*)", line).groups()
            if text.endswith("<unfinished ...>"):
                begun[thread] = number, text.removesuffix("<unfinished ...>")
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
                begin, first = begun.pop(thread)
                text = first + resumed[1]
            if call := re.fullmatch(r"(\w+)(\(.*\)) += (.*)", text):
                calls.append(Call(*call.groups(), begin, number))
        return calls

    def error(self, done):
        """The error object, which is the last line of stderr."""
        return json.loads(done.err.splitlines()[-1])["error"]

    def assert_fails(self, done, status, *mentions):
        self.assertEqual(done.status, status, done.err)
        self.assertEqual(done.out, "")
        self.assertEqual(self.error(done)["code"], status)
        for text in mentions:
            self.assertIn(str(text), done.err)

    def assert_consistent(self):
        self.assert_folder_consistent(self.out, self.clean)

    def assert_folder_consistent(self, out, clean):
        """Whatever bears its final name is whole, and an index stands for a whole checkpoint."""
        if not out.exists():
            return
        files = files_of(out)
        self.assertLessEqual(files, files_of(clean))
        for file in files:
            if file.suffix == ".safetensors":
                tensor_file.read_header(out / file)
            self.assertTrue(filecmp.cmp(out / file, clean / file, shallow=False),
                            f"{out.name}/{file} has its final name but not its final bytes")
        if pathlib.Path(INDEX) in files:
            self.assertIn(pathlib.Path("config.json"), files)
            named = set(json.loads((out / INDEX).read_text())["weight_map"].values())
            self.assertLessEqual({pathlib.Path(name) for name in named}, files)
        if pathlib.Path(MANIFEST) in files:
            self.assertEqual(files, files_of(clean))

    def assert_finished(self):
        self.assert_consistent()
        self.assertEqual({path.relative_to(self.out) for path in self.out.rglob("*")},
                         {path.relative_to(self.clean) for path in self.clean.rglob("*")})

    def assert_rerun_finishes(self, *more):
        done = self.cast(*more)
        self.assertEqual(done.status, self.status, done.err)
        self.assert_finished()
        return json.loads(done.out)


class CrashTest(FaultTest):
    """What is expected of "all" threads must not depend on which of them made how many calls: the
    committing thread alone syncs and names shards, the writing threads share the rest by chance."""
    WRITERS = 2
    other_ways = OTHER_WAYS

    def by_one_writer(self, calls):
        """How many of the calls that writers share one of them makes at least."""
        return -(-calls // self.WRITERS)

    def shards(self):
        return [file for file in files_of(self.clean) if file.suffix in (".safetensors", ".zst", ".gguf")]

    def prepare(self):
        """Makes what is to be there before the run that is killed."""

    def crash(self, call, number, threads):
        """Returns whether the run lived long enough to be killed at that call."""
        self.drop_output()
        self.prepare()
        done = self.cast_with(f"{call}:signal=KILL:when={number}", threads=threads)
        if done.status == self.status:
            self.assert_finished()
            return False
        self.assertEqual(done.status, KILLED, done.err)
        self.assert_consistent()
        ways = self.other_ways
        self.assert_rerun_finishes(*ways[number % len(ways)])
        return True

    def sweep(self, call, threads, numbers):
        """Kills at those of `numbers` that exist, as strace counts by thread; returns how many did."""
        crashes = 0
        for number in numbers:
            try:
                if not self.crash(call, number, threads):
                    break
            except AssertionError as error:
                raise AssertionError(f"killed at {call} {number} of {threads}: {error}") from error
            crashes += 1
        return crashes

    def sweep_all(self, points):
        """Kills at every call of `points`: call, threads, at least how many there must be, since a
        sweep that kills nothing proves nothing."""
        for call, threads, least in points:
            crashes = self.sweep(call, threads, itertools.count(1))
            print(f"{crashes} crashes at {call} of {threads} threads", flush=True)
            self.assertGreaterEqual(crashes, least, f"{call} of {threads} threads")


def main():
    global tessera
    tessera = pathlib.Path(sys.argv[1]).resolve()
    if not strace_works():
        print("skipped: strace is not here, or may not trace")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
