"""The numbers as PyTorch computes them, and checkpoints as the `safetensors` package reads them."""
import json

import torch
from safetensors import safe_open

FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)
PLAIN = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}


def load(folder):
    """All tensors of a checkpoint by name, read through its index."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    tensors = {}
    for file in sorted(set(index["weight_map"].values())):
        with safe_open(folder / file, framework="pt") as shard:
            for name in shard.keys():
                assert index["weight_map"][name] == file, name
                assert name not in tensors, name
                tensors[name] = shard.get_tensor(name)
    assert set(tensors) == set(index["weight_map"])
    return tensors


def block_size(folder):
    config = json.loads((folder / "config.json").read_text())
    return config["quantization_config"]["weight_block_size"]


def spread(scale, shape, block):
    """One scale an element: each of its blocks, ragged at the edges."""
    rows = scale.repeat_interleave(block[0], dim=0)[: shape[0]]
    return rows.repeat_interleave(block[1], dim=1)[:, : shape[1]]


def dequantize(weight, scale, block):
    return weight.to(torch.float32) * spread(scale.to(torch.float32), weight.shape, block)


def expected_cast(tensors, block, to):
    """What `cast --to` makes of a checkpoint: FP8 with its scale, BF16 and F16; never F32."""
    cast = {}
    for name, tensor in tensors.items():
        if name.endswith("_scale_inv"):
            continue
        if tensor.dtype in FP8:
            cast[name] = dequantize(tensor, tensors[name + "_scale_inv"], block).to(to)
        elif tensor.dtype in (torch.bfloat16, torch.float16):
            cast[name] = tensor.to(to)
        else:
            cast[name] = tensor
    return cast


def bits(tensor):
    integer = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.contiguous().view(integer[tensor.element_size()])


def assert_same(actual, expected):
    """Same names, dtypes, shapes and bits; a NaN equals any NaN."""
    assert actual.keys() == expected.keys()
    for name, want in expected.items():
        got = actual[name]
        assert got.dtype == want.dtype and got.shape == want.shape, name
        differs = bits(got) != bits(want)
        if want.is_floating_point():
            differs &= ~(got.to(torch.float32).isnan() & want.to(torch.float32).isnan())
        assert not differs.any(), f"{name}: {int(differs.sum())} of {differs.numel()} differ"
