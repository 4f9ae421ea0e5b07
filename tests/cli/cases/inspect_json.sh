# One object with every key of the contract, its sums consistent with each other.
tessera synth ckpt --preset tiny --quirks -q >/dev/null
exits 0 tessera inspect ckpt --json
json 'list(j) == sorted(j) and j["schema"] == 1'
json '{"family", "parameters", "tensors", "bytes", "shards", "layers", "experts", "mtp_layers",
       "dtypes", "findings", "model_type", "quantization", "coverage", "roles"} <= set(j)'
json 'j["family"] == "v3" and j["model_type"] == "deepseek_v3" and j["coverage"] == "whole"'
json 'j["layers"] == 3 and j["experts"] == 16 and j["mtp_layers"] == 1'
json 'j["quantization"] == {"method": "fp8", "block": [128, 128], "scale_format": "f32"}'
for key in tensors bytes parameters; do
  for by in dtypes roles; do
    json "sum(s['$key'] for s in j['$by'].values()) == j['$key']"
  done
done
json 'j["roles"]["scales"]["parameters"] == 0 and j["roles"]["scales"]["tensors"] > 0'
# The parameters are those of the same model without scales.
expected=$(json 'j["parameters"]')
tessera synth plain --preset tiny --quirks --format bf16 -q >/dev/null
exits 0 tessera inspect plain --json
json "j['parameters'] == $expected and j['quantization'] is None"
# The oddity of the real release is told, not refused.
exits 0 tessera inspect ckpt --check --json
json '[f["severity"] for f in j["findings"] if f["rule"] == "total-size"] == ["warning"]'
json 'all(f["severity"] != "error" for f in j["findings"])'
json 'all(set(f) >= {"rule", "severity", "tensor", "what", "remedy"} for f in j["findings"])'
