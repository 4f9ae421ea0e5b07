"""A DeepSeek-V2 with compressed queries and groups, which synth does not make, out of a V3: no bias, no MTP module,
softmax scores, groups chosen by their best expert.

    python3 v2_model.py V3 OUT      V3 in BF16
"""
import json
import pathlib
import sys

import tensor_file


def make(source, out, **changes):
    source, out = pathlib.Path(source), pathlib.Path(out)
    config = json.loads((source / "config.json").read_text())
    mtp = f"model.layers.{config['num_hidden_layers']}."
    del config["num_nextn_predict_layers"]
    config.update(architectures=["DeepseekV2ForCausalLM"], model_type="deepseek_v2", scoring_func="softmax",
                  topk_method="group_limited_greedy", norm_topk_prob=False, routed_scaling_factor=16.0)
    config["rope_scaling"].update(mscale=0.707, mscale_all_dim=0.707)
    config.update(changes)
    tensors = {name: tensor for name, tensor in tensor_file.read_folder(source).items()
               if not name.startswith(mtp) and not name.endswith("e_score_correction_bias")}
    out.mkdir()
    (out / "config.json").write_text(json.dumps(config))
    tensor_file.write_file(out / "model.safetensors", tensors)
    (out / "model.safetensors.index.json").write_text(json.dumps(
        {"metadata": {}, "weight_map": dict.fromkeys(tensors, "model.safetensors")}))
    return out


if __name__ == "__main__":
    make(*sys.argv[1:])
