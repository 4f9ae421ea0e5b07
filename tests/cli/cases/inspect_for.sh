# Every trap of docs/engines.md has a checkpoint here that shows it, and one beside it that does not.
tessera synth bf16 --preset tiny --format bf16 -q >/dev/null
tessera synth fp8 --preset tiny -q >/dev/null

make() {  # make PYTHON: the checkpoint ./made
  rm -rf made
  python3 "$CASES/../../support/quantized_checkpoint.py" bf16 made "$1"
}

finds() {  # finds RULE ENGINE [ARGUMENT...]: a fatal finding
  local rule=$1 engine=$2
  shift 2
  exits 1 tessera inspect made --for "$engine" --json "$@"
  json "('$rule', 'error') in [(f['rule'], f['severity']) for f in j['findings']]"
  json "not j['engine']['loads'] and all(f['what'] and f['remedy'] for f in j['findings'] if f['severity'] == 'error')"
}

warns() {  # warns RULE ENGINE [ARGUMENT...]: a finding, but it loads
  local rule=$1 engine=$2
  shift 2
  exits 0 tessera inspect made --for "$engine" --json "$@"
  json "'$rule' in [f['rule'] for f in j['findings']] and j['engine']['loads']"
}

loads() {  # loads ENGINE...: without a warning
  local engine
  for engine in "$@"; do
    exits 0 tessera inspect made --for "$engine" --json
    json 'not [f for f in j["findings"] if f["severity"] != "note" and f["rule"] != "launch-flag"]'
  done
}

same() { rm -rf made && cp -r "$1" made; }
edit() {  # edit FILE PYTHON
  python3 -c 'import json, sys
j = json.load(open(sys.argv[1])); exec(sys.argv[2]); json.dump(j, open(sys.argv[1], "w"))' "$@"
}

# As released, and as BF16.
make ''
loads vllm sglang lmdeploy tensorrt-llm lightllm amd ascend-mindie vllm-ascend ktransformers
same fp8
loads vllm sglang lmdeploy tensorrt-llm lightllm amd ktransformers
finds method-refused ascend-mindie
finds fp8-refused vllm-ascend
finds not-cut deepseek-demo
warns custom-code transformers
warns mtp-ignored transformers
warns fp8-ragged transformers
make 'store[EXPERT] = "fp8"; config["quantization_config"] = FP8'
exits 0 tessera inspect made --for transformers --json
json "'fp8-ragged' not in [f['rule'] for f in j['findings']]"

# config.json.
make 'config["quantization_config"] = FP8'
finds config-left-over vllm
make 'store[LINEAR] = "fp8"'
finds config-missing sglang
make 'store[LINEAR] = "fp8_bare"; config["quantization_config"] = FP8'
finds scale-missing vllm
make 'store[LINEAR] = "fp8"; config["quantization_config"] = {**FP8, "weight_block_size": None}'
finds block-size-missing vllm
make 'store[LINEAR] = "fp8"; config["quantization_config"] = {**FP8, "weight_block_size": [64, 64]}'
finds block-size lmdeploy
make 'store[LINEAR] = "fp8"; config["quantization_config"] = {**FP8, "activation_scheme": "static"}'
finds activation-scheme vllm
make 'store[LINEAR] = "fp8"; config["quantization_config"] = {**FP8, "fmt": "e5m2"}'
finds fp8-format lightllm
make 'store[LINEAR] = "fp8"; config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": [128, 128]}'
finds config-key sglang
make 'config["model_type"] = "llama"'
finds model-unknown vllm
make 'config["model_type"] = "kimi_k2"'
finds model-refused lightllm
make 'store[EXPERT] = "int8"; config["quantization_config"] = {"quant_method": "w8a8_int8"}'
finds method-refused vllm
make 'store[LINEAR] = "fp8"; config["quantization_config"] = {**FP8, "scale_fmt": "ue8m0"}'
warns ue8m0-scales vllm
cp -r fp8 torn && edit torn/config.json 'j["num_nextn_predict_layers"] = 2'
same torn
warns mtp-count sglang

