#!/usr/bin/env python3
"""Predicts how long a conversion takes on 1 to 64 nodes that share a file system, and what holds it up.

usage: cluster_model.py [OPTIONS] -- tessera cast IN OUT --to bf16      (any verb that takes --part)
       cluster_model.py --check FOLDER -- tessera cast --to bf16     (measures 1 and 2 at a time, in FOLDER)

Sizes of parts come from the real plan (`--dry-run --json --part 1/N`), rates from the options; bench/README.md says
how to measure them. What a node makes at a time advances at the speed of what is slowest for it: its cores, its way to
the file system, or its fair share of the file system. Planning comes before, sealing after. OUT is not touched.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

NODES = (1, 2, 4, 8, 16, 32, 64)
UNITS_PER_NODE, UNIT_BYTES, MAX_PARTS = 64, 128 << 20, 4096  # as cli/rank_job.cc deals them
MB = 1e6


# Reserves the space and syncs beside the writing, as tessera does.
PLAIN_WRITING = """
import os, sys, threading
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
piece, left = bytes(1 << 23), int(sys.argv[2])
os.posix_fallocate(file, 0, left)
written = False
def sync():
    while not written:
        os.fdatasync(file)
thread = threading.Thread(target=sync)
thread.start()
while left > 0:
    left -= os.write(file, piece)
