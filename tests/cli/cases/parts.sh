# Parts of a run, in any order, at once or killed between: the last one completes the tree that one run makes.
exits 0 tessera synth in --preset tiny --quirks --seed 7

verbs=("cast --to bf16" "cast --to f32" "cast --to bf16 --shard-size 64KB" "reshard --mp 2"
  "quantize --scheme awq" "quantize --scheme w4a16")
for verb in "${verbs[@]}"; do
  set -- $verb
  status=0
  tessera "$1" in clean "${@:2}" >out 2>err || status=$?
  for order in "1 2 3" "3 1 2"; do
    for i in $order; do
      [ ! -e made/tessera.manifest.json ] && [ ! -e made/model.safetensors.index.json ]
      last=0
      case "$order" in *" $i") last=$status ;; esac
      exits $last tessera "$1" in made "${@:2}" --part "$i/3" --json --threads "$i"
      json "j['part']['index'] == $i and j['part']['count'] == 3"
    done
    json "j['parts_left'] == []"
    diff -r clean made
    # Again: nothing to do.
    exits $status tessera "$1" in made "${@:2}" --part 2/3
    diff -r clean made
    rm -r made
  done
  # All at once: each ends well, and exactly the whole is there. More parts than weights are no error.
  for count in 4 200; do
    for i in $(seq "$count"); do
      tessera "$1" in made "${@:2}" --part "$i/$count" >"log$i" 2>&1 &
      [ $((i % 8)) != 0 ] || wait
    done
    wait
    diff -r clean made
    rm -r made
    [ "$verb" = "${verbs[0]}" ] || break
  done
  rm -r clean
done

# Every weight belongs to exactly one part, and parts are about equal.
steps=0
for i in 1 2 3 4 5; do
  exits 0 tessera cast in made --to bf16 --part $i/5 --dry-run --json
  steps=$((steps + $(json "j['part']['steps']")))
  all=$(json "j['steps']")
done
[ "$steps" = "$all" ]
[ ! -e made ]

# Not all there: finish says which, and writes nothing.
exits 0 tessera cast in clean --to bf16
exits 0 tessera cast in made --to bf16 --part 1/3
exits 1 tessera finish made --json
last_error "j['error']['rule'] == 'unfinished-parts'"
contains "unfinished: 2/3, 3/3"
[ ! -e made/model.safetensors.index.json ]
# Parts of another count go on where these stopped, and so does a run without parts.
exits 0 tessera cast in made --to bf16 --part 1/2
exits 0 tessera cast in made --to bf16
diff -r clean made
exits 0 tessera finish made
contains "finished already" out
rm -r made
mkdir made
exits 2 tessera finish made
contains "nothing to finish"
rm -r made

# A command that is refused leaves nothing in the way of the right one, in parts or not.
for wrong in "--to f16" "--to f16 --part 3/3" "--to f16 --part 1/2"; do
  exits 0 tessera cast in made --to bf16 --part 1/3
  (cd made && find . ! -name '*.lock' | sort) >before
  exits 5 tessera cast in made $wrong
  (cd made && find . ! -name '*.lock' | sort) | diff before -
  exits 0 tessera cast in made --to bf16 --part 2/3
  exits 0 tessera cast in made --to bf16 --part 3/3
  diff -r clean made
  rm -r made
done
exits 0 tessera cast in made --to bf16 --part 1/3
exits 0 tessera cast in made --to f16 --force
exits 0 tessera cast in whole --to f16
diff -r whole made
rm -r made whole

# From another folder, with relative names.
mkdir work elsewhere
(cd work && exits 0 tessera cast ../in ../made --to bf16 --part 1/2)
exits 0 tessera cast in made --to bf16 --part 2/2 --rehearse
[ ! -e made/tessera.manifest.json ]
if strace -f -o /dev/null true 2>/dev/null; then
  # Killed while it seals, the last part leaves the rest to finish.
  for call in $(seq 1 12); do
    cp -a made copy
    killed=0
    strace -f -o /dev/null -e trace=rename,renameat2 -e inject=rename,renameat2:signal=KILL:when="$call" \
      tessera cast in copy --to bf16 --part 2/2 >out 2>err || killed=$?
    if [ $killed = 137 ]; then
      done=0
      (cd elsewhere && tessera finish ../copy --json >out 2>err) || done=$?
      # Its own tiles may be missing: then it is run again.
      [ $done = 0 ] || exits 0 tessera cast in copy --to bf16 --part 2/2
    fi
    diff -r clean copy
    rm -r copy
  done
fi
exits 0 tessera cast in made --to bf16 --part 2/2
diff -r clean made
rm -r made

# Two folders in parts.
exits 0 tessera split-mtp in --main main --mtp mtp
for i in 2 1; do exits 0 tessera split-mtp in --main main2 --mtp mtp2 --part $i/2; done
diff -r main main2
# Each manifest names the other folder's tensors, not the folder.
diff -r mtp mtp2

# One process a part; no whole run, and no parts of another count, beside it.
exits 0 tessera cast in made --to bf16 --part 1/2
python3 - <<'PY'
import fcntl, subprocess
def held(name, how):
    file = open(f"made/.partial/{name}", "r+")
    fcntl.flock(file, how)
    return file
def status(*part):
    return subprocess.run(["tessera", "cast", "in", "made", "--to", "bf16", *part], capture_output=True).returncode
run, own = held("run.lock", fcntl.LOCK_SH), held("part-1-of-2.lock", fcntl.LOCK_EX)
assert status("--part", "1/2") == 5
assert status("--part", "1/3") == 5
assert status() == 5
assert status("--part", "2/2", "--dry-run") == 0
PY
exits 0 tessera cast in made --to bf16 --part 2/2
diff -r clean made

# Another request does not mix with it.
exits 0 tessera cast in other --to bf16 --part 1/2
exits 5 tessera cast in other --to f16 --part 2/2

for part in 0/2 3/2 1 1/ /2 a/b 1/2/3 -1/2 1/5000; do
  exits 2 tessera cast in never --to bf16 --part $part
done
exits 2 tessera cast in never --to bf16 --part 1/2 --force
contains "throw away the work of other parts"
[ ! -e never ]
