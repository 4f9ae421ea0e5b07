# Beyond FP8's blocks: scales are shared where a slice lies in one block, and only weights whose
# blocks would be cut are quantized anew.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny
exits 3 tessera reshard in no --mp 8
[ ! -e no ]
exits 0 tessera reshard in ranks --mp 8 --reblock --json
# q_b: 768 rows, 96 a rank. Every other cut weight has slices of 32, 64 or 128.
json 'j["ledger"]["quantized"] == 3 == j["ledger"]["folded"]'
exits 0 tessera verify ranks
json 'j["request"]["reblock"] == "true"' ranks/tessera.manifest.json
json 'all((t["by"] == "quantized") == ("wq_b" in name) for name, t in j["tensors"].items())' \
  ranks/tessera.manifest.json
cat >check.py <<'PY'
import struct, sys
import tensor_file

source = tensor_file.read_folder("in")
ranks = [tensor_file.read_file(f"ranks/model{rank}-mp8.safetensors") for rank in range(8)]

def e4m3(code):
    exponent, mantissa = code >> 3 & 15, code & 7
    value = mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0**(exponent - 7)
    return -value if code & 128 else value

VALUE = [e4m3(code) for code in range(256)]

def floats(data):
    return struct.unpack(f"<{len(data) // 4}f", data)

def weight(tensors, name, scale):
    """Rows of values."""
    dtype, (rows, cols), codes = tensors[name]
    assert dtype == "F8_E4M3", name
    _, (_, scale_cols), scales = tensors[scale]
    scales = floats(scales)
    assert len(scales) == -(-rows // 128) * scale_cols and scale_cols == -(-cols // 128), name
    return [[VALUE[codes[r * cols + c]] * scales[r // 128 * scale_cols + c // 128]
             for c in range(cols)] for r in range(rows)]

PAIRS = {"self_attn.q_b_proj": ("attn.wq_b", 0), "self_attn.kv_b_proj": ("attn.wkv_b", 0),
         "self_attn.o_proj": ("attn.wo", 1), "mlp.shared_experts.down_proj": ("ffn.shared_experts.w2", 1),
         "mlp.shared_experts.gate_proj": ("ffn.shared_experts.w1", 0)}
for theirs, (ours, cut) in PAIRS.items():
    whole = weight(source, f"model.layers.1.{theirs}.weight", f"model.layers.1.{theirs}.weight_scale_inv")
    for rank, tensors in enumerate(ranks):
        got = weight(tensors, f"layers.1.{ours}.weight", f"layers.1.{ours}.scale")
        size = (len(whole) if cut == 0 else len(whole[0])) // 8
        want = (whole[rank * size:(rank + 1) * size] if cut == 0
                else [row[rank * size:(rank + 1) * size] for row in whole])
        if theirs != "self_attn.q_b_proj":
            assert got == want, (theirs, rank)
            continue
        # Half a step of E4M3, of a block's largest value where it is subnormal.
        top = max(abs(v) for row in want for v in row)
        assert len(got) == len(want) == 96
        for row, other in zip(want, got):
            for a, b in zip(row, other):
                assert abs(a - b) <= max(abs(a) / 16, top / 448 / 512) * 1.001, (theirs, rank, a, b)
PY
python3 check.py
# One rank alone gets the same file; where nothing is cut the option changes nothing.
exits 0 tessera reshard in one --mp 8 --reblock --rank 5
cmp one/model5-mp8.safetensors ranks/model5-mp8.safetensors
exits 0 tessera reshard in plain --mp 2
exits 0 tessera reshard in same --mp 2 --reblock --json
json 'j["ledger"]["quantized"] == 0'
for rank in 0 1; do cmp plain/model$rank-mp2.safetensors same/model$rank-mp2.safetensors; done
# What BF16 could not do either stays impossible, and blocks that are gone do not come back.
exits 3 tessera reshard in no --mp 3 --reblock
exits 3 tessera reshard ranks no --names hf
exits 2 tessera reshard in no --names hf --reblock
exits 2 tessera reshard in no --shard-size 1MB --reblock
[ ! -e no ]
