#!/usr/bin/env python3
"""What llama.cpp's own converter and quantizer make of checkpoints, small enough to keep.

    make_gguf_golden.py LLAMA_CPP COMMIT TESSERA [WHAT]...

writes gguf_WHAT.json, or all: types, which type each tensor gets; metadata, the converter's output;
quantized, llama-quantize's of its F32 file, plain and under an importance matrix.

LLAMA_CPP is the source of llama.cpp at COMMIT with llama-quantize in build/bin; TESSERA makes the tiny
checkpoints; gguf_configs.json beside this file holds what config.json says of the released ones. Needs
torch and transformers.

The converter runs as it stands, but for what it knows of vocabularies: the tiny ones are DeepSeek-V3's kind, the
released ones left out. Released models are never made: the converter sees tensors without values, and
llama-quantize --dry-run a file that is a hole after its header.
"""
import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
import importance_file  # noqa: E402
import lite_checkpoint  # noqa: E402
import model_checkpoint  # noqa: E402

TINY = ["v2", "v2-lite", "v3", "v3.1", "k2", "moonlight"]
OUTTYPES = ["f32", "f16", "bf16", "q8_0"]
MIXES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q2_K_S", "Q3_K_S",
         "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ4_NL", "IQ4_XS", "MXFP4_MOE"]


class Outline(model_checkpoint.Model):
    """Names, dtypes and shapes of a BF16 checkpoint, no values."""

    def __init__(self, config):
        super().__init__({**config, "num_nextn_predict_layers": 0, "quantization_config": None}, None)
        if config["topk_method"] != "noaux_tc":
            self.tensors = {name: tensor for name, tensor in self.tensors.items()
                            if not name.endswith("e_score_correction_bias")}

    def bytes(self, count):
        return b""


