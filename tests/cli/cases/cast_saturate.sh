# What overflows F16 is refused by name; --saturate clips it, and says how many.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --format bf16
python3 - <<'PY'
import pathlib, struct
import tensor_file
for shard in sorted(pathlib.Path("in").glob("*.safetensors")):
    tensors = tensor_file.read_file(shard)
    if "model.layers.1.input_layernorm.weight" in tensors:
        dtype, shape, data = tensors["model.layers.1.input_layernorm.weight"]
        big = [0x4780, 0xC780, 0x477F, 0x7F00]  # 65536, -65536, 65280, 1.7e38 as BF16
        data = struct.pack("<4H", *big) + data[8:]
        tensors["model.layers.1.input_layernorm.weight"] = (dtype, shape, data)
        tensor_file.write_file(shard, tensors)
PY
exits 3 tessera cast in made --to f16 --json
last_error 'j["error"]["tensor"] == "model.layers.1.input_layernorm.weight"'
contains "--saturate"
[ ! -e made/model.safetensors.index.json ]
exits 0 tessera cast in clipped --to f16 --saturate --json
json 'j["clipped"] == 3'
python3 - <<'PY'
import struct
import tensor_file
data = tensor_file.read_folder("clipped")["model.layers.1.input_layernorm.weight"][2]
assert struct.unpack("<4e", data[:8]) == (65504, -65504, 65280, 65504)
PY
exits 0 tessera verify clipped
