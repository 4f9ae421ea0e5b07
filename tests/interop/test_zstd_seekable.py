"""pyzstd, another implementation of seekable zstd, reads what tessera writes, and the other way round."""
import random
import shutil
import struct

import pytest
import pyzstd
import safetensors
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


def without_marks(packed):
    """What a decoder that ignores dictionary IDs would make of it: our marks taken out, and the table with them."""
    count, = struct.unpack("<I", packed[-9:-5])
    table = len(packed) - 9 - 12 * count
    frames, at = b"", 0
    for i in range(count):
        size, = struct.unpack("<I", packed[table + 12 * i:table + 12 * i + 4])
        frame = packed[at:at + size]
        if frame[4] & 3:
            place = 5 if frame[4] & 0x20 else 6
            assert frame[place + 1:place + 4] == b"pln"
            frame = frame[:4] + bytes([frame[4] & ~3]) + frame[5:place] + frame[place + 4:]
        frames += frame
        at += size
    assert at == table - 8
    return frames


def test_nobody_takes_byte_planes_for_a_safetensors_file(workshop, tmp_path):
    source = workshop.synth("v3")
    run_tessera("cast", source, tmp_path / "plain", "--to", "bf16")
    run_tessera("cast", source, tmp_path / "planes", "--to", "bf16", "--compress", "zstd-planes")
    assert shards(tmp_path / "plain")
    for plain in shards(tmp_path / "plain"):
        packed = tmp_path / "planes" / (plain.name + ".zst")
        with pytest.raises(pyzstd.ZstdError), pyzstd.SeekableZstdFile(packed) as file:
            file.read(1)
        with pytest.raises(pyzstd.ZstdError, match="(?i)dictionary"):
            pyzstd.decompress(packed.read_bytes())
        planes = pyzstd.decompress(without_marks(packed.read_bytes()))
        assert len(planes) == plain.stat().st_size
        loose = tmp_path / "loose.safetensors"
        loose.write_bytes(plain.read_bytes())
        safetensors.safe_open(loose, "np")
        loose.write_bytes(planes)
        with pytest.raises(safetensors.SafetensorError, match="(?i)header"):
            safetensors.safe_open(loose, "np")
