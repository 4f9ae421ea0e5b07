# --compress zstd-planes: byte planes where they pay. Every verb reads them; zstd and other decoders refuse them.
command -v zstd >/dev/null || skip "no zstd here"
exits 0 tessera synth in --preset tiny --quirks --seed 7
exits 0 tessera cast in plain --to bf16
exits 0 tessera cast in whole --to bf16 --compress zstd --json
whole=$(json "j['stored_bytes']")
exits 0 tessera cast in packed --to bf16 --compress zstd-planes --json --sha256
json "j['stored_bytes'] < $whole * 0.93"
[ "$(json "j['stored_bytes']")" = "$(cat packed/*.safetensors.zst | wc -c)" ]
[ -z "$(ls packed/*.safetensors packed/.partial 2>/dev/null)" ]
[ "$(json "j['request']['compress']" packed/tessera.manifest.json)" = zstd-planes:3 ]
exits 0 tessera verify packed

# Whoever does not know of planes gets nothing at all, and an original is not removed for it.
for file in packed/*.safetensors.zst; do
  exits 1 zstd -d --rm "$file" -o unpacked
  contains "Dictionary mismatch"
  [ -e "$file" ] && [ ! -e unpacked ]
  exits 1 zstd -tq "$file"
  [ "$(zstd -dqc "$file" 2>/dev/null | wc -c)" = 0 ]
done

# The same bytes for any threads and memory, and as parts.
exits 0 tessera cast in one --to bf16 --compress zstd-planes:3 --sha256 --threads 1 --memory 8MiB
diff -r packed one
for i in 1 2 3; do exits 0 tessera cast in parts --to bf16 --compress zstd-planes --sha256 --part "$i/3"; done
diff -r packed parts

# A way is part of the request.
for way in zstd zstd:3 zstd-planes:9; do
  exits 5 tessera cast in packed --to bf16 --compress $way --sha256 --json
  last_error "j['error']['rule'] == 'plan-mismatch'"
done
exits 0 tessera cast in packed --to bf16 --compress zstd-planes --sha256
contains "already complete" out

# Every verb reads them, and inspect says what they are.
exits 0 tessera inspect packed --check
contains "compressed    7 shards as zstd-planes" out
exits 0 tessera inspect packed --json
json "j['compressed'] == {'zstd-planes': 7}"
exits 0 tessera inspect whole --json
json "j['compressed'] == {'zstd': 7}"
exits 0 tessera inspect plain --json
json "j['compressed'] == {}"
exits 0 tessera verify plain packed --json
json "j['exact'] == 207 and j['within'] == 0"
exits 0 tessera verify in packed
same_to_every_verb plain packed

# Back to plain files, also from planes of F32 and of FP8, which is left as it is but for each first frame.
exits 0 tessera reshard packed back --names hf
for file in plain/*.safetensors plain/*.index.json plain/config.json; do cmp "$file" "back/$(basename "$file")"; done
exits 0 tessera cast in f32 --to f32
exits 0 tessera reshard f32 f32_packed --names hf --compress zstd-planes:1
exits 0 tessera reshard f32_packed f32_back --names hf
for file in f32/*.safetensors; do cmp "$file" "f32_back/$(basename "$file")"; done
exits 0 tessera reshard in in_packed --names hf --compress zstd-planes
exits 0 tessera verify in in_packed
exits 0 tessera verify in_packed

# A damaged frame names file and tensor.
damage_is_named packed

exits 2 tessera cast in y --to bf16 --compress zstd-planes:0
exits 2 tessera cast in y --to bf16 --compress planes
contains "zstd-planes"
[ ! -e y ]
