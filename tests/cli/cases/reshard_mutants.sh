# Ranks cut wrongly are told from ranks cut rightly: a slice off by a row, an expert on the wrong rank, a
# scale cut along the wrong axis. Each mutant keeps every file well-formed.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
tessera synth in --preset tiny -q >/dev/null
tessera reshard in ranks --mp 2 --mtp keep -q >/dev/null
cat >mutate.py <<'PY'
import json, pathlib, shutil, sys
import tensor_file

mutant, out = sys.argv[1], pathlib.Path(sys.argv[2])
ranks = [tensor_file.read_file(f"ranks/model{r}-mp2.safetensors") for r in (0, 1)]
WEIGHTS = {"row": "layers.1.attn.wq_b.weight", "row-of-embedding": "embed.weight",
           "row-of-scale": "layers.1.attn.wkv_b.scale"}
SCALE = "layers.1.attn.wo.scale"

def off_by_a_row(name):
    dtype, shape, low = ranks[0][name]
    _, _, high = ranks[1][name]
    row = len(low) // shape[0]
    both = low + high
    ranks[0][name] = dtype, shape, both[row:row + len(low)]
    assert ranks[0][name][2] != low

def wrong_rank(swapped):
    """Expert 7 is the last of rank 0, expert 8 the first of rank 1."""
    for number, home in ((7, 0), (8, 1)) if swapped else ((7, 0),):
        for name in [n for n in ranks[home] if f"layers.1.ffn.experts.{number}." in n]:
            ranks[1 - home][name] = ranks[home].pop(name)

def wrong_contents():
    """Experts 7 and 8 each under the other's name."""
    for name in [n for n in ranks[0] if "layers.1.ffn.experts.7." in n]:
        other = name.replace("experts.7.", "experts.8.")
        ranks[0][name], ranks[1][other] = ranks[1][other], ranks[0][name]

def wrong_axis(keep_shape):
    """wo is cut by columns; here its scale is cut by rows."""
    dtype, (rows, cols), _ = ranks[0][SCALE]
    size = 4 * cols
    lines = [b"".join(rank[SCALE][2][size * r:size * (r + 1)] for rank in ranks) for r in range(rows)]
    for index, rank in enumerate(ranks):
        data = b"".join(lines[rows // 2 * index:rows // 2 * (index + 1)])
        before = rank[SCALE]
        rank[SCALE] = dtype, [rows, cols] if keep_shape else [rows // 2, 2 * cols], data
        assert rank[SCALE] != before

{"none": lambda: None,
 "row": lambda: off_by_a_row(WEIGHTS["row"]),
 "row-of-embedding": lambda: off_by_a_row(WEIGHTS["row-of-embedding"]),
 "row-of-scale": lambda: off_by_a_row(WEIGHTS["row-of-scale"]),
 "expert-moved": lambda: wrong_rank(swapped=False),
 "experts-exchanged": lambda: wrong_rank(swapped=True),
 "experts-misnamed": wrong_contents,
 "axis": lambda: wrong_axis(keep_shape=False),
 "axis-reshaped": lambda: wrong_axis(keep_shape=True)}[mutant]()
out.mkdir()
shutil.copy("ranks/config.json", out)
for index, rank in enumerate(ranks):
    tensor_file.write_file(out / f"model{index}-mp2.safetensors", rank)
PY
# rebuilds FOLDER: whether putting its ranks together gives the original.
rebuilds() {
  rm -rf whole
  tessera reshard "$1" whole --names hf -q >/dev/null 2>refusal && same_tensors in whole 2>refusal
}
# agrees FOLDER: whether `verify` finds the ranks to be the original.
agrees() {
  tessera verify in "$1" >report 2>&1
}
python3 mutate.py none control
rebuilds control
agrees control
while read -r mutant culprit; do
  python3 mutate.py $mutant $mutant
  if rebuilds $mutant; then echo "rebuilt unnoticed: $mutant" >&2; exit 1; fi
  contains "$culprit" refusal
  if agrees $mutant; then echo "verified unnoticed: $mutant" >&2; exit 1; fi
  contains "$culprit" report
done <<'END'
row model.layers.1.self_attn.q_b_proj.weight
row-of-embedding model.embed_tokens.weight
row-of-scale model.layers.1.self_attn.kv_b_proj.weight
expert-moved layers.1.ffn.experts.7.w1.scale
experts-exchanged a routed expert is on a rank that does not own it
experts-misnamed model.layers.1.mlp.experts.7.
axis model.layers.1.self_attn.o_proj.weight_scale_inv
axis-reshaped model.layers.1.self_attn.o_proj.weight
END
