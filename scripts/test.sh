#!/bin/bash
# Everything that proves the project: builds the release preset, runs the unit, golden, layering,
# command-line and install tests, the same under AddressSanitizer and UndefinedBehaviorSanitizer,
# the fuzz targets for a minute each, then the tests against upstream tools.
#   --quick       leaves out what is slow (ctest label and pytest mark `slow`, sanitizers, fuzzing,
#                 building llama.cpp)
#   --no-interop  leaves out what needs packages from PyPI
#   --thorough    adds ThreadSanitizer and every point of the fault sweeps
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

quick= interop=1 thorough=
for argument in "$@"; do
  case $argument in
    --quick) quick=1 ;;
    --no-interop) interop= ;;
    --thorough) thorough=1 ;;
    *)
      echo "usage: scripts/test.sh [--quick] [--no-interop] [--thorough]" >&2
      exit 2
      ;;
  esac
done

[ -z "$thorough" ] || export TESSERA_THOROUGH=1

jobs=$(nproc)
timings=
failed=

# stage NAME COMMAND...: later stages run all the same, so that one run shows every failure.
stage() {
  local name=$1 begin=$SECONDS
  shift
  printf '\n== %s\n' "$name"
  if ! "$@"; then
    failed="$failed $name"
    printf '== %s FAILED\n' "$name"
  fi
  timings+=$(printf '\n  %-13s %4d s' "$name" $((SECONDS - begin)))
}

# Stages without which no other can run.
need() {
  stage "$@"
  [ -z "$failed" ] || exit 1
}

run_ctest() {
  ctest --preset "$1" -j "$jobs" ${quick:+-LE slow}
}

build_and_test() {
  scripts/build.sh "$1" && run_ctest "$1"
}

# make_venv FOLDER REQUIREMENTS [BASE]: what the venv BASE has is taken from there.
make_venv() {
  local venv=$1 requirements=$2 base=${3:-} stamp packages
  stamp=$(python3 --version; cat "$requirements" ${base:+"$base/stamp"})
  [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ] || return 0
  rm -rf "$venv" && python3 -m venv "$venv" || return
  if [ -n "$base" ]; then
    packages=$(echo "$PWD/$base"/lib/python3*/site-packages)
    echo "$packages" >"$(echo "$venv"/lib/python3*/site-packages)/base.pth"
  fi
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" &&
    printf '%s' "$stamp" >"$venv/stamp"
}

# Sources of packages that cannot be imported without a GPU's: functions are taken out of them.
fetch_upstream() {
  local packages=build/upstream wanted
  wanted=$(cat tests/interop/sources.txt)
  [ "$(cat $packages/stamp 2>/dev/null)" != "$wanted" ] || return 0
  rm -rf $packages &&
    build/venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
      --no-build-isolation -d $packages -r tests/interop/sources.txt &&
    mkdir $packages/llama.cpp &&
    tar -xzf $packages/llama_cpp_python-*.tar.gz -C $packages/llama.cpp --strip-components=3 \
      --wildcards '*/vendor/llama.cpp' &&
    printf '%s' "$wanted" >$packages/stamp
}

# run_pytest VENV FOLDER
run_pytest() {
  TESSERA="$PWD/build/release/bin/tessera" "$1/bin/python" -m pytest -q -p no:cacheprovider \
    ${quick:+-m "not slow"} "$2"
}

run_interop() {
  make_venv build/venv tests/interop/requirements.txt || return
  fetch_upstream  # its tests tell if that failed
  run_pytest build/venv tests/interop
}

# llama.cpp, built from the source that its Python package carries.
run_llama_cpp() {
  build/venv/bin/python scripts/gguf_llama_cpp.py build/upstream/llama.cpp
}

run_transformers4() {
  make_venv build/venv-transformers4 tests/interop/requirements-transformers4.txt build/venv &&
    run_pytest build/venv-transformers4 tests/interop/transformers4
}

need setup scripts/setup.sh $([ -n "$quick" ] || echo --clang)
need build scripts/build.sh release
stage ctest run_ctest release
stage demo scripts/demo.sh
sanitizers=
if [ -z "$quick" ] && command -v clang++-19 >/dev/null; then
  sanitizers=1
  stage asan-ubsan build_and_test asan-ubsan
  [ -z "$thorough" ] || stage tsan build_and_test tsan
fi
if [ -n "$interop" ]; then
  stage interop run_interop
  stage transformers4 run_transformers4
  [ -n "$quick" ] || stage llama.cpp run_llama_cpp
fi
if [ -n "$sanitizers" ]; then
  # A minute a target; less where everything else has taken an hour.
  FUZZ_SEED=1 stage fuzz scripts/fuzz.sh $((SECONDS < 3600 ? 60 : 15))
fi

printf '\ntimings:%s\n' "$timings"
[ -z "$quick" ] || echo "left out by --quick: tests labelled slow, sanitizers, fuzzing, llama.cpp"
[ -n "$interop" ] || echo "left out by --no-interop: tests/interop (torch, safetensors, transformers)"
[ -n "$thorough" ] || echo "left out without --thorough: the tsan build, every point of the fault sweeps"
[ -n "$quick$sanitizers" ] || echo "left out: sanitizers, fuzzing (no clang++-19 here)"
if [ -n "$failed" ]; then
  echo "FAILED:$failed"
  exit 1
fi
echo "all tests passed"
