# Models of invented architectures go to ranks and back, and come apart from their MTP module and
# together again, bit for bit.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
tessera synth base --preset tiny -q >/dev/null
cat >round_trips.py <<'PY'
import json, pathlib, random, shutil, subprocess
import random_model, tensor_file

def tessera(*words, status=0):
    done = subprocess.run(["tessera", *words, "-q"], capture_output=True, text=True)
    assert done.returncode == status, (words, done.returncode, done.stderr)

def same(folder, tensors):
    got = tensor_file.read_folder(folder)
    wrong = [n for n in sorted(got.keys() | tensors.keys()) if got.get(n) != tensors.get(n)]
    assert not wrong, f"{folder}: {len(wrong)} tensors differ, the first: {wrong[0]}"

def round_trips(model):
    main = {n: t for n, t in model.tensors.items() if not model.is_mtp(n)}
    module = {n: t for n, t in model.tensors.items() if model.is_mtp(n)}
    model.write("in")
    tessera("reshard", "in", "even", "--shard-size", str(model.rng.randint(100, 20000)))
    same("even", model.tensors)
    if model.cuttable:
        for degree in ("1", "2"):
            tessera("reshard", "in", "ranks" + degree, "--mp", degree, "--mtp", "keep")
            tessera("reshard", "ranks" + degree, "whole" + degree, "--names", "hf")
            same("whole" + degree, model.tensors)
        tessera("reshard", "ranks1", "again", "--mp", "2", "--mtp", "keep")
        for rank in range(2):
            file = f"model{rank}-mp2.safetensors"
            assert pathlib.Path("again", file).read_bytes() == pathlib.Path("ranks2", file).read_bytes()
    elif model.fp8:
        tessera("reshard", "in", "no", "--mp", "1", status=3)  # blocks of 16
    tessera("reshard", "in", "single", "--names", "hf", "--dedup-mtp")
    same("single", {n: t for n, t in model.tensors.items() if n not in model.duplicates})
    if not module:
        return tessera("split-mtp", "in", "--main", "main", "--mtp", "mtp", status=3)
    tessera("split-mtp", "in", "--main", "main", "--mtp", "mtp")
    same("main", main)
    same("mtp", module)
    tessera("join-mtp", "main", "mtp", "joined")
    same("joined", model.tensors)
    assert (json.loads(pathlib.Path("joined/config.json").read_text()) ==
            json.loads(pathlib.Path("in/config.json").read_text()))
    tessera("split-mtp", "in", "--main", "main-s", "--mtp", "sglang", "--for", "sglang",
            status=0 if model.mtp == 1 else 3)

config = json.loads(pathlib.Path("base/config.json").read_text())
seen = set()
for seed in [*range(16), *(random.randrange(2**32) for _ in range(6))]:
    model = random_model.Model(config, seed)
    seen |= {("mtp", model.mtp), ("cuttable", model.cuttable), ("fp8", model.fp8)}
    for path in pathlib.Path().iterdir():
        if path.is_dir() and path.name != "base":
            shutil.rmtree(path)
    try:
        round_trips(model)
    except AssertionError as error:
        raise SystemExit(f"seed {seed}: {error}")
assert len(seen) == 8, seen
PY
python3 round_trips.py
