#!/bin/bash
# The toolkit in a minute: builds it, makes a small checkpoint with the quirks of the real release,
# looks at it, casts it from block FP8 to BF16, quantizes it to INT4, and checks the results.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

scripts/setup.sh
mkdir -p build
scripts/build.sh release tessera >build/demo.log 2>&1 || { cat build/demo.log >&2; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
PATH=$PWD/build/release/bin:$PATH
cd "$dir"

say() {
  echo
  printf '# %s\n' "$@"
}
show() {
  printf '$ %s\n' "$*"
  "$@"
}

say "A tiny model of the DeepSeek-V3 architecture: sharded, in block FP8, and with the oddities of the" \
    "real release, such as scales in the next shard, odd offsets, a wrong total_size."
show tessera synth original --preset tiny --quirks

say "What is it? Only headers are read. The findings at the end name the oddities."
show tessera inspect original

say "FP8 x scale -> F32 -> BF16, rounded twice as DeepSeek's own kernel does, in one streamed pass." \
    "Interrupt it and the same command goes on where it was; nothing half-written is ever in the output."
show tessera cast original bf16 --to bf16

say "The output has no scales and no quantization_config any more: any loader takes it."
show tessera inspect bf16

say "Every byte that was written is hashed in tessera.manifest.json; this reads them back." \
    "Line one is the verdict; the exit code says the same."
show tessera verify bf16
show tessera verify original bf16

say "INT4 experts as vLLM, SGLang and others load them, straight from FP8: scales are searched for the least" \
    "error, and the manifest says how good each weight is."
show tessera quantize original int4 --scheme w4a16 --for vllm
show tessera verify int4
show tessera inspect int4 --for vllm

say "The same, for your own: tessera cast DIR OUT --to bf16     (all options: tessera cast --help)"