written = True
thread.join()
os.fdatasync(file)
"""


@dataclasses.dataclass
class Cluster:
    """Rates in bytes a second."""
    cores: int         # of a node
    core: float        # of input, that one core converts
    node_read: float   # between a node and the file system
    node_write: float
    fs_read: float     # of the file system, for all nodes together
    fs_write: float
    start: float = 0.0  # seconds before the first byte: planning
    end: float = 0.0    # seconds after the last one: sealing


def seconds_of(work, active, cluster):
    """Of each cause, how long (read, written) bytes would take while `active` nodes work."""
    read, written = work
    return {
        "cores": read / (cluster.core * cluster.cores),
        "node's reading": read / cluster.node_read,
        "node's writing": written / cluster.node_write,
        "shared reading": read * active / cluster.fs_read,
        "shared writing": written * active / cluster.fs_write,
    }


def simulate(works, nodes, cluster, dealt):
    """Seconds of `works`, one each for `nodes` nodes or dealt out in order as they go, and what held them up longest.

    From one event to the next every node's work advances at its present speed.
    """
    queue = list(works)
    left = [1.0] * nodes  # of each node's present work
    present = [queue.pop(0) if queue else None for _ in range(nodes)]
    assert dealt or not queue
    now, causes = 0.0, {}
    while any(work is not None for work in present):
        busy = [i for i, work in enumerate(present) if work is not None]
        times = {i: seconds_of(present[i], len(busy), cluster) for i in busy}
        speed = {i: max(times[i].values()) for i in busy}
        step = min(left[i] * speed[i] for i in busy)
        slowest = max(busy, key=lambda i: left[i] * speed[i])
        cause = "uneven parts" if len(busy) < nodes else max(times[slowest], key=times[slowest].get)
        causes[cause] = causes.get(cause, 0) + step
        now += step
        for i in busy:
            left[i] -= step / speed[i] if speed[i] else 1
            if left[i] <= 1e-9:
                present[i], left[i] = (queue.pop(0) if queue else None), 1.0
    return cluster.start + now + cluster.end, max(causes, key=causes.get, default="nothing")


def parts_of(command, count):
    """(read, written) bytes of each of `count` parts of the command's plan."""
    done = subprocess.run([*command, "--dry-run", "--json", "--part", f"1/{count}"], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    plan = json.loads(done.stdout)
    # A plan of one part is not called one.
    return [(part["read_bytes"], part["written_bytes"]) for part in plan.get("parts", [])]


def table(command, cluster, nodes=NODES):
    """Rows (nodes, seconds in parts, cause, largest part / mean, seconds dealt out, cause)."""
    everything = [tuple(map(sum, zip(*parts_of(command, 2))))]
    rows = []
    for n in nodes:
        parts = parts_of(command, n) if n > 1 else everything
        units = min(max(everything[0][1] // UNIT_BYTES, n), UNITS_PER_NODE * n, MAX_PARTS)
        dealt = parts_of(command, units) if n > 1 and units > 1 else everything
        sizes = [sum(part) for part in parts]
        rows.append((n, *simulate(parts, n, cluster, False), max(sizes) * n / sum(sizes),
                     *simulate(dealt, n, cluster, True)))
    return rows


def print_table(rows):
    print("| nodes | `--part`: hours | efficiency | largest part / mean | limit | `tessera-mpi`: hours | efficiency | limit |")
    print("|---|---|---|---|---|---|---|---|")
    first = rows[0][1]
    for n, seconds, cause, uneven, dealt, dealt_cause in rows:
        print(f"| {n} | {seconds / 3600:.3f} | {first / (n * seconds):.0%} | {uneven:.2f} | {cause} "
              f"| {dealt / 3600:.3f} | {first / (n * dealt):.0%} | {dealt_cause} |")


class Bench:
    """Two cores of this machine as two nodes, which share FOLDER's file system."""

    def __init__(self, folder, command, rounds):
        self.folder, self.rounds = folder, rounds
        self.tessera, self.verb, *self.options = command
        self.cores = sorted(os.sched_getaffinity(0))[:2]
        assert len(self.cores) == 2, "needs two cores"
        subprocess.run([self.tessera, "synth", folder / "in", "--preset", "small", "--json"], check=True,
                       stdout=subprocess.DEVNULL)

    def command(self, out="out"):
        return [self.tessera, self.verb, str(self.folder / "in"), str(self.folder / out), *self.options]

    def start(self, core, *arguments):
        return subprocess.Popen(arguments, stdout=subprocess.DEVNULL,
                                preexec_fn=lambda: os.sched_setaffinity(0, {core}))

    def seconds(self, nodes, commands):
        """Of `commands`, dealt out in order to so many cores, the median."""
        times = []
        for _ in range(self.rounds):
            subprocess.run(["rm", "-rf", self.folder / "out"], check=True)
            os.sync()
            queue, running = list(commands), {}
            begin = time.monotonic()
            while queue or running:
                for core in self.cores[:nodes]:
                    if core not in running and queue:
                        running[core] = self.start(core, *queue.pop(0))
                core, process = next(((c, p) for c, p in running.items() if p.poll() is not None), (None, None))
                if process is None:
                    time.sleep(0.001)
                    continue
                assert process.returncode in (0, 1), process.args
                del running[core]
            times.append(time.monotonic() - begin)
        return statistics.median(times)

    def parts(self, count, which=None):
        return [[*self.command(), "--threads", "1", "--json", "--part", f"{i}/{count}"]
                for i in which or range(1, count + 1)]

    def write_rate(self, nodes):
        """Of plain writing and syncing, bytes a second in all."""
        size = 512 << 20
        seconds = self.seconds(nodes, [[sys.executable, "-c", PLAIN_WRITING, str(self.folder / f"plain{i}"),
                                        str(size)] for i in range(nodes)])
        for i in range(nodes):
            (self.folder / f"plain{i}").unlink()
        return nodes * size / seconds

    def rates(self):
        """From planning, from a quarter of the work on one core, and from plain writing. Reads come from memory."""
        start = self.seconds(1, [[*self.command(), "--dry-run"]])
        # A process that ends without being the last seals nothing.
        read = parts_of(self.command(), 4)[0][0]
        node_write = self.write_rate(1)
        working = self.seconds(1, self.parts(4, [1])) - start
        return Cluster(cores=1, core=read / working, node_read=1e12, node_write=node_write, fs_read=1e12,
                       fs_write=self.write_rate(2), start=start)

    def compare(self):
        cluster = self.rates()
        print(f"{self.verb} {' '.join(self.options)}: one core {cluster.core / MB:.0f} MB of input a second, writing "
              f"{cluster.node_write / MB:.0f} MB/s alone and {cluster.fs_write / MB:.0f} MB/s by two")
        print("| nodes | work | predicted s | measured s | measured / predicted |")
        print("|---|---|---|---|---|")
        worst = 1
        # Starting a process a part costs each its planning: part of the work where parts are dealt out.
        for nodes, count in ((1, 1), (2, 2), (2, 3), (2, 8)):
            works = parts_of(self.command(), count) if count > 1 else [tuple(map(sum, zip(*parts_of(self.command(), 2))))]
            predicted, _ = simulate(works, nodes, dataclasses.replace(cluster, start=0), True)
            predicted += cluster.start * -(-count // nodes)
            commands = self.parts(count) if count > 1 else [[*self.command(), "--threads", "1", "--json"]]
            measured = self.seconds(nodes, commands)
            ratio = measured / predicted
            worst = max(worst, ratio, 1 / ratio)
            print(f"| {nodes} | {count} part{'s' * (count > 1)} | {predicted:.2f} | {measured:.2f} | {ratio:.2f} |")
        return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=16, help="of a node")
    parser.add_argument("--core", type=float, default=400, help="MB of input a second that one core converts")
    parser.add_argument("--node-read", type=float, default=2500, help="MB/s between a node and the file system")
    parser.add_argument("--node-write", type=float, default=2500)
    parser.add_argument("--fs-read", type=float, default=20000, help="MB/s of the file system for all nodes together")
    parser.add_argument("--fs-write", type=float, default=20000)
    parser.add_argument("--start", type=float, default=5, help="seconds of planning")
    parser.add_argument("--end", type=float, default=5, help="seconds of sealing")
    parser.add_argument("--check", type=pathlib.Path, help="a folder, on the file system to measure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    if args.check:
        with tempfile.TemporaryDirectory(dir=args.check) as folder:
            worst = Bench(pathlib.Path(folder), args.command, args.rounds).compare()
        return 0 if worst <= 1.5 else 1
    rates = {name: getattr(args, name) * MB for name in ("core", "node_read", "node_write", "fs_read", "fs_write")}
    print_table(table(args.command, Cluster(cores=args.cores, start=args.start, end=args.end, **rates)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
