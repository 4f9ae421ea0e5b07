"""What `tessera verify A B` measures is what PyTorch measures, in double precision, on the same files."""
import json
import subprocess

import pytest
import torch
from conftest import TESSERA
from torch_numbers import FP8, block_size, dequantize, load

GROUP = 128


def compare(a, b, *options):
    done = subprocess.run([TESSERA, "verify", str(a), str(b), "--json", *options],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def values(tensors, block):
    """Every logical tensor in double precision."""
    return {name: (dequantize(tensor, tensors[name + "_scale_inv"], block)
                   if tensor.dtype in FP8 else tensor).to(torch.float64)
            for name, tensor in tensors.items() if not name.endswith("_scale_inv")}


def decibels(signal, noise):
    return (10 * torch.log10(signal / noise)).item()


def lowest(want, got, width):
    """The lowest SQNR of `width` columns of a row; groups at the edge are ragged."""
    worst = (float("inf"), 0, 0)
    for begin in range(0, want.shape[1], width):
        a, b = want[:, begin:begin + width], got[:, begin:begin + width]
        ratio = 10 * torch.log10((a * a).sum(1) / ((b - a) ** 2).sum(1))
        row = int(ratio.argmin())
        worst = min(worst, (ratio[row].item(), row, begin))
    return worst


def expected_noise(codes, scale, block):
    """Sum of s^2 / 12 over the codes' own steps, taken from the table of all codes."""
    table = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).to(torch.float64)
    numbers = sorted({abs(v) for v in table.tolist() if v == v})
    noise = {}
    for i, number in enumerate(numbers):
        above = numbers[i + 1] - number if i + 1 < len(numbers) else number - numbers[i - 1]
        below = number - numbers[i - 1] if i > 0 else above
        low, high = below / 2, above / 2
        noise[number] = (low ** 3 + high ** 3) / (3 * (low + high))
    per_code = torch.tensor([noise[abs(v)] if v == v else 0 for v in table.tolist()])
    ones = dequantize(torch.ones(codes.shape), scale, block).to(torch.float64)
    return (per_code[codes.view(torch.uint8).to(torch.int64)] * ones ** 2).sum()


@pytest.fixture(scope="module")
def quantized(workshop):
    plain = workshop.synth("v3", "bf16")
    return plain, workshop.cast(plain, "--to", "fp8")


def test_every_number_of_a_quantization_is_pytorchs(quantized):
    plain, fp8 = quantized
    # A limit that none can keep to lists every tensor.
    report = compare(plain, fp8, "--gate", "sqnr-fp8=1000")
    stored, block = load(fp8), block_size(fp8)
    a, b = values(load(plain), None), values(stored, block)
    listed = {entry["tensor"]: entry for entry in report["worst"]}
    assert listed.keys() == {name for name, tensor in stored.items() if tensor.dtype in FP8}
    for name, entry in listed.items():
        want, got = a[name], b[name]
        noise, signal = ((got - want) ** 2).sum(), (want ** 2).sum()
        assert entry["sqnr"] == pytest.approx(decibels(signal, noise), abs=1e-4), name
        assert entry["gain"] == pytest.approx(((want * got).sum() / (got * got).sum()).item(), abs=1e-6)
        cosine = torch.nn.functional.cosine_similarity(want.flatten(), got.flatten(), dim=0)
        assert entry["cosine"] == pytest.approx(cosine.item(), abs=1e-6)
        assert entry["max_error"] == pytest.approx((got - want).abs().max().item(), rel=1e-6)
        assert entry["mean_error"] == pytest.approx((got - want).mean().item(), abs=1e-8)
        assert entry["differing"] == int((got != want).sum())
        predicted = expected_noise(stored[name], stored[name + "_scale_inv"], block)
        assert entry["predicted_sqnr"] == pytest.approx(decibels(signal, predicted), abs=1e-3), name
        for key, width in (("worst_row", want.shape[1]), ("worst_group", GROUP)):
            sqnr, row, col = lowest(want, got, width)
            assert entry[key]["sqnr"] == pytest.approx(sqnr, abs=1e-3), (name, key)
            assert (entry[key]["row"], entry[key]["col"]) == (row, col), (name, key)


def test_exact_and_rounded_are_what_pytorch_calls_so(workshop, family):
    source = workshop.synth(family)
    out = workshop.cast(source, "--to", "bf16")
    report = compare(source, out)
    a, b = values(load(source), block_size(source)), values(load(out), None)
    equal = sum(torch.equal(a[name].nan_to_num(), b[name].nan_to_num()) for name in a)
    assert (report["exact"], report["within"]) == (equal, len(a) - equal)
    assert report["failed"] == 0 and report["worst"] == []
