#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# An hour of decode steps, chats and loads in one process: memory stays flat, bits the same, speed what it was.
#   scripts/endurance.sh [--minutes N]       a part of it, such as 1
# Environment: BUILD, the folder of the builds (build); LAZULI_TEST_MODEL, the real model, fetched where it is unset;
# empty: the tiny checkpoint alone. Prints a table; status 1 where a figure is not as it must be.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}

minutes=60
case ${1:-} in
  '') ;;
  --minutes) minutes=${2:?minutes} ;;
  *)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
if [ -z "${LAZULI_TEST_MODEL+set}" ]; then LAZULI_TEST_MODEL=$(scripts/fetch-model.sh); fi

[ -e "$build/release/build.ninja" ] || cmake --preset release -B "$build/release"
cmake --build "$build/release" --target lazuli_endurance >&2
options=(--tiny tests/data/goldens/gemma3-dense --minutes "$minutes")
if [ -n "$LAZULI_TEST_MODEL" ]; then options+=(--model "$LAZULI_TEST_MODEL"); fi
exec "$build/release/bin/lazuli_endurance" "${options[@]}"