# Experts in INT4 under compressed-tensors.
make 'store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
loads vllm sglang amd ktransformers
finds method-refused lmdeploy
finds integers-refused tensorrt-llm
finds ascend-group-size vllm-ascend
finds tp-degree vllm --tp 4
warns experts-fused transformers
make 'store[EXPERT] = "packed32"; config["quantization_config"] = compressed(group=32, ignore=EXPERTS_ONLY)'
loads vllm-ascend
make 'store[EXPERT] = "packed_f16"; config["quantization_config"] = compressed(group=32, ignore=EXPERTS_ONLY)'
finds scale-dtype ktransformers
finds scale-dtype vllm-ascend
make 'store[EXPERT] = "packed_asym"; config["quantization_config"] = compressed(symmetric=False, ignore=EXPERTS_ONLY)'
warns asymmetric-experts vllm
finds asymmetric-experts sglang
finds rocm-experts amd
finds rawint4 ktransformers
make 'store[EXPERT] = "packed8"; config["quantization_config"] = compressed(8, ignore=EXPERTS_ONLY)'
warns w8a16-groups vllm
make 'store[EXPERT] = "packed8_channel"; config["quantization_config"] = compressed(8, None, ignore=EXPERTS_ONLY)'
warns group-size-null vllm
make 'store[EXPERT] = "packed"; config["quantization_config"] = compressed(3, ignore=EXPERTS_ONLY)'
finds bits-refused vllm
make 'store[EXPERT] = "packed"; c = config["quantization_config"] = compressed(ignore=EXPERTS_ONLY); c["config_groups"]["group_0"]["weights"]["actorder"] = "group"'
finds act-order vllm
make 'store[LINEAR] = "packed"; config["quantization_config"] = compressed(ignore=["lm_head"])'
loads vllm
finds packed-attention sglang
finds packed-linears vllm-ascend
finds packed-attention ktransformers
make 'store[EXPERT] = "packed"; store[LINEAR] = "fp8"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
finds ct-scale-name vllm
finds list-hits-quantized vllm


# How compressed-tensors says that weights are stored, and what multiplies them.
PACKED='store[EXPERT] = "packed"; c = config["quantization_config"] = compressed(ignore=EXPERTS_ONLY); g = c["config_groups"]["group_0"]'
make "$PACKED; del c['format']"
for engine in vllm sglang amd transformers ktransformers; do finds format-missing $engine; done
make "$PACKED; c['format'] = 'marlin-24'"
warns format-unknown vllm
make "$PACKED; g['format'] = c['format']; c['format'] = 'mixed-precision'"
loads vllm
finds format-of-group sglang
finds format-of-group ktransformers
make "$PACKED; g['format'] = c['format']"
loads vllm sglang
make "$PACKED; g['weights']['scale_dtype'] = None"
warns newer-key vllm
make 'STORAGES["packed16"] = lambda n, k: packed(n, k, 16); store[EXPERT] = "packed16"; config["quantization_config"] = compressed(group=16, ignore=EXPERTS_ONLY)'
for engine in vllm sglang amd; do warns group-size $engine; done
INT8='store[LINEAR] = "int8"; c = config["quantization_config"] = compressed(8, -1, "int-quantized", inputs=True, ignore=["re:.*mlp[.]gate$"]); g = c["config_groups"]["group_0"]; a = g["input_activations"]'
make "$INT8"
loads vllm vllm-ascend
for change in 'g["input_activations"] = None' 'a["dynamic"] = False' 'a["strategy"] = "tensor"'; do
  make "$INT8; $change"
  finds activations vllm
done
FP8_ROWS='store[LINEAR] = "fp8_channel"; c = config["quantization_config"] = compressed(8, -1, "float-quantized", inputs=True, kind="float", ignore=["re:.*mlp[.]gate$"]); a = c["config_groups"]["group_0"]["input_activations"]'
make "$FP8_ROWS"
loads vllm sglang amd
finds kv-b-refused tensorrt-llm
make "$FP8_ROWS; a.update(dynamic=False, strategy='tensor')"
finds activations vllm
finds activations amd
make "$PACKED; g['input_activations'] = {'num_bits': 8, 'type': 'float', 'strategy': 'token', 'dynamic': True}"
warns sm90-only vllm
make "$PACKED; g['input_activations'] = {'num_bits': 8, 'type': 'float', 'strategy': 'token', 'dynamic': True}
config['moe_intermediate_size'] = 384
tensors.update({f'{n[:-6]}{part}': t for n, (d, s, b) in read_folder(pathlib.Path('bf16')).items() if re.search(r'experts[.]\\d+[.].*weight$', n)
                for part, t in packed(*[384 if ('down' in n) == (i == 1) else x for i, x in enumerate(s)]).items()})
