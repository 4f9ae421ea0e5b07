#!/bin/bash
# Builds the fuzz targets and runs each for a while, as many at once as there are cores:
#   scripts/fuzz.sh [SECONDS [TARGET...]]     60 seconds each; all of them (safetensors, index, ...)
# What they find stays in build/asan-ubsan/found/TARGET; an input that fails is kept as crash-*, timeout-*
# or oom-* and its report is printed. Such an input belongs into tests/fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -eq 0 ] || shift

fuzz() {
  local target=$1 seconds=$2 found=build/asan-ubsan/found/$1
  mkdir -p "$found"
  # Sanitizers and two targets at once on busy cores: a minute here is a second of the program.
  if ! "build/asan-ubsan/bin/fuzz_$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=1536 \
    -artifact_prefix="$found/" -print_final_stats=1 "$found" "tests/fuzz/corpus/$target" \
    >"$found.log" 2>&1; then
    tail -n 60 "$found.log"
    printf 'fuzz %s FAILED\n' "$target"
    return 1
  fi
  printf 'fuzz %-12s %s inputs tried\n' "$target" \
    "$(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log")"
}
export -f fuzz

scripts/build.sh asan-ubsan fuzz_targets
if [ $# -eq 0 ]; then
  for source in tests/fuzz/fuzz_*.cc; do
    target=${source##*/fuzz_}
    set -- "$@" "${target%.cc}"
  done
fi
printf '%s\n' "$@" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {} "$0"' "$seconds"
