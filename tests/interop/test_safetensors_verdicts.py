"""Which headers are accepted: the reader against the `safetensors` package, on headers changed at
random. Where the two may differ is listed here and in docs/hostile.md; nothing else may."""
import collections
import json
import pathlib
import random
import struct
import subprocess

import pytest
from conftest import TESSERA
from safetensors import SafetensorError, deserialize

PROBE = pathlib.Path(TESSERA).with_name("header_probe")
SEED = 20240607
HEADERS = 12_000

# Our rule, where the package accepts: read by two programs such a file means two things, or it is
# larger than any that was ever written.
STRICTER = {
    "duplicate-tensor": "a name twice: the package takes the last",
    "json-duplicate-key": "a key of __metadata__ twice: the package takes the last",
    "json-depth": "an unknown field nested deeper than 64 levels",
    "rank-too-large": "more than 64 dimensions",
    "bad-shape": "a dimension above 2^48 - 1 beside one that is 0",
    "bad-tensor-entry": "an entry spelt as a list of its fields",
    "unknown-dtype": "a dtype spelt as an object",
}
# The package refuses [2^40, 2^40, 0], whose product overflows on its way to 0, and takes [0, 2^40, 2^40].
LOOSER = "overflow computing buffer size"

BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "I16": 16,
        "F16": 16, "BF16": 16, "F32": 32, "I32": 32, "C64": 64, "F64": 64, "U64": 64}
NUMBERS = ["0", "1", "2", "3", "7", "8", "255", "65536", "4294967296", "281474976710655", "281474976710656",
           "1099511627776", "9223372036854775807", "18446744073709551615", "18446744073709551616",
           "1" + "0" * 400, "-1", "-0", "01", "1.0", "1e0", "1e400", "1e-400", "0x1", "+1", "NaN", "Infinity"]
VALUES = NUMBERS + ["null", "true", '""', '"F32"', '"f32"', "[]", "{}", "[[]]", '{"F32":null}', "[1,2]", "[1,2,3]",
                    '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', "'x'", "[" * 70 + "]" * 70, "[" * 200 + "]" * 200]
NAMES = ['""', '"a"', '"\\u0061"', '"__metadata__"', '"a.b/../c"', '"\\n"', '"\n"', '"\\u0000"', '"\\udc00"', '"é"']


class Header:
    """A header as text, put together from parts of which any may be wrong."""

    def __init__(self, draw):
        self.draw = draw
        self.entries, self.end = [], 0
        for number in range(draw.choice([0, 1, 1, 2, 2, 3, 5])):
            dtype = draw.choice(list(BITS))
            shape = [draw.choice([0, 1, 2, 3, 4, 8]) for _ in range(draw.randrange(4))]
            bits = BITS[dtype]
            for dimension in shape:
                bits *= dimension
            begin, self.end = self.end, self.end + (bits + 7) // 8
            self.entries.append([f'"t{number}"', [['"dtype"', f'"{dtype}"'],
                                                  ['"shape"', "[" + ",".join(map(str, shape)) + "]"],
                                                  ['"data_offsets"', f"[{begin},{self.end}]"]]])
        if draw.random() < 0.3:
            self.entries.insert(0, ['"__metadata__"', [['"format"', '"pt"']]])

    def change(self):
        draw = self.draw
        if not self.entries or draw.random() < 0.1:
            self.entries.append([draw.choice(NAMES), draw.choice(VALUES)])
            return
        entry = draw.choice(self.entries)
        fields = entry[1] if isinstance(entry[1], list) else None
        what = draw.randrange(11)
        if what == 0:
            entry[0] = draw.choice(NAMES + [other[0] for other in self.entries])
        elif what == 1:
            entry[1] = draw.choice(VALUES)
        elif what == 2:
            self.entries.append(list(entry))
        elif what == 3:
            draw.shuffle(self.entries)
        elif what == 4 and fields:
            entry[1] = "[" + ",".join(value for _, value in fields) + "]"
        elif not fields:
            self.entries.remove(entry)
        elif what == 5:
            fields.append(draw.choice([list(draw.choice(fields)),
                                       [draw.choice(['"x"', '"\\u0064type"', '"Dtype"']), draw.choice(VALUES)]]))
        elif what == 6:
            fields.remove(draw.choice(fields))
        elif what == 7:
            draw.shuffle(fields)
        elif what == 8:
            draw.choice(fields)[1] = draw.choice(VALUES)
        elif what == 9:
            self.change_shape(fields)
        else:
            field = draw.choice(fields)
            numbers = field[1].strip("[]").split(",")
            numbers[draw.randrange(len(numbers))] = draw.choice(NUMBERS)
            field[1] = "[" + ",".join(numbers) + "]"

    def change_shape(self, fields):
        """Of a tensor without elements: any shape with a zero has no bytes."""
        numbers = self.draw.choice([NUMBERS[:12], ["1", "4294967296", "281474976710655"]])
        shape = [self.draw.choice(numbers) for _ in range(self.draw.choice([1, 2, 3, 64, 65]))]
        shape[self.draw.randrange(len(shape))] = "0"
        for field in fields:
            if field[0] == '"shape"':
                field[1] = "[" + ",".join(shape) + "]"
            elif field[0] == '"data_offsets"':
                field[1] = f"[{self.end},{self.end}]"

    def text(self):
        def spell(value):
            return value if isinstance(value, str) else "{" + ",".join(f"{k}:{v}" for k, v in value) + "}"
        return "{" + ",".join(f"{name}:{spell(value)}" for name, value in self.entries) + "}"


