# One shard by itself can be inspected and checked without a config.json, but not converted.
tessera synth whole --preset tiny >log
mkdir alone
cp whole/model-00003-of-*.safetensors alone/shard.safetensors
exits 0 tessera inspect alone/shard.safetensors --json
json 'j["shards"] == 1 and j["tensors"] > 0 and "F8_E4M3" in j["dtypes"] and j["family"] is None'
exits 0 tessera inspect alone/shard.safetensors --check
exits 0 tessera inspect alone/shard.safetensors --tensors '*experts*'
exits 3 tessera cast alone/shard.safetensors out --to bf16
contains "there is no config.json"
# Of a folder that is whole, one shard is still only itself.
exits 0 tessera inspect whole/model-00003-of-*.safetensors --json
json 'j["shards"] == 1'
truncate -s -1 alone/shard.safetensors
exits 3 tessera inspect alone/shard.safetensors
exits 1 tessera inspect alone/shard.safetensors --check
