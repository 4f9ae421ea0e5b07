"""pyzstd, another implementation of seekable zstd, reads what tessera writes, and the other way round."""
import random
import shutil

import pytest
import pyzstd
from conftest import run_tessera


def shards(folder):
    return sorted(folder.glob("*.safetensors"))


def test_it_reads_any_part_of_ours(workshop, tmp_path):
    source = workshop.synth("v3")
    run_tessera("cast", source, tmp_path / "plain", "--to", "bf16")
    run_tessera("cast", source, tmp_path / "packed", "--to", "bf16", "--compress", "zstd")
    assert shards(tmp_path / "plain")
    rng = random.Random(1)
    for plain in shards(tmp_path / "plain"):
        want = plain.read_bytes()
        with pyzstd.SeekableZstdFile(tmp_path / "packed" / (plain.name + ".zst")) as packed:
            assert packed.seek(0, 2) == len(want)
            for begin in [0, len(want) - 1, *(rng.randrange(len(want)) for _ in range(20))]:
                size = rng.randrange(1, 100_000)
                packed.seek(begin)
                assert packed.read(size) == want[begin:begin + size]
            packed.seek(0)
            assert packed.read() == want


@pytest.mark.parametrize("frame", [1000, 1 << 20, 1 << 26])
def test_we_read_what_it_writes(workshop, tmp_path, frame):
    source = workshop.synth("v3")
    packed = tmp_path / "packed"
    shutil.copytree(source, packed)
    for plain in shards(packed):
        with pyzstd.SeekableZstdFile(str(plain) + ".zst", "w", max_frame_content_size=frame) as out:
            out.write(plain.read_bytes())
        plain.unlink()
    run_tessera("verify", source, packed)
