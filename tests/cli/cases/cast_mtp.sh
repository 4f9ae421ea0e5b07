# --mtp drop leaves out exactly the MTP module and says so in the config; only takes nothing else.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --quirks
for mode in keep drop only; do
  exits 0 tessera cast in $mode --to bf16 --mtp $mode --json
  cp out $mode.json
  exits 0 tessera verify $mode
done
python3 - <<'PY'
import json
import tensor_file
config = json.load(open("in/config.json"))
layer = f"model.layers.{config['num_hidden_layers']}."
keep, drop, only = map(tensor_file.read_folder, ("keep", "drop", "only"))
module = {name for name in keep if name.startswith(layer)}
assert len(module) > 10
assert drop == {name: keep[name] for name in keep if name not in module}
assert only == {name: keep[name] for name in module}
source = tensor_file.read_folder("in")
for mode, dropped, layers in (
        ("keep", 0, 1), ("drop", sum(name.startswith(layer) for name in source), 0),
        ("only", sum(not name.startswith(layer) for name in source), 1)):
    result = json.load(open(mode + ".json"))
    assert result["ledger"]["dropped"] == dropped, mode
    assert sum(result["ledger"].values()) == len(source), mode
    assert json.load(open(mode + "/config.json"))["num_nextn_predict_layers"] == layers, mode
    manifest = json.load(open(mode + "/tessera.manifest.json"))
    assert sum(rule["tensors"] for rule in manifest["rules"]) == dropped, mode
    assert manifest["ledger"] == result["ledger"], mode
PY
# A checkpoint without the module has nothing to drop, and nothing to be only.
exits 0 tessera cast drop again --to bf16 --mtp drop
exits 3 tessera cast drop none --to bf16 --mtp only
[ ! -e none ]
