"""The MTP module against transformers' own layers, put together by hand: transformers loads the
module's decoder layer as one layer more, and ignores the rest of it."""
import json

import pytest
import torch
from conftest import run_tessera
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

TOKENS = [(i * 7919 + 13) % 640 for i in range(50)]


def rms_norm(x, weight, eps):
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def run_layers(model, layers, hidden):
    """Decoder layers over a sequence that begins at position 0."""
    count = hidden.shape[1]
    positions = torch.arange(count)[None]
    mask = torch.full((count, count), float("-inf")).triu(1)[None, None]
    table = model.model.rotary_emb(hidden, positions)
    for layer in layers:
        hidden = layer(hidden, attention_mask=mask, position_ids=positions,
                       position_embeddings=table)
    return hidden


@pytest.mark.parametrize("quirks", [[], ["--quirks"]], ids=["shared", "copies"])
def test_drafts_are_transformers_layers_put_together(tmp_path, quirks):
    source, folder = tmp_path / "source", tmp_path / "f32"
    run_tessera("synth", source, "--preset", "tiny", "--family", "v3", *quirks)
    run_tessera("cast", source, folder, "--to", "f32")
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    main_layers = config.num_hidden_layers
    config.num_hidden_layers += 1
    model = AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, trust_remote_code=False,
        attn_implementation="eager", experts_implementation="eager")
    tensors = {}
    for shard in folder.glob("*.safetensors"):
        tensors.update(load_file(shard))
    module = {name.removeprefix(f"model.layers.{main_layers}."): tensor
              for name, tensor in tensors.items()}
    eps, layers = config.rms_norm_eps, model.model.layers

    with torch.no_grad():
        embedded = model.model.embed_tokens(torch.tensor([TOKENS]))
        hidden = model.model.norm(run_layers(model, layers[:main_layers], embedded))
        own = model.lm_head(hidden)[0]
        both = torch.cat([rms_norm(embedded[:, 1:], module["enorm.weight"], eps),
                          rms_norm(hidden[:, :-1], module["hnorm.weight"], eps)], dim=-1)
        drafted = run_layers(model, layers[main_layers:], both @ module["eh_proj.weight"].T)
        drafts = model.lm_head(rms_norm(drafted, module["shared_head.norm.weight"], eps))[0]

    (tmp_path / "ids.json").write_text(json.dumps(TOKENS))
    report = json.loads(run_tessera("forward", folder, "--tokens", tmp_path / "ids.json", "--json"))
    nll = torch.nn.functional.cross_entropy
    assert report["top1"] == own.argmax(-1).tolist()
    assert report["nll"] == pytest.approx(nll(own[:-1], torch.tensor(TOKENS[1:])).item(), rel=1e-6)
    assert report["mtp_nll"] == pytest.approx(
        nll(drafts[:-1], torch.tensor(TOKENS[2:])).item(), rel=1e-6)
    accepted = (drafts.argmax(-1) == own.argmax(-1)[1:]).float().mean().item()
    assert report["mtp_acceptance"] == pytest.approx(accepted)
