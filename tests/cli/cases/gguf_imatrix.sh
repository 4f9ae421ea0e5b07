# An importance matrix changes the bytes of the types that use one and no other's, the same for any threads and whether tiles are
# resumed; what it does not know is quantized without it; one of another model is refused.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny
exits 0 tessera gguf in plain.gguf --type F32 --no-tokenizer
# matrix FILE [EXPRESSION]: of all matrices whose `name` the expression is true for.
matrix() {
  python3 - "$1" "${2-True}" "${3-1}" <<'PY'
import pathlib, sys
import gguf_file, importance_file
tensors = gguf_file.File("plain.gguf").tensors
importance_file.write(pathlib.Path(sys.argv[1]), {
    name: [shape[-1] * int(sys.argv[3]), *reversed(shape[:-1])] for name, (_, shape, _) in tensors.items()
    if len(shape) > 1 and "ffn_gate_inp" not in name and eval(sys.argv[2])})
PY
}
matrix all.gguf
for type in Q4_K_M Q2_K_S Q8_0 MXFP4_MOE; do
  [ $type = Q2_K_S ] || exits 0 tessera gguf in plain-$type.gguf --type $type --no-tokenizer
  exits 0 tessera gguf in $type.gguf --type $type --no-tokenizer --imatrix all.gguf
  exits 0 tessera verify $type.gguf
  exits 0 tessera gguf in again.gguf --type $type --no-tokenizer --imatrix all.gguf --threads 3 --memory 2MiB --force
  cmp $type.gguf again.gguf
done
matrix some.gguf '"_exps" in name and "blk.2" not in name'
exits 0 tessera gguf in some-Q4_K_M.gguf --type Q4_K_M --no-tokenizer --imatrix some.gguf
python3 - <<'PY'
import gguf_file
weighted, plain, some = (gguf_file.File(f"{p}Q4_K_M.gguf") for p in ("", "plain-", "some-"))
assert weighted.metadata["quantize.imatrix.file"] == "all.gguf"
assert weighted.metadata["quantize.imatrix.dataset"] == "invented.txt"
assert weighted.metadata["quantize.imatrix.chunks_count"] == 7
for name, (kind, shape, data) in weighted.tensors.items():
    assert (data != plain.tensors[name][2]) == (kind != "F32" and name != "token_embd.weight"), name
    known = "_exps" in name and "blk.2" not in name
    assert (some.tensors[name] != plain.tensors[name]) == known, name
for kind in ("Q8_0", "MXFP4_MOE"):
    plain, weighted = (gguf_file.File(f"{p}{kind}.gguf") for p in ("plain-", ""))
    same = {n for n, t in weighted.tensors.items() if t == plain.tensors[n]}
    assert same == set(plain.tensors), kind
PY
# Two matrices give two plans.
exits 5 tessera gguf in Q4_K_M.gguf --type Q4_K_M --no-tokenizer --imatrix some.gguf
contains "the result of another plan"

matrix wide.gguf True 2
exits 3 tessera gguf in wide-out.gguf --type Q4_K_M --no-tokenizer --imatrix wide.gguf
contains "of another model"
matrix none.gguf 'name == "output.weight"'
python3 - <<'PY'
data = open("none.gguf", "rb").read().replace(b"output.weight", b"autput.weight")
open("none.gguf", "wb").write(data)
PY
exits 3 tessera gguf in none-out.gguf --type Q4_K_M --no-tokenizer --imatrix none.gguf
contains "knows none of the model's tensors"
# Without one of the tensors that need it, and without any.
exits 3 tessera gguf in few-out.gguf --type Q2_K_S --no-tokenizer --imatrix some.gguf
contains "needs an importance matrix"
head -c 100 all.gguf >cut.gguf
exits 3 tessera gguf in cut-out.gguf --type Q4_K_M --no-tokenizer --imatrix cut.gguf
[ -z "$(ls -d *-out.gguf* 2>/dev/null)" ]
echo "a text, and no matrix" >text.dat
exits 3 tessera gguf in text-out.gguf --type Q4_K_M --no-tokenizer --imatrix text.dat
contains "neither GGUF nor a complete .dat file"
