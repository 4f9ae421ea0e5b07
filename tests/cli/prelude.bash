# Functions for the cases of the command-line tests; see run.py.

# exits CODE COMMAND...: runs the command, keeps its output in ./out and ./err, and fails the case
# when its status is another.
exits() {
  local expected=$1 status=0
  shift
  "$@" >out 2>err || status=$?
  if [ "$status" != "$expected" ]; then
    echo "expected exit $expected, got $status from: $*" >&2
    cat err >&2
    return 1
  fi
}

# json EXPRESSION [FILE]: evaluates a Python expression over the JSON in FILE (default ./out) as `j`
# and fails the case when it is false. Prints the value of anything that is neither.
json() {
  python3 -c '
import json, sys
j = json.load(open(sys.argv[2]))
value = eval(sys.argv[1])
if value is False:
    sys.exit(f"false: {sys.argv[1]}\nin {json.dumps(j)[:2000]}")
if value is not True:
    print(value)' "$1" "${2-out}"
}

# last_error EXPRESSION: the same over the error object on the last line of ./err.
last_error() {
  tail -n 1 err >error.json
  json "$1" error.json
}

# fails RULE COMMAND...: the command, given --json, ends with the error of that rule and prints nothing.
fails() {
  local rule=$1 status=0
  shift
  "$@" --json >out 2>err || status=$?
  if [ $status = 0 ] || [ -s out ]; then
    echo "expected $rule, got exit $status from: $*" >&2
    return 1
  fi
  last_error "(j['error']['rule'], j['error']['code']) == ('$rule', $status)"
}

# contains TEXT [FILE]: fails the case when FILE (default ./err) lacks the text.
contains() {
  if ! grep -qF -- "$1" "${2-err}"; then
    echo "not in ${2-err}: $1" >&2
    cat "${2-err}" >&2
    return 1
  fi
}

# skip REASON: ends a case that cannot be run here.
skip() {
  echo "skipped: $1" >&2
  exit 77
}

# on_terminal COMMAND...: runs it with stdout and stderr on one pseudo-terminal, kept in ./out.
on_terminal() {
  python3 -c '
import os, pty, sys
kept = open("out", "wb")
def keep(terminal):
    data = os.read(terminal, 65536)
    kept.write(data)
    return data
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], keep)))' "$@" >/dev/null
}

# same_tensors A B [EXPRESSION]: fails the case unless both folders hold tensors of the same names,
# types, shapes and bytes. Of A only those count for whose `name` the Python expression is true.
same_tensors() {
  python3 -c '
import glob, hashlib, json, struct, sys
def read(folder):
    tensors = {}
    for path in glob.glob(folder + "/*.safetensors"):
        data = open(path, "rb").read()
        begin = 8 + struct.unpack("<Q", data[:8])[0]
        for name, t in json.loads(data[8:begin]).items():
            if name == "__metadata__":
                continue
            assert name not in tensors, (folder, name)
            low, high = t["data_offsets"]
            digest = hashlib.sha256(data[begin + low:begin + high]).hexdigest()
            tensors[name] = t["dtype"], t["shape"], digest
    return tensors
a, b = read(sys.argv[1]), read(sys.argv[2])
a = {name: t for name, t in a.items() if eval(sys.argv[3])}
assert a, "no tensors in " + sys.argv[1]
wrong = [name for name in sorted(a.keys() | b.keys()) if a.get(name) != b.get(name)]
if wrong:
    sys.exit(f"{len(wrong)} tensors differ, the first: {wrong[0]}: "
             f"{a.get(wrong[0])} and {b.get(wrong[0])}")' "$1" "$2" "${3-True}"
}

# payload FOLDER [EXPRESSION]: how many bytes of tensors the folder holds. Only those count for whose
# `name` the Python expression is true.
payload() {
  python3 -c '
import glob, json, struct, sys
total = 0
for path in glob.glob(sys.argv[1] + "/*.safetensors"):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    for name, t in header.items():
        if eval(sys.argv[2]):
            total += t["data_offsets"][1] - t["data_offsets"][0]
print(total)' "$1" "${2-True}"
}

# digest_of_ranks FOLDER N: the SHA-256 of all rank files, one after the other.
digest_of_ranks() {
  local rank
  for rank in $(seq 0 $(($2 - 1))); do cat "$1/model$rank-mp$2.safetensors"; done | sha256sum | cut -d' ' -f1
}

# needs_mpi: ends the case where tessera-mpi was not built or cannot be run.
needs_mpi() {
  command -v mpirun >/dev/null || skip "no mpirun"
  command -v tessera-mpi >/dev/null || skip "tessera-mpi is not built"
}

# mpirun_here ARGUMENTS...: mpirun, of as many processes as one likes, on this machine alone.
mpirun_here() {
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
    mpirun --quiet --oversubscribe --mca plm_rsh_agent false --mca btl self,vader "$@"
}

# on_ranks N ARGUMENTS...: tessera-mpi with N processes.
on_ranks() {
  local n=$1
  shift
  mpirun_here -n "$n" tessera-mpi "$@"
}

# same_to_every_verb A B: what verbs make of two folders has the same bytes.
same_to_every_verb() {
  local verb words status file
  seq 3 40 | tr '\n' ' ' >tokens
  exits 0 tessera forward "$1" --tokens tokens --logits a.safetensors
  exits 0 tessera forward "$2" --tokens tokens --logits b.safetensors
  cmp a.safetensors b.safetensors
  for verb in "cast --to f32" "reshard --shard-size 300KB" "reshard --mp 2" "quantize --scheme w4a16"; do
    read -ra words <<<"$verb"
    status=0
    tessera "${words[0]}" "$1" from_a "${words[@]:1}" >out 2>err || status=$?
    exits $status tessera "${words[0]}" "$2" from_b "${words[@]:1}"
    for file in from_a/*.safetensors; do cmp "$file" "from_b/$(basename "$file")"; done
    rm -r from_a from_b
  done
}

# damage_is_named FOLDER: a copy of a compressed folder, `damaged` in one frame, is refused by file and tensor.
damage_is_named() {
  python3 - "$1" damaged <<'PY'
import pathlib, shutil, sys
source, damaged = map(pathlib.Path, sys.argv[1:])
shutil.copytree(source, damaged)
file = max(damaged.glob("*.zst"), key=lambda f: f.stat().st_size)
data = bytearray(file.read_bytes())
data[len(data) // 3] ^= 1
file.write_bytes(data)
PY
  exits 3 tessera cast damaged x --to f32
  contains "a compressed frame is damaged"
  contains "damaged/model"
  exits 1 tessera verify damaged
}
