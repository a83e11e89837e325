#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the Debian packages and tries them in a bare root of Debian 12: installed there by apt they run, and a program is
# built against them. As root, on Debian.
#   scripts/check-packages.sh
# The packages are left in build/package/packages.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly model=tests/data/goldens/gemma4-e-gguf-q4_0/model.gguf
readonly ids=(2 91 116 166 220 87) following="274 186 116 225"  # as golden.safetensors beside it

log() { printf 'check-packages: %s\n' "$*" >&2; }

expect() {  # what, expected, found
  if [ "$2" != "$3" ]; then
    log "$1: expected '$2', found '$3'"
    exit 1
  fi
}

apt_install() {
  sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >/tmp/apt.log 2>&1 || {
    cat /tmp/apt.log >&2
    exit 1
  }
}

# In the root: the packages lie in the folder given.
try_packages() {  # folder
  sudo apt-get update -q >/dev/null
  log "installing the command and the library"
  apt_install "$1"/lazuli_*.deb "$1"/liblazuli0_*.deb
  lazuli --version
  expect "LLVM, in what the command is linked with" "" "$(ldd "$(command -v lazuli)" | grep LLVM || true)"
  lazuli info
  expect "lazuli generate" "$following" "$(lazuli generate -m "$model" --ids "$(IFS=,; echo "${ids[*]}")" -n 4 \
    --precision f32 2>/dev/null | tr ',\n' '  ' | xargs)"
  for package in lazuli liblazuli0; do
    grep -q 'MIT License' "/usr/share/doc/$package/copyright"
    grep -q 'Niels Lohmann' "/usr/share/doc/$package/copyright"
  done

  log "building a program with pkg-config"
  apt_install "$1"/liblazuli-dev_*.deb g++ pkg-config
  # A package that an installed one says it breaks is listed, too.
  expect "packages for fmt, JSON and LLVM's headers" "" \
    "$(dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' 'libfmt-dev' 'nlohmann-json3-dev' 'llvm-19-dev' \
      2>/dev/null | sed -n 's/^installed //p')"
  # shellcheck disable=SC2046  # flags, one a word
  g++ tests/build/consumer/main.cc $(pkg-config --cflags --libs lazuli) -o /tmp/consumer
  expect "the program" "$following" "$(/tmp/consumer "$model" "${ids[@]}" | xargs)"
  log "all of it works"
}

if [ "${1:-}" = --inside ]; then
  try_packages "$2"
  exit
fi
if [ $# -gt 0 ]; then
  sed -n '3,6s/^# //p' "$0" >&2
  exit 2
fi
scripts/install-dependencies.sh
scripts/install-packages.sh dpkg-dev file  # dpkg-shlibdeps names the libraries' packages
cmake --preset package >&2
cmake --build --preset package >&2
rm -rf build/package/packages
cpack --preset package >&2
ls build/package/packages/*.deb
scripts/bare-root.sh --files build/package/packages bookworm scripts/check-packages.sh --inside "../files"
