# verify re-hashes every byte: any change is exit 1 and named; without a manifest there is no answer.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny
exits 0 tessera cast in whole --to bf16
exits 0 tessera verify whole
exits 0 tessera verify whole --json --threads 3
json 'list(j) == sorted(j) and j["schema"] == 1'
json 'all(type(j[k]) is int for k in ("exact", "within", "failed", "unmatched_a", "unmatched_b"))'
json 'type(j["verdict"]) is str and j["worst"] == [] and j["failed"] == 0'
json 'j["exact"] == len(json.load(open("whole/tessera.manifest.json"))["tensors"])'
[ ! -s err ]

shard=model-00003-of-000007.safetensors
broken() {  # broken NAMED: verify says no about ./changed, and names it
  exits 1 tessera verify changed
  contains "$1" out
  exits 1 tessera verify changed --json
  json 'j["worst"] != [] and j["failed"] <= len(json.load(open("whole/tessera.manifest.json"))["tensors"])'
  contains "$1" out
  rm -r changed
}
fresh() { cp -a whole changed; }

# One bit at places all over a shard: in the length, the header, the first and the last tensor.
size=$(stat -c %s whole/$shard)
for at in 0 8 60 5000 $((size / 2)) $((size - 1)); do
  fresh
  AT=$at python3 -c '
import os
with open("changed/model-00003-of-000007.safetensors", "r+b") as file:
    file.seek(int(os.environ["AT"]))
    byte = file.read(1)[0]
    file.seek(-1, 1)
    file.write(bytes([byte ^ 4]))'
  broken $shard
done
# A shard that is gone or torn costs its own tensors, not the count of all others.
for damage in "rm" "truncate -s -1"; do
  fresh
  $damage changed/$shard
  exits 1 tessera verify changed --json
  json 'j["exact"] == sum(t["file"] != "model-00003-of-000007.safetensors" for t in
    json.load(open("whole/tessera.manifest.json"))["tensors"].values())'
  json 'all("download" not in fault["what"] for fault in j["worst"])'
  rm -r changed
done
fresh; truncate -s -1 changed/$shard; broken $shard
fresh; printf x >>changed/$shard; broken $shard
fresh; cp changed/$shard changed/model-00008-of-000007.safetensors; broken model-00008-of-000007
fresh; cp changed/model-00004-of-000007.safetensors changed/$shard; broken $shard
for file in config.json tokenizer.json LICENSE model.safetensors.index.json; do
  fresh; printf ' ' >>changed/$file; broken $file
  fresh; rm changed/$file; broken $file
done
# A tensor more, in a shard and in the index.
fresh
python3 - <<'PY'
import json, pathlib
import tensor_file
shard = pathlib.Path("changed/model-00003-of-000007.safetensors")
tensors = tensor_file.read_file(shard)
tensor_file.write_file(shard, {**tensors, "model.layers.1.extra.weight": ("BF16", [1], b"\0\0")})
index = pathlib.Path("changed/model.safetensors.index.json")
j = json.loads(index.read_text())
j["weight_map"]["model.layers.1.extra.weight"] = shard.name
index.write_text(json.dumps(j))
PY
broken model.layers.1.extra.weight
# The same bytes under another type.
fresh
python3 - <<'PY'
import pathlib
path = pathlib.Path("changed/model-00003-of-000007.safetensors")
path.write_bytes(path.read_bytes().replace(b'"dtype":"BF16"', b'"dtype":"F16" ', 1))
PY
broken $shard

exits 3 tessera verify in
contains tessera.manifest.json
contains 'tessera verify A B'
exits 3 tessera verify nowhere
cp -a whole changed
truncate -s 100 changed/tessera.manifest.json
exits 3 tessera verify changed --json
last_error 'j["error"]["code"] == 3 and j["error"]["file"].endswith("tessera.manifest.json")'
[ ! -s out ]
