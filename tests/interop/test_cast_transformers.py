"""transformers reads what `tessera cast` writes: its config, and for DeepSeek-V3 the model itself."""
import json

import pytest
import torch
from torch_numbers import load
from transformers import AutoConfig, AutoModelForCausalLM

# transformers has these by itself; the others come with code of their own.
BUILT_IN = ["v2-lite", "v3", "v3.1", "v3.2", "glm5"]


def read_config(folder):
    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


@pytest.mark.parametrize("family", BUILT_IN)
def test_config_is_the_sources_without_quantization(workshop, family):
    source = workshop.synth(family)
    before, after = read_config(source), read_config(workshop.cast(source, "--to", "bf16"))
    assert type(after) is type(before)
    assert not hasattr(after, "quantization_config")
    assert after.dtype == torch.bfloat16
    differing = {key for key, value in before.to_dict().items() if after.to_dict().get(key) != value}
    assert differing <= {"quantization_config", "dtype", "_name_or_path"}


def test_config_keeps_every_other_field_and_their_order(workshop, family):
    source = workshop.synth(family)
    before, after = (json.loads((folder / "config.json").read_text())
                     for folder in (source, workshop.cast(source, "--to", "bf16")))
    del before["quantization_config"]
    assert list(after) == list(before)
    assert {key for key in before if after[key] != before[key]} <= {"dtype", "torch_dtype"}


def test_config_without_the_mtp_module_promises_none(workshop):
    config = read_config(workshop.cast(workshop.synth("v3"), "--to", "bf16", "--mtp", "drop"))
    assert config.num_nextn_predict_layers == 0


@pytest.mark.parametrize("family", ["v3", "v3.1"])
def test_model_loads_with_no_weight_missing(workshop, family):
    out = workshop.cast(workshop.synth(family), "--to", "bf16", "--mtp", "drop")
    model, info = AutoModelForCausalLM.from_pretrained(
        out, trust_remote_code=False, dtype=torch.bfloat16, output_loading_info=True)
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[kind], kind
    embedding = load(out)["model.embed_tokens.weight"]
    assert torch.equal(model.get_input_embeddings().weight, embedding)
    with torch.no_grad():
        logits = model(torch.arange(16)[None]).logits
    assert logits.isfinite().all()
