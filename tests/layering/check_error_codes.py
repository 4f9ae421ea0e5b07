#!/usr/bin/env python3
"""Fails when an error code or an exit code has no case in tests/cli or tests/faults that provokes it.

usage: check_error_codes.py ROOT
"""
import pathlib
import re
import sys

# Codes that no command line can provoke, and why.
UNREACHABLE = {
    "internal": "a broken invariant of our own, of which none is known",
    "digest-mismatch": "what verify finds is its answer, not an error",
}


def main():
    root = pathlib.Path(sys.argv[1])
    table = re.findall(r'\{ErrorCode::k\w+, "([^"]+)", k(\w+)\}', (root / "formats/result.cc").read_text())
    classes = dict(re.findall(r"k(\w+) = (\d+),", (root / "formats/result.h").read_text()))
    if len(table) < 50 or len(classes) < 9:
        sys.exit("the tables of formats/result were not understood")
    paths = [*(root / "tests/cli/cases").glob("*.sh"), *(root / "tests/faults").glob("*.py")]
    cases = "\n".join(path.read_text() for path in sorted(paths))
    complaints, provoked = [], {0}
    for code, error_class in table:
        # `fails CODE COMMAND` in a shell case, `["rule"] == "CODE"` and `["rule"], "CODE"` elsewhere.
        name = re.escape(code)
        found = re.search(rf"""^\s*fails {name} |["']rule["']\](?: ==|,) ["']{name}["']""", cases,
                          re.MULTILINE)
        if found:
            provoked.add(int(classes[error_class]))
        if bool(found) == (code in UNREACHABLE):
            complaints.append(f"{code}: " + ("is listed as unreachable, but a case provokes it" if found
                                             else "no case provokes it"))
    unreachable = {int(classes[error_class]) for code, error_class in table if code in UNREACHABLE}
    for number in sorted(set(map(int, classes.values())) - provoked - unreachable):
        complaints.append(f"exit code {number}: no case ends in it")
    print("\n".join(complaints))
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
