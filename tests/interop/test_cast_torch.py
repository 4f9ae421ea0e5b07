"""Every output of `tessera cast` agrees with PyTorch's own computation, tensor by tensor, bit by bit."""
import json

import pytest
import torch
from safetensors import safe_open
from torch_numbers import FP8, PLAIN, assert_same, block_size, dequantize, expected_cast, load


@pytest.mark.parametrize("to", PLAIN)
def test_fp8_to_plain_equals_torch(workshop, family, to):
    source = workshop.synth(family)
    out = workshop.cast(source, "--to", to)
    assert_same(load(out), expected_cast(load(source), block_size(source), PLAIN[to]))


@pytest.mark.parametrize("to", PLAIN)
def test_bf16_to_plain_equals_torch(workshop, to):
    source = workshop.synth("v3", "bf16")
    out = workshop.cast(source, "--to", to)
    assert_same(load(out), expected_cast(load(source), None, PLAIN[to]))


def test_without_mtp_every_other_tensor_is_the_same(workshop, family):
    source = workshop.synth(family)
    whole = load(workshop.cast(source, "--to", "bf16"))
    main = load(workshop.cast(source, "--to", "bf16", "--mtp", "drop"))
    layers = json.loads((source / "config.json").read_text())["num_hidden_layers"]
    kept = {name: tensor for name, tensor in whole.items()
            if not name.startswith(f"model.layers.{layers}.")}
    assert_same(main, kept)


def test_back_to_fp8_with_the_original_scales_gives_the_original_values(workshop, family):
    source = workshop.synth(family)
    bf16 = workshop.cast(source, "--to", "bf16")
    back = load(workshop.cast(bf16, "--to", "fp8", "--scales-from", source))
    original, block = load(source), block_size(source)
    assert back.keys() == original.keys()
    for name, want in original.items():
        if want.dtype not in FP8:
            assert_same({name: back[name]}, {name: want})
            continue
        scale = original[name + "_scale_inv"]
        if torch.equal(torch.frexp(scale).mantissa.abs(), torch.full_like(scale, 0.5)):
            assert_same({name: back[name]}, {name: want})
        else:
            values = [dequantize(w, scale, block).to(torch.bfloat16) for w in (back[name], want)]
            assert_same({name: values[0]}, {name: values[1]})


@pytest.mark.parametrize("scale_format", ["f32", "ue8m0"])
def test_to_fp8_equals_deepseeks_formula_in_torch(workshop, scale_format):
    source = workshop.synth("v3", "bf16")
    out = workshop.cast(source, "--to", "fp8", "--scale-format", scale_format)
    plain, quantized = load(source), load(out)
    block = block_size(out)
    assert any(tensor.dtype in FP8 for tensor in quantized.values())
    for name, codes in quantized.items():
        if codes.dtype not in FP8:
            continue
        weight, scale = plain[name].to(torch.float32), quantized[name + "_scale_inv"]
        for i in range(scale.shape[0]):
            for j in range(scale.shape[1]):
                part = (slice(i * block[0], (i + 1) * block[0]),
                        slice(j * block[1], (j + 1) * block[1]))
                amax = weight[part].abs().amax().clamp(min=1e-4)
                want = amax / 448
                if scale_format == "ue8m0":
                    want = torch.exp2(torch.ceil(torch.log2(want)))
                assert scale[i, j] == want, (name, i, j)
                assert_same({name: codes[part]},
                            {name: (weight[part] / want).to(torch.float8_e4m3fn)})


def test_index_and_shards_are_as_loaders_want_them(workshop, family):
    source = workshop.synth(family)
    out = workshop.cast(source, "--to", "bf16")
    index = json.loads((out / "model.safetensors.index.json").read_text())
    tensors = load(out)
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in tensors.values())
    assert {p.name for p in out.glob("*.safetensors")} == set(index["weight_map"].values())
    for file in out.glob("*.safetensors"):
        with safe_open(file, framework="pt") as shard:
            assert shard.metadata() == {"format": "pt"}
