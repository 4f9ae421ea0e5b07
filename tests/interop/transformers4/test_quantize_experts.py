"""transformers 4 holds an expert as three linears, so that it loads requantized experts as they are stored, by each
format that it reads without a GPU: those of compressed-tensors. Its logits are those of the dequantized model."""
import pytest
import torch
from compressed_tensors.quantization import disable_quantization
from conftest import run_tessera
from transformers import AutoModelForCausalLM, DeepseekV3Config, DeepseekV3ForCausalLM

# Groups of 128 divide every width that is quantized.
SHAPE = dict(
    vocab_size=320, hidden_size=256, intermediate_size=256, moe_intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=4, kv_lora_rank=128, q_lora_rank=128, qk_nope_head_dim=32,
    qk_rope_head_dim=16, v_head_dim=64, n_routed_experts=8, num_experts_per_tok=4, n_shared_experts=1,
    first_k_dense_replace=1, n_group=4, topk_group=2, max_position_embeddings=4096, tie_word_embeddings=False,
    pad_token_id=None, bos_token_id=0, eos_token_id=1, num_nextn_predict_layers=0)
SCHEMES = ["w4a16", "w4a16-g64", "w4a16-g32", "w4a16-channel", "w4a16-asym", "w8a16", "w8a16-g128", "w8a8",
           "fp8-channel"]
EXPERTS, LINEARS = 24, 38


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Block FP8, as the originals are."""
    folder = tmp_path_factory.mktemp("source")
    generator = torch.Generator().manual_seed(11)
    model = DeepseekV3ForCausalLM(DeepseekV3Config(**SHAPE))
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.dim() > 1:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * tensor.shape[-1] ** -0.5)
            elif tensor is not model.model.rotary_emb.inv_freq:
                tensor.copy_(1 + 0.2 * torch.randn(tensor.shape, generator=generator))
    model.to(torch.bfloat16).save_pretrained(folder / "bf16")
    run_tessera("cast", folder / "bf16", folder / "fp8", "--to", "fp8")
    return folder / "fp8"


def load(folder):
    """In F32: in BF16 it would round scales that are stored as F32."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                                       output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], (kind, info[kind])
    return model.eval()


def logits(model):
    with torch.no_grad():
        return model(torch.arange(20)[None] * 7919 % SHAPE["vocab_size"]).logits[0]


@pytest.mark.parametrize("reach, count", [("--experts-only", EXPERTS), ("--all-linears", LINEARS)])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_stored_experts_run_as_the_dequantized_model(workshop, source, scheme, reach, count):
    out = workshop.quantize(source, scheme, reach)
    model = load(out)
    assert sum(name.endswith("weight_scale") for name in model.state_dict()) == count
    model.apply(disable_quantization)  # of activations; weights stay what they are
    dequantized = load(workshop.cast(out, "--to", "f32"))
    got, want = logits(model), logits(dequantized)  # the first pass decompresses
    assert want.std() > 0.3
    assert ((got - want).norm(dim=1) / want.norm(dim=1)).max() < 1e-5
    weights = dict(model.named_parameters())
    for name, weight in dequantized.named_parameters():
        assert torch.equal(weights[name], weight), name
