#!/usr/bin/env python3
"""What a forward pass reads, holds and takes, layer by layer, and what that makes of DeepSeek-V3.

    forward_scale.py V3_SLICE --tessera PROGRAM [--threads N] [--runs N]

V3_SLICE is `tessera synth --preset v3-slice`: two layers and the MTP module at true widths, 16 experts each.
Runs over 16 tokens, which reach every expert, and over 512: what does not grow with them is reading
and decoding, by the byte; what does is products, by the weights that a token meets. Both are scaled
to the whole model. Prints the arithmetic."""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

FEW, MANY = 16, 512
V3 = {"layers": 61, "dense": 3, "mtp": 1, "experts": 256, "vocab": 129280, "bytes": 688_574_839_360}
# Weights of one layer at V3's widths.
ATTENTION = 7168 * (1536 + 576) + 1536 * 128 * 192 + 512 * 128 * 256 + 128 * 128 * 7168
DENSE, EXPERT, EH_PROJ = 3 * 7168 * 18432, 3 * 7168 * 2048, 2 * 7168 * 7168
TOP_K = 8


def met(layers, dense, mtp, experts, vocab, **_):
    """Weights that a token meets: the head for the model's logits and for the drafts."""
    moe = layers - dense + mtp
    return ((layers + mtp) * ATTENTION + dense * DENSE + moe * ((TOP_K + 1) * EXPERT + experts * 7168)
            + mtp * EH_PROJ + (1 + mtp) * vocab * 7168)


def run(arguments, tokens, folder):
    ids = pathlib.Path(folder) / "ids.txt"
    ids.write_text(" ".join(str(i * 7919 % arguments.vocab) for i in range(tokens)))
    command = [arguments.tessera, "forward", arguments.checkpoint, "--tokens", ids, "--json", "-q",
               "--threads", str(arguments.threads)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    report = json.loads(subprocess.run([*map(str, command)], check=True, capture_output=True).stdout)
    wall = time.monotonic() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, report


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--tessera", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    config = json.loads((arguments.checkpoint / "config.json").read_text())
    index = json.loads((arguments.checkpoint / "model.safetensors.index.json").read_text())
    slice_ = {"layers": config["num_hidden_layers"], "dense": config["first_k_dense_replace"],
              "mtp": config["num_nextn_predict_layers"], "experts": config["n_routed_experts"],
              "vocab": config["vocab_size"], "bytes": index["metadata"]["total_size"]}
    arguments.vocab = slice_["vocab"]
    print(f"load before: {os.getloadavg()[0]:.1f}; {arguments.threads} threads")
    middle = {}
    with tempfile.TemporaryDirectory() as folder:
        runs = {FEW: [], MANY: []}
        for _ in range(arguments.runs + 1):
            for tokens, kept in runs.items():
                kept.append(run(arguments, tokens, folder))
    for tokens, kept in runs.items():
        wall, cpu, report = (statistics.median(r[0] for r in kept[1:]),
                             statistics.median(r[1] for r in kept[1:]), kept[-1][2])
        middle[tokens] = cpu
        layers = slice_["layers"] + slice_["mtp"]
        print(f"{tokens:4} tokens: {wall:.2f} s, {wall / layers:.2f} s a layer, CPU {cpu:.2f} s; read "
              f"{report['read_bytes']:,} of {slice_['bytes']:,} bytes ({report['read_bytes'] / slice_['bytes']:.3f}); "
              f"peak {report['peak_memory'] / 2**20:.0f} MiB")
    token = (middle[MANY] - middle[FEW]) / (MANY - FEW)
    fixed = middle[FEW] - FEW * token
    print(f"CPU: {fixed:.2f} s for {slice_['bytes'] / 1e9:.2f} GB = {slice_['bytes'] / fixed / 1e9:.2f} GB/s a core; "
          f"{token * 1e3:.2f} ms a token for {met(**slice_) / 1e9:.3f} G weights = "
          f"{2 * met(**slice_) / token / 1e9:.0f} GFLOP/s a core")
    whole = fixed * V3["bytes"] / slice_["bytes"]
    each = token * met(**V3) / met(**slice_)
    print(f"DeepSeek-V3, {V3['bytes'] / 1e9:.0f} GB, {met(**V3) / 1e9:.1f} G weights met by a token: "
          f"{whole:.0f} s + {each:.2f} s a token of CPU")
    for tokens in (128, 512, 2048):
        for cores in (2, 8, 32):
            print(f"  {tokens} tokens on {cores} cores: {(whole + tokens * each) / cores / 60:.0f} min, or as long as "
                  f"the disk needs for {V3['bytes'] / 1e9:.0f} GB")


if __name__ == "__main__":
    main()
