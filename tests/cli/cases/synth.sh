# The same seed gives the same bytes, another seed others; nothing is written over.
digests() { (cd "$1" && find . -type f -exec sha256sum {} + | sort -k 2); }
for family in v2-lite v3 v3.1 v3.2 k2 glm5; do
  exits 0 tessera synth a --preset tiny --family $family --quirks --seed 5 --json
  json 'j["schema"] == 1 and all(type(j[k]) is int for k in ("tensors", "bytes", "files"))'
  exits 0 tessera synth b --preset tiny --family $family --quirks --seed 5
  [ "$(digests a)" = "$(digests b)" ]
  exits 0 tessera synth c --preset tiny --family $family --quirks --seed 6
  [ "$(digests a)" != "$(digests c)" ]
  rm -r a b c
done
# Holes need hardly any disk, and are as large.
exits 0 tessera synth sparse --preset tiny --sparse
exits 0 tessera synth full --preset tiny
(cd full && stat -c '%n %s' *.safetensors) >sizes
(cd sparse && stat -c '%n %s' *.safetensors) | cmp sizes
[ "$(du -sk sparse | cut -f1)" -lt 2000 ]
exits 5 tessera synth full --preset tiny
mkdir mine && touch mine/file
exits 5 tessera synth mine --preset tiny --json
last_error 'j["error"]["code"] == 5'
exits 2 tessera synth x
exits 2 tessera synth x --preset enormous
exits 2 tessera synth x --preset tiny --family v9
exits 2 tessera synth x --preset tiny --format int4
exits 2 tessera synth x --preset tiny --seed minus
exits 2 tessera synth x --preset deepseek-v3
[ ! -e x ]
