"""Checkpoints whose weights are integers, made by hand, and what they mean.

    python3 int_checkpoint.py make FORMAT IN OUT      from a BF16 checkpoint; for w4afp8 from an FP8 one
    python3 int_checkpoint.py check FORMAT OUT CAST   CAST is OUT as BF16
    python3 int_checkpoint.py formats

Codes are random bytes, scales random numbers. How they are laid out and what they are worth is said here once
more, after the formats' own descriptions, apart from the program.
"""
import json
import pathlib
import random
import re
import shutil
import struct
import sys

import tensor_file

LINEARS = r"experts\.\d+\.(gate|up|down)_proj|o_proj|q_b_proj"
EXPERTS = r"mlp\.experts\.\d+\.(gate|up|down)_proj"


def bf16(x):
    (bits,) = struct.unpack("<I", struct.pack("<f", x))
    return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16


def floats(dtype, data):
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
    letter, size = {"F32": ("f", 4), "F16": ("e", 2)}[dtype]
    return struct.unpack(f"<{len(data) // size}{letter}", data)


def e4m3(code):
    sign, exponent, fraction = -1 if code & 128 else 1, code >> 3 & 15, code & 7
    return sign * (fraction * 2.0**-9 if exponent == 0 else (8 + fraction) * 2.0**(exponent - 10))


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


