# What split-mtp refuses, before anything is written.
exits 0 tessera synth in --preset tiny
exits 0 tessera split-mtp in --main main --mtp mtp

exits 3 tessera split-mtp main --main a --mtp b --json
last_error 'j["error"]["rule"] == "unsupported"'
contains "no MTP module to split off"
exits 3 tessera split-mtp mtp --main a --mtp b
contains "an MTP module alone"
exits 0 tessera synth k2 --preset tiny --family k2
exits 3 tessera split-mtp k2 --main a --mtp b
exits 0 tessera synth glm5 --preset tiny --family glm5
exits 3 tessera split-mtp glm5 --main a --mtp b --for sglang
contains "glm_moe_dsa"

# Options of other verbs, and folders that overlap.
exits 2 tessera split-mtp in --main a
exits 2 tessera split-mtp in --main a --mtp b --mp 2
exits 2 tessera split-mtp in --main a --mtp b --names hf
exits 2 tessera split-mtp in --main a --mtp b --for llama
contains "sglang, vllm or deepseek"
for pair in "a a" "a a/b" "a/b a" "in b" "a in" "a in/b" "a/ a" "a ./c/../a"; do
  set -- $pair
  exits 2 tessera split-mtp in --main "$1" --mtp "$2"
  exits 2 tessera split-mtp in --main "$1" --mtp "$2" --dry-run
done
[ ! -e a ] && [ ! -e b ]
mkdir foreign && touch foreign/notes
exits 5 tessera split-mtp in --main a --mtp foreign
[ ! -e a ]
# A folder that another plan's run is using, or was.
exits 0 tessera cast in used --to bf16
exits 5 tessera split-mtp in --main a --mtp used
[ ! -e a ]
mkdir -p held/.partial
python3 - <<'PY' &
import fcntl, time
lock = open("held/.partial/run.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
open("ready", "w").close()
time.sleep(20)
PY
holder=$!
while [ ! -e ready ]; do sleep 0.05; done
for folders in "--main a --mtp held" "--main held --mtp a"; do
  exits 5 tessera split-mtp in $folders --json
  last_error 'j["error"]["rule"] == "output-locked"'
  [ ! -e a ]
done
kill $holder
wait $holder || true
exits 0 tessera split-mtp in --main a --mtp held
