"""GGUF files as the `gguf` package reads them, and what llama.cpp makes of the same checkpoints."""
import hashlib
import json
import pathlib

import gguf
import torch
from torch_numbers import FP8, block_size, dequantize, load

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
FAMILIES = ["v2", "v2-lite", "v3", "v3.1", "k2", "moonlight"]  # those of the architecture deepseek2


def golden(name):
    return json.loads((GOLDEN / name).read_text())


class File:
    """`metadata`: {key: [type, value]}, as the goldens have it; `tensors`: {name: the package's}."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.metadata = {key: entry(field) for key, field in reader.fields.items()
                         if not key.startswith("GGUF.")}
        self.tensors = {tensor.name: tensor for tensor in reader.tensors}
        assert len(self.tensors) == len(reader.tensors)

    def shapes(self):
        return {name: [int(n) for n in tensor.shape] for name, tensor in self.tensors.items()}

    def types(self):
        return {name: tensor.tensor_type.name for name, tensor in self.tensors.items()}

    def digests(self):
        return {name: f"{tensor.tensor_type.name} {hashlib.sha256(tensor.data.tobytes()).hexdigest()[:16]}"
                for name, tensor in self.tensors.items()}

    def decoded(self):
        """{name: F32 values, outermost dimension first}."""
        return {name: torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type).copy())
                .reshape([int(n) for n in reversed(tensor.shape)])
                for name, tensor in self.tensors.items()}


def entry(field):
    """[type, value], of an array [type, length, SHA-256 of its elements as they lie in the file]."""
    types = [t.name for t in field.types]
    if types[0] != "ARRAY":
        return [types[0], field.contents()]
    elements = b"".join(part.tobytes() for part in field.parts[5:])
    return [f"ARRAY {types[-1]}", int(field.parts[4][0]), hashlib.sha256(elements).hexdigest()]


def layers(text):
    """0-2,5 -> 0, 1, 2, 5."""
    for run in text.split(","):
        first, _, last = run.partition("-")
        yield from range(int(first), int(last or first) + 1)


def spread(classes, layout):
    """{class: fact, or {fact: layers}} -> {tensor: fact}."""
    facts = {}
    for name, fact in classes.items():
        if "layers" not in layout[name]:
            facts[name] = fact
            continue
        for value, where in (fact if isinstance(fact, dict) else {fact: layout[name]["layers"]}).items():
            facts |= {name.replace("*", str(layer)): value for layer in layers(where)}
    return facts


def shapes(layout):
    """{tensor: sizes, innermost first}."""
    names = spread(dict(zip(layout, layout)), layout)
    return {name: layout[of]["ne"] for name, of in names.items()}


def chosen_types(family, mix, weighted=False):
    """What llama-quantize chooses, {tensor: type}."""
    model = golden("gguf_types.json")["models"]["tiny " + family]
    mix = model["mixes"][mix]
    mix = mix.get("imatrix", mix) if weighted else mix
    classes = dict.fromkeys(model["tensors"], mix["base"]) | dict.fromkeys(model["f32"], "F32")
    return spread(classes | mix["others"], model["tensors"])


def exact(source):
    """{GGUF's name: F32 values} of a checkpoint, computed with PyTorch from the Hugging Face tensors."""
    config = json.loads((source / "config.json").read_text())
    tensors = load(source)
    block = block_size(source) if "quantization_config" in config else None

    def values(name):
        tensor = tensors[name]
        if tensor.dtype in FP8:
            return dequantize(tensor, tensors[name + "_scale_inv"], block)
        return tensor.to(torch.float32)

    out = {"token_embd.weight": values("model.embed_tokens.weight"),
           "output_norm.weight": values("model.norm.weight"), "output.weight": values("lm_head.weight")}
    for layer in range(config["num_hidden_layers"]):
        for name, tensor in layer_values(config, layer, values).items():
            out[f"blk.{layer}.{name}"] = tensor
    return out


NAMES = {"self_attn.q_proj": "attn_q", "self_attn.q_a_proj": "attn_q_a", "self_attn.q_b_proj": "attn_q_b",
         "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
         "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.o_proj": "attn_output",
         "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}


def layer_values(config, layer, values):
    at = f"model.layers.{layer}."
    query = (["self_attn.q_proj"] if config["q_lora_rank"] is None else
             ["self_attn.q_a_proj", "self_attn.q_a_layernorm", "self_attn.q_b_proj"])
    skipped = {"self_attn.q_proj", "self_attn.q_a_proj", "self_attn.q_a_layernorm", "self_attn.q_b_proj"}
    out = {NAMES[name] + ".weight": values(f"{at}{name}.weight")
           for name in NAMES if name in query or name not in skipped}
    nope, v = config["qk_nope_head_dim"], config["v_head_dim"]
    heads = values(at + "self_attn.kv_b_proj.weight").unflatten(0, (-1, nope + v))
    out["attn_k_b.weight"] = heads[:, :nope].transpose(1, 2)
    out["attn_v_b.weight"] = heads[:, nope:]
    for part in ("gate", "up", "down"):
        if layer < config["first_k_dense_replace"]:
            out[f"ffn_{part}.weight"] = values(f"{at}mlp.{part}_proj.weight")
            continue
        out[f"ffn_{part}_shexp.weight"] = values(f"{at}mlp.shared_experts.{part}_proj.weight")
        out[f"ffn_{part}_exps.weight"] = torch.stack(
            [values(f"{at}mlp.experts.{expert}.{part}_proj.weight")
             for expert in range(config["n_routed_experts"])])
    if layer >= config["first_k_dense_replace"]:
        out["ffn_gate_inp.weight"] = values(at + "mlp.gate.weight")
        if config["topk_method"] == "noaux_tc":
            out["exp_probs_b.bias"] = values(at + "mlp.gate.e_score_correction_bias")
    return out
