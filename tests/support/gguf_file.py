"""A GGUF file's metadata and tensors, read with nothing but the format's description."""
import math
import struct

TYPES = {0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
         7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
         12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 20: ("IQ4_NL", 32, 18),
         23: ("IQ4_XS", 256, 136), 30: ("BF16", 1, 2), 39: ("MXFP4", 32, 17)}
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


class File:
    """metadata: {key: value}; tensors: {name: (type, shape outermost first, bytes)}, in file order."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0
        magic, version, tensors, keys = self.take("4sIQQ")
        assert (magic, version) == (b"GGUF", 3), path
        self.metadata = {}
        for _ in range(keys):
            key = self.string()
            assert key not in self.metadata, key
            self.metadata[key] = self.value(self.take("I")[0])
        infos = []
        for _ in range(tensors):
            name = self.string()
            shape = self.take(f"{self.take('I')[0]}Q")
            infos.append((name, list(reversed(shape)), *self.take("IQ")))
        begin = padded(self.at)
        assert not any(self.data[self.at:begin]), "padding is not zero"
        self.tensors = {}
        end = 0
        for name, shape, kind, offset in infos:
            assert offset == padded(end), f"{name} is not where the one before it ends"
            type_name, block, block_bytes = TYPES[kind]
            end = offset + math.prod(shape) // block * block_bytes
            self.tensors[name] = type_name, shape, self.data[begin + offset:begin + end]
            assert not any(self.data[begin + end:begin + padded(end)]), f"padding behind {name}"
        assert len(self.tensors) == tensors and begin + padded(end) == len(self.data)

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += struct.calcsize("<" + layout)
        return values

    def string(self):
        length, = self.take("Q")
        return self.take(f"{length}s")[0].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.take("IQ")
            return [self.value(element) for _ in range(count)]
        return self.take(SCALARS[kind])[0]


def padded(size):
    return (size + 31) // 32 * 32
