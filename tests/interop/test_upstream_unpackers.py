"""AutoAWQ's and GPTQModel's own functions unpack what `tessera quantize` writes to what `tessera cast` makes of it.

Importing either package needs a GPU's packages. scripts/test.sh fetches their sources into build/upstream, and the
functions are taken out of these, as for the golden file."""
import runpy
import tarfile
import types

import pytest
import torch
from conftest import REPOSITORY
from torch_numbers import bits, load

GOLDEN = types.SimpleNamespace(**runpy.run_path(str(REPOSITORY / "tests/golden/make_int_formats_golden.py")))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory):
    """The folder of a package's source, by name."""
    folder = tmp_path_factory.mktemp("upstream")
    archives = {path.name.partition("-")[0]: path for path in (REPOSITORY / "build/upstream").glob("*.tar.gz")}

    def unpack(name):
        assert name in archives, "build/upstream has no source of " + name
        with tarfile.open(archives[name]) as archive:
            archive.extractall(folder, filter="data")
        return folder / archives[name].name.removesuffix(".tar.gz")

    return unpack


def quantized(folder):
    modules = {}
    for name, tensor in load(folder).items():
        module, _, part = name.rpartition(".")
        modules.setdefault(module, {})[part] = tensor
    return {name: parts for name, parts in modules.items() if "qweight" in parts}


def awq(root):
    dequantize = GOLDEN.awq_dequantize(root)
    return lambda parts: dequantize(parts["qweight"], parts["qzeros"], parts["scales"].float(), 4, 128).T


def gptq(root, width):
    functions = GOLDEN.gptq_functions(root)

    def unpack(parts):
        module = GOLDEN.GptqModule(width, len(parts["g_idx"]))
        vars(module).update(parts, scales=parts["scales"].float())
        functions.to_v2(module, width, torch.int32)
        return functions.dequantize(module).T

    return unpack


@pytest.mark.parametrize("search", ["mse", "absmax"])
@pytest.mark.parametrize("scheme", ["awq", "gptq4", "gptq8"])
def test_upstreams_own_functions_unpack_every_weight(workshop, upstream, scheme, search):
    out = workshop.quantize(workshop.synth("v3"), scheme, "--search", search)
    unpack = awq(upstream("autoawq")) if scheme == "awq" else gptq(upstream("gptqmodel"), int(scheme[-1]))
    cast = load(workshop.cast(out, "--to", "f32"))
    modules = quantized(out)
    assert len(modules) > 90
    for name, parts in modules.items():
        want = cast[name + ".weight"]
        assert torch.equal(bits(unpack(parts).to(torch.float32)), bits(want)), name
