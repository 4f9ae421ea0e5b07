#!/usr/bin/env python3
"""Plants each violation in a copy of the tree and sees the layering check go red.

usage: layering_selftest.py ROOT
"""
import pathlib
import shutil
import sys
import tempfile
import unittest

import check_layering

ROOT = pathlib.Path(sys.argv.pop() if len(sys.argv) > 1 else ".").resolve()

# (planted file, its contents, what the fault must say). Paths are put together from pieces so that
# this file itself stays clean.
VIOLATIONS = [
    ("formats/planted.cc", '#include "quant/scheme.h"\n', "must not include quant/scheme.h"),
    ("quant/planted.h", '#include "convert/plan.h"\n', "must not include convert/plan.h"),
    ("convert/planted.cc", '#include "verify/compare.h"\n', "must not include verify/compare.h"),
    ("verify/planted.cc", '  #  include "convert/plan.h"\n', "must not include convert/plan.h"),
    ("convert/planted.cc", '#include "cli/terminal.h"\n', "must not include cli/terminal.h"),
    ("tests/convert/planted_test.cc", '#include "cli/terminal.h"\n', "must not include cli/"),
    ("verify/planted.cc", '#include "tests/support/temp_dir.h"\n', "must not include tests/"),
    ("quant/planted.cc", "#include <hwy/highway.h>\n", "Highway"),
    ("bench/planted.cc", '#include "hwy/highway.h"\n', "Highway"),
    ("quant/planted.cc", "#include <tbb/parallel_for.h>\n", "oneTBB"),
    ("formats/planted.cc", "#include <oneapi/tbb/task_group.h>\n", "oneTBB"),
    ("convert/planted.cc", "#include <cblas.h>\n", "BLAS"),
    ("bench/planted.cc", "#include <openblas/cblas.h>\n", "BLAS"),
    ("convert/planted.cc", "#include <CLI/CLI.hpp>\n", "CLI11"),
    ("convert/planted.cc", "#include <mpi.h>\n", "MPI"),
    ("cli/planted.cc", "#include <mpi.h>\n", "MPI"),
    ("quant/planted.cc", "#include <nlohmann/json.hpp>\n", "nlohmann"),
    ("formats/planted.cc", "#include <pcre2.h>\n", "PCRE2"),
    ("formats/json_planted.cc", "#include <nlohmann/json.hpp>\n", "nlohmann"),
    ("formats/planted.cc", "#include <iostream>\n", "iostream"),
    ("formats/planted.cc", 'void F() { printf("x"); }\n', "printf"),
    ("formats/planted.cc", 'void F() { std::fprintf (f, "x"); }\n', "fprintf"),
    ("quant/planted.cc", 'void F() { ::puts("x"); }\n', "puts"),
    ("convert/planted.cc", "void F() { std::cerr << 1; }\n", "std::cerr"),
    ("convert/planted.cc", "void F() { write(STDERR_FILENO, p, n); }\n", "STDERR_FILENO"),
    ("convert/planted.cc", "void F() { std::exit(1); }\n", "exit"),
    ("verify/planted.cc", "int F() { return n == 1'000 ? 1 : _exit(1), '\"'; }\n", "_exit"),
    ("verify/planted.cc", "void F() { /* fine */ abort(); }\n", "abort"),
    ("verify/planted.cc", "void F() { std::terminate(); }\n", "terminate"),
    ("verify/planted.cc", "void F() { assert(x); }\n", "assert"),
    ("verify/" + "tensor.h", "", "not unique"),
    ("formats/file_" + "util.h", "", "says nothing"),
    ("convert/" + "helpers.cc", "", "says nothing"),
    ("docs/planted.md", "see /" + "home/ann/notes\n", "particular machine"),
    ("scripts/planted.sh", "cd /" + "root/tessera\n", "particular machine"),
]

INNOCENT = [
    ("formats/planted.cc", '// std::cout << exit(1)\n/* #include "cli/x.h"\n printf( */\n'),
    ("formats/planted.cc", 'const char* s = "printf(1) // stderr"; char q = \'"\'; int snprintf(int);\n'),
    ("formats/planted.cc", 'auto r = R"x(std::cerr "abort()" #include "cli/y.h")x";\n'),
    ("convert/planted.cc", "void F(Worker& w) { w.abort(); w.pool->exit(1); Worker::exit(2); }\n"),
    ("convert/planted.cc", "static_assert(true); void Abort(); int on_exit_(); \n"),
    ("quant/kernels/planted.cc", "#include <hwy/highway.h>\n"),
    ("cli/planted.cc", "#include <CLI/CLI.hpp>\n#include <iostream>\nvoid F() { exit(1); }\n"),
    ("tests/cli/planted_test.cc", '#include "cli/terminal.h"\n'),
    ("docs/planted.md", "https://host/" + "home/page and build/" + "root/x\n"),
]


class Layering(unittest.TestCase):
    def setUp(self):
        self.temp = tempfile.TemporaryDirectory()
        self.addCleanup(self.temp.cleanup)
        self.root = pathlib.Path(self.temp.name)
        for folder in check_layering.FOLDERS:
            if (ROOT / folder).is_dir():
                shutil.copytree(ROOT / folder, self.root / folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.before = check_layering.check(self.root)

    def plant(self, path, contents):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(contents)
        faults = [f for f in check_layering.check(self.root) if f not in self.before]
        target.unlink()
        return faults

    def test_every_planted_violation_is_reported_once_with_its_place(self):
        for path, contents, words in VIOLATIONS:
            with self.subTest(path=path, contents=contents):
                faults = self.plant(path, contents)
                self.assertEqual(len(faults), 1, faults)
                self.assertIn(words, faults[0])
                self.assertIn(path, faults[0])

    def test_comments_literals_and_other_peoples_names_are_no_violations(self):
        for path, contents in INNOCENT:
            with self.subTest(path=path, contents=contents):
                self.assertEqual(self.plant(path, contents), [])


if __name__ == "__main__":
    unittest.main()
