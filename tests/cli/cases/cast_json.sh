# The JSON of a plan, a rehearsal and a finished run: the contract's keys, sorted, and true numbers.
exits 0 tessera synth in --preset tiny --quirks
plan_keys='("bytes", "file_bytes", "files", "ledger", "peak_memory", "plan", "steps", "tensors")'
run_keys='("read_bytes", "resumed_steps", "seconds", "written_bytes")'
check_types() {
  json 'list(j) == sorted(j) and list(j["ledger"]) == sorted(j["ledger"]) and j["schema"] == 1'
  json "all(k in j for k in $plan_keys)"
  json 'all(type(j[k]) is int for k in ("bytes", "file_bytes", "files", "peak_memory", "steps", "tensors"))'
  json 'set(j["ledger"]) == {"copied", "cast", "dequantized", "quantized", "repacked", "folded", "dropped"}'
  json 'all(type(n) is int for n in j["ledger"].values()) and type(j["plan"]) is str and j["plan"] != ""'
}
for options in "--to bf16" "--to f16 --mtp drop" "--to f32 --shard-size 3MB" "--to bf16 --sha256"; do
  exits 0 tessera cast in made $options --dry-run --json
  check_types
  json "not any(k in j for k in $run_keys)"
  [ ! -e made ]
  cp out plan.json
  exits 0 tessera cast in made $options --rehearse --json
  check_types
  json "all(k in j for k in $run_keys)"
  [ ! -e made ]
  exits 0 tessera cast in made $options --json
  [ ! -s err ]
  check_types
  json "all(type(j[k]) is int for k in ('read_bytes', 'resumed_steps', 'written_bytes'))"
  json 'type(j["seconds"]) is float and j["resumed_steps"] == 0 and j["written_bytes"] == j["bytes"]'
  json 'all(j[k] == v for k, v in json.load(open("plan.json")).items() if k != "peak_memory")'
  # Sizes were exact.
  total=$(cat made/*.safetensors | wc -c)
  json "j['file_bytes'] == $total"
  json "j['files'] == $(ls made/*.safetensors | wc -l)"
  json 'j["plan"] == json.load(open("made/tessera.manifest.json"))["plan"]'
  json 'j["ledger"] == json.load(open("made/tessera.manifest.json"))["ledger"]'
  rm -r made
done
exits 0 tessera cast in made --to bf16 --sha256
python3 - <<'PY'
import hashlib, json, pathlib
manifest = json.loads(pathlib.Path("made/tessera.manifest.json").read_text())
assert list(manifest)[:3] == ["schema", "tool", "source"]
assert set(manifest["files"]) == {path.name for path in pathlib.Path("made").glob("*.safetensors")}
for name, entry in manifest["files"].items():
    data = pathlib.Path("made", name).read_bytes()
    assert entry["bytes"] == len(data)
    assert entry["sha256"] == hashlib.sha256(data).hexdigest(), name
PY
# For people: the same facts, on stdout alone.
exits 0 tessera cast in people --to bf16 --dry-run
contains "27,297,216 bytes" out
contains "31 copied, 176 dequantized, 176 folded" out
[ ! -s err ]
# Without an index, when told so; from the index; the result is the same.
exits 0 tessera cast in/model.safetensors.index.json by_index --to bf16 --sha256
diff -r made by_index
rm in/model.safetensors.index.json
exits 0 tessera cast in no_index --to bf16 --sha256 --no-index
for file in made/*.safetensors made/config.json made/model.safetensors.index.json; do
  cmp "$file" "no_index/${file#made/}"
done
