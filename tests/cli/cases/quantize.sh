# Every scheme of the registry on the tiny V3: what it makes verifies, inspects, casts, and is the same tree however
# it is made (fp8-block the source is already); what no scheme may touch is untouched, and every source tensor is in the ledger once.
exits 0 tessera synth in --preset tiny --quirks
exits 0 tessera cast in bf16 --to bf16
exits 0 tessera schemes --json
names=$(json '" ".join(s["name"] for s in j["schemes"] if not s["name"].startswith("repack-") and s["name"] != "fp8-block")')
[ "$(wc -w <<<"$names")" = 18 ]
digests() { (cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2); }

# 1: whole, but some weight is below what its scales promise; the manifest then marks as many.
quantizes() {
  local status=0
  tessera quantize "$@" --json >out 2>err || status=$?
  [ $status = 0 ] || { cat err >&2; return 1; }
  json 'not j["below"]'
}
options() { case $1 in w4afp8 | trtllm-w4a8) echo --input-scale 0.01 ;; esac; }

for scheme in $names; do
  tessera schemes --json >row
  rest=$(json "next(s['rest'] for s in j['schemes'] if s['name'] == '$scheme')" row)
  quantizes in made --scheme $scheme $(options $scheme)
  json 'sum(j["ledger"].values()) == 383 and j["ledger"]["quantized"] > 100 and j["ledger"]["folded"] > 100'
  exits 0 tessera verify made
  exits 0 tessera inspect made --check --json
  json '[f for f in j["findings"] if f["severity"] == "error"] == []'
  json "sum(j['ledger'].values()) == j['source']['tensors'] == 383" made/tessera.manifest.json
  exits 0 tessera cast made cast --to bf16
  python3 - "$rest" <<'PY'
import glob, json, re, struct, sys
def header(folder):
    tensors = {}
    for path in glob.glob(folder + "/*.safetensors"):
        data = open(path, "rb").read()
        begin = 8 + struct.unpack("<Q", data[:8])[0]
        for name, t in json.loads(data[8:begin]).items():
            if name != "__metadata__":
                low, high = t["data_offsets"]
                tensors[name] = t["dtype"], t["shape"], data[begin + low:begin + high]
    return tensors
source, made, bf16 = map(header, ("in", "made", "bf16"))
linear = re.compile(r"\.(self_attn\.\w+_proj\w*|mlp\.(experts\.\d+\.|shared_experts\.)?(gate|up|down)_proj)\.weight$")
for name, tensor in source.items():
    if name.endswith("_scale_inv"):
        continue
    if not linear.search(name):
        assert made[name] == tensor, name  # router, its bias, norms, embeddings, heads, eh_proj
    elif name in made and made[name][0] == "BF16":
        assert sys.argv[1] == "bf16" and made[name] == bf16[name], name
    elif sys.argv[1] == "fp8" and ".experts." not in name:
        assert made[name] == tensor and made[name + "_scale_inv"] == source[name + "_scale_inv"], name
left = [n for n, t in made.items() if t[0] == "BF16" and linear.search(n)]
assert not any(".mlp.experts." in n for n in left), left
PY
  expected=$(digests made)
  for way in "--threads 1" "--threads 4" "--memory 64MiB" "--threads 2 --memory 8MiB"; do
    rm -r made
    quantizes in made --scheme $scheme $(options $scheme) $way
    [ "$(digests made)" = "$expected" ] || { echo "$scheme: another tree with $way" >&2; exit 1; }
  done
  rm -r made cast
done

# All targets that this processor has.
for target in AVX3 AVX2 SSE4 SSSE3 SCALAR EMU128; do
  TESSERA_SIMD=$target tessera cast in none --to bf16 --dry-run >out 2>err || continue
  for scheme in w4a16-asym int8-block awq; do
    quantizes in first-$scheme --scheme $scheme
    TESSERA_SIMD=$target quantizes in made --scheme $scheme
    [ "$(digests made)" = "$(digests first-$scheme)" ] || { echo "$scheme: another tree with $target" >&2; exit 1; }
    rm -r made
  done
done

# FP8 for the demo's ranks: what cast makes of the same source.
exits 0 tessera synth plain --preset tiny --format bf16
for format in f32:fp8-block ue8m0:fp8-block-ue8m0; do
  exits 0 tessera quantize plain ranks --scheme ${format#*:} --mp 2
  exits 0 tessera cast plain wanted --to fp8 --scale-format ${format%:*} --mp 2
  for file in wanted/*.safetensors wanted/config.json; do cmp "$file" "ranks/${file#wanted/}"; done
  rm -rf ranks wanted
done
