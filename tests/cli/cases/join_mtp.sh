# A module joins its model again, bit for bit, however the two came apart.
export PYTHONPATH="$CASES/../../support" PYTHONDONTWRITEBYTECODE=1
for family in v3 v3.1 v3.2 glm5; do
  exits 0 tessera synth in-$family --preset tiny --family $family --quirks
  exits 0 tessera split-mtp in-$family --main main-$family --mtp mtp-$family
  exits 0 tessera join-mtp main-$family mtp-$family whole-$family --json
  json 'sum(j["ledger"].values()) == j["ledger"]["copied"] == j["tensors"]'
  json 'j["read_bytes"] == j["written_bytes"] == j["bytes"]'
  same_tensors in-$family whole-$family
  cmp in-$family/config.json whole-$family/config.json
  cmp in-$family/tokenizer.json whole-$family/tokenizer.json
  exits 0 tessera verify whole-$family
  exits 0 tessera inspect whole-$family --check
done
# The main model's shards come first, then the module's, in one series; both inputs are counted.
[ "$(ls whole-v3/*.safetensors | wc -l)" = \
  "$(($(ls main-v3/*.safetensors | wc -l) + $(ls mtp-v3/*.safetensors | wc -l)))" ]
cmp <(ls whole-v3 | grep safetensors) <(n=$(ls whole-v3/*.safetensors | wc -l)
  for i in $(seq $n); do printf 'model-%05d-of-%05d.safetensors\n' $i $n; done
  echo model.safetensors.index.json)
json 'j["source"]["tensors"] == 383 == sum(j["ledger"].values())' whole-v3/tessera.manifest.json
exits 0 tessera join-mtp main-v3 mtp-v3 whole-v3
contains "already complete" out
exits 0 tessera join-mtp main-v3 mtp-v3 even --shard-size 1MB
same_tensors in-v3 even

# What a cast took apart in the same way.
tessera cast in-v3 cast-main --to bf16 --mtp drop -q >/dev/null
tessera cast in-v3 cast-mtp --to bf16 --mtp only -q >/dev/null
tessera cast in-v3 cast --to bf16 -q >/dev/null
exits 0 tessera join-mtp cast-main cast-mtp cast-whole
same_tensors cast cast-whole
cmp cast/config.json cast-whole/config.json
exits 0 tessera split-mtp in-v3 --main vm --mtp vllm --for vllm
exits 0 tessera join-mtp vm vllm from-vllm
same_tensors in-v3 from-vllm

# What does not fit.
refuses() {
  exits 3 tessera join-mtp "$1" "$2" no --json
  contains "$3"
  [ ! -e no ]
}
refuses main-v3 cast-mtp quantization_config
last_error 'j["error"]["rule"] == "bad-config"'
contains "as in main-v3/config.json"
refuses cast-main mtp-v3 quantization_config
refuses main-v3 mtp-v3.2 "config.json differs in"
refuses in-v3 mtp-v3 "has its MTP module, or is one"
refuses mtp-v3 main-v3 "tessera join-mtp MAIN MTP OUT"
refuses main-v3 main-v3 "no MTP module alone"
refuses main-v3 in-v3 "no MTP module alone"
cp -r mtp-v3 other
sed -i 's/"n_group": 4/"n_group": 2/' other/config.json
refuses main-v3 other n_group
contains "found:     2"
exits 0 tessera split-mtp in-v3 --main sm --mtp sglang --for sglang
refuses sm sglang "SGLang's form"
exits 0 tessera split-mtp in-v3 --main dm --mtp demo --for deepseek
refuses dm demo "under the demo's names"
tessera reshard main-v3 ranks --mp 2 -q >/dev/null
refuses ranks mtp-v3 "cut for ranks"
for out in main-v3 mtp-v3 mtp-v3/deeper; do exits 2 tessera join-mtp main-v3 mtp-v3 $out; done
exits 2 tessera join-mtp main-v3 mtp-v3
exits 2 tessera join-mtp main-v3 mtp-v3 no --mtp drop
