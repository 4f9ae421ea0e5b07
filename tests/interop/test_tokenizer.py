"""Token ids against the `tokenizers` and `tiktoken` packages: hard texts and random ones."""
import json
import pathlib
import subprocess
import sys

import pytest
import tiktoken
from conftest import REPOSITORY, TESSERA
from tokenizers import Tokenizer

sys.path.append(str(REPOSITORY / "tests/support"))
from made_tokenizers import BEGIN, END, KIMI, SHAPES, TEXTS, fuzz, make_json, make_kimi  # noqa: E402

PROBE = pathlib.Path(TESSERA).with_name("tokenizer_probe")
FUZZED = 4000


def encode(folder, texts):
    done = subprocess.run([PROBE, "encode", folder], input=json.dumps(texts), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_same(texts, ours, theirs):
    for text, our, their in zip(texts, ours, theirs, strict=True):
        assert our == their, repr(text)


@pytest.mark.parametrize("shape", SHAPES)
def test_ids_equal_those_of_tokenizers(shape, tmp_path):
    tokenizer = make_json(tmp_path, shape, string_merges=shape == "v2")
    texts = TEXTS + fuzz(shape, FUZZED)
    assert_same(texts, encode(tmp_path, texts), [e.ids for e in tokenizer.encode_batch(texts)])


def test_each_character_alone_and_among_letters_splits_as_upstream_does(tmp_path):
    # What one library takes for a letter and the other for a symbol, or does not know yet, shows here.
    points = [chr(p) for p in [*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200)]]
    texts = ["".join(f"a{c}b {c} {c}1{c}'s\n" for c in points[i:i + 16]) for i in range(0, len(points), 16)]
    for shape in ("v3", "v2", "glm"):
        tokenizer = make_json(tmp_path / shape, shape)
        assert_same(texts, encode(tmp_path / shape, texts), [e.ids for e in tokenizer.encode_batch(texts)])
    ranks, special = make_kimi(tmp_path / "kimi")
    kimi = tiktoken.Encoding(name="kimi", pat_str="|".join(KIMI), mergeable_ranks=ranks, special_tokens=special)
    assert_same(texts, encode(tmp_path / "kimi", texts), [kimi.encode(t, allowed_special="all") for t in texts])


@pytest.mark.parametrize("module", ["tokenization_kimi", "tokenization_moonshot"])
def test_ids_equal_those_of_tiktoken(module, tmp_path):
    ranks, special = make_kimi(tmp_path, module)
    kimi = tiktoken.Encoding(name="kimi", pat_str="|".join(KIMI), mergeable_ranks=ranks, special_tokens=special)
    texts = TEXTS + fuzz(module, FUZZED) + ["[BOS]x<|im_end|> <|reserved_token_645|>[PAD]", "漢字かな交じり文Ⅷ々〇abcDEFghi"]
    assert_same(texts, encode(tmp_path, texts), [kimi.encode(t, allowed_special="all") for t in texts])


def test_kimi_cuts_long_runs_and_long_texts_as_its_program_does(tmp_path):
    ranks, special = make_kimi(tmp_path)
    kimi = tiktoken.Encoding(name="kimi", pat_str="|".join(KIMI), mergeable_ranks=ranks, special_tokens=special)

    def cut(text):
        for begin in range(0, len(text), 400_000):
            part, start, run = text[begin:begin + 400_000], 0, 0
            for i, c in enumerate(part):
                run = run + 1 if i and c.isspace() == part[i - 1].isspace() else 1
                if run > 25_000:
                    yield part[start:i]
                    start, run = i, 1
            yield part[start:]

    texts = ["the" * 10_000, "x " + " " * 60_000 + "y", "我们the" * 30_000, ("word " * 90_000) + "!", "a" * 25_000 + " b",
             "\x1c" * 25_001 + "z"]
    assert_same(texts, encode(tmp_path, texts),
                [[i for part in cut(t) for i in kimi.encode(part, allowed_special="all")] for t in texts])


def test_template_and_config_put_tokens_around_a_text(tmp_path):
    template = {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {BEGIN: {"id": BEGIN, "ids": [0], "tokens": [BEGIN]}}}
    sequence = {"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, template]}
    for processor in (template, sequence):
        tokenizer = make_json(tmp_path, "v3", changes={"post_processor": processor})
        expected = tokenizer.encode("some text").ids
        assert expected[0] == 0
        assert encode(tmp_path, ["some text"]) == [expected]
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"add_bos_token": False, "add_eos_token": True, "eos_token": {"content": END}}))
    assert encode(tmp_path, ["some text"]) == [expected[1:] + [1]]


def test_a_text_that_is_not_utf8_is_refused(tmp_path):
    make_json(tmp_path, "v3")
    for bad in ("80", "c080", "eda080", "f4908080", "e28c", "61ff62"):
        assert encode(tmp_path, ["fine", {"hex": bad}])[1] is None, bad


def test_synthetic_checkpoints_have_a_working_tokenizer(workshop):
    folder = workshop.synth("v3")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = TEXTS + fuzz("synth", 500)
    assert_same(texts, encode(folder, texts), [[0, *e.ids] for e in tokenizer.encode_batch(texts)])
    assert tokenizer.decode(encode(folder, ["Déjà vu, 你好!"])[0]) == "Déjà vu, 你好!"