tensors.update({n: zeros(d, *[384 if ('down' in n) == (i == 1) else x for i, x in enumerate(s)])
                for n, (d, s, b) in read_folder(pathlib.Path('bf16')).items() if 'shared_experts' in n})"
finds w4afp8-width vllm

# The model that config.json describes is there.
make 'tensors["model.norm.weight"] = None'
finds missing-tensor vllm
make 'config["num_hidden_layers"] += 2'
finds missing-tensor sglang
make 'tensors["model.norm.weight"] = zeros("BF16", 128)'
finds wrong-shape vllm
make 'tensors["model.layers.3.mlp.experts.3.up_proj.weight"] = None'
warns missing-tensor vllm

# What a weight is made of, whatever config.json says.
FIRST=model.layers.1.mlp.experts.0
for change in '.weight_packed"] = zeros("I32", 32, 256)' '.weight_scale"] = zeros("BF16", 2, 256)'; do
  make "$PACKED; tensors[\"$FIRST.up_proj$change"
  for engine in vllm sglang ktransformers; do finds wrong-shape $engine; done
done
make 'store[EXPERT] = "packed_asym"; config["quantization_config"] = compressed(symmetric=False, ignore=EXPERTS_ONLY); tensors["'$FIRST'.up_proj.weight_zero_point"] = zeros("I32", 256, 1)'
finds wrong-shape vllm
make "$PACKED; tensors['$FIRST.up_proj.weight_scale'] = None"
finds scale-missing vllm
make "$PACKED; tensors['$FIRST.up_proj.weight_scale_inv'] = zeros('F32', 2, 2)"
finds scale-left-over vllm
make "tensors['$FIRST.up_proj.weight_scale_inv'] = zeros('F32', 2, 2)"
finds scale-left-over sglang
make "$PACKED; tensors['model.layers.3.mlp.experts.0.up_proj.weight_scale_inv'] = zeros('F32', 2, 2)"
warns scale-left-over vllm
make "$PACKED; store.clear(); store['down_proj'] = 'packed8'; store[EXPERT] = 'packed'
two = c['config_groups']['group_1'] = json.loads(json.dumps(g)); two['targets'] = ['re:.*down_proj']; two['weights']['num_bits'] = 8"
finds experts-differ vllm
make "$PACKED; import struct; tensors['$FIRST.up_proj.weight_scale'] = ('BF16', [256, 2], b'\\xc0\\x7f' * 512)"
loads vllm
finds scale-not-finite vllm --check
make 'store[LINEAR] = "fp8_channel"; config["quantization_config"] = FP8'
finds stored-otherwise vllm
make 'tensors["model.layers.1.mlp.gate.e_score_correction_bias"] = zeros("BF16", 16)'
warns router-bias vllm
make ''
warns mtp-copies vllm
make 'tensors["model.layers.3.embed_tokens.weight"] = zeros("BF16", 640, 256)'
exits 0 tessera inspect made --for vllm --json
json "'mtp-copies' not in [f['rule'] for f in j['findings']]"
make 'config["q_lora_rank"] = 192
shapes = {"q_a_proj": (192, 256), "q_b_proj": (None, 192)}
for n, (d, s, b) in read_folder(pathlib.Path("bf16")).items():
    for p, (rows, cols) in shapes.items():
        if n.endswith(p + ".weight"):
            tensors.update({n[:-6] + part: t for part, t in STORAGES["fp8"](rows or s[0], cols).items()})
    if "q_a_layernorm" in n: tensors[n] = zeros(d, 192)
store[LINEAR] = "fp8"; config["quantization_config"] = FP8'
finds block-joined vllm
finds block-joined sglang

