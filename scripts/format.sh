#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Formats the C++ sources as .clang-format says, by clang-format 19, which Debian 12 and 13 have.
#   scripts/format.sh [--check]      --check changes nothing, and fails where something would change
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -gt 1 ] || { [ $# -eq 1 ] && [ "$1" != --check ]; }; then
  echo "usage: scripts/format.sh [--check]" >&2
  exit 2
fi
scripts/install-packages.sh clang-format-19
mode=(-i)
[ $# -eq 0 ] || mode=(--dry-run --Werror)
git ls-files -z --cached --others --exclude-standard '*.cc' '*.h' | xargs -0 -n 50 clang-format-19 "${mode[@]}"
