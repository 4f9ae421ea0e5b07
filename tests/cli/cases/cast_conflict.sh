# OUT belongs to whoever wrote it: foreign files and other plans' outputs stay, --force replaces ours only.
exits 0 tessera synth in --preset tiny
refused() {
  exits 5 tessera cast in "$@" --json
  last_error 'j["error"]["code"] == 5 and j["error"]["class"] == "conflict"'
  [ ! -s out ]
}
mkdir mine
echo precious >mine/notes.txt
for more in "" --force; do
  refused mine --to bf16 $more
  contains notes.txt
  [ "$(ls -A mine)" = notes.txt ]
done
# A checkpoint that somebody else made is not ours either.
cp -a in theirs
refused theirs --to f32 --force
diff -r in theirs

exits 0 tessera cast in made --to bf16
cp -a made kept
# The same plan again: nothing to do. Threads and memory are no part of it.
exits 0 tessera cast in made --to bf16 --threads 1 --memory 2MiB --json
json 'j["written_bytes"] == 0 and j["resumed_steps"] == j["steps"] > 0'
exits 0 tessera cast in made --to bf16
contains "already complete" out
diff -r kept made
refused made --to f32
contains "--force"
refused made --to bf16 --mtp drop
refused made --to bf16 --sha256
diff -r kept made
# A foreign file in ours protects all of it.
echo precious >made/notes.txt
refused made --to f32 --force
contains notes.txt
rm made/notes.txt
mkdir made/folder
echo precious >made/folder/notes.txt
refused made --to f32 --force
contains notes.txt
rm -r made/folder
diff -r kept made
exits 0 tessera cast in made --to f32 --force
exits 0 tessera verify made
exits 0 tessera cast in straight --to f32
diff -r straight made
# An output that was changed since is not called complete.
printf x >>made/tokenizer.json
status=0
tessera cast in made --to f32 >out 2>err || status=$?
[ $status != 0 ]
