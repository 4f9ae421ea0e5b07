# A damaged checkpoint is refused by inspect (3) and has its faults listed by inspect --check (1).
tessera synth good --preset tiny --quirks -q >/dev/null

# damaged RULE COMMAND...: damages a copy by the command, run inside it, and expects the rule.
damaged() {
  local rule=$1
  shift
  rm -rf bad
  cp -r good bad
  (cd bad && "$@")
  exits 1 tessera inspect bad --check --json
  json "'$rule' in [f['rule'] for f in j['findings'] if f['severity'] == 'error']"
  json 'list(j) == sorted(j) and "family" in j'
  exits 1 tessera inspect bad --check
  contains "error $rule" out
  exits 3 tessera inspect bad --json
  last_error 'j["error"]["code"] == 3 and j["error"]["class"] == "input" and j["error"]["what"] != ""'
  [ ! -s out ]
}

edit() {  # edit FILE PYTHON: changes a JSON file through `j`
  python3 -c 'import json, sys
j = json.load(open(sys.argv[1])); exec(sys.argv[2]); json.dump(j, open(sys.argv[1], "w"))' "$@"
}

shard=$(cd good && ls *.safetensors | sed -n 2p)
damaged truncated truncate -s -1 "$shard"
damaged trailing-bytes sh -c "printf x >>$shard"
damaged missing-shard rm "$shard"
damaged lfs-pointer sh -c "printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >$shard"
damaged header-too-large sh -c "printf '\377\377\377\377\377\377\377\377' | dd of=$shard conv=notrunc status=none"
damaged index-syntax edit model.safetensors.index.json 'del j["weight_map"]'
damaged tensor-not-in-shard edit model.safetensors.index.json \
  'j["weight_map"]["model.norm.weight2"] = "'"$shard"'"'
damaged unknown-model-type edit config.json 'j["model_type"] = "llama"'
damaged missing-tensor edit config.json 'j["num_hidden_layers"] += 1'
damaged no-config rm config.json

# All faults are listed, not the first alone.
rm -rf bad
cp -r good bad
for file in $(cd good && ls *.safetensors | head -n 3); do
  truncate -s -1 bad/$file
done
exits 1 tessera inspect bad --check --json
json 'sum(f["severity"] == "error" for f in j["findings"]) == 3'

# Nothing to check is an input error, not an answer.
exits 3 tessera inspect nowhere --check --json
last_error 'j["error"]["rule"] == "not-found"'
