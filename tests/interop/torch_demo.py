"""DeepSeek-V3's demo (`inference/model.py`, `kernel.py`) said again in PyTorch, for a CPU: FP8 activations by token and
128 columns, F32 sums of each 128, BF16 between. Written without sight of the C++.

Where 128 does not divide a width, which stops the demo, the last group is short. Models with an indexer run without it:
only as many tokens as it would all choose.
"""
import numpy as np
import torch
from numpy_deepseek import largest, read_config, rope_table, rotate, softmax_scale
from torch_numbers import FP8, dequantize, load

GROUP = 128


def act_quant(x, scale_fmt=None):
    """Codes as F32 values, and a scale for each group of each row."""
    columns = x.shape[-1]
    padded = torch.nn.functional.pad(x.float(), (0, -columns % GROUP))
    groups = padded.unflatten(-1, (-1, GROUP))
    amax = groups.abs().amax(-1).clamp(min=1e-4)
    scale = amax / 448
    if scale_fmt == "ue8m0":
        mantissa, exponent = torch.frexp(scale)  # scale = mantissa * 2^exponent, mantissa in [0.5, 1)
        scale = torch.ldexp(torch.ones_like(scale), exponent - (mantissa == 0.5).int())
    codes = (groups / scale.unsqueeze(-1)).clamp(-448, 448).to(torch.float8_e4m3fn)
    return codes.float().flatten(-2)[..., :columns], scale


def fp8_gemm(x, x_scale, weight, weight_scale):
    """Each 128 columns' dot products, scaled, added up in F32."""
    rows = torch.arange(weight.shape[0]) // GROUP
    total = torch.zeros(*x.shape[:-1], weight.shape[0])
    for block in range(weight_scale.shape[1]):
        part = slice(block * GROUP, (block + 1) * GROUP)
        dot = x[..., part] @ weight[:, part].float().T
        total += dot * x_scale[..., block, None] * weight_scale[rows, block]
    return total


def r(x):
    """What a BF16 tensor keeps of an F32 result."""
    return x.to(torch.bfloat16).float()