def change_bytes(draw, text, data):
    what = draw.randrange(8)
    if what == 0:
        at = draw.randrange(len(text) + 1)
        text = text[:at] + draw.choice([b" ", b"\n", b"\0", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b",", b'"', b"/**/",
                                        b"\xef\xbb\xbf"]) + text[at:]
    elif what == 1:
        text = draw.choice([b" ", b"\xef\xbb\xbf", b"\n\t", b""]) + text + draw.choice([b"", b" " * 9, b"\0", b"{}", b"x"])
    elif what == 2:
        text = text[:draw.randrange(len(text) + 1)]
    elif what == 3:
        data += draw.choice([-1, 1, 8])
    return text, max(data, 0)


def make_file(draw):
    header = Header(draw)
    for _ in range(draw.choice([0, 1, 1, 1, 2, 3])):
        header.change()
    text, data = header.text().encode(), header.end
    if draw.random() < 0.3:
        text, data = change_bytes(draw, text, data)
    length = len(text)
    if draw.random() < 0.03:
        length = draw.choice([0, length - 1, length + 1, 100_000_000, 100_000_001, 2**63, 2**64 - 1, 2**64 - 8])
    return struct.pack("<Q", max(length, 0)) + text + bytes(data)


def their_verdict(contents):
    try:
        deserialize(contents)
        return "ok"
    except SafetensorError as error:
        return str(error)


def our_verdicts(folder, files):
    paths = []
    for number, contents in enumerate(files):
        paths.append(folder / str(number))
        paths[-1].write_bytes(contents)
    done = subprocess.run([PROBE], input="".join(f"{path}\n" for path in paths), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_accepts_and_refuses_what_the_package_does(tmp_path):
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    files = [make_file(draw) for _ in range(HEADERS)]
    seen = collections.Counter()
    for contents, ours in zip(files, our_verdicts(tmp_path, files), strict=True):
        theirs = their_verdict(contents)
        if ours != "ok" and theirs == "ok":
            assert ours in STRICTER, (ours, contents)
            seen[ours] += 1
        elif ours == "ok" and theirs != "ok":
            assert LOOSER in theirs, (theirs, contents)
            seen[LOOSER] += 1
        else:
            seen["both accept" if ours == "ok" else "both refuse"] += 1
    print(json.dumps(seen, indent=1))
    # Each listed difference was met, and neither verdict was rare.
    assert not {*STRICTER, LOOSER} - {*seen}
    assert min(seen["both accept"], seen["both refuse"]) > HEADERS // 10


@pytest.mark.parametrize("pairs", [65_536, 65_537])
def test_metadata_is_bounded_where_the_packages_is_not(tmp_path, pairs):
    text = json.dumps({"__metadata__": {str(i): "" for i in range(pairs)}}).encode()
    contents = struct.pack("<Q", len(text)) + text
    assert their_verdict(contents) == "ok"
    assert our_verdicts(tmp_path, [contents]) == ["ok" if pairs == 65_536 else "json-too-large"]
