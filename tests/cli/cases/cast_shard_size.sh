# --shard-size bounds every shard, keeps a weight and its scale together, and changes no value.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --format bf16
exits 0 tessera cast in whole --to fp8
for size in 2MB 1MiB 400kB; do
  exits 0 tessera cast in made --to fp8 --shard-size $size --json
  exits 0 tessera verify made
  SIZE=$size python3 - <<'PY'
import json, os, pathlib
import tensor_file
limit = {"2MB": 2_000_000, "1MiB": 1 << 20, "400kB": 400_000}[os.environ["SIZE"]]
assert tensor_file.read_folder("made") == tensor_file.read_folder("whole")
shards = sorted(pathlib.Path("made").glob("*.safetensors"))
assert [shard.name for shard in shards] == [
    f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)]
where = json.load(open("made/model.safetensors.index.json"))["weight_map"]
for shard in shards:
    # A weight larger than the limit has a shard of its own.
    if shard.stat().st_size > limit:
        held = tensor_file.read_header(shard)
        assert len({name.removesuffix("_scale_inv") for name in held}) == 1, shard
for name in where:
    if name.endswith("_scale_inv"):
        assert where[name] == where[name.removesuffix("_scale_inv")], name
PY
  rm -r made
done
