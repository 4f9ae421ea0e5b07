#!/bin/sh
# Installs the Debian/Ubuntu packages that building and testing need and that are missing. With
# --clang also clang 19 with its run-time libraries, for sanitizers and fuzzing, where the
# distribution has it.
# Without root and without a password-less sudo it changes nothing, prints the one command and fails.
set -eu

packages="g++ cmake ninja-build pkg-config libhwy-dev libtbb-dev libopenblas-dev libzstd-dev
  libxxhash-dev libpcre2-dev nlohmann-json3-dev libcli11-dev libssl-dev libgtest-dev libbenchmark-dev
  libopenmpi-dev openmpi-bin parallel python3 python3-venv strace zstd"

if ! command -v apt-get >/dev/null; then
  echo "setup: no apt-get here; install the counterparts of:" $packages >&2
  exit 1
fi

# pkgconf provides pkg-config under its own package name on newer releases.
installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ||
    { [ "$1" = pkg-config ] && command -v pkg-config >/dev/null; }
}

# missing_of PACKAGE...: those that are not installed, each behind a space.
missing_of() {
  for package; do
    installed "$package" || printf ' %s' "$package"
  done
}

command_for() {
  echo "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$1"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    sh -c "$1" </dev/null >&2
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n sh -c "$1" </dev/null >&2
  else
    echo "setup: this needs root once. Run:" >&2
    echo "  sudo sh -c '$1'" >&2
    return 1
  fi
}

missing=$(missing_of $packages)
if [ -n "$missing" ]; then
  echo "setup: installing$missing" >&2
  as_root "$(command_for "$missing")"
fi
if [ "${1-}" = --clang ]; then
  missing=$(missing_of clang-19 libclang-rt-19-dev)
  if [ -n "$missing" ] && ! as_root "$(command_for "$missing")"; then
    echo "setup: clang 19 cannot be had here; only sanitizers and fuzzing need it" >&2
  fi
fi
