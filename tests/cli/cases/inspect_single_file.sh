# A single file needs no config.json; one shard of several is looked at alone.
tessera synth ckpt --preset tiny -q >/dev/null
first=$(ls ckpt/*.safetensors | head -n 1)
exits 0 tessera inspect "$first" --json
json 'j["shards"] == 1 and j["coverage"] is None and 0 < j["tensors"] < 383'
exits 0 tessera inspect "$first" --check

mkdir lone
python3 - <<'EOF'
import json, struct
header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}).encode()
open("lone/model.safetensors", "wb").write(struct.pack("<Q", len(header)) + header + bytes(12))
EOF
exits 0 tessera inspect lone/model.safetensors --json
json 'j["family"] is None and j["parameters"] == 6 and j["dtypes"]["BF16"]["bytes"] == 12'
exits 0 tessera inspect lone/model.safetensors --check
exits 3 tessera inspect lone
