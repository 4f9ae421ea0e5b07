# verify A B --forward: what two models say of a text, gated by how B is stored; refusals name what differs.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth fp8 --preset tiny --quirks
exits 0 tessera cast fp8 bf16 --to bf16
exits 0 tessera synth plain --preset tiny --format bf16
exits 0 tessera quantize plain int4 --scheme w4a16
python3 -c 'print(*(i * 7919 % 640 for i in range(600)))' >ids.txt
compare() {  # compare CODE A B [OPTION...]
  exits "$1" tessera verify "$2" "$3" --forward --tokens ids.txt "${@:4}"
}

# Equal checkpoints, however they are cut, predict the same bits.
exits 0 tessera reshard fp8 ranks --mp 2
for other in fp8 ranks; do
  compare 0 fp8 $other --json
  json 'list(j) == sorted(j) and j["schema"] == 1 and j["tokens"] == 600 and j["identical"]'
  json 'j["kl"]["max"] == j["kl"]["mean"] == 0 and j["top1"] == 1 and j["ppl"]["a"] == j["ppl"]["b"] > 1'
  json 'all(l["error"] == 0 and l["cosine"] == 1 for l in j["layers"]) and len(j["layers"]) == 3'
  json 'j["routing"]["overlap"] == 1 and j["routing"]["flips"] == 0 and all(g["ok"] for g in j["gates"])'
  json 'j["exact"] is None and j["worst"] == [] and "bit for bit" in j["verdict"]'
done
json 'j["mtp"] is None'
# A faithful cast is its source rounded, bit for bit; against the stored weights it is not.
compare 0 fp8 bf16 --json
json 'j["identical"] and j["weights"] == "bf16" and j["kind"] == "plain" and j["mtp"]["kl"]["max"] == 0 and j["texts"] == {}'
exits 0 tessera verify fp8 bf16 --forward --tokens ids.txt --weights bf16 --dtype bf16
compare 1 fp8 bf16 --weights stored --gate kl=0 --json
json 'not j["identical"] and 0 < j["kl"]["mean"] and j["weights"] == "stored"'

# Of a cast to F32 nothing was rounded; F16 is not BF16.
exits 0 tessera cast fp8 f32 --to f32
compare 0 fp8 f32 --json
json 'j["identical"] and j["weights"] == "stored" and j["kind"] == "plain"'
exits 0 tessera cast fp8 f16 --to f16
# One near tie of a router that was never trained carries the mean.
compare 0 fp8 f16 --gate kl=1e-3 --gate top1=0 --json
json 'not j["identical"] and j["weights"] == "stored"'

# A quantization: every figure is there, and the gates are those of its kind.
compare 1 plain int4 --json
json '{g["name"]: g["limit"] for g in j["gates"]} == {"kl": 0.05, "top1": 0.92} and j["kind"] == "int4"'
json 'list(j["kl"][p] for p in ("min", "median", "p90", "p95", "p99", "p999", "max")) == sorted(j["kl"][p] for p in ("min", "median", "p90", "p95", "p99", "p999", "max"))'
json 'len(j["worst_tokens"]) == 10 and j["worst_tokens"][0]["kl"] == j["kl"]["max"]'
json 'j["layers"][0]["routing"] is None and sum(j["layers"][1]["routing"]["loads_a"]) == 600 * 4'
json '0 < j["layers"][0]["noise_floor"] < j["layers"][2]["noise_floor"] < 0.1'
json '0 <= j["mtp"]["acceptance_b"] <= 1 and j["delta_p"]["rms"] > 0 and j["ppl"]["ln_ratio_error"] > 0'
# Tokens are shown by their text.
cp out one
python3 - <<'PY'
import json, pathlib
report = json.load(open("one"))
tokenizer = json.loads(pathlib.Path("plain/tokenizer.json").read_text())
pieces = {id: piece for piece, id in tokenizer["model"]["vocab"].items()}
pieces.update((token["id"], token["content"]) for token in tokenizer["added_tokens"])
shown = {top["token"] for worst in report["worst_tokens"] for top in worst["top_a"] + worst["top_b"]}
shown |= {worst[key] for worst in report["worst_tokens"] for key in ("token", "next")} - {None}
assert set(report["texts"]) == {str(id) for id in shown if id in pieces}
plain = [id for id in shown if pieces.get(id, "").isascii() and pieces.get(id, "").isalnum()]
assert plain and all(report["texts"][str(id)] == f'"{pieces[id]}"' for id in plain)
PY
compare 1 plain int4 --json --threads 1
cmp one out
compare 0 plain int4 --gate kl=1 --gate top1=0.5
contains 'as closely as its gates ask' out
[ "$(wc -l <out)" -le 20 ]
compare 1 plain int4 --gate kl=1 --gate top1=0.5 --gate routing-overlap=0.999
contains 'routing-overlap' out
compare 1 plain int4 --gate kl=1 --gate top1=0.5 --gate residual-error=1e-6
contains 'B does not predict what A does' out

