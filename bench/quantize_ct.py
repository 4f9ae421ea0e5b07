#!/usr/bin/env python3
"""`tessera quantize IN OUT --scheme w4a16` against compressed-tensors' own CPU path from the same files to the same formats, in
one run, in turns.

    quantize_ct.py IN OUT [--tessera PROGRAM] [--rounds N] [--threads N]

IN is a block-FP8 checkpoint in the page cache; OUT is made anew for every run. The peer goes shard by shard: load, dequantize to BF16
(in PyTorch, as cast_torch.py does), choose scales by the experts' extremes, quantize and pack with compressed-tensors, save. It leaves its
files in the page cache; tessera writes a manifest too and syncs everything. Also the part of the peer that is compressed-tensors alone,
from BF16 in memory. Needs torch, safetensors, compressed-tensors. Prints medians of seconds and CPU seconds, weights a second (those of
experts), and how many times the whole peer that is, by seconds and by CPU seconds."""

import argparse
import json
import pathlib
import re
import resource
import shutil
import subprocess
import time

import numpy as np
import torch
from cast_torch import INDEX, SCALE, Scales, dequantize
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file, save_file

EXPERT = re.compile(r"\.mlp\.experts\.\d+\.\w+_proj\.weight$")


def now():
    """Seconds, and CPU seconds of this process and those it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return np.array([time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in used)])


class Peer:
    def __init__(self, source):
        self.source = source
        self.shard_of = json.loads((source / INDEX).read_text())["weight_map"]
        self.block = json.loads((source / "config.json").read_text())["quantization_config"]["weight_block_size"][0]
        self.scheme = preset_name_to_scheme("W4A16", ["Linear"])
        self.compressor = BaseCompressor.get_value_from_registry("pack-quantized")

    def compress(self, weight):
        args = self.scheme.weights
        groups = weight.reshape(weight.shape[0], -1, args.group_size)
        scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
        return self.compressor.compress({"weight": weight, "weight_scale": scale, "weight_zero_point": zero}, self.scheme)

    def run(self, out):
        out.mkdir()
        scales = Scales(self.source, self.shard_of)
        self.in_package = np.zeros(2)
        for shard in sorted(set(self.shard_of.values())):
            tensors = {}
            for name, tensor in load_file(self.source / shard).items():
                if name.endswith(SCALE):
                    continue
                if tensor.dtype == torch.float8_e4m3fn:
                    tensor = dequantize(tensor, scales.get(name + SCALE), self.block)
                if not EXPERT.search(name):
                    tensors[name] = tensor
                    continue
                begin = now()
                stem = name.removesuffix("weight")
                tensors |= {stem + part: t for part, t in self.compress(tensor).items() if t is not None}
                self.in_package += now() - begin
            save_file(tensors, out / shard, metadata={"format": "pt"})


def timed(out, run):
    shutil.rmtree(out, ignore_errors=True)
    begin = now()
    run()
    return now() - begin


def count_expert_weights(folder):
    tensors = json.loads((folder / "tessera.manifest.json").read_text())["tensors"]
    return sum(8 * t["shape"][0] * t["shape"][1] for name, t in tensors.items() if name.endswith(".weight_packed"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tessera", default="build/release/bin/tessera")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peer = Peer(options.source)

    def tessera(*arguments):
        subprocess.run([options.tessera, "quantize", options.source, options.out, "--scheme", "w4a16", "--threads",
                        str(options.threads), "-q", *arguments], check=True, stdout=subprocess.DEVNULL)

    seconds = {"compressed-tensors, whole": [], "compressed-tensors alone": []}
    for _ in range(options.rounds):
        for search in ("absmax", "mse"):
            for rehearse in ("", "--rehearse"):
                took = timed(options.out, lambda: tessera("--search", search, *rehearse.split()))
                seconds.setdefault(f"tessera {search} {rehearse}".strip(), []).append(took)
                if not rehearse:
                    weights = count_expert_weights(options.out)
        seconds["compressed-tensors, whole"].append(timed(options.out, lambda: peer.run(options.out)))
        seconds["compressed-tensors alone"].append(peer.in_package)
    medians = {name: np.median(taken, axis=0) for name, taken in seconds.items()}
    for name, median in medians.items():
        wall, cpu = medians["compressed-tensors, whole"] / median
        print(f"{name:28} {median[0]:7.2f} s {median[1]:7.2f} CPU s {weights / median[0] / 1e6:7.1f} M weights/s "
              f"{wall:5.1f} {cpu:5.1f}")
    shutil.rmtree(options.out)


if __name__ == "__main__":
    main()
