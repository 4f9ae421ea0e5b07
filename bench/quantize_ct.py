#!/usr/bin/env python3
"""`tessera quantize IN OUT --scheme w4a16` against compressed-tensors' own CPU path on the same tensors, in one run.

    quantize_ct.py IN OUT [--tessera PROGRAM] [--experts N] [--threads N]

IN is a block-FP8 checkpoint in the page cache. tessera does the whole command, files included; compressed-tensors gets the first N
experts' linears already in memory as BF16 and only chooses scales, quantizes and packs. Needs torch, safetensors, compressed-tensors.
Prints weights a second of both; of tessera, those it quantized."""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import time

import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import preset_name_to_scheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors import safe_open

EXPERT = re.compile(r"\.mlp\.experts\.\d+\.\w+_proj\.weight$")


def expert_weights(folder, count):
    """Their shapes with random BF16 values: neither program's time depends on them."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    names = sorted(name for name in index if EXPERT.search(name))[:3 * count]
    for name in names:
        with safe_open(folder / index[name], framework="pt") as shard:
            yield torch.randn(shard.get_slice(name).get_shape()).to(torch.bfloat16) * 0.02


def peer(weights):
    scheme = preset_name_to_scheme("W4A16", ["Linear"])
    compressor = BaseCompressor.get_value_from_registry("pack-quantized")
    size = scheme.weights.group_size
    begin = time.perf_counter()
    for weight in weights:
        groups = weight.reshape(weight.shape[0], -1, size)
        scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), scheme.weights)
        compressor.compress({"weight": weight, "weight_scale": scale, "weight_zero_point": zero}, scheme)
    return sum(weight.numel() for weight in weights) / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tessera", default="build/release/bin/tessera")
    parser.add_argument("--experts", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    theirs = peer(list(expert_weights(options.source, options.experts)))
    print(f"compressed-tensors, in memory, {options.threads} threads: {theirs / 1e6:.1f} M weights/s")
    for search in ("absmax", "mse"):
        shutil.rmtree(options.out, ignore_errors=True)
        begin = time.perf_counter()
        subprocess.run([options.tessera, "quantize", options.source, options.out, "--scheme", "w4a16", "--search", search,
                        "--threads", str(options.threads), "-q"], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
        tensors = json.loads((options.out / "tessera.manifest.json").read_text())["tensors"]
        weights = sum(8 * t["shape"][0] * t["shape"][1] for name, t in tensors.items() if name.endswith(".weight_packed"))
        print(f"tessera --search {search}: {weights / seconds / 1e6:.1f} M weights/s, {seconds:.2f} s whole, "
              f"{weights / seconds / theirs:.1f} times")
    shutil.rmtree(options.out)


if __name__ == "__main__":
    main()
