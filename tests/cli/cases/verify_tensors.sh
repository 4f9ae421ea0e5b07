# verify A B compares tensor by tensor: equal, rounded, quantized within its gates, or exit 1 and named.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth fp8 --preset tiny --quirks
exits 0 tessera cast fp8 bf16 --to bf16
exits 0 tessera synth plain --preset tiny --format bf16
exits 0 tessera cast plain quantized --to fp8

# Every byte the same, in other shards.
exits 0 tessera reshard fp8 other --shard-size 3MB
exits 0 tessera verify fp8 other --tensors --json
json 'list(j) == sorted(j) and j["schema"] == 1'
json 'j["exact"] == 207 and (j["within"], j["failed"], j["unmatched_a"], j["unmatched_b"]) == (0, 0, 0, 0)'
json 'j["worst"] == [] and j["unmatched"] == [] and all(g["ok"] for g in j["gates"])'
[ ! -s err ]

# Cut for ranks: whole tensors again, without the module that the demo has no place for.
exits 0 tessera reshard fp8 ranks --mp 2
exits 0 tessera verify fp8 ranks --json
json 'j["exact"] == 139 and [u["rule"] for u in j["unmatched"]] == ["mtp-module"] and j["unmatched_a"] == 68'
json 'all(u["explained"] and u["side"] == "a" and len(u["tensors"]) == 68 for u in j["unmatched"])'
exits 0 tessera cast fp8 main --to bf16 --mtp drop
exits 0 tessera verify bf16 main
contains 'only in A: the MTP module' out

# A cast is A rounded, and says so; a quantization is as far off as its scales predict.
exits 0 tessera verify fp8 bf16
contains 'rounded exactly' out
contains 'A rounded to BF16' out
[ "$(wc -l <out)" -le 20 ]
exits 0 tessera verify plain quantized --json
json 'j["exact"] == 29 and j["within"] == 176'
json 'all(abs(t["sqnr"] - t["predicted_sqnr"]) < 0.6 for t in j["worst"])'
json '{g["name"] for g in j["gates"]} >= {"sqnr-fp8", "predicted-gap", "worst-row", "worst-group", "gain-8bit"}'
cp out one
exits 0 tessera verify plain quantized --json --threads 1 --memory 2MiB
cmp out one

# Two that have nothing to do with each other; either may be the wrong one.
exits 1 tessera verify quantized plain --json
json 'j["failed"] == 176 and [g["name"] for g in j["gates"] if not g["ok"]] == ["rounding"]'
json 'all(t["agreement"] == "failed" for t in j["worst"]) and len(j["worst"]) == 176'
exits 0 tessera verify quantized plain --gate rounding=inf -q
exits 1 tessera verify plain quantized --gate sqnr-fp8=40
contains 'sqnr-fp8' out

# A damaged copy: named, with the gate, the row and the report.
cp -a quantized damaged
python3 - <<'PY'
import json, pathlib
import tensor_file
name = "model.layers.1.mlp.experts.3.down_proj.weight"
folder = pathlib.Path("damaged")
shard = folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][name]
tensors = tensor_file.read_file(shard)
dtype, shape, data = tensors[name]
tensors[name] = dtype, shape, data[:shape[1] * 5] + bytes(shape[1]) + data[shape[1] * 6:]
tensor_file.write_file(shard, tensors)
PY
exits 1 tessera verify plain damaged --report report.html
contains 'model.layers.1.mlp.experts.3.down_proj.weight' out
[ "$(wc -l <out)" -le 22 ]
exits 1 tessera verify plain damaged --json
json 'j["failed"] == 1 and j["worst"][0]["worst_row"]["row"] == 5 and j["worst"][0]["worst_group"]["row"] == 5'
json '{m["name"] for m in j["worst"][0]["missed"]} >= {"worst-row", "worst-group"}'

# The page: one file that needs nothing else, and says what the terminal says.
python3 - <<'PY'
import report_page
text, data = report_page.check("report.html")
for part in ("Fails", "experts.3.", "Worst tensors", "Coverage", "tessera verify plain damaged"):
    assert part in text, part
assert len(data) == 2 and data[1]["rows"] == ["1", "2", "3"] and len(data[1]["columns"]) == 16
assert any("misses" in t for t in data[1]["texts"])
PY
exits 0 tessera verify fp8 bf16 --report good.html -q
python3 -c 'import report_page; assert "Passes" in report_page.check("good.html")[0]'
exits 4 tessera verify fp8 bf16 --report nowhere/report.html
exits 2 tessera verify fp8 bf16 --report bf16/config.json
exits 0 tessera verify bf16

# An honest quantization of weights with heavy tails is called coarse, not wrong; a broken one wrong.
exits 0 tessera quantize fp8 int4 --scheme w4a16
exits 1 tessera verify fp8 int4
contains 'as precise as their scales promise, but coarser than a gate allows' out
exits 1 tessera verify fp8 int4 --gate worst-row=-1
contains 'not as they should be' out

# Options that do not fit.
exits 2 tessera verify fp8 bf16 --gate nonsense=3 --json
last_error '"nonsense" in j["error"]["what"]'
contains 'predicted-gap'
exits 2 tessera verify fp8 bf16 --gate rounding
exits 2 tessera verify bf16 --tensors
exits 2 tessera verify bf16 --report r.html
exits 6 tessera verify fp8 bf16 --memory 1kB
exits 3 tessera verify fp8 nowhere
exits 3 tessera verify nowhere fp8
# A config.json that is not that of its tensors, though they agree: of either side, or of both.
for change in 'j["num_hidden_layers"] -= 1' 'j["moe_intermediate_size"] = 128' 'j["num_hidden_layers"] += 1' 'j["vocab_size"] += 8'; do
  rm -rf other
  cp -r bf16 other
  python3 -c 'import json, sys
j = json.load(open("other/config.json")); exec(sys.argv[1]); json.dump(j, open("other/config.json", "w"))' "$change"
  exits 1 tessera inspect other --check
  for pair in "fp8 other" "other bf16" "other other"; do
    exits 1 tessera verify $pair --tensors --json
    json 'j["failed"] == 0 and [g["name"] for g in j["gates"] if not g["ok"]] in (["config"], ["unmatched", "config"])'
    json '"config.json of" in j["verdict"] and j["config_faults"][0]["what"] != ""'
  done
done
exits 1 tessera verify bf16 other
contains "config of B" out
# A shard of several is not the whole; nor is it a fault that both lack the MTP module.
exits 0 tessera verify bf16/model-00002-of-*.safetensors bf16/model-00002-of-*.safetensors --json
json 'j["config_faults"] == [] and j["failed"] == 0'
exits 0 tessera cast fp8 dropped --to bf16 --mtp drop
cp fp8/config.json dropped/config.json
exits 0 tessera verify dropped dropped --json
json 'j["config_faults"] == []'
