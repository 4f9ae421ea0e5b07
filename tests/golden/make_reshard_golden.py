#!/usr/bin/env python3
"""What DeepSeek's own convert.py makes of synthetic checkpoints, as digests.

    make_reshard_golden.py V3 V32 TESSERA    writes reshard.json beside this file

V3 and V32 are git repositories of DeepSeek-V3 and DeepSeek-V3.2-Exp, whose HEAD is run; needs torch,
safetensors, tqdm. A key names the checkpoint and the degree; its value is the SHA-256 of all rank files, one
after the other. The script gets every checkpoint in one file and without what it cannot take: the
MTP module, of which it knows that of a 61-layer model only, and K2's stray inv_freq."""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
SUPPORT = HERE.parent / "support"
sys.path.insert(0, str(SUPPORT))
import tensor_file  # noqa: E402

# tiny's FP8 blocks divide into two, its heads into eight.
TINY_DEGREES = {"fp8": [1, 2], "bf16": [1, 2, 4, 8]}
REPOSITORY = {"v3": "V3", "v3.1": "V3", "k2": "V3", "moonlight": "V3", "v2-lite": "V3",
              "v3.2": "V3.2-Exp", "glm5": "V3.2-Exp"}
# Of tests/support/cuttable_models.py.
LARGE_DEGREES = {"true-widths": [4, 16], "many-heads": [16, 128]}


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def plain_copy(source, out):
    """Returns the number of experts."""
    config = json.loads((source / "config.json").read_text())

    def kept(name):
        parts = name.split(".")
        return "rotary_emb" not in parts and not (
            parts[1] == "layers" and int(parts[2]) >= config["num_hidden_layers"])

    out.mkdir()
    tensor_file.write_file(out / "model.safetensors", {
        name: tensor for name, tensor in tensor_file.read_folder(source).items() if kept(name)})
    return config["n_routed_experts"]


def digest(folder, degree):
    digest = hashlib.sha256()
    for rank in range(degree):
        digest.update((folder / f"model{rank}-mp{degree}.safetensors").read_bytes())
    return digest.hexdigest()


def checkpoints(tessera, folder):
    """(name, folder, repository, degrees)."""
    for family, repository in REPOSITORY.items():
        for form, degrees in TINY_DEGREES.items():
            for quirks in ("plain", "quirks"):
                out = folder / f"{family}-{form}-{quirks}"
                run(tessera, "synth", out, "--preset", "tiny", "--family", family, "--format", form,
                    *(["--quirks"] if quirks == "quirks" else []))
                yield f"{family} {form} {quirks}", out, repository, degrees
    for name, degrees in LARGE_DEGREES.items():
        run(sys.executable, SUPPORT / "cuttable_models.py", name, folder / name)
        yield name, folder / name, "V3", degrees


def main():
    repositories = dict(zip(("V3", "V3.2-Exp"), sys.argv[1:3]))
    golden = {"commits": {}, "ranks": {}}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, repository in repositories.items():
            git = ["git", "-C", repository]
            commit = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()
            golden["commits"][f"DeepSeek-{name}"] = commit
            (folder / f"{name}.py").write_bytes(
                subprocess.check_output([*git, "show", f"{commit}:inference/convert.py"]))
        for name, source, repository, degrees in checkpoints(sys.argv[3], folder):
            plain, out = folder / "plain", folder / "out"
            experts = plain_copy(source, plain)
            for degree in degrees:
                run(sys.executable, folder / f"{repository}.py", "--hf-ckpt-path", plain,
                    "--save-path", out, "--n-experts", experts, "--model-parallel", degree)
                golden["ranks"][f"{name} {degree}"] = digest(out, degree)
                run("rm", "-r", out)
            run("rm", "-r", plain, source)
    (HERE / "reshard.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
