"""What compressed-tensors compressed, `tessera cast` makes BF16 as compressed-tensors itself does, bit by bit."""
import json
import re
import shutil

import pytest
import torch
from compressed_tensors.quantization import QuantizationConfig, preset_name_to_scheme
from ct_numbers import compress
from safetensors.torch import save_file
from torch_numbers import assert_same, load

EXPERTS = r"\.mlp\.experts\.\d+\.(gate|up|down)_proj\.weight$"
LINEARS = rf"(\.self_attn\.\w+_proj\w*\.weight$|{EXPERTS})"

# Preset, format on disk, what it covers, type of the scales.
CASES = {
    "kimi": ("W4A16", "pack-quantized", EXPERTS, torch.bfloat16),
    "w4a16": ("W4A16", "pack-quantized", LINEARS, torch.bfloat16),
    "w4a16-f32": ("W4A16", "pack-quantized", EXPERTS, torch.float32),
    "w4a16-asym": ("W4A16_ASYM", "pack-quantized", LINEARS, torch.bfloat16),
    "w8a16": ("W8A16", "pack-quantized", LINEARS, torch.bfloat16),
    "w8a8": ("W8A8", "int-quantized", LINEARS, torch.bfloat16),
    "w8a8-f32": ("W8A8", "int-quantized", LINEARS, torch.float32),
    "fp8": ("FP8_DYNAMIC", "float-quantized", LINEARS, torch.bfloat16),
    "fp8-block": ("FP8_BLOCK", "float-quantized", EXPERTS, torch.bfloat16),
}


@pytest.mark.parametrize("case", CASES)
def test_cast_equals_decompress(workshop, tmp_path, case):
    preset, form, covered, scale_dtype = CASES[case]
    scheme = preset_name_to_scheme(preset, ["Linear"])
    if case == "kimi":
        scheme.weights.group_size = 32
    source = workshop.synth("k2", "bf16")
    tensors, want = {}, {}
    for name, tensor in load(source).items():
        group = scheme.weights.group_size or 1
        if not re.search(covered, name) or tensor.shape[1] % group != 0:
            tensors[name] = want[name] = tensor
            continue
        stored, weight = compress(tensor, scheme, form, scale_dtype)
        want[name] = weight.to(torch.bfloat16)
        stem = name.removesuffix("weight")
        tensors.update({stem + part: t.contiguous() for part, t in stored.items()})
    assert len(tensors) > len(want)

    folder = tmp_path / f"compressed-{case}"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    for file in source.iterdir():
        if file.suffix not in (".safetensors", ".json"):
            shutil.copy(file, folder)
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = QuantizationConfig(
        config_groups={"group_0": scheme}, format=form, quantization_status="compressed",
        ignore=["lm_head"]).to_dict()
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str))
    assert_same(load(workshop.cast(folder, "--to", "bf16")), want)
