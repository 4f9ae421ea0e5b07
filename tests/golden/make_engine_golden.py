#!/usr/bin/env python3
"""Asks vLLM's, SGLang's and LMDeploy's own functions which modules a list makes unquantized, and
compressed-tensors whether it accepts the configs that we write.

    pip download --no-deps vllm==0.33.0 sglang==0.5.23 lmdeploy==0.18.0 && unzip each into a folder of its own
    venv/bin/pip install compressed-tensors
    venv/bin/python tests/golden/make_engine_golden.py VLLM SGLANG LMDEPLOY

The functions are taken out of the source files, so that nothing of the engines has to be installed.
Writes tests/golden/engines/{names,patterns,configs}.json. Deterministic: a second run changes nothing.
"""

import ast
import json
import pathlib
import re
import sys
import types

OUT = pathlib.Path(__file__).parent / "engines"

# 12 layers, 1 dense, 2 experts, one MTP layer: layer 1 begins layers 10 and 11.
LAYERS, DENSE, EXPERTS = 12, 1, 2
MODEL = {"model_type": "deepseek_v3", "hidden_size": 256, "num_hidden_layers": LAYERS, "num_nextn_predict_layers": 1,
         "first_k_dense_replace": DENSE, "moe_layer_freq": 1, "intermediate_size": 512, "moe_intermediate_size": 256,
         "n_routed_experts": EXPERTS, "n_shared_experts": 1, "num_experts_per_tok": 1, "num_attention_heads": 4,
         "q_lora_rank": 128, "kv_lora_rank": 128, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
         "vocab_size": 256, "topk_method": "noaux_tc"}

LISTS = [
    [],
    ["lm_head"],
    ["mlp.gate"],
    ["mlp.gate."],
    ["model.layers.1"],
    ["model.layers.1."],
    ["MLP.Gate"],
    ["kv_b_proj"],
    ["self_attn.kv_b_proj"],
    ["self_attn"],
    ["model.layers.0.mlp.gate_proj", "model.layers.0.mlp.up_proj"],
    ["model.layers.0.mlp.gate_proj"],
    ["model.layers.0.mlp.gate_up_proj"],
    ["model.layers.2.self_attn.q_a_proj"],
    ["model.layers.2.self_attn.q_a_proj", "model.layers.2.self_attn.kv_a_proj_with_mqa"],
    ["model.layers.2.self_attn.fused_qkv_a_proj_with_mqa", "model.layers.2.self_attn.fused_qkv_a_proj"],
    ["model.layers.2.mlp.experts"],
    ["model.layers.2.mlp.experts.0"],
    ["model.layers.2.mlp.experts.0.gate_proj", "model.layers.2.mlp.experts.0.up_proj",
     "model.layers.2.mlp.experts.0.down_proj"],
    ["model.layers.2.mlp.experts.0.gate_proj"],
    ["model.layers.12."],
    ["model.decoder."],
    ["model.decoder"],
    ["re:.*self_attn.*", "re:.*shared_experts.*", r"re:.*mlp\.(gate|up|gate_up|down)_proj.*"],
    [r"re:.*mlp\.gate$"],
    [r"re:.*mlp\.gate"],
    [r"re:model\.layers\.12\..*"],
    [r"re:model\.decoder\..*"],
    [r"re:.*\.self_attn\.(q_a_proj|kv_a_proj_with_mqa)$"],
    [r"re:.*\.self_attn\.(q_a_proj|kv_a_proj_with_mqa|fused_qkv_a_proj|fused_qkv_a_proj_with_mqa)$"],
    [r"re:.*\.mlp\.(?!experts).*"],
    [r"re:.*\.mlp\.experts(\.|$)"],
    ["shared_experts", "model.layers.0."],
]
DYNAMIC = [
    [],
    [r"-:.*mlp\.gate$", r"-:.*self_attn.*"],
    [r"-:model\.layers\.12\..*"],
    [r"+:.*self_attn\.o_proj", r"-:.*self_attn.*"],
    [r"-:.*\.(gate_up_proj|down_proj)$"],
    [r".*experts", r"-:.*"],
    [r"-:.*\.mlp\.experts(\.|$)"],
]
PATTERNS = [
    "", "a", "model", r"model\.", "model.layers", r".*\.mlp\.gate$", r".*mlp\.(gate|up)_proj", r"(?:a|b)*model", r"m?o?d?e?l",
    r"model\.layers\.(\d+)\.", r"model\.layers\.\d{2}\.", r"model\.layers\.\d{1,2}\.mlp", r"model\.layers\.\d{3,}", r"[a-l]", r"[^a-l]odel",
    r"[\w.]+$", r"[]a]", r"[a\]]", r"[-a]", r"[a-]", r"\w+\b", r"\w+\B", r"model\b", r"mode\b", r"^model", r"model$", r".*$", r".*?proj",
    r"(?!model)", r"(?=model)mod", r".*(?=experts)e", r"(?P<x>model)", r"(a+)+$", r"m{0}m", r"m{,2}o", r"{", r"m{a}", r"x|model|y", r"|x",
    r"\.", r"model\Z", r"\Amodel", r"\D+\d", r"\S+\s", r"(model|model\.layers)\.3", r"(m(o(d(e(l)))))", "modé",
]
BAD_PATTERNS = ["(", ")", "[", "*", "a**", "\\", "a{2,1}", "(?", "[b-a]", "(?P<x"]
NAMES = ["", "model", "model.layers.3.mlp.gate", "model.layers.3.mlp.gate_proj", "model.layers.31.mlp.experts.0.up_proj",
         "model.layers.10.self_attn.kv_b_proj", "lm_head", "]", "-", "m{a}", "{"]


