"""`tessera forward` against transformers on tiny random models, which transformers itself saves.

A token that went to another expert would change its logits by far more than the bound, so equal
logits mean equal routing.
"""
import pytest
import torch
from conftest import run_tessera
from safetensors.torch import load_file
from transformers import (DeepseekV2Config, DeepseekV2ForCausalLM, DeepseekV3Config,
                          DeepseekV3ForCausalLM, DeepseekV32Config, DeepseekV32ForCausalLM,
                          GlmMoeDsaConfig, GlmMoeDsaForCausalLM)

WIDTHS = dict(
    vocab_size=320, hidden_size=128, intermediate_size=192, moe_intermediate_size=96,
    num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=72,
    q_lora_rank=80, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=40, n_routed_experts=16,
    num_experts_per_tok=4, n_shared_experts=1, first_k_dense_replace=1, n_group=4, topk_group=2,
    norm_topk_prob=True, routed_scaling_factor=2.5, max_position_embeddings=4096,
    tie_word_embeddings=False, pad_token_id=None, bos_token_id=0, eos_token_id=1)
V3 = dict(WIDTHS, num_nextn_predict_layers=0)
# Fields that transformers' own configs lack but keep.
V2 = dict(WIDTHS, n_shared_experts=2, norm_topk_prob=False, scoring_func="softmax",
          num_nextn_predict_layers=0)
INDEXER = dict(V3, index_head_dim=32, index_n_heads=16, index_topk=24)


def yarn(factor=40.0, beta_slow=1.0, beta_fast=32.0, mscale=1.0, all_dim=1.0, theta=10000.0,
         original=64):
    return dict(rope_type="yarn", rope_theta=theta, factor=factor, beta_fast=beta_fast,
                beta_slow=beta_slow, mscale=mscale, mscale_all_dim=all_dim,
                original_max_position_embeddings=original)


PLAIN = dict(rope_type="default", rope_theta=10000.0)

MODELS = {
    "v3": (DeepseekV3ForCausalLM, DeepseekV3Config(**V3, rope_parameters=yarn())),
    "v3-without-yarn": (DeepseekV3ForCausalLM, DeepseekV3Config(**V3, rope_parameters=PLAIN)),
    "v3-unequal-mscales": (DeepseekV3ForCausalLM,
                           DeepseekV3Config(**V3, rope_parameters=yarn(mscale=1.3, all_dim=0.6))),
    "v3-halves": (DeepseekV3ForCausalLM,
                  DeepseekV3Config(**V3, rope_parameters=PLAIN, rope_interleave=False)),
    "v3-one-group": (DeepseekV3ForCausalLM,
                     DeepseekV3Config(**{**V3, "n_group": 1, "topk_group": 1},
                                      rope_parameters=yarn())),
    "v3-tied": (DeepseekV3ForCausalLM,
                DeepseekV3Config(**{**V3, "tie_word_embeddings": True}, rope_parameters=PLAIN)),
    "v3-other-eps": (DeepseekV3ForCausalLM,
                     DeepseekV3Config(**V3, rope_parameters=PLAIN, rms_norm_eps=1e-2)),
    "moonlight": (DeepseekV3ForCausalLM,
                  DeepseekV3Config(**{**V3, "q_lora_rank": None, "n_group": 1, "topk_group": 1,
                                      "n_shared_experts": 2, "routed_scaling_factor": 2.446},
                                   rope_parameters=dict(PLAIN, rope_theta=50000.0))),
    "k2": (DeepseekV3ForCausalLM,
           DeepseekV3Config(**{**V3, "n_routed_experts": 24, "n_group": 1, "topk_group": 1,
                               "routed_scaling_factor": 2.827},
                            rope_parameters=yarn(32.0, beta_fast=1.0, theta=50000.0,
                                                 original=4096))),
    "v2": (DeepseekV2ForCausalLM,
           DeepseekV2Config(**{**V2, "routed_scaling_factor": 16.0},
                            topk_method="group_limited_greedy",
                            rope_parameters=yarn(mscale=0.707, all_dim=0.707))),
    "v2-lite": (DeepseekV2ForCausalLM,
                DeepseekV2Config(**{**V2, "q_lora_rank": None, "routed_scaling_factor": 1.0},
                                 topk_method="greedy",
                                 rope_parameters=yarn(mscale=0.707, all_dim=0.707))),
    "v3.2": (DeepseekV32ForCausalLM, DeepseekV32Config(**INDEXER, rope_parameters=yarn())),
    "glm5": (GlmMoeDsaForCausalLM,
             GlmMoeDsaConfig(**{**INDEXER, "n_group": 1, "topk_group": 1}, rope_parameters=PLAIN)),
    "glm5-shared": (GlmMoeDsaForCausalLM,
                    GlmMoeDsaConfig(**{**INDEXER, "n_group": 1, "topk_group": 1},
                                    indexer_types=["full", "shared", "full", "shared"],
                                    rope_parameters=PLAIN)),
}


def randomize(model, seed):
    """Weights that keep activations near one; norms, router and bias far from their defaults."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor, scale):
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * scale)

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                normal(parameter, 0.2)
                if not name.endswith("bias"):
                    parameter.add_(1)
            else:
                normal(parameter, parameter.shape[-1] ** -0.5)
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                normal(buffer, 0.5)  # corrected scores of either sign


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    kind, config = MODELS[request.param]
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    made = kind(config).eval()
    randomize(made, seed=7)
    return made


def tokens(count):
    return [(i * 7919 + 13) % WIDTHS["vocab_size"] for i in range(count)]


def logits_of(folder, ids, *options):
    (folder / "ids.txt").write_text(" ".join(map(str, ids)))
    out = folder / "out.logits"
    run_tessera("forward", folder, "--tokens", folder / "ids.txt", "--logits", out, *options)
    return load_file(out)["logits"]


def error(actual, expected):
    """The worst position's relative error."""
    return ((actual - expected).norm(dim=1) / expected.norm(dim=1)).max().item()


@pytest.mark.parametrize("count", [1, 24, 100])  # beyond 24 the indexer chooses
def test_float32_logits_are_transformers(model, tmp_path, count):
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        expected = model(torch.tensor([tokens(count)])).logits[0]
    assert expected.std() > 0.3
    assert error(logits_of(tmp_path, tokens(count)), expected) < 1e-5


@pytest.fixture
def bf16_model(model, tmp_path):
    """The model with weights that BF16 holds, saved in BF16; its buffers stay F32."""
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.dim() > 0 and tensor is not model.model.rotary_emb.inv_freq:
                tensor.copy_(tensor.to(torch.bfloat16))
    state = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path, state_dict=state)
    return model


def test_bf16_weights_are_read_exactly(bf16_model, tmp_path):
    with torch.no_grad():
        expected = bf16_model(torch.tensor([tokens(40)])).logits[0]
    assert error(logits_of(tmp_path, tokens(40)), expected) < 1e-5


def test_bf16_rounds_where_transformers_does(bf16_model, tmp_path):
    """Sums in another order tip a value over now and then, and from there on everything differs a
    little; one rounding too many or too few leaves hardly a logit equal."""
    rounded = type(bf16_model).from_pretrained(
        tmp_path, dtype=torch.bfloat16, attn_implementation="eager",
        experts_implementation="eager").eval()
    with torch.no_grad():
        expected = rounded(torch.tensor([tokens(20)])).logits[0].float()
    actual = logits_of(tmp_path, tokens(20), "--dtype", "bf16")
    assert (actual == expected).float().mean() > 0.3
