# Rank files are byte for byte what DeepSeek's own convert.py writes: tests/golden/reshard.json holds
# the digests of its outputs (see make_reshard_golden.py there).
golden=$CASES/../../golden/reshard.json
json '"\n".join(f"{name} {digest}" for name, digest in j["ranks"].items() if name.count(" ") == 3)' \
  "$golden" >wanted
[ "$(wc -l <wanted)" -eq 84 ]
while read -r family form quirks degree digest; do
  source=$family-$form-$quirks
  [ -d "$source" ] || tessera synth "$source" --preset tiny --family "$family" --format "$form" \
    $([ "$quirks" = plain ] || echo --quirks) -q >log
  tessera reshard "$source" ranks --mp "$degree" -q >log
  if ! digest_of_ranks ranks "$degree" | grep -qxF "$digest"; then
    echo "not convert.py's: $source, --mp $degree" >&2
    exit 1
  fi
  rm -r ranks
done <wanted
