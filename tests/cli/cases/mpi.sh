# Every verb under mpirun makes the tree that one run makes, tells it once, and fails once.
needs_mpi
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --quirks --seed 7

verbs=("cast --to bf16" "cast --to f32 --shard-size 64KB" "reshard --mp 2" "quantize --scheme w4a16")
for verb in "${verbs[@]}"; do
  set -- $verb
  status=0
  tessera "$1" in clean "${@:2}" --json >single 2>err || status=$?
  exits $status on_ranks 4 "$1" in made "${@:2}" --json --threads 1
  json "j['ranks'] == 4 and 'part' not in j and 'parts_left' not in j"
  # Of all ranks, not of the one that tells.
  json "(lambda s: all(j[k] == s[k] for k in ('read_bytes', 'written_bytes', 'plan', 'below')))(json.load(open('single')))"
  diff -r clean made
  [ "$(ls -A made)" = "$(ls -A clean)" ]
  # Again: nothing to do.
  exits 0 on_ranks 2 "$1" in made "${@:2}"
  contains "nothing to do" out
  rm -r made clean
done
tessera gguf in clean/m.gguf --type Q8_0 >out 2>err || { mkdir clean && exits 0 tessera gguf in clean/m.gguf --type Q8_0; }
mkdir made
exits 0 on_ranks 4 gguf in made/m.gguf --type Q8_0
diff -r clean made
rm -r made clean
exits 0 tessera split-mtp in --main main --mtp mtp
exits 0 on_ranks 3 split-mtp in --main main2 --mtp mtp2
diff -r main main2
diff -r mtp mtp2
exits 0 tessera join-mtp main mtp joined
exits 0 on_ranks 3 join-mtp main mtp joined2
diff -r joined joined2
# As many ranks as there is work for, and more.
exits 0 tessera cast in clean --to bf16
exits 0 on_ranks 1 cast in one --to bf16
exits 0 on_ranks 16 cast in many --to bf16 --threads 1
contains "tensors in" out
diff -r clean one
diff -r clean many

# All wait for the last one to arrive.
printf '#!/bin/sh\n[ $OMPI_COMM_WORLD_RANK != 2 ] || sleep 2\nexec tessera-mpi "$@"\n' >late
chmod +x late
exits 0 mpirun_here -n 3 ./late cast in late_made --to bf16 -q
[ ! -s err ]
diff -r clean late_made

# A plan is printed once, and nothing is made.
exits 0 on_ranks 4 cast in none --to bf16 --dry-run
[ "$(grep -c '^ledger' out)" = 1 ]
exits 0 on_ranks 4 --version
[ "$(wc -l <out)" = 1 ]
exits 0 on_ranks 4 cast -h
[ "$(grep -c -- '--to' out)" = 1 ]

# fails CODE COMMAND...: as one error of one rank, which is everybody's exit code.
fails() {
  exits "$@"
  [ "$(grep -c '^error:' err)" = 1 ] || { cat err >&2; return 1; }
}
fails 2 on_ranks 4 cast in none --to bf15
fails 2 on_ranks 4 inspect in
fails 2 on_ranks 4
for option in "--part 1/2" --force --rehearse --sandbox; do
  fails 2 on_ranks 4 cast in none --to bf16 $option
  contains "run tessera itself"
done
fails 3 on_ranks 4 cast nowhere none --to bf16
[ ! -e none ]
fails 5 on_ranks 4 cast in one --to f16
# One rank alone fails, early.
fails 6 mpirun_here -n 3 tessera-mpi cast in none --to bf16 : -n 1 tessera-mpi cast in none --to bf16 --memory 1KiB
[ ! -e none/model.safetensors.index.json ]
exits 0 tessera cast in none --to bf16
diff -r clean none
# One rank alone comes to the weight that is refused.
exits 0 tessera synth large --preset tiny --format bf16
python3 - <<'PY'
import pathlib, struct
import tensor_file
for shard in sorted(pathlib.Path("large").glob("*.safetensors")):
    tensors = tensor_file.read_file(shard)
    for name in tensors.keys() & {"model.layers.1.input_layernorm.weight"}:
        dtype, shape, data = tensors[name]
        tensors[name] = (dtype, shape, struct.pack("<H", 0x7F00) + data[2:])
        tensor_file.write_file(shard, tensors)
PY
fails 3 on_ranks 4 cast large refused --to f16
contains "model.layers.1.input_layernorm.weight"
[ ! -e refused/model.safetensors.index.json ]

# tessera itself has nothing to do with MPI.
! ldd "$(command -v tessera)" | grep -qi 'libmpi\|open-rte\|open-pal'
