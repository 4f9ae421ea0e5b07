#!/usr/bin/env python3
"""Measures `tessera cast --to bf16` as a whole command and prints the tables of bench/README.md.

    bench/whole_command.py --tmpfs DIR [--disk DIR] [--torch PYTHON] [--preset small] [--runs 5]

--tmpfs  a folder on tmpfs with room for the input and one output (small: 3 GB, v3-slice: 10 GB)
--disk   a folder on a disk, for the cold run beside dd with direct I/O
--torch  an interpreter that has torch and safetensors, for cast_torch.py (slow)

Needs the release build with the target tessera_bench_roofline (and tessera_bench_kernels for the
kernel's ratio). Programs that are compared take turns, A B A B, after one run of each that is not
counted; ratios are of medians."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build" / "release" / "bin"
THREADS = "2"


class Run:
    """One finished process: seconds by the clock, by the CPU, and its peak resident memory."""

    def __init__(self, command, before=lambda: None):
        before()
        begin = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        self.wall = time.monotonic() - begin
        self.cpu = usage.ru_utime + usage.ru_stime
        self.rss = usage.ru_maxrss / 1024
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command[0]} failed with {process.returncode}")


def clear(folder):
    return lambda: shutil.rmtree(folder, ignore_errors=True)


def take_turns(programs, before, runs):
    """programs: {label: command}. The first round warms up."""
    rounds = [
        {label: Run(command, before) for label, command in programs.items()}
        for _ in range(runs + 1)
    ]
    return {label: [r[label] for r in rounds[1:]] for label in programs}


def median(runs, field):
    return statistics.median(getattr(run, field) for run in runs)


def report(title, results):
    print(f"\n{title}\n")
    print("| | wall s (min) | CPU s | peak MiB | wall / first | CPU / first |")
    print("|---|---|---|---|---|---|")
    first = next(iter(results.values()))
    for label, runs in results.items():
        wall, cpu = median(runs, "wall"), median(runs, "cpu")
        fastest = min(run.wall for run in runs)
        print(
            f"| {label} | {wall:.2f} ({fastest:.2f}) | {cpu:.2f} | {median(runs, 'rss'):.0f} "
            f"| {wall / median(first, 'wall'):.2f} | {cpu / median(first, 'cpu'):.2f} |",
            flush=True,
        )


def cast(source, target):
    return [BIN / "tessera", "cast", source, target, "--to", "bf16", "--threads", THREADS, "-q"]


def make_input(folder, preset):
    clear(folder)()
    subprocess.run([BIN / "tessera", "synth", folder, "--preset", preset], check=True,
                   stdout=subprocess.DEVNULL)


def shards(folder):
    return sorted(folder.glob("*.safetensors"))


def payload(folder):
    return sum(shard.stat().st_size for shard in shards(folder))


def make_model(source, folder):
    """Empty files of the sizes that a cast's shards have."""
    out = folder.with_name("sizes")
    clear(out)()
    Run(cast(source, out))
    clear(folder)()
    folder.mkdir()
    for shard in shards(out):
        (folder / shard.name).touch()
        os.truncate(folder / shard.name, shard.stat().st_size)
    clear(out)()


def from_memory(work, preset, runs, python):
    source, model, out = work / "in", work / "model", work / "out"
    make_input(source, preset)
    make_model(source, model)
    print(f"preset {preset}: {payload(source):,} bytes in, {payload(model):,} bytes out")
    roofline = [BIN / "tessera_bench_roofline", source, model, out]
    programs = {"roofline": roofline, "tessera cast": cast(source, out)}
    report("From tmpfs to tmpfs, 2 threads:", take_turns(programs, clear(out), runs))
    if python:
        script = [python, ROOT / "bench" / "cast_torch.py", source, out, "--threads", THREADS]
        programs = {"tessera cast": cast(source, out), "PyTorch": script}
        report("Beside PyTorch:", take_turns(programs, clear(out), min(runs, 3)))
    clear(out)()


def forget(folder):
    """Drops the folder's clean pages from the cache, as far as the kernel obliges."""
    for path in folder.iterdir():
        with open(path, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def from_disk(work, preset, runs):
    source, model, out = work / "in", work / "model", work / "out"
    make_input(source, preset)
    make_model(source, model)

    def cold():
        clear(out)()
        out.with_name("dd").mkdir(exist_ok=True)
        os.sync()
        forget(source)

    read = " && ".join(f"dd if='{s}' of=/dev/null bs=4M iflag=direct" for s in shards(source))
    write = " && ".join(
        f"dd if=/dev/zero of='{out.with_name('dd') / s.name}' bs=4M oflag=direct conv=fsync"
        f" iflag=count_bytes count={s.stat().st_size // 4096 * 4096}"
        for s in shards(model)
    )
    quiet = "exec 2>/dev/null; "
    programs = {
        "dd, reading the input": ["sh", "-c", quiet + read],
        "dd, writing the output": ["sh", "-c", quiet + write],
        "tessera cast, output synced": cast(source, out),
    }
    report("From a cold disk to disk:", take_turns(programs, cold, runs))
    for name in ("in", "model", "out", "dd"):
        clear(work / name)()


def kernel():
    program = BIN / "tessera_bench_kernels"
    output = subprocess.run(
        [program, "--benchmark_format=json", "--benchmark_filter=L2"],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ).stdout
    print("\nFP8 to BF16, 128 KiB in and 256 KiB out, one core:\n")
    print("| target | input GiB/s | of memcpy |\n|---|---|---|")
    for b in json.loads(output)["benchmarks"]:
        target = b["name"].split("/")[1]
        print(f"| {target} | {b['dequant'] / 2**30:.1f} | {b['of_memcpy']:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tmpfs", type=pathlib.Path)
    parser.add_argument("--disk", type=pathlib.Path)
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if not (BIN / "tessera_bench_roofline").exists():
        sys.exit("build first: scripts/build.sh release")
    kernel()
    if arguments.tmpfs:
        from_memory(arguments.tmpfs, arguments.preset, arguments.runs, arguments.torch)
    if arguments.disk:
        from_disk(arguments.disk, arguments.preset, arguments.runs)


if __name__ == "__main__":
    main()
