# Every integer format, FP8 in compressed-tensors' words, and W4AFP8: inspected, made BF16 value by
# value, and put into other shards byte by byte. Weights lie apart from their scales.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
ints() { python3 "$CASES/../../support/int_checkpoint.py" "$@"; }
exits 0 tessera synth bf16 --preset tiny --family k2 --format bf16
exits 0 tessera synth fp8 --preset tiny --family k2
exits 0 tessera inspect bf16 --json
parameters=$(json 'j["parameters"]')
for format in $(ints formats); do
  base=bf16
  case $format in w4afp8 | trtllm) base=fp8 ;; esac
  ints make $format $base in
  exits 0 tessera inspect in --check --json
  json "j['parameters'] == $parameters and j['quantization']['method'] != 'none'"
  exits 0 tessera cast in cast --to bf16
  ints check $format in cast
  exits 0 tessera verify in cast --tensors
  exits 0 tessera reshard in again --shard-size 2MB
  same_tensors in again
  exits 0 tessera verify again
  exits 0 tessera inspect again --check
  rm -r in cast again
done

# Ranks have no place for any of them.
ints make awq bf16 in
exits 3 tessera reshard in cast --mp 2
contains "ranks hold block FP8 or plain weights"
exits 0 tessera cast in cast --to bf16 --mp 2
rm -r in cast

# Columns in another order than desc_act false says, and zero points other than sym true says: whoever reads values refuses.
exits 0 tessera quantize bf16 gptq --scheme gptq4
for part in g_idx qzeros; do
  cp -r gptq in
  python3 - $part <<'PY'
import pathlib, sys
import tensor_file
for path in pathlib.Path("in").glob("*.safetensors"):
    tensors = tensor_file.read_file(path)
    for name, (dtype, shape, data) in tensors.items():
        if name.endswith("experts.3.up_proj." + sys.argv[1]):
            tensors[name] = dtype, shape, data[-4:] + data[4:-4] + data[:4] if "g_idx" in name else b"\x76" + data[1:]
    tensor_file.write_file(path, tensors)
PY
  rm in/tessera.manifest.json
  echo 17 4 256 600 31 8 >ids.txt
  for tokens in $(seq 1 60); do echo $((tokens * 7)) >>ids.txt; done
  for command in "cast in made --to bf16" "quantize in made --scheme w4a16" "quantize in made --scheme w8a8" "quantize in made --scheme repack-ct" "verify in bf16 --tensors" \
    "verify bf16 in --tensors" "forward in --tokens ids.txt" "forward in --tokens ids.txt --decoder reference" "verify in bf16 --forward --tokens ids.txt" \
    "calibrate in calibration.gguf --tokens ids.txt" "gguf in made.gguf --type Q8_0 --no-tokenizer"; do
    exits 3 tessera $command
    contains "contradicts config.json"
    contains "mlp.experts.3.up_proj"
    rm -rf made made.gguf*
  done
  rm -r in
done

# What a checkpoint says of itself and what it holds must agree.
ints make w4a16-g32 bf16 in
python3 - <<'PY'
import pathlib, struct
import tensor_file
for path in pathlib.Path("in").glob("*.safetensors"):
    tensors = tensor_file.read_file(path)
    for name, (dtype, shape, _) in tensors.items():
        if name.endswith("experts.3.up_proj.weight_shape"):
            tensors[name] = dtype, shape, struct.pack("<2i", 256, 128)
    tensor_file.write_file(path, tensors)
PY
exits 3 tessera cast in cast --to bf16
contains "weight_shape says [256, 128], the weight has [256, 256]"
contains "mlp.experts.3.up_proj.weight"
exits 3 tessera verify in bf16 --tensors
contains "weight_shape says [256, 128], the weight has [256, 256]"
sed -i 's/"group_size": 32/"group_size": 64/' in/config.json
exits 3 tessera cast in other --to bf16
contains "does not fit its weight"
sed -i 's/"num_bits": 4/"num_bits": 3/' in/config.json
exits 3 tessera inspect in
contains "weights.num_bits is not supported"
