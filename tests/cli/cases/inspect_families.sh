# Every family is recognised as itself, whole, and without a fault.
for family in v2-lite v3 v3.1 v3.2 k2 glm5; do
  tessera synth $family --preset tiny --family $family --quirks -q >/dev/null
  exits 0 tessera inspect $family --check --json
  json "j['family'] == '$family' and j['coverage'] == 'whole'"
  json '"other" not in j["roles"]'
done
exits 0 tessera inspect k2 --json
json '"stray-buffer" in [f["rule"] for f in j["findings"]]'
exits 0 tessera inspect v3.2 --json
json '"indexer" in j["roles"]'
