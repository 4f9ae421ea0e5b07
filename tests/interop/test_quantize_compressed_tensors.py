"""What `tessera quantize` writes in compressed-tensors' formats, compressed-tensors reads: its config, the modules
it covers, every weight; and with `--search absmax` the codes and scales are the ones that it makes itself."""
import json

import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.utils.match import is_match
from ct_numbers import compress
from torch_numbers import assert_same, bits, load

SCHEMES = ["w4a16", "w4a16-g64", "w4a16-g32", "w4a16-channel", "w4a16-asym", "w8a16", "w8a16-g128",
           "w8a8", "fp8-channel"]
SOURCES = [("v3", "fp8"), ("k2", "fp8"), ("v3", "bf16")]
PARTS = ("weight_packed", "weight_scale", "weight_zero_point", "weight_shape")


@pytest.fixture(params=SOURCES, ids="-".join)
def source(request, workshop):
    return workshop.synth(*request.param)


def read(folder):
    """The config as the package understands it, and {module: {part: tensor}}."""
    raw = json.loads((folder / "config.json").read_text())["quantization_config"]
    modules = {}
    for name, tensor in load(folder).items():
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = tensor
    return QuantizationConfig.model_validate(raw), modules


def quantized(modules):
    return {name: parts for name, parts in modules.items() if "weight_scale" in parts}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_decompressing_is_casting(workshop, source, scheme):
    out = workshop.quantize(source, scheme)
    config, modules = read(out)
    (group,) = config.config_groups.values()
    compressor = BaseCompressor.get_value_from_registry(config.format)
    want = {}
    for name, parts in modules.items():
        if "weight_scale" in parts:
            parts = {"weight": compressor.decompress(parts, group)["weight"].to(torch.bfloat16)}
        want |= {f"{name}.{part}": tensor for part, tensor in parts.items()}
    assert len(quantized(modules)) > 90
    assert_same(load(workshop.cast(out, "--to", "bf16")), want)


@pytest.mark.parametrize("options", [(), ("--experts-only",), ("--all-linears",),
                                     ("--ignore", r"layers\.1\.mlp\.experts\.")],
                         ids=lambda o: "".join(o[:1]) or "default")
@pytest.mark.parametrize("scheme", ["w4a16", "w8a8"])
def test_the_config_covers_what_is_quantized_and_nothing_else(workshop, scheme, options):
    config, modules = read(workshop.quantize(workshop.synth("v3"), scheme, *options))
    (group,) = config.config_groups.values()
    linear = torch.nn.Linear(1, 1)
    for name, parts in modules.items():
        if name.endswith(("norm", "embed_tokens")) or not {"weight", "weight_packed"} & parts.keys():
            continue
        covered = is_match(name, linear, group.targets, config.ignore)
        assert covered == ("weight_scale" in parts), name


@pytest.mark.parametrize("scheme", SCHEMES)
def test_absmax_gives_the_packages_own_codes_and_scales(workshop, source, scheme):
    config, modules = read(workshop.quantize(source, scheme, "--search", "absmax"))
    (group,) = config.config_groups.values()
    weights = load(workshop.cast(source, "--to", "bf16"))
    for name, parts in quantized(modules).items():
        stored, _ = compress(weights[name + ".weight"], group, config.format, torch.bfloat16)
        stored = {part: tensor for part, tensor in stored.items() if tensor is not None}
        # The package holds them in the weight's type; F32 ones of ours are the same numbers.
        stored["weight_scale"] = stored["weight_scale"].to(parts["weight_scale"].dtype)
        assert parts.keys() == stored.keys(), name
        for part, want in stored.items():
            got = parts[part]
            assert got.dtype == want.dtype and got.shape == want.shape, (name, part)
            differing = int((bits(got) != bits(want)).sum())
            assert differing == 0, f"{name}.{part}: {differing} of {want.numel()} differ"


# FP8 has no search, but scales of F32 from unrounded values.
def test_fp8_by_channel_is_the_rows_largest_value_over_448(workshop, source):
    _, modules = read(workshop.quantize(source, "fp8-channel"))
    weights = load(workshop.cast(source, "--to", "f32"))
    for name, parts in quantized(modules).items():
        weight = weights[name + ".weight"].float()
        scale = weight.abs().amax(1, keepdim=True) / 448
        assert torch.equal(parts["weight_scale"], scale), name
        codes = (weight / scale).to(torch.float8_e4m3fn)
        assert torch.equal(bits(parts["weight"]), bits(codes)), name
