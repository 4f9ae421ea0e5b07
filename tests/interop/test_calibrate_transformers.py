"""`tessera calibrate` against hooks on transformers' DeepseekV3, and what reads its file."""
import numpy as np
import pytest
import torch
from conftest import run_tessera
from gguf import GGUFReader
from safetensors.torch import load_file
from test_forward_transformers import MODELS, randomize, tokens

CHUNK = 512
COUNT = 2 * CHUNK + 90


class Inputs:
    """Squares summed in float64, maxima and counts of what enters each linear, by GGUF name."""

    def __init__(self, model):
        self.sums, self.counts, self.amax = {}, {}, {}
        self.latents, self.queries = {}, {}
        for number, layer in enumerate(model.model.layers):
            self.watch(number, layer)

    def add(self, name, x, expert=None, experts=1):
        sums = self.sums.setdefault(name, np.zeros((experts, x.shape[-1])))
        counts = self.counts.setdefault(name, np.zeros(experts))
        amax = self.amax.setdefault(name, np.zeros(experts))
        if len(x) == 0:
            return
        sums[expert or 0] += x.double().square().sum(0).numpy()
        counts[expert or 0] += len(x)
        amax[expert or 0] = max(amax[expert or 0], x.abs().max().item())

    def watch(self, number, layer):
        at = f"blk.{number}."

        def input_of(module, *names):
            def hook(_, inputs):
                for name in names:
                    self.add(at + name, inputs[0].reshape(-1, inputs[0].shape[-1]))
            module.register_forward_pre_hook(hook)

        attention, mlp = layer.self_attn, layer.mlp
        if attention.q_proj is not None:
            input_of(attention.q_proj, "attn_q")
        else:
            input_of(attention.q_a_proj, "attn_q_a")
            input_of(attention.q_b_proj, "attn_q_b")
        input_of(attention.kv_a_proj_with_mqa, "attn_kv_a_mqa")
        input_of(attention.kv_b_proj, "attn_kv_b")
        input_of(attention.o_proj, "attn_output")
        self.watch_heads(at, attention)
        if not hasattr(mlp, "experts"):
            input_of(mlp.gate_proj, "ffn_gate", "ffn_up")
            return input_of(mlp.down_proj, "ffn_down")
        input_of(mlp.gate, "ffn_gate_inp")
        input_of(mlp.shared_experts.gate_proj, "ffn_gate_shexp", "ffn_up_shexp")
        input_of(mlp.shared_experts.down_proj, "ffn_down_shexp")
        mlp.experts.register_forward_pre_hook(lambda experts, inputs: self.route(at, experts, *inputs))

    def watch_heads(self, at, attention):
        """What the halves of kv_b_proj meet when they are absorbed: queries, mixed latents."""
        heads, nope = attention.num_heads, attention.qk_nope_head_dim
        query = attention.q_proj if attention.q_proj is not None else attention.q_b_proj

        def keep_query(_, __, out):
            self.queries[at] = out[0].view(out.shape[1], heads, -1)[..., :nope]

        def keep_latent(_, __, out):
            self.latents[at] = out[0]

        def mix(_, __, out):
            mixed = torch.einsum("hqk,kc->qhc", out[1][0], self.latents[at])
            for name, x in (("attn_k_b", self.queries[at]), ("attn_v_b", mixed)):
                self.add(at + name, x.reshape(len(x), -1))

        query.register_forward_hook(keep_query)
        attention.kv_a_layernorm.register_forward_hook(keep_latent)
        attention.register_forward_hook(mix)

    def route(self, at, experts, hidden, indices, weights):
        for expert in range(experts.num_experts):
            x = hidden[(indices == expert).any(1)]
            gate, up = (x @ experts.gate_up_proj[expert].T).chunk(2, dim=-1)
            inner = torch.nn.functional.silu(gate) * up
            for name, value in (("ffn_gate_exps", x), ("ffn_up_exps", x), ("ffn_down_exps", inner)):
                self.add(at + name, value, expert, experts.num_experts)


def read(path):
    reader = GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    return fields, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


