#!/usr/bin/env python3
"""A checkpoint cut for model-parallel ranks with PyTorch, as DeepSeek's convert.py cuts it: every rank
in memory, then one file after the other. tests/interop/test_reshard_torch.py holds it to the digests
of convert.py's own output.

    reshard_torch.py IN OUT --mp N

Layers from num_hidden_layers on (the MTP module) and rotary_emb's tables are left out."""
import argparse
import json
import pathlib

from safetensors import safe_open
from safetensors.torch import save_file

ROWS, COLUMNS = 0, 1
# By a parameter's last component but one: its name in the demo, and what ranks cut of it.
MODULES = {
    "embed_tokens": ("embed", ROWS), "lm_head": ("head", ROWS), "norm": ("norm", None),
    "input_layernorm": ("attn_norm", None), "post_attention_layernorm": ("ffn_norm", None),
    "q_proj": ("wq", ROWS), "q_a_proj": ("wq_a", None), "q_a_layernorm": ("q_norm", None),
    "q_b_proj": ("wq_b", ROWS), "kv_a_proj_with_mqa": ("wkv_a", None),
    "kv_a_layernorm": ("kv_norm", None), "kv_b_proj": ("wkv_b", ROWS), "o_proj": ("wo", COLUMNS),
    "gate": ("gate", None), "gate_proj": ("w1", ROWS), "down_proj": ("w2", COLUMNS),
    "up_proj": ("w3", ROWS),
}
INDEXER = ("wq_b", "wk", "k_norm", "weights_proj")
BLOCKS = {"self_attn": "attn", "mlp": "ffn"}
PARAMETERS = {"weight_scale_inv": "scale", "e_score_correction_bias": "bias"}


def demo_name(name):
    """The name under which the demo looks for a tensor, and the dimension that ranks share out."""
    *path, module, parameter = name.removeprefix("model.").split(".")
    if "indexer" in path:
        assert module in INDEXER, name
        ours, cut = module, None
    else:
        ours, cut = MODULES[module]
    path = [BLOCKS.get(part, part) for part in path]
    return ".".join([*path, ours, PARAMETERS.get(parameter, parameter)]), cut


def expert(name):
    """The number of the routed expert that a tensor belongs to."""
    parts = name.split(".")
    return int(parts[parts.index("experts") + 1]) if "experts" in parts else None


def left_out(name, layers):
    parts = name.split(".")
    return "rotary_emb" in parts or (parts[1] == "layers" and int(parts[2]) >= layers)


def slices(name, tensor, ranks, experts):
    """(rank, demo's name, tensor) for every rank that holds some of it."""
    ours, cut = demo_name(name)
    number = expert(name)
    if number is not None:
        yield number // (experts // ranks), ours, tensor
        return
    for rank in range(ranks):
        if cut is None:
            yield rank, ours, tensor
            continue
        size, rest = divmod(tensor.shape[cut], ranks)
        assert rest == 0, f"{name}: {list(tensor.shape)} does not divide by {ranks}"
        yield rank, ours, tensor.narrow(cut, rank * size, size).contiguous()


def reshard(source, out, ranks):
    config = json.loads((source / "config.json").read_text())
    experts = config["n_routed_experts"]
    assert experts % ranks == 0, f"{experts} experts do not divide by {ranks}"
    held = [{} for _ in range(ranks)]
    for path in sorted(source.glob("*.safetensors")):
        with safe_open(path, framework="pt") as shard:
            for name in shard.keys():
                if left_out(name, config["num_hidden_layers"]):
                    continue
                for rank, ours, part in slices(name, shard.get_tensor(name), ranks, experts):
                    held[rank][ours] = part
    out.mkdir(parents=True, exist_ok=True)
    for rank, tensors in enumerate(held):
        save_file(tensors, out / f"model{rank}-mp{ranks}.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--mp", type=int, required=True)
    arguments = parser.parse_args()
    reshard(arguments.source, arguments.out, arguments.mp)


if __name__ == "__main__":
    main()
