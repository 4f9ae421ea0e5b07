#!/usr/bin/env python3
"""Asks compressed-tensors, and the arithmetic of other quantizers, for the integers of awkward rows.

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy compressed-tensors==0.20.0
    venv/bin/python tests/golden/make_int_golden.py

Writes tests/golden/int/*.bin, little-endian rows without headers, and golden.json, which says what
each file is, its SHA-256, and which versions made it. Deterministic: a second run changes nothing.
"""

import hashlib
import json
import pathlib
import platform

import compressed_tensors
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams

OUT = pathlib.Path(__file__).parent / "int"
COLS = 256

written = {}


def write(name, tensor, what):
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    (OUT / name).write_bytes(data)
    written[name] = {"what": what, "shape": list(tensor.shape), "sha256": hashlib.sha256(data).hexdigest()}


def awkward_rows():
    """BF16, 32 rows: ordinary ones, heavy tails, ties, one sign, zeros, outliers, very small and large."""
    generator = torch.Generator().manual_seed(3)
    normal = torch.randn(32, COLS, generator=generator)
    rows = normal * 0.02
    chi = torch.randn(8, COLS, 3, generator=generator).square().sum(-1) / 3
    rows[4:12] = normal[4:12] / chi.sqrt() * 0.02  # Student's t, 3 degrees of freedom
    rows[12] = 0
    rows[13, :128] = 0
    rows[14] = rows[14].abs()
    rows[15] = -rows[15].abs()
    rows[16, 5] = 1000
    rows[17, 200] = -1e30
    rows[18] = torch.arange(COLS) % 16 - 8.0  # with 7.5 as the largest: ties
    rows[19] = (torch.arange(COLS) % 31 - 15.0) / 2
    rows[20] = 1.0
    rows[21] = -3e-5
    rows[22] *= 1e-36
    rows[23] *= 1e-38  # BF16 subnormals
    rows[24] = 0
    rows[24, 3] = 1e-40
    rows[25] = 0
    rows[25, 4] = -9.2e-41  # the smallest BF16
    rows[26] *= 1e36
    rows[27] = torch.where(torch.arange(COLS) % 2 == 0, 1.6e38, -1.6e38)
    rows[28, ::2] = 0
    rows[29] = torch.exp2(-(torch.arange(COLS) % 24).float())
    rows[30] = normal[30].sign() * 0.01
    rows[31] += 5  # far from zero
    return rows.to(torch.bfloat16)


def quantize(rows, args, fmt):
    """The tensors that compressed-tensors stores, from its own observer arithmetic on."""
    groups = rows.unflatten(-1, (-1, args.group_size if args.strategy == "group" else COLS))
    scale, zero = calculate_qparams(groups.amin(-1), groups.amax(-1), args)
    state = {"weight": rows, "weight_scale": scale}
    if not args.symmetric:
        state["weight_zero_point"] = zero
    scheme = QuantizationScheme(targets=["Linear"], weights=args, format=fmt)
    compressor = BaseCompressor.get_value_from_registry(fmt)
    stored = compressor.compress(dict(state), scheme)
    return stored, compressor.decompress(dict(stored), scheme)["weight"]


def moderate_rows():
    """The rows whose values F16 holds, and without those that upstream divides by zero."""
    rows = awkward_rows()[[0, 1, 4, 5, 6, 14, 15, 16, 18, 19, 20, 28, 30, 31]]
    return torch.cat([rows, torch.zeros(2, COLS, dtype=torch.bfloat16)])


def auto_awq(rows):
    """AutoAWQ's pseudo_quantize_tensor, 4 bits asymmetric, with F16 weights."""
    w = rows.half().unflatten(-1, (-1, 128))
    high, low = w.amax(-1, keepdim=True), w.amin(-1, keepdim=True)
    scale = (high - low).clamp(min=1e-5) / 15
    zero = (-torch.round(low / scale)).clamp(0, 15)
    codes = torch.clamp(torch.round(w / scale) + zero, 0, 15)
    return codes - 8, scale, zero - 8


