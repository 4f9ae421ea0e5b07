#!/usr/bin/env python3
"""What DeepSeek's own convert.py makes of synthetic checkpoints, as digests.

    make_reshard_golden.py UPSTREAM TESSERA    writes reshard.json beside this file

UPSTREAM is a checkout of DeepSeek-V3; needs torch, safetensors, tqdm. The checkpoints are those that
tests/cli/cases/reshard_golden.sh makes; they come without the MTP module, since the script knows that
of a 61-layer model only.
"""
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
# Family, format, model-parallel degrees.
CHECKPOINTS = [("v3", "fp8", [1, 2]), ("v3.1", "fp8", [2]), ("k2", "fp8", [2]),
               ("v2-lite", "bf16", [1, 8]), ("v3", "bf16", [4, 8])]


def main():
    upstream, tessera = map(pathlib.Path, sys.argv[1:])
    git = ["git", "-C", upstream, "rev-parse", "HEAD"]
    golden = {"commit": subprocess.check_output(git, text=True).strip(), "files": {}}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for family, form, degrees in CHECKPOINTS:
            whole, plain = folder / f"{family}-{form}", folder / f"{family}-{form}-main"
            subprocess.check_call([tessera, "synth", whole, "--preset", "tiny", "--family", family,
                                   "--format", form, "-q"], stdout=subprocess.DEVNULL)
            subprocess.check_call([tessera, "reshard", whole, plain, "--shard-size", "100GB",
                                   "--mtp", "drop", "-q"], stdout=subprocess.DEVNULL)
            experts = json.loads((plain / "config.json").read_text())["n_routed_experts"]
            for degree in degrees:
                out = folder / f"{family}-{form}-mp{degree}"
                subprocess.check_call([sys.executable, upstream / "inference/convert.py",
                                       "--hf-ckpt-path", plain, "--save-path", out, "--n-experts",
                                       str(experts), "--model-parallel", str(degree)])
                for path in sorted(out.glob("*.safetensors")):
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    golden["files"][f"{family} {form} {path.name}"] = digest
    (HERE / "reshard.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
