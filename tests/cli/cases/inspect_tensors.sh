# The table of tensors says where every byte lies; the glob picks.
tessera synth ckpt --preset tiny --quirks -q >/dev/null
exits 0 tessera inspect ckpt --tensors --json
json 'len(j["tensor_list"]) == j["tensors"]'
json '[t["name"] for t in j["tensor_list"]] == sorted(t["name"] for t in j["tensor_list"])'
json 'sum(t["bytes"] for t in j["tensor_list"]) == j["bytes"]'
# Within each shard tensors are dense: each begins where another ends, and the last ends the file.
python3 - <<'EOF'
import collections, json, os
shards = collections.defaultdict(list)
for t in json.load(open("out"))["tensor_list"]:
    shards[t["shard"]].append((t["offset"], t["offset"] + t["bytes"]))
for name, extents in shards.items():
    extents.sort()
    assert all(a[1] == b[0] for a, b in zip(extents, extents[1:])), name
    assert extents[-1][1] == os.path.getsize(f"ckpt/{name}"), name
EOF
exits 0 tessera inspect ckpt --tensors '*.experts.?.*scale_inv' --json
json 'len(j["tensor_list"]) == 3 * 10 * 3'
json 'all(t["dtype"] == "F32" and "scale_inv" in t["name"] for t in j["tensor_list"])'
exits 0 tessera inspect ckpt --tensors model.norm.weight
grep -Eqx 'model\.norm\.weight +BF16 +\[[0-9]+\] +model-.*safetensors +[0-9]+ +[0-9]+' out
[ "$(wc -l <out)" = 2 ]
exits 0 tessera inspect ckpt --tensors nothing.like.this
contains "no tensor matches nothing.like.this"
