"""Checkpoints of any architecture, written apart from the program's own: every tensor that a
config.json implies, with random bytes."""
import json
import pathlib

import tensor_file


class Model:
    """The fields of config.json, and `tensors`: {name: (dtype, shape, bytes)}."""

    def __init__(self, config, rng):
        self.config, self.rng = config, rng
        self.tensors = {}
        self.mtp = config["num_nextn_predict_layers"]
        quantization = config.get("quantization_config")
        self.fp8 = quantization is not None
        self.block = quantization["weight_block_size"][0] if self.fp8 else None
        self.add_all()

    def bytes(self, count):
        return self.rng.randbytes(count)

    def plain(self, name, *shape, dtype="BF16", data=None):
        size = tensor_file.BITS[dtype] // 8
        for dimension in shape:
            size *= dimension
        self.tensors[name] = (dtype, list(shape), self.bytes(size) if data is None else data)

    def linear(self, name, rows, cols):
        if not self.fp8:
            return self.plain(name, rows, cols)
        self.plain(name, rows, cols, dtype="F8_E4M3")
        self.plain(name + "_scale_inv", -(-rows // self.block), -(-cols // self.block), dtype="F32")

    def mlp(self, prefix, width):
        hidden = self.config["hidden_size"]
        self.linear(prefix + "gate_proj.weight", width, hidden)
        self.linear(prefix + "up_proj.weight", width, hidden)
        self.linear(prefix + "down_proj.weight", hidden, width)

    def layer(self, number):
        c = self.config
        hidden, heads = c["hidden_size"], c["num_attention_heads"]
        query = heads * (c["qk_nope_head_dim"] + c["qk_rope_head_dim"])
        at = f"model.layers.{number}."
        if c["q_lora_rank"] is None:
            self.linear(at + "self_attn.q_proj.weight", query, hidden)
        else:
            self.linear(at + "self_attn.q_a_proj.weight", c["q_lora_rank"], hidden)
            self.plain(at + "self_attn.q_a_layernorm.weight", c["q_lora_rank"])
            self.linear(at + "self_attn.q_b_proj.weight", query, c["q_lora_rank"])
        self.linear(at + "self_attn.kv_a_proj_with_mqa.weight",
                    c["kv_lora_rank"] + c["qk_rope_head_dim"], hidden)
        self.plain(at + "self_attn.kv_a_layernorm.weight", c["kv_lora_rank"])
        self.linear(at + "self_attn.kv_b_proj.weight",
                    heads * (c["qk_nope_head_dim"] + c["v_head_dim"]), c["kv_lora_rank"])
        self.linear(at + "self_attn.o_proj.weight", hidden, heads * c["v_head_dim"])
        for norm in ("input_layernorm", "post_attention_layernorm"):
            self.plain(at + norm + ".weight", hidden)
        if number < c["first_k_dense_replace"]:
            return self.mlp(at + "mlp.", c["intermediate_size"])
        self.plain(at + "mlp.gate.weight", c["n_routed_experts"], hidden)
        self.plain(at + "mlp.gate.e_score_correction_bias", c["n_routed_experts"], dtype="F32")
        if c["n_shared_experts"]:
            self.mlp(at + "mlp.shared_experts.", c["n_shared_experts"] * c["moe_intermediate_size"])
        for expert in range(c["n_routed_experts"]):
            self.mlp(f"{at}mlp.experts.{expert}.", c["moe_intermediate_size"])

    def add_all(self):
        c = self.config
        hidden, vocab, layers = c["hidden_size"], c["vocab_size"], c["num_hidden_layers"]
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            self.plain(name, vocab, hidden)
        self.plain("model.norm.weight", hidden)
        self.duplicates = set()
        for number in range(layers + self.mtp):
            self.layer(number)
            if number < layers:
                continue
            at = f"model.layers.{number}."
            for norm in ("enorm", "hnorm", "shared_head.norm"):
                self.plain(at + norm + ".weight", hidden)
            self.plain(at + "eh_proj.weight", hidden, 2 * hidden)
            for copy, original in (("embed_tokens", "model.embed_tokens.weight"),
                                   ("shared_head.head", "lm_head.weight")):
                kind = self.rng.choice(["same", "other", "absent"])
                if kind != "absent":
                    data = self.tensors[original][2] if kind == "same" else None
                    self.plain(f"{at}{copy}.weight", vocab, hidden, data=data)
                if kind == "same":
                    self.duplicates.add(f"{at}{copy}.weight")

    def is_mtp(self, name):
        parts = name.split(".")
        return parts[1] == "layers" and int(parts[2]) >= self.config["num_hidden_layers"]

    def write(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir()
        count = self.rng.randint(1, 4)
        shards = [{} for _ in range(count)]
        for i, name in enumerate(self.rng.sample(sorted(self.tensors), len(self.tensors))):
            shards[i % count][name] = self.tensors[name]
        weight_map = {}
        for number, tensors in enumerate(shards, 1):
            file = f"model-{number:05}-of-{count:05}.safetensors"
            tensor_file.write_file(folder / file, tensors)
            weight_map |= dict.fromkeys(tensors, file)
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
        (folder / "config.json").write_text(json.dumps(self.config))
