# --compress zstd: shards as seekable zstd. Every verb reads them, `zstd -d` gives the exact safetensors files.
command -v zstd >/dev/null || skip "no zstd here"
exits 0 tessera synth in --preset tiny --quirks --seed 7
exits 0 tessera cast in plain --to bf16
exits 0 tessera cast in packed --to bf16 --compress zstd --json --sha256
json "j['stored_bytes'] < j['file_bytes'] * 0.9"
[ "$(json "j['stored_bytes']")" = "$(cat packed/*.safetensors.zst | wc -c)" ]
[ -z "$(ls packed/*.safetensors packed/.partial 2>/dev/null)" ]

# The index names what is there; the manifest holds, and says what the files are.
json "all(f.endswith('.safetensors.zst') for f in j['weight_map'].values())" packed/model.safetensors.index.json
exits 0 tessera verify packed
for file in packed/*.safetensors.zst; do
  name=$(basename "$file")
  [ "$(json "j['files']['$name']['sha256']" packed/tessera.manifest.json)" = "$(sha256sum "$file" | cut -d' ' -f1)" ]
  zstd -tq "$file"
  zstd -dqc "$file" | cmp - "plain/${name%.zst}"
done

# The same bytes for any threads and memory; other bytes, but the same contents, at another level.
exits 0 tessera cast in one --to bf16 --compress zstd --sha256 --threads 1 --memory 8MiB
diff -r packed one
exits 0 tessera cast in nine --to bf16 --compress zstd:9
for file in nine/*.zst; do zstd -dqc "$file" | cmp - "plain/$(basename "${file%.zst}")"; done
exits 5 tessera cast in nine --to bf16 --compress zstd:3 --json
last_error "j['error']['rule'] == 'plan-mismatch'"
exits 0 tessera cast in nine --to bf16 --compress zstd:9
contains "already complete" out

# Every verb reads them.
exits 0 tessera inspect packed --check
exits 0 tessera inspect packed/"$(ls packed | grep -m1 safetensors.zst)"
exits 0 tessera verify plain packed --json
json "j['exact'] == 207 and j['within'] == 0"
exits 0 tessera verify in packed
exits 1 tessera inspect packed --for vllm --json
contains '"compressed"' out
same_to_every_verb plain packed

# Back to plain: what was compressed, under the plain names, with an index that names them.
exits 0 tessera reshard packed back --names hf
for file in plain/*.safetensors plain/*.index.json plain/config.json; do cmp "$file" "back/$(basename "$file")"; done

# Unpacked in place, or compressed while the index still names the plain files.
cp -r packed loose
zstd -dq --rm loose/*.zst
same_tensors plain loose
exits 0 tessera verify plain loose
cp -r packed named && cp plain/model.safetensors.index.json named
exits 0 tessera verify plain named
cp plain/"$(ls plain | grep -m1 '\.safetensors$')" named
exits 3 tessera inspect named --json
last_error "j['error']['rule'] == 'extra-shard'"

# Ranks, and a module apart.
exits 0 tessera reshard in ranks --mp 2 --compress zstd:1
exits 0 tessera verify ranks
exits 0 tessera reshard in ranks_plain --mp 2
for file in ranks_plain/*.safetensors; do zstd -dqc "ranks/$(basename "$file").zst" | cmp - "$file"; done
exits 0 tessera reshard ranks ranks_back --names hf
exits 0 tessera reshard ranks_plain plain_back --names hf
same_tensors plain_back ranks_back
exits 0 tessera split-mtp in --main main --mtp module --compress zstd
exits 0 tessera join-mtp main module joined
exits 0 tessera verify in joined

# Parts: the last one leaves the same tree.
for i in 1 2 3; do exits 0 tessera cast in parts --to bf16 --compress zstd --sha256 --part "$i/3"; done
diff -r packed parts

# A damaged frame: which file, which tensor. A damaged end: no table.
damage_is_named packed
rm -r x 2>/dev/null || true
file=$(ls packed/*.zst | head -n 1)
truncate -s -1 "$file"
exits 3 tessera inspect packed
contains "without a seek table"
zstd -q plain/"$(basename "${file%.zst}")" -o "$file" -f
exits 3 tessera inspect packed
contains "zstd -d"

exits 2 tessera cast in y --to bf16 --compress gzip
contains "zstd:LEVEL"
exits 2 tessera cast in y --to bf16 --compress zstd:20
exits 2 tessera cast in y --to bf16 --compress zstd:
exits 2 tessera cast in y --to bf16 --compress zstdx
[ ! -e y ]