def gptq(rows, bits):
    """GPTQModel's find_params, symmetric, but for its treatment of groups without a negative value."""
    w = rows.float().unflatten(-1, (-1, 128))
    high = w.abs().amax(-1, keepdim=True)
    high[high == 0] = 1
    steps = 2**bits - 1
    scale = (high - -high) / steps
    zero = (steps + 1) / 2
    codes = torch.clamp(torch.round(w / scale) + zero, 0, steps)
    return codes - zero, scale.half(), torch.zeros_like(scale)


def int8_row(rows):
    w = rows.float().unsqueeze(1)
    scale = w.abs().amax(-1, keepdim=True) / 127
    scale[scale == 0] = 1
    return torch.round(w / scale).clamp(-127, 127), scale, torch.zeros_like(scale)


def int8_block(rows):
    """Blocks of 8 x 128; the float becomes an integer towards zero."""
    w = rows.float().unflatten(-1, (-1, 128))
    scale = w.abs().unflatten(0, (-1, 8)).amax((1, 3)).repeat_interleave(8, 0).unsqueeze(-1) / 127
    scale[scale == 0] = 1
    return (w / scale).to(torch.int8), scale, torch.zeros_like(scale)


def int4_fp8(rows):
    """TensorRT-LLM's quantize_mixed_precision_moe.py, with a scale of 1 for zeros."""
    w = rows.float().unflatten(-1, (-1, 128))
    scale = w.abs().amax(-1, keepdim=True) / 7
    scale[scale == 0] = 1
    return torch.round(w / scale).clamp(-8, 7), scale, torch.zeros_like(scale)


def main():
    OUT.mkdir(exist_ok=True)
    rows = awkward_rows()
    write("rows.bf16.bin", rows, "the rows that all of these quantize")
    cases = {
        "w4a16-g128": ("pack-quantized", dict(num_bits=4, strategy="group", group_size=128)),
        "w4a16-g32": ("pack-quantized", dict(num_bits=4, strategy="group", group_size=32)),
        "w4a16-channel": ("pack-quantized", dict(num_bits=4, strategy="channel")),
        "w4a16-asym": ("pack-quantized", dict(num_bits=4, strategy="group", group_size=128, symmetric=False)),
        "w8a16-channel": ("pack-quantized", dict(num_bits=8, strategy="channel")),
        "w8a16-asym": ("pack-quantized", dict(num_bits=8, strategy="group", group_size=128, symmetric=False)),
        "w8a8": ("int-quantized", dict(num_bits=8, strategy="channel")),
    }
    for name, (fmt, args) in cases.items():
        stored, decompressed = quantize(rows, QuantizationArgs(type="int", **args), fmt)
        for part, tensor in sorted(stored.items()):
            write(f"{name}.{part}.bin", tensor, f"{fmt}, {args}")
        write(f"{name}.decompressed.bin", decompressed, "what compressed-tensors reads back, in BF16")
    rows = moderate_rows()
    write("moderate.bf16.bin", rows, "the rows that the rules below quantize, restated in PyTorch")
    rules = {"awq": auto_awq(rows), "gptq4": gptq(rows, 4), "gptq8": gptq(rows, 8), "int8-row": int8_row(rows),
             "int8-block": int8_block(rows), "int4-fp8": int4_fp8(rows)}
    for name, (codes, scale, zero) in rules.items():
        write(f"{name}.codes.bin", codes.to(torch.int8), "signed codes")
        write(f"{name}.scales.bin", scale.float(), "scales as float32")
        write(f"{name}.zeros.bin", zero.to(torch.int8), "signed zeros")
    golden = {"versions": {"torch": torch.__version__, "compressed-tensors": compressed_tensors.__version__,
                           "python": platform.python_version(), "machine": platform.machine()},
              "files": written}
    (OUT / "golden.json").write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