def field(data, i, bits):
    """Field i of a run of little-endian words: 4 or 8 bits, lowest first."""
    return data[i] if bits == 8 else data[i // 2] >> 4 * (i % 2) & 15


class Random(random.Random):
    def scales(self, dtype, n):
        # Few distinct ones, of at most eight significant bits: numbers of every type.
        values = [(128 + self.randrange(128)) * 2.0**-14 for _ in range(64)]
        pick = [values[b & 63] for b in self.randbytes(n)]
        if dtype == "BF16":
            return b"".join(struct.pack("<H", bf16(x)) for x in pick)
        return struct.pack(f"<{n}{'f' if dtype == 'F32' else 'e'}", *pick)

    def fp8(self, n):
        return bytes(b & 0xFE if b & 0x7F == 0x7F else b for b in self.randbytes(n))


class Packed:
    """compressed-tensors pack-quantized."""

    def __init__(self, bits, group, symmetric=True, scale="BF16", shape="I64"):
        self.bits, self.group, self.symmetric, self.scale, self.shape = bits, group, symmetric, scale, shape

    def make(self, rng, rows, cols):
        groups = cols // self.group if self.group else 1
        parts = {"weight_packed": ("I32", [rows, cols * self.bits // 32], rng.randbytes(rows * cols * self.bits // 8)),
                 "weight_scale": (self.scale, [rows, groups], rng.scales(self.scale, rows * groups)),
                 "weight_shape": (self.shape, [2], struct.pack("<2q" if self.shape == "I64" else "<2i", rows, cols))}
        if not self.symmetric:
            words = rows * self.bits // 32
            parts["weight_zero_point"] = ("I32", [words, groups], rng.randbytes(words * groups * 4))
        return parts

    def row(self, parts, row, rows, cols):
        groups = parts["weight_scale"][1][1]
        line = cols * self.bits // 8
        codes = parts["weight_packed"][2][row * line:(row + 1) * line]
        scales = floats(self.scale, parts["weight_scale"][2])[row * groups:(row + 1) * groups]
        middle = 1 << (self.bits - 1)
        zeros = [middle] * groups
        if not self.symmetric:
            per_word = 32 // self.bits
            for g in range(groups):
                at = 4 * (row // per_word * groups + g)
                zeros[g] = field(parts["weight_zero_point"][2][at:at + 4], row % per_word, self.bits)
        size = cols // groups
        return [(field(codes, k, self.bits) - zeros[k // size]) * scales[k // size] for k in range(cols)]

    def config(self):
        return compressed("pack-quantized", {
            "num_bits": self.bits, "type": "int", "symmetric": self.symmetric,
            "strategy": "group" if self.group else "channel", "group_size": self.group or -1})


def compressed(form, weights, activations=None):
    weights = {**weights, "dynamic": False, "actorder": None, "observer": "minmax", "observer_kwargs": {}}
    return {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed",
            "global_compression_ratio": None, "kv_cache_scheme": None, "ignore": ["lm_head", "re:.*mlp\\.gate$"],
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights,
                                          "input_activations": activations, "output_activations": None}}}


class Plain:
    """One byte a code, and scales by row or by block."""

    def __init__(self, config, code="I8", scale="F32", suffix="weight_scale", block=None, offset=False):
        self.quantization, self.code, self.scale = config, code, scale
        self.suffix, self.block, self.offset = suffix, block, offset

    def grid(self, rows, cols):
        return (-(-rows // self.block), -(-cols // self.block)) if self.block else (rows, 1)

    def make(self, rng, rows, cols):
        height, width = self.grid(rows, cols)
        codes = rng.randbytes(rows * cols) if self.code == "I8" else rng.fp8(rows * cols)
        parts = {"weight": (self.code, [rows, cols], codes),
                 self.suffix: (self.scale, [height, width], rng.scales(self.scale, height * width))}
        if self.offset:
            parts["weight_offset"] = ("F32", [rows, 1], bytes(4 * rows))
        return parts

    def row(self, parts, row, rows, cols):
        width = self.grid(rows, cols)[1]
        codes = parts["weight"][2][row * cols:(row + 1) * cols]
        values = [signed(c, 8) if self.code == "I8" else e4m3(c) for c in codes]
        first = row // self.block * width if self.block else row
        scales = floats(self.scale, parts[self.suffix][2])[first:first + width]
        return [value * scales[k // self.block if self.block else 0] for k, value in enumerate(values)]

    def config(self):
        return self.quantization


class Bytes4:
    """Two's complement nibbles along a row, of SGLang's W4AFP8."""

    modules = EXPERTS

    def make(self, rng, rows, cols):
        return {"weight": ("I8", [rows, cols // 2], rng.randbytes(rows * cols // 2)),
                "weight_scale_inv": ("F32", [rows, cols // 128], rng.scales("F32", rows * cols // 128))}

    def row(self, parts, row, rows, cols):
        codes = parts["weight"][2][row * cols // 2:(row + 1) * cols // 2]
        scales = floats("F32", parts["weight_scale_inv"][2])[row * (cols // 128):(row + 1) * (cols // 128)]
        return [signed(field(codes, k, 4), 4) * scales[k // 128] for k in range(cols)]

    def config(self):
        return {"quant_method": "w4afp8"}


class Awq:
    ORDER = [0, 4, 1, 5, 2, 6, 3, 7]  # which nibble of a word holds column j of eight

    def make(self, rng, rows, cols):
        return {"qweight": ("I32", [cols, rows // 8], rng.randbytes(cols * rows // 2)),
                "qzeros": ("I32", [cols // 128, rows // 8], rng.randbytes(cols // 128 * rows // 2)),
                "scales": ("F16", [cols // 128, rows], rng.scales("F16", cols // 128 * rows))}

    def row(self, parts, row, rows, cols):
        at = row // 8 * 8 + self.ORDER[row % 8]
        line = rows // 2
        weight, zeros = parts["qweight"][2], parts["qzeros"][2]
        scales = floats("F16", parts["scales"][2])
        return [(field(weight[k * line:(k + 1) * line], at, 4) -
                 field(zeros[k // 128 * line:(k // 128 + 1) * line], at, 4)) * scales[k // 128 * rows + row]
                for k in range(cols)]

    def config(self):
        return {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm", "zero_point": True,
                "modules_to_not_convert": ["mlp.gate.", "lm_head"]}


class Gptq:
    def __init__(self, bits, symmetric=True, v2=False):
        self.bits, self.symmetric, self.v2 = bits, symmetric, v2

    def make(self, rng, rows, cols):
        groups, line = cols // 128, rows * self.bits // 8
        zeros = rng.randbytes(groups * line)
        if self.symmetric:
            middle = (1 << (self.bits - 1)) - (not self.v2)
            zeros = bytes([middle * 17 if self.bits == 4 else middle]) * (groups * line)
        return {"qweight": ("I32", [cols * self.bits // 32, rows], rng.randbytes(rows * cols * self.bits // 8)),
                "qzeros": ("I32", [groups, rows * self.bits // 32], zeros),
                "scales": ("F16", [groups, rows], rng.scales("F16", groups * rows)),
                "g_idx": ("I32", [cols], b"".join(struct.pack("<i", k // 128) for k in range(cols)))}

    def row(self, parts, row, rows, cols):
        per_word, line, mask = 32 // self.bits, rows * self.bits // 8, (1 << self.bits) - 1
        weight, zeros = parts["qweight"][2], parts["qzeros"][2]
        scales = floats("F16", parts["scales"][2])
        values = []
        for k in range(cols):
            at = 4 * (k // per_word * rows + row)
            code = field(weight[at:at + 4], k % per_word, self.bits)
            zero = field(zeros[k // 128 * line:(k // 128 + 1) * line], row, self.bits)
            values.append((code - (zero if self.v2 else zero + 1 & mask)) * scales[k // 128 * rows + row])
        return values

    def config(self):
        return {"quant_method": "gptq", "bits": self.bits, "group_size": 128, "desc_act": False,
                "sym": self.symmetric, "checkpoint_format": "gptq_v2" if self.v2 else "gptq",
                "damp_percent": 0.01, "dynamic": {"-:.*mlp\\.gate$": {}}}


def by_channel(kind):
    return {"num_bits": 8, "type": kind, "symmetric": True, "strategy": "channel", "group_size": None}


TOKENS = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}

FORMATS = {
    "w4a16-g32": Packed(4, 32, shape="I32"),
    "w4a16-f16": Packed(4, 128, scale="F16"),
    "w4a16-asym": Packed(4, 128, symmetric=False),
    "w4a16-channel": Packed(4, 0),
    "w8a16": Packed(8, 0),
    "w8a16-asym": Packed(8, 128, symmetric=False),
    "w8a8": Plain(compressed("int-quantized", by_channel("int"), TOKENS), scale="BF16"),
    "fp8-channel": Plain(compressed("float-quantized", by_channel("float")), "F8_E4M3"),
    "fp8-block-ct": Plain(compressed("float-quantized", {"num_bits": 8, "type": "float", "symmetric": True,
                                                         "strategy": "block", "block_structure": [128, 128]}),
                          "F8_E4M3", "BF16", block=128),
    "int8-block": Plain({"quant_method": "blockwise_int8", "activation_scheme": "dynamic",
                         "weight_block_size": [128, 128]}, suffix="weight_scale_inv", block=128),
    "int8-channel": Plain({"quant_method": "w8a8_int8", "ignore": ["lm_head"]}),
    "ascend": Plain(None, offset=True),
    "w4afp8": Bytes4(),
    "trtllm": Bytes4(),
    "awq": Awq(),
    "gptq4": Gptq(4),
    "gptq8": Gptq(8),
    "gptq4-v2-asym": Gptq(4, symmetric=False, v2=True),
    "gptq4-asym": Gptq(4, symmetric=False),
}


def chosen(form, names):
    pattern = getattr(FORMATS[form], "modules", LINEARS)
    return [n for n in names if n.endswith(".weight") and re.search(f"({pattern})\\.weight$", n)]


def describe(form, out, tensors):
    """Everything that says how weights are quantized."""
    config = json.loads((out / "config.json").read_text())
    config.pop("quantization_config", None)
    if form == "ascend":
        config["quantize"] = "w8a8_dynamic"
        kinds = {n: "W8A8_DYNAMIC" if n.rsplit(".", 1)[0] + ".weight_offset" in tensors else "FLOAT" for n in tensors}
        (out / "quant_model_description.json").write_text(json.dumps(
            {"model_quant_type": "W8A8_DYNAMIC", "version": "1.0.0", "group_size": 0, "metadata": {}, **kinds}))
    elif form == "trtllm":
        (out / "hf_quant_config.json").write_text(json.dumps(
            {"quantization": {"quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": None}}))
        (out / "quant_cfg.json").write_text(json.dumps(
            {"quant_algo": "MIXED_PRECISION", "quantized_layers": {
                "model.layers.1.mlp.experts": {"quant_algo": "W4A8_AWQ"},
                "model.layers.1.self_attn.o_proj": {"quant_algo": "FP8_BLOCK_SCALES"}}}))
    else:
        config["quantization_config"] = FORMATS[form].config()
    (out / "config.json").write_text(json.dumps(config, indent=2))


def make(form, source, out):
    source, out = pathlib.Path(source), pathlib.Path(out)
    tensors = tensor_file.read_folder(source)
    rng = Random(form)
    for name in chosen(form, tensors):
        _, (rows, cols), _ = tensors.pop(name)
        tensors.pop(name + "_scale_inv", None)
        stem = name.removesuffix(".weight")
        for suffix, part in FORMATS[form].make(rng, rows, cols).items():
            tensors[f"{stem}.{suffix}"] = part
        if form in ("w4afp8", "trtllm"):
            spelled = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
            base, _, projection = stem.rpartition(".")
            tensors[f"{base}.{spelled[projection]}.input_scale"] = ("F32", [1], struct.pack("<f", 0.0078125))
    out.mkdir()
    shutil.copy(source / "config.json", out)
    names = sorted(tensors)
    # A weight's parts lie in two files.
    shards = {f"model-{i + 1}-of-2.safetensors": names[i::2] for i in range(2)}
    for shard, held in shards.items():
        tensor_file.write_file(out / shard, {n: tensors[n] for n in held})
    (out / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {"total_size": sum(len(t[2]) for t in tensors.values())},
         "weight_map": {n: shard for shard, held in shards.items() for n in held}}))
    describe(form, out, tensors)


def check(form, source, cast):
    stored, plain = tensor_file.read_folder(source), tensor_file.read_folder(cast)
    config = json.loads((pathlib.Path(cast) / "config.json").read_text())
    assert not {"quantization_config", "quantize"} & set(config), config
    assert not list(pathlib.Path(cast).glob("*quant*.json")) + list(pathlib.Path(cast).glob("quant_cfg.json"))
    assert all(dtype in ("BF16", "F32") for dtype, _, _ in plain.values())
    rows_checked = 0
    names = chosen(form, plain)
    assert len(names) > 90, len(names)
    for number, name in enumerate(names):
        dtype, (rows, cols), data = plain[name]
        stem = name.removesuffix("weight")
        parts = {n.removeprefix(stem): t for n, t in stored.items() if n.startswith(stem)}
        # Every row of a few, and one of the others.
        for row in range(rows) if number % 40 == 0 else [number % rows]:
            want = [bf16(x) for x in FORMATS[form].row(parts, row, rows, cols)]
            got = data[2 * cols * row:2 * cols * (row + 1)]
            assert got == struct.pack(f"<{cols}H", *want), (name, row)
            rows_checked += 1
    assert rows_checked > 500, rows_checked
    for name, tensor in stored.items():
        if name in plain and tensor[0] in ("BF16", "F32"):
            assert plain[name] == tensor, name


def formats():
    print(*FORMATS)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
