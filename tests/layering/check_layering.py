#!/usr/bin/env python3
"""Fails when a source breaks a structural rule of the project (docs/architecture.md).

usage: check_layering.py ROOT
"""
import collections
import functools
import pathlib
import re
import sys

# Folder -> project folders it may include from. tests/ and bench/ see all libraries; of cli/ only
# its own tests may see anything.
LIBRARIES = {
    "formats": {"formats"},
    "quant": {"formats", "quant"},
    "convert": {"formats", "quant", "convert"},
    "verify": {"formats", "quant", "verify"},
}
EVERYTHING = {*LIBRARIES, "tests", "bench"}
PROJECT_FOLDERS = {*LIBRARIES, "cli", "tests", "bench", "docs"}

# Third-party header -> the places that may include it.
CONFINED = [
    (re.compile(r"hwy/"), "Highway", re.compile(r"quant/kernels/")),
    (re.compile(r"(?:oneapi/)?tbb[./]"), "oneTBB", re.compile(r"(?:convert|verify)/")),
    (re.compile(r"(?:.*/)?(?:cblas|f77blas|openblas)[^/]*\.h$"), "BLAS", re.compile(r"verify/")),
    (re.compile(r"CLI/|CLI11"), "CLI11", re.compile(r"cli/")),
    (re.compile(r"pcre2"), "PCRE2", re.compile(r"formats/split_pattern\.cc$")),
    (re.compile(r"mpi\.h$"), "MPI", re.compile(r"cli/mpi_ranks\.cc$")),
    (re.compile(r"zstd\w*\.h$"), "zstd", re.compile(r"formats/zstd_frames\.cc$")),
    (re.compile(r"nlohmann/"), "nlohmann-json", re.compile(r"formats/json\.(?:h|cc)$|cli/")),
]

# What prints or exits, as a call or as an object.
CALL = re.compile(
    r"(?<![\w.>])(?:std::|::)?(v?f?printf|v?dprintf|puts|fputs|putchar|putc|fputc|perror"
    r"|_?exit|_Exit|quick_exit|abort|terminate|assert)\s*\(")
OBJECT = re.compile(r"\bstd::(cout|cerr|clog|print|println)\b|\b(stdout|stderr|STD(?:OUT|ERR)_FILENO)\b")
QUALIFIED = re.compile(r"\w(?:\.|->|::)\s*$")  # `worker.abort(`, `Foo::exit(`: somebody else's name

VAGUE_NAME = re.compile(r"(?:^|_)(?:util|utils|common|helper|helpers|manager)(?:_|$)")
# A path into somebody's home, or into a place that only one machine has.
MACHINE_PATH = re.compile(r"(?<![\w.}\]])/(?:home/\w|Users/\w|root/|work/)|\b[A-Z]:\\Users\\")

CXX = {".h", ".cc"}
TEXT = CXX | {".py", ".sh", ".md", ".txt", ".cmake", ".in", ".json", ".yml", ".toml", ".supp", ""}
SOURCE = CXX | {".py", ".sh", ".cmake"}
FOLDERS = [*LIBRARIES, "cli", "tests", "bench", "docs", "scripts", "cmake", ".ci"]


@functools.cache
def split_code(text):
    """Returns `text` without comments, and the same with the contents of literals blanked too.

    Both keep every newline, so that line numbers stay true.
    """
    token = re.compile(
        r'(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)'
        r'|(?P<raw>\bu?8?R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)")'
        r'|(?P<string>"(?:\\.|[^"\\\n])*")'
        r"|(?P<number>\b\d[\w']*)"  # 1'000 holds no character literal
        r"|(?P<char>'(?:\\.|[^'\\\n])+')", re.S)

    def blank(piece):
        return re.sub(r"[^\n]", " ", piece)

    without_comments = token.sub(
        lambda m: blank(m[0]) if m.lastgroup == "comment" else m[0], text)
    bare = token.sub(lambda m: m[0] if m["number"] else blank(m[0]), text)
    return without_comments, bare


def includes(text):
    """Yields (line number, header) of every #include outside comments and literals."""
    with_strings, bare = split_code(text)
    for number, (full, blanked) in enumerate(
            zip(with_strings.splitlines(), bare.splitlines()), 1):
        if re.match(r"\s*#\s*include\b", blanked):
            found = re.search(r'include\s*["<]([^">]+)[">]', full)
            if found:
                yield number, found[1]


def check_includes(path, text):
    folder = path.split("/")[0]
    allowed = set(LIBRARIES.get(folder, EVERYTHING))
    if folder == "cli" or path.startswith("tests/cli/"):
        allowed |= {*LIBRARIES, "cli"}
    for line, header in includes(text):
        target = header.split("/")[0]
        if "/" in header and target in PROJECT_FOLDERS and target not in allowed:
            yield f"{path}:{line}: {folder}/ must not include {header}"
        for pattern, name, home in CONFINED:
            if pattern.match(header) and not home.match(path):
                yield f"{path}:{line}: {name} ({header}) is confined to {home.pattern}"


def check_output(path, text):
    if path.split("/")[0] not in LIBRARIES:
        return
    for line, header in includes(text):
        if header == "iostream":
            yield f"{path}:{line}: <iostream>: only cli/ prints"
    _, bare = split_code(text)
    for number, line in enumerate(bare.splitlines(), 1):
        for match in CALL.finditer(line):
            if not QUALIFIED.search(line[: match.start()]):
                yield f"{path}:{number}: {match[1]}: only cli/ prints or exits"
        for match in OBJECT.finditer(line):
            yield f"{path}:{number}: {match[0]}: only cli/ prints"


def check_names(paths):
    by_name = collections.defaultdict(list)
    for path in paths:
        pure = pathlib.PurePosixPath(path)
        if pure.suffix in SOURCE:
            by_name[pure.name].append(path)
            if VAGUE_NAME.search(pure.stem):
                yield f"{path}: the name says nothing about the subject"
    for name, places in sorted(by_name.items()):
        if len(places) > 1:
            yield f"{name} is not unique in the tree: {', '.join(places)}"


def check_machine_paths(path, text):
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATH.search(line):
            yield f"{path}:{number}: a path of one particular machine: {line.strip()[:80]}"


def tree(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(root).as_posix()
    for path in sorted(root.iterdir()):
        if path.is_file() and path.name != ".git":
            yield path.name


def check(root):
    paths = list(tree(root))
    faults = list(check_names(paths))
    for path in paths:
        suffix = pathlib.PurePosixPath(path).suffix
        if suffix not in TEXT:
            continue
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a test input, not a source
        faults += check_machine_paths(path, text)
        if suffix in CXX:
            faults += check_includes(path, text)
            faults += check_output(path, text)
    return faults


def main():
    root = pathlib.Path(sys.argv[1])
    faults = check(root)
    for fault in faults:
        print(fault)
    print(f"{len(faults)} violations")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
