#!/bin/bash
# Builds the fuzz targets and runs each for a while, as many at once as there are cores:
#   scripts/fuzz.sh [SECONDS [TARGET...]]     60 seconds each; all of them (safetensors, index, ...)
# What they find stays in build/asan-ubsan/found/TARGET, which is where the next run goes on. An input
# that fails is kept there as crash-*, timeout-* or oom-* and printed with its report; the exit status is
# then not 0. Once what it found is fixed, such an input belongs into tests/fuzz/corpus/TARGET.
# FUZZ_SEED makes runs alike; without it every run is another.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -eq 0 ] || shift

# The report of a failed run, and the input that it failed at: logs may be all that is left of it.
report() {
  local target=$1 log=$2 input bytes
  sed -n '/ERROR: \|runtime error: \|^terminate called/,$p' "$log" | head -n 100 | grep . ||
    tail -n 60 "$log"
  input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  if [ -n "$input" ]; then
    bytes=$(stat -c %s "$input")
    printf '%s has %s bytes' "$input" "$bytes"
    if [ "$bytes" -le 32768 ]; then
      printf '; to have it again: base64 -d >%s <<END\n' "${input##*/}"
      base64 -w 160 "$input"
      printf END
    fi
    printf '\n'
  fi
  printf 'fuzz %s FAILED\n' "$target"
}

fuzz() {
  local target=$1 seconds=$2 found=build/asan-ubsan/found/$1
  mkdir -p "$found"
  # Sanitizers and two targets at once on busy cores: a minute here is a second of the program.
  if ! "build/asan-ubsan/bin/fuzz_$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1536 \
    -artifact_prefix="$found/" -print_final_stats=1 -seed="${FUZZ_SEED:-0}" \
    "$found" "tests/fuzz/corpus/$target" \
    >"$found.log" 2>&1; then
    report "$target" "$found.log" >"$found.report"
    cat "$found.report"  # in one piece, beside another target's
    return 1
  fi
  printf 'fuzz %-16s %7s inputs tried, %5s places reached\n' "$target" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log")" \
    "$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$found.log" | tail -n 1)"
}
export -f fuzz report

scripts/build.sh asan-ubsan fuzz_targets
if [ $# -eq 0 ]; then
  for source in tests/fuzz/fuzz_*.cc; do
    target=${source##*/fuzz_}
    set -- "$@" "${target%.cc}"
  done
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {} "$0"' "$seconds"
