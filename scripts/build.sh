#!/bin/sh
# Configures and builds a preset: scripts/build.sh [PRESET [TARGET...]]. The default is release.
set -eu
cd "$(dirname "$0")/.."

preset=${1:-release}
[ $# -eq 0 ] || shift
precompile=
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER="${CMAKE_CXX_COMPILER_LAUNCHER-ccache}"
  precompile=-DTESSERA_PRECOMPILE=OFF  # ccache keeps nothing of what uses precompiled headers
fi
log=build/$preset.configure.log
mkdir -p build
if ! cmake --preset "$preset" $precompile >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
if [ $# -gt 0 ]; then
  exec cmake --build --preset "$preset" --target "$@"
fi
exec cmake --build --preset "$preset"
