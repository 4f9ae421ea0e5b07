#!/usr/bin/env python3
"""Logits of synthetic checkpoints: by transformers in float32 where it has the architecture right, else by the NumPy
statement of the published formulas, tests/interop/numpy_deepseek.py, in float64.

    make_forward_golden.py TESSERA    writes forward/ beside this file

Needs torch, transformers, safetensors, numpy. `forward/golden.json` records versions, each file's SHA-256, and that of
the tensors run, so that another synth is not taken for another forward pass."""
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "interop")]
import tensor_file  # noqa: E402
import v2_model  # noqa: E402
from numpy_deepseek import Model  # noqa: E402

COUNT = 100  # beyond the 64 keys that the tiny indexers choose
POSITIONS = [0, 1, 47, 63, 64, 99]
MODELS = {  # synth's options, and whose word counts
    "v3": (["--family", "v3", "--quirks"], "transformers"),
    "v3.1": (["--family", "v3.1"], "transformers"),
    "k2": (["--family", "k2", "--quirks"], "transformers"),
    "v2-lite": (["--family", "v2-lite", "--quirks"], "numpy"),
    "v2": (["--family", "v3", "--format", "bf16"], "numpy"),
    "v3.2": (["--family", "v3.2", "--quirks"], "numpy"),
    "glm5": (["--family", "glm5", "--quirks"], "numpy"),
}


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def by_transformers(tessera, folder, ids):
    """In float32, from a cast without what transformers leaves out."""
    plain = folder.with_name(folder.name + "-f32")
    run(tessera, "cast", folder, plain, "--to", "f32", "--mtp", "drop")
    config = json.loads((plain / "config.json").read_text())
    config["model_type"] = "deepseek_v3"
    config.pop("auto_map")
    (plain / "config.json").write_text(json.dumps(config))
    model = transformers.DeepseekV3ForCausalLM.from_pretrained(
        plain, dtype=torch.float32, attn_implementation="eager", experts_implementation="eager")
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def main():
    tessera, out = sys.argv[1], HERE / "forward"
    torch.set_num_threads(1)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    ids = [(i * 7919 + 13) % 640 for i in range(COUNT)]
    golden = {"versions": {"transformers": transformers.__version__, "torch": torch.__version__,
                           "numpy": np.__version__}, "ids": ids, "positions": POSITIONS, "models": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (options, source) in MODELS.items():
            folder = pathlib.Path(scratch) / name
            run(tessera, "synth", folder, "--preset", "tiny", *options)
            if name == "v2":
                folder = v2_model.make(folder, folder.with_name("v2-made"))
            logits = (by_transformers(tessera, folder, ids) if source == "transformers" else
                      Model(folder).forward(ids).logits)
            data = logits[POSITIONS].astype("<f4").tobytes()
            (out / f"{name}.f32.bin").write_bytes(data)
            golden["models"][name] = {
                "synth": options, "by": source, "top1": logits.argmax(1).tolist(),
                "sha256": hashlib.sha256(data).hexdigest(),
                "tensors": tensor_file.digest(tensor_file.read_folder(folder))}
    (out / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
