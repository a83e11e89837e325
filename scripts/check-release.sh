#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What CI runs (scripts/check.sh), in bare roots that CI leaves out: Debian 13 with its compiler, and Debian 12 with
# clang. To be run before each release: an hour or two, as root, on Debian.
#   scripts/check-release.sh [trixie|clang]      one of them alone
set -euo pipefail
cd "$(dirname "$0")/.."

# Its gcc warns of copies that cannot happen, so warnings are no errors there.
on_trixie() { scripts/bare-root.sh trixie env CI=true scripts/check.sh; }

with_clang() {
  scripts/bare-root.sh bookworm env CI=true LAZULI_WERROR=ON CXX=clang++-19 \
    bash -c 'scripts/install-packages.sh clang-19 libclang-rt-19-dev && scripts/check.sh'
}

case ${1:-} in
  trixie) on_trixie ;;
  clang) with_clang ;;
  '')
    on_trixie
    with_clang
    ;;
  *)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
