"""lite_checkpoint.py SOURCE OUT: a tiny checkpoint without q_lora_rank, with as many layers as llama.cpp
knows such models by: its first layer, which is dense, many times, and then its others in turn."""
import json
import pathlib
import sys

import tensor_file

LAYERS = {"num_hidden_layers": 27, "first_k_dense_replace": 20}


def origin(layer, config):
    """The layer of the tiny model that this one is a copy of."""
    dense = LAYERS["first_k_dense_replace"]
    return 0 if layer < dense else 1 + (layer - dense) % (config["num_hidden_layers"] - 1)


def stretch(source, out):
    source, out = pathlib.Path(source), pathlib.Path(out)
    config = json.loads((source / "config.json").read_text())
    assert config["q_lora_rank"] is None and config["first_k_dense_replace"] == 1
    assert not config.get("num_nextn_predict_layers")
    tensors = {}
    for name, tensor in tensor_file.read_folder(source).items():
        head, dot, tail = name.removeprefix("model.layers.").partition(".")
        if not head.isdecimal():
            tensors[name] = tensor
            continue
        for layer in range(LAYERS["num_hidden_layers"]):
            if origin(layer, config) == int(head):
                tensors[f"model.layers.{layer}.{tail}"] = tensor
    out.mkdir(parents=True)
    for side in source.iterdir():
        if "safetensors" not in side.name:
            (out / side.name).write_bytes(side.read_bytes())
    (out / "config.json").write_text(json.dumps(config | LAYERS, indent=2))
    tensor_file.write_file(out / "model.safetensors", tensors)
    (out / "model.safetensors.index.json").write_text(json.dumps({
        "metadata": {"total_size": sum(len(data) for _, _, data in tensors.values())},
        "weight_map": dict.fromkeys(tensors, "model.safetensors")}))


if __name__ == "__main__":
    stretch(*sys.argv[1:])
