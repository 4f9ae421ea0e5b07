"""What llama.cpp's converter writes, `tessera gguf` writes: every key, every tensor, every byte."""
import pytest
from gguf_files import FAMILIES, File, golden, shapes, spread

MIXES = {"f32": "F32", "f16": "F16", "bf16": "BF16", "q8_0": "Q8_0"}


@pytest.mark.parametrize("outtype", MIXES)
@pytest.mark.parametrize("form", ["fp8", "bf16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_file_is_the_converters(workshop, family, form, outtype):
    want = golden("gguf_metadata.json")["tiny"][family]
    out = File(workshop.gguf(workshop.gguf_source(family, form), "--type", MIXES[outtype]))
    keys = want["metadata"] | {"general.file_type": want["file_type"][outtype]}
    for metadata in (out.metadata, keys):  # the converter makes a title of the folder's name
        assert metadata.pop("general.name")[0] == "STRING"
    assert out.metadata == keys
    assert out.shapes() == shapes(want["layout"])
    assert out.digests() == spread(want["tensors"][f"{form} {outtype}"], want["layout"])


def test_without_a_tokenizer_the_file_says_so(workshop):
    source = workshop.gguf_source("v3")
    out = File(workshop.gguf(source, "--type", "Q8_0", "--no-tokenizer"))
    assert out.metadata["tokenizer.ggml.model"] == ["STRING", "none"]
    assert [key for key in out.metadata if key.startswith("tokenizer.")] == ["tokenizer.ggml.model"]
    assert out.metadata["deepseek2.vocab_size"] == out_vocab(out)


def out_vocab(out):
    return ["UINT32", out.shapes()["token_embd.weight"][1]]
