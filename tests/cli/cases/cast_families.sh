# Every family's checkpoint, with its quirks, casts to every plain type, and what comes out verifies.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
for family in v2-lite v3 v3.1 v3.2 k2 glm5; do
  for format in fp8 bf16; do
    exits 0 tessera synth in --preset tiny --family $family --format $format --quirks
    for type in bf16 f16 f32; do
      exits 0 tessera cast in made --to $type --json
      json '(lambda l: sum(l.values()) == l["copied"] + l["cast"] + l["dequantized"] + l["folded"]
             and l["folded"] == l["dequantized"])(j["ledger"])'
      json 'sum(j["ledger"].values())' >source_tensors
      exits 0 tessera verify made --json
      json 'j["failed"] == 0 and j["exact"] > 0 and j["worst"] == []'
      TYPE=${type^^} python3 - <<'PY'
import json, os
import tensor_file
source, made = tensor_file.read_folder("in"), tensor_file.read_folder("made")
scales = {name for name in source if name.endswith("_scale_inv")}
assert len(source) == int(open("source_tensors").read())
assert set(made) == set(source) - scales
for name, (dtype, shape, data) in made.items():
    was, was_shape, _ = source[name]
    assert shape == was_shape, name
    # What is F32 stays so: router biases, V3.2's norms.
    assert dtype == ("F32" if was == "F32" else os.environ["TYPE"]), (name, was, dtype)
    if was == dtype:
        assert data == source[name][2], name
PY
      rm -r made
    done
    rm -r in
  done
done
