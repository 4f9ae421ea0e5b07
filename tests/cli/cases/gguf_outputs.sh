# Whose files OUT.gguf and its splits are: others' in the same folder do not matter, those of its name are never overwritten
# unless tessera wrote them and --force says so; a finished run is not made again, an unfinished one of another plan not mixed.
exits 0 tessera synth models/in --preset tiny
make() { tessera gguf models/in models/out.gguf --no-tokenizer "$@"; }
echo theirs >models/notes.txt
exits 0 make --type Q8_0
contains "383" out || true
[ "$(cat models/notes.txt)" = theirs ]
sum=$(sha256sum <models/out.gguf)
exits 0 make --type Q8_0
contains "nothing to do" out
exits 5 make --type Q4_0
contains "the result of another plan"
[ "$(sha256sum <models/out.gguf)" = "$sum" ]
# Split instead: the single file goes with --force, and back.
exits 0 make --type Q4_0 --split-size 2MB --force
[ ! -e models/out.gguf ] && [ -e models/out-00001-of-*.gguf ] && [ "$(cat models/notes.txt)" = theirs ]
exits 0 tessera verify models/out.gguf
exits 0 make --type Q8_0 --force
[ "$(sha256sum <models/out.gguf)" = "$sum" ] && [ -z "$(ls models/out-*.gguf 2>/dev/null)" ]
# Damage is found, and what changed is made anew with --force alone.
printf x | dd of=models/out.gguf bs=1 seek=200000 conv=notrunc status=none
exits 1 tessera verify models/out.gguf
truncate -s -32 models/out.gguf
exits 5 make --type Q8_0
exits 0 make --type Q8_0 --force
[ "$(sha256sum <models/out.gguf)" = "$sum" ]
# Not ours.
for name in out.gguf out-00001-of-00002.gguf out.gguf.tessera.json; do
  rm -rf elsewhere && mkdir elsewhere
  echo theirs >elsewhere/$name
  status=3
  [ $name = out.gguf.tessera.json ] || status=5
  exits $status tessera gguf models/in elsewhere/out.gguf --type Q8_0 --no-tokenizer --force
  [ "$(cat elsewhere/$name)" = theirs ] && [ "$(ls elsewhere)" = $name ]
done
# Another name beside it is another output, whose run does not disturb this one.
exits 0 tessera gguf models/in models/out2.gguf --type Q4_0 --no-tokenizer --split-size 2MB
exits 0 tessera verify models/out.gguf
exits 0 tessera verify models/out2.gguf