def functions(path, names, **around):
    """The named functions and constants of a source file, and nothing else of it."""
    source = ast.parse(path.read_text())
    wanted = []
    for node in source.body:
        target = getattr(node, "name", None) or getattr(getattr(node, "target", None), "id", None)
        if target in names:
            wanted.append(node)
    assert len(wanted) == len(names), (path, [getattr(n, "name", n) for n in wanted])
    space = {"re": re, "MappingProxyType": types.MappingProxyType, **around}
    module = ast.Module([ast.parse("from __future__ import annotations").body[0], *wanted], [])
    exec(compile(module, str(path), "exec"), space)
    return types.SimpleNamespace(**{name: space[name] for name in names})


def upstream(vllm, sglang):
    q = vllm / "vllm/model_executor/layers/quantization"
    config = functions(q / "utils/config_utils.py", ["find_matching_patterns", "is_equal_or_regex_match"])
    v = types.SimpleNamespace(
        ct=functions(q / "compressed_tensors/utils.py", ["should_ignore_layer"],
                     find_matching_patterns=config.find_matching_patterns).should_ignore_layer,
        skipped=functions(q / "utils/quant_utils.py", ["is_layer_skipped"]).is_layer_skipped,
        dynamic=functions(q / "utils/gptq_utils.py", ["get_dynamic_override"]).get_dynamic_override)
    q = sglang / "sglang/srt/layers/quantization"
    utils = functions(q / "utils.py", ["_module_path_match", "_FALLBACK_FUSED_SHARDS", "is_layer_skipped", "get_dynamic_override"])
    s = types.SimpleNamespace(
        ct=functions(q / "compressed_tensors/utils.py",
                     ["should_ignore_layer", "check_equal_or_regex_match", "_is_equal_or_regex_match"]).should_ignore_layer,
        awq=functions(q / "awq/awq.py", ["is_layer_skipped_awq"]).is_layer_skipped_awq,
        skipped=utils.is_layer_skipped, dynamic=utils.get_dynamic_override)
    return v, s


def modules(fused_a, mtp):
    """The names that an engine asks for, and whether each is the experts of a layer."""
    for layer in range(LAYERS + 1):
        prefix = mtp if layer == LAYERS else f"model.layers.{layer}"
        for leaf in (fused_a, "q_b_proj", "kv_b_proj", "o_proj"):
            yield f"{prefix}.self_attn.{leaf}", False
        dense = f"{prefix}.mlp" if layer < DENSE else f"{prefix}.mlp.shared_experts"
        yield f"{dense}.gate_up_proj", False
        yield f"{dense}.down_proj", False
        if layer >= DENSE:
            yield f"{prefix}.mlp.experts", True


def answer(ask):
    try:
        return bool(ask())
    except ValueError:
        return "refused"


def agreed(ask, name):
    """All three projections of expert 0, as both engines ask compressed-tensors."""
    answers = {bool(ask(f"{name}.0.{leaf}")) for leaf in ("gate_proj", "up_proj", "down_proj")}
    if len(answers) > 1:
        raise ValueError("All MoE projections need to have same quantization scheme")
    return answers.pop()


