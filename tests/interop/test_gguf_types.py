"""The mixes are llama-quantize's, byte for byte, and the `gguf` package reads every type as we do."""
import functools
import hashlib
import json
import pathlib
import re
import subprocess

import importance_file
import pytest
import torch
from conftest import TESSERA, run_tessera
from gguf_files import FAMILIES, File, chosen_types, exact, golden, shapes

MIXES = list(golden("gguf_types.json")["models"]["tiny v3"]["mixes"])
# Every type is in one of them.
FEW = ["F16", "BF16", "Q8_0", "Q4_1", "Q2_K", "Q4_K_M", "Q5_K_S", "IQ4_XS", "MXFP4_MOE"]
PLAIN = [mix for mix in MIXES if mix != "Q2_K_S"]
SLOW = [mix for mix in MIXES if mix not in FEW]


def marked(mixes):
    return [pytest.param(mix, marks=[pytest.mark.slow] if mix in SLOW else []) for mix in mixes]


def digests(file):
    """What gguf_quantized.json holds: {type: SHA-256 of all tensors of the type in order of their names}."""
    hashes = {}
    for name, tensor in sorted(file.tensors.items()):
        hashes.setdefault(tensor.tensor_type.name, hashlib.sha256()).update(tensor.data.tobytes())
    return {kind: digest.hexdigest()[:16] for kind, digest in sorted(hashes.items())}


@pytest.fixture(scope="module")
def imatrix(workshop):
    path = workshop.folder / "imatrix.gguf"
    importance_file.write(path, measured(shapes(golden("gguf_types.json")["models"]["tiny v3"]["tensors"])))
    return path


def measured(layout):
    """The tensors that an importance matrix can be of."""
    return {name: ne for name, ne in layout.items() if len(ne) > 1 and "_inp" not in name}


@pytest.mark.parametrize("mix", marked(PLAIN))
def test_types_and_bytes_are_llama_quantizes(workshop, mix):
    want = golden("gguf_quantized.json")["tiny v3"][mix]["plain"]
    out = File(workshop.gguf(workshop.gguf_source("v3"), "--type", mix))
    assert out.types() == chosen_types("v3", mix)
    assert digests(out) == want


