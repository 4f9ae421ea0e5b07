# The same weights give the same logits bit for bit, however they are cut, stored, joined, read or spread over threads.
python3 -c 'print(*(i * 7919 % 640 for i in range(80)))' >ids.txt
same() {  # same LOGITS CKPT [OPTION...]: CKPT gives these logits; makes them when there are none
  exits 0 tessera forward "$2" --tokens ids.txt --logits again "${@:3}"
  [ -e "$1" ] || cp again "$1"
  cmp "$1" again
}

for family in v2-lite v3 v3.1 v3.2 k2 glm5; do
  mkdir $family && cd $family && cp ../ids.txt .
  exits 0 tessera synth stored --preset tiny --family $family --quirks
  exits 0 tessera cast stored bf16 --to bf16
  same stored.logits stored --threads 1
  exits 6 tessera forward stored --tokens ids.txt --threads 1 --memory 1kB
  needed=$(sed -n 's/.*at least \([0-9]*\) bytes.*/\1/p' err)
  same stored.logits stored --threads 1 --memory "$needed"
  same stored.logits stored --threads 3 --decoder reference

  # In other shards, or one.
  exits 0 tessera reshard stored shards --shard-size 300kB
  same stored.logits shards
  exits 0 tessera reshard stored one --shard-size 1GB
  same stored.logits one

  # A cast is what rounding on the way gives; without a dequantization it is the same as before.
  same bf16.logits stored --weights bf16
  same bf16.logits bf16
  same bf16.logits bf16 --decoder reference --threads 2

  # Cut for ranks, and whole again, also where the demo itself knows no such epsilon or indexer.
  for degree in 2 4; do
    exits 0 tessera reshard bf16 ranks$degree --mp $degree
    same bf16.logits ranks$degree
  done
  exits 0 tessera reshard ranks4 whole --names hf
  same bf16.logits whole

  # In two parts, and joined; the first part alone is the whole main model.
  if [ $family != v2-lite ] && [ $family != k2 ]; then
    exits 0 tessera split-mtp stored --main main --mtp mtp
    same stored.logits main
    exits 0 tessera join-mtp main mtp joined
    same stored.logits joined
  fi
  cd ..
  rm -r $family
done

# FP8 made again with the scales that it had.
for family in v3 v3.1; do
  exits 0 tessera synth $family --preset tiny --family $family
  exits 0 tessera cast $family $family-bf16 --to bf16
  exits 0 tessera cast $family-bf16 $family-fp8 --to fp8 --scales-from $family
  same $family.logits $family
  same $family.logits $family-fp8
  exits 0 tessera reshard $family $family-ranks --mp 2
  same $family.logits $family-ranks
done

# Integers in another layout are the same integers.
exits 0 tessera synth plain --preset tiny --format bf16
while read -r scheme repacks; do
  exits 0 tessera quantize plain $scheme --scheme $scheme
  same $scheme.logits $scheme --threads 1
  same $scheme.logits $scheme --decoder reference
  for repack in $repacks; do
    exits 0 tessera quantize $scheme $scheme-$repack --scheme $repack
    same $scheme.logits $scheme-$repack
  done
  exits 0 tessera cast $scheme $scheme-bf16 --to bf16
  same $scheme-bf16.logits $scheme --weights bf16
  same $scheme-bf16.logits $scheme-bf16
done <<'SCHEMES'
w4a16 repack-gptq
w4a16-asym
awq repack-ct
gptq4 repack-ct
w8a16
fp8-channel
int8-block
SCHEMES
