# A GGUF file is read as the model that was written into it: shown, compared, run, cast back.
exits 0 tessera synth in --preset tiny --quirks -q
write() {  # write OUT TYPE [OPTION...]
  exits 0 tessera gguf in "$1" --type "$2" --no-tokenizer -q "${@:3}"
}
write f32.gguf F32
write q4.gguf Q4_K_M

exits 0 tessera inspect in --json
cp out source.json
exits 0 tessera inspect q4.gguf --json
json 'j["family"] == "v3" and j["coverage"] == "main-only" and j["experts"] == 16 and j["mtp_layers"] == 0'
json 'j["layers"] == json.load(open("source.json"))["layers"] and {"Q4_K", "Q6_K", "F32"} <= set(j["dtypes"])'
json 'j["metadata"]["deepseek2.expert_count"] == 16 and "scales" not in j["roles"]'
json 'sum(s["bytes"] for s in j["roles"].values()) == j["bytes"]'
exits 0 tessera inspect f32.gguf --json
json 'j["parameters"] == sum(s["parameters"] for s in j["roles"].values())'
exits 0 tessera inspect q4.gguf
contains 'deepseek2.attention.kv_lora_rank' out
exits 0 tessera inspect q4.gguf --check
exits 0 tessera inspect q4.gguf --tensors 'model.layers.1.mlp.experts.1?.down_proj.weight' --json
json 'len({t["offset"] for t in j["tensor_list"]}) == 6 and {t["bytes"] for t in j["tensor_list"]}.__len__() == 1'
exits 3 tessera inspect q4.gguf --for vllm

# Every value of F32 is the source's; of blocks, what their scales predict.
exits 0 tessera verify in f32.gguf --json
json 'j["within"] == j["failed"] == 0 and [u["rule"] for u in j["unmatched"]] == ["mtp-module"]'
for type in Q8_0 Q6_K Q5_K_M Q4_K_M Q4_0 IQ4_XS Q3_K_M Q2_K MXFP4_MOE BF16; do
  write type.gguf $type
  exits 0 tessera verify in type.gguf --json
  json 'j["failed"] == 0 and j["within"] > 0 and all(g["ok"] for g in j["gates"])'
  rm type.gguf*
done
exits 1 tessera verify in q4.gguf --gate sqnr-4bit=60
contains "; B q4.gguf: 139 tensors" out

# The same logits as the source's, to the bit.
python3 -c 'print(*(i * 7919 % 640 for i in range(40)))' >ids.txt
exits 0 tessera forward in --tokens ids.txt --logits source.safetensors
exits 0 tessera forward f32.gguf --tokens ids.txt --logits f32.safetensors
cmp source.safetensors f32.safetensors
exits 0 tessera forward q4.gguf --tokens ids.txt --logits q4.safetensors
exits 0 tessera forward q4.gguf --tokens ids.txt --logits again.safetensors --decoder reference
cmp q4.safetensors again.safetensors

# Back in safetensors: what the blocks hold, rounded.
exits 0 tessera cast q4.gguf back --to bf16 -q
exits 0 tessera verify q4.gguf back
contains 'rounded exactly' out
exits 0 tessera cast f32.gguf wide --to f32 -q
exits 0 tessera verify f32.gguf wide --json
json 'j["within"] == j["failed"] == 0 and j["unmatched"] == []'
exits 3 tessera reshard q4.gguf out --shard-size 1MB
contains 'cast them'

# Split files are one model, by the first of them or by their folder.
mkdir split
write split/q4.gguf Q4_K_M --split-size 1MB
for path in split split/q4-00001-of-*.gguf; do
  exits 0 tessera verify q4.gguf "$path" --json
  json 'j["within"] == j["failed"] == 0 and j["unmatched"] == []'
done
exits 3 tessera inspect split/q4-00002-of-*.gguf
contains 'q4-00001-of-'
rm split/q4-00002-of-*.gguf
exits 3 tessera inspect split/q4-00001-of-*.gguf
contains 'q4-00002-of-'
exits 1 tessera inspect split/q4-00001-of-*.gguf --check --json
json 'j["findings"][0]["rule"] == "missing-shard"'

# Damage is named; another architecture is only shown.
truncate -s -1000 f32.gguf
exits 3 tessera verify in f32.gguf
contains 'ends before its tensors do'
sed 's/deepseek2\.block_count/deepseek2.block_kount/' q4.gguf >lacks.gguf
exits 3 tessera forward lacks.gguf --tokens ids.txt
contains 'deepseek2.block_count, u32'
sed '1s/deepseek2/deepseekX/' q4.gguf >other.gguf
exits 0 tessera inspect other.gguf --json
json 'j["family"] is None and [f["rule"] for f in j["findings"]] == ["gguf-architecture"]'
exits 3 tessera forward other.gguf --tokens ids.txt
contains 'an architecture that is not supported'

# A type of the same size that has no decoder: counted, not guessed at.
write q3.gguf Q3_K_M
python3 - <<'END'
file = bytearray(open("q3.gguf", "rb").read())
at = file.index(b"token_embd.weight") + len(b"token_embd.weight") + 4 + 2 * 8
assert file[at:at + 4] == bytes([11, 0, 0, 0])
file[at] = 21
open("iq3.gguf", "wb").write(file)
END
exits 0 tessera inspect q3.gguf --json
parameters=$(json 'j["parameters"]')
exits 0 tessera inspect iq3.gguf --json
json "j['parameters'] == $parameters and j['dtypes']['IQ3_S']['tensors'] == 1"
exits 1 tessera verify in iq3.gguf
contains 'values of IQ3_S, which cannot be decoded' out
for refused in 'forward iq3.gguf --tokens ids.txt' 'cast iq3.gguf out --to bf16'; do
  exits 3 tessera $refused
  contains 'a weight of a type that cannot be decoded'
done