# With the least memory for both passes, the same report.
exits 6 tessera verify plain int4 --forward --tokens ids.txt --json --threads 1 --memory 1MiB
needed=$(sed -n 's/.*at least \([0-9]*\) bytes.*/\1/p' err)
exits 6 tessera verify plain int4 --forward --tokens ids.txt --json --threads 1 --memory $((needed - 1))
compare 1 plain int4 --json --threads 1 --memory "$needed"
cmp one out

# Both comparisons in one, and as a page.
compare 1 plain int4 --tensors --json
json 'j["exact"] == 61 and j["failed"] == 144 == len(j["worst"]) and j["kl"]["mean"] > 0'
json '{"kl", "top1", "sqnr-int4"} <= {g["name"] for g in j["gates"]} and ";" in j["verdict"]'
compare 1 plain int4 --tensors --report both.html -q
compare 1 plain int4 --report report.html -q
python3 - <<'PY'
import report_page
text, data = report_page.check("report.html")
for part in ("Fails", "Worst tokens", "Error by depth", "Expert loads", "Divergence", "Q4_K_M",
             "tessera verify plain int4 --forward --tokens ids.txt --report report.html"):
    assert part in text, part
assert len(data) == 4 and len(data[3]["columns"]) == 16 and data[3]["rows"] == ["1", "2"]
text, data = report_page.check("both.html")
assert "Worst tensors" in text and "Coverage" in text and len(data) == 6
PY
echo 5 >one.txt
exits 0 tessera verify fp8 fp8 --forward --tokens one.txt --json --report one.html
json 'j["ppl"]["a"] is None and j["delta_p"] is None and j["mtp"] is None and j["tokens"] == 1'
python3 -c 'import report_page; report_page.check("one.html")'

# A text is A's to encode.
echo 'What two models say of a text, both must have read as the same tokens.' >text.txt
exits 0 tessera verify fp8 bf16 --forward --text text.txt --json
json 'j["identical"] and j["tokens"] > 10'

# GGUF files are models like others: a plain one holds the same logits, a coarser one its own limits.
exits 0 tessera gguf plain plain.gguf --type BF16
exits 0 tessera gguf plain small.gguf --type Q8_0
compare 1 plain small.gguf --json
json 'j["kind"] == "int8-group" and {g["name"]: g["limit"] for g in j["gates"]} == {"kl": 0.002, "top1": 0.975}'
compare 0 plain plain.gguf --json
json 'j["kind"] == "plain" and j["kl"]["mean"] == 0'

exits 0 tessera gguf fp8 f32.gguf --type F32
compare 0 fp8 f32.gguf --json
json 'j["identical"] and j["weights"] == "stored"'
compare 0 fp8 f32.gguf
contains 'B f32.gguf: ' out
exits 3 tessera verify plain.gguf plain --forward --text text.txt
contains 'in:        .'

# A page that cannot be written is refused before anything is read.
for page in nowhere/page.html page.txt; do
  exits $([ $page = page.txt ] && echo 2 || echo 4) tessera verify missing plain --forward --tokens ids.txt --report $page
  contains "$page"
done
mkdir page.html
exits 2 tessera verify missing plain --report page.html
exits 3 tessera verify missing plain --report fresh.html
[ -z "$(ls | grep -e partial -e fresh || true)" ]

# Two that are not the same model, or not the same language.
refused() {  # refused CODE TEXT A B [OPTION...]
  exits "$1" tessera verify "$3" "$4" --forward --json "${@:5}"
  contains "$2"
  [ ! -s out ]
}
exits 0 tessera synth other --preset tiny --family v2-lite
refused 2 "not one architecture" fp8 other --tokens ids.txt
cp -a fp8 foreign
python3 - <<'PY'
import json, pathlib
path = pathlib.Path("foreign/tokenizer.json")
tokenizer = json.loads(path.read_text())
vocabulary = tokenizer["model"]["vocab"]
first, second = list(vocabulary)[:2]
vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
path.write_text(json.dumps(tokenizer))
PY
refused 2 "different tokenizers" fp8 foreign --tokens ids.txt
echo "1 2 640" >bad.txt
refused 2 "position 2" fp8 bf16 --tokens bad.txt
refused 2 "--tokens" fp8 bf16
exits 2 tessera verify fp8 bf16 --tokens ids.txt
exits 2 tessera verify fp8 bf16 --dtype bf16
exits 2 tessera verify fp8 --forward --tokens ids.txt
