# Every type: the file is whole GGUF, verifies, and is the same however it is made; plain types hold the values that `cast`
# gives, experts stacked by number, kv_b_proj split by heads and its keys transposed; split files hold what one file holds.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --quirks
exits 0 tessera cast in f32 --to f32 --mtp drop

for type in F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL IQ4_XS \
  MXFP4_MOE dynamic-Q2 dynamic-Q3 dynamic-Q4; do
  exits 0 tessera gguf in $type.gguf --type $type --no-tokenizer --json
  json 'sum(j["ledger"].values()) == 383 and j["files"] == 1'
  exits 0 tessera verify $type.gguf
  exits 0 tessera gguf in again/$type.gguf --type $type --no-tokenizer --threads 3 --memory 2MiB
  cmp $type.gguf again/$type.gguf
  cmp $type.gguf.tessera.json again/$type.gguf.tessera.json
  exits 0 tessera gguf in split/$type.gguf --type $type --no-tokenizer --split-size 1MB --threads 1
  exits 0 tessera verify split/$type.gguf
  [ ! -e $type.gguf.partial ] && [ ! -e split/$type.gguf ]
done

python3 - <<'PY'
import glob, json, re, struct
import gguf_file

one = gguf_file.File("F32.gguf")
assert one.metadata["tokenizer.ggml.model"] == "none"
config = json.load(open("f32/config.json"))
heads, nope, v = (config[k] for k in ("num_attention_heads", "qk_nope_head_dim", "v_head_dim"))
experts = config["n_routed_experts"]
source = {}
for path in glob.glob("f32/*.safetensors"):
    data = open(path, "rb").read()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    for name, t in json.loads(data[8:begin]).items():
        if name != "__metadata__":
            low, high = t["data_offsets"]
            assert t["dtype"] == "F32", name
            source[name] = t["shape"], data[begin + low:begin + high]

plain = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_a_proj": "attn_q_a",
         "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
         "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
         "self_attn.o_proj": "attn_output", "mlp.gate": "ffn_gate_inp", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
         "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp"}
want = {"token_embd.weight": source["model.embed_tokens.weight"], "output_norm.weight": source["model.norm.weight"],
        "output.weight": source["lm_head.weight"]}
for name, (shape, data) in source.items():
    found = re.fullmatch(r"model\.layers\.(\d+)\.(.*)\.weight", name)
    if found and found[2] in plain:
        want[f"blk.{found[1]}.{plain[found[2]]}.weight"] = shape, data
    elif name.endswith("e_score_correction_bias"):
        want[f"blk.{name.split('.')[2]}.exp_probs_b.bias"] = shape, data
    elif found and found[2] == "self_attn.kv_b_proj":
        rank = shape[1]
        row = 4 * rank
        k, values = [], []
        for head in range(heads):
            rows = [data[(head * (nope + v) + i) * row:][:row] for i in range(nope + v)]
            k += [rows[j][4 * column:4 * column + 4] for column in range(rank) for j in range(nope)]
            values += rows[nope:]
        want[f"blk.{found[1]}.attn_k_b.weight"] = [heads, rank, nope], b"".join(k)
        want[f"blk.{found[1]}.attn_v_b.weight"] = [heads, v, rank], b"".join(values)
    elif found and ".experts.0." in name:
        stack = [source[name.replace("experts.0.", f"experts.{e}.")][1] for e in range(experts)]
        kind = re.search(r"(gate|up|down)_proj", name)[1]
        want[f"blk.{found[1]}.ffn_{kind}_exps.weight"] = [experts, *shape], b"".join(stack)
assert {name: ("F32", *t) for name, t in want.items()} == one.tensors
# As llama-quantize orders them.
layer = lambda name: int(name.split(".")[1]) if name.startswith("blk.") else -1
assert list(one.tensors) == sorted(one.tensors, key=lambda name: (layer(name), name))

for path in glob.glob("*.gguf"):
    whole = gguf_file.File(path)
    assert list(whole.tensors) == list(one.tensors), path
    for name, (kind, shape, _) in whole.tensors.items():
        assert shape == one.tensors[name][1], (path, name)
        if len(shape) < 2 or name.endswith("ffn_gate_inp.weight"):
            assert whole.tensors[name] == one.tensors[name], (path, name)
    parts = sorted(glob.glob(f"split/{path.removesuffix('.gguf')}-?????-of-?????.gguf"))
    assert len(parts) > 3, path
    tensors = {}
    for i, part in enumerate(parts):
        file = gguf_file.File(part)
        tensors |= file.tensors
        assert file.metadata["split.no"] == i and file.metadata["split.count"] == len(parts)
        assert file.metadata["split.tensors.count"] == len(whole.tensors)
        rest = {k: v for k, v in file.metadata.items() if not k.startswith("split.")}
        assert rest == (whole.metadata if i == 0 else {}), part
    assert tensors == whole.tensors, path
