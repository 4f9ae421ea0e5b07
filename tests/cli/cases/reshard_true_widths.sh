# labels: slow
# Every matrix that ranks cut as large as DeepSeek-V3's: 16 ranks, where FP8's blocks end, are byte for
# byte convert.py's, and reading takes in each source byte once, however many ranks there are.
golden=$CASES/../../golden/reshard.json
python3 -B "$CASES/../../support/cuttable_models.py" true-widths in
exits 3 tessera reshard in none --mp 32
contains "expected:  --mp 1, 2, 4, 8, 16"
for degree in 8 16; do
  exits 0 tessera reshard in ranks$degree --mp $degree --json
  json 'j["read_bytes"] == '"$(payload in)"
  json "j['written_bytes'] == $(payload ranks$degree)"
  grep -q -e __asan_init -e __tsan_init "$(command -v tessera)" || json 'j["peak_memory"] < 512 << 20'
  [ $degree = 16 ] || rm -r ranks$degree
done
digest_of_ranks ranks16 16 >digest
json 'j["ranks"]["true-widths 16"] == open("digest").read().strip()' "$golden"
