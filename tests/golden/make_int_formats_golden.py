#!/usr/bin/env python3
"""What AutoAWQ and GPTQModel make of given integers, zero points and scales.

    make_int_formats_golden.py AUTOAWQ GPTQMODEL    writes int_formats.json beside this file

AUTOAWQ and GPTQMODEL are unpacked source packages. Both want a GPU stack to be imported, so that the
functions that pack and dequantize are taken out of their files and run as they stand, on a CPU. Needs
torch and numpy. Deterministic: a second run changes nothing.
"""
import ast
import contextlib
import json
import math
import pathlib
import runpy
import sys
import types
from unittest import mock

import numpy as np
import torch

HERE = pathlib.Path(__file__).parent
ROWS, COLS, GROUP = 32, 96, 32


def functions(path, names, scope):
    """The named functions of a file, methods too, compiled into `scope`."""
    found = {n.name: n for n in ast.walk(ast.parse(path.read_text()))
             if isinstance(n, ast.FunctionDef) and n.name in names}
    for node in found.values():
        node.decorator_list = []
        module = ast.Module([ast.parse("from __future__ import annotations").body[0], node], [])
        exec(compile(module, str(path), "exec"), scope)
    return [scope[name] for name in names]


def draw(bits, symmetric, generator, lowest_zero=0):
    """Codes [rows, cols] with both ends of the range in each group, zero points of which the lowest is
    `lowest_zero` as an unsigned one, and scales that F16 and BF16 both hold."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    codes = torch.randint(low, high + 1, (ROWS, COLS), generator=generator)
    codes[:, ::GROUP], codes[:, 1::GROUP] = low, high
    zeros = torch.zeros(ROWS, COLS // GROUP, dtype=torch.int64)
    if not symmetric:
        zeros = torch.randint(low + lowest_zero, high + 1, zeros.shape, generator=generator)
        zeros[0, 0], zeros[1, 0] = low + lowest_zero, high
    scales = torch.randint(128, 256, zeros.shape, generator=generator) / 2.0 ** 16
    spread = [t.repeat_interleave(GROUP, 1) for t in (zeros, scales)]
    return types.SimpleNamespace(bits=bits, half=-low, codes=codes, zeros=zeros, scales=scales.float(),
                                 values=(codes - spread[0]) * spread[1].float())


def of(t, **tensors):
    """A golden: its inputs, and what upstream made of them, as hexadecimal bytes."""
    tensors |= {"codes": t.codes.to(torch.int8), "zeros": t.zeros.to(torch.int8), "scales_f32": t.scales}
    return {"bits": t.bits, "rows": ROWS, "cols": COLS, "group": GROUP} | {
        name: np.ascontiguousarray(x.numpy()).tobytes().hex() for name, x in sorted(tensors.items())}


def awq_dequantize(root):
    return runpy.run_path(str(root / "awq/utils/packing_utils.py"))["dequantize_gemm"]


def awq(root, t):
    scope = {"torch": torch, "get_best_device": lambda: "cpu"}
    pack, = functions(root / "awq/modules/linear/gemm.py", ["from_linear"], scope)
    linear = types.SimpleNamespace(in_features=COLS, out_features=ROWS, bias=None,
                                   weight=types.SimpleNamespace(data=t.values, device="cpu"))
    make = lambda bits, group, cols, *_: types.SimpleNamespace(w_bit=bits, in_features=cols)
    q = pack(make, linear, 4, GROUP, scales=t.scales.T, zeros=(t.zeros + t.half).T)
    back = awq_dequantize(root)(q.qweight, q.qzeros, q.scales.float(), 4, GROUP).T
    assert torch.equal(back, t.values)
    return of(t, qweight=q.qweight, qzeros=q.qzeros, scales=q.scales)


class GptqModule:
    """What GPTQModel's methods find in the module that they belong to."""

    def __init__(self, bits, cols):
        shifts = torch.arange(0, 32, bits, dtype=torch.int32)
        vars(self).update(
            bits=bits, maxq=2 ** bits - 1, pack_factor=32 // bits, pack_dtype_bits=32, planar=False,
            pack_dtype=torch.int32, pack_np_dtype=np.int32, in_features=cols, pack_np_math_dtype=np.uint32,
            dequant_dtype=torch.int8 if bits == 4 else torch.int16, qzero_format=lambda format: None,
            wf_unsqueeze_zero=shifts[None, None, :], wf_unsqueeze_neg_one=shifts[None, :, None],
            _init_wf_unsqueeze_buffers=lambda: None)

    def register_buffer(self, name, tensor):
        setattr(self, name, tensor)


def gptq_functions(root):
    scope = {"t": torch, "torch": torch, "np": np, "math": math, "nn": torch.nn, "BaseQuantLinear": GptqModule,
             "_ConvNd": type(None), "THREADPOOLCTL": mock.Mock(), "log": mock.Mock(),
             "transformers": mock.Mock(), "_torch_right_shift": torch.bitwise_right_shift}
    scope["THREADPOOLCTL"].threadpool_limits = lambda _: contextlib.nullcontext()
    scope["transformers"].pytorch_utils.Conv1D = type(None)
    pack, GptqModule._dequantize_from_codes, dequantize = functions(
        root / "gptqmodel/nn_modules/qlinear/__init__.py",
        ["pack_original", "_dequantize_from_codes", "dequantize_weight"], scope)
    to_v1, to_v2 = functions(
        root / "gptqmodel/utils/model.py",
        ["convert_gptq_v2_to_v1_format_module", "convert_gptq_v1_to_v2_format_module"], scope)
    return types.SimpleNamespace(pack=pack, dequantize=dequantize, to_v1=to_v1, to_v2=to_v2)


def gptq(root, t):
    upstream, q = gptq_functions(root), GptqModule(t.bits, COLS)
    linear = types.SimpleNamespace(weight=types.SimpleNamespace(data=t.values))
    upstream.pack(q, linear, t.scales, t.zeros + t.half, torch.arange(COLS, dtype=torch.int32) // GROUP)
    v2 = q.qzeros.clone()
    scales, q.scales = q.scales, q.scales.float()
    assert torch.equal(upstream.dequantize(q).T, t.values)
    upstream.to_v1(q, q)
    return of(t, qweight=q.qweight, qzeros=q.qzeros, qzeros_v2=v2, scales=scales, g_idx=q.g_idx)


def main():
    autoawq, gptqmodel = map(pathlib.Path, sys.argv[1:])
    generator = torch.Generator().manual_seed(4)
    four, eight, asymmetric = (draw(*args, generator) for args in ((4, True), (8, True), (4, False)))
    # GPTQModel subtracts one from a whole word: a zero point of 0 would borrow from its neighbour.
    above_zero = draw(4, False, generator, lowest_zero=1)
    golden = {
        "torch": torch.__version__,
        "packages": [root.resolve().name for root in (autoawq, gptqmodel)],
        "awq": awq(autoawq, asymmetric),
        "awq symmetric": awq(autoawq, four),
        "gptq4": gptq(gptqmodel, four),
        "gptq8": gptq(gptqmodel, eight),
        "gptq4 asymmetric": gptq(gptqmodel, above_zero),
    }
    (HERE / "int_formats.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
