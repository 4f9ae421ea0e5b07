"""What llama.cpp's converter writes, `tessera gguf` writes: every key, every tensor, every byte."""
import pytest
from gguf_files import FAMILIES, File, golden, shapes, spread

MIXES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}
# The converter makes titles of folders' names.
NAMES = ("general.name", "general.basename", "general.version")


def keys(metadata, tokenizer):
    return {key: value for key, value in metadata.items()
            if key not in NAMES and key.startswith("tokenizer.") == tokenizer}


@pytest.mark.parametrize("outtype", MIXES)
@pytest.mark.parametrize("form", ["fp8", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_is_the_converters(workshop, family, form, outtype):
    want = golden("gguf_metadata.json")["tiny"][family]
    out = File(workshop.gguf(workshop.gguf_source(family, form), "--type", MIXES[outtype]))
    assert keys(out.metadata, False) == keys(want["metadata"], False) | {
        "general.file_type": want["file_type"][outtype]}
    assert out.shapes() == shapes(want["layout"])
    assert out.digests() == spread(want["tensors"][f"{form} {outtype}"], want["layout"])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokenizer_is_the_converters(workshop, family):
    want = golden("gguf_metadata.json")["tiny"][family]["metadata"]
    out = File(workshop.gguf(workshop.gguf_source(family), "--type", "Q8_0", tokenizer=True))
    assert keys(out.metadata, True) == keys(want, True)


def test_without_a_tokenizer_the_file_says_so(workshop):
    out = File(workshop.gguf(workshop.gguf_source("v3"), "--type", "Q8_0"))
    assert keys(out.metadata, True) == {"tokenizer.ggml.model": ["STRING", "none"]}
    assert out.metadata["deepseek2.vocab_size"] == ["UINT32", out.shapes()["token_embd.weight"][1]]


def test_the_name_is_the_users(workshop):
    out = File(workshop.gguf(workshop.gguf_source("v3"), "--type", "Q8_0", "--name", "Tiny V3"))
    assert out.metadata["general.name"] == ["STRING", "Tiny V3"]
