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
make 'store[EXPERT] = "packed"; store[LINEAR] = "fp8"; config["quantization_config"] = compressed(ignore=EXPERTS_ONLY)'
finds ct-scale-name vllm
finds list-hits-quantized vllm

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
DYNAMIC='"dynamic": {"-:.*self_attn.*": {}, "-:.*shared_experts.*": {}, "-:.*layers.0.mlp.*": {}}}'
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, $DYNAMIC"
loads vllm sglang
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ}"
loads vllm ktransformers
finds list-misses-unquantized sglang
make "store[LINEAR] = 'gptq'; config['quantization_config'] = $GPTQ}"
loads vllm
finds gptq-attention sglang
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, 'sym': False}"
finds gptq-asymmetric vllm
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, 'desc_act': True}"
finds act-order vllm
make "store[EXPERT] = 'gptq'; config['quantization_config'] = $GPTQ, 'checkpoint_format': 'gptq_v2'}"
warns gptq-v2 vllm
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
W4='store[EXPERT] = "int4"; store[LINEAR] = "fp8"; mixed = {"quantization": {"quant_algo": "MIXED_PRECISION"}}'
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}"
loads sglang
finds hf-quant-config-missing tensorrt-llm
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = {}"
loads sglang tensorrt-llm
make "$W4; files['hf_quant_config.json'] = mixed"
finds quant-cfg-missing tensorrt-llm
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = {}; config['quantization_config'] = FP8"
finds two-configs tensorrt-llm
finds stored-otherwise sglang
make "files['hf_quant_config.json'] = {'quantization': {'quant_algo': 'MIXED_PRECISION'}}"
finds config-left-over tensorrt-llm
FIRST=model.layers.1.mlp.experts.0
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; tensors['$FIRST.up_proj.input_scale'] = f32(0.25)"
finds input-scales-differ sglang
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; tensors.update({f'$FIRST.{p}_proj.input_scale': f32(0.3) for p in ('gate', 'up')})"
finds input-scales-differ sglang
NONE='tensors["'$FIRST'.up_proj.input_scale"] = None'
make "$W4; config['quantization_config'] = {'quant_method': 'w4afp8'}; $NONE"
warns input-scales-missing sglang
make "$W4; files['hf_quant_config.json'] = mixed; files['quant_cfg.json'] = {}; $NONE"
finds input-scales-missing tensorrt-llm

# Ascend.
ASCEND='store[LINEAR] = "ascend"; config["quantize"] = "w8a8_dynamic"'
DESCRIBED='files["quant_model_description.json"] = {}'
described() { edit made/quant_model_description.json 'from glob import glob
import re
for name in j:
    if re.search(r"_(a_proj|b_proj|with_mqa)\.|(o|gate|up|down)_proj\.", name): j[name] = "W8A8_DYNAMIC"'; }
make "$ASCEND; $DESCRIBED"
finds description-wrong vllm-ascend
described
loads vllm-ascend ascend-mindie
finds npu-only sglang
edit made/quant_model_description.json 'del j["model.embed_tokens.weight"]'
finds description-incomplete vllm-ascend
make "$ASCEND; $DESCRIBED; config['mla_quantize'] = 'w8a8'"
described
finds mla-quantize ascend-mindie
make "$ASCEND; $DESCRIBED; del config['quantize']"
described
finds quantize-missing ascend-mindie
mv made/quant_model_description.json made/quant_model_description_w8a8_dynamic.json
finds description-name vllm-ascend
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
