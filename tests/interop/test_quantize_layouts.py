"""Formats whose packages need a GPU or do not exist: their layouts and quantizers, restated in PyTorch from what is
published (AutoAWQ, GPTQModel, SGLang, msModelSlim), read what `tessera quantize` writes."""
import json
import re

import pytest
import torch
from torch_numbers import bits, load, spread

SCHEMES = ["awq", "gptq4", "gptq8", "int8-block", "int8-channel", "ascend-w8a8-dynamic", "w4afp8", "trtllm-w4a8"]
SOURCES = [("v3", "fp8"), ("k2", "fp8"), ("v3", "bf16")]
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]
EXPERTS = r"\.mlp\.experts\.\d+\.(gate|up|down)_proj$"


@pytest.fixture(params=SOURCES, ids="-".join)
def source(request, workshop):
    return workshop.synth(*request.param)


def quantize(workshop, source, scheme, *options):
    """The folder, and its tensors by module."""
    if scheme in ("w4afp8", "trtllm-w4a8"):
        options += ("--input-scale", "0.01")
    out = workshop.quantize(source, scheme, *options)
    return out, by_module(load_any(out))


def load_any(folder):
    if (folder / "model.safetensors.index.json").exists():
        return load(folder)
    # msModelSlim's name of the index.
    (index,) = folder.glob("quant_model_weights*.index.json")
    link = folder.parent / (folder.name + "-as-usual")
    if not link.exists():
        link.mkdir()
        for file in folder.glob("*.safetensors"):
            (link / file.name).symlink_to(file)
        (link / "model.safetensors.index.json").symlink_to(index)
    return load(link)


def by_module(tensors):
    modules = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = tensor
    return modules


def is_quantized(parts):
    return "qweight" in parts or parts.get("weight", torch.empty(0)).dtype == torch.int8


def fields(words, count, width):
    """Each word's fields along a new last dimension, lowest first."""
    shifts = torch.arange(count) * width
    return words.to(torch.int64).unsqueeze(-1) >> shifts & (1 << width) - 1


