# --for: every engine and scheme either loads, by inspect's own judgement, or is refused with the reason and what is
# nearest.
exits 0 tessera synth in --preset tiny --quirks --format bf16
exits 0 tessera engines --json
engines=$(json '" ".join(e["name"] for e in j["engines"])')
[ "$(wc -w <<<"$engines")" = 11 ]
cp out engines.json
exits 0 tessera schemes --json
schemes=$(json '" ".join(s["name"] for s in j["schemes"] if not s["name"].startswith("repack-"))')
loaded=0 refused=0
for engine in $engines; do
  for scheme in $schemes; do
    options=
    case $scheme in w4afp8 | trtllm-w4a8) options="--input-scale 0.01" ;; esac
    status=0
    tessera quantize in made --scheme $scheme $options --for $engine >out 2>err || status=$?
    case $status in
      0 | 1)
        contains "$engine" out
        status=0
        tessera inspect made --for $engine --json >out 2>err || status=$?
        json 'j["engine"]["loads"] and [f for f in j["findings"] if f["severity"] == "error"] == []'
        [ $status = 0 ]
        loaded=$((loaded + 1))
        echo "$scheme $engine" >>pairs
        rm -r made
        ;;
      3)
        contains "error: $engine does not load"
        contains "found:"
        grep -qE "nearest that loads:|expected:" err
        [ ! -s out ]
        [ ! -e made ]
        refused=$((refused + 1))
        ;;
      *) cat err >&2; exit 1 ;;
    esac
  done
done
[ $loaded -ge 60 ] && [ $refused -ge 100 ]

# `schemes` lists the very engines that load this model so; the demo's files must be cut.
exits 0 tessera schemes --json
json '{(s["name"], e) for s in j["schemes"] for e in s["engines"] if e != "deepseek-demo" and "repack" not in s["name"]} == {
  tuple(line.split()) for line in open("pairs")}'
for refusal in "amd w4a16-channel w4a16-g32" "vllm-ascend w4a16 w4a16-g32" "ktransformers w4a16-channel w4a16,"; do
  read -r engine scheme nearest <<<"$refusal"
  exits 3 tessera quantize in made --scheme $scheme --for $engine
  grep "nearest that loads: .*$nearest" err
done
exits 0 tessera synth k2 --preset tiny --family k2
exits 3 tessera quantize k2 made --scheme trtllm-w4a8 --input-scale 0.01 --for tensorrt-llm
contains "found:     k2"
contains "one of v3, v3.1, v3.2"

# Whole layers may stay unquantized where the engine's list reaches them, and nowhere else.
for engine in vllm sglang tensorrt-llm transformers vllm-ascend; do
  for scheme in $(sed -n "s/ $engine\$//p" pairs); do
    options=
    case $scheme in w4afp8 | trtllm-w4a8) options="--input-scale 0.01" ;; esac
    status=0
    tessera quantize in made --scheme $scheme $options --for $engine --ignore 'layers\.1\.' >out 2>err || status=$?
    case $status in
      0 | 1)
        exits 0 tessera inspect made --for $engine
        rm -r made
        ;;
      3) contains "that --ignore leaves out" ;;
      *) cat err >&2; exit 1 ;;
    esac
  done
done

# The demo loads files cut for ranks, and nobody else does: quantize and inspect say the same.
exits 3 tessera quantize in made --scheme fp8-block --for deepseek-demo
contains "deepseek-demo does not load files that are not cut"
contains "with --mp N"
exits 3 tessera quantize in made --scheme fp8-block --for vllm --mp 2
contains "vllm does not load files cut for ranks"
for for in "" "--for deepseek-demo"; do
  exits 0 tessera quantize in made --scheme fp8-block --mp 2 $for --json
  json 'j["engines"] == ["deepseek-demo"]'
  exits 0 tessera inspect made --for deepseek-demo --tp 2
  for engine in $engines; do
    [ $engine = deepseek-demo ] || exits 1 tessera inspect made --for $engine --json
    [ $engine = deepseek-demo ] || json '"cut-for-ranks" in [f["rule"] for f in j["findings"]]'
  done
  rm -r made
done

# What an engine cannot load narrows the coverage or is refused, never written.
exits 3 tessera quantize in made --scheme w4a16 --search mse-signed --for vllm
contains "negative scales"
contains "nearest that loads: --search mse"
exits 0 tessera quantize in made --scheme w4a16 --search mse-signed --for transformers
exits 0 tessera inspect made --check --for vllm --json
json "'negative-scales' in [f['rule'] for f in j['findings']]"
exits 0 tessera inspect made --check --for transformers --json
json "'negative-scales' not in [f['rule'] for f in j['findings']]"
rm -r made
exits 0 tessera quantize in made --scheme w4a16 --all-linears --for sglang
json 'all(".mlp.experts." in n for n, t in j["tensors"].items() if t["by"] == "quantized")' made/tessera.manifest.json
exits 0 tessera inspect made --for sglang