PY

# Rules: the first that matches counts; and what they may not touch.
exits 0 tessera gguf in rules.gguf --type Q4_K_M --no-tokenizer --tensor-type 'ffn_down_exps=Q3_K' --tensor-type 'ffn_.*_exps=iq4_xs' \
  --tensor-type '\.1\.attn_q=BF16' --name 'A tiny one'
python3 - <<'PY'
import gguf_file
whole = gguf_file.File("rules.gguf")
assert whole.metadata["general.name"] == "A tiny one"
kind = lambda name: whole.tensors[name][0]
assert kind("blk.1.ffn_down_exps.weight") == "Q3_K" and kind("blk.1.ffn_up_exps.weight") == "IQ4_XS"
assert kind("blk.1.attn_q_a.weight") == "BF16" and kind("blk.1.attn_q_a_norm.weight") == "F32"
assert kind("blk.2.attn_q_a.weight") == "Q4_K"
PY

# The tokenizer, unless it is left out: as many tokens as the embedding has rows.
exits 0 tessera gguf in vocabulary.gguf --type Q8_0
exits 0 tessera verify vocabulary.gguf
python3 - <<'PY'
import gguf_file
whole, bare = gguf_file.File("vocabulary.gguf"), gguf_file.File("Q8_0.gguf")
assert whole.tensors == bare.tensors
assert whole.metadata["tokenizer.ggml.model"] == "gpt2"
assert len(whole.metadata["tokenizer.ggml.tokens"]) == whole.tensors["token_embd.weight"][1][0]
model = [[k for k in f.metadata if not k.startswith("tokenizer.")] for f in (whole, bare)]
assert model[0] == model[1] and list(whole.metadata)[-2:] == ["general.quantization_version", "general.file_type"]
PY
rm in/tokenizer.json
exits 3 tessera gguf in none.gguf --type Q8_0
contains "--no-tokenizer"

# The MTP module, as the loader takes it.
exits 0 tessera gguf in mtp.gguf --type Q8_0 --no-tokenizer --mtp keep --json
json 'j["ledger"]["dropped"] == 0'
python3 - <<'PY'
import gguf_file
whole = gguf_file.File("mtp.gguf")
assert whole.metadata["deepseek2.block_count"] == 4 and whole.metadata["deepseek2.nextn_predict_layers"] == 1
extras = {name.removeprefix("blk.3.nextn.") for name in whole.tensors if ".nextn." in name}
assert extras == {"eh_proj.weight", "enorm.weight", "hnorm.weight", "embed_tokens.weight", "shared_head_norm.weight",
                  "shared_head_head.weight"}, extras
assert "blk.3.ffn_up_exps.weight" in whole.tensors and "blk.3.attn_k_b.weight" in whole.tensors
PY
exits 0 tessera verify mtp.gguf
exits 0 tessera verify split/Q8_0-00002-of-*.gguf

# In parts, in any order: the last one completes it, and a stack that several of them fill is the same.
for part in 3 1 2; do
  exits 0 tessera gguf in parts/Q4_K_M.gguf --type Q4_K_M --no-tokenizer --split-size 2MB --part $part/3
  [ $part = 2 ] || [ -z "$(ls parts/*-00001-of-*.gguf 2>/dev/null)" ]
done
exits 0 tessera verify parts/Q4_K_M.gguf
exits 0 tessera gguf in whole/Q4_K_M.gguf --type Q4_K_M --no-tokenizer --split-size 2MB
diff -r parts whole
for part in 1 2; do
  exits 0 tessera gguf in half/Q4_K_M.gguf --type Q4_K_M --no-tokenizer --split-size 2MB --part $part/3
done
exits 1 tessera finish half/Q4_K_M.gguf
exits 0 tessera gguf in half/Q4_K_M.gguf --type Q4_K_M --no-tokenizer --split-size 2MB
diff -r half whole

# --rehearse computes everything and leaves nothing; --dry-run plans the same.
exits 0 tessera gguf in nothing/x.gguf --type Q4_K_M --no-tokenizer --rehearse --json
rehearsed=$(json 'j["plan"]')
exits 0 tessera gguf in nothing/x.gguf --type Q4_K_M --no-tokenizer --dry-run --json
[ "$(json 'j["plan"]')" = "$rehearsed" ] && [ ! -e nothing ]
json 'j["types"]["Q6_K"]["tensors"] > 0 and sum(t["tensors"] for t in j["types"].values()) == j["tensors"]'
