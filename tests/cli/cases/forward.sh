# A forward pass: the same bits whatever the shards, ranks, threads or decoder; refusals name what is wrong.
exits 0 tessera synth in --preset tiny --quirks
python3 -c 'print(*(i * 7919 % 640 for i in range(90)))' >ids.txt
forward() {  # forward CKPT LOGITS [OPTION...]
  exits 0 tessera forward "$1" --tokens ids.txt --logits "$2" "${@:3}"
}
forward in stored.safetensors
same() {  # same LOGITS CKPT [OPTION...]
  local expected=$1
  shift
  forward "$1" again.safetensors "${@:2}"
  cmp "$expected" again.safetensors
  rm again.safetensors
}

same stored.safetensors in --threads 1
same stored.safetensors in --threads 4
same stored.safetensors in --decoder reference
# With the least memory there is none for prefetching the next layer.
exits 6 tessera forward in --tokens ids.txt --threads 1 --memory 1MiB
needed=$(sed -n 's/.*at least \([0-9]*\) bytes.*/\1/p' err)
exits 6 tessera forward in --tokens ids.txt --threads 1 --memory $((needed - 1))
same stored.safetensors in --threads 1 --memory "$needed"
exits 0 tessera reshard in repacked --shard-size 2MB
same stored.safetensors repacked
exits 0 tessera reshard in ranks --mp 2
same stored.safetensors ranks
exits 0 tessera reshard ranks whole --names hf
same stored.safetensors whole

# Rounding on the way gives what a cast checkpoint gives, and something else than the stored weights.
exits 0 tessera cast in bf16 --to bf16
forward bf16 cast.safetensors
same cast.safetensors in --weights bf16
differs() {
  if cmp -s "$@"; then
    echo "the same: $*" >&2
    return 1
  fi
}
differs cast.safetensors stored.safetensors
for dtype in bf16 fp8; do
  forward in $dtype.safetensors --dtype $dtype
  differs $dtype.safetensors stored.safetensors
  same $dtype.safetensors in --dtype $dtype --threads 1
  same $dtype.safetensors ranks --dtype $dtype
done

# Ids in each of the forms.
tr ' ' ',' <ids.txt >commas.txt
python3 -c 'import json; print(json.dumps([int(i) for i in open("ids.txt").read().split()]))' >ids.json
PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1 python3 - <<'PY'
import pathlib, struct, tensor_file
ids = [int(i) for i in open("ids.txt").read().split()]
tensor_file.write_file(pathlib.Path("ids.safetensors"),
                       {"ids": ("I64", [1, len(ids)], struct.pack(f"<{len(ids)}q", *ids))})
PY
for ids in commas.txt ids.json ids.safetensors; do
  exits 0 tessera forward in --tokens $ids --logits again.safetensors
  cmp stored.safetensors again.safetensors
done

# The numbers printed are those of the logits written.
exits 0 tessera forward in --tokens ids.txt --logits again.safetensors --json
json 'list(j) == sorted(j) and j["schema"] == 1 and j["tokens"] == 90 == len(j["top1"])'
json 'len(j["top_k"]) == 90 and all(len(top) == 10 for top in j["top_k"])'
json '0 <= j["mtp_acceptance"] <= 1 and j["read_bytes"] > 0 and j["peak_memory"] > 0 and j["seconds"] > 0'
cp out report.json
PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1 python3 - <<'PY'
import json, math, pathlib, struct, tensor_file
ids = [int(i) for i in open("ids.txt").read().split()]
report = json.load(open("report.json"))
dtype, shape, data = tensor_file.read_file(pathlib.Path("again.safetensors"))["logits"]
assert (dtype, shape) == ("F32", [90, 640])
rows = [struct.unpack_from("<640f", data, 4 * 640 * i) for i in range(90)]
assert report["top1"] == [row.index(max(row)) for row in rows]
nll = [math.log(math.fsum(map(math.exp, row))) - row[t] for row, t in zip(rows, ids[1:])]
assert abs(report["nll"] - sum(nll) / 89) < 1e-9, report["nll"]
assert abs(report["perplexity"] - math.exp(report["nll"])) < 1e-6
for row, top in zip(rows, report["top_k"]):
    assert [e["token"] for e in top] == sorted(range(640), key=lambda t: (-row[t], t))[:10]
    total = math.fsum(map(math.exp, row))
    for entry in top:
        assert entry["logit"] == row[entry["token"]]
        assert abs(entry["probability"] - math.exp(row[entry["token"]]) / total) < 1e-12
PY
exits 0 tessera forward in --tokens ids.txt
contains "perplexity" out
contains "MTP drafts" out
# Experts that no token reaches are not read.
echo 5 >one.txt
exits 0 tessera forward in --tokens one.txt --json
json 'j["nll"] is None and j["perplexity"] is None and j["mtp_acceptance"] is None and j["tokens"] == 1'
json 'j["read_bytes"] < 6_000_000'

refused() {  # refused CODE TEXT [OPTION...]
  exits "$1" tessera forward in --json "${@:3}"
  contains "$2"
  [ ! -s out ]
}
echo "1 2 640" >bad.txt
refused 2 "position 2" --tokens bad.txt
refused 2 "0 to 639" --tokens bad.txt
echo "[1, 2.5]" >bad.txt
refused 2 "position 1" --tokens bad.txt
: >bad.txt
refused 2 "no token ids" --tokens bad.txt
refused 3 "missing.txt" --tokens missing.txt
refused 6 "memory" --tokens ids.txt --memory 1MiB
refused 4 "nowhere" --tokens ids.txt --logits nowhere/x.safetensors
# Logits replace logits, and nothing else: neither a shard nor a folder nor what a link leads to.
exits 0 tessera forward in --tokens one.txt --logits again.safetensors
before=$(cat in/* | sha256sum)
ln -s ../stored.safetensors in/link
for other in in/model-00001-of-000007.safetensors in/config.json ranks in/link; do
  refused 5 "holds no logits" --tokens ids.txt --logits $other
done
rm in/link
[ "$before" = "$(cat in/* | sha256sum)" ]
refused 2 "FP8" --tokens ids.txt --dtype fp8 --weights bf16
exits 2 tessera forward bf16 --tokens ids.txt --dtype fp8
contains "there are none"
sed -i 's/"yarn"/"linear"/' in/config.json
refused 3 "rope_type" --tokens ids.txt
# Nothing half-written stays.
[ -z "$(ls | grep partial || true)" ]
