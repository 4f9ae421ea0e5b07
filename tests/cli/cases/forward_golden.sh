# Logits are those of transformers and of the published formulas in NumPy, which tests/golden/forward holds; see
# make_forward_golden.py there.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1 CASES
cat >compare.py <<'PY'
import hashlib, json, math, os, pathlib, struct, subprocess
import tensor_file, v2_model

folder = pathlib.Path(os.environ["CASES"]) / "../../golden/forward"
golden = json.loads((folder / "golden.json").read_text())
ids, positions = golden["ids"], golden["positions"]
pathlib.Path("ids.json").write_text(json.dumps(ids))

def tessera(*words):
    done = subprocess.run(["tessera", *words], capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout

def relative_error(got, want):
    return math.sqrt(math.fsum((g - w) ** 2 for g, w in zip(got, want)) / math.fsum(w * w for w in want))

for name, model in golden["models"].items():
    tessera("synth", name, "--preset", "tiny", *model["synth"])
    source = v2_model.make(name, "v2-made") if name == "v2" else pathlib.Path(name)
    assert tensor_file.digest(tensor_file.read_folder(source)) == model["tensors"], f"{name}: synth makes another model"
    report = json.loads(tessera("forward", source, "--tokens", "ids.json", "--logits", name + ".logits", "--json"))
    assert report["top1"] == model["top1"], name
    data = (folder / f"{name}.f32.bin").read_bytes()
    assert hashlib.sha256(data).hexdigest() == model["sha256"], name
    _, (tokens, vocab), logits = tensor_file.read_file(name + ".logits")["logits"]
    assert tokens == len(ids) and len(data) == 4 * vocab * len(positions)
    for i, position in enumerate(positions):
        got = struct.unpack_from(f"<{vocab}f", logits, 4 * vocab * position)
        want = struct.unpack_from(f"<{vocab}f", data, 4 * vocab * i)
        off = relative_error(got, want)
        assert off < 1e-5, f"{name}, position {position}: {off}"
print(len(golden["models"]))
PY
[ "$(python3 compare.py)" = 7 ]
