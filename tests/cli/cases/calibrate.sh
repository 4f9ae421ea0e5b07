# What enters the linears: the same bytes for any threads and memory, experts without tokens counted, nothing of others replaced.
exits 0 tessera synth in --preset tiny --quirks
python3 -c 'print(*(i * 7919 % 640 for i in range(1100)))' >ids.txt
echo 5 6 >few.txt
sums() { (cd in && find . -type f -exec sha256sum {} + | sort); }
before=$(sums)

exits 0 tessera calibrate in c.gguf --tokens ids.txt --json
json 'list(j) == sorted(j) and j["schema"] == 1 and j["tokens"] == 1100 and j["chunks"] == 3'
json 'j["experts"] == 48 and j["experts_unreached"] == sum(u["experts"] for u in j["unreached"])'
json 'j["linears"] == 3 * 48 + 36 and j["read_bytes"] > 0 and j["peak_memory"] > 0 and j["seconds"] > 0'
exits 6 tessera calibrate in small.gguf --tokens ids.txt --threads 1 --memory 1MiB
needed=$(sed -n 's/.*at least \([0-9]*\) bytes.*/\1/p' err)
for options in "--threads 1" "--threads 4" "--threads 1 --memory $needed"; do
  exits 0 tessera calibrate in again.gguf --tokens ids.txt $options
  cmp c.gguf again.gguf
done
# Chunks know nothing of each other, so that the text is as good in ranks or under other shards.
exits 0 tessera reshard in repacked --shard-size 2MB
exits 0 tessera calibrate repacked again.gguf --tokens ids.txt
cmp c.gguf again.gguf

cp ids.txt repacked
(cd repacked && exits 0 tessera calibrate model.safetensors.index.json ../index.gguf --tokens ids.txt)
rm repacked/ids.txt
cmp c.gguf index.gguf

# All but few experts go without a token.
exits 0 tessera calibrate in few.gguf --tokens few.txt
contains "had no token, most of them in layer" out
exits 0 tessera calibrate in few.gguf --tokens few.txt --json
json 'j["experts_unreached"] >= 48 - 3 * 8 and len(j["unreached"]) == 3'
echo 5 >one.txt
# One token has none after it, which the MTP module would pair it with.
exits 0 tessera calibrate in one.gguf --tokens one.txt --json
json 'j["experts"] == 32 and j["chunks"] == 1'

# What quantize makes of it.
exits 0 tessera quantize in w4afp8 --scheme w4afp8 --calibration c.gguf
exits 0 tessera verify w4afp8
exits 0 tessera quantize in w4afp8 --scheme w4afp8 --calibration c.gguf --json
json 'j["resumed_steps"] == j["steps"]'
exits 5 tessera quantize in w4afp8 --scheme w4afp8 --calibration few.gguf
exits 3 tessera quantize in none --scheme w4afp8 --calibration one.gguf --json
last_error '".layers.3." in j["error"]["tensor"]'
[ ! -e none ]

# Refusals; whatever was there stays.
cp c.gguf copy.gguf
exits 0 tessera calibrate in copy.gguf --tokens few.txt
echo mine >notes.txt
exits 3 tessera calibrate in c.gguf --tokens missing.txt
exits 5 tessera calibrate in notes.txt --tokens few.txt --json
last_error 'j["error"]["rule"] == "foreign-file"'
cmp <(echo mine) notes.txt
ln -s c.gguf link.gguf
exits 5 tessera calibrate in link.gguf --tokens few.txt
exits 2 tessera calibrate in in/c.gguf --tokens few.txt
exits 2 tessera calibrate in in/../in/c.gguf --tokens few.txt
: >empty.txt
exits 2 tessera calibrate in c.gguf --tokens empty.txt
exits 4 tessera calibrate in nowhere/c.gguf --tokens few.txt
[ "$before" = "$(sums)" ]
[ -z "$(ls ./*.partial 2>/dev/null)" ]