# Lists of unquantized modules, and what is joined into one weight.
make 'store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=["lm_head"])'
finds list-misses-unquantized vllm
make 'store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY[:3] + [r"re:.*\.mlp\.(gate|up|down)_proj$"])'
loads vllm
finds list-misses-unquantized sglang
make 'store[r"^(?!.*\.0\.mlp).*" + LINEAR] = "packed"; config["quantization_config"] = compressed(ignore=["model.layers.0.mlp.gate_proj", "model.layers.0.mlp.down_proj"])'
finds list-splits-fused vllm
make 'store["q_a_proj"] = "packed"; store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
finds fused-differ vllm
make 'store[r"experts\.3\."] = "fp8_channel"; store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
finds experts-differ vllm
make 'store[EXPERT] = "int8"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
finds stored-otherwise vllm
make 'store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY + ["re:(?i)x"])'
finds pattern vllm
make 'store[EXPERT] = "packed"; c = config["quantization_config"] = compressed(); c["config_groups"]["group_0"]["targets"] = [r"re:.*mlp\.experts.*"]'
finds untargeted sglang
make 'store[EXPERT] = "packed"; c = config["quantization_config"] = compressed(ignore=EXPERTS_ONLY[1:]); c["config_groups"]["group_0"]["targets"] = ["re:.*"]'
warns list-misses-unquantized vllm
make 'store[EXPERT] = "packed"; c = config["quantization_config"] = compressed(ignore=EXPERTS_ONLY); c["config_groups"]["group_0"]["targets"] = [r"re:.*mlp\.experts.*"]'
loads sglang
make 'store[r"experts\.3\."] = "packed32"; store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
finds stored-otherwise vllm
make 'store[r"experts\.3\."] = "gptq"; store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
finds experts-differ ktransformers

# Bits, groups and zero points are those of the config, and the config is one that its reader takes.
claims() {  # claims STORAGE CONFIG: experts stored so
  make "store[EXPERT] = '$1'; config['quantization_config'] = $2"
}
for config in 'compressed(group=64' 'compressed(8, -1' 'compressed(symmetric=False' 'compressed(group=-1'; do
  claims packed "$config, ignore=EXPERTS_ONLY)"
  for engine in vllm sglang; do finds stored-otherwise $engine; done
done
claims packed_asym 'compressed(ignore=EXPERTS_ONLY)'
finds stored-otherwise vllm
make 'store[r"layers\.3\..*" + EXPERT] = "packed32"; store[EXPERT] = "packed"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
warns stored-otherwise vllm
weights='c = config["quantization_config"] = compressed(ignore=EXPERTS_ONLY); w = c["config_groups"]["group_0"]["weights"]'
for change in 'w["foo"] = 1' 'w["strategy"] = "channel"' 'w["group_size"] = -1' 'w["block_structure"] = [128, 128]'; do
  make "store[EXPERT] = 'packed'; $weights; $change"
  for engine in vllm sglang transformers ktransformers; do finds config-key $engine; done
done
make "store[EXPERT] = 'packed'; $weights; w.update(observer='minmax', observer_kwargs={}, actorder=None, block_structure=None)"
loads vllm sglang
make 'store[EXPERT] = "int8"; config["quantization_config"] = {"quant_method": "w8a8_int8", "ignore": EXPERTS_ONLY + [r"re:model\.layers\.3\..*"]}; store.clear(); store[r"layers\.[0-2].*" + EXPERT] = "int8"'
warns list-misses-unquantized sglang
make 'store[LINEAR] = "int8"; config["quantization_config"] = compressed(8, -1, "int-quantized", inputs=True, ignore=["mlp.gate"])'
loads vllm
warns launch-flag sglang
warns list-substring sglang

