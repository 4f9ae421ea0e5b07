"""`verify --forward` measures what NumPy measures on the logits that `forward` writes."""
import json
import subprocess

import numpy as np
import pytest
from conftest import TESSERA, run_tessera
from safetensors.numpy import load_file

TOKENS = [i * 7919 % 640 for i in range(700)]


def log_softmax(logits):
    shifted = logits - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def mean(values):
    """And its standard error."""
    return values.mean(), values.std() / np.sqrt(len(values) - 1)


@pytest.fixture(scope="module", params=["int4", "fp8"])
def comparison(workshop, tmp_path_factory, request):
    """What the two say, by themselves and side by side."""
    folder = tmp_path_factory.mktemp("forward")
    ids = folder / "ids.txt"
    ids.write_text(" ".join(map(str, TOKENS)))
    plain = workshop.synth("v3", "bf16")
    other = (workshop.cast(plain, "--to", "fp8") if request.param == "fp8"
             else workshop.quantize(plain, "w4a16"))
    logits = []
    for side, path in (("a", plain), ("b", other)):
        file = folder / f"{side}.safetensors"
        run_tessera("forward", path, "--tokens", ids, "--logits", file)
        logits.append(log_softmax(load_file(file)["logits"].astype(np.float64)))
    done = subprocess.run([TESSERA, "verify", plain, other, "--forward", "--tokens", ids, "--json"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return *logits, json.loads(done.stdout)


def test_divergence_and_agreement(comparison):
    a, b, report = comparison
    kl = (np.exp(a) * (a - b)).sum(1)
    assert report["kl"]["mean"] == pytest.approx(kl.mean(), rel=1e-6)
    assert report["kl"]["mean_error"] == pytest.approx(mean(kl)[1], rel=1e-6)
    for name, p in (("min", 0), ("p01", 0.1), ("p1", 1), ("p5", 5), ("p10", 10), ("p25", 25),
                    ("median", 50), ("p75", 75), ("p90", 90), ("p95", 95), ("p99", 99),
                    ("p999", 99.9), ("max", 100)):
        assert report["kl"][name] == pytest.approx(np.percentile(kl, p), rel=1e-6, abs=1e-14), name
    same = (a.argmax(1) == b.argmax(1)).astype(float)
    assert (report["top1"], report["top1_error"]) == pytest.approx(mean(same), rel=1e-6)
    assert 0.5 < report["top1"] < 1
    worst = [token["position"] for token in report["worst_tokens"]]
    assert worst == list(np.argsort(-kl, kind="stable")[:10])
    for token in report["worst_tokens"]:
        i = token["position"]
        assert token["token"] == TOKENS[i]
        for side, log_p in (("top_a", a[i]), ("top_b", b[i])):
            assert [t["token"] for t in token[side]] == list(np.argsort(-log_p, kind="stable")[:5])
            assert token[side][0]["probability"] == pytest.approx(np.exp(log_p.max()), rel=1e-6)


def test_perplexity_as_llama_perplexity_states_it(comparison):
    a, b, report = comparison
    at = np.arange(len(TOKENS) - 1), np.array(TOKENS[1:])
    nll_a, nll_b = -a[at], -b[at]
    ppl = report["ppl"]
    for side, nll in (("a", nll_a), ("b", nll_b)):
        value, error = mean(nll)
        assert ppl[side] == pytest.approx(np.exp(value), rel=1e-6)
        assert ppl[side + "_error"] == pytest.approx(np.exp(value) * error, rel=1e-6)
    covariance = np.cov(nll_a, nll_b)[0, 1] / len(nll_a)
    errors = mean(nll_a)[1], mean(nll_b)[1]
    assert ppl["correlation"] == pytest.approx(covariance / (errors[0] * errors[1]), rel=1e-6)
    assert ppl["correlation"] == pytest.approx(np.corrcoef(nll_a, nll_b)[0, 1], rel=1e-6)
    ratio = nll_b.mean() - nll_a.mean()
    ratio_error = np.sqrt(errors[0] ** 2 + errors[1] ** 2 - 2 * covariance)
    assert ppl["ln_ratio"] == pytest.approx(ratio, rel=1e-6, abs=1e-9)
    assert ppl["ln_ratio_error"] == pytest.approx(ratio_error, rel=1e-6)
    assert ppl["ratio"] == pytest.approx(np.exp(ratio), rel=1e-6)
    assert ppl["ratio_error"] == pytest.approx(np.exp(ratio) * ratio_error, rel=1e-6)
    assert ppl["difference"] == pytest.approx(ppl["b"] - ppl["a"], rel=1e-6)
    assert ppl["difference_error"] == pytest.approx(np.sqrt(
        ppl["a_error"] ** 2 + ppl["b_error"] ** 2 - 2 * ppl["a"] * ppl["b"] * covariance), rel=1e-6)


def test_probability_of_the_true_token(comparison):
    a, b, report = comparison
    at = np.arange(len(TOKENS) - 1), np.array(TOKENS[1:])
    delta = np.exp(b[at]) - np.exp(a[at])
    got = report["delta_p"]
    assert (got["mean"], got["mean_error"]) == pytest.approx(mean(delta), rel=1e-6, abs=1e-12)
    for name, p in (("min", 0), ("p1", 1), ("p5", 5), ("median", 50), ("p95", 95), ("p99", 99),
                    ("max", 100)):
        assert got[name] == pytest.approx(np.percentile(delta, p), rel=1e-6, abs=1e-12), name
    square, error = mean(delta ** 2)
    assert got["rms"] == pytest.approx(np.sqrt(square), rel=1e-6)
    assert got["rms_error"] == pytest.approx(error / (2 * np.sqrt(square)), rel=1e-6)


def test_gates_are_the_mean_and_what_chance_leaves_of_a_share(comparison):
    _, _, report = comparison
    gates = {gate["name"]: gate for gate in report["gates"]}
    kl, top1 = report["kl"], report["top1"]
    assert gates["kl"]["value"] == kl["mean"]
    assert gates["top1"]["value"] == pytest.approx(min(1, top1 + 2 * report["top1_error"]), rel=1e-9)
    assert gates["kl"]["ok"] == (gates["kl"]["value"] <= gates["kl"]["limit"])
    assert gates["top1"]["ok"] == (gates["top1"]["value"] >= gates["top1"]["limit"])
