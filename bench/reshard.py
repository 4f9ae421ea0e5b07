#!/usr/bin/env python3
"""Measures `tessera reshard` as a whole command and prints the tables of bench/README.md.

    bench/reshard.py --torch PYTHON --tmpfs DIR [--disk DIR] [--mp 2] [--runs 5]

--torch  an interpreter that has torch and safetensors, for tests/interop/reshard_torch.py
--tmpfs  a folder on tmpfs with room for v3-slice twice (7 GB)
--disk   a folder on a disk, for the comparison with cp

Writes the plot bench/reshard_memory.svg. Needs the release build. Programs that are compared take
turns; see whole_command.py."""

import argparse
import os
import pathlib

import reshard_plot
from whole_command import BIN, ROOT, THREADS, Run, clear, make_input, median, payload, report, take_turns

PRESETS = ["tiny", "small", "v3-slice"]


def programs(source, out, ranks, python):
    ours = [BIN / "tessera", "reshard", source, out, "--mp", ranks, "--threads", THREADS, "-q"]
    theirs = [python, ROOT / "tests/interop/reshard_torch.py", source, out, "--mp", ranks]
    return {"tessera reshard": ours, "PyTorch": theirs}


def say_load():
    print("load:", " ".join(f"{load:.1f}" for load in os.getloadavg()))


def beside_torch(work, ranks, runs, python):
    """Returns {label: [(bytes of the checkpoint, peak in MiB)]}."""
    source, out = work / "in", work / "out"
    peaks = {}
    for preset in PRESETS:
        make_input(source, preset)
        results = take_turns(programs(source, out, ranks, python), clear(out), runs)
        report(f"{preset}, {payload(source):,} bytes, --mp {ranks}, from tmpfs to tmpfs:", results)
        say_load()
        for label, done in results.items():
            peaks.setdefault(label, []).append((payload(source), median(done, "rss")))
        clear(out)()
        clear(source)()
    return peaks


def beside_cp(work, ranks, runs):
    """The input stays in the page cache; both outputs are on the disk when the time is taken."""
    source, out = work / "in", work / "out"
    make_input(source, "small")
    ours = programs(source, out, ranks, "")["tessera reshard"]
    copy = ["sh", "-c", f"cp -r '{source}' '{out}' && sync '{out}'/*"]

    def before():
        clear(out)()
        os.sync()

    Run(["sh", "-c", f"cat '{source}'/* >/dev/null"])
    report("small, from page cache to disk:", take_turns({"cp -r, sync": copy, "tessera reshard": ours},
                                                         before, runs))
    say_load()
    clear(out)()
    clear(source)()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--torch", metavar="PYTHON", required=True)
    parser.add_argument("--tmpfs", type=pathlib.Path, required=True)
    parser.add_argument("--disk", type=pathlib.Path)
    parser.add_argument("--mp", default="2")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    peaks = beside_torch(arguments.tmpfs, arguments.mp, arguments.runs, arguments.torch)
    (ROOT / "bench/reshard_memory.svg").write_text(reshard_plot.svg(peaks))
    if arguments.disk:
        beside_cp(arguments.disk, arguments.mp, arguments.runs)


if __name__ == "__main__":
    main()
