# Main model and MTP module go to folders of their own in one pass, in each engine's form.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --quirks
exits 0 tessera split-mtp in --main main --mtp mtp --json
json 'sum(j["ledger"].values()) == j["tensors"] == j["ledger"]["copied"] == 383'
json 'j["read_bytes"] == j["written_bytes"] == j["bytes"]'
# The same as two casts would give, one pass.
tessera reshard in dropped --names hf --mtp drop -q >/dev/null
tessera reshard in alone --names hf --mtp only -q >/dev/null
for pair in "main dropped" "mtp alone"; do
  set -- $pair
  for file in $(cd "$2" && ls | grep -v manifest); do cmp "$1/$file" "$2/$file"; done
  [ "$(ls "$1")" = "$(ls "$2")" ]
  exits 0 tessera verify "$1"
  exits 0 tessera inspect "$1" --check
done
json 'j["num_nextn_predict_layers"] == 0' main/config.json
exits 0 tessera cast mtp bf16 --to bf16
# Each manifest counts every source tensor once.
json 'j["source"]["tensors"] == 383 == sum(j["ledger"].values())' main/tessera.manifest.json
json 'j["rules"] == [{"rule": "split", "tensors": 124}] and j["ledger"]["copied"] == 259' \
  main/tessera.manifest.json
json 'j["rules"] == [{"rule": "split", "tensors": 259}] and j["ledger"]["copied"] == 124' \
  mtp/tessera.manifest.json

# Done is done; --force makes it anew; another request is refused.
exits 0 tessera split-mtp in --main main --mtp mtp
contains "main and mtp are already complete" out
cp main/tessera.manifest.json before
exits 0 tessera split-mtp in --main main --mtp mtp --force --threads 1 --memory 2MiB
cmp before main/tessera.manifest.json
exits 5 tessera split-mtp in --main main --mtp mtp --for vllm
# One folder gone is made again, and only the same bytes.
rm -r mtp
exits 0 tessera split-mtp in --main main --mtp mtp
cmp before main/tessera.manifest.json
same_tensors alone mtp
rm -r main
exits 0 tessera split-mtp in --main main --mtp mtp
cmp before main/tessera.manifest.json

# SGLang: exactly its exporter's draft, by its rules read anew.
exits 0 tessera split-mtp in --main main-sglang --mtp sglang --for sglang --json
json 'j["ledger"]["dropped"] == 2 and j["ledger"]["copied"] == 381'
json '{r["rule"]: r["tensors"] for r in j["rules"]} == {"split": 259, "sglang-shared": 2}' \
  sglang/tessera.manifest.json
json 'j["rules"] == [{"rule": "split", "tensors": 124}]' main-sglang/tessera.manifest.json
exits 0 tessera verify sglang
python3 - <<'PY'
import json, pathlib
import tensor_file
draft = tensor_file.read_folder("sglang")
want = {name.replace("model.layers.3", "model.layers.0"): tensor
        for name, tensor in tensor_file.read_folder("in").items()
        if name.startswith("model.layers.3") and "embed_tokens" not in name
        and "shared_head.head" not in name}
assert draft == want
path = pathlib.Path("sglang/nextn_layer_parameters.safetensors")
assert [p.name for p in pathlib.Path("sglang").glob("*.safetensors")] == [path.name]
# As the package's save_file writes it: no metadata, widest type first, then names.
order = {"F32": 0, "BF16": 1, "F8_E4M3": 2}
header = tensor_file.read_header(path)
assert list(header) == sorted(header, key=lambda name: (order[header[name][0]], name))
assert b"__metadata__" not in path.read_bytes()[:8192]
index = json.loads(pathlib.Path("sglang/model.safetensors.index.json").read_text())
assert index == {"weight_map": {name: path.name for name in want}}
config, source = (json.loads(pathlib.Path(d + "/config.json").read_text()) for d in ("sglang", "in"))
assert list(config) == sorted(config)
assert config == source | {"num_hidden_layers": 1, "architectures": ["DeepseekV3ForCausalLMNextN"]}
files = lambda d: {p.name for p in pathlib.Path(d).iterdir() if p.suffix != ".safetensors"}
assert files("sglang") == files("in") | {"tessera.manifest.json"}
PY

# vLLM reads the layer under its own number, with its copies.
exits 0 tessera split-mtp in --main main-vllm --mtp vllm --for vllm
same_tensors alone vllm
cmp in/config.json vllm/config.json

# The demo's names, as reshard writes them.
exits 0 tessera split-mtp in --main main-demo --mtp demo --for deepseek
tessera reshard in ranks --mp 1 --mtp only -q >/dev/null
for file in model0-mp1.safetensors config.json tokenizer.json; do cmp "demo/$file" "ranks/$file"; done
[ "$(ls demo)" = "$(ls ranks)" ]
same_tensors dropped main-demo

# Shards cut by size, in both folders.
exits 0 tessera split-mtp in --main main-even --mtp mtp-even --shard-size 1MB
same_tensors main main-even
same_tensors mtp mtp-even
[ "$(ls mtp-even/*.safetensors | wc -l)" -gt 2 ]
exits 0 tessera split-mtp in --main x --mtp y --rehearse
exits 0 tessera split-mtp in --main x --mtp y --dry-run --json
json 'j["tensors"] == 383 and j["files"] == 8'
[ ! -e x ] && [ ! -e y ]

# Every family that has a module.
for family in v3.1 v3.2 glm5; do
  exits 0 tessera synth $family --preset tiny --family $family --quirks
  exits 0 tessera split-mtp $family --main $family-main --mtp $family-mtp
  tessera reshard $family $family-dropped --names hf --mtp drop -q >/dev/null
  tessera reshard $family $family-alone --names hf --mtp only -q >/dev/null
  same_tensors $family-dropped $family-main
  same_tensors $family-alone $family-mtp
  cmp $family-dropped/config.json $family-main/config.json
  cmp $family-alone/config.json $family-mtp/config.json
done