def along_groups(scales, cols):
    return scales.repeat_interleave(cols // scales.shape[1], 1)


def awq(parts):
    def unpack(words):
        rows = torch.empty(words.shape + (8,), dtype=torch.int64)
        rows[..., AWQ_ORDER] = fields(words, 8, 4)
        return rows.flatten(-2).T

    return unpack(parts["qweight"]), unpack(parts["qzeros"]), parts["scales"].T


def gptq(parts, width):
    count = 32 // width
    codes = fields(parts["qweight"], count, width).transpose(1, 2).flatten(0, 1).T
    zeros = fields(parts["qzeros"], count, width).flatten(-2).T + 1
    assert torch.equal(parts["g_idx"], torch.arange(codes.shape[1], dtype=torch.int32) // 128)
    assert (zeros == 1 << width - 1).all()
    return codes, zeros, parts["scales"].T


def nibbles(parts):
    low, high = parts["weight"] & 15, parts["weight"] >> 4
    codes = torch.stack([(low ^ 8) - 8, high], -1).flatten(-2)
    return codes, torch.zeros_like(parts["weight_scale_inv"]), parts["weight_scale_inv"]


def unpack(scheme, parts):
    """Codes [N, K], and zeros and scales of the same rows, [N, groups] or one for each code."""
    if scheme == "awq":
        return awq(parts)
    if scheme.startswith("gptq"):
        return gptq(parts, int(scheme[-1]))
    if scheme in ("w4afp8", "trtllm-w4a8"):
        return nibbles(parts)
    codes = parts["weight"]
    if scheme == "int8-block":
        scales = spread(parts["weight_scale_inv"], codes.shape, [128, 128])
    else:
        scales = parts["weight_scale"]
    if scheme == "ascend-w8a8-dynamic":
        assert parts["weight_offset"].dtype == torch.float32
        assert parts["weight_offset"].shape == scales.shape and not parts["weight_offset"].any()
    return codes, torch.zeros_like(scales), scales


def decode(scheme, parts):
    codes, zeros, scales = unpack(scheme, parts)
    assert scales.dtype == (torch.float16 if "qweight" in parts else torch.float32)
    cols = codes.shape[1]
    return (codes - along_groups(zeros, cols)).float() * along_groups(scales.float(), cols)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_published_layout_decodes_to_the_cast(workshop, source, scheme):
    out, modules = quantize(workshop, source, scheme)
    cast = load(workshop.cast(out, "--to", "bf16"))
    quantized = {name: parts for name, parts in modules.items() if is_quantized(parts)}
    assert len(quantized) > 90
    for name, parts in quantized.items():
        want = decode(scheme, parts).to(torch.bfloat16)
        assert torch.equal(bits(cast[name + ".weight"]), bits(want)), name


def grouped(weight, group=128):
    return weight.reshape(weight.shape[0], -1, group)


def absmax(scheme, weight):
    """Codes and scales of an F32 weight as upstream's quantizer makes them of it in the type that it sees."""
    if scheme == "awq":
        w = grouped(weight.to(torch.bfloat16).to(torch.float16))
        low, high = w.amin(-1, keepdim=True), w.amax(-1, keepdim=True)
        scale = (high - low).clamp(min=1e-5) / 15
        zero = (-(low / scale).round()).clamp(0, 15)
        return ((w / scale).round() + zero).clamp(0, 15).flatten(1), zero[..., 0], scale[..., 0]
    w = weight.to(torch.bfloat16).float()
    if scheme.startswith("gptq"):
        levels = (1 << int(scheme[-1])) - 1
        w, middle = grouped(w), (levels + 1) // 2
        scale = 2 * w.abs().amax(-1, keepdim=True) / levels
        codes = ((w / scale).round() + middle).clamp(0, levels)
        return codes.flatten(1), torch.full_like(scale[..., 0], middle), scale[..., 0].to(torch.float16)
    if scheme in ("w4afp8", "trtllm-w4a8"):
        scale = grouped(w).abs().amax(-1, keepdim=True) / 7
        codes = (grouped(w) / scale).round().clamp(-8, 7).flatten(1)
        return codes, torch.zeros_like(scale[..., 0]), scale[..., 0]
    if scheme == "int8-block":
        rows, cols = w.shape
        padded = torch.nn.functional.pad(w.abs(), (0, -cols % 128, 0, -rows % 128))
        tiles = padded.reshape(-(-rows // 128), 128, -(-cols // 128), 128)
        scale = spread(tiles.amax((1, 3)) / 127, w.shape, [128, 128])
        return (w / scale).trunc(), torch.zeros_like(scale), scale
    scale = w.abs().amax(1, keepdim=True) / 127
    return (w / scale).round(), torch.zeros_like(scale), scale


@pytest.mark.parametrize("scheme", SCHEMES)
def test_absmax_gives_upstreams_codes_zeros_and_scales(workshop, source, scheme):
    _, modules = quantize(workshop, source, scheme, "--search", "absmax")
    weights = load(workshop.cast(source, "--to", "f32"))
    for name, parts in modules.items():
        if not is_quantized(parts):
            continue
        for what, got, want in zip(("codes", "zeros", "scales"), unpack(scheme, parts),
                                   absmax(scheme, weights[name + ".weight"])):
            differing = int((got.double() != want.double()).sum())
            assert differing == 0, f"{name}: {differing} of {want.numel()} {what} differ"


@pytest.mark.parametrize("scheme", ["w4afp8", "trtllm-w4a8"])
def test_input_scales_are_the_ones_given_as_bf16_holds_them(workshop, source, scheme):
    _, modules = quantize(workshop, source, scheme)
    want = torch.tensor([0.01]).to(torch.bfloat16).float()
    spelled = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
    experts = [name for name in modules if re.search(EXPERTS, name)]
    assert experts
    for name in experts:
        expert, _, projection = name.rpartition(".")
        assert torch.equal(modules[f"{expert}.{spelled[projection]}"]["input_scale"], want), name


def test_the_ascend_description_names_every_tensor(workshop, source):
    out, modules = quantize(workshop, source, "ascend-w8a8-dynamic")
    description = json.loads((out / "quant_model_description.json").read_text())
    header = {key: description.pop(key) for key in ("model_quant_type", "version", "group_size")}
    assert header == {"model_quant_type": "W8A8_DYNAMIC", "version": "1.0.0", "group_size": 0}
    for key in ("metadata", "optional"):
        description.pop(key, None)
    assert description == {f"{name}.{part}": "W8A8_DYNAMIC" if is_quantized(parts) else "FLOAT"
                           for name, parts in modules.items() for part in parts}
    assert json.loads((out / "config.json").read_text())["quantize"] == "w8a8_dynamic"