class Demo:
    """`absorbed`, the demo's default: kv_b is decoded, its input not quantized. Else keys and values are made by it."""

    def __init__(self, folder, absorbed=True):
        self.config = read_config(folder)
        self.tensors = load(folder)
        quantization = self.config.get("quantization_config", {})
        self.block = quantization.get("weight_block_size")
        self.scale_fmt = quantization.get("scale_fmt")
        self.absorbed = absorbed

    def plain(self, name):
        """A weight as the demo multiplies by it when no activation is quantized."""
        tensor = self.tensors[name]
        if tensor.dtype in FP8:
            return r(dequantize(tensor, self.tensors[name + "_scale_inv"], self.block))
        return tensor.float()

    def linear(self, x, name):
        name += ".weight"
        weight = self.tensors[name]
        if weight.dtype not in FP8:
            return r(x @ weight.float().T)
        codes, scale = act_quant(x, self.scale_fmt)
        return r(fp8_gemm(codes, scale, weight, self.tensors[name + "_scale_inv"].float()))

    def norm(self, x, name, eps=1e-6):
        weight = self.tensors[name + ".weight"].float()
        return r(x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight)

    def turn(self, x, interleaved=True):
        table = rope_table(self.config, len(x))
        return r(torch.from_numpy(rotate(x.double().numpy(), table, interleaved)).float())

    def attention(self, x, name):
        c = self.config
        heads, nope, rope = c["num_attention_heads"], c["qk_nope_head_dim"], c["qk_rope_head_dim"]
        rank, width, count = c["kv_lora_rank"], c["v_head_dim"], len(x)
        compressed = self.norm(self.linear(x, name + ".q_a_proj"), name + ".q_a_layernorm")
        q = self.linear(compressed, name + ".q_b_proj").reshape(count, heads, nope + rope)
        q_nope, q_rope = q[..., :nope], self.turn(q[..., nope:])
        latent = self.linear(x, name + ".kv_a_proj_with_mqa")
        k_rope = self.turn(latent[:, rank:])
        latent = self.norm(latent[:, :rank].contiguous(), name + ".kv_a_layernorm")
        attend = self.by_latent if self.absorbed else self.by_heads
        scores, values = attend(q_nope, q_rope, latent, k_rope, name + ".kv_b_proj")
        assert count <= c.get("index_topk", count)
        causal = torch.ones(count, count, dtype=torch.bool).tril()
        scores = r(scores * softmax_scale(c)).masked_fill(~causal, float("-inf"))
        mixed = values(r(torch.softmax(scores, -1)))
        return self.linear(mixed.reshape(count, heads * width), name + ".o_proj")

    def by_latent(self, q_nope, q_rope, latent, k_rope, kv_b):
        heads, nope = q_nope.shape[1:]
        kv_b = self.plain(kv_b + ".weight").unflatten(0, (heads, -1))
        q = r(torch.einsum("shn,hnc->shc", q_nope, kv_b[:, :nope]))
        scores = (r(torch.einsum("shc,tc->hst", q, latent)) +
                  r(torch.einsum("shr,tr->hst", q_rope, k_rope)))

        def values(p):
            context = r(torch.einsum("hst,tc->shc", p, latent))
            return r(torch.einsum("shc,hvc->shv", context, kv_b[:, nope:]))

        return r(scores), values

    def by_heads(self, q_nope, q_rope, latent, k_rope, kv_b):
        heads, nope = q_nope.shape[1:]
        kv = self.linear(latent, kv_b).unflatten(-1, (heads, -1))
        k = torch.cat([kv[..., :nope], k_rope[:, None].expand(-1, heads, -1)], -1)
        scores = r(torch.einsum("shd,thd->hst", torch.cat([q_nope, q_rope], -1), k))
        return scores, lambda p: r(torch.einsum("hst,thv->shv", p, kv[..., nope:]))

    def mlp(self, x, name):
        gate, up = self.linear(x, name + ".gate_proj"), self.linear(x, name + ".up_proj")
        return self.linear(r(r(torch.nn.functional.silu(gate)) * up), name + ".down_proj")

    def route(self, x, name):
        c = self.config
        weight = self.tensors[name + ".gate.weight"].float()
        scores = r(torch.sigmoid(r(x @ weight.T)))
        corrected = scores + self.tensors[name + ".gate.e_score_correction_bias"]
        if c["n_group"] > 1:
            groups = corrected.unflatten(-1, (c["n_group"], -1))
            kept = groups.topk(2, -1).values.sum(-1).topk(c["topk_group"], -1).indices
            mask = torch.ones(groups.shape[:2], dtype=torch.bool).scatter_(1, kept, False)
            corrected = groups.masked_fill(mask[..., None], float("-inf")).flatten(1)
        experts = torch.from_numpy(largest(corrected.numpy(), c["num_experts_per_tok"]))
        weights = scores.gather(1, experts)
        weights = r(r(weights / r(weights.sum(-1, keepdim=True))) * c["routed_scaling_factor"])
        return experts, weights

    def moe(self, x, name):
        experts, weights = self.route(x, name)
        y = torch.zeros_like(x)
        for expert in experts.unique().tolist():
            token, place = torch.where(experts == expert)
            out = self.mlp(x[token], f"{name}.experts.{expert}")
            y[token] = r(y[token] + r(out * weights[token, place, None]))
        return r(y + self.mlp(x, name + ".shared_experts"))

    def forward(self, ids):
        x = self.tensors["model.embed_tokens.weight"].float()[torch.tensor(ids)]
        for index in range(self.config["num_hidden_layers"]):
            name = f"model.layers.{index}"
            x = r(x + self.attention(self.norm(x, name + ".input_layernorm"), name + ".self_attn"))
            inner = self.norm(x, name + ".post_attention_layernorm")
            dense = index < self.config["first_k_dense_replace"]
            x = r(x + (self.mlp(inner, name + ".mlp") if dense else self.moe(inner, name + ".mlp")))
        logits = self.norm(x, "model.norm") @ self.tensors["lm_head.weight"].float().T
        return r(logits).numpy().astype(np.float64)
