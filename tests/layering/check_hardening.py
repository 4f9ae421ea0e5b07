#!/usr/bin/env python3
"""The released program is hardened: position independent, its tables read-only once it runs, no
executable stack, stacks guarded, library calls bounds-checked where sizes are known."""
import re
import subprocess
import sys


def main():
    program = sys.argv[1]
    text = subprocess.run(["readelf", "--wide", "--file-header", "--program-headers", "--dynamic", "--dyn-syms", program],
                          check=True, capture_output=True, text=True).stdout
    wanted = {
        "position independent": r"Type:\s+DYN",
        "relocations read-only": r"GNU_RELRO",
        "bound when loaded": r"BIND_NOW|FLAGS_1\).*NOW",
        "stack not executable": r"GNU_STACK\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+RW\s",
        "stacks guarded": r"__stack_chk_fail",
        "library calls checked": r"__\w+_chk\b(?<!__stack_chk)",
    }
    missing = [what for what, pattern in wanted.items() if not re.search(pattern, text)]
    if missing:
        sys.exit(f"{program} is not: " + ", ".join(missing))


if __name__ == "__main__":
    main()
