#!/usr/bin/env python3
"""`tessera gguf` as a whole command against convert_hf_to_gguf.py and llama-quantize on the same checkpoint.

    bench/gguf_speed.py LLAMA_CPP WORK [--preset v3-slice] [--type Q4_K_M] [--threads 2] [--runs 1]

LLAMA_CPP is a checkout with llama-quantize in build/bin, as its default build makes it. WORK is a folder with room
for the checkpoint, its BF16 GGUF and two quantized ones (v3-slice: 13 GB), best on tmpfs. The interpreter needs
torch, transformers and safetensors. The converter writes BF16, its default for these models. Both get the same
threads; the converter computes with one."""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tests/golden")]
from whole_command import BIN, Run  # noqa: E402


def convert(llama, source, out):
    """In a process of its own."""
    from make_gguf_golden import Converter
    Converter(llama).convert(source, "bf16", out)


def report(commands, runs, weights):
    """The median of the whole."""
    for n, (label, _) in enumerate(commands):
        print(f"| {label} | {statistics.median(steps[n].wall for steps in runs):.1f} "
              f"| {statistics.median(steps[n].cpu for steps in runs):.1f} "
              f"| {max(steps[n].rss for steps in runs):.0f} "
              f"| {weights / statistics.median(steps[n].wall for steps in runs) / 1e6:.1f} |", flush=True)
    return statistics.median(sum(run.wall for run in steps) for steps in runs)


def main():
    if sys.argv[1] == "--convert":
        return convert(*map(pathlib.Path, sys.argv[2:]))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("llama", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--preset", default="v3-slice")
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    llama, work = options.llama.resolve(), options.work
    work.mkdir(parents=True, exist_ok=True)
    source, bf16, theirs, ours = (work / name for name in ("in", "bf16.gguf", "theirs.gguf", "ours.gguf"))
    shutil.rmtree(source, ignore_errors=True)
    subprocess.run([BIN / "tessera", "synth", "-q", source, "--preset", options.preset], check=True,
                   stdout=subprocess.DEVNULL)
    upstream = [
        ("convert_hf_to_gguf.py, BF16", [sys.executable, __file__, "--convert", llama, source, bf16]),
        (f"llama-quantize {options.type}", [llama / "build/bin/llama-quantize", bf16, theirs, options.type,
                                            options.threads])]
    tessera = [(f"tessera gguf --type {options.type}", [
        BIN / "tessera", "gguf", source, ours, "--type", options.type, "--no-tokenizer", "--threads",
        options.threads, "-q"])]
    os.environ["OMP_NUM_THREADS"] = options.threads
    runs = {"theirs": [], "ours": []}
    for _ in range(options.runs):
        for old in work.glob("*.gguf*"):
            old.unlink()
        runs["ours"].append([Run(command) for _, command in tessera])
        runs["theirs"].append([Run(command) for _, command in upstream])
    weights = bf16.stat().st_size / 2
    print(f"{options.preset}: {weights / 1e9:.2f} billion weights, {options.threads} threads; files of "
          f"{ours.stat().st_size:,} and {theirs.stat().st_size:,} bytes\n")
    print("| | wall s | CPU s | peak MiB | M weights/s |\n|---|---|---|---|---|")
    slow, fast = report(upstream, runs["theirs"], weights), report(tessera, runs["ours"], weights)
    print(f"\ntessera is {slow / fast:.1f} times as fast")


if __name__ == "__main__":
    main()
