"""Files that the `gguf` package writes are read as it means them."""
import json

import gguf
import numpy as np
import pytest
from conftest import run_tessera

TYPES = gguf.GGUFValueType
SCALARS = {TYPES.UINT8: 255, TYPES.INT8: -128, TYPES.UINT16: 65535, TYPES.INT16: -32768,
           TYPES.UINT32: 2**32 - 1, TYPES.INT32: -2**31, TYPES.UINT64: 2**64 - 1, TYPES.INT64: -2**63,
           TYPES.FLOAT32: 0.5, TYPES.FLOAT64: 1e-300, TYPES.BOOL: True, TYPES.STRING: "Ġtoken \n"}


def writer(path, **options):
    out = gguf.GGUFWriter(path, "anything", **options)
    for kind, value in SCALARS.items():
        out.add_key_value(f"scalar.{kind.name}", value, kind)
        out.add_key_value(f"array.{kind.name}", [value, value], TYPES.ARRAY, kind)
    return out


def write(out):
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def inspect(path):
    return json.loads(run_tessera("inspect", path, "--tensors", "--json"))


def test_every_value_is_the_one_written(tmp_path):
    write(writer(tmp_path / "x.gguf"))
    metadata = inspect(tmp_path / "x.gguf")["metadata"]
    for kind, value in SCALARS.items():
        assert metadata[f"scalar.{kind.name}"] == value
        assert metadata[f"array.{kind.name}"]["elements"] == 2


def test_every_type_has_its_size(tmp_path):
    out = writer(tmp_path / "x.gguf")
    # What the package says of Q8_1 is not what ggml does.
    kinds = [kind for kind in gguf.GGMLQuantizationType if kind.name != "Q8_1"]
    for kind in kinds:
        block, size = gguf.GGML_QUANT_SIZES[kind]
        out.add_tensor(kind.name, np.zeros((3, 2, size), np.uint8), raw_dtype=kind)
    write(out)
    read = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    listed = {tensor["name"]: tensor for tensor in inspect(tmp_path / "x.gguf")["tensor_list"]}
    assert len(listed) == len(kinds)
    for name, tensor in read.items():
        assert listed[name]["dtype"] == name
        assert listed[name]["shape"] == list(reversed(tensor.shape.tolist()))
        assert listed[name]["offset"] == tensor.data_offset
        assert listed[name]["bytes"] == tensor.n_bytes


@pytest.mark.parametrize("empty_first", [False, True])
def test_split_files_are_one(tmp_path, empty_first):
    out = writer(tmp_path / "x.gguf", split_max_tensors=2, small_first_shard=empty_first)
    for i in range(5):
        out.add_tensor(f"t{i}", np.full((3, i + 1), i, np.float32))
    write(out)
    first, *others = sorted(tmp_path.glob("*.gguf"))
    assert len(others) == 3 if empty_first else 2
    for path in (first, tmp_path):
        report = inspect(path)
        assert report["shards"] == 1 + len(others)
        assert [tensor["name"] for tensor in report["tensor_list"]] == [f"t{i}" for i in range(5)]
