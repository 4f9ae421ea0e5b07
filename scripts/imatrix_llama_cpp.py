#!/usr/bin/env python3
"""`tessera calibrate` beside llama-imatrix, and llama-quantize on what it wrote.

    imatrix_llama_cpp.py TESSERA LLAMA_BIN TEXT

LLAMA_BIN holds llama-imatrix, llama-tokenize and llama-quantize; TEXT gives at least 1024 tokens of a
tiny model, so that some 3,000 characters will do. Needs numpy and the gguf package. Prints the largest
deviation of each kind of tensor, and fails where one is beyond F32's; see tests/golden/README.md."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader

CHUNK = 512


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.returncode}\n{done.stderr.decode(errors='replace')[-3000:]}")
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


def importance(path):
    """{name: (sums [experts, columns], counts [experts])}, and all other tensors' names."""
    tensors = {tensor.name: np.array(tensor.data) for tensor in GGUFReader(path).tensors}
    names = [name.removesuffix(".in_sum2") for name in tensors if name.endswith(".in_sum2")]
    found = {}
    for name in names:
        counts = tensors.pop(name + ".counts").ravel()
        found[name] = tensors.pop(name + ".in_sum2").reshape(len(counts), -1), counts
    return found, set(tensors)


def make(tessera, llama, text, at):
    """The model as GGUF, and the same tokens through both programs."""
    run(tessera, "synth", at / "fp8", "--preset", "tiny")
    run(tessera, "cast", at / "fp8", at / "f32", "--to", "f32", "--mtp", "drop")
    run(tessera, "gguf", at / "f32", at / "f32.gguf", "--type", "F32")
    out = subprocess.run([llama / "llama-tokenize", "-m", at / "f32.gguf", "-f", text, "--ids"],
                         check=True, capture_output=True).stdout
    ids = json.loads(out[out.rindex(b"["):])
    # llama-imatrix drops what is left over.
    whole = len(ids) // CHUNK * CHUNK
    (at / "ids.json").write_text(json.dumps(ids[:whole]))
    run(llama / "llama-imatrix", "-m", at / "f32.gguf", "-f", text, "-o", at / "theirs.gguf", "-c",
        CHUNK, "-b", CHUNK, "--no-ppl", "-fa", "off", "-ctk", "f32", "-ctv", "f32")
    run(tessera, "calibrate", at / "f32", at / "ours.gguf", "--tokens", at / "ids.json")
    return whole // CHUNK


def compare(at, chunks):
    theirs, others = importance(at / "theirs.gguf")
    ours, maxima = importance(at / "ours.gguf")
    assert not others and all(name.endswith(".input_amax") for name in maxima)
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    worst = {}
    for name, (sums, counts) in theirs.items():
        assert sums.shape == ours[name][0].shape and (counts == ours[name][1]).all(), name
        scale = np.maximum(sums.max(1, keepdims=True), 1e-30)
        error = (np.abs(sums - ours[name][0]) / scale).max()
        kind = name.split(".")[2]
        worst[kind] = max(worst.get(kind, 0), float(error))
    print(f"{len(ours)} tensors, {chunks} chunks; largest deviation from llama-imatrix's sums, of a "
          "row's largest")
    for kind, error in sorted(worst.items()):
        print(f"  {kind:16} {error:.1e}")
    assert max(worst.values()) < 1e-5


def quantize(llama, at):
    """Ours weighs every tensor but those that llama-imatrix's file leaves out too; a weight that differs
    in its last bits tips a scale now and then."""
    files = []
    for whose in ("ours", "theirs"):
        out = at / f"{whose}-q4.gguf"
        log = run(llama / "llama-quantize", "--imatrix", at / f"{whose}.gguf", at / "f32.gguf", out,
                  "Q4_K_M")
        missing = set(re.findall(r"did not find weights for (\S+)", log))
        assert missing == {"output.weight", "token_embd.weight"}, missing
        files.append({t.name: np.array(t.data).ravel().view(np.uint8) for t in GGUFReader(out).tensors})
    sizes = [sum(len(data) for data in tensors.values()) for tensors in files]
    differ = sum((data != files[1][name]).sum() for name, data in files[0].items())
    print(f"llama-quantize Q4_K_M under both: {differ / sizes[0]:.2%} of {sizes[0]} bytes differ")
    assert sizes[0] == sizes[1] and differ < 0.01 * sizes[0]


def main():
    tessera, llama, text = map(pathlib.Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        chunks = make(tessera, llama, text, at)
        compare(at, chunks)
        quantize(llama, at)


if __name__ == "__main__":
    main()
