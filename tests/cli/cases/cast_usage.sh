# What is asked wrongly is exit 2, and nothing is written.
exits 0 tessera synth in --preset tiny
before=$(find in -type f -exec sha256sum {} + | sort)
refused() {
  exits 2 tessera cast "$@" --json
  last_error 'j["error"]["code"] == 2 and j["error"]["class"] == "usage" and j["error"]["what"] != ""'
  [ ! -s out ]
}
refused
refused in
refused in made
refused in made extra --to bf16
refused in made --to int8
refused in made --to bf16 --to f16
refused in made --to bf16 --mtp some
refused in made --to bf16 --shard-size 5XB
refused in made --to bf16 --shard-size 0
refused in made --to bf16 --memory -1
refused in made --to bf16 --memory lots
refused in made --to bf16 --threads 0
refused in made --to bf16 --threads many
refused in made --to bf16 --scale-format ue8m0
refused in made --to bf16 --scales-from in
refused in made --to f32 --saturate
refused in made --to fp8 --scale-format f64
refused in made --to fp8 --scale-format ue8m0 --scales-from in
refused in made --to bf16 --dry-run --rehearse
refused in made --to bf16 --no-such-option
[ ! -e made ]
# OUT is IN, in it, around it, or reached through a link; a file, or a link.
mkdir -p around
mv in around/in
ln -s around/in in
ln -s around away
for out in in in/sub around/in around/in/sub/deeper around away/in ./around/../in/x; do
  refused in $out --to bf16
  refused around/in $out --to bf16
  refused in $out --to bf16 --force
done
refused in/model.safetensors.index.json around/in --to bf16
touch file
mkdir folder
ln -s folder link
ln -s nothing dangling
refused in file --to bf16
refused in link --to bf16
refused in link/ --to bf16
refused in dangling --to bf16
[ ! -e nothing ]
[ -z "$(ls folder)" ]
# Scales' checkpoint is an input too.
exits 0 tessera cast in plain --to bf16
refused plain in --to fp8 --scales-from in --force
[ "$before" = "$(find in/ -type f -exec sha256sum {} + | sed 's#in//*#in/#' | sort)" ]
