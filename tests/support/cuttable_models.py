#!/usr/bin/env python3
"""Checkpoints for degrees that the presets of synth do not reach.

    cuttable_models.py {true-widths|many-heads} OUT    writes the checkpoint, the same bytes every time"""
import random
import sys

import model_checkpoint

V3 = {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
      "attention_bias": False, "first_k_dense_replace": 1, "hidden_act": "silu", "moe_layer_freq": 1,
      "n_group": 1, "norm_topk_prob": True, "num_attention_heads": 128, "num_experts_per_tok": 2,
      "num_hidden_layers": 2, "num_key_value_heads": 128, "num_nextn_predict_layers": 0,
      "rms_norm_eps": 1e-6, "rope_scaling": None, "rope_theta": 10000, "routed_scaling_factor": 2.5,
      "scoring_func": "sigmoid", "tie_word_embeddings": False, "topk_group": 1,
      "topk_method": "noaux_tc", "torch_dtype": "bfloat16", "max_position_embeddings": 4096}

# Every matrix that ranks cut is as large as DeepSeek-V3's, but for the vocabulary: the shared expert's
# 2048 columns come from 16 experts of 128, so that routed experts, which are not cut, stay small.
TRUE_WIDTHS = V3 | {
    "hidden_size": 7168, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 18432,
    "moe_intermediate_size": 128, "n_shared_experts": 16, "n_routed_experts": 16, "vocab_size": 256,
    "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
                            "weight_block_size": [128, 128]}}

# BF16, and everything divides into 128.
MANY_HEADS = V3 | {
    "hidden_size": 512, "q_lora_rank": 96, "kv_lora_rank": 64, "qk_nope_head_dim": 4,
    "qk_rope_head_dim": 2, "v_head_dim": 4, "intermediate_size": 384, "moe_intermediate_size": 128,
    "n_shared_experts": 1, "n_routed_experts": 128, "vocab_size": 256, "num_nextn_predict_layers": 1}


def main():
    name, out = sys.argv[1:]
    config = {"true-widths": TRUE_WIDTHS, "many-heads": MANY_HEADS}[name]
    model_checkpoint.Model(config, random.Random(name)).write(out)


if __name__ == "__main__":
    main()
