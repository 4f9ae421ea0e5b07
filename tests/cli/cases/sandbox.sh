# --sandbox changes no byte, and lets nothing be opened but the request's own paths.
# A leak check reads /proc, which the sandbox forbids, and cannot work under strace.
export ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0"
exits 0 tessera synth in --preset tiny --quirks --seed 7
status=0
tessera cast in probe --to bf16 --sandbox >out 2>err || status=$?
if [ $status = 3 ]; then
  contains "--sandbox"
  skip "no Landlock in this kernel"
fi
[ $status = 0 ]

exits 0 tessera cast in clean --to bf16
diff -r clean probe
exits 0 tessera quantize in int4 --scheme w4a16 --for vllm
exits 0 tessera quantize in int4-boxed --scheme w4a16 --for vllm --sandbox --sha256 --threads 3
exits 0 tessera quantize in int4-sums --scheme w4a16 --for vllm --sha256
diff -r int4-sums int4-boxed
exits 0 tessera cast clean back --to fp8 --scales-from in --sandbox
exits 0 tessera split-mtp in --main main --mtp mtp --sandbox
exits 0 tessera join-mtp main mtp joined --sandbox
same_tensors in joined

# A hub's cache: links to files elsewhere.
mkdir -p hub/snapshots/1 hub/blobs
for file in in/*; do
  [ -f "$file" ] || continue
  cp "$file" "hub/blobs/$(basename "$file").blob"
  ln -s "../../blobs/$(basename "$file").blob" "hub/snapshots/1/$(basename "$file")"
done
exits 0 tessera cast hub/snapshots/1 from-hub --to bf16 --sandbox
diff clean/model.safetensors.index.json from-hub/model.safetensors.index.json

# Resumed, in parts, planned only, rehearsed.
exits 0 tessera cast in parts --to bf16 --part 1/2 --sandbox
exits 0 tessera cast in parts --to bf16 --part 2/2 --sandbox
diff -r clean parts
exits 0 tessera cast in none --to bf16 --dry-run --sandbox
exits 0 tessera cast in none --to bf16 --rehearse --sandbox
[ ! -e none ]

# The kernel says no to everything else; what the program itself asks for is its own.
strace -f -o /dev/null true 2>/dev/null || exit 0
exits 0 strace -f -y -e trace=open,openat,openat2,creat,landlock_restrict_self -o trace tessera cast in seen --to bf16 --sandbox
python3 - <<'PY'
import os, re
lines = open("trace").read().splitlines()
begin = next(i for i, line in enumerate(lines) if "landlock_restrict_self" in line)
here = os.getcwd()
opened = [match[1] for line in lines[begin:] for match in [re.search(r"= \d+<([^>]*)>", line)] if match]
stray = [p for p in opened if not p.startswith((here + "/in", here + "/seen")) and p != here]
assert opened, "nothing was traced"
assert not stray, stray
PY
