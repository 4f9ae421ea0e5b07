#!/usr/bin/env python3
"""What ggml's own quantizers make of rows that anyone can make again.

    make_ggml_golden.py LLAMA_CPP COMMIT    writes ggml.json beside this file

LLAMA_CPP is the source of llama.cpp at COMMIT, of which ggml/src/ggml-quants.c is compiled as its default build
does on x86-64: -O3, no -march, hence no fused multiply-add. Needs cc, numpy and the package gguf, whose
decoders must agree with C's. Deterministic: a second run changes nothing.
"""
import ctypes
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
from importlib.metadata import version

import gguf
import numpy as np

HERE = pathlib.Path(__file__).parent
ROWS, COLS = 4, 4352  # 17 super-blocks: no whole number of vectors, nor of batches
TYPES = {  # name: values and bytes of a block, whether importance counts
    "Q4_0": (32, 18, True), "Q4_1": (32, 20, True), "Q5_0": (32, 22, True), "Q5_1": (32, 24, True),
    "Q8_0": (32, 34, False), "Q2_K": (256, 84, True), "Q3_K": (256, 110, True),
    "Q4_K": (256, 144, True), "Q5_K": (256, 176, True), "Q6_K": (256, 210, True),
    "IQ4_NL": (32, 18, True), "IQ4_XS": (256, 136, True), "MXFP4": (32, 17, False)}
KINDS = ["bell", "bf16", "heavy", "positive", "negative", "outlier", "sparse", "ties", "equal",
         "nearly equal", "any exponent", "powers", "subnormal", "mixed"]
SHIMS = r"""
#define GGML_COMMON_DECL_C
#include "ggml-common.h"
#include "ggml.h"
#include <stdlib.h>
void ggml_abort(const char* file, int line, const char* format, ...) { abort(); }
const char* ggml_type_name(enum ggml_type type) { return ""; }
size_t ggml_row_size(enum ggml_type type, int64_t n) {
  switch (type) {
    case GGML_TYPE_Q4_0: return n / 32 * sizeof(block_q4_0);
    case GGML_TYPE_Q4_1: return n / 32 * sizeof(block_q4_1);
    case GGML_TYPE_Q5_0: return n / 32 * sizeof(block_q5_0);
    case GGML_TYPE_Q5_1: return n / 32 * sizeof(block_q5_1);
    case GGML_TYPE_Q8_0: return n / 32 * sizeof(block_q8_0);
    case GGML_TYPE_MXFP4: return n / 32 * sizeof(block_mxfp4);
    case GGML_TYPE_Q2_K: return n / 256 * sizeof(block_q2_K);
    case GGML_TYPE_Q3_K: return n / 256 * sizeof(block_q3_K);
    case GGML_TYPE_Q4_K: return n / 256 * sizeof(block_q4_K);
    case GGML_TYPE_Q5_K: return n / 256 * sizeof(block_q5_K);
    case GGML_TYPE_Q6_K: return n / 256 * sizeof(block_q6_K);
    default: abort();
  }
}
size_t ggml_type_size(enum ggml_type type) { abort(); }
"""


