"""An importance matrix in llama.cpp's GGUF form, invented: heavy tails, columns without weight, experts
that no token reached."""
import random
import struct


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def pad(data):
    return data + bytes(-len(data) % 32)


def entries(shapes):
    """{name: (values, counts)} for {name: sizes, innermost first}; none for the embedding, as llama.cpp
    measures none."""
    rng = random.Random("importance")
    for name, ne in sorted(shapes.items()):
        if name == "token_embd.weight":
            continue
        columns, matrices = ne[0], ne[2] if len(ne) > 2 else 1
        experts = matrices if "_exps." in name else 1
        counts = [float(rng.randrange(16, 512)) for _ in range(experts)]
        values = [0.0 if rng.random() < 0.02 else rng.random() ** 4 * 100
                  for _ in range(columns * matrices)]
        if experts > 1:
            counts[3] = 0.0
            values[3 * columns:4 * columns] = [0.0] * columns
        yield name, values, counts


def write(path, shapes):
    infos, data = [], b""
    for name, values, counts in entries(shapes):
        for suffix, numbers, ne in ((".counts", counts, (1, len(counts))),
                                    (".in_sum2", values, (len(values) // len(counts), len(counts)))):
            infos.append(string(name + suffix) + struct.pack("<IQQIQ", 2, *ne, 0, len(data)))
            data += pad(struct.pack(f"<{len(numbers)}f", *numbers))
    u32, text, array = 4, 8, 9
    keys = [string("general.type") + struct.pack("<I", text) + string("imatrix"),
            string("imatrix.datasets") + struct.pack("<IIQ", array, text, 1) + string("invented.txt"),
            string("imatrix.chunk_count") + struct.pack("<II", u32, 7),
            string("imatrix.chunk_size") + struct.pack("<II", u32, 512)]
    head = b"GGUF" + struct.pack("<Iqq", 3, len(infos), len(keys))
    path.write_bytes(pad(head + b"".join(keys + infos)) + data)
