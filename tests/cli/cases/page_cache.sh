# A run leaves the page cache as it found it: what others keep there stays, what passes through is not kept.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
python3 - <<'PY' || skip "a file system in memory, or without direct I/O"
import os, page_cache
open("probe", "wb").write(bytes(1 << 20))
page_cache.forget("probe")
assert not page_cache.cached_pages("probe")
os.close(os.open("probe", os.O_RDONLY | os.O_DIRECT))
PY
exits 0 tessera synth in --preset tiny --quirks --seed 7

cat >unchanged.py <<'PY'
# unchanged.py SLACK IN OUT COMMAND...: with some of IN's shards cached, some not, some in part. So many pages of
# a shard may change.
import glob, os, subprocess, sys, page_cache
slack, source, out, command = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
shards = sorted(glob.glob(source + "/*.safetensors"))
for shard in shards:
    page_cache.forget(shard)
# Headers are read by every command, and may stay.
subprocess.run(["tessera", "inspect", source], check=True, stdout=subprocess.DEVNULL)
for number, shard in enumerate(shards):
    with open(shard, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        file.read([0, -1, 1 << 20][number % 3])
before = {shard: page_cache.cached_pages(shard) for shard in shards}
size = sum(map(len, before.values()))
subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
for shard in shards:
    changed = page_cache.cached_pages(shard) ^ before[shard]
    assert len(changed) <= slack, (command, shard, sorted(changed)[:10])
for shard in glob.glob(out + "/*.safetensors"):
    assert not page_cache.cached_pages(shard), (command, shard)
print(size, "pages were cached")
PY
exits 0 tessera cast in clean --to bf16
exits 0 python3 unchanged.py 0 in cast tessera cast in cast --to bf16
diff -r clean cast
exits 0 python3 unchanged.py 0 in ranks tessera reshard in ranks --mp 2
exits 0 python3 unchanged.py 0 ranks whole tessera reshard ranks whole --names hf
exits 0 python3 unchanged.py 0 in int4 tessera quantize in int4 --scheme w4a16
exits 0 python3 unchanged.py 0 in none tessera verify in cast
exits 0 python3 unchanged.py 0 cast none tessera verify cast

# Where direct I/O is refused, reading is slower; bytes and manners are the same, but for pages that two tiles
# share: one takes the other's for somebody else's.
strace -f -o /dev/null true 2>/dev/null || exit 0
export ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0"
exits 0 python3 unchanged.py 8 in refused strace -f -o trace -e trace=preadv -e inject=preadv:error=EINVAL tessera cast in refused --to bf16
contains INJECTED trace
diff -r clean refused
