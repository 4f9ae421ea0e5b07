# Cutting for ranks: degrees judged before a byte is written, single ranks, casting in the same pass.
tessera synth v3 --preset tiny --quirks >log
exits 3 tessera reshard v3 none --mp 3
contains "n_routed_experts, which 3 does not divide"
contains "--mp 1, 2"
# 4 divides experts and heads, but not the blocks of the shared expert.
exits 3 tessera reshard v3 none --mp 4
contains "in blocks of 128"
[ ! -e none ]
for wrong in "" "--mp 2 --shard-size 1MB" "--mp 2 --names hf" "--shard-size 1MB --names deepseek" \
  "--mp 2 --rank 2" "--mp 0" "--mp 2 --names other"; do
  exits 2 tessera reshard v3 none $wrong
done

# Names, config and tokenizer as the demo wants them, and nothing else.
tessera reshard v3 two --mp 2 >log
[ "$(ls two | tr '\n' ' ')" = "config.json model0-mp2.safetensors model1-mp2.safetensors \
tessera.manifest.json tokenizer.json tokenizer_config.json " ]
json 'j["dtype"] == "fp8" and j["n_layers"] == 3 and j["n_routed_experts"] == 16' two/config.json
tessera verify two >log
json 'sum(j["ledger"].values()) == j["source"]["tensors"]' two/tessera.manifest.json
json '[r["rule"] for r in j["rules"]] == ["mtp-drop"]' two/tessera.manifest.json

# One rank is the same file that all ranks give.
tessera reshard v3 one --mp 2 --rank 1 >log
cmp one/model1-mp2.safetensors two/model1-mp2.safetensors
[ ! -e one/model0-mp2.safetensors ]
json '"other-ranks" in [r["rule"] for r in j["rules"]]' one/tessera.manifest.json

# The module stays beside the same set.
tessera reshard v3 kept --mp 2 --mtp keep >log
python3 - <<'PY'
import json, struct
def names(path):
    with open(path, "rb") as f:
        return set(json.loads(f.read(struct.unpack("<Q", f.read(8))[0])))
for rank in (0, 1):
    without, kept = (names(f"{d}/model{rank}-mp2.safetensors") for d in ("two", "kept"))
    assert without < kept and all(n.startswith("mtp.0.") for n in kept - without)
PY

# Casting and cutting in one pass gives what casting, then cutting gives; BF16 is bound by heads only.
tessera cast v3 both --to bf16 --mp 8 >log
tessera cast v3 bf16 --to bf16 >log
tessera reshard bf16 then --mp 8 --threads 1 --memory 32MiB >log
for rank in 0 1 2 3 4 5 6 7; do
  cmp both/model$rank-mp8.safetensors then/model$rank-mp8.safetensors
done
json '"dtype" not in j' both/config.json

# Repacking keeps a weight and its scale together and every byte as it was.
tessera reshard v3 packed --shard-size 1MB >log
python3 - <<'PY'
import json
shard = json.load(open("packed/model.safetensors.index.json"))["weight_map"]
pairs = [n for n in shard if n + "_scale_inv" in shard]
assert len(pairs) > 100 and len(set(shard.values())) > 5
assert all(shard[n] == shard[n + "_scale_inv"] for n in pairs)
PY
tessera verify packed >log
tessera inspect packed --check >log

# The full release: what a rank holds, and where degrees end.
tessera synth release --preset deepseek-v3 --sparse >log
while read -r ranks tensors bytes; do
  exits 0 tessera reshard release none --mp $ranks --dry-run --json
  json "j['tensors'] == $ranks * $tensors and j['bytes'] == $ranks * $bytes"
done <<'END'
1 90427 673150611808
2 45883 337144622688
4 23611 169141628128
8 12475 85140130848
16 6907 43139382208
END
exits 3 tessera reshard release none --mp 32 --dry-run
contains "--mp 1, 2, 4, 8, 16"
exits 0 tessera cast release none --to bf16 --mp 128 --dry-run
exits 3 tessera cast release none --to bf16 --mp 256 --dry-run
contains "num_attention_heads"