# AWQ and GPTQ.
AWQ='{"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}'
GPTQ='{"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False, "checkpoint_format": "gptq"'
make "store[LINEAR] = 'awq'; config['quantization_config'] = $AWQ"
loads vllm sglang
finds method-refused lmdeploy
make "store[EXPERT] = 'awq'; config['quantization_config'] = {**$AWQ, 'modules_to_not_convert': ['self_attn', 'shared_experts', 'model.layers.0.']}"
loads vllm
finds awq-a-projections sglang
make "store[EXPERT] = 'awq'; config['quantization_config'] = {**$AWQ, 'modules_to_not_convert': ['self_attn', 'shared_experts', 'mlp']}"
finds list-hits-quantized vllm
make "store[EXPERT] = 'awq'; config['quantization_config'] = {'quant_method': 'awq', 'bits': 4}"
finds config-key vllm
make "store[LINEAR] = 'awq_gemv'; config['quantization_config'] = {**$AWQ, 'version': 'gemv'}"
for engine in vllm sglang; do finds awq-version $engine; done
make "store[LINEAR] = 'awq'; config['quantization_config'] = {**$AWQ, 'zero_point': False}; tensors.update({n[:-6] + 'qzeros': None for n in read_folder(pathlib.Path('bf16')) if re.search(LINEAR, n[:-7])})"
finds scale-missing vllm
make "store[LINEAR] = 'awq'; config['quantization_config'] = $AWQ"
warns awq-mtp vllm
warns awq-dtype sglang
DYNAMIC='"dynamic": {"-:.*self_attn.*": {}, "-:.*shared_experts.*": {}, "-:.*layers.0.mlp.*": {}}}'
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, $DYNAMIC"
loads vllm sglang
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ}"
loads vllm ktransformers
finds list-misses-unquantized sglang
make "store[LINEAR] = 'gptq'; config['quantization_config'] = $GPTQ}"
loads vllm
finds gptq-attention sglang
finds gptq-attention ktransformers
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, 'sym': False}"
finds gptq-asymmetric vllm
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, 'desc_act': True}"
finds act-order vllm
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, 'checkpoint_format': 'gptq_v2'}"
warns gptq-v2 vllm
make "store[EXPERT] = 'gptq_shuffled'; config['quantization_config'] = $GPTQ}"
for engine in vllm sglang ktransformers transformers; do finds act-order $engine; done
make "store[EXPERT] = 'gptq_asym'; config['quantization_config'] = $GPTQ}"
for engine in vllm ktransformers; do finds gptq-zeros $engine; done
make "store[EXPERT] = 'gptq_v2'; config['quantization_config'] = $GPTQ}"
warns gptq-zeros vllm
make "store[EXPERT] = 'gptq_v2'; config['quantization_config'] = $GPTQ, 'checkpoint_format': 'gptq_v2'}"
exits 0 tessera inspect made --for vllm --json
json "'gptq-zeros' not in [f['rule'] for f in j['findings']]"
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ}; tensors.update({n[:-6] + 'g_idx': None for n in read_folder(pathlib.Path('bf16')) if re.search(EXPERT, n)})"
warns g-idx-missing transformers
loads vllm
for change in "'group_size': 64" "'bits': 8" "'group_size': -1" "'lm_head': True"; do
  make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, $change}"
  finds stored-otherwise vllm
done
for change in "'group_size': 64" "'zero_point': False"; do
  make "store[LINEAR] = 'awq'; config['quantization_config'] = {**$AWQ, $change}"
  for engine in vllm sglang; do finds stored-otherwise $engine; done
done

# INT8 blocks, W4AFP8 and TensorRT-LLM's two files.
BLOCK='{"quant_method": "blockwise_int8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}'
make "store[LINEAR] = 'int8_block'; config['quantization_config'] = $BLOCK"
loads sglang
finds tp-degree sglang --tp 4
make "store[LINEAR] = 'int8_block'; config['quantization_config'] = {**$BLOCK, 'activation_scheme': 'static'}"
finds activation-scheme sglang
make "store[LINEAR] = 'int8_block'; config['quantization_config'] = {**$BLOCK, 'weight_block_size': [64, 64]}"
finds wrong-shape sglang
W4='store[EXPERT] = "int4"; store[LINEAR] = "fp8"; mixed = {"quantization": {"quant_algo": "MIXED_PRECISION"}}; layers = {"quantized_layers": {f"model.layers.{i}.mlp.experts": {"quant_algo": "W4A8_AWQ"} for i in (1, 2, 3)}}'
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}"
loads sglang
finds hf-quant-config-missing tensorrt-llm
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; tensors['$FIRST.up_proj.weight_scale_inv'] = zeros('F32', 2, 256)"
finds wrong-shape sglang
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; tensors['$FIRST.down_proj.input_scale'] = None"
warns input-scales-missing sglang
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = layers; del layers['quantized_layers']['model.layers.2.mlp.experts']"
finds quant-cfg-incomplete tensorrt-llm
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = layers; del layers['quantized_layers']['model.layers.3.mlp.experts']"
warns quant-cfg-incomplete tensorrt-llm
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = layers"
loads sglang tensorrt-llm
make "$W4; files['hf_quant_config.json'] = mixed"
finds quant-cfg-missing tensorrt-llm
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = layers; config['quantization_config'] = FP8"
finds two-configs tensorrt-llm
finds stored-otherwise sglang
make "files['hf_quant_config.json'] = {'quantization': {'quant_algo': 'MIXED_PRECISION'}}"
finds config-left-over tensorrt-llm
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; tensors['$FIRST.up_proj.input_scale'] = f32(0.25)"
finds input-scales-differ sglang
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; tensors.update({f'$FIRST.{p}_proj.input_scale': f32(0.3) for p in ('gate', 'up')})"
finds input-scales-differ sglang
NONE='tensors["'$FIRST'.up_proj.input_scale"] = None'
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; $NONE"
warns input-scales-missing sglang
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = layers; $NONE"
finds input-scales-missing tensorrt-llm

