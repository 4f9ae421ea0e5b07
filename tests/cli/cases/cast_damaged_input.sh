# A damaged or foreign input is exit 3, named, before anything is written.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth whole --preset tiny
shard=model-00003-of-000007.safetensors
refused() {  # refused TEXT [OPTION...]: ./in is refused, with the text
  local text=$1
  shift
  exits 3 tessera cast in made --to bf16 --json "$@"
  last_error 'j["error"]["code"] == 3 and j["error"]["class"] == "input"'
  contains "$text"
  [ ! -s out ]
  [ ! -e made ]
  rm -rf in
}
fresh() { cp -a whole in; }
fresh; rm in/$shard; refused $shard
fresh; truncate -s -1 in/$shard; refused $shard
fresh; truncate -s 7 in/$shard; refused $shard
fresh; : >in/$shard; refused $shard
fresh; printf x >>in/$shard; refused $shard
fresh; cp in/$shard in/model-00008-of-000007.safetensors; refused model-00008-of-000007
fresh; rm in/config.json; refused config.json
fresh; printf '{' >in/config.json; refused config.json
fresh; sed -i 's/"deepseek_v3"/"gpt_neox"/' in/config.json; refused gpt_neox
fresh; sed -i '/"num_hidden_layers"/d' in/config.json; refused num_hidden_layers
fresh; sed -i 's/"num_hidden_layers": 3/"num_hidden_layers": 4/' in/config.json; refused "model.layers."
fresh; sed -i 's/"n_routed_experts": 16/"n_routed_experts": 17/' in/config.json; refused "experts.16"
fresh; sed -i '/"quantization_config"/,/^  }/d' in/config.json; refused "is FP8"
fresh; rm in/model.safetensors.index.json; refused "--no-index"
fresh; printf '[]' >in/model.safetensors.index.json; refused model.safetensors.index.json
fresh; touch in/pytorch_model.bin; refused pytorch_model.bin
fresh
cat >in/$shard <<'LFS'
version https://git-lfs.github.com/spec/v1
oid sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
size 2131516
LFS
refused "git lfs pull"
exits 3 tessera cast nowhere made --to bf16
exits 3 tessera cast whole/$shard made --to bf16

# edit PYTHON: changes the tensors {name: (dtype, shape, bytes)} of one shard, and the index with them.
edit() {
  fresh
  EDIT=$1 python3 - <<'PY'
import json, os, pathlib
import tensor_file
shard = pathlib.Path("in/model-00003-of-000007.safetensors")
t = tensor_file.read_file(shard)
index = pathlib.Path("in/model.safetensors.index.json")
j = json.loads(index.read_text())
before = set(t)
scale = next(n for n in t if n.endswith("_scale_inv"))
weight = scale.removesuffix("_scale_inv")
plain = next(n for n in t if t[n][0] == "BF16")
exec(os.environ["EDIT"])
for name in before - set(t):
    del j["weight_map"][name]
j["weight_map"].update({name: shard.name for name in t})
tensor_file.write_file(shard, t)
index.write_text(json.dumps(j))
PY
}
edit 'del t[scale]'; refused weight_scale_inv
edit 'del t[weight]'; refused "$shard"
edit 'del t[plain]'; refused "weight"
edit 't["model.layers.1.mlp.unknown.weight"] = ("BF16", [2], bytes(4))'; refused mlp.unknown
edit 't[scale] = ("F32", [1, 1], bytes(4))'; refused weight_scale_inv
edit 't[scale] = ("BF16", t[scale][1], t[scale][2][::2])'; refused weight_scale_inv
edit 't[plain] = ("U8", [len(t[plain][2])], t[plain][2])'; refused "U8"