def name_cases(v, s):
    vllm_a, sglang_a = "fused_qkv_a_proj", "fused_qkv_a_proj_with_mqa"
    shards = ["q_a_proj", "kv_a_proj_with_mqa"]
    v_map = {vllm_a: shards, "gate_up_proj": ["gate_proj", "up_proj"]}
    s_map = {sglang_a: shards}
    v_names, s_names = list(modules(vllm_a, f"model.layers.{LAYERS}")), list(modules(sglang_a, "model.decoder"))
    # SGLang's Fp8Config lists every entry with and without "model.".
    both = lambda entries: [p + e.removeprefix("model.") for e in entries for p in ("", "model.")]
    rules = {
        "ct-vllm": (v_names, LISTS, lambda n, experts, l: agreed(lambda x: v.ct(x, l, v_map), n) if experts else v.ct(n, l, v_map)),
        "ct-sglang": (s_names, LISTS, lambda n, experts, l: agreed(lambda x: s.ct(x, l, s_map), n) if experts else s.ct(n, l, s_map)),
        "int8-sglang": (s_names, LISTS, lambda n, experts, l: s.ct(n, l, s_map)),
        "awq-vllm": (v_names, LISTS, lambda n, experts, l: v.skipped(n, l, {} if experts else v_map, match_mode="substring")),
        "awq-sglang": (s_names, LISTS, lambda n, experts, l: s.awq(n, l)),
        "fp8-vllm": (v_names, LISTS, lambda n, experts, l: v.skipped(n, l, v_map)),
        "fp8-sglang": (s_names, LISTS, lambda n, experts, l: s.skipped(n, both(l), s_map)),
        "block-int8-sglang": (s_names, LISTS, lambda n, experts, l: False if experts else s.skipped(n, l)),
        "gptq-vllm": (v_names, DYNAMIC, lambda n, experts, l: v.dynamic(types.SimpleNamespace(dynamic={k: {} for k in l}), n) is False),
        "gptq-sglang": (s_names, DYNAMIC, lambda n, experts, l: False if experts
                        else s.dynamic(types.SimpleNamespace(dynamic={k: {} for k in l}), n) is False),
    }
    cases = []
    for rule, (names, lists, ask) in rules.items():
        for entries in lists:
            answers = {name: answer(lambda: ask(name, experts, entries)) for name, experts in names}
            cases.append({"rule": rule, "list": entries, "unquantized": [n for n, a in answers.items() if a is True],
                          "refused": [n for n, a in answers.items() if a == "refused"], "asked": len(answers)})
    return cases


def pattern_cases():
    cases = [{"pattern": p, "matches": [n for n in NAMES if re.match(p, n)]} for p in PATTERNS]
    for pattern in BAD_PATTERNS:
        try:
            re.compile(pattern)
        except re.error:
            continue
        raise AssertionError(pattern)
    return cases


def compressed(fmt, bits, kind, symmetric, group, inputs):
    strategy = "group" if group > 0 else "channel"
    args = {"num_bits": bits, "type": kind, "symmetric": symmetric, "group_size": group, "strategy": strategy,
            "block_structure": None, "dynamic": False, "actorder": None, "observer": "minmax", "observer_kwargs": {}}
    tokens = {"num_bits": bits, "type": kind, "symmetric": True, "group_size": None, "strategy": "token", "block_structure": None,
              "dynamic": True, "actorder": None, "observer": None, "observer_kwargs": {}}
    return {"config_groups": {"group_0": {"targets": ["Linear"], "weights": args, "input_activations": tokens if inputs else None,
                                          "output_activations": None}},
            "format": fmt, "global_compression_ratio": None, "ignore": ["lm_head", "re:.*\\.mlp\\.gate$"], "kv_cache_scheme": None,
            "quant_method": "compressed-tensors", "quantization_status": "compressed"}


def config_cases(lmdeploy):
    from compressed_tensors.quantization import QuantizationConfig

    parse = functions(lmdeploy / "lmdeploy/pytorch/config.py", ["_parse_compressed_tensors_config"],
                      Mapping=dict)._parse_compressed_tensors_config
    cases = []
    for scheme, fmt, bits, kind, symmetric, groups, inputs in [
            ("w4a16", "pack-quantized", 4, "int", True, (32, 64, 128, 0), False),
            ("w4a16-asym", "pack-quantized", 4, "int", False, (32, 128), False),
            ("w8a16", "pack-quantized", 8, "int", True, (128, 0), False),
            ("w8a8", "int-quantized", 8, "int", True, (0,), True),
            ("fp8-channel", "float-quantized", 8, "float", True, (0,), True)]:
        for group in groups:
            config = compressed(fmt, bits, kind, symmetric, group or -1, inputs)
            read = QuantizationConfig.model_validate(config)
            weights = read.config_groups["group_0"].weights
            assert (weights.num_bits, weights.symmetric, weights.strategy) == (bits, symmetric, "group" if group else "channel")
            assert read.format == fmt and read.ignore == config["ignore"]
            case = {"scheme": scheme, "group": group, "config": config}
            try:
                case["lmdeploy"] = list(parse(config))[:2]
            except ValueError as refused:
                case["lmdeploy"] = str(refused)
            cases.append(case)
    return cases


def main():
    vllm, sglang, lmdeploy = map(pathlib.Path, sys.argv[1:4])
    OUT.mkdir(exist_ok=True)
    files = {"names": {"model": MODEL, "cases": name_cases(*upstream(vllm, sglang))},
             "patterns": {"names": NAMES, "cases": pattern_cases(), "refused": BAD_PATTERNS},
             "configs": {"cases": config_cases(lmdeploy)}}
    for name, content in files.items():
        (OUT / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