HF = {"attn_q": "self_attn.q_proj", "attn_q_a": "self_attn.q_a_proj", "attn_q_b": "self_attn.q_b_proj",
      "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa", "attn_kv_b": "self_attn.kv_b_proj",
      "attn_output": "self_attn.o_proj", "ffn_gate_inp": "mlp.gate"}
for projection in ("gate", "up", "down"):
    HF[f"ffn_{projection}"] = f"mlp.{projection}_proj"
    HF[f"ffn_{projection}_shexp"] = f"mlp.shared_experts.{projection}_proj"
    HF[f"ffn_{projection}_exps"] = f"mlp.experts.{projection}_proj"


@pytest.mark.parametrize("name", ["v3", "moonlight"])
def test_inputs_are_those_of_transformers(name, tmp_path):
    kind, config = MODELS[name]
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    model = kind(config).eval()
    randomize(model, seed=7)
    model.save_pretrained(tmp_path / "model")
    # bos_token_id is 0: a text that begins with it begins every chunk with it.
    ids = tokens(COUNT) if name == "v3" else [0, *tokens(COUNT - 1)]
    (tmp_path / "ids.txt").write_text(" ".join(map(str, ids)))
    run_tessera("calibrate", tmp_path / "model", tmp_path / "out.gguf", "--tokens",
                tmp_path / "ids.txt")

    expected = Inputs(model)
    with torch.no_grad():
        for begin in range(0, COUNT, CHUNK):
            chunk = ids[begin:begin + CHUNK]
            model(torch.tensor([[0, *chunk[1:]] if ids[0] == 0 else chunk]))

    fields, tensors = read(tmp_path / "out.gguf")
    assert fields["general.type"] == "imatrix"
    assert fields["imatrix.chunk_count"] == 3 and fields["imatrix.chunk_size"] == CHUNK
    seen = set()
    for name, sums in expected.sums.items():
        counts = expected.counts[name]
        stem = name.split(".")[2]
        if stem in HF:
            amax = f"model.layers.{name.split('.')[1]}.{HF[stem]}.input_amax"
            np.testing.assert_allclose(tensors[amax], expected.amax[name], rtol=1e-5)
            seen.add(amax)
        if stem == "attn_kv_b":
            continue
        total = tensors[f"{name}.weight.in_sum2"]
        assert tensors[f"{name}.weight.counts"].shape == (len(counts), 1)
        assert (tensors[f"{name}.weight.counts"][:, 0] == counts).all(), name
        error = np.abs(total - sums).max(1) / np.maximum(sums.max(1), 1e-30)
        assert error.max() < 1e-5, (name, error.max())
        seen |= {f"{name}.weight.in_sum2", f"{name}.weight.counts"}
    assert seen == set(tensors)


def test_quantize_takes_its_scales_from_the_file(workshop, tmp_path):
    """MTP experts too; gate and up share the scale; experts without a token take the largest."""
    source = workshop.synth("v3")
    (tmp_path / "ids.txt").write_text(" ".join(str(i * 7919 % 640) for i in range(6)))
    run_tessera("calibrate", source, tmp_path / "c.gguf", "--tokens", tmp_path / "ids.txt")
    made = workshop.quantize(source, "w4afp8", "--calibration", tmp_path / "c.gguf")
    stored = {}
    for path in made.glob("*.safetensors"):
        stored |= {name: value.item() for name, value in load_file(path).items()
                   if name.endswith("input_scale")}
    _, tensors = read(tmp_path / "c.gguf")
    checked = unreached = 0
    for name, amax in tensors.items():
        if ".mlp.experts." not in name or "up_proj" in name:
            continue
        prefix, module, _ = name.rsplit(".", 2)
        for expert, value in enumerate(amax):
            unreached += value == 0
            scale = np.float32(value or amax.max()) / np.float32(448)
            for theirs in {"gate_proj": ["w1", "w3"], "down_proj": ["w2"]}[module]:
                expected = torch.tensor(scale).bfloat16().float().item()
                assert stored[f"{prefix}.{expert}.{theirs}.input_scale"] == expected
                checked += 1
    assert checked == len(stored) and unreached > 0
