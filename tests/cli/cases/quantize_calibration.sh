# Activation scales from a calibration file: by expert, gate and up alike, in the plan hash; what is missing or no number is named.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny
python3 - <<'PY'
import json, struct
names = json.load(open("in/model.safetensors.index.json"))["weight_map"]
linears = sorted(n[:-len(".weight")] for n in names if ".mlp.experts." in n and n.endswith(".weight"))
amax = {name: 1.0 + i for i, name in enumerate(linears)}

def write(path, values, spell=lambda name: name + ".input_amax"):
    header, data = {}, b""
    for name, value in values.items():
        header[spell(name)] = {"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]}
        data += struct.pack("<f", value)
    text = json.dumps(header).encode()
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + data)

def theirs(name):
    stem, module = name.rsplit(".", 1)
    return f"{stem}.{ {'gate_proj': 'w1', 'up_proj': 'w3', 'down_proj': 'w2'}[module] }.input_scale"

write("amax.safetensors", amax)
write("scales.safetensors", {n: v / 448 for n, v in amax.items()}, theirs)
write("other.safetensors", {n: v + 1 for n, v in amax.items()})
write("short.safetensors", dict(list(amax.items())[1:]))
write("bad.safetensors", amax | {linears[0]: float("nan")})
write("empty.safetensors", {})
json.dump(amax, open("amax.json", "w"))
PY
exits 0 tessera quantize in made --scheme w4afp8 --calibration amax.safetensors
exits 0 tessera verify made
python3 - <<'PY'
import json, pathlib, struct, tensor_file
amax = json.load(open("amax.json"))
tensors = {}
for path in pathlib.Path("made").glob("*.safetensors"):
    tensors |= tensor_file.read_file(path)
number = {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}
for linear, value in amax.items():
    stem, module = linear.rsplit(".", 1)
    if module != "down_proj":
        value = max(amax[stem + ".gate_proj"], amax[stem + ".up_proj"])
    dtype, shape, data = tensors[f"{stem}.{number[module]}.input_scale"]
    (stored,) = struct.unpack("<f", data)
    assert (dtype, shape) == ("F32", [1]) and abs(stored / (value / 448) - 1) < 2**-8, (linear, stored, value / 448)
    assert struct.unpack("<I", data)[0] & 0xFFFF == 0, "BF16 holds it"
PY
exits 0 tessera quantize in again --scheme w4afp8 --calibration scales.safetensors
for file in made/*.safetensors; do cmp "$file" "again/${file#made/}"; done
exits 0 tessera quantize in made --scheme w4afp8 --calibration amax.safetensors --json
json 'j["resumed_steps"] == j["steps"]'
exits 5 tessera quantize in made --scheme w4afp8 --calibration other.safetensors
exits 3 tessera quantize in none --scheme trtllm-w4a8 --calibration short.safetensors --json
last_error 'j["error"]["tensor"].endswith("experts.0.down_proj")'
for bad in bad empty; do
  exits 3 tessera quantize in none --scheme w4afp8 --calibration $bad.safetensors --json
  last_error '"maximum" in j["error"]["what"]'
done
exits 2 tessera quantize in none --scheme w4afp8 --calibration amax.safetensors --input-scale 1
exits 2 tessera quantize in none --scheme w4a16 --calibration amax.safetensors
[ ! -e none ]
