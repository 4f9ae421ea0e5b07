# forward --text: the ids of the checkpoint's own tokenizer, or a refusal.
exits 0 tessera synth in --preset tiny --format bf16
printf 'A the<think>\xf0\x9f\xa9\xb7' >text.txt
# Begin of sentence, a byte (ids from 3 on), a merge (from 259 on), an added token, four bytes.
echo "0 68 263 291 243 162 172 186" >ids.txt
exits 0 tessera forward in --tokens ids.txt --logits by_ids.safetensors
exits 0 tessera forward in --text text.txt --logits by_text.safetensors
cmp by_ids.safetensors by_text.safetensors
# Named by a file in it, the checkpoint's folder still has the tokenizer.
exits 0 tessera forward in/model.safetensors.index.json --text text.txt --logits by_text.safetensors
cmp by_ids.safetensors by_text.safetensors
# Cast, the model keeps it.
exits 0 tessera cast in f32 --to f32
exits 0 tessera forward f32 --text text.txt --json
json 'j["tokens"] == 8'

refused() {  # refused CODE TEXT [OPTION...]
  exits "$1" tessera forward in --json "${@:3}"
  contains "$2"
  [ ! -s out ]
}
refused 2 "one of --tokens FILE and --text FILE"
refused 2 "excludes" --tokens ids.txt --text text.txt
refused 3 "missing.txt" --text missing.txt
printf 'ab\xc0\x80' >bad.txt
refused 2 "not UTF-8 at byte 2" --text bad.txt
cp in/tokenizer.json kept.json
edit_tokenizer() {  # edit_tokenizer PYTHON: changes j
  python3 -c "import json; j = json.load(open('kept.json'))
$1
json.dump(j, open('in/tokenizer.json', 'w'))"
}
edit_tokenizer 'j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "x+"'
refused 3 "unknown pattern" --text text.txt
edit_tokenizer 'j["normalizer"] = {"type": "NFC"}'
refused 3 "normalizes" --text text.txt
# A tokenizer of another model gives ids that this one has no embedding for.
edit_tokenizer 'j["model"]["vocab"]["zz"] = 5000; j["model"]["merges"].append("z z")
for t in j["added_tokens"]: t["id"] += t["id"] > 2'
echo zz >text.txt
refused 3 "no embedding" --text text.txt
rm in/tokenizer.json
refused 3 "no tokenizer" --text text.txt
