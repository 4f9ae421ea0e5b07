# config.json keeps its fields in order and loses quantization_config; the index tells the true size;
# side files are copied byte for byte, those in folders too.
exits 0 tessera synth in --preset tiny --quirks
mkdir -p in/assets/deep
printf 'opaque\0bytes\n' >in/assets/deep/table.dat
printf 'raise SystemExit(1)\n' >in/modeling_deepseek.py
: >in/empty.txt
python3 - <<'PY'
import json, pathlib
path = pathlib.Path("in/config.json")
config = json.loads(path.read_text())
config = {"zz_unknown": [1.0, "\u00e9", None], **config, "aa_last": 1e-6}
path.write_text(json.dumps(config, indent=2, ensure_ascii=False))
PY
for type in bf16 f16 f32; do
  exits 0 tessera cast in made --to $type
  TYPE=$type python3 - <<'PY'
import json, os
before, after = (json.load(open(folder + "/config.json")) for folder in ("in", "made"))
assert list(after) == [key for key in before if key != "quantization_config"]
name = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[os.environ["TYPE"]]
assert after.pop("torch_dtype") == name and before.pop("torch_dtype") == "bfloat16"
del before["quantization_config"]
assert after == before
index = json.load(open("made/model.safetensors.index.json"))
payload = 0
for shard in sorted(set(index["weight_map"].values())):
    with open("made/" + shard, "rb") as file:
        payload += os.path.getsize("made/" + shard) - 8 - int.from_bytes(file.read(8), "little")
assert index["metadata"]["total_size"] == payload, (index["metadata"], payload)
PY
  for file in LICENSE tokenizer.json tokenizer_config.json generation_config.json empty.txt \
    assets/deep/table.dat modeling_deepseek.py; do
    cmp in/$file made/$file
  done
  exits 0 tessera verify made
  rm -r made
done
