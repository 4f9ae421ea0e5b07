# Repacking rounds nothing: codes go from one format of equal meaning to another and back, and both mean the same.
exits 0 tessera synth in --preset tiny --family k2
quantizes() {
  local status=0
  tessera quantize "$@" >out 2>err || status=$?
  [ $status = 0 ] || { cat err >&2; return 1; }
}
for pair in "w4a16 repack-awq" "w4a16 repack-gptq" "w4a16-g32 repack-awq" "w4a16-asym repack-awq" "w8a16-g128 repack-gptq" \
  "gptq4 repack-ct" "gptq4 repack-awq" "gptq8 repack-ct" "awq repack-ct"; do
  set -- $pair
  quantizes in first --scheme $1
  exits 0 tessera quantize first second --scheme $2 --json
  json 'j["ledger"]["repacked"] > 90 and j["ledger"]["quantized"] == 0'
  exits 0 tessera verify second
  exits 0 tessera inspect second --check
  exits 0 tessera cast first plain-1 --to bf16
  exits 0 tessera cast second plain-2 --to bf16
  same_tensors plain-1 plain-2
  # And back, where the scales are of the same type: the tensors are those that were.
  case $pair in
    "awq repack-ct") exits 0 tessera quantize second third --scheme repack-awq ;;
    "gptq"?" repack-ct") exits 0 tessera quantize second third --scheme repack-gptq ;;
  esac
  if [ -e third ]; then same_tensors first third; fi
  rm -rf first second third plain-1 plain-2
done
# Loaders that take group scales for BF16 get them so, or nothing where that would change one.
exits 0 tessera quantize in first --scheme gptq4
exits 0 tessera quantize first second --scheme repack-ct --json
json '"vllm" in j["engines"] and "ktransformers" not in j["engines"]'
exits 1 tessera inspect second --for ktransformers
exits 0 tessera quantize first third --scheme repack-ct --for ktransformers
exits 0 tessera inspect third --for ktransformers
exits 0 tessera cast first plain-1 --to bf16
exits 0 tessera cast third plain-2 --to bf16
same_tensors plain-1 plain-2
rm -r first second third plain-1 plain-2
exits 0 tessera quantize in first --scheme gptq4 --search absmax
exits 3 tessera quantize first second --scheme repack-ct --for ktransformers
contains "scales that the other layout's type does not hold"
contains "_proj.qweight"
[ ! -e second/tessera.manifest.json ]
rm -r first second
# Never to where the meaning has no place.
for pair in "awq repack-gptq" "w4a16-asym repack-gptq" "gptq8 repack-awq" "w4a16-channel repack-awq" "w4a16-channel repack-gptq"; do
  set -- $pair
  quantizes in first --scheme $1
  exits 3 tessera quantize first second --scheme $2
  contains "has no counterpart"
  [ ! -e second ]
  rm -r first
done
# Nor does quantizing round what has the scheme's bits and groups already, whoever stored it.
for pair in "w4a16 w4a16" "w4a16 w4a16-asym" "gptq4 w4a16" "awq w4a16-asym" "w8a8 ascend-w8a8-dynamic" "w8a8 int8-channel" "w4a16 awq"; do
  set -- $pair
  quantizes in first --scheme $1 --experts-only
  exits 0 tessera quantize first second --scheme $2 --experts-only --json
  json 'j["ledger"]["repacked"] > 90 and j["ledger"]["quantized"] == 0 and "requantized" not in j'
  exits 0 tessera verify first second --json
  json 'j["failed"] == 0 and j["within"] == 0'
  [ $2 != ascend-w8a8-dynamic ] || exits 0 tessera inspect second --for vllm-ascend
  rm -r first second
done
quantizes in first --scheme w4a16
exits 3 tessera quantize first second --scheme w4a16 --search absmax
contains "already: quantized anew it would only lose"
contains "cast to bf16 first"
[ ! -e second ]
# What is told to be more is quantized, beside what stays.
exits 0 tessera quantize first second --scheme w4a16 --all-linears --json
json 'j["ledger"]["repacked"] > 90 and j["ledger"]["quantized"] > 10'
rm -r second
# Other bits or groups round a second time, and say so.
for scheme in w4a16-g32 w8a8 awq fp8-block; do
  again=96
  case $scheme in awq) again=0 ;; fp8-block) again=0 ;; esac
  exits 0 tessera quantize first second --scheme $scheme --experts-only
  if [ $again != 0 ]; then contains "quantized again: $again weights" out; fi
  exits 0 tessera quantize first third --scheme $scheme --experts-only --dry-run --json
  json "j.get('requantized', 0) == $again"
  rm -r second
done
rm -r first
