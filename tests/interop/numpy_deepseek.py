"""DeepSeek's published formulas, in NumPy and in double precision: what `tessera forward` is compared with.

Sources: the technical reports of V2 and V3, `inference/model.py` of DeepSeek-V3 and of V3.2-Exp, transformers'
layers for what configs say beyond that. Written without sight of the C++; short rather than fast.
"""
import json
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch_numbers import FP8, dequantize, load

INNER_EPS = 1e-6  # of the norms inside attention, whatever config.json says


def read_config(folder):
    config = json.loads((folder / "config.json").read_text())
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    rope.setdefault("rope_theta", config.get("rope_theta", 10000.0))
    rope["type"] = rope.get("rope_type") or rope.get("type") or "default"
    return {**config, "rope": rope}


def read_weights(folder, config):
    """Every logical tensor in double precision; FP8 is its code times its scale, rounded to F32."""
    stored = load(folder)
    block = config.get("quantization_config", {}).get("weight_block_size")
    weights = {}
    for name, tensor in stored.items():
        if name.endswith("_scale_inv"):
            continue
        if tensor.dtype in FP8:
            tensor = dequantize(tensor, stored[name + "_scale_inv"], block)
        weights[name] = tensor.to(torch.float64).numpy()
    return weights


def mscale(factor, weight):
    return 1.0 if factor <= 1 else 0.1 * weight * math.log(factor) + 1.0


def softmax_scale(config):
    rope = config["rope"]
    scale = (config["qk_nope_head_dim"] + config["qk_rope_head_dim"]) ** -0.5
    if rope["type"] == "yarn" and rope.get("mscale_all_dim"):
        scale *= mscale(rope["factor"], rope["mscale_all_dim"]) ** 2
    return scale


