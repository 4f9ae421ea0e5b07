#!/usr/bin/env python3
"""The runner of the command-line tests goes red where it should."""
import pathlib
import tempfile
import unittest

import run


class Runner(unittest.TestCase):
    def case(self, script, **expectations):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "case.sh"
            path.write_text(script)
            for suffix, text in expectations.items():
                path.with_suffix(f".{suffix}").write_text(text)
            return run.run_case(pathlib.Path("/bin/true"), path)

    def test_exit_status_is_compared(self):
        self.assertEqual(self.case("exit 3", exit="3\n"), [])
        self.assertTrue(self.case("exit 3"))
        self.assertTrue(self.case("true", exit="1\n"))

    def test_a_failing_command_fails_the_case(self):
        self.assertTrue(self.case("false\ntrue"))
        self.assertTrue(self.case("false | true"))
        self.assertTrue(self.case("exits 0 false"))
        self.assertEqual(self.case("exits 1 false"), [])

    def test_a_case_may_be_skipped_with_a_reason(self):
        with self.assertRaisesRegex(run.Skipped, "no such device"):
            self.case("skip 'no such device'; false")

    def test_output_is_compared(self):
        self.assertEqual(self.case("echo ab; echo c >&2", stdout="a?\n", stderr="c\n"), [])
        self.assertTrue(self.case("echo ab", stdout="b*\n"))
        self.assertTrue(self.case("echo ab >&2", stderr="\n"))

    def test_json_expressions_are_evaluated(self):
        script = """exits 0 echo '{"a": [1, 2]}'\n"""
        self.assertEqual(self.case(script + "json 'j[\"a\"] == [1, 2]'"), [])
        self.assertTrue(self.case(script + "json 'j[\"a\"] == []'"))
        self.assertTrue(self.case(script + "json 'j[\"b\"] == []'"))

    def test_a_terminal_is_one(self):
        self.assertEqual(self.case("on_terminal test -t 1; on_terminal test -t 2"), [])
        self.assertTrue(self.case("on_terminal false"))

    def test_patterns(self):
        for expected, actual, answer in [
            (["a", "...", "d"], ["a", "b", "c", "d"], True),
            (["a", "...", "d"], ["a", "d"], True),
            (["...", "b", "..."], ["a", "c"], False),
            (["..."], [], True),
            (["F32 [56, *]"], ["F32 [56, 16]"], True),
            (["a"], ["a", "b"], False),
            (["a", "b"], ["a"], False),
        ]:
            with self.subTest(expected=expected, actual=actual):
                self.assertEqual(run.matches(expected, actual), answer)


if __name__ == "__main__":
    unittest.main()
