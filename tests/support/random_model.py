"""Checkpoints of invented architectures: any number of layers, experts and MTP layers, ragged blocks,
weights and scales scattered over shards. Made from a config.json that gives every other field."""
import random

import model_checkpoint


class Model(model_checkpoint.Model):
    def __init__(self, config, seed):
        rng = random.Random(seed)
        # Whether everything that ranks cut divides into two, blocks included.
        self.cuttable = rng.random() < 0.6
        even = (lambda low, high, unit: unit * rng.randint(low, high)) if self.cuttable else (
            lambda low, high, unit: rng.randint(unit * low, unit * high))
        fp8 = rng.random() < 0.7
        block = 128 if self.cuttable else 16  # the demo knows no other
        half, two = block // 2, 2 * block
        mtp = rng.choice([0, 1, 1, 2, 3])
        layers = rng.randint(1, 3)
        config = dict(config) | {
            "num_hidden_layers": layers, "num_nextn_predict_layers": mtp,
            "first_k_dense_replace": rng.randint(0, layers), "hidden_size": rng.randint(3, 50),
            "vocab_size": even(2, 9, 2), "num_attention_heads": 4,
            "q_lora_rank": rng.choice([None, rng.randint(3, 40)]),
            "kv_lora_rank": rng.randint(3, 40), "qk_nope_head_dim": even(1, 2, half),
            "qk_rope_head_dim": even(1, 2, half), "v_head_dim": even(1, 2, half),
            "intermediate_size": even(1, 2, two), "moe_intermediate_size": even(1, 1, two),
            "n_routed_experts": even(2, 4, 2), "n_shared_experts": rng.randint(0, 2),
            "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1}
        if fp8:
            config["quantization_config"] = config["quantization_config"] | {
                "weight_block_size": [block, block]}
        else:
            config.pop("quantization_config", None)
        super().__init__(config, rng)
