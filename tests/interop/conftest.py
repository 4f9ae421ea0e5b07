"""Upstream readers load what tessera writes. TESSERA names the program to test."""
import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "support"))
import lite_checkpoint  # noqa: E402

# Tensors here are small: on shared cores threads cost more than they give.
torch.set_num_threads(1)

REPOSITORY = pathlib.Path(__file__).parents[2]
TESSERA = os.environ.get("TESSERA", str(REPOSITORY / "build/release/bin/tessera"))

FAMILIES = ["v2-lite", "v3", "v3.1", "v3.2", "k2", "glm5"]


def run_tessera(*arguments):
    done = subprocess.run([TESSERA, *map(str, arguments)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    assert done.returncode == 0, f"tessera {' '.join(map(str, arguments))}:\n{done.stderr}"
    return done.stdout


class Workshop:
    """Makes each checkpoint once a session, on first use."""

    def __init__(self, folder):
        self.folder = folder

    def synth(self, family, form="fp8"):
        out = self.folder / f"{family}-{form}"
        if not out.exists():
            run_tessera("synth", out, "--preset", "tiny", "--family", family, "--format", form,
                        "--quirks")
        return out

    def cast(self, source, *options):
        out = self.folder / "-".join([source.name, *(str(o).strip("-").replace("/", "_")
                                                     for o in options)])
        if not out.exists():
            run_tessera("cast", source, out, *options)
        return out

    def quantize(self, source, scheme, *options):
        out = self.folder / "-".join([source.name, scheme, *(str(o).strip("-").replace("/", "_")
                                                             for o in options)])
        if not out.exists():
            command = [TESSERA, "quantize", source, out, "--scheme", scheme, *options]
            done = subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True)
            assert done.returncode == 0, f"{scheme}:\n{done.stderr}"
        return out

    def gguf_source(self, family, form="fp8"):
        """A tiny checkpoint that llama.cpp could load; not with quirks, which its converter refuses."""
        out = self.folder / f"gguf-{form}" / family
        if not out.exists():
            tiny = self.folder / f"gguf-{form}" / f"{family}-tiny"
            run_tessera("synth", tiny, "--preset", "tiny", "--family", family, "--format", form)
            if json.loads((tiny / "config.json").read_text())["q_lora_rank"] is None:
                lite_checkpoint.stretch(tiny, out)
            else:
                tiny.rename(out)
        return out

    def gguf(self, source, *options, tokenizer=False):
        if not tokenizer:
            options = (*options, "--no-tokenizer")
        words = [str(o).strip("-").replace("/", "_") for o in options]
        out = self.folder / "-".join([source.parent.name, source.name, *words]) / "out.gguf"
        if not out.parent.exists():
            out.parent.mkdir()
            run_tessera("gguf", source, out, *options)
        return out


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    return Workshop(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param
