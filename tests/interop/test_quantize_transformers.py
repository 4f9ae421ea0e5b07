"""transformers and `tessera forward` run requantized models to the same logits.

transformers 5 holds the routed experts of these models in one fused parameter, to which the parts of a packed expert
(`experts.0.up_proj.weight_packed`, ...) have nothing to attach: it cannot load them. So a model with experts goes to
transformers as the cast of the requantized checkpoint, and to `tessera forward` as it is stored; transformers itself
loads a model without experts in compressed-tensors' format, and block FP8, which it dequantizes where there is no GPU.
Version 4 loads experts as they are stored: transformers4/.
"""
import pytest
import torch
from conftest import run_tessera
from safetensors.torch import load_file
from test_forward_transformers import PLAIN, WIDTHS, error, randomize, tokens
from torch_numbers import load
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, DeepseekV3Config, DeepseekV3ForCausalLM

# Groups and blocks of 128 divide every width that is quantized.
SHAPE = {**WIDTHS, "hidden_size": 256, "intermediate_size": 256, "moe_intermediate_size": 128, "kv_lora_rank": 128,
         "q_lora_rank": 128, "v_head_dim": 64, "num_hidden_layers": 2, "num_nextn_predict_layers": 0}
SCHEMES = ["w4a16", "w4a16-g32", "w4a16-channel", "w4a16-asym", "w8a16", "w8a16-g128", "w8a8", "int8-block",
           "int8-channel", "awq", "gptq4", "gptq8", "ascend-w8a8-dynamic", "w4afp8", "fp8-channel"]
COUNT = 20


def save_model(folder, **changes):
    config = DeepseekV3Config(**SHAPE | changes, rope_parameters=PLAIN)
    model = DeepseekV3ForCausalLM(config).eval()
    randomize(model, seed=11)
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    return folder


@pytest.fixture(scope="module")
def bf16_experts(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("experts") / "experts")


@pytest.fixture(scope="module")
def experts(workshop, bf16_experts):
    """Block FP8, so that every scheme finds what it starts from."""
    return workshop.cast(bf16_experts, "--to", "fp8")


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("dense") / "dense", first_k_dense_replace=SHAPE["num_hidden_layers"])


def stored_logits(folder, ids_folder, *options):
    ids, out = ids_folder / "ids.txt", ids_folder / "logits.safetensors"
    ids.write_text(" ".join(map(str, tokens(COUNT))))
    run_tessera("forward", folder, "--tokens", ids, "--logits", out, *options)
    return load_file(out)["logits"]


def logits(model):
    with torch.no_grad():
        return model.eval()(torch.tensor([tokens(COUNT)])).logits[0].float()


def transformers_model(folder, **options):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", **options)


@pytest.mark.parametrize("to", ["f32", "bf16"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_logits_of_the_stored_weights_are_transformers_of_their_cast(workshop, experts, tmp_path, scheme, to):
    options = ("--input-scale", "0.01") if scheme == "w4afp8" else ()
    out = workshop.quantize(experts, scheme, *options)
    model = transformers_model(workshop.cast(out, "--to", to), experts_implementation="eager")
    as_cast = ("--weights", "bf16") if to == "bf16" else ()
    assert error(stored_logits(out, tmp_path, *as_cast), logits(model)) < 1e-5


@pytest.mark.parametrize("scheme", ["w4a16", "w4a16-g32", "w4a16-asym", "w8a16", "w8a16-g128", "w8a8", "fp8-channel"])
def test_transformers_dequantizes_what_compressed_tensors_describes(workshop, dense, scheme):
    out = workshop.quantize(dense, scheme, *(["--all-linears"] if "w4" in scheme else []))
    model = AutoModelForCausalLM.from_pretrained(
        out, dtype=torch.bfloat16, quantization_config=CompressedTensorsConfig(dequantize=True))
    cast = load(workshop.cast(out, "--to", "bf16"))
    state = model.state_dict()
    assert state.keys() == cast.keys()
    for name, weight in cast.items():
        assert torch.equal(state[name], weight), name


def transformers_pair(workshop, folder, scheme):
    """A model in block FP8 and its cast, as transformers loads them."""
    out = workshop.quantize(folder, scheme)
    return [AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, attn_implementation="eager",
                                                 experts_implementation="eager")
            for model in (out, workshop.cast(out, "--to", "bf16"))]


def test_transformers_dequantizes_block_fp8_with_experts(workshop, tmp_path):
    """It rounds scales to BF16 on loading, which leaves powers of two as they are."""
    whole = save_model(tmp_path / "whole", qk_rope_head_dim=128)
    stored, cast = transformers_pair(workshop, whole, "fp8-block-ue8m0")
    for (name, got), (_, want) in zip(stored.named_parameters(), cast.named_parameters(), strict=True):
        assert torch.equal(got, want), name
    assert torch.equal(logits(stored), logits(cast))
    stored, cast = transformers_pair(workshop, whole, "fp8-block")
    for (name, got), (_, want) in zip(stored.named_parameters(), cast.named_parameters(), strict=True):
        assert ((got - want).abs() <= want.abs() * 2 ** -7).all(), name


def test_transformers_misreads_ragged_blocks_as_inspect_says(workshop, bf16_experts):
    """192 rows have two scales: to it that makes blocks of 96."""
    stored, cast = (dict(model.named_parameters()) for model in transformers_pair(workshop, bf16_experts, "fp8-block"))
    name = "model.layers.0.self_attn.q_b_proj.weight"
    got, want = stored[name], cast[name]
    assert got.shape[0] == 192 and not torch.isclose(got[96:128], want[96:128], rtol=2 ** -7, atol=0).all()
    findings = run_tessera("inspect", workshop.quantize(bf16_experts, "fp8-block"), "--for", "transformers")
    assert "fp8-ragged" in findings


@pytest.mark.parametrize("scheme", ["w4a16", "w4a16-g32", "w8a16", "w8a16-g128"])
def test_transformers_runs_packed_weights_as_they_are_stored(workshop, dense, scheme):
    """Asymmetric ones 5.23 cannot: it expects zero points that are not packed."""
    out = workshop.quantize(dense, scheme, *(["--all-linears"] if "w4" in scheme else []))
    packed = AutoModelForCausalLM.from_pretrained(out, dtype=torch.bfloat16, attn_implementation="eager")
    assert sum("weight_packed" in name for name in packed.state_dict()) == 14
    cast = AutoModelForCausalLM.from_pretrained(workshop.cast(out, "--to", "bf16"), dtype=torch.bfloat16,
                                                attn_implementation="eager")
    assert torch.equal(logits(packed), logits(cast))
