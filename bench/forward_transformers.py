#!/usr/bin/env python3
"""The same job as `tessera forward CKPT --tokens FILE`, by transformers in F32 on the CPU.

    forward_transformers.py CKPT TOKENS [--threads N] [--runs N] [--tessera PROGRAM [--source CKPT]]

CKPT holds plain weights of a model that transformers has itself, as `tessera cast --to f32 --mtp
drop` leaves them. Prints the seconds of loading, the median seconds of a pass with everything in
memory, and with --tessera those of whole runs of that program, reading included, in turns."""

import argparse
import statistics
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM


def timed(action):
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("tokens")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tessera", metavar="PROGRAM")
    parser.add_argument("--source", help="what --tessera runs instead, such as the FP8 original")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with open(arguments.tokens) as f:
        ids = torch.tensor([[int(i) for i in f.read().split()]])
    begin = time.monotonic()
    model = AutoModelForCausalLM.from_pretrained(arguments.checkpoint, dtype=torch.float32,
                                                 trust_remote_code=False)
    load = time.monotonic() - begin
    command = [arguments.tessera, "forward", arguments.source or arguments.checkpoint, "--tokens",
               arguments.tokens, "--threads", str(arguments.threads), "-q"]
    passes, runs = [], []
    with torch.no_grad():
        for _ in range(arguments.runs + 1):
            passes.append(timed(lambda: model(ids)))
            if arguments.tessera:
                runs.append(timed(lambda: subprocess.run(command, check=True,
                                                         stdout=subprocess.DEVNULL)))
    count = ids.shape[1]
    print(f"{count} tokens; transformers: load {load:.2f} s")
    for label, seconds in (("transformers, one pass", passes), ("tessera, whole run", runs)):
        if seconds:
            middle = statistics.median(seconds[1:])
            print(f"{label}: {middle:.2f} s (fastest {min(seconds[1:]):.2f}), "
                  f"{count / middle:.1f} tokens/s")
    if runs:
        pass_time, run_time = (statistics.median(seconds[1:]) for seconds in (passes, runs))
        print(f"tessera's whole run is {pass_time / run_time:.2f} times as fast as their pass, "
              f"{(load + pass_time) / run_time:.1f} times as loading and that pass")


if __name__ == "__main__":
    main()
