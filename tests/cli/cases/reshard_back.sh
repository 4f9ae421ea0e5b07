# What was cut for ranks comes back bit for bit, under Hugging Face names.

# FAMILY N...: to N ranks and back, with the MTP module and without it.
there_and_back() {
  local family=$1 mp
  shift
  tessera synth "$family" --preset tiny --family "$family" --quirks -q >/dev/null
  for mp in "$@"; do
    local cut=$family-mp$mp
    tessera reshard "$family" "$cut" --mp "$mp" --mtp keep >/dev/null
    tessera reshard "$cut" "$cut-hf" --mp 1 --names hf >/dev/null
    same_tensors "$family" "$cut-hf" '"rotary_emb" not in name'
    tessera inspect "$cut" --check >/dev/null
    tessera verify "$cut" >/dev/null
    tessera verify "$cut-hf" >/dev/null
  done
  tessera reshard "$family" "$family-main" --mp 2 >/dev/null
  tessera reshard "$family-main" "$family-main-hf" --names hf >/dev/null
  same_tensors "$family" "$family-main-hf" \
    '"rotary_emb" not in name and not name.startswith("model.layers.3.")'
}
there_and_back v3 1 2
there_and_back v3.1 2
there_and_back v3.2 2
there_and_back k2 2
there_and_back v2-lite 2 8

# What a loader of the original finds in config.json, the rebuilt one says too.
for family in v3 v3.1 v3.2 k2 v2-lite; do
  json 'j["num_hidden_layers"] == 3 and all(
      j.get(key) == value for key, value in json.load(open("'$family'/config.json")).items()
      if key not in {"architectures", "auto_map", "aux_loss_alpha", "bos_token_id", "eos_token_id",
                     "ep_size", "model_type", "pretraining_tp", "seq_aux",
                     "transformers_version"})' "$family-mp2-hf/config.json"
done
json 'j["num_nextn_predict_layers"] == 0' v3-main-hf/config.json

# Layer by layer, and a scale right behind its weight, whatever the order of names.
python3 - <<'END'
import json, struct
file = open("v3-mp2-hf/model-00001-of-00001.safetensors", "rb")
header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
header.pop("__metadata__")
names = sorted(header, key=lambda name: header[name]["data_offsets"])
assert names[0] == "model.embed_tokens.weight", names[0]
layers = [int(name.split(".")[2]) for name in names if name.startswith("model.layers.")]
assert layers == sorted(layers), layers
scales = [i for i, name in enumerate(names) if name.endswith("_scale_inv")]
assert scales and all(names[i - 1] + "_scale_inv" == names[i] for i in scales)
END
tessera reshard v3-mp2 v3-even --names hf --shard-size 1MB >/dev/null
same_tensors v3 v3-even

# From one number of ranks to another, with nothing in between.
tessera reshard v3-mp2 v3-2-1 --mp 1 --mtp keep >/dev/null
tessera reshard v3-2-1 v3-2-1-2 --mp 2 --mtp keep >/dev/null
for file in model0-mp2.safetensors model1-mp2.safetensors config.json tokenizer.json; do
  cmp "v3-mp2/$file" "v3-2-1-2/$file"
done
tessera reshard v2-lite-mp8 v2-lite-8-2 --mp 2 --mtp keep >/dev/null
cmp v2-lite-mp2/model1-mp2.safetensors v2-lite-8-2/model1-mp2.safetensors

# Casting reads ranks as it reads the checkpoint that they were cut from.
tessera cast v3 v3-bf16 --to bf16 >/dev/null
tessera cast v3-mp2 v3-mp2-bf16 --to bf16 >/dev/null
same_tensors v3-bf16 v3-mp2-bf16
json '"quantization_config" not in j' v3-mp2-bf16/config.json

# convert.py writes no config.json: the model's own will do, whatever it says of the MTP module.
rm v3-main/config.json
exits 3 tessera reshard v3-main none --names hf --json
last_error 'j["error"]["rule"] == "no-config"'
contains "--config"
tessera reshard v3-main v3-given --names hf --config v3/config.json >/dev/null
same_tensors v3-main-hf v3-given
json 'j["num_nextn_predict_layers"] == 0 and "auto_map" in j' v3-given/config.json

# One bit of a norm, which both ranks have: neither is believed.
python3 - <<'END'
import json, struct
with open("v3-mp2/model1-mp2.safetensors", "r+b") as file:
    size = struct.unpack("<Q", file.read(8))[0]
    at = 8 + size + json.loads(file.read(size))["layers.1.attn_norm.weight"]["data_offsets"][0] + 5
    file.seek(at)
    byte = file.read(1)[0]
    file.seek(at)
    file.write(bytes([byte ^ 1]))
END
exits 3 tessera reshard v3-mp2 none --names hf --json
last_error 'j["error"]["rule"] == "ranks-differ"'
last_error 'j["error"]["tensor"] == "model.layers.1.input_layernorm.weight"'
contains model0-mp2.safetensors
contains model1-mp2.safetensors
contains "byte 5"

rm v2-lite-mp8/model3-mp8.safetensors
exits 3 tessera reshard v2-lite-mp8 none --names hf --json
last_error 'j["error"]["rule"] == "missing-shard"'
last_error '"model3-mp8" in j["error"]["file"]'
