#!/usr/bin/env python3
"""The example, built against the installed package, lists the tensors of a file and refuses a bad one.

usage: check_consumer.py PROGRAM
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile


def safetensors(tensors):
    header, data = {}, b""
    for name, (dtype, shape, payload) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(payload)]}
        data += payload
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "model.safetensors"
        file.write_bytes(safetensors({"a.weight": ("BF16", [2, 3], bytes(12)),
                                      "b.bias": ("F32", [4], bytes(16))}))
        listing = subprocess.run([program, file], capture_output=True, text=True, check=True)
        assert listing.stdout == "a.weight  BF16 [2, 3]\nb.bias  F32 [4]\n", listing.stdout

        file.write_bytes(file.read_bytes()[:-1])
        refused = subprocess.run([program, file], capture_output=True, text=True)
        assert refused.returncode == 3 and refused.stderr.startswith("error: "), refused


if __name__ == "__main__":
    main()
