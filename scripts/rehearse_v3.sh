#!/bin/bash
# The full-scale proof: DeepSeek-V3 with all its 91,991 tensors in 163 files at true size, as holes,
# planned and then cast to BF16 with the output discarded. Checks counts, bytes and peak memory.
#
#   scripts/rehearse_v3.sh [DIR]     DIR (default: a temporary folder) gets 21 MB of files that
#                                    look like 689 GB; its file system must know sparse files
#
# Takes minutes: the holes are read and computed on as any bytes are. bench/rehearse_v3.log is a run.
set -euo pipefail
cd "$(dirname "$0")/.."

tessera=${TESSERA:-$PWD/build/release/bin/tessera}
dir=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/rehearse_v3.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# check NAME FILE KEY=VALUE... : `peak_memory` is an upper bound, the rest is exact.
check() {
  python3 - "$@" <<'PYTHON'
import json, sys

name, path, *wanted = sys.argv[1:]
result = json.load(open(path))
result |= result.pop("ledger")
failed = False
for item in wanted:
    key, value = item.split("=")
    bound = key == "peak_memory"
    ok = result[key] <= int(value) if bound else result[key] == int(value)
    failed |= not ok
    relation = "at most" if bound else "expected"
    print(f"{name:9} {key:14} {result[key]:>20,} {'ok' if ok else 'FAILED'}, {relation} {int(value):,}")
sys.exit(failed)
PYTHON
}

"$tessera" version
echo "on $(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
"$tessera" synth "$dir/v3" --preset deepseek-v3 --sparse

plan="tensors=46183 bytes=1368979721216 files=163 copied=375 dequantized=45808 folded=45808"
"$tessera" cast "$dir/v3" "$dir/out" --to bf16 --dry-run --json >"$dir/dry_run.json"
check dry-run "$dir/dry_run.json" $plan
"$tessera" cast "$dir/v3" "$dir/out" --to bf16 --mtp drop --dry-run --json >"$dir/mtp_drop.json"
check mtp-drop "$dir/mtp_drop.json" tensors=45395 bytes=1342052868096

"$tessera" cast "$dir/v3" "$dir/out" --to bf16 --rehearse --json >"$dir/rehearse.json"
check rehearse "$dir/rehearse.json" $plan \
  read_bytes=688574839360 written_bytes=0 peak_memory=$((512 << 20))
[ ! -e "$dir/out" ] || { echo "rehearsal wrote $dir/out"; exit 1; }
python3 - "$dir/rehearse.json" <<'PYTHON'
import json, sys

r = json.load(open(sys.argv[1]))
print(f"rehearsed in {r['seconds']:.0f} s: {r['read_bytes'] / r['seconds'] / 1e9:.2f} GB/s of input")
PYTHON
