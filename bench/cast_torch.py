#!/usr/bin/env python3
"""The same job as `tessera cast IN OUT --to bf16`, the way it is commonly done: PyTorch on the CPU,
one shard after the other, every tensor dequantized as a whole.

    cast_torch.py IN OUT [--threads N]

Needs torch and safetensors. Prints the seconds that the job took, imports not counted."""

import argparse
import json
import os
import shutil
import time

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

INDEX = "model.safetensors.index.json"
SCALE = "_scale_inv"


def dequantize(weight, scale, block):
    """weight x the scale of its block, in F32, rounded to BF16."""
    rows, columns = weight.shape
    values = weight.to(torch.float32)
    if rows % block == 0 and columns % block == 0:
        # In place and broadcast: no second F32 copy, no matrix of repeated scales.
        blocks = values.view(rows // block, block, columns // block, block)
        blocks.mul_(scale[:, None, :, None])
    else:
        full = scale.repeat_interleave(block, 0)[:rows].repeat_interleave(block, 1)[:, :columns]
        values.mul_(full)
    return values.to(torch.bfloat16)


class Scales:
    """Scales by name, from whichever shard holds them; shards stay open."""

    def __init__(self, folder, weight_map):
        self.folder, self.weight_map, self.open = folder, weight_map, {}

    def get(self, name):
        shard = self.weight_map[name]
        if shard not in self.open:
            self.open[shard] = safe_open(os.path.join(self.folder, shard), framework="pt")
        return self.open[shard].get_tensor(name)


def cast(source, target):
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(source, INDEX)) as f:
        weight_map = json.load(f)["weight_map"]
    with open(os.path.join(source, "config.json")) as f:
        config = json.load(f)
    block = config.pop("quantization_config")["weight_block_size"][0]
    scales = Scales(source, weight_map)
    total, kept = 0, {}
    for shard in sorted(set(weight_map.values())):
        tensors = {}
        for name, tensor in load_file(os.path.join(source, shard)).items():
            if name.endswith(SCALE):
                continue
            if tensor.dtype == torch.float8_e4m3fn:
                tensor = dequantize(tensor, scales.get(name + SCALE), block)
            tensors[name] = tensor
            kept[name] = shard
            total += tensor.numel() * tensor.element_size()
        save_file(tensors, os.path.join(target, shard), metadata={"format": "pt"})
    config["torch_dtype"] = "bfloat16"
    with open(os.path.join(target, "config.json"), "w") as f:
        json.dump(config, f, indent=2)
    with open(os.path.join(target, INDEX), "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": kept}, f, indent=2)
    for name in os.listdir(source):
        if name not in (INDEX, "config.json") and not name.endswith(".safetensors"):
            shutil.copy(os.path.join(source, name), target)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    begin = time.monotonic()
    cast(arguments.source, arguments.target)
    print(f"{time.monotonic() - begin:.3f}")


if __name__ == "__main__":
    main()
