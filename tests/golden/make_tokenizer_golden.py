#!/usr/bin/env python3
"""Asks `tokenizers`, `tiktoken` and llama.cpp's converter about small tokenizers of their making.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 tiktoken==0.14.0
    venv/bin/python tests/golden/make_tokenizer_golden.py [LLAMA_CPP]

Writes tests/golden/tokenizer/SHAPE/: the files of a model folder, and golden.json with texts and their
ids. With a checkout of llama.cpp (and torch, transformers, blobfile for it) also gguf.json: the
tokenizer.* keys, their types and values, that the vocabulary step of convert_hf_to_gguf.py writes.
Deterministic for given versions.
"""
import json
import pathlib
import shutil
import sys

import tiktoken
import tokenizers

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "support"))
from made_tokenizers import BEGIN, END, KIMI, TEXTS, fuzz, make_json, make_kimi  # noqa: E402

OUT = HERE / "tokenizer"
NAMES = {"STRING": "str", "UINT32": "u32", "BOOL": "bool", "ARRAY": "array"}
VOCAB_SIZE = 660  # of the models; the tokenizers have fewer tokens
KIMI_VOCAB_SIZE = 640 + 256 + 8
# What llama.cpp's converter tells by a hash of a real vocabulary's ids.
PRE = {"v3": "deepseek-v3", "v2": "deepseek-llm", "coder": "deepseek-coder", "kimi": "kimi-k2"}
TEMPLATE = {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"SpecialToken": {"id": BEGIN, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                     {"SpecialToken": {"id": BEGIN, "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {BEGIN: {"id": BEGIN, "ids": [0], "tokens": [BEGIN]}}}


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_configs(folder, shape):
    """The files beside the tokenizer, different enough to show every rule."""
    config = {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "vocab_size": VOCAB_SIZE,
              "bos_token_id": 0, "eos_token_id": 1}
    tokenizer = {"add_bos_token": True, "add_eos_token": False, "bos_token": BEGIN, "eos_token": END,
                 "pad_token": END, "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": None}
    if shape == "v3":
        tokenizer["chat_template"] = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    elif shape == "v2":
        for role in ("bos", "eos"):
            tokenizer[f"{role}_token"] = {"__type": "AddedToken", "content": tokenizer[f"{role}_token"],
                                          "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        del tokenizer["add_eos_token"], tokenizer["pad_token"]
        config["pad_token_id"] = 2
        (folder / "chat_template.jinja").write_bytes("{# lines #}\r\n{{ messages }}\r\n".encode())
    elif shape == "coder":
        del tokenizer["add_bos_token"], tokenizer["add_eos_token"]
        tokenizer["chat_template"] = [{"name": "default", "template": "{{ a }}"}, {"name": "tool-use", "template": "{{ b }}"}]
    if shape == "kimi":
        config["vocab_size"] = KIMI_VOCAB_SIZE
        config |= {"bos_token_id": 640, "eos_token_id": 641, "pad_token_id": 895}
    else:
        write_json(folder / "tokenizer_config.json", tokenizer)
    write_json(folder / "config.json", config)


def make(shape):
    folder = OUT / shape
    shutil.rmtree(folder, ignore_errors=True)
    texts = TEXTS + fuzz(shape, 150)
    if shape == "kimi":
        ranks, special = make_kimi(folder)
        kimi = tiktoken.Encoding(name=shape, pat_str="|".join(KIMI), mergeable_ranks=ranks, special_tokens=special)
        ids = [kimi.encode(text, allowed_special="all") for text in texts]
    else:
        made = make_json(folder, shape, string_merges=shape == "v2",
                         changes={"post_processor": TEMPLATE} if shape == "coder" else None)
        ids = [encoding.ids for encoding in made.encode_batch(texts)]
    if shape in PRE:
        write_configs(folder, shape)
    # Of the other shapes there is no tokenizer_config.json: the ids above have no beginning either.
    begin = [0] if shape in ("v3", "v2") else []
    cases = "".join(f"{json.dumps([t, begin + i], ensure_ascii=False)},\n" for t, i in zip(texts, ids, strict=True))
    (folder / "golden.json").write_text(
        json.dumps({"tokenizers": tokenizers.__version__, "tiktoken": tiktoken.__version__})[:-1]
        + f', "cases": [\n{cases[:-2]}\n]}}\n')


class Recorder:
    """Stands in for gguf's writer, which turns add_* calls into keys and types."""

    def __new__(cls, gguf):
        writer = gguf.GGUFWriter(None, "deepseek2")
        writer.kv_data[0].clear()
        return writer


def record(llama, shape):
    sys.path[:0] = [str(llama), str(llama / "gguf-py")]
    import conversion.deepseek as deepseek
    import gguf
    folder = OUT / shape
    model = object.__new__(deepseek.DeepseekV2Model)
    model.dir_model = folder
    model.hparams = json.loads((folder / "config.json").read_text())
    model.gguf_writer = Recorder(gguf)
    model.get_vocab_base_pre = lambda tokenizer: PRE[shape]
    if shape == "kimi":
        # transformers would run the program beside the model; this is all that the converter asks of it.
        ranks, special = make_kimi(folder)
        stand_in = type("T", (), {"model": type("M", (), {"_mergeable_ranks": ranks}), "special_tokens": special})
        import transformers
        kept, transformers.AutoTokenizer = transformers.AutoTokenizer, type("A", (), {"from_pretrained": staticmethod(
            lambda *_, trust_remote_code=False: stand_in if trust_remote_code else 1 / 0)})
        model.set_vocab()
        transformers.AutoTokenizer = kept
    else:
        model.set_vocab()
    keys = [json.dumps([key, NAMES[field.type.name], field.value], ensure_ascii=False)
            for key, field in model.gguf_writer.kv_data[0].items()]
    (folder / "gguf.json").write_text("[\n" + ",\n".join(keys) + "\n]\n")


def main():
    for shape in ["v3", "v2", "coder", "glm", "kimi"]:
        make(shape)
    if len(sys.argv) > 1:
        for shape in PRE:
            record(pathlib.Path(sys.argv[1]), shape)


if __name__ == "__main__":
    main()
