#!/usr/bin/env python3
"""Measures what --compress saves, against `zstd -3` of the whole file, and prints the table of bench/README.md.

    bench/compress.py SCRATCH [--weights 16777216]

SCRATCH  a folder, best on tmpfs, with room for the weights as F32, twice

Gaussian weights of one deviation, stored in four ways. Needs numpy, the zstd program and the release build of tessera_bench_compress."""

import argparse
import pathlib
import resource
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
BENCH = ROOT / "build/release/bin/tessera_bench_compress"


def bf16(weights):
    bits = weights.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def fp8(weights):
    """Codes of E4M3 in groups of 16384, as a block of 128 x 128 has, each with its own scale."""
    values = [m / 8 * 2.0**-6 if e == 0 else (1 + m / 8) * 2.0 ** (e - 7) for e in range(16) for m in range(8)][:127]
    groups = weights.reshape(-1, 16384)
    scaled = np.abs(groups) * (448 / np.abs(groups).max(axis=1, keepdims=True))
    between = (np.array(values[1:]) + np.array(values[:-1])).astype(np.float32) / 2
    return np.searchsorted(between, scaled).astype(np.uint8) | np.signbit(groups).astype(np.uint8) << 7


def int4(weights):
    """Eight codes a word, in groups of 128, as pack-quantized has them."""
    groups = weights.reshape(-1, 128)
    codes = np.clip(np.rint(groups * (7.5 / np.abs(groups).max(axis=1, keepdims=True))), -8, 7).astype(np.int8) + 8
    nibbles = codes.astype(np.uint8).reshape(-1, 2)
    return nibbles[:, 0] | nibbles[:, 1] << 4


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=pathlib.Path)
    parser.add_argument("--weights", type=int, default=1 << 24)
    args = parser.parse_args()
    weights = np.random.default_rng(1).standard_normal(args.weights, dtype=np.float32) * np.float32(0.02)
    plain, packed = args.scratch / "weights", args.scratch / "packed"
    for name, stored in [("BF16", bf16(weights)), ("FP8", fp8(weights)), ("INT4", int4(weights)), ("F32", weights)]:
        stored.tofile(plain)
        print(f"{name}, {stored.nbytes:,} bytes")
        start = cpu_of_children()
        subprocess.run(["zstd", "-3", "--single-thread", "-qf", plain, "-o", packed], check=True)
        seconds = cpu_of_children() - start
        ratio = stored.nbytes / packed.stat().st_size
        print(f"{'zstd -3':<14}  ratio {ratio:.3f}  packs {stored.nbytes / seconds / 1e6:5.0f} MB/s", flush=True)
        subprocess.run([BENCH, plain, packed], check=True)
    plain.unlink()


if __name__ == "__main__":
    main()
