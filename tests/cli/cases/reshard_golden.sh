# Rank files are byte for byte what DeepSeek's own convert.py writes: tests/golden/reshard.json holds
# the digests of its outputs (see make_reshard_golden.py there).
golden=$CASES/../../golden/reshard.json
python3 - "$golden" <<'PY' >wanted
import json, sys
for name, digest in json.load(open(sys.argv[1]))["files"].items():
    family, form, file = name.split()
    print(family, form, file.removesuffix(".safetensors").split("-mp")[1], file, digest)
PY
[ "$(wc -l <wanted)" -ge 20 ]
while read -r family form degree file digest; do
  source=$family-$form
  [ -d "$source" ] ||
    tessera synth "$source" --preset tiny --family "$family" --format "$form" -q >log
  [ -d "$source-mp$degree" ] || tessera reshard "$source" "$source-mp$degree" --mp "$degree" -q >log
  echo "$digest  $source-mp$degree/$file" | sha256sum --check --quiet
done <wanted