def test_what_llama_quantize_refuses_without_an_importance_matrix_is_refused(workshop, tmp_path):
    quantized = golden("gguf_quantized.json")["tiny v3"]
    assert {mix for mix, ways in quantized.items() if ways["plain"] is None} == set(MIXES) - set(PLAIN)
    done = subprocess.run([TESSERA, "gguf", workshop.gguf_source("v3"), tmp_path / "out.gguf", "--type",
                           "Q2_K_S", "--no-tokenizer"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    assert done.returncode == 3 and "--imatrix" in done.stderr


@pytest.mark.parametrize("mix", marked(MIXES))
def test_under_an_importance_matrix_too(workshop, imatrix, mix):
    out = File(workshop.gguf(workshop.gguf_source("v3"), "--type", mix, "--imatrix", imatrix))
    assert out.types() == chosen_types("v3", mix, weighted=True)
    assert digests(out) == golden("gguf_quantized.json")["tiny v3"][mix]["imatrix"]
    keys = {key.removeprefix("quantize.imatrix."): value for key, value in out.metadata.items()
            if key.startswith("quantize.")}
    entries = sum(1 for _ in importance_file.entries(measured(out.shapes())))
    assert keys == {"file": ["STRING", imatrix.name], "dataset": ["STRING", "invented.txt"],
                    "entries_count": ["UINT32", entries], "chunks_count": ["UINT32", 7]}


@pytest.mark.parametrize("mix", marked(PLAIN))
def test_the_package_decodes_what_we_decode(workshop, mix):
    path = workshop.gguf(workshop.gguf_source("v3"), "--type", mix)
    ours = path.parent.with_name(path.parent.name + "-decoded")
    run_tessera("cast", path, ours, "--to", "f32")
    got, want = exact(ours), File(path).decoded()
    assert got.keys() == want.keys()
    assert [name for name in want if not torch.equal(got[name], want[name])] == []


def test_what_is_cast_from_a_gguf_file_is_a_checkpoint_again(workshop):
    path = workshop.gguf(workshop.gguf_source("v3"), "--type", "BF16")
    cast = path.parent.with_name("cast-again")
    run_tessera("cast", path, cast, "--to", "bf16")
    assert all(shard.endswith(".safetensors") for shard in json.loads(
        (cast / "model.safetensors.index.json").read_text())["weight_map"].values())
    assert not list(cast.glob("*.gguf"))
    again = workshop.gguf(cast, "--type", "BF16")
    assert File(again).digests() == File(path).digests()


def test_every_type_is_among_those_always_tested():
    def kinds(mixes):
        return {kind for mix in mixes for kind in chosen_types("v3", mix).values()}
    assert kinds(FEW) == kinds(MIXES)


@pytest.mark.parametrize("mix", ["F32", "Q4_K_M", "IQ4_XS"])
@pytest.mark.parametrize("family", FAMILIES)
def test_types_of_every_family(workshop, family, mix):
    out = File(workshop.gguf(workshop.gguf_source(family), "--type", mix))
    assert out.types() == chosen_types(family, mix)


def test_split_files_hold_together_what_one_holds(workshop):
    source = workshop.gguf_source("v3")
    whole = File(workshop.gguf(source, "--type", "Q8_0"))
    first = workshop.gguf(source, "--type", "Q8_0", "--split-size", "3MB")
    parts = sorted(first.parent.glob("*.gguf"))
    assert len(parts) > 2
    assert [part.name for part in parts] == [f"out-{n + 1:05}-of-{len(parts):05}.gguf"
                                             for n in range(len(parts))]
    together, split = {}, {"split.no", "split.count", "split.tensors.count"}
    for number, part in enumerate(map(File, parts)):
        assert part.metadata["split.no"] == ["UINT16", number]
        assert part.metadata["split.count"] == ["UINT16", len(parts)]
        assert part.metadata["split.tensors.count"] == ["INT32", len(whole.tensors)]
        assert not together.keys() & part.tensors.keys()
        together |= part.digests()
        rest = {key: value for key, value in part.metadata.items() if key not in split}
        assert rest == (whole.metadata if number == 0 else {})
    assert together == whole.digests()


@pytest.fixture(scope="module")
def whole_v3(tmp_path_factory):
    """The bytes of a type's plan for all of DeepSeek-V3."""
    folder = tmp_path_factory.mktemp("v3")
    run_tessera("synth", folder / "v3", "--preset", "deepseek-v3", "--sparse")

    @functools.cache
    def planned(mix):
        return json.loads(run_tessera("gguf", folder / "v3", folder / "out.gguf", "--type", mix, "--no-tokenizer",
                                      "--dry-run", "--json"))["bytes"]
    return planned


def test_the_whole_v3_has_the_size_that_llama_quantize_computes(whole_v3):
    mixes = golden("gguf_types.json")["models"]["DeepSeek-V3"]["mixes"]
    for mix in PLAIN:
        assert abs(whole_v3(mix) / 2**20 - mixes[mix]["MiB"]) < 0.01, mix


def test_the_documentation_gives_the_size_of_every_type(whole_v3):
    text = (pathlib.Path(__file__).parents[2] / "docs" / "gguf.md").read_text()
    documented = {}
    for names, sizes, bits in re.findall(r"^\| ([^|]+) \| ([\d., ]+) \| ([\d., ]+) \|", text, re.MULTILINE):
        names = re.sub(r" \(\w+\)", "", names).split(", ")
        for name, size, bit in zip(names, *(
                column.split(", ") * (len(names) // len(column.split(", "))) for column in (sizes, bits))):
            documented[name] = float(size), float(bit)
    assert documented.keys() == set(MIXES) | {"dynamic-Q2", "dynamic-Q3", "dynamic-Q4"}
    for mix in documented.keys() - {"Q2_K_S"}:
        gigabytes = whole_v3(mix) / 1e9
        assert documented[mix] == (round(gigabytes, 1), round(gigabytes * 8 / 671.026, 2)), mix
