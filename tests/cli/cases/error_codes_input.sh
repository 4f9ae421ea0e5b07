# Every rule that an input can break, by the name that JSON has for it, at exit code 3.
# tests/layering/check_error_codes.py looks for `fails RULE` here and in the cases beside it.

# header TEXT [BYTES]: ./bad.safetensors with this header and so many bytes of data.
header() {
  python3 -c 'import os, sys
text = os.fsencode(sys.argv[1])
sys.stdout.buffer.write(len(text).to_bytes(8, "little") + text + bytes(int(sys.argv[2])))' "$1" "${2-0}" >bad.safetensors
}
entry() { printf '"%s":{"dtype":"%s","shape":%s,"data_offsets":%s}' "$@"; }
one=$(entry t F32 '[1]' '[0,4]')

look="tessera inspect bad.safetensors"
header "{$one}" 4
exits 0 $look
fails not-found tessera inspect nowhere
mkfifo fifo.safetensors
fails not-a-regular-file tessera inspect fifo.safetensors
printf 1234567 >bad.safetensors
fails header-too-small $look
printf '\377\377\377\377\377\377\377\377' >bad.safetensors
fails header-too-large $look
printf '\100\0\0\0\0\0\0\0{}' >bad.safetensors
fails header-past-end $look
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >bad.safetensors
fails lfs-pointer $look
header $'{"\xff":1}'
fails header-not-utf8 $look
header '{"t":'
fails header-syntax $look
header '[]      '
fails header-not-object $look
header "{\"__metadata__\":{\"a\":1},$one}" 4
fails metadata-not-strings $look
header "{$one,$one}" 4
fails duplicate-tensor $look
header '{"t":[]}'
fails bad-tensor-entry $look
header "{$(entry t F33 '[1]' '[0,4]')}" 4
fails unknown-dtype $look
header "{$(entry t F32 '[-1]' '[0,4]')}" 4
fails bad-shape $look
header "{$(entry t F32 "[1$(printf ',1%.0s' {1..99})]" '[0,4]')}" 4
fails rank-too-large $look
header "{$(entry t F32 '[4294967296,4294967296,4]' '[0,4]')}" 4
fails size-overflow $look
header "{$(entry t F4 '[3]' '[0,2]')}" 2
fails partial-byte $look
header "{$(entry t F32 '[1]' '[4,0]')}" 4
fails bad-offsets $look
header "{$(entry t F32 '[2]' '[0,4]')}" 4
fails size-mismatch $look
header "{$one,$(entry u F32 '[1]' '[2,6]')}" 6
fails overlap $look
header "{$one,$(entry u F32 '[1]' '[8,12]')}" 12
fails hole $look
header "{$one}" 5
fails trailing-bytes $look
header "{$one}" 3
fails truncated $look

# GGUF: what no file can hold.
gguf() { python3 -c 'import struct, sys; sys.stdout.buffer.write(b"GGUF" + struct.pack("<IQQ", *map(int, sys.argv[1:])) + bytes(64))' "$@" >bad.gguf; }
gguf 3 $((1 << 40)) 0
fails too-many-tensors tessera inspect bad.gguf
gguf 3 0 $((1 << 40))
fails bad-metadata tessera inspect bad.gguf

