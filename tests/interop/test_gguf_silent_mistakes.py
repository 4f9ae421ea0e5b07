"""Mistakes in a file that llama.cpp loads silently and computes nonsense with: a row for each."""
import json
import subprocess

import pytest
import torch
from conftest import TESSERA
from gguf_files import FAMILIES, File, exact
from safetensors.torch import load_file, save_file

F32 = "FLOAT32"


@pytest.fixture(scope="module")
def source(workshop):
    return workshop.gguf_source("v3")


@pytest.fixture(scope="module")
def config(source):
    return json.loads((source / "config.json").read_text())


@pytest.fixture(scope="module")
def out(workshop, source):
    return File(workshop.gguf(source, "--type", "F32"))


def f32(value):
    return [F32, torch.tensor(value, dtype=torch.float32).item()]


ROWS = {
    "expert_weights_norm missing": ("expert_weights_norm", lambda c: ["BOOL", c["norm_topk_prob"]]),
    "yarn_log_multiplier missing, or 1.0 instead of 0.1": (
        "rope.scaling.yarn_log_multiplier", lambda c: f32(0.1 * c["rope_scaling"]["mscale_all_dim"])),
    "expert_gating_func missing": ("expert_gating_func", lambda c: ["UINT32", 2]),  # sigmoid
    "block_count with nextn_predict_layers": ("block_count", lambda c: ["UINT32", c["num_hidden_layers"]]),
    "rope.scaling.type missing": ("rope.scaling.type", lambda c: ["STRING", "yarn"]),
    "expert_group_count missing": ("expert_group_count", lambda c: ["UINT32", c["n_group"]]),
    "expert_group_used_count missing": ("expert_group_used_count", lambda c: ["UINT32", c["topk_group"]]),
    "expert_weights_scale missing": ("expert_weights_scale", lambda c: f32(c["routed_scaling_factor"])),
    "rope.scaling.factor wrong": ("rope.scaling.factor", lambda c: f32(c["rope_scaling"]["factor"])),
    "original_context_length wrong": (
        "rope.scaling.original_context_length",
        lambda c: ["UINT32", c["rope_scaling"]["original_max_position_embeddings"]]),
    "head_count_kv not 1": ("attention.head_count_kv", lambda c: ["UINT32", 1]),
    "key_length of a head": (
        "attention.key_length", lambda c: ["UINT32", c["kv_lora_rank"] + c["qk_rope_head_dim"]]),
}


@pytest.mark.parametrize("mistake", ROWS)
def test_metadata(out, config, mistake):
    key, want = ROWS[mistake]
    assert out.metadata["deepseek2." + key] == want(config)
    assert "deepseek2.nextn_predict_layers" not in out.metadata


TENSORS = {  # mistake: the tensors in which it would show
    "experts stacked in a wrong order": ["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"],
    "gate and up swapped": ["ffn_gate", "ffn_up", "ffn_gate_exps", "ffn_up_exps", "ffn_gate_shexp",
                            "ffn_up_shexp"],
    "rope rows de-interleaved": ["attn_q_b", "attn_kv_a_mqa"],
    "exp_probs_b missing": ["exp_probs_b"],
    "kv_b cut across heads, or k_b not transposed": ["attn_k_b", "attn_v_b"],
    "output.weight missing": ["output"],
}


@pytest.mark.parametrize("mistake", TENSORS)
def test_tensors(source, out, mistake):
    want, got = exact(source), out.decoded()
    assert want.keys() == got.keys()
    for stem in TENSORS[mistake]:
        names = [name for name in want if name.split(".")[-2] == stem]
        assert names
        for name in names:
            assert torch.equal(got[name], want[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_no_tensor_is_missing_or_extra_and_all_are_pytorchs(workshop, family):
    source = workshop.gguf_source(family)
    want, got = exact(source), File(workshop.gguf(source, "--type", "F32")).decoded()
    assert want.keys() == got.keys()
    assert [name for name in want if not torch.equal(want[name], got[name])] == []


def test_an_mtp_module_raises_the_number_of_blocks(workshop, source, config):
    kept = File(workshop.gguf(source, "--type", "BF16", "--mtp", "keep"))
    layers = config["num_hidden_layers"]
    assert kept.metadata["deepseek2.nextn_predict_layers"] == ["UINT32", 1]
    assert kept.metadata["deepseek2.block_count"] == ["UINT32", layers + 1]
    for name in ("eh_proj", "enorm", "hnorm"):
        assert f"blk.{layers}.nextn.{name}.weight" in kept.tensors
    assert kept.shapes()[f"blk.{layers}.nextn.eh_proj.weight"] == [
        2 * config["hidden_size"], config["hidden_size"]]


@pytest.mark.parametrize("mix", ["F32", "BF16", "Q8_0", "Q4_K_M", "IQ4_XS", "MXFP4_MOE"])
def test_nan_in_a_weight_is_refused(workshop, tmp_path, mix):
    source = tmp_path / "nan"
    source.mkdir()
    for file in workshop.gguf_source("v3", "bf16").iterdir():
        (source / file.name).write_bytes(file.read_bytes())
    name = "model.layers.1.mlp.experts.3.up_proj.weight"
    index = json.loads((source / "model.safetensors.index.json").read_text())
    shard = source / index["weight_map"][name]
    tensors = load_file(shard)
    tensors[name][5, 7] = float("nan")
    save_file(tensors, shard, {"format": "pt"})
    out = tmp_path / "out.gguf"
    done = subprocess.run([TESSERA, "gguf", source, out, "--type", mix, "--no-tokenizer"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 3 and name in done.stderr, done.stderr
    assert not out.exists()