def mix(n):
    """splitmix64's output function, of 64-bit words."""
    n = (n + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    n = (n ^ n >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    n = (n ^ n >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return n ^ n >> np.uint64(31)


def word(kind, i):
    return mix(np.uint64(kind << 32) + i.astype(np.uint64))


def bell(u):
    parts = sum((u >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32, 48))
    return (parts.astype(np.int64) - 131070).astype(np.float32) * np.float32(2.0**-21)


def floats(sign_from, exponent, u):
    bits = ((sign_from >> np.uint64(23) & np.uint64(1)) << np.uint64(31)
            | exponent << np.uint64(23) | u & np.uint64(0x7FFFFF))
    return bits.astype(np.uint32).view(np.float32)


def values(kind, i):
    """Values number i of a kind. tests/quant/ggml_values.h says the same."""
    n = KINDS.index(kind)
    u = word(n, i)
    v = mix(u)
    if kind == "bell":
        return bell(u)
    if kind == "bf16":
        return (bell(u).view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    if kind == "heavy":
        return floats(u, np.uint64(97) + (u >> np.uint64(32)) % np.uint64(34), u)
    if kind == "positive":
        return np.abs(bell(u))
    if kind == "negative":
        return -np.abs(bell(u)) - np.float32(2.0**-6)
    if kind == "outlier":
        return bell(u) * np.where(v % np.uint64(64) == 0, np.float32(128), np.float32(1))
    if kind == "sparse":
        return np.where(v % np.uint64(8) == 0, bell(u), floats(u, np.uint64(0), np.uint64(0)))
    if kind == "ties":
        return ((v % np.uint64(33)).astype(np.float32) - np.float32(16)) * np.float32(0.125)
    if kind == "equal":
        return bell(word(n, i // 32))
    if kind == "nearly equal":
        return (np.uint64(0xBF800000) + v % np.uint64(4)).astype(np.uint32).view(np.float32)
    if kind == "any exponent":
        return floats(u, np.uint64(27) + (u >> np.uint64(32)) % np.uint64(115), u)
    if kind == "powers":  # the first of each block a little below a power of two
        lead = word(n, i // 32)
        bits = ((np.uint64(100) + (lead >> np.uint64(32)) % np.uint64(40) << np.uint64(23))
                - mix(lead) % np.uint64(48))
        first = bits.astype(np.uint32).view(np.float32)
        factor = (v % np.uint64(11)).astype(np.float32) - np.float32(5)
        return np.where(i % 32 == 0, first, first * factor * np.float32(0.0625))
    if kind == "subnormal":
        return floats(u, np.uint64(0), u)
    which = word(n, i // 32) % np.uint64(12)
    return np.select([which == k for k in range(12)], [values(KINDS[k], i) for k in range(12)])


def importance(kind, i):
    n = KINDS.index(kind)
    u = word(100 + n, i)
    uniform = (u >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    if n % 4 == 0:
        return uniform
    if n % 4 == 1:
        return np.where(u % np.uint64(4) == 0, np.float32(0), uniform)
    if n % 4 == 2:
        return np.abs(floats(u, np.uint64(107) + (u >> np.uint64(32)) % np.uint64(34), u))
    return bell(u) * bell(u)


def build(llama, folder):
    (folder / "shims.c").write_text(SHIMS)
    library = folder / "libquants.so"
    subprocess.run(["cc", "-O3", "-DNDEBUG", "-std=gnu11", "-fPIC", "-shared", "-w",
                    f"-I{llama}/ggml/include", f"-I{llama}/ggml/src", "-o", library,
                    llama / "ggml/src/ggml-quants.c", folder / "shims.c", "-lm"], check=True)
    return ctypes.CDLL(str(library))


def function(library, pattern, name):
    return getattr(library, pattern.format(name.lower().replace("_k", "_K")))


def pointer(array):
    return array.ctypes.data_as(ctypes.c_void_p)


def quantize(library, name, x, weights):
    block, size, _ = TYPES[name]
    out = np.zeros((ROWS, COLS // block * size), np.uint8)
    f = function(library, "quantize_{}", name)
    f.restype = ctypes.c_size_t
    written = f(pointer(x), pointer(out), ctypes.c_int64(ROWS), ctypes.c_int64(COLS),
                None if weights is None else pointer(weights))
    assert written == out.size, name
    return out


def dequantize(library, name, data):
    out = np.zeros((ROWS, COLS), np.float32)
    function(library, "dequantize_row_{}", name)(pointer(data), pointer(out),
                                                 ctypes.c_int64(out.size))
    theirs = gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name])
    assert np.array_equal(out.view(np.uint32), theirs.view(np.uint32)), f"{name}: gguf disagrees"
    return out


def digest(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def main():
    llama = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        library = build(llama, pathlib.Path(folder))
    golden = {"llama.cpp": sys.argv[2], "gguf": version("gguf"), "rows": ROWS, "cols": COLS, "kinds": KINDS,
              "inputs": {}, "types": {}}
    inputs = {}
    for kind in KINDS:
        x = np.ascontiguousarray(values(kind, np.arange(ROWS * COLS)).astype(np.float32))
        inputs[kind] = x, np.ascontiguousarray(importance(kind, np.arange(COLS)).astype(np.float32))
        golden["inputs"][kind] = [digest(a) for a in inputs[kind]]
    for name, (block, size, weighted) in TYPES.items():
        entry = golden["types"][name] = {"plain": [], "weighted": [], "decoded": []}
        for kind, (x, weights) in inputs.items():
            if name == "MXFP4" and kind == "subnormal":  # undefined in C
                continue
            data = quantize(library, name, x, None)
            entry["plain"].append(digest(data))
            entry["decoded"].append(digest(dequantize(library, name, data)))
            if kind == "bell":
                entry["first plain"] = data[0, :size].tobytes().hex()
            if weighted:
                data = quantize(library, name, x, weights)
                entry["weighted"].append(digest(data))
                if kind == "bell":
                    entry["first weighted"] = data[0, :size].tobytes().hex()
    (HERE / "ggml.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    np.seterr(over="ignore")
    main()
