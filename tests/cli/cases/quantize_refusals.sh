# What quantize refuses, before a byte is written where it can be known, and naming what is wrong.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
exits 0 tessera synth in --preset tiny --quirks
refused() {  # refused CODE TEXT ARGUMENT...
  exits "$1" tessera quantize in none "${@:3}" --json
  contains "$2"
  [ ! -s out ]
  [ ! -e none ]
}
refused 2 "unknown scheme" --scheme q4
refused 2 "w4a16" --scheme q4
refused 2 "unknown way" --scheme w4a16 --search best
refused 2 "exclude each other" --scheme w4a16 --experts-only --all-linears
refused 2 "not a regular expression" --scheme w4a16 --ignore '('
refused 2 "found in no module's name: exprets" --scheme w4a16 --ignore lm_head --ignore exprets
refused 2 "found in no module's name: re:.*lm_head" --scheme w4a16 --ignore 're:.*lm_head'
# Parts of what engines hold as one weight go together, and something must be left.
for part in 'experts\.3\.' 'experts.*gate_proj' 'layers\.1\.mlp\.shared_experts\.up' 'layers\.0\.mlp\.gate' q_a_proj; do
  refused 2 "left out as well, or none of them: model.layers." --scheme w8a8 --ignore "$part"
done
refused 2 "leaves nothing to quantize" --scheme w4a16 --ignore '.*'
refused 2 "leaves nothing to quantize" --scheme w4a16 --ignore experts
for scheme in w4afp8 trtllm-w4a8; do
  refused 2 "leave out --all-linears" --scheme $scheme --all-linears --input-scale 0.01
done
for option in --experts-only --all-linears "--ignore lm_head"; do
  refused 2 "leave out --ignore, --experts-only and --all-linears" --scheme repack-ct $option
done
refused 2 "has no scales to search for" --scheme fp8-channel --search mse-signed --for transformers
refused 2 "--mp" --scheme w4a16 --mp 2
refused 2 "" --scheme w4a16 --for nobody
exits 2 tessera quantize in none
for scheme in w4afp8 trtllm-w4a8; do
  refused 2 "--input-scale" --scheme $scheme
  for scale in 0 -1 nan inf 3.4e38 1e-46; do exits 2 tessera quantize in none --scheme $scheme --input-scale $scale; done
done
refused 2 "--input-scale" --scheme w4a16 --input-scale 0.01
for scheme in repack-ct repack-awq repack-gptq; do
  refused 3 "no integer weights to repack" --scheme $scheme
done
refused 6 "at least" --scheme w4a16 --memory 1

# Rows that groups do not divide: the tensor, its shape and what would fit.
python3 - <<'PY'
import json, random_model
for seed in range(3, 60):
    model = random_model.Model(json.load(open("in/config.json")), seed)
    if any(".experts." in n for n in model.tensors) and model.config["hidden_size"] % 8:
        break
for name, (dtype, shape, data) in model.tensors.items():
    if dtype in ("F8_E4M3", "F32", "BF16"):
        model.tensors[name] = dtype, shape, bytes(len(data))
model.write("ragged")
PY
for scheme in w4a16 w4a16-asym w8a16-g128 awq gptq4 gptq8; do
  exits 3 tessera quantize ragged none --scheme $scheme --json
  last_error 'j["error"]["rule"] == "unsupported" or j["error"]["tensor"] != ""'
  contains "_proj.weight"
  contains "multiple"
  [ ! -e none ]
done

# A value that no code stands for: the tensor is named, the same whatever the threads.
exits 0 tessera synth bf16 --preset tiny --format bf16
python3 - <<'PY'
import pathlib, shutil, struct, tensor_file
name = "model.layers.1.mlp.experts.3.up_proj.weight"
for kind, bits in (("nan", 0x7FC0), ("inf", 0xFF80)):
    shutil.copytree("bf16", kind)
    for path in pathlib.Path(kind).glob("*.safetensors"):
        tensors = tensor_file.read_file(path)
        if name in tensors:
            dtype, shape, data = tensors[name]
            tensors[name] = dtype, shape, data[:1000] + struct.pack("<H", bits) + data[1002:]
            tensor_file.write_file(path, tensors)
shutil.copytree("in", "nan8")
for path in pathlib.Path("nan8").glob("*.safetensors"):
    tensors = tensor_file.read_file(path)
    if name in tensors:
        dtype, shape, data = tensors[name]
        tensors[name] = dtype, shape, data[:1000] + b"\x7f" + data[1001:]
        tensor_file.write_file(path, tensors)
PY
exits 0 tessera schemes --json
for scheme in $(json '" ".join(s["name"] for s in j["schemes"] if not s["name"].startswith("repack-") and s["name"] != "fp8-block")'); do
  options=
  case $scheme in w4afp8 | trtllm-w4a8) options="--input-scale 0.01" ;; esac
  for source in nan inf nan8; do
    for threads in 1 4; do
      exits 3 tessera quantize $source made --scheme $scheme $options --threads $threads --json
      last_error 'j["error"]["tensor"] == "model.layers.1.mlp.experts.3.up_proj.weight"'
      [ ! -e made/tessera.manifest.json ]
      rm -rf made
    done
  done
done

# Negative scales need an engine that is known to take them.
refused 3 "transformers" --scheme w4a16 --search mse-signed
