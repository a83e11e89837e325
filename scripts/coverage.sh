#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Line coverage of the libraries and the command line by all tests, a line for each folder; builds in BUILD/coverage.
#   scripts/coverage.sh [--html FOLDER]      also as pages, with every line of every source
# Environment: BUILD, the folder of the builds (build); JOBS, compilers and tests at a time (all cores);
# LAZULI_TEST_MODEL, the real model, fetched where it is unset; empty: its tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${BUILD:-build}/coverage
jobs=${JOBS:-$(nproc)}

html=
if [ $# -eq 2 ] && [ "$1" = --html ]; then
  html=$2
elif [ $# -ne 0 ]; then
  sed -n 's/^#   //p' "$0" >&2
  exit 2
fi
if ! command -v gcovr >/dev/null; then scripts/install-packages.sh gcovr; fi
if [ -z "${LAZULI_TEST_MODEL+set}" ]; then LAZULI_TEST_MODEL=$(scripts/fetch-model.sh); fi
export LAZULI_TEST_MODEL

cmake --preset coverage -B "$folder" >&2
cmake --build "$folder" -j "$jobs" >&2
find "$folder" -name '*.gcda' -delete # counts of earlier runs would be added
# Left out: what looks at how it is built and installed, not at how it runs.
ctest --test-dir "$folder" -j "$jobs" --output-on-failure -E '^(consumer|package|isa_symbols|exported_symbols)' >&2

report=(--html-details "$html/index.html")
if [ -n "$html" ]; then mkdir -p "$html"; else report=(); fi
# Lines that gcov gives twice, for templates and inline functions, are counted once by gcovr.
gcovr --root . --object-directory "$folder" --filter '(.*/)?(graph|passes|backends|runtime|models|tools)/' \
  --exclude '(.*/)?tests/' -j "$jobs" --json-summary "$folder/coverage.json" "${report[@]}" "$folder" >"$folder/coverage.txt"

python3 - "$folder/coverage.json" <<'PYTHON'
import collections
import json
import sys

lines = collections.defaultdict(lambda: [0, 0])
for file in json.load(open(sys.argv[1], encoding="utf-8"))["files"]:
    # Headers are found through a link in the build folder.
    folders = file["filename"].split("/include/lazuli/")[-1].split("/")[:-1]
    for name in ["all", *("/".join(folders[:depth]) for depth in range(1, min(len(folders), 3) + 1))]:
        lines[name][0] += file["line_covered"]
        lines[name][1] += file["line_total"]
print(f"{'folder':<32}{'lines':>8}{'run':>8}{'share':>9}")
for name, (covered, total) in sorted(lines.items()):
    if total > 0:
        print(f"{name:<32}{total:>8}{covered:>8}{100 * covered / total:>7.1f} %")
PYTHON
