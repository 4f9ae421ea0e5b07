#!/usr/bin/env python3
"""Asks PyTorch, and DeepSeek's own kernel under Triton's interpreter, what FP8 numbers are.

    python3 -m venv venv && venv/bin/pip install torch==2.13.0 numpy triton
    venv/bin/python tests/golden/make_golden.py [PATH/TO/DeepSeek-V3]

Writes tests/golden/quant/*.bin, little-endian rows without headers, and golden.json, which says what
each file is, its SHA-256, and which versions made it. Deterministic: a second run changes nothing.
"""

import hashlib
import json
import os
import pathlib
import platform
import sys

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import torch

OUT = pathlib.Path(__file__).parent / "quant"
CODES = torch.arange(256, dtype=torch.uint8)

written = {}


def write(name, tensor, what):
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    (OUT / name).write_bytes(data)
    written[name] = {"what": what, "shape": list(tensor.shape), "sha256": hashlib.sha256(data).hexdigest()}


def from_bits(bits):
    return torch.tensor(bits, dtype=torch.int64).to(torch.int32).view(torch.float32)


def awkward_scales():
    """Plain, signed, at the ends of the range, subnormal; then random ones of every exponent."""
    bits = [0x3F800000, 0xBF800000, 0x00000001, 0x00400000, 0x00800000, 0x03800000, 0x03FFFFFF,
            0x7A800000, 0x7B000000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x00000000, 0x80000000]
    generator = torch.Generator().manual_seed(1)
    exponents = torch.arange(2, 254, 5)
    fractions = torch.randint(0, 1 << 23, exponents.shape, generator=generator)
    return torch.cat([from_bits(bits), (exponents * (1 << 23) + fractions).to(torch.int32).view(torch.float32)])


def floats_to_round():
    """Every exponent, with fractions at and around the ties of BF16, F16 and E4M3."""
    fractions = [0, 1, 0xFFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x18000, 0x7FFFF, 0x80000,
                 0x80001, 0x180000, 0x7FFFFF]
    bits = [sign << 31 | exponent << 23 | fraction
            for sign in (0, 1) for exponent in range(255) for fraction in fractions]
    return from_bits([b - (1 << 32) if b >= 1 << 31 else b for b in bits])


def act_quant(x, scale_fmt):
    """The arithmetic of inference/kernel.py's act_quant_kernel, in PyTorch; one block a row."""
    x = x.float()
    scale = x.abs().amax(-1).clamp(min=1e-4) / 448.0
    if scale_fmt == "ue8m0":
        scale = torch.exp2(torch.ceil(torch.log2(scale)))
    return (x / scale[:, None]).to(torch.float8_e4m3fn), scale


def activations():
    """Rows of 128, BF16: normal ones of many magnitudes, zeros, and some below the clamp."""
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(64, 128, generator=generator) * torch.exp2(torch.arange(64) - 40.0)[:, None]
    rows[3] = 0
    rows[5, :4] = torch.tensor([448.0, -448.0, 1e-4, 0.0])
    return rows.to(torch.bfloat16)


def same(a, b):
    """Bit for bit, NaN as NaN."""
    nan = torch.isnan(a) & torch.isnan(b)
    return bool(((a.view(torch.int32) == b.view(torch.int32)) | nan).all())


def ask_upstream(checkout, scales, rows):
    """Runs DeepSeek's kernels. Only what leaves them as F32 counts: see README.md."""
    sys.path.insert(0, str(pathlib.Path(checkout) / "inference"))
    import kernel
    import triton

    torch.set_default_dtype(torch.float32)
    source = (pathlib.Path(checkout) / "inference" / "kernel.py").read_bytes()
    report = {"triton": triton.__version__, "kernel.py sha256": hashlib.sha256(source).hexdigest()}

    codes = CODES.repeat(2).repeat(256, 1)  # 256 x 512: 2 x 4 blocks of 128
    block_scales = scales[: 8].reshape(2, 4).contiguous()
    got = kernel.weight_dequant(codes.view(torch.float8_e4m3fn), block_scales)
    spread = block_scales.repeat_interleave(128, 0).repeat_interleave(128, 1)
    # The interpreter reads the NaN codes as +-480: compared without them.
    numbers = (codes & 0x7F) != 0x7F
    want = codes.view(torch.float8_e4m3fn).float() * spread
    report["weight_dequant to F32 equals PyTorch"] = same(got[numbers], want[numbers])
    report["weight_dequant reads NaN codes as NaN"] = bool(torch.isnan(got[~numbers]).all())
    for scale_fmt in (None, "ue8m0"):
        _, got_scale = kernel.act_quant(rows, 128, scale_fmt)
        want_scale = act_quant(rows, scale_fmt)[1]
        report[f"act_quant scales ({scale_fmt or 'float'}) equal PyTorch"] = same(got_scale[:, 0], want_scale)
    q, _ = kernel.act_quant(rows, 128, None)
    differing = (q.view(torch.uint8) != act_quant(rows, None)[0].view(torch.uint8)).sum()
    report["act_quant codes that differ from PyTorch, of 8192"] = int(differing)
    return report


def main():
    OUT.mkdir(exist_ok=True)
    e4m3 = CODES.view(torch.float8_e4m3fn).float()
    write("e4m3.f32.bin", e4m3, "every float8_e4m3fn code as float32")
    write("e5m2.f32.bin", CODES.view(torch.float8_e5m2).float(), "every float8_e5m2 code as float32")
    write("e8m0.f32.bin", CODES.view(torch.float8_e8m0fnu).float(), "every float8_e8m0fnu code as float32")

    scales = awkward_scales()
    product = e4m3[None, :] * scales[:, None]
    write("scales.f32.bin", scales, "scales for the three files below")
    write("dequant.f32.bin", product, "[scale, code]: float8_e4m3fn -> float32, times scale")
    write("dequant.bf16.bin", product.to(torch.bfloat16), "the same -> bfloat16")
    write("dequant.f16.bin", product.to(torch.float16), "the same -> float16")

    x = floats_to_round()
    write("round.f32.bin", x, "inputs of the two files below")
    write("round.bf16.bin", x.to(torch.bfloat16), "float32 -> bfloat16")
    write("round.f16.bin", x.to(torch.float16), "float32 -> float16")

    rows = activations()
    write("act.bf16.bin", rows, "rows of 128, one block each")
    for name, scale_fmt in (("float", None), ("ue8m0", "ue8m0")):
        codes, scale = act_quant(rows, scale_fmt)
        write(f"act.{name}.e4m3.bin", codes, f"act_quant codes of act.bf16.bin, scale_fmt {scale_fmt}")
        write(f"act.{name}.scale.bin", scale, "their float32 scales")

    golden = {"versions": {"torch": torch.__version__, "python": platform.python_version(),
                           "machine": platform.machine()}, "files": written}
    if len(sys.argv) > 1:
        golden["upstream"] = ask_upstream(sys.argv[1], scales, rows)
    elif (OUT / "golden.json").exists():
        golden["upstream"] = json.loads((OUT / "golden.json").read_text()).get("upstream")
    (OUT / "golden.json").write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
