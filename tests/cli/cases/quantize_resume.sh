# Killed between two renames, a run is finished by the same command, also with other threads and another budget, to
# the tree that a run left alone makes: rows, whole transposed weights, constant parts and extra files.
strace -f -o /dev/null true 2>/dev/null || exit 0
export ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0"
exits 0 tessera synth in --preset tiny --quirks --seed 7
ways=("--threads 1" "" "--memory 2MiB" "--threads 5 --memory 64MiB")
for scheme in w4a16 w4a16-asym awq gptq8 int8-block ascend-w8a8-dynamic trtllm-w4a8; do
  options=
  case $scheme in trtllm-w4a8) options="--input-scale 0.01" ;; esac
  run() { tessera quantize in "$1" --scheme $scheme $options "${@:2}" >out 2>err; }
  status=0
  run clean || status=$?
  for call in 1 3 5 7; do
    killed=0
    strace -f -o /dev/null -e trace=rename,renameat2 -e inject=rename,renameat2:signal=KILL:when=$call \
      tessera quantize in made --scheme $scheme $options >out 2>err || killed=$?
    [ $killed = 137 ]
    [ ! -e made/tessera.manifest.json ]
    # Another request has no business here.
    exits 5 tessera quantize in made --scheme w8a16-g128
    again=0
    run made ${ways[$((call % 4))]} || again=$?
    [ $again = $status ]
    diff -r clean made
    rm -r made
  done
  rm -r clean
done
