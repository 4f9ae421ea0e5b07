# --dedup-mtp drops the module's embedding and head where they are the main model's, and only then.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --quirks
embed=model.layers.3.embed_tokens.weight head=model.layers.3.shared_head.head.weight
exits 0 tessera cast in deduped --to bf16 --dedup-mtp --json
json 'j["mtp_duplicates"] == {"dropped": ["'$embed'", "'$head'"], "kept": []}'
json 'j["ledger"]["dropped"] == 2 and sum(j["ledger"].values()) == 383'
json 'j["rules"] == [{"rule": "mtp-duplicate", "tensors": 2}]' deduped/tessera.manifest.json
exits 0 tessera inspect deduped --check
tessera cast in kept --to bf16 -q >/dev/null
same_tensors kept deduped "name not in ('$embed', '$head')"

# One bit of the head: it is kept, which is said, and is part of the plan.
python3 - <<PY
import pathlib
import tensor_file
for path in pathlib.Path("in").glob("*.safetensors"):
    header = tensor_file.read_header(path)
    if "$head" in header:
        with path.open("r+b") as file:
            file.seek(header["$head"][3] - 1)
            byte = file.read(1)[0]
            file.seek(header["$head"][3] - 1)
            file.write(bytes([byte ^ 1]))
PY
exits 0 tessera reshard in one --names hf --dedup-mtp --json
json 'j["mtp_duplicates"] == {"dropped": ["'$embed'"], "kept": ["'$head'"]}'
contains "$head is kept: it is not the same as lm_head.weight"
json 'j["request"]["dedup_mtp"] == "'$embed'=dropped '$head'=kept"' one/tessera.manifest.json
same_tensors in one "name != '$embed'"
exits 0 tessera reshard in one --names hf --dedup-mtp
exits 5 tessera reshard in one --names hf
# Composes: with ranks, with the module alone, with splitting and joining.
exits 0 tessera reshard in ranks --mp 2 --mtp keep --dedup-mtp --json
json 'len(j["mtp_duplicates"]["dropped"]) == 1'
exits 0 tessera reshard ranks back --names hf
same_tensors one back
exits 0 tessera cast in only --to bf16 --mtp only --dedup-mtp --json
json 'len(j["mtp_duplicates"]["dropped"]) == 1 and j["ledger"]["dropped"] == 260'
exits 0 tessera split-mtp in --main main --mtp mtp --dedup-mtp
json '{r["rule"]: r["tensors"] for r in j["rules"]} == {"mtp-duplicate": 1, "split": 259}' \
  mtp/tessera.manifest.json
json '{r["rule"]: r["tensors"] for r in j["rules"]} == {"split": 124}' main/tessera.manifest.json
exits 0 tessera join-mtp main mtp joined
same_tensors one joined
exits 0 tessera split-mtp in --main main2 --mtp mtp2
exits 0 tessera join-mtp main2 mtp2 joined2 --dedup-mtp
same_tensors one joined2
# A module alone has nothing to be compared with.
exits 0 tessera cast mtp2 alone --to bf16 --dedup-mtp --json
contains "the main model's is not here to compare it with"
json 'j["mtp_duplicates"]["dropped"] == [] and len(j["mtp_duplicates"]["kept"]) == 2'
# Nothing to drop is said, too.
for arguments in "main" "in --mtp drop"; do
  rm -rf none
  set -- $arguments
  exits 0 tessera cast "$1" none --to bf16 ${2-} ${3-} --dedup-mtp
  contains "--dedup-mtp has no effect"
done
