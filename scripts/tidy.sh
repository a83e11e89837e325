#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Looks for bugs by the checks of .clang-tidy, with clang-tidy 19; every finding is an error. 10 to 20 s a source.
#   scripts/tidy.sh [SOURCE...]          these sources, all where none is named
#   scripts/tidy.sh --changed COMMIT     those that differ from COMMIT, or whose header does
# Environment: BUILD, the folder of the builds (build), whose release has to be configured only; JOBS (all cores).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${BUILD:-build}/release
jobs=${JOBS:-$(nproc)}

sources=()
case ${1:-} in
  --changed)
    if [ $# -ne 2 ]; then
      sed -n 's/^#   //p' "$0" >&2
      exit 2
    fi
    # A changed header stands for the source beside it.
    mapfile -t sources < <(git diff --name-only --diff-filter=d "$2" -- '*.cc' '*.h' | sed 's/\.h$/.cc/' | sort -u)
    ;;
  -*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
  *) sources=("$@") ;;
esac
scripts/install-packages.sh clang-tidy-19
[ -e "$folder/compile_commands.json" ] || cmake --preset release -B "$folder" >&2

if [ $# -eq 0 ] || [ "$1" = --changed ]; then
  # Only what this host builds has a command.
  mapfile -t known < <(sed -n "s|^ *\"file\": \"$PWD/\(.*\)\",\{0,1\}$|\1|p" "$folder/compile_commands.json" | sort -u)
  if [ $# -eq 0 ]; then sources=("${known[@]}"); fi
  mapfile -t sources < <(printf '%s\n' "${sources[@]}" | sort -u | comm -12 - <(printf '%s\n' "${known[@]}"))
fi
if [ ${#sources[@]} -eq 0 ]; then
  echo "tidy: no source to check" >&2
  exit
fi
echo "tidy: ${#sources[@]} sources, $jobs at a time" >&2
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P "$jobs" clang-tidy-19 --quiet -p "$folder"
