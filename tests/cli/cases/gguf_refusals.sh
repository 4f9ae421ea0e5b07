# What cannot be a GGUF file that llama.cpp runs is refused before anything is written, naming what is wrong.
exits 0 tessera synth in --preset tiny

refuses() {
  local code=$1 text=$2
  shift 2
  exits "$code" tessera gguf "$@"
  contains "$text"
  [ ! -e out.gguf ] && [ ! -e out.gguf.partial ] && [ ! -e out.gguf.tessera.json ]
}
refuses 2 "ends in .gguf" in out --type Q8_0
refuses 2 "ends in .gguf" in .gguf --type Q8_0
refuses 2 "unknown type Q9_K" in out.gguf --type Q9_K
refuses 2 "not a rule" in out.gguf --type Q8_0 --tensor-type ffn
refuses 2 "unknown type IQ2_XS" in out.gguf --type Q8_0 --tensor-type ffn=IQ2_XS
refuses 2 "not a regular expression" in out.gguf --type Q8_0 --no-tokenizer --tensor-type '(=Q4_0'
refuses 2 "no tensor is chosen by attn_kv_b" in out.gguf --type Q8_0 --no-tokenizer --tensor-type attn_kv_b=Q4_0
refuses 2 "--split-size" in out.gguf --type Q8_0 --no-tokenizer --split-size big
refuses 3 "needs an importance matrix" in out.gguf --type Q2_K_S --no-tokenizer
refuses 3 "an MTP module alone" in out.gguf --type Q8_0 --no-tokenizer --mtp only
refuses 2 "overlap" in in/out.gguf --type Q8_0 --no-tokenizer

# Families whose attention the architecture has no place for.
for family in v3.2 glm5; do
  exits 0 tessera synth $family --preset tiny --family $family
  refuses 3 "indexer" $family out.gguf --type Q8_0 --no-tokenizer
done
# config.json decides, so one field is enough.
edited() {
  python3 - "$1" <<'PY'
import json, sys
config = json.load(open("in/config.json"))
exec(sys.argv[1])
json.dump(config, open("edited.json", "w"))
PY
}
edited 'config["rope_scaling"] = dict(config["rope_scaling"], mscale=0.5)'
refuses 3 "mscale" in out.gguf --type Q8_0 --no-tokenizer --config edited.json
edited 'config["n_group"], config["topk_group"] = 16, 4'
refuses 3 "n_group" in out.gguf --type Q8_0 --no-tokenizer --config edited.json
edited 'config["scoring_func"] = "tanh"'
refuses 3 "scoring_func" in out.gguf --type Q8_0 --no-tokenizer --config edited.json

# Values that no type of the file can hold; the weight is named, and its file does not get its final name.
damages() {
  rm -rf damaged
  cp -r in damaged
  python3 - "$1" "$2" <<'PY'
import glob, json, struct, sys
for path in glob.glob("damaged/*.safetensors"):
    data = bytearray(open(path, "rb").read())
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:begin])
    if sys.argv[1] in tensors:
        low = begin + tensors[sys.argv[1]]["data_offsets"][0]
        value = bytes.fromhex(sys.argv[2])
        data[low:low + len(value)] = value
        open(path, "wb").write(data)
PY
}
fails() {
  exits 3 tessera gguf damaged bad.gguf "$@"
  last_error 'j["error"]["tensor"].startswith("model.layers.1.")'
  [ ! -e bad.gguf ] && [ ! -e bad.gguf.tessera.json ]
  rm -r bad.gguf.partial
}
damages model.layers.1.mlp.experts.3.up_proj.weight 7f # the NaN of E4M3
for type in F32 BF16 Q8_0 Q4_K_M; do fails --type $type --no-tokenizer --json; done
damages model.layers.1.input_layernorm.weight 807f # infinity in BF16
fails --type Q4_K_M --no-tokenizer --json
damages model.layers.1.mlp.experts.3.up_proj.weight_scale_inv 0000006c # 2^89
fails --type Q4_K_M --no-tokenizer --json
contains "too large for a type with F16 scales"
fails --type F16 --no-tokenizer --json
contains "beyond F16's range"
exits 0 tessera gguf damaged wide.gguf --type BF16 --no-tokenizer
