# Back to FP8: --scales-from returns the original's codes where its scales are powers of two, and the
# same values everywhere; without it, weights that came from FP8 keep their values' precision.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
for family in v3 v3.1 v3.2; do
  exits 0 tessera synth in --preset tiny --family $family --quirks
  exits 0 tessera cast in plain --to bf16
  exits 0 tessera cast plain back --to fp8 --scales-from in --json
  json 'j["ledger"]["quantized"] > 100 and j["ledger"]["cast"] == 0'
  exits 0 tessera verify back
  FAMILY=$family python3 - <<'PY'
import json, os, struct
import tensor_file
source, back = map(tensor_file.read_folder, ("in", "back"))
assert {name: tensor[:2] for name, tensor in source.items()} == {
    name: tensor[:2] for name, tensor in back.items()}
exact, other = 0, 0  # weights whose scales are powers of two, and those whose are not
for name, tensor in source.items():
    if name.endswith("_scale_inv") or name + "_scale_inv" not in source:
        assert back[name] == tensor, name
        continue
    scales = source[name + "_scale_inv"]
    words = struct.unpack(f"<{len(scales[2]) // 4}I", scales[2])
    powers = all(word & 0x7FFFFF == 0 for word in words)
    if powers:
        assert back[name] == tensor, f"{name}: other codes under scales that are powers of two"
    exact, other = exact + powers, other + (not powers)
# V3.1 has o_proj off powers of two, V3 everything.
family = os.environ["FAMILY"]
assert (exact > 0) == (family != "v3"), (exact, other)
assert (other > 0) == (family != "v3.2"), (exact, other)
before, after = (json.load(open(folder + "/config.json")) for folder in ("in", "back"))
assert after["quantization_config"]["weight_block_size"] == [128, 128]
assert after["quantization_config"]["quant_method"] == "fp8"
PY
  # Whatever the codes: the same values.
  exits 0 tessera cast back again --to bf16
  for file in plain/*.safetensors plain/config.json; do cmp "$file" "again/${file#plain/}"; done
  # Fresh scales are of the asked kind; the values stay within half a step of E4M3.
  for kind in f32 ue8m0; do
    exits 0 tessera cast plain fresh --to fp8 --scale-format $kind
    exits 0 tessera verify fresh
    exits 0 tessera cast fresh fresh_plain --to f32
    KIND=$kind python3 - <<'PY'
import json, os, struct
import tensor_file
plain, fresh, wide = map(tensor_file.read_folder, ("plain", "fresh", "fresh_plain"))
kind = os.environ["KIND"]
config = json.load(open("fresh/config.json"))["quantization_config"]
assert (config.get("scale_fmt") == "ue8m0") == (kind == "ue8m0"), config
scales = [name for name in fresh if name.endswith("_scale_inv")]
assert len(scales) > 100
for name in scales:
    words = struct.unpack(f"<{len(fresh[name][2]) // 4}I", fresh[name][2])
    assert kind == "f32" or all(word & 0x7FFFFF == 0 for word in words), name
for name in scales[::20]:
    weight = name.removesuffix("_scale_inv")
    was, now, largest = plain[weight][2], wide[weight][2], max(
        struct.unpack(f"<{len(fresh[name][2]) // 4}f", fresh[name][2]))
    for i in range(0, len(was) // 2, 37):
        a = struct.unpack("<f", b"\0\0" + was[2 * i:2 * i + 2])[0]
        b = struct.unpack("<f", now[4 * i:4 * i + 4])[0]
        assert abs(a - b) <= abs(a) / 16 * 1.001 + largest * 2.0**-10 * 1.001, (weight, i, a, b)
PY
    rm -r fresh fresh_plain
  done
  rm -r in plain back again
done
# What is FP8 already is not quantized once more, and an original without scales is refused.
exits 0 tessera synth in --preset tiny
exits 3 tessera cast in made --to fp8
exits 0 tessera cast in plain --to bf16
exits 3 tessera cast plain made --to fp8 --scales-from plain
[ ! -e made ]
# An original that lacks a weight altogether cannot say how it was stored.
exits 0 tessera synth other --preset tiny --family k2
exits 3 tessera cast plain made --to fp8 --scales-from other
