"""Rank files are, byte for byte, those of a script in PyTorch, and the script's are DeepSeek's."""
import hashlib
import json
import subprocess
import sys

import pytest
from conftest import REPOSITORY, run_tessera
from reshard_torch import reshard

GOLDEN = json.loads((REPOSITORY / "tests/golden/reshard.json").read_text())["ranks"]
SUPPORT = REPOSITORY / "tests/support"


def rank_files(folder, degree):
    return [folder / f"model{rank}-mp{degree}.safetensors" for rank in range(degree)]


def digest(folder, degree):
    joined = hashlib.sha256()
    for path in rank_files(folder, degree):
        joined.update(path.read_bytes())
    return joined.hexdigest()


def cuttable_model(name, tmp_path_factory):
    out = tmp_path_factory.mktemp(name) / "in"
    subprocess.run([sys.executable, "-B", SUPPORT / "cuttable_models.py", name, out], check=True)
    return out


@pytest.fixture(scope="module")
def many_heads(tmp_path_factory):
    return cuttable_model("many-heads", tmp_path_factory)


@pytest.fixture(scope="module")
def true_widths(tmp_path_factory):
    return cuttable_model("true-widths", tmp_path_factory)


def compare(source, degree, work):
    reshard(source, work / "torch", degree)
    run_tessera("reshard", source, work / "ours", "--mp", degree)
    for path in rank_files(work / "ours", degree):
        subprocess.run(["cmp", path, work / "torch" / path.name], check=True)
    return digest(work / "torch", degree)


@pytest.mark.parametrize("form, degree", [("fp8", 1), ("fp8", 2), ("bf16", 2), ("bf16", 4),
                                          ("bf16", 8)])
def test_ranks_are_torchs_and_torchs_are_deepseeks(workshop, family, form, degree, tmp_path):
    got = compare(workshop.synth(family, form), degree, tmp_path)
    assert got == GOLDEN[f"{family} {form} quirks {degree}"]


@pytest.mark.parametrize("degree", [16, 128])
def test_many_ranks_are_torchs_and_torchs_are_deepseeks(many_heads, degree, tmp_path):
    assert compare(many_heads, degree, tmp_path) == GOLDEN[f"many-heads {degree}"]


@pytest.mark.slow
@pytest.mark.parametrize("degree", [4, 16])
def test_true_widths_are_torchs_and_torchs_are_deepseeks(true_widths, degree, tmp_path):
    assert compare(true_widths, degree, tmp_path) == GOLDEN[f"true-widths {degree}"]