def rope_frequencies(config):
    """In F32, as every published program forms them: at position 90 double would differ by 1e-5."""
    rope, dim = config["rope"], config["qk_rope_head_dim"]
    theta = rope["rope_theta"]
    frequency = 1 / np.float32(theta) ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))
    if rope["type"] != "yarn":
        return frequency

    def turns_at(rotations):  # the dimension that turns so often within the original context
        length = rope["original_max_position_embeddings"]
        return dim * math.log(length / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low = max(math.floor(turns_at(rope.get("beta_fast", 32))), 0)
    high = min(math.ceil(turns_at(rope.get("beta_slow", 1))), dim - 1)
    if low == high:
        high += 0.001
    ramp = (np.arange(dim // 2, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    kept = 1 - np.clip(ramp, 0, 1)
    return frequency / np.float32(rope["factor"]) * (1 - kept) + frequency * kept


def rope_table(config, count):
    """exp(i * position * frequency), with YaRN's ratio of scales on it; the angle in F32 like its frequency."""
    rope, ratio = config["rope"], 1.0
    if rope["type"] == "yarn":
        m, all_dim = rope.get("mscale"), rope.get("mscale_all_dim")
        ratio = (mscale(rope["factor"], m) / mscale(rope["factor"], all_dim) if m and all_dim
                 else mscale(rope["factor"], 1))
    angles = np.outer(np.arange(count, dtype=np.float32), rope_frequencies(config))
    return ratio * np.exp(1j * angles.astype(np.float64))


def rotate(x, table, interleaved):
    """x: [tokens, ..., rope]; a complex number is two neighbours, or one of either half."""
    half = x.shape[-1] // 2
    real, imaginary = (x[..., 0::2], x[..., 1::2]) if interleaved else (x[..., :half], x[..., half:])
    turned = (real + 1j * imaginary) * table.reshape(len(table), *[1] * (x.ndim - 2), half)
    out = np.empty_like(x)
    if interleaved:
        out[..., 0::2], out[..., 1::2] = turned.real, turned.imag
    else:
        out[..., :half], out[..., half:] = turned.real, turned.imag
    return out


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(-1, keepdims=True) + eps) * weight + bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def hadamard(size):
    """Sylvester's matrix, scaled to be orthogonal."""
    matrix = np.ones((1, 1))
    while len(matrix) < size:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix * size ** -0.5


def largest(values, count):
    """Indices of the `count` largest of each row; of equal ones the first."""
    return np.argsort(-values, axis=-1, kind="stable")[..., :count]


@dataclass
class Run:
    logits: np.ndarray
    hidden: np.ndarray = None  # after the final norm
    drafts: np.ndarray = None  # the MTP module's logits: row i is about token i + 2
    routing: dict = field(default_factory=dict)  # layer: expert indices [tokens, top-k], sorted
    attended: dict = field(default_factory=dict)  # layer: how many keys each token attends to


class Model:
    def __init__(self, folder, absorbed=False, hadamard_transform=True):
        self.config = read_config(folder)
        self.weights = read_weights(folder, self.config)
        self.absorbed = absorbed
        self.hadamard_transform = hadamard_transform
        self.types = self.config.get("indexer_types")

    def linear(self, x, name):
        y = x @ self.weights[name + ".weight"].T
        bias = self.weights.get(name + ".bias")
        return y if bias is None else y + bias

    def norm(self, x, name, eps=None):
        return rms_norm(x, self.weights[name + ".weight"],
                        self.config["rms_norm_eps"] if eps is None else eps)

    # Attention

    def queries(self, x, name):
        """Per head, and the compressed query that the indexer shares."""
        if not self.config.get("q_lora_rank"):
            return self.linear(x, name + ".q_proj"), None
        compressed = self.norm(self.linear(x, name + ".q_a_proj"), name + ".q_a_layernorm", INNER_EPS)
        return self.linear(compressed, name + ".q_b_proj"), compressed

    def attention(self, x, name, table, run):
        c = self.config
        heads, nope, rope = c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"]
        rank, width, count = c["kv_lora_rank"], c["v_head_dim"], len(x)
        interleaved = c.get("rope_interleave", True)
        q, compressed_q = self.queries(x, name)
        q = q.reshape(count, heads, nope + rope)
        q_nope, q_rope = q[..., :nope], rotate(q[..., nope:], table, interleaved)
        latent = self.linear(x, name + ".kv_a_proj_with_mqa")
        k_rope = rotate(latent[:, rank:], table, interleaved)  # one for all heads, not normed
        latent = self.norm(latent[:, :rank], name + ".kv_a_layernorm", INNER_EPS)
        kv_b = self.weights[name + ".kv_b_proj.weight"].reshape(heads, nope + width, rank)
        k_up, v_up = kv_b[:, :nope], kv_b[:, nope:]

        scores = np.einsum("shr,tr->hst", q_rope, k_rope, optimize=True)
        if self.absorbed:
            scores += np.einsum("shn,hnc,tc->hst", q_nope, k_up, latent, optimize=True)
        else:
            scores += np.einsum("shn,thn->hst", q_nope, np.einsum("tc,hnc->thn", latent, k_up, optimize=True))
        allowed = self.allowed(x, compressed_q, name, table)
        run.attended[name] = allowed.sum(-1)
        scores = np.where(allowed, scores * softmax_scale(c), -np.inf)
        p = softmax(scores)
        if self.absorbed:
            mixed = np.einsum("hst,tc,hvc->shv", p, latent, v_up, optimize=True)
        else:
            mixed = np.einsum("hst,thv->shv", p, np.einsum("tc,hvc->thv", latent, v_up, optimize=True))
        return self.linear(mixed.reshape(count, heads * width), name + ".o_proj")

    def allowed(self, x, compressed_q, name, table):
        """Which keys [t] each query [s] sees: those before it, or the indexer's choice of them."""
        causal = np.tri(len(x), dtype=bool)
        if not self.config.get("index_topk"):
            return causal
        if name + ".indexer.wk.weight" not in self.weights:  # shares the choice of the layer before
            assert self.types and "shared" in self.types
            return self.chosen
        scores = np.where(causal, self.index_scores(x, compressed_q, name + ".indexer", table), -np.inf)
        count = min(self.config["index_topk"], len(x))
        self.chosen = np.zeros_like(causal)
        np.put_along_axis(self.chosen, largest(scores, count), True, axis=-1)
        self.chosen &= causal
        return self.chosen

    def index_scores(self, x, compressed_q, name, table):
        c = self.config
        heads, dim, rope = c["index_n_heads"], c["index_head_dim"], c["qk_rope_head_dim"]
        # V3.2 rotates halves, as its corrected demo does; GLM-5 neighbours.
        interleaved = c.get("indexer_rope_interleave", c["model_type"] == "glm_moe_dsa")
        q = self.linear(compressed_q, name + ".wq_b").reshape(len(x), heads, dim)
        k = layer_norm(self.linear(x, name + ".wk"), self.weights[name + ".k_norm.weight"],
                       self.weights[name + ".k_norm.bias"], 1e-6)
        # The part that turns comes first here, unlike in the attention itself.
        q = np.concatenate([rotate(q[..., :rope], table, interleaved), q[..., rope:]], -1)
        k = np.concatenate([rotate(k[..., :rope], table, interleaved), k[..., rope:]], -1)
        if self.hadamard_transform:
            q, k = q @ hadamard(dim), k @ hadamard(dim)
        weights = self.linear(x, name + ".weights_proj") * heads ** -0.5 * dim ** -0.5
        products = np.maximum(np.einsum("shd,td->sht", q, k, optimize=True), 0)
        return np.einsum("sht,sh->st", products, weights, optimize=True)

    # Feed-forward

    def mlp(self, x, name):
        return self.linear(silu(self.linear(x, name + ".gate_proj")) * self.linear(x, name + ".up_proj"),
                           name + ".down_proj")

    def route(self, x, name):
        c = self.config
        logits = x @ self.weights[name + ".gate.weight"].T
        scores = softmax(logits) if c["scoring_func"] == "softmax" else sigmoid(logits)
        corrected = scores
        method = c.get("topk_method", "noaux_tc")
        if method == "noaux_tc":  # for the choice only
            corrected = scores + self.weights[name + ".gate.e_score_correction_bias"]
        if method != "greedy" and c["n_group"] > 1:
            groups = corrected.reshape(len(x), c["n_group"], -1)
            best = (np.sort(groups, -1)[..., -2:].sum(-1) if method == "noaux_tc" else groups.max(-1))
            kept = np.zeros(best.shape, bool)
            np.put_along_axis(kept, largest(best, c["topk_group"]), True, axis=-1)
            corrected = np.where(kept[..., None], groups, -np.inf).reshape(corrected.shape)
        experts = largest(corrected, c["num_experts_per_tok"])
        weights = np.take_along_axis(scores, experts, -1)
        if c["norm_topk_prob"]:
            weights = weights / weights.sum(-1, keepdims=True)
        return experts, weights * c["routed_scaling_factor"]

    def moe(self, x, name, run):
        experts, weights = self.route(x, name)
        run.routing[name] = np.sort(experts, -1)
        y = self.mlp(x, name + ".shared_experts")
        for expert in np.unique(experts):
            token, place = np.nonzero(experts == expert)
            y[token] += self.mlp(x[token], f"{name}.experts.{expert}") * weights[token, place, None]
        return y

    # The whole

    def layer(self, x, index, table, run):
        name = f"model.layers.{index}"
        x = x + self.attention(self.norm(x, name + ".input_layernorm"), name + ".self_attn", table, run)
        inner = self.norm(x, name + ".post_attention_layernorm")
        if name + ".mlp.gate.weight" in self.weights:
            return x + self.moe(inner, name + ".mlp", run)
        assert index < self.config["first_k_dense_replace"]
        return x + self.mlp(inner, name + ".mlp")

    def forward(self, ids):
        ids, weights = np.asarray(ids), self.weights
        table = rope_table(self.config, len(ids))
        embedding = weights["model.embed_tokens.weight"]
        head = embedding if self.config.get("tie_word_embeddings") else weights["lm_head.weight"]
        run = Run(logits=None)
        x = embedding[ids]
        for index in range(self.config["num_hidden_layers"]):
            x = self.layer(x, index, table, run)
        run.hidden = self.norm(x, "model.norm")
        run.logits = run.hidden @ head.T
        if self.config.get("num_nextn_predict_layers") and len(ids) > 1:
            run.drafts = self.draft(ids, run, embedding, head)
        return run

    def draft(self, ids, run, embedding, head):
        """The MTP module: embedding first, then the hidden state after the final norm."""
        index = self.config["num_hidden_layers"]
        name = f"model.layers.{index}"
        embedding = self.weights.get(name + ".embed_tokens.weight", embedding)
        head = self.weights.get(name + ".shared_head.head.weight", head)
        both = np.concatenate([self.norm(embedding[ids[1:]], name + ".enorm"),
                               self.norm(run.hidden[:-1], name + ".hnorm")], -1)
        x = self.linear(both, name + ".eh_proj")
        x = self.layer(x, index, rope_table(self.config, len(x)), run)
        return self.norm(x, name + ".shared_head.norm") @ head.T