# A folder of shards, each time with one thing changed: by JSON, by tensors, or by hand.
exits 0 tessera synth whole --preset tiny --quirks
shard=model-00003-of-000007.safetensors other=model-00004-of-000007.safetensors
index=model.safetensors.index.json
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
fresh() { rm -rf in && cp -a whole in; }
edit() {  # edit FILE PYTHON: changes a JSON file through `j`
  fresh
  python3 -c 'import json, sys
j = json.load(open(sys.argv[1])); exec(sys.argv[2]); json.dump(j, open(sys.argv[1], "w"))' "in/$1" "$2"
}
retype() {  # retype PYTHON: changes one shard's tensors {name: (dtype, shape, bytes)}, and the index with them
  fresh
  python3 - "in/$shard" "$1" <<'PY'
import json, pathlib, sys
import tensor_file
shard = pathlib.Path(sys.argv[1])
t = tensor_file.read_file(shard)
index = shard.with_name("model.safetensors.index.json")
j = json.loads(index.read_text())
before = set(t)
scale = next(n for n in t if n.endswith("_scale_inv") and n.removesuffix("_scale_inv") in t)
weight = scale.removesuffix("_scale_inv")
exec(sys.argv[2])
for name in before - set(t):
    del j["weight_map"][name]
j["weight_map"].update({name: shard.name for name in t})
tensor_file.write_file(shard, t)
index.write_text(json.dumps(j))
PY
}
cast="tessera cast in out.d --to bf16"
fresh; printf '{' >in/config.json
fails json-syntax $cast
fresh; printf '{"x":%s' "$(printf '[%.0s' {1..2000})" >in/config.json
fails json-depth $cast
fresh; sed -i '0,/"model_type"/s//"hidden_size": 1, "model_type"/' in/config.json
fails json-duplicate-key $cast
fresh; truncate -s 2G in/config.json
fails json-too-large $cast
edit $index 'del j["weight_map"]'
fails index-syntax $cast
edit $index 'k = next(iter(j["weight_map"])); j["weight_map"][k] = "../x.safetensors"'
fails bad-file-name $cast
fresh; rm in/$shard
fails missing-shard $cast
fresh; cp in/$shard in/model-00008-of-000007.safetensors
fails extra-shard $cast
fresh; rm in/$index in/$shard
fails shard-numbering $cast --no-index
edit $index 'j["weight_map"]["model.norm.weight2"] = "'$shard'"'
fails tensor-not-in-shard $cast
edit $index 'del j["weight_map"][next(k for k, v in j["weight_map"].items() if v == "'$shard'")]'
fails tensor-not-in-index $cast
fresh; rm in/$index in/$other; cp in/$shard in/$other
fails tensor-in-two-shards $cast --no-index
fresh; rm in/$index
fails no-index $cast
fresh; touch in/pytorch_model.bin
fails foreign-weights $cast
fresh; rm in/config.json
fails no-config $cast
edit config.json 'del j["num_hidden_layers"]'
fails bad-config $cast
edit config.json 'j["model_type"] = "llama"'
fails unknown-model-type $cast
edit config.json 'j["num_hidden_layers"] += 1'
fails missing-tensor $cast
retype 't["model.layers.1.mlp.unknown.weight"] = ("BF16", [2], bytes(4))'
fails unknown-tensor $cast
retype 't[scale] = ("F32", [1, 1], bytes(4))'
fails wrong-shape $cast
retype 't[scale] = ("BF16", t[scale][1], t[scale][2][::2])'
fails wrong-dtype $cast
retype 'del t[scale]'
fails missing-scale $cast
retype 't[weight] = ("BF16", t[weight][1], t[weight][2] * 2)'
fails orphan-scale $cast
edit config.json 'j["quantization_config"]["quant_method"] = "bitsandbytes"'
fails unsupported $cast
[ ! -e out.d ]

# Values.
retype 't[scale] = ("F32", t[scale][1], b"\x00\x00\x00\x7f" * (len(t[scale][2]) // 4))'
fails overflows-f16 tessera cast in f16 --to f16
retype 't[scale] = ("F32", t[scale][1], b"\x00\x00\xc0\x7f" * (len(t[scale][2]) // 4))'
fails not-finite tessera quantize in int8 --scheme int8-block
exits 0 tessera reshard whole ranks --mp 2
python3 - <<'PY'
import tensor_file
t = tensor_file.read_file("ranks/model1-mp2.safetensors")
name = next(n for n in t if "norm" in n)
t[name] = t[name][0], t[name][1], bytes(len(t[name][2]))
tensor_file.write_file("ranks/model1-mp2.safetensors", t)
PY
fails ranks-differ tessera cast ranks back --to bf16

# Files beside a checkpoint.
echo '{}' >whole/tokenizer.json
echo hello >text.txt
fails bad-tokenizer tessera forward whole --text text.txt
exits 0 tessera cast whole made --to bf16
echo '{}' >made/tessera.manifest.json
fails bad-manifest tessera verify made
header "{$one}" 4
fails bad-calibration tessera quantize whole int4 --scheme w4afp8 --calibration bad.safetensors
