"""A strict reader of safetensors files and folders, written apart from the program's own."""
import hashlib
import json
import pathlib
import struct

BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
        "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64}


def no_duplicates(pairs):
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), "a name stands twice"
    return dict(pairs)


def read_header(path):
    """Returns {name: (dtype, shape, begin, end)}, positions from the start of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        assert 8 + length <= size, f"{path}: the header ends after the file"
        header = json.loads(file.read(length), object_pairs_hook=no_duplicates)
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(value, str) for value in metadata.values()), metadata
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert sorted(entry) == ["data_offsets", "dtype", "shape"], f"{path}: {name}: {entry}"
        begin, stop = entry["data_offsets"]
        bits = BITS[entry["dtype"]]
        for dimension in entry["shape"]:
            bits *= dimension
        assert begin == end and 8 * (stop - begin) == bits, f"{path}: {name}: {entry}"
        tensors[name] = (entry["dtype"], entry["shape"], 8 + length + begin, 8 + length + stop)
        end = stop
    assert 8 + length + end == size, f"{path}: {size} bytes, the header says {8 + length + end}"
    return tensors


def read_file(path):
    """Returns {name: (dtype, shape, bytes)}."""
    path = pathlib.Path(path)
    data = path.read_bytes()
    return {name: (dtype, shape, data[begin:end])
            for name, (dtype, shape, begin, end) in read_header(path).items()}


def read_folder(folder):
    """Returns {name: (dtype, shape, bytes)} of all shards, which must be those of the index."""
    folder = pathlib.Path(folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text(),
                       object_pairs_hook=no_duplicates)
    tensors, where = {}, {}
    for shard in sorted(folder.glob("*.safetensors")):
        for name, tensor in read_file(shard).items():
            assert name not in tensors, f"{name} is in two shards"
            tensors[name], where[name] = tensor, shard.name
    assert where == index["weight_map"], "the index does not describe the shards"
    return tensors


def digest(tensors):
    """SHA-256 over names, types, shapes and bytes, whatever the shards and the order."""
    total = hashlib.sha256()
    for name, (dtype, shape, data) in sorted(tensors.items()):
        total.update(f"{name} {dtype} {shape}\n".encode() + data)
    return total.hexdigest()


def write_file(path, tensors):
    """Writes {name: (dtype, shape, bytes)} in the order given."""
    header, end = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)
