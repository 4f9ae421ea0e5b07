"""Makes checkpoints that are stored in any of the ways engines know, right in names, dtypes and shapes,
with zeros for weights. usage: quantized_checkpoint.py BF16 OUT PYTHON, where PYTHON fills `store`
{regex of modules: how}, first match counts, and edits `config`, `files` {name: object} and `tensors`;
those whose names match `second` go into a second shard.
"""
import json
import pathlib
import re
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from tensor_file import BITS, read_folder, write_file  # noqa: E402


def zeros(dtype, *shape):
    size = BITS[dtype] // 8
    for dimension in shape:
        size *= dimension
    return dtype, list(shape), bytes(size)


def f32(*values):
    return "F32", [len(values)], struct.pack(f"<{len(values)}f", *values)


def i32(values):
    return "I32", [len(values)], struct.pack(f"<{len(values)}i", *values)


def gptq(n, k, zeros_word=0x77777777, index=None):
    words = k // 128 * (n // 8)
    return {"qweight": zeros("I32", k // 8, n), "qzeros": ("I32", [k // 128, n // 8], struct.pack("<I", zeros_word) * words),
            "scales": zeros("F16", k // 128, n), "g_idx": i32([(i if index is None else index[i]) // 128 for i in range(k)])}


def awq_gemv(n, k):
    return {"qweight": zeros("I32", n, k // 8), "qzeros": zeros("I32", n, 1), "scales": zeros("F16", n, 8)}


def int8_static(n, k):
    return {"weight": zeros("I8", n, k), "deq_scale": zeros("F32", n), "quant_bias": zeros("I32", n),
            "input_scale": f32(1), "input_offset": f32(0)}


def packed(n, k, group=128, bits=4, scale="BF16", asymmetric=False):
    groups = k // group if group else 1
    parts = {"weight_packed": zeros("I32", n, k * bits // 32), "weight_scale": zeros(scale, n, groups),
             "weight_shape": ("I64", [2], struct.pack("<2q", n, k))}
    if asymmetric:
        parts["weight_zero_point"] = zeros("I32", n * bits // 32, groups)
    return parts


def blocks(n):
    return (n + 127) // 128


STORAGES = {
    "fp8": lambda n, k: {"weight": zeros("F8_E4M3", n, k), "weight_scale_inv": zeros("F32", blocks(n), blocks(k))},
    "fp8_ct_block": lambda n, k: {"weight": zeros("F8_E4M3", n, k), "weight_scale": zeros("F32", blocks(n), blocks(k))},
    "fp8_channel": lambda n, k: {"weight": zeros("F8_E4M3", n, k), "weight_scale": zeros("F32", n, 1)},
    "fp8_bare": lambda n, k: {"weight": zeros("F8_E4M3", n, k)},
    "int8": lambda n, k: {"weight": zeros("I8", n, k), "weight_scale": zeros("F32", n, 1)},
    "ascend": lambda n, k: {"weight": zeros("I8", n, k), "weight_scale": zeros("F32", n, 1), "weight_offset": zeros("F32", n, 1)},
    "int8_block": lambda n, k: {"weight": zeros("I8", n, k), "weight_scale_inv": zeros("F32", blocks(n), blocks(k))},
    "int4": lambda n, k: {"weight": zeros("I8", n, k // 2), "weight_scale_inv": zeros("F32", n, k // 128), "input_scale": f32(0.5)},
    "packed": packed,
    "packed32": lambda n, k: packed(n, k, 32),
    "packed_asym": lambda n, k: packed(n, k, asymmetric=True),
    "packed_f16": lambda n, k: packed(n, k, 32, scale="F16"),
    "packed8": lambda n, k: packed(n, k, bits=8),
    "packed8_channel": lambda n, k: packed(n, k, group=0, bits=8),
    "awq": lambda n, k: {"qweight": zeros("I32", k, n // 8), "qzeros": zeros("I32", k // 128, n // 8), "scales": zeros("F16", k // 128, n)},
    "awq_gemv": awq_gemv,
    "int8_static": int8_static,
    "gptq": gptq,
    "gptq_shuffled": lambda n, k: gptq(n, k, index=[k - 1 - i for i in range(k)]),
    "gptq_v2": lambda n, k: gptq(n, k, 0x88888888),
    "gptq_asym": lambda n, k: gptq(n, k, 0x76777777),
}


def compressed(bits=4, group=128, fmt="pack-quantized", symmetric=True, inputs=False, ignore=(), kind="int"):
    """A quantization_config of compressed-tensors."""
    weights = {"num_bits": bits, "type": kind, "symmetric": symmetric, "dynamic": False,
               "strategy": "group" if group and group > 0 else "channel", "group_size": group}
    tokens = {"num_bits": bits, "type": kind, "strategy": "token", "dynamic": True, "symmetric": True}
    return {"quant_method": "compressed-tensors", "format": fmt, "ignore": list(ignore), "quantization_status": "compressed",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": tokens if inputs else None}}}


EXPERTS_ONLY = ["lm_head", r"re:.*self_attn.*", r"re:.*shared_experts.*", r"re:.*\.mlp\.(gate|up|gate_up|down)_proj$"]
FP8 = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [128, 128]}
LINEAR = r"\.(q_a_proj|q_b_proj|kv_a_proj_with_mqa|kv_b_proj|o_proj|gate_proj|up_proj|down_proj)$"
EXPERT = r"\.experts\.\d+\."


def main(source, out, edit):
    source, out = pathlib.Path(source), pathlib.Path(out)
    config, files, store, tensors = json.loads((source / "config.json").read_text()), {}, {}, {}
    config.pop("quantization_config", None)
    config.pop("auto_map", None)
    names = {**globals(), "config": config, "files": files, "store": store, "tensors": tensors, "second": None}
    exec(edit, names)
    made = {}
    for name, (dtype, shape, data) in read_folder(source).items():
        module = name.rsplit(".", 1)[0]
        how = next((how for pattern, how in store.items() if re.search(pattern, module)), None)
        if how is None or not name.endswith(".weight") or len(shape) != 2:
            made[name] = (dtype, shape, data)
        else:
            made.update({f"{module}.{part}": tensor for part, tensor in STORAGES[how](*shape).items()})
    for name, tensor in tensors.items():
        if tensor is None:
            made.pop(name)
        else:
            made[name] = tensor
    out.mkdir()
    second = {name for name in made if names["second"] and re.search(names["second"], name)}
    shards = {"model-00001-of-00002.safetensors": {name: made[name] for name in made if name not in second},
              "model-00002-of-00002.safetensors": {name: made[name] for name in second}}
    if not second:
        shards = {"model.safetensors": made}
    for shard, tensors in shards.items():
        write_file(out / shard, tensors)
    where = {name: shard for shard, tensors in shards.items() for name in tensors}
    (out / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (out / "config.json").write_text(json.dumps(config))
    for name, content in files.items():
        content = {**{tensor: "FLOAT" for tensor in made}, **content} if "description" in name else content
        (out / name).write_text(json.dumps(content))


if __name__ == "__main__":
    main(*sys.argv[1:])
