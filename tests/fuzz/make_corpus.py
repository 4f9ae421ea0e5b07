#!/usr/bin/env python3
"""Makes the seeds of tests/fuzz/corpus from what the program itself, `tokenizers` and `pyzstd` write, cut
down to a few KB each. Inputs that fuzzing found lie beside them and are not touched.

usage: TESSERA=build/release/bin/tessera build/venv/bin/python make_corpus.py
"""
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile

import pyzstd

CORPUS = pathlib.Path(__file__).parent / "corpus"
sys.path.insert(0, str(CORPUS.parent.parent / "support"))
import gguf_file  # noqa: E402
import importance_file  # noqa: E402
from made_tokenizers import make_json, make_kimi  # noqa: E402

FAMILIES = ["v2-lite", "v3", "v3.1", "v3.2", "k2", "moonlight", "glm5"]
# Schemes and an engine that judges what they make.
SCHEMES = {"w4a16": "vllm", "w4a16-asym": "vllm", "w8a8": "sglang", "int8-block": "sglang", "w4afp8": "tensorrt-llm",
           "awq": "lmdeploy", "gptq4": "vllm", "ascend-w8a8-dynamic": "vllm-ascend", "fp8-channel": "transformers"}
JUDGES = {"v3": "ktransformers", "v3.1": "lightllm", "v3.2": "amd", "k2": "ascend-mindie"}


def tessera(*words):
    subprocess.run([os.environ["TESSERA"], *map(str, words), "-q"], check=True, stdout=subprocess.DEVNULL)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def put(target, name, contents):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(contents if isinstance(contents, bytes) else contents.encode())


def header(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8:8 + length])


def shrink(config):
    """Two layers, the second with two experts, and the MTP module if there was one."""
    mtp = config.get("num_nextn_predict_layers", 0)
    layers = {str(i): str(i) for i in range(2)}
    if mtp:
        layers[str(config["num_hidden_layers"])] = "2"
    config.update(num_hidden_layers=2, first_k_dense_replace=1, n_routed_experts=2, num_experts_per_tok=1)
    config.update({field: 1 for field in ("n_group", "topk_group") if field in config})
    if "indexer_types" in config:
        config["indexer_types"] = config["indexer_types"][:2 + mtp]
    return layers


def tensors(folder, layers):
    kept = {}
    for shard in sorted(folder.glob("*.safetensors")):
        for name, entry in header(shard).items():
            place = re.match(r"(model\.layers\.)(\d+)(\..*)", name)
            expert = re.search(r"\.experts\.(\d+)\.", name)
            if name == "__metadata__" or expert and int(expert[1]) > 1 or place and place[2] not in layers:
                continue
            shape = entry["shape"]
            if re.search(r"mlp\.gate\.", name):
                shape[0] = 2
            name = place[1] + layers[place[2]] + place[3] if place else name
            kept[name] = {"dtype": entry["dtype"], "shape": shape}
    return kept


def checkpoint(name, folder, **asked):
    document = dict(asked)
    config = document["config.json"] = json.loads((folder / "config.json").read_text())
    layers = shrink(config)
    for extra in ("hf_quant_config.json", "quant_model_description.json"):
        if (folder / extra).exists():
            about = document[extra] = json.loads((folder / extra).read_text())
            for module in [key for key in about if re.search(r"layers\.[2-9]\.|experts\.([2-9]|1\d)\.", key)]:
                del about[module]
    document["model.safetensors"] = tensors(folder, layers)
    put("checkpoint", name, compact(document))


def sharded(name, folder):
    """The same in two files under an index."""
    config = json.loads((folder / "config.json").read_text())
    kept = list(tensors(folder, shrink(config)).items())
    halves = {f"model-0000{i + 1}-of-00002.safetensors": dict(kept[i::2]) for i in range(2)}
    index = {"metadata": {"total_size": 1},
             "weight_map": {tensor: file for file, half in halves.items() for tensor in half}}
    put("checkpoint", name, compact({"to": "f32", "shard_size": 300000, "mtp": "only", "config.json": config,
                                     "model.safetensors.index.json": index, **halves}))


