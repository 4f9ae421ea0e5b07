# 128 ranks written at once with 64 open files, in little memory, each source byte read once.
golden=$CASES/../../golden/reshard.json
python3 -B "$CASES/../../support/cuttable_models.py" many-heads in
for degree in 16 128; do
  (ulimit -n 64 && exits 0 tessera reshard in ranks$degree --mp $degree --memory 64MiB --json)
  # The MTP module is left out, and left unread.
  json 'j["ledger"]["dropped"] == 403 and j["read_bytes"] == '"$(payload in '"layers.2." not in name')"
  json "j['written_bytes'] == $(payload ranks$degree)"
  grep -q -e __asan_init -e __tsan_init "$(command -v tessera)" || json 'j["peak_memory"] < 160e6'
  digest_of_ranks ranks$degree $degree >digest
  json 'j["ranks"]["many-heads '$degree'"] == open("digest").read().strip()' "$golden"
done
(ulimit -n 64 && exits 0 tessera verify ranks128)
# And back.
(ulimit -n 64 && exits 0 tessera reshard ranks128 whole --names hf --json)
json "j['written_bytes'] == $(payload whole)"
same_tensors in whole '"layers.2." not in name'
exits 3 tessera reshard in none --mp 256
contains "expected:  --mp 1, 2, 4, 8, 16, 32, 64, 128"

# So says the kernel, too, but for a few kilobytes of the header.
command -v strace >/dev/null || exit 0
export ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0"  # leak checks fail under strace
strace -ff -y -o calls -e trace=read,pread64,readv,preadv,preadv2,mmap \
  tessera reshard in traced --mp 16 -q >log
python3 - "$(payload in '"layers.2." not in name')" "$(payload in)" <<'PY'
import glob, os, re, sys
payload, whole = map(int, sys.argv[1:])
header = os.path.getsize("in/model-00001-of-00001.safetensors") - whole
got = 0
for path in glob.glob("calls.*"):
    for line in open(path):
        if "/in/model-" in line and "safetensors>" in line:
            if "PROT_NONE" in line:  # to ask what is cached, not to read
                continue
            assert "mmap" not in line, line
            got += int(re.search(r"= (\d+)$", line)[1])
assert payload + header <= got < payload + 2 * header, (got, payload, header)
PY