class Converter:
    """convert_hf_to_gguf.py in this process."""

    def __init__(self, llama):
        sys.path[:0] = [str(llama), str(llama / "gguf-py")]
        import conversion
        import conversion.base
        import gguf
        import transformers
        self.base, self.conversion, self.gguf = conversion.base, conversion, gguf
        conversion.base.TextModel.get_vocab_base_pre = lambda model, tokenizer: "deepseek-v3"
        # transformers 5.23 stumbles over the config.json beside the tokenizer, which says nothing of it.
        transformers.AutoTokenizer = transformers.PreTrainedTokenizerFast

    def model(self, folder, outtype, out):
        types = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
        hparams = self.base.ModelBase.load_hparams(folder, False)
        kind = self.conversion.get_model_class(
            self.conversion.get_model_architecture(hparams, self.conversion.ModelType.TEXT))
        return kind(folder, getattr(self.gguf.LlamaFileType, types[outtype]), out)

    def convert(self, folder, outtype, out):
        self.model(folder, outtype, out).write()

    def write_hole(self, config, folder, out):
        """A BF16 file of the right size without values or vocabulary."""
        import torch
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        lazy = self.base.LazyTorchTensor
        dtypes = {"BF16": torch.bfloat16, "F32": torch.float32}

        def outline(name, dtype, shape):
            return name, lambda: lazy(meta=lazy.meta_with_dtype_and_shape(dtypes[dtype], shape),
                                      args=(), func=len)

        tensors = [outline(name, dtype, shape)
                   for name, (dtype, shape, _) in Outline(config).tensors.items()]
        listed = lambda model, **_: dict(map(model.filter_tensors, tensors))  # noqa: E731
        with self.replaced("index_tensors", listed), \
                self.replaced("set_vocab", lambda model: model._set_vocab_none()):
            model = self.model(folder, "bf16", out)
            model.prepare_tensors()
            model.prepare_metadata(vocab_only=False)
            writer = model.gguf_writer
            writer.write_header_to_file(path=out)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
        pad = lambda n: -(-n // 32) * 32  # noqa: E731
        size = sum(pad(tensor.nbytes) for shard in writer.tensors for tensor in shard.values())
        os.truncate(out, pad(out.stat().st_size) + size)

    @contextlib.contextmanager
    def replaced(self, name, function):
        kind = self.conversion.get_model_class("DeepseekV3ForCausalLM")
        before = kind.__dict__.get(name)
        setattr(kind, name, function)
        yield
        if before is None:
            delattr(kind, name)
        else:
            setattr(kind, name, before)

    def value(self, field):
        """[type, value]; of an array [type, length, SHA-256 of its elements as they lie in the file]."""
        types = [t.name for t in field.types]
        if types[0] != "ARRAY":
            value = field.contents()
            return [types[0], value]
        parts = field.parts[5:]  # after key length, key, types, length
        data = b"".join(part.tobytes() for part in parts)
        return [f"ARRAY {types[-1]}", int(field.parts[4][0]), hashlib.sha256(data).hexdigest()]

    def metadata(self, path):
        fields = self.gguf.GGUFReader(path).fields
        return {key: self.value(field) for key, field in fields.items()
                if not key.startswith("GGUF.")}

    def tensors(self, path):
        """[(name, ne, type, values)]."""
        return [(t.name, [int(n) for n in t.shape], t.tensor_type.name, t.data)
                for t in self.gguf.GGUFReader(path).tensors]


def ranges(numbers):
    """0-3,5: as short as it goes."""
    runs = []
    for n in sorted(numbers):
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def by_class(facts):
    """{tensor: fact} -> {class: fact}, or {class: {fact: layers}} where layers differ."""
    classes = {}
    for name, fact in facts.items():
        layer = re.match(r"blk\.(\d+)\.(.*)", name)
        where, key = (int(layer[1]), "blk.*." + layer[2]) if layer else (None, name)
        classes.setdefault(key, {}).setdefault(fact, []).append(where)
    return {key: next(iter(facts)) if len(facts) == 1 else
            {fact: ranges(layers) for fact, layers in sorted(facts.items())}
            for key, facts in sorted(classes.items())}


def write_imatrix(path):
    """Of no tensor that there is: only its presence counts in a dry run."""
    path.write_bytes(struct.pack("<ii4siif", 1, 4, b"none", 1, 1, 1.0))


def dry_run(llama, source, mix, imatrix):
    """({tensor: type}, MiB)."""
    done = subprocess.run([llama / "build/bin/llama-quantize",
                           *(["--imatrix", imatrix] if imatrix else []), "--dry-run", source, mix],
                          capture_output=True, text=True, errors="replace", check=True)
    log = done.stdout + done.stderr
    types = {}
    for line in re.findall(r"^\[ *\d+/ *\d+\] .*", log, re.MULTILINE):
        name, old, new = re.match(r"\S+ *\d*/ *\d+\] (\S+) .*type = +(\w+), size = [^(]*(?:\((\w+)\))?",
                                  line.replace("[ ", "[")).groups()
        types[name] = (new or old).upper()
    return types, float(re.search(r"quant size *= *([\d.]+) MiB", log)[1])


def summary(types, size, f32):
    """What most classes have, and which have something else."""
    classes = by_class({name: kind for name, kind in types.items() if name not in f32})
    kinds = [kind for kind in classes.values() if isinstance(kind, str)]
    base = max(sorted(set(kinds)), key=kinds.count)
    return {"MiB": size, "base": base,
            "others": {name: kind for name, kind in classes.items() if kind != base}}


def chosen_types(llama, source, imatrix, f32):
    """{mix: summary} without those tensors that are F32 whatever is asked for."""
    mixes = {}
    for mix in MIXES:
        plain, size = dry_run(llama, source, mix, None)
        assert all(plain[name] == "F32" for name in f32)
        mixes[mix] = summary(plain, size, f32)
        weighted, size = dry_run(llama, source, mix, imatrix)
        if weighted != plain:
            mixes[mix]["imatrix"] = summary(weighted, size, f32)
    return mixes


def layout(tensors):
    """{class: {"ne": sizes, innermost first, "layers": which}}."""
    classes = {}
    for name, ne, _, _ in tensors:
        layer = re.match(r"blk\.(\d+)\.(.*)", name)
        entry = classes.setdefault("blk.*." + layer[2] if layer else name, {"ne": ne})
        assert entry["ne"] == ne
        if layer:
            entry.setdefault("layers", []).append(int(layer[1]))
    for entry in classes.values():
        if "layers" in entry:
            entry["layers"] = ranges(entry["layers"])
    return dict(sorted(classes.items()))


def describe_model(converter, llama, config, folder, name):
    source, imatrix = folder / f"{name}.gguf", folder / "imatrix.dat"
    write_imatrix(imatrix)
    converter.write_hole(config, folder / name, source)
    tensors = converter.tensors(source)
    f32 = [tensor for tensor, _, kind, _ in tensors if kind == "F32"]
    types = {"tensors": layout(tensors), "f32": sorted(by_class(dict.fromkeys(f32, ""))),
             "mixes": chosen_types(llama, source, imatrix, set(f32))}
    source.unlink()
    return types


def synthesize(tessera, family, form, folder):
    (folder / form).mkdir(parents=True)
    source = folder / form / "synth"
    subprocess.run([tessera, "synth", "-q", source, "--preset", "tiny", "--family", family, "--format", form],
                   check=True, stdout=subprocess.DEVNULL)
    out = folder / form / "tiny"  # general.name comes from the folder's
    if json.loads((source / "config.json").read_text())["q_lora_rank"] is None:
        lite_checkpoint.stretch(source, out)
    else:
        source.rename(out)
    return out


def convert_tiny(converter, source, folder, form, golden):
    """Adds to `golden` the metadata, which must not depend on the form nor, but for the file type, on what is
    written, and of each tensor its type and the first 16 digits of the SHA-256 of its bytes."""
    for outtype in OUTTYPES:
        out = folder / "out.gguf"
        converter.convert(source, outtype, out)
        metadata, tensors = converter.metadata(out), converter.tensors(out)
        golden.setdefault("file_type", {})[outtype] = metadata.pop("general.file_type")
        assert golden.setdefault("metadata", metadata) == metadata
        assert golden.setdefault("layout", layout(tensors)) == layout(tensors)
        golden.setdefault("tensors", {})[f"{form} {outtype}"] = by_class(
            {name: f"{kind} {hashlib.sha256(data.tobytes()).hexdigest()[:16]}"
             for name, _, kind, data in tensors})
        out.unlink()


def write(name, golden):
    # One line for each key, mix or set of digests: a change of one shows as one.
    text = json.dumps(golden, indent=1, ensure_ascii=False)
    text = re.sub(r"\n {5,}", " ", text)
    text = re.sub(r"\n {4}([\]}])", r" \1", text)
    text = re.sub(r"\[([^][{}]*)\]", lambda words: "[" + " ".join(words[1].split()) + "]", text)
    (HERE / name).write_text(text + "\n")


def quantize(converter, llama, source, folder):
    """{mix: {type: start of the SHA-256 of all tensors of the type, in order of their names}}."""
    f32, out, imatrix = folder / "f32.gguf", folder / "out.gguf", folder / "imatrix.gguf"
    converter.convert(source, "f32", f32)
    importance_file.write(imatrix, {name: ne for name, ne, _, _ in converter.tensors(f32)
                                    if len(ne) > 1 and "_inp" not in name})
    golden = {}
    for mix in MIXES:
        for way, options in (("plain", []), ("imatrix", ["--imatrix", imatrix])):
            done = subprocess.run([llama / "build/bin/llama-quantize", *options, f32, out, mix],
                                  capture_output=True, text=True, errors="replace")
            if "requires an importance matrix" in done.stderr + done.stdout:
                golden.setdefault(mix, {})[way] = None  # refused
                continue
            done.check_returncode()
            hashes = {}
            for _, _, kind, data in sorted(converter.tensors(out), key=lambda tensor: tensor[0]):
                hashes.setdefault(kind, hashlib.sha256()).update(data.tobytes())
            digests = {kind: digest.hexdigest()[:16] for kind, digest in sorted(hashes.items())}
            golden.setdefault(mix, {})[way] = digests
            out.unlink()
    return golden


def all_types(converter, llama, tessera, folder):
    models = {}
    for name, config in json.loads((HERE / "gguf_configs.json").read_text()).items():
        models[name] = describe_model(converter, llama, config, folder, name)
    for family in TINY:
        source = synthesize(tessera, family, "bf16", folder / family)
        config = json.loads((source / "config.json").read_text())
        models["tiny " + family] = describe_model(converter, llama, config, folder, family + "-outline")
    return {"models": models}


def all_metadata(converter, llama, tessera, folder):
    golden = {"released": {}, "tiny": {}}
    for name, config in json.loads((HERE / "gguf_configs.json").read_text()).items():
        out = folder / "hole.gguf"
        converter.write_hole(config, folder / name, out)
        golden["released"][name] = converter.metadata(out)
    for family in TINY:
        for form in ("fp8", "bf16"):
            source = synthesize(tessera, family, form, folder / family)
            convert_tiny(converter, source, folder, form, golden["tiny"].setdefault(family, {}))
    return golden


def all_quantized(converter, llama, tessera, folder):
    return {"tiny v3": quantize(converter, llama, synthesize(tessera, "v3", "fp8", folder), folder)}


def main():
    makers = {"types": all_types, "metadata": all_metadata, "quantized": all_quantized}
    arguments = argparse.ArgumentParser()
    for name in ("llama", "commit", "tessera"):
        arguments.add_argument(name)
    arguments.add_argument("what", nargs="*", help=", ".join(makers))
    arguments = arguments.parse_args()
    llama = pathlib.Path(arguments.llama).resolve()
    converter = Converter(llama)
    for what in arguments.what or makers:
        with tempfile.TemporaryDirectory() as folder:
            golden = makers[what](converter, llama, arguments.tessera, pathlib.Path(folder))
        write(f"gguf_{what}.json", {"llama.cpp": arguments.commit} | golden)


if __name__ == "__main__":
    main()