def ranks(name, folder):
    """Two layers and an expert for each of two ranks."""
    config = json.loads((folder / "config.json").read_text())
    config.update(n_layers=2, n_routed_experts=2, n_activated_experts=1)
    document = {"config.json": config}
    for rank, file in enumerate(sorted(folder.glob("*.safetensors"))):
        entries = document[file.name] = {}
        for tensor, entry in header(file).items():
            expert = re.search(r"\.experts\.(\d+)\.", tensor)
            if tensor == "__metadata__" or re.search(r"layers\.[2-9]\.", tensor) or expert and int(expert[1]) % 8:
                continue
            if expert:
                tensor = tensor.replace(expert[0], f".experts.{rank}.")
            if ".ffn.gate." in tensor:
                entry["shape"][0] = 2
            entries[tensor] = {"dtype": entry["dtype"], "shape": entry["shape"]}
    put("checkpoint", name, compact(document))


def make_checkpoints(work):
    for family in FAMILIES:
        model = work / family
        tessera("synth", model, "--preset", "tiny", "--family", family)
        config = json.loads((model / "config.json").read_text())
        put("config", family, compact(config))
        checkpoint(family, model, to="bf16" if "quantization_config" in config else "fp8",
                   **({"engine": JUDGES[family]} if family in JUDGES else {}))
        put("forward_config", family, compact(config))
    sharded("sharded", work / "v3")
    checkpoint("to-ranks", work / "v3", to="bf16", mp=2)
    checkpoint("to-w4a16", work / "v3", scheme="w4a16")
    checkpoint("to-module", work / "v3", split=True, engine="deepseek-demo")
    generation = json.loads((work / "v3" / "generation_config.json").read_text())
    checkpoint("to-gguf", work / "v3", gguf="q4_k_m", **{"generation_config.json": generation})
    for scheme, engine in SCHEMES.items():
        out = work / scheme
        scale = ["--input-scale", "0.5"] if scheme == "w4afp8" else []
        tessera("quantize", work / "v2-lite", out, "--scheme", scheme, "--search", "absmax", *scale)
        put("config", scheme, compact(json.loads((out / "config.json").read_text())))
        checkpoint(scheme, out, to="bf16", engine=engine)
    tessera("reshard", work / "v2-lite", work / "ranks", "--mp", "2")
    put("config", "demo", (work / "ranks" / "config.json").read_bytes())
    ranks("ranks", work / "ranks")


def make_index(work):
    index = json.loads((work / "v3" / "model.safetensors.index.json").read_text())
    pairs = list(index["weight_map"].items())
    index["weight_map"] = dict(pairs[::40])
    put("index", "synth", json.dumps(index, indent=2))
    put("index", "no-metadata", compact({"weight_map": dict(pairs[:2])}))
    put("index", "leads-elsewhere", compact({"weight_map": {"a": "../a.safetensors", "b": "/b.safetensors"}}))
    put("index", "twice", '{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}')
    put("index", "deep", '{"metadata":' + "[" * 100 + "]" * 100 + ',"weight_map":{"a":"x.safetensors"}}')


def make_manifests(work):
    for name, folder in (("cast", work / "cast"), ("quantize", work / "w4a16"), ("ranks", work / "ranks")):
        if name == "cast":
            tessera("cast", work / "v3", folder, "--to", "bf16", "--sha256")
        manifest = json.loads((folder / "tessera.manifest.json").read_text())
        of_file = {}
        for tensor, entry in manifest["tensors"].items():
            of_file.setdefault((entry["file"], entry["by"]), (tensor, entry))
        manifest["tensors"] = dict(sorted(of_file.values()))
        put("manifest", name, compact(manifest))


def make_manifest_checks(work):
    """Two files of an output whose data are holes, and what the manifest says of them."""
    for name in ("cast", "ranks"):
        manifest = json.loads((work / name / "tessera.manifest.json").read_text())
        files = manifest["files"] = dict(list(manifest["files"].items())[:2])
        manifest["side_files"] = dict(list(manifest["side_files"].items())[:2])
        manifest["tensors"] = {tensor: entry for tensor, entry in manifest["tensors"].items()
                               if entry["file"] in files and not re.search(r"experts|layers\.[1-9]", tensor)}
        document = {"tessera.manifest.json": manifest}
        for file in files:
            entries = header(work / name / file)
            document[file] = {tensor: {"dtype": entry["dtype"], "shape": entry["shape"]} for tensor, entry
                              in entries.items() if tensor in manifest["tensors"]}
        for file in manifest["side_files"]:
            document[file] = (work / name / file).read_text() if file == "generation_config.json" else {}
        put("manifest_check", name, compact(document))