# Ascend.
ASCEND='ALL_BUT_KV_B = LINEAR.replace("|kv_b_proj", ""); store[ALL_BUT_KV_B] = "ascend"; config["quantize"] = "w8a8_dynamic"'
DESCRIBED='files["quant_model_description.json"] = {}'
described() { edit made/quant_model_description.json 'from glob import glob
import re
for name in j:
    if re.search(r"_(q_a_proj|q_b_proj|with_mqa)\.|(q_a|q_b|o|gate|up|down)_proj\.", name): j[name] = "W8A8_DYNAMIC"'; }
make "$ASCEND; $DESCRIBED"
finds description-wrong vllm-ascend
described
loads vllm-ascend ascend-mindie
finds npu-only sglang
edit made/quant_model_description.json 'del j["model.embed_tokens.weight"]'
finds description-incomplete vllm-ascend
make "$ASCEND; $DESCRIBED; config['quantization_config'] = FP8"
described
for engine in vllm-ascend ascend-mindie; do finds two-configs $engine; done
make "$ASCEND; $DESCRIBED; store['kv_b_proj'] = 'ascend'"
described
edit made/quant_model_description.json 'j.update({n: "W8A8_DYNAMIC" for n in j if "kv_b_proj" in n})'
loads vllm-ascend
finds kv-b-refused ascend-mindie
make "$ASCEND; $DESCRIBED; tensors['$FIRST.up_proj.weight_offset'] = ('F32', [256, 1], b'\\x01' * 1024)"
described
for engine in vllm-ascend ascend-mindie; do finds offset-not-zero $engine; done
make "$ASCEND; $DESCRIBED; store.clear(); store[r'self_attn.(q_a|q_b|o|kv_a)_proj'] = 'int8_static'; store[ALL_BUT_KV_B] = 'ascend'"
described
finds description-wrong vllm-ascend
edit made/quant_model_description.json 'j.update({n: "W8A8" for n in j if "self_attn" in n and "_proj" in n and "kv_b" not in n})'
loads vllm-ascend
make "$ASCEND; $DESCRIBED"
described
edit made/quant_model_description.json 'j["'$FIRST'.up_proj.weight"] = "W8A16"'
finds description-differs vllm-ascend
described
edit made/quant_model_description.json 'j.update({n: "W4A8_DYNAMIC" for n in j if n.endswith("o_proj.weight")})'
finds description-type vllm-ascend
described
edit made/quant_model_description.json 'j.update({n: "W4A8_DYNAMIC" for n in j if ".experts." in n}, group_size=0)'
loads vllm-ascend
edit made/quant_model_description.json 'j["group_size"] = 256'
finds description-type vllm-ascend
for change in "config['quantize'] = 'w8a8'" "config['moe_quantize'] = 'w8a8'"; do
  make "$ASCEND; $DESCRIBED; $change"
  described
  finds quantize-wrong ascend-mindie
done
make "$ASCEND; $DESCRIBED; config['mla_quantize'] = 'w8a8'"
described
finds mla-quantize ascend-mindie
make "$ASCEND; $DESCRIBED; del config['quantize']"
described
finds quantize-missing ascend-mindie
mv made/quant_model_description.json made/quant_model_description_w8a8_dynamic.json
finds description-name vllm-ascend
finds description-name ascend-mindie
make "$ASCEND; $DESCRIBED"
described
mv made/quant_model_description.json made/quant_model_description_w8a8_dynamic.json
loads ascend-mindie
make "$ASCEND"
finds description-missing vllm-ascend
make "store[LINEAR] = 'int8'; config['quantize'] = 'w8a8_dynamic'; $DESCRIBED"
described
finds offset-missing ascend-mindie

# What is never quantized, and files.
make 'store["lm_head|" + LINEAR] = "packed"; config["quantization_config"] = compressed()'
finds never-quantized vllm
make 'store["eh_proj|" + LINEAR] = "packed"; config["quantization_config"] = compressed()'
warns never-quantized vllm
make 'tensors["model.layers.3.eh_proj.weight"] = None'
warns mtp-missing vllm
warns format-metadata transformers
make 'store[LINEAR] = "fp8"; config["quantization_config"] = FP8; second = "kv_b_proj.weight_scale_inv"'
loads vllm lmdeploy
finds kv-b-split lightllm
make 'store[LINEAR] = "fp8"; config["quantization_config"] = FP8; second = "kv_b_proj.weight$"'
warns kv-b-order lmdeploy
rm -rf made
tessera reshard fp8 made --shard-size 1MB -q >/dev/null
edit made/model.safetensors.index.json 'import os, re
for name in os.listdir("made"):
    unpadded = re.sub(r"-0+", "-", name)
    os.rename("made/" + name, "made/" + unpadded)
j["weight_map"] = {t: re.sub(r"-0+", "-", name) for t, name in j["weight_map"].items()}
sys.argv[1] = "made/model.safetensors.index.json"'
warns shard-names lmdeploy
same fp8
cp made/model-00001-of-*.safetensors made/stray.safetensors
finds extra-shard lightllm
same fp8
warns nan-codes-unread amd
shard=$(ls made/*.safetensors | head -n 1)
python3 - "$shard" <<'PYTHON'
import json, struct, sys
with open(sys.argv[1], "r+b") as file:
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    begin = next(t["data_offsets"][0] for t in header.values() if t.get("dtype") == "F8_E4M3")
    file.seek(8 + length + begin)
    file.write(b"\xff")
PYTHON
finds nan-codes amd --check

# A shared expert that would run as the 257th routed one, stored otherwise.
MANY='config.update(n_routed_experts=256, num_hidden_layers=2, num_nextn_predict_layers=0, moe_intermediate_size=128)
old = read_folder(pathlib.Path("bf16"))
tensors.update({n: None for n in old if re.search(r"layers\.(1\.mlp|[23])\.", n)})
shapes = {"gate": (128, 256), "up": (128, 256), "down": (256, 128)}
layer = "model.layers.1.mlp."
tensors.update({f"{layer}shared_experts.{p}_proj.weight": zeros("BF16", *s) for p, s in shapes.items()})
tensors[layer + "gate.weight"], tensors[layer + "gate.e_score_correction_bias"] = zeros("BF16", 256, 256), zeros("F32", 256)
def experts(bits):
    tensors.update({f"{layer}experts.{e}.{p}_proj.{part}": t for e in range(256) for p, s in shapes.items()
                    for part, t in packed(*s, bits=bits).items()})
    config["quantization_config"] = compressed(bits, ignore=EXPERTS_ONLY)
'
make "$MANY
experts(4)"
warns shared-expert-fusion sglang
make "$MANY
experts(8)"
warns launch-flag sglang
contains "--disable-shared-experts-fusion" out

# The indexer.
tessera synth v32 --preset tiny --family v3.2 --format bf16 -q >/dev/null
mv bf16 v3 && mv v32 bf16
make 'store[r"indexer\.wk$"] = "int8"; store[EXPERT] = "int8"; config["quantization_config"] = compressed(8, -1, "int-quantized", inputs=True, ignore=EXPERTS_ONLY)'
finds indexer-quantized vllm
finds indexer-quantized sglang
make 'store[r"indexer\.wk$"] = "fp8_ct_block"; store[EXPERT] = "int8"; config["quantization_config"] = compressed(8, -1, "int-quantized", inputs=True, ignore=EXPERTS_ONLY)'
loads vllm
finds indexer-quantized sglang

# Ranks.
tessera reshard fp8 ranks --mp 2 -q >/dev/null
same ranks
exits 0 tessera inspect made --for deepseek-demo --tp 2
finds cut-for-ranks vllm
finds tp-degree deepseek-demo --tp 4

# Usage, text, and a checkpoint that cannot be opened.
exits 2 tessera inspect fp8 --for nothing
exits 2 tessera inspect fp8 --tp 2
exits 0 tessera inspect fp8 --for sglang
contains "loads; known by" out
exits 1 tessera inspect fp8 --for vllm-ascend
contains "does not load: 1 fault" out
exits 3 tessera inspect nowhere --for vllm
rm -rf broken && cp -r fp8 broken && truncate -s -1 broken/model-00001-of-*
exits 1 tessera inspect broken --for vllm --json
json '"truncated" in [f["rule"] for f in j["findings"]]'
