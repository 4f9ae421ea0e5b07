# Which weights are quantized: the scheme's choice, --experts-only, --all-linears, --ignore; and what is not, the
# config says in the spelling of its format.
exits 0 tessera synth in --preset tiny --quirks
quantizes() {
  local status=0
  rm -rf made
  tessera quantize in made "$@" >out 2>err || status=$?
  [ $status = 0 ] || { cat err >&2; return 1; }
}
# reaches EXPRESSION: just the linears whose module name `m` makes it true have codes.
reaches() {
  python3 - "$1" <<'PY'
import json, re, sys
manifest = json.load(open("made/tessera.manifest.json"))["tensors"]
codes = {m["from"][0].removesuffix(".weight") for n, m in manifest.items() if m["by"] == "quantized"}
linear = r"\.(self_attn\.\w+_proj\w*|mlp\.(experts\.\d+\.|shared_experts\.)?(gate|up|down)_proj)$"
linears = {n.removesuffix(".weight") for m in manifest.values() for n in m["from"][:1]
           if re.search(linear, n.removesuffix(".weight"))}
assert len(linears) == 176, len(linears)
want = {m for m in linears if eval(sys.argv[1])}
assert codes == want, (sorted(codes - want)[:3], sorted(want - codes)[:3])
PY
}
experts='".mlp.experts." in m'
but_kv_b='not m.endswith("kv_b_proj")'
for scheme in w4a16 w4a16-asym gptq4; do
  quantizes --scheme $scheme
  reaches "$experts"
done
for scheme in w8a16 w8a8 awq gptq8 ascend-w8a8-dynamic fp8-channel; do
  quantizes --scheme $scheme
  reaches "$but_kv_b"
  quantizes --scheme $scheme --experts-only
  reaches "$experts"
done
for scheme in int8-block int8-channel; do
  quantizes --scheme $scheme
  reaches True
done
for scheme in w4a16 gptq4; do
  quantizes --scheme $scheme --all-linears
  reaches "$but_kv_b"
done
quantizes --scheme w8a8 --ignore 'layers\.1\.' --ignore 'o_proj|down_proj$' --ignore 'layers\.[23]\.mlp\.experts'
reaches "$but_kv_b and '.layers.1.' not in m and not m.endswith(('o_proj', 'down_proj')) and '.mlp.experts.' not in m"
quantizes --scheme w4a16 --ignore 'layers\.1\.'
reaches "$experts and '.layers.1.' not in m"
json 'r"layers\\.1" in j["request"]["ignore"]' made/tessera.manifest.json
# MTP experts are routed experts; without the module they are gone.
json '"model.layers.3.mlp.experts.0.up_proj.weight_packed" in j["tensors"]' made/tessera.manifest.json
exits 0 tessera quantize in dropped --scheme w4a16 --mtp drop --json
json 'j["ledger"]["dropped"] > 90 and sum(j["ledger"].values()) == 383'
json 'not any(".layers.3." in n for n in j["tensors"])' dropped/tessera.manifest.json

# What each config says, whole.
q='j["quantization_config"]'
config() { json "$1" made/config.json; }
quantizes --scheme w4a16
config "$q['quant_method'] == 'compressed-tensors' and $q['format'] == 'pack-quantized'"
config "$q['ignore'][0] == 'lm_head' and any('mlp' in i and 'gate' in i for i in $q['ignore'])"
config "$q['config_groups']['group_0']['weights']['group_size'] == 128"
config "$q['config_groups']['group_0']['input_activations'] is None"
config 'j["torch_dtype"] == "bfloat16"'
quantizes --scheme w4a16-asym
config "$q['config_groups']['group_0']['weights']['symmetric'] is False"
quantizes --scheme w8a16
config "$q['config_groups']['group_0']['weights']['group_size'] == -1"
config "$q['config_groups']['group_0']['weights']['strategy'] == 'channel'"
quantizes --scheme w8a8
config "$q['format'] == 'int-quantized'"
config "$q['config_groups']['group_0']['input_activations'] | {'observer': 0, 'observer_kwargs': 0, 'actorder': 0} == {
  'num_bits': 8, 'type': 'int', 'symmetric': True, 'strategy': 'token', 'group_size': None, 'dynamic': True,
  'block_structure': None, 'observer': 0, 'observer_kwargs': 0, 'actorder': 0}"
quantizes --scheme int8-block
config "$q == {'activation_scheme': 'dynamic', 'quant_method': 'blockwise_int8', 'weight_block_size': [128, 128]}"
quantizes --scheme int8-channel
config "$q['quant_method'] == 'w8a8_int8' and 'lm_head' in $q['ignore']"
quantizes --scheme awq
config "$q == {'bits': 4, 'group_size': 128, 'modules_to_not_convert': ['self_attn.kv_b_proj'], 'quant_method': 'awq',
  'version': 'gemm', 'zero_point': True}"
quantizes --scheme gptq4
config "all($q[k] == v for k, v in {'bits': 4, 'group_size': 128, 'desc_act': False, 'sym': True, 'quant_method': 'gptq',
  'checkpoint_format': 'gptq', 'lm_head': False}.items())"
config "all(k.startswith('-:') for k in $q['dynamic']) and len($q['dynamic']) >= 3"
quantizes --scheme w4afp8 --input-scale 0.01
config "$q == {'quant_method': 'w4afp8'}"
quantizes --scheme fp8-block-ue8m0
config "$q['quant_method'] == 'fp8' and $q['scale_fmt'] == 'ue8m0'"
quantizes --scheme fp8-channel
config "$q['format'] == 'float-quantized'"

# Extra files, and no quantization_config beside them.
quantizes --scheme trtllm-w4a8 --input-scale 0.01
config '"quantization_config" not in j'
json 'j == {"quantization": {"quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": None}}' made/hf_quant_config.json
json 'j["quant_algo"] == "MIXED_PRECISION" and j["kv_cache_quant_algo"] is None' made/quant_cfg.json
layers='j["quantized_layers"]'
json "[n for n, q in $layers.items() if q['quant_algo'] == 'W4A8_AWQ'] == [f'model.layers.{i}.mlp.experts' for i in (1, 2, 3)]" \
  made/quant_cfg.json
json "all(q == {'quant_algo': 'FP8_BLOCK_SCALES'} for n, q in $layers.items() if not n.endswith('.experts'))" made/quant_cfg.json
json "len($layers) == 4 * 4 + 2 + 3 * 3" made/quant_cfg.json
quantizes --scheme ascend-w8a8-dynamic
config '"quantization_config" not in j and j["quantize"] == "w8a8_dynamic" and "mla_quantize" not in j'
json 'j["model.embed_tokens.weight"] == "FLOAT" and j["model.layers.3.eh_proj.weight"] == "FLOAT"' made/quant_model_description.json
json 'j["model.layers.1.mlp.experts.0.up_proj.weight_offset"] == "W8A8_DYNAMIC"' made/quant_model_description.json