def make_tokenizers(work):
    put("tokenizer", "synth", (work / "v3" / "tokenizer.json").read_bytes())
    for shape in ("v3", "v2", "glm", "gpt2"):
        make_json(work / shape, shape, vocab_size=285, string_merges=shape == "glm")
        put("tokenizer", shape, compact(json.loads((work / shape / "tokenizer.json").read_text())))


def without_pieces(folder):
    """A tokenizer.json whose pieces are the 256 of bytes, which fuzz_tokenizer_files fills in."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    del tokenizer["model"]["vocab"]
    tokenizer["model"]["merges"] = []
    for i, token in enumerate(tokenizer["added_tokens"]):
        token["id"] = 256 + i
    return tokenizer


def make_tokenizer_files(work):
    folder = work / "v3"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    begin, end = config["bos_token"], config["eos_token"]
    tokenizer = without_pieces(work / "v3")
    base = {"config.json": {"vocab_size": 300, "bos_token_id": 256}, "tokenizer.json": tokenizer}
    put("tokenizer_files", "synth", compact({**base, "tokenizer_config.json": config}))
    listed = {**config, "unk_token": {"content": "<think>"}, "add_bos_token": None,
              "added_tokens_decoder": {"256": {"content": begin, "lstrip": False, "rstrip": False}},
              "additional_special_tokens": [end, {"content": "<think>"}],
              "chat_template": [{"name": "default", "template": "{{ a }}"}, {"name": "tool-use", "template": "b"}]}
    put("tokenizer_files", "listed", compact({**base, "tokenizer_config.json": listed}))
    plain = {name: value for name, value in config.items() if name != "chat_template"}
    put("tokenizer_files", "jinja", compact({
        **base, "tokenizer_config.json": plain, "chat_template.jinja": "{{ a }}\r\nb",
        "additional_chat_templates/tool.jinja": "c"}))
    token = lambda text: {"SpecialToken": {"id": text, "type_id": 0}}  # noqa: E731
    sequence = lambda name: {"Sequence": {"id": name, "type_id": 0}}  # noqa: E731
    template = {"type": "TemplateProcessing", "single": [token(begin), sequence("A"), token(end)],
                "pair": [token(begin), sequence("A"), token(end), sequence("B"), token(end)],
                "special_tokens": {text: {"id": text, "ids": [id], "tokens": [text]}
                                   for text, id in ((begin, 256), (end, 257))}}
    put("tokenizer_files", "template", compact({
        **base, "tokenizer.json": {**tokenizer, "post_processor": template},
        "tokenizer_config.json": {"bos_token": begin, "eos_token": end, "sep_token": end},
        "chat_template.json": {"chat_template": "d"}}))


def make_tiktokens(work):
    make_kimi(work / "kimi", vocab_size=280)
    config = json.loads((work / "kimi" / "tokenizer_config.json").read_text())
    program = (work / "kimi" / "tokenization_kimi.py").read_text()
    pieces = ["YWI=", "IGE=", "aGU=", "bGw=", "aGVsbA==", "YWJj"]  # behind those of the 256 bytes
    names = list(config["added_tokens_decoder"].values())

    def folder(model, added):
        return compact({"tokenizer_config.json": {**config, "added_tokens_decoder": added},
                        "tokenization_kimi.py": program, "tiktoken.model": model})
    put("tiktoken", "kimi", folder(pieces, {str(262 + i): token for i, token in enumerate(names)}))
    put("tiktoken", "id-beyond", folder(pieces, {"900": names[0]}))
    put("tiktoken", "whole", folder((work / "kimi" / "tiktoken.model").read_text(), config["added_tokens_decoder"]))


def make_tokenizer_matches(work):
    tokenizer = without_pieces(work / "v3")
    tokenizer["model"]["vocab"] = {"a": 0, "b": 1, "ab": 2}
    other = json.loads(compact(tokenizer))
    other["model"]["vocab"]["ab"] = 3
    for name, b in (("same", tokenizer), ("differ", other)):
        put("tokenizer_match", name, compact({"a": {"tokenizer.json": tokenizer}, "b": {"tokenizer.json": b}}))
    put("tokenizer_match", "tiktoken", compact({"a": {"tiktoken.model": "YQ== 0"}, "b": {"tiktoken.model": "Yg== 0"}}))


def make_token_files():
    put("token_file", "text", compact({"vocab_size": 100, "ids.txt": "1, 2\n99\t0"}))
    put("token_file", "json", compact({"vocab_size": 100, "ids.txt": "[1, 2, 99]"}))
    for dtype in ("I64", "U16"):
        ids = {"ids": {"dtype": dtype, "shape": [1, 3], "values": [1, 2, 99]}}
        put("token_file", dtype.lower(), compact({"vocab_size": 100, "ids.safetensors": ids}))


def make_calibrations():
    amax = lambda *values: {"dtype": "F32", "shape": [len(values)], "values": values}  # noqa: E731
    put("calibration", "linears", compact({"a.q_proj.input_amax": amax(1.5), "a.w1.input_scale": amax(0.01),
                                           "a.w2.input_amax": amax(2), "a.norm": amax(1, 2)}))
    put("calibration", "experts", compact({"a.experts.gate_proj.input_amax": amax(1.5, 0, 3),
                                           "a.down_proj.input_amax": amax(0.5)}))


def make_zstds():
    """As another writer of the format has them; without checksums in the table."""
    rng = random.Random("zstd")
    contents = b"".join(bytes([rng.randrange(8)]) * rng.randrange(20) for _ in range(100)) + rng.randbytes(64)
    for name, frame, size in (("one-frame", 1 << 20, len(contents)), ("frames", 100, len(contents)), ("empty", 64, 0)):
        with tempfile.TemporaryFile() as file:
            with pyzstd.SeekableZstdFile(file, "wb", max_frame_content_size=frame) as packed:
                packed.write(contents[:size])
            file.seek(0)
            put("zstd", name, bytes([50, 200, 1]) + file.read())


def make_imatrices(work):
    shapes = {"blk.0.ffn_down.weight": (8, 4), "blk.1.ffn_down_exps.weight": (8, 4, 5)}
    importance_file.write(work / "imatrix", shapes)
    put("imatrix", "gguf", (work / "imatrix").read_bytes())
    text = lambda s: struct.pack("<i", len(s)) + s  # noqa: E731
    entries = b"".join(text(name.encode()) + struct.pack("<ii", 3, len(values)) + struct.pack(f"<{len(values)}f", *values)
                       for name, values, _ in importance_file.entries(shapes))
    put("imatrix", "dat", struct.pack("<i", 2) + entries + struct.pack("<i", 7) + text(b"invented.txt"))
    put("imatrix", "dat-old", struct.pack("<i", 2) + entries)
    put("imatrix", "dat-huge", struct.pack("<i", 0x7FFFFFFF) + text(b"a") + struct.pack("<ii", 1, 0x7FFFFFFF))


def make_ggufs(work):
    """Headers, behind the size of the data that would follow."""
    for kind in ("q8_0", "dynamic-q4"):
        out = work / f"{kind}.gguf"
        tessera("gguf", work / "v3", out, "--type", kind, "--no-tokenizer")
        file = gguf_file.File(out)
        begin = gguf_file.padded(file.at)
        put("gguf", f"deepseek2-{kind}", struct.pack("<Q", len(file.data) - begin) + file.data[:begin])


def make_journals():
    put("journal", "new", b"\0")
    put("journal", "torn", b"\0\xff\0\0\0torn")
    put("journal", "no-line", b"\1tessera-journal 3 plan=")
    put("journal", "foreign", b"\1tessera-journal 2 plan=0\n")


def make_decodes():
    """A matrix for every scheme: sizes, then bytes."""
    target = (CORPUS.parent / "fuzz_decode.cc").read_text()
    rng = random.Random("decode")
    for scheme in range(int(re.search(r"kSchemes = (\d+)", target)[1])):
        sizes = [rng.randrange(256) for _ in range(4)]
        filled = rng.randbytes(48) if scheme % 4 else bytes([rng.choice((0, 0x7F, 0xFF))]) * 8
        put("decode", f"scheme-{scheme:03}", bytes([scheme, *sizes]) + filled)


with tempfile.TemporaryDirectory() as folder:
    make_checkpoints(pathlib.Path(folder))
    make_index(pathlib.Path(folder))
    make_manifests(pathlib.Path(folder))
    make_manifest_checks(pathlib.Path(folder))
    make_tokenizers(pathlib.Path(folder))
    make_tokenizer_files(pathlib.Path(folder))
    make_tiktokens(pathlib.Path(folder))
    make_tokenizer_matches(pathlib.Path(folder))
    make_ggufs(pathlib.Path(folder))
    make_imatrices(pathlib.Path(folder))
make_journals()
make_decodes()
make_token_files()
make_calibrations()
make_zstds()
