#!/usr/bin/env python3
"""Runs one case of the command-line tests.

usage: run.py TESSERA CASE.sh

A case is a shell script, run by `bash -euo pipefail` in an empty folder of its own with `tessera`
on the PATH, after the functions of prelude.bash. Beside it may lie, with the same stem:
  CASE.exit     the script's exit status (default 0)
  CASE.stdout   its standard output; likewise CASE.stderr (default: anything)
Expected output is compared line by line: `*` and `?` match as in a shell, a line `...` stands for
any number of lines.
A case that calls `skip REASON` counts as neither passed nor failed.
"""
import fnmatch
import os
import pathlib
import re
import subprocess
import sys
import tempfile

SKIPPED = 77  # also the runner's own status, which ctest knows


def line_pattern(line):
    # fnmatch, but brackets mean themselves: shapes and lists are full of them.
    return re.compile(fnmatch.translate(re.sub(r"\[", "[[]", line)))


def matches(expected, actual):
    """Whether the lines `actual` follow the pattern lines `expected`."""
    # reachable: how many actual lines the patterns so far may have consumed.
    reachable = {0}
    for pattern in expected:
        if pattern == "...":
            reachable = set(range(min(reachable), len(actual) + 1))
        else:
            wanted = line_pattern(pattern)
            reachable = {n + 1 for n in reachable if n < len(actual) and wanted.match(actual[n])}
        if not reachable:
            return False
    return len(actual) in reachable


class Skipped(Exception):
    """The case says that it cannot be run here, and why."""


def run_case(tessera, case):
    """Returns the list of complaints about one case, empty when it passed."""
    prelude = pathlib.Path(__file__).with_name("prelude.bash")
    with tempfile.TemporaryDirectory(prefix="tessera-cli-") as folder:
        work = pathlib.Path(folder) / "work"
        work.mkdir()
        environment = {
            "PATH": f"{tessera.parent}:{os.environ['PATH']}",
            "HOME": folder,
            "TMPDIR": folder,
            "LC_ALL": "C.UTF-8",
            "CASES": str(case.parent),
            **{k: v for k, v in os.environ.items() if re.match(r"(?:[AUTL]+SAN)_OPTIONS$", k)},
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'. "{prelude}"; . "{case}"'],
            cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
    streams = {"stdout": done.stdout.decode(errors="replace"),
               "stderr": done.stderr.decode(errors="replace")}

    if done.returncode == SKIPPED:
        raise Skipped(streams["stderr"].strip())
    complaints = []
    exit_file = case.with_suffix(".exit")
    expected_exit = int(exit_file.read_text()) if exit_file.exists() else 0
    if done.returncode != expected_exit:
        complaints.append(f"exit status: expected {expected_exit}, got {done.returncode}")
    for name, text in streams.items():
        expectation = case.with_suffix(f".{name}")
        if expectation.exists():
            expected = expectation.read_text().splitlines()
            if not matches(expected, text.splitlines()):
                complaints.append(f"{name}: expected\n" + "\n".join(expected))
    if complaints:
        complaints += [f"{name} was\n{text}" for name, text in streams.items()]
    return complaints


def main():
    tessera, case = (pathlib.Path(argument).resolve() for argument in sys.argv[1:])
    try:
        complaints = run_case(tessera, case)
    except Skipped as reason:
        print(f"{case.stem}: {reason}")
        return SKIPPED
    print("\n".join(complaints) if complaints else f"{case.stem}: passed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
