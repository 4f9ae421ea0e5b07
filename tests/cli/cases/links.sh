# Links lead to inputs, as a hub's cache has them; outputs are never written through one, nor into an input that one hides.
exits 0 tessera synth in --preset tiny
exits 0 tessera cast in clean --to bf16
sums() { find "$@" -type f -exec sha256sum {} + | sort; }
before=$(sums in)
# A folder of links to files of other names, and a link to that.
mkdir blobs snapshot
number=0
for file in in/*; do
  number=$((number + 1))
  cp "$file" blobs/$number
  ln -s ../blobs/$number "snapshot/${file#in/}"
done
ln -s snapshot main
exits 0 tessera cast main made --to bf16
diff -r clean made

# OUT is an input, in one or around one, by whatever name.
ln -s in alias
mkdir -p around
ln -s "$PWD/around" round
cp -a in around/in
for out in in in/ ./in/../in in/below alias/below snapshot blobs; do
  case $out in
    snapshot | blobs) from=main ;;
    *) from=in ;;
  esac
  fails output-conflict tessera cast $from $out --to bf16
done
fails output-conflict tessera cast around/in round --to bf16
fails output-conflict tessera cast in in/m.gguf --to bf16
# Of a GGUF file its own name is what counts; one name for both is refused all the same.
exits 0 tessera gguf in model.gguf --type Q8_0 --no-tokenizer
ln -s model.gguf other.gguf
sum=$(sha256sum <model.gguf)
for out in model.gguf other.gguf; do
  status=0
  tessera cast model.gguf $out --to bf16 >out 2>err || status=$?
  case $status in 2 | 5) ;; *) exit 1 ;; esac
done
[ "$(sha256sum <model.gguf)" = "$sum" ]

# OUT as a link, also to nowhere, and files in it that are links, hard or soft, to an input's.
ln -s empty linked
fails output-conflict tessera cast in linked --to bf16
mkdir empty
fails output-conflict tessera cast in linked --to bf16
[ -z "$(ls empty)" ]
shard=model-00001-of-000007.safetensors
for link in "ln" "ln -s"; do
  for more in "" --force; do
    rm -rf taken && mkdir taken
    $link "$PWD/in/$shard" taken/$shard
    fails foreign-file tessera cast in taken --to bf16 $more
  done
done
# A finished output whose files have another name is replaced without touching what that name stands for.
mkdir kept
cp -al made/. kept
before_kept=$(cd kept && sums .)
exits 0 tessera cast in made --to f32 --force
exits 0 tessera verify made
[ "$(cd kept && sums .)" = "$before_kept" ]
[ "$(sums in)" = "$before" ]
