#!/bin/sh
# Formatting and clang-tidy over the sources: needs clang-format-19 and clang-tidy-19, and a
# configured build/debug for the compile commands.
set -eu
cd "$(dirname "$0")/.."

sources=$(find formats quant convert verify cli tests bench docs -name '*.cc' -o -name '*.h' | sort)
clang-format-19 --dry-run --Werror $sources
[ -f build/debug/compile_commands.json ] || cmake --preset debug >/dev/null
printf '%s\n' $sources | grep '\.cc$' | grep -v '^tests/install/\|^docs/' |
  xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p build/debug --extra-arg=-Wno-unknown-warning-option
