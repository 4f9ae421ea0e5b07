#!/usr/bin/env python3
"""Fails when docs/guarantees.md names a test that ctest or pytest would not find, or promises something
without naming any.

usage: check_guarantees.py ROOT BUILD
"""
import fnmatch
import json
import pathlib
import re
import subprocess
import sys

# What a name of an instantiated GoogleTest has around it: formats.Every/Suite.Name/3
AROUND = re.compile(r"^(?:(?:formats|quant|convert|verify|cli)\.)(?:\w+/)?(\w+\.\w+)(?:/.*)?$")


def ctest_names(build):
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True,
                            capture_output=True, text=True).stdout
    names = {test["name"] for test in json.loads(listed)["tests"]}
    return names | {found[1] for name in names if (found := AROUND.match(name))}


def pytest_names(root):
    """Functions, and files with and without the folders above them."""
    names = set()
    folder = root / "tests" / "interop"
    for path in folder.rglob("test_*.py"):
        names |= {path.name, str(path.relative_to(folder))}
        names |= set(re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE))
    return names


def promises(text):
    """Line number, promise and proof of each row of the document's tables."""
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) >= 2 and not set(cells[-1]) <= set("- ") and cells[-1] != "proof":
            yield number, cells[0], cells[-1]


def wrong(root, text, tests):
    """Complaints about one document."""
    complaints = []
    for number, promise, proof in promises(text):
        named = re.findall(r"`([^`]+)`", proof)
        paths = re.findall(r"(?<![\w./-])(?:tests|scripts|bench|docs)/[\w./-]*\w", proof)
        for name in named:
            if "/" in name and (root / name).exists():
                paths.append(name)
            elif not fnmatch.filter(tests, name) and not fnmatch.filter(tests, name + ".*"):
                complaints.append(f"{number}: no test is called {name}")
        complaints += [f"{number}: no file {path}" for path in paths if not (root / path).exists()]
        if not named and not paths:
            complaints.append(f"{number}: nothing proves: {promise}")
    return complaints


def main():
    root, build = (pathlib.Path(argument) for argument in sys.argv[1:])
    tests = ctest_names(build) | pytest_names(root)
    text = (root / "docs" / "guarantees.md").read_text()
    if len(list(promises(text))) < 50:
        sys.exit("the tables of docs/guarantees.md were not understood")
    complaints = wrong(root, text, tests)
    # A check that accepts anything proves nothing.
    for bad in ("| p | `cli.no_such_case` |", "| p | `NoSuite.*` |", "| p | tests/none.sh |", "| p | - x |"):
        if len(wrong(root, bad, tests)) != 1:
            complaints.append(f"the check does not complain about: {bad}")
    print("\n".join(f"docs/guarantees.md:{complaint}" for complaint in complaints))
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
