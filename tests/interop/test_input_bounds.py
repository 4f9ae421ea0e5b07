"""The largest headers and indexes that are accepted are read in little time and memory."""
import os
import pathlib
import re
import struct
import subprocess

import pytest
from conftest import TESSERA

PROBE = pathlib.Path(TESSERA).with_name("header_probe")
TENSORS = 1_000_000
MAX_SECONDS, MAX_MB = 2, 500  # of CPU, so that other tests at the same time do not count


def names():
    return (f"layer.{i % 61}.mlp.experts.{i}.down.weight" for i in range(TENSORS))


def read(path):
    """Returns seconds and MB that reading it took, asked of the kernel while the program waits for more."""
    with subprocess.Popen([PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ok\n"
        proc = pathlib.Path("/proc") / str(process.pid)
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", (proc / "status").read_text())[1])
        ticks = (proc / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), peak / 1024


def check(path):
    seconds, megabytes = min(read(path) for _ in range(3))  # a busy machine costs CPU time too
    print(f"{path.stat().st_size} bytes: {seconds:.2f} s, {megabytes:.0f} MB")
    assert seconds < MAX_SECONDS and megabytes < MAX_MB


@pytest.mark.slow
def test_a_header_of_a_million_tensors_and_a_hundred_megabytes(tmp_path):
    text = "{" + ",".join(f'"{name}":{{"dtype":"U8","shape":[1],"data_offsets":[{i},{i + 1}]}}'
                          for i, name in enumerate(names()))
    text = f"{text:<99999999}}}"
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text.encode())
        file.truncate(8 + len(text) + TENSORS)
    check(path)


@pytest.mark.slow
def test_an_index_of_a_million_tensors(tmp_path):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text('{"weight_map":{' + ",".join(f'"{name}":"model-{i % 163 + 1:05}-of-00163.safetensors"'
                                                 for i, name in enumerate(names())) + "}}")
    check(path)
