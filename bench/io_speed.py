#!/usr/bin/env python3
"""Measures cold reading and writing against what the disk gives, and prints the tables of bench/README.md.

    bench/io_speed.py DIR [--preset v3-slice] [--runs 3] [--verb cast gguf ...] [--tessera PROGRAM]...

DIR        a folder on the disk, with room for four times the preset (v3-slice: 11 GB)
--tessera  a program to measure, by default the release build's; several take turns

Before every turn the input is dropped from the page cache and everything else is on the disk; what is
written is synced when the time is taken. What the disk gives: dd with and without direct I/O, fio if it is
here, and threads that read the input directly and write as much as the verb does, at once. A rehearsal
with the input in the page cache shows what the computing takes without a disk."""

import argparse
import json
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

from whole_command import BIN, ROOT, THREADS, Run, clear, make_input, median

sys.path.append(str(ROOT / "tests" / "support"))
import page_cache  # noqa: E402

MIB = 1 << 20
BLOCK = 8 * MIB


def shards(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in (".safetensors", ".gguf"))


def payload(folder):
    return sum(shard.stat().st_size for shard in shards(folder))


class Directly:
    """Reads `wanted` bytes of files and writes `size` by direct I/O, from several threads at once."""

    def __init__(self, threads, source=(), wanted=None, target=None, size=0):
        pieces = [(path, at) for path in source for at in range(0, path.stat().st_size, BLOCK)]
        self.pieces = pieces if wanted is None else pieces[:-(-wanted // BLOCK)]
        self.target, self.size, self.threads = target, size, threads

    def read(self, lock):
        buffer = mmap.mmap(-1, BLOCK)
        while True:
            with lock:
                if not self.pieces:
                    return
                path, at = self.pieces.pop(0)
            file = os.open(path, os.O_RDONLY | os.O_DIRECT)
            os.preadv(file, [buffer], at)
            os.close(file)

    def write(self, file, lock, places):
        buffer = mmap.mmap(-1, BLOCK)
        buffer.write(os.urandom(BLOCK))
        while True:
            with lock:
                if not places:
                    return
                at = places.pop(0)
            os.pwritev(file, [buffer], at)

    def wall(self):
        workers = []
        if self.pieces:
            lock = threading.Lock()
            workers += [threading.Thread(target=self.read, args=(lock,)) for _ in range(self.threads)]
        if self.size:
            file = os.open(self.target, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o666)
            os.posix_fallocate(file, 0, self.size)
            lock, places = threading.Lock(), list(range(0, self.size - BLOCK + 1, BLOCK))
            workers += [threading.Thread(target=self.write, args=(file, lock, places)) for _ in range(self.threads)]
        begin = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self.size:
            os.fsync(file)
            os.close(file)
        return time.monotonic() - begin


def shell(*lines):
    return lambda: Run(["sh", "-ec", "exec 2>/dev/null; " + "; ".join(lines)]).wall


def fio(kind, depth, jobs):
    """jobs: (file, where it begins, bytes)."""
    words = [f"--rw={kind}", "--direct=1", "--ioengine=io_uring", f"--iodepth={depth}", "--bs=1M", "--end_fsync=1"]
    for number, (path, begin, size) in enumerate(jobs):
        words += [f"--name={number}", f"--filename={path}", f"--offset={begin}", f"--size={size // MIB}M"]

    def wall():  # without the third of a second in which it starts
        told = subprocess.run(["fio", "--output-format=json", *words], check=True, stdout=subprocess.PIPE)
        return max(job["job_runtime"] for job in json.loads(told.stdout)["jobs"]) / 1000

    return wall


def readers(source):
    files = shards(source)
    ways = {f"dd {flag or 'buffered'} bs={bs}": shell(*(f"dd if='{f}' of=/dev/null bs={bs} {flag}" for f in files))
            for bs, flag in (("1M", ""), ("1M", "iflag=direct"), ("8M", "iflag=direct"))}
    ways |= {f"{threads} threads, direct": lambda t=threads: Directly(t, files).wall() for threads in (2, 4)}
    if shutil.which("fio"):
        ways["fio, a job a file"] = fio("read", 4, [(file, 0, file.stat().st_size) for file in files
                                               if file.stat().st_size >= MIB])
    return ways


def writers(target, size):
    ways = {f"dd {flag or 'buffered'} bs={bs}":
            shell(f"dd if=/dev/zero of='{target}' bs={bs} count={size // MIB // int(bs[:-1])} {flag} conv=fsync")
            for bs, flag in (("1M", ""), ("1M", "oflag=direct"), ("8M", "oflag=direct"))}
    ways |= {f"{threads} threads, direct": lambda t=threads: Directly(t, (), None, target, size).wall()
             for threads in (2, 4)}
    if shutil.which("fio"):
        for n in (1, 4):
            share = size // n // MIB * MIB
            ways[f"fio, {n} jobs"] = fio("write", 8, [(target, share * i, share) for i in range(n)])
    return ways


def fastest(title, ways, size, before):
    """Prints a row for each way; returns the seconds of the best."""
    print(f"\n{title}, {size:,} bytes:\n\n| | s | MB/s |\n|---|---|---|")
    seconds = []
    for way, run in ways.items():
        before()
        seconds.append(run())
        print(f"| {way} | {seconds[-1]:.2f} | {size / seconds[-1] / 1e6:.0f} |", flush=True)
    return min(seconds)


def cached_mb(paths):
    return sum(len(page_cache.cached_pages(path)) for path in paths) * mmap.PAGESIZE / 1e6


def into_cache(paths):
    # By another process: a child's peak memory includes its parent's.
    subprocess.run(["cat", *paths], check=True, stdout=subprocess.DEVNULL)


class Verb:
    """One verb's runs on one input: of each program, and of the disk alone, in turns."""
    WAYS = {
        "cast": "IN OUT --to bf16",
        "reshard": "IN OUT --mp 2",
        "quantize": "IN OUT --scheme w4a16",
        "split-mtp": "IN --main OUT/main --mtp OUT/mtp",
        "gguf": "IN OUT/model.gguf --type Q8_0 --no-tokenizer",
        "verify": "MADE",  # what a verb has made of IN, digests and all
    }

    def __init__(self, name, programs, work):
        self.name, self.out, self.probe, self.foreign = name, *(work / part for part in ("out", "probe", "foreign"))
        self.writes = "OUT" in self.WAYS[name]
        self.source = work / ("in" if self.writes else "made")
        if not self.writes:
            Run([programs[0], "reshard", work / "in", self.source, "--names", "hf", "-q"])
        way = self.WAYS[name].replace("MADE", "IN").replace("IN", str(self.source)).replace("OUT", str(self.out))
        tail = [name, *way.split(), "--threads", THREADS, "-q"]
        self.commands = {program: [program, *tail] for program in programs}
        self.runs = {program: [] for program in programs}
        self.cache, self.at_once = {}, []

    def cold(self):
        clear(self.out)()
        self.out.mkdir()
        self.probe.unlink(missing_ok=True)
        os.sync()
        for path in shards(self.source):
            page_cache.forget(path)
        into_cache([self.foreign])

    def rehearse(self):
        """Seconds without a disk, and how many bytes are read, which may not be all."""
        into_cache(shards(self.source))
        command = next(iter(self.commands.values()))
        if not self.writes:
            self.rehearsed, self.read = min(Run(command).wall for _ in range(2)), payload(self.source)
            return
        told = [json.loads(subprocess.run([*command, "--rehearse", "--json"], check=True, stdout=subprocess.PIPE).stdout)
                for _ in range(2)]
        self.rehearsed, self.read = min(run["seconds"] for run in told), told[0]["read_bytes"]

    def take_turns(self):
        for program, command in self.commands.items():
            self.runs[program].append(Run(command, self.cold))
            self.cache[program] = [cached_mb(files) for files in
                                   (shards(self.source), shards(self.out), [self.foreign])]
            self.written = payload(self.out)
        for threads in (1, 2, 4):
            self.cold()
            disk = Directly(threads, shards(self.source), self.read, self.probe, self.written)
            self.at_once.append(disk.wall())

    def report(self, rate):
        reading, at_once = self.read / rate, min(self.at_once)
        writing = 0.0
        if self.writes:
            writing = fastest(f"Writing what {self.name} writes", writers(self.probe, self.written), self.written,
                              self.cold)
        print(f"\n{self.name}: disk alone reading {reading:.2f} s, writing {writing:.2f} s, "
              f"both at once {at_once:.2f} s; rehearsed {self.rehearsed:.2f} s\n")
        print("| | wall s (min) | CPU s | peak MiB | rate / disk's or rehearsal's "
              "| MB cached: input | output | 67 of others |")
        print("|---|---|---|---|---|---|---|---|")
        for program, runs in self.runs.items():
            least = min(run.wall for run in runs)
            cached = " | ".join(f"{mb:.0f}" for mb in self.cache[program])
            print(f"| {program} | {median(runs, 'wall'):.2f} ({least:.2f}) | {median(runs, 'cpu'):.2f} "
                  f"| {median(runs, 'rss'):.0f} | {max(at_once, self.rehearsed) / least:.2f} | {cached} |", flush=True)


def measure(work, arguments):
    source = work / "in"
    make_input(source, arguments.preset)
    (work / "foreign").write_bytes(os.urandom(64 * MIB))
    verbs = [Verb(name, arguments.tessera, work) for name in arguments.verb]
    for verb in verbs:
        verb.rehearse()
    for _ in range(arguments.runs):
        for verb in verbs:
            verb.take_turns()
    rate = payload(source) / fastest("Reading", readers(source), payload(source), verbs[0].cold)
    for verb in verbs:
        verb.report(rate)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--preset", default="v3-slice")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tessera", action="append")
    parser.add_argument("--verb", nargs="+", choices=Verb.WAYS, default=["cast", "reshard"])
    arguments = parser.parse_args()
    arguments.tessera = arguments.tessera or [BIN / "tessera"]
    work = arguments.dir / "io_speed"
    work.mkdir(parents=True, exist_ok=True)
    try:
        measure(work, arguments)
    finally:
        clear(work)()


if __name__ == "__main__":
    main()
