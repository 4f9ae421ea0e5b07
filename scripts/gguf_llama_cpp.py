#!/usr/bin/env python3
"""llama.cpp's own verdict on the files of `tessera gguf`: the stage llama.cpp of scripts/test.sh.

    scripts/gguf_llama_cpp.py [--tessera PROGRAM] LLAMA_CPP [CHECK]...

LLAMA_CPP is a checkout, built here if it is not yet (five minutes of two cores). Needs cmake, a C++20
compiler and the packages of tests/interop/requirements.txt:

    build/venv/bin/python scripts/gguf_llama_cpp.py ~/llama.cpp

On tiny checkpoints of every family:
  forward    the F32 file's logits, as llama.cpp computes them, are those of `tessera forward`
  decode     llama.cpp reads the same values out of every type as `tessera cast X.gguf`; its logits on them,
             written as F32, are those of `tessera forward X.gguf`; on the quantized file, whose activations
             it quantizes too, they are as far off as they were when this was recorded
  quantize   llama-quantize makes of the F32 file what `tessera gguf --type X` makes of the checkpoint,
             byte for byte, plain and under an importance matrix
  split      llama.cpp loads split files, and joins them to what the whole file holds
  mtp        a file with the MTP module has the logits of one without
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "tests" / part) for part in ("interop", "support")]
import importance_file  # noqa: E402
import lite_checkpoint  # noqa: E402
from gguf_files import FAMILIES, File, exact, golden  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

TOKENS = [0, 17, 301, 5, 9, 44, 250, 12, 13, 14, 280, 100, 7, 3, 200, 99, 512, 600, 31, 77, 8, 2, 411, 63]
MIXES = list(golden("gguf_types.json")["models"]["tiny v3"]["mixes"])
CHECKS = ["forward", "decode", "quantize", "split", "mtp"]
NEEDS_IMATRIX = "Q2_K_S"
SAME = 1e-9
# NMSE of llama.cpp's logits on the quantized tiny v3 against those on its F32 file. Half and double pass:
# its kernels sum in another order on every CPU.
RECORDED = {
    "F32": 0, "F16": 1.06e-06, "BF16": 5.89e-05, "Q8_0": 2.82e-02, "Q4_0": 3.82e-01, "Q4_1": 2.38e-01,
    "Q5_0": 2.18e-01, "Q5_1": 1.98e-01, "Q2_K": 7.72e-01, "Q3_K_S": 4.17e-01, "Q3_K_M": 3.74e-01,
    "Q3_K_L": 3.67e-01, "Q4_K_S": 2.39e-01, "Q4_K_M": 2.39e-01, "Q5_K_S": 1.02e-01, "Q5_K_M": 1.02e-01,
    "Q6_K": 6.99e-02, "IQ4_NL": 3.10e-01, "IQ4_XS": 3.30e-01, "MXFP4_MOE": 1.47e-01}


class Judge:
    def __init__(self, llama, tessera, folder):
        self.llama, self.tessera, self.folder = llama, tessera, folder
        self.failed = False

    def say(self, what, passed, found):
        self.failed |= not passed
        print(f"{'ok    ' if passed else 'FAILED'} {what}: {found}", flush=True)

    def run(self, *command):
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace")
        if done.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def build(self):
        build = self.llama / "build"
        if not (build / "bin/llama-quantize").exists():
            self.run("cmake", "-S", self.llama, "-B", build, "-DCMAKE_BUILD_TYPE=Release",
                     "-DLLAMA_OPENSSL=OFF", "-DLLAMA_BUILD_SERVER=OFF", "-DLLAMA_BUILD_UI=OFF",
                     "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_BUILD_TESTS=OFF",
                     "-DLLAMA_BUILD_EXAMPLES=OFF")
            self.run("cmake", "--build", build, "-j", os.cpu_count(), "--target", "llama-quantize", "llama-gguf-split")
        self.run("c++", "-std=c++20", "-O2", f"-I{self.llama}/include", f"-I{self.llama}/ggml/include",
                 REPOSITORY / "scripts/llama_logits.cc", f"-L{build}/bin", "-lllama", "-lggml", "-lggml-base",
                 f"-Wl,-rpath,{build}/bin", "-o", self.folder / "llama_logits")

    def source(self, family):
        out = self.folder / family
        if not out.exists():
            tiny = self.folder / (family + "-tiny")
            self.run(self.tessera, "synth", tiny, "--preset", "tiny", "--family", family, "--format", "fp8")
            if json.loads((tiny / "config.json").read_text())["q_lora_rank"] is None:
                lite_checkpoint.stretch(tiny, out)
            else:
                tiny.rename(out)
        return out

    def gguf(self, source, mix, *options):
        words = [str(getattr(option, "name", option)).strip("-") for option in (mix, *options)]
        out = self.folder / "-".join([source.name, *words]) / "out.gguf"
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            self.run(self.tessera, "gguf", source, out, "--type", mix, "--no-tokenizer", *options)
        return out

    def imatrix(self, family):
        path = self.folder / (family + ".imatrix.gguf")
        shapes = File(self.gguf(self.source(family), "F32")).shapes()
        importance_file.write(path, {name: ne for name, ne in shapes.items()
                                     if len(ne) > 1 and "_inp" not in name})
        return path

    def theirs(self, path):
        """Logits by llama.cpp."""
        out = self.folder / "logits"
        self.run(self.folder / "llama_logits", path, "logits", out, *TOKENS)
        return np.fromfile(out, np.float32).reshape(len(TOKENS), -1).astype(np.float64)

    def ours(self, checkpoint):
        tokens, out = self.folder / "tokens", self.folder / "logits.safetensors"
        tokens.write_text(" ".join(map(str, TOKENS)))
        self.run(self.tessera, "forward", checkpoint, "--tokens", tokens, "--logits", out)
        return load_file(out)["logits"].astype(np.float64)

    def values(self, path):
        """{tensor: values} as ggml decodes them."""
        out, values = self.folder / "values", {}
        self.run(self.folder / "llama_logits", path, "values", out)
        flat, begin = torch.from_numpy(np.fromfile(out, np.float32)), 0
        for name, ne in File(path).shapes().items():
            count = int(np.prod(ne))
            values[name] = flat[begin:begin + count].reshape(ne[::-1])
            begin += count
        assert begin == len(flat)
        return values

    def forward(self):
        for family in FAMILIES:
            source = self.source(family)
            if family == "v2":
                source = self.without_groups(source)
            error = nmse(self.theirs(self.gguf(source, "F32")), self.ours(source))
            self.say(f"forward {family}", error < SAME, f"NMSE {error:.1e}")

    def without_groups(self, source):
        """V2 ranks groups of experts by their best one, llama.cpp by their two best: no file can tell it."""
        out = source.with_name("v2-without-groups")
        out.mkdir()
        for file in source.iterdir():
            (out / file.name).write_bytes(file.read_bytes())
        config = json.loads((source / "config.json").read_text())
        config |= {"n_group": 1, "topk_group": 1, "topk_method": "greedy"}
        (out / "config.json").write_text(json.dumps(config))
        return out

    def decode(self):
        source = self.source("v3")
        exact_logits = self.theirs(self.gguf(source, "F32"))
        for mix in MIXES:
            if mix == NEEDS_IMATRIX:
                continue
            path = self.gguf(source, mix)
            cast = path.parent.with_name(path.parent.name + "-decoded")
            self.run(self.tessera, "cast", path, cast, "--to", "f32", "--shard-size", "5GB")
            want, got = self.values(path), exact(cast)
            different = [name for name in want if not torch.equal(want[name], got[name])]
            self.say(f"decode {mix}", want.keys() == got.keys() and not different,
                     f"{len(want)} tensors, {len(different)} different")
            error = nmse(self.theirs(self.gguf(cast, "F32")), self.ours(path))
            self.say(f"decode {mix}, logits of its values", error < SAME, f"NMSE {error:.1e}")
            error, before = nmse(self.theirs(path), exact_logits), RECORDED[mix]
            self.say(f"decode {mix}, logits of the file", before / 2 <= error <= max(2 * before, SAME),
                     f"NMSE {error:.2e}, recorded {before:.2e}")

    def quantize(self):
        for family, mixes in (("v3", MIXES), ("v2-lite", ["Q4_K_M"])):
            source, imatrix = self.source(family), self.imatrix(family)
            for mix in mixes:
                for options in ([], ["--imatrix", imatrix]):
                    if mix == NEEDS_IMATRIX and not options:
                        continue
                    theirs = self.folder / "llama.gguf"
                    self.run(self.llama / "build/bin/llama-quantize", *options, self.gguf(source, "F32"),
                             theirs, mix)
                    want, got = File(theirs).digests(), File(self.gguf(source, mix, *options)).digests()
                    different = [name for name in want if got.get(name) != want[name]]
                    self.say(f"quantize {family} {mix}{' imatrix' if options else ''}",
                             want.keys() == got.keys() and not different,
                             f"{len(want)} tensors, {len(different)} different {different[:3]}")

    def split(self):
        source = self.source("v3")
        whole = self.gguf(source, "Q4_K_M")
        folder = self.gguf_parts(source)
        first = min(folder.glob("*.gguf"))
        self.say("split, loaded", (self.theirs(first) == self.theirs(whole)).all(),
                 f"{len(list(folder.glob('*.gguf')))} files")
        merged = self.folder / "merged.gguf"
        self.run(self.llama / "build/bin/llama-gguf-split", "--merge", first, merged)
        self.say("split, merged", File(merged).digests() == File(whole).digests(), "every tensor")

    def gguf_parts(self, source):
        folder = self.folder / "parts"
        folder.mkdir()
        self.run(self.tessera, "gguf", source, folder / "out.gguf", "--type", "Q4_K_M",
                 "--no-tokenizer", "--split-size", "2MB")
        return folder

    def mtp(self):
        source = self.source("v3")
        error = nmse(self.theirs(self.gguf(source, "F32", "--mtp", "keep")),
                     self.theirs(self.gguf(source, "F32")))
        self.say("mtp", error == 0, f"NMSE {error:.1e}")


def nmse(got, want):
    return float(((got - want) ** 2).sum() / (want ** 2).sum())


def main():
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("llama", type=pathlib.Path)
    arguments.add_argument("--tessera", default=REPOSITORY / "build/release/bin/tessera", type=pathlib.Path)
    arguments.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judge = Judge(arguments.llama.resolve(), arguments.tessera.resolve(), pathlib.Path(folder))
        judge.build()
        for check in arguments.checks or CHECKS:
            getattr(judge, check)()
    sys.exit(judge.failed)


if __name__ == "__main__":
    main()
