#!/bin/sh
# Installs the Debian/Ubuntu packages that building and testing need and that are missing.
# Without root and without a password-less sudo it changes nothing, prints the one command and fails.
set -eu

packages="g++ cmake ninja-build pkg-config libhwy-dev libtbb-dev libopenblas-dev libzstd-dev
  libxxhash-dev libpcre2-dev nlohmann-json3-dev libcli11-dev libssl-dev libgtest-dev libbenchmark-dev
  python3 python3-venv strace zstd"

if ! command -v apt-get >/dev/null; then
  echo "setup: no apt-get here; install the counterparts of:" $packages >&2
  exit 1
fi

# pkgconf provides pkg-config under its own package name on newer releases.
installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ||
    { [ "$1" = pkg-config ] && command -v pkg-config >/dev/null; }
}

missing=
for package in $packages; do
  installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

install="apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$missing"
echo "setup: installing$missing" >&2
if [ "$(id -u)" = 0 ]; then
  sh -c "$install" </dev/null >&2
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  sudo -n sh -c "$install" </dev/null >&2
else
  echo "setup: this needs root once. Run:" >&2
  echo "  sudo sh -c '$install'" >&2
  exit 1
fi
