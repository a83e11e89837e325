#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds the fuzzers of everything that reads foreign bytes (tests/fuzz/README.md), and runs them one after the other.
#   scripts/fuzz.sh [--seconds N] [FUZZER...]    N seconds each (900); all of them where none is named
#   scripts/fuzz.sh --ci                         20 seconds each, always from the same random numbers
# Prints a line for each: executions, edges of the program they reached, findings. A finding ends its fuzzer and makes the
# exit status 1; the input stays in BUILD/fuzz/findings/FUZZER, and what libFuzzer said of it in BUILD/fuzz/FUZZER.log.
# Inputs that reached something new stay in BUILD/fuzz/corpus/FUZZER for the next run.
# Environment: BUILD, the folder of the builds (build); JOBS, compilers at a time (all cores).
# Needs clang 19: scripts/install-packages.sh clang-19 libclang-rt-19-dev
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${BUILD:-build}/fuzz
seconds=900
seed=0  # drawn anew each time
chosen=()
while [ $# -gt 0 ]; do
  case $1 in
    --ci) seconds=20 seed=1 ;;
    --seconds)
      seconds=${2:?--seconds: expected a number}
      shift
      ;;
    -*)
      sed -n 's/^#   //p' "$0" >&2
      exit 2
      ;;
    *) chosen+=("$1") ;;
  esac
  shift
done
mapfile -t known < <(sed -n 's/^LAZULI_FUZZER(\(.*\))$/\1/p' tests/fuzz/targets.def)
[ ${#chosen[@]} -gt 0 ] || chosen=("${known[@]}")
for fuzzer in "${chosen[@]}"; do
  if [[ " ${known[*]} " != *" $fuzzer "* ]]; then
    echo "fuzz: there is no fuzzer $fuzzer; there are ${known[*]}" >&2
    exit 2
  fi
done

[ -e "$folder/build.ninja" ] || cmake --preset fuzz -B "$folder"
cmake --build "$folder" --target "${chosen[@]/#/fuzz_}" -j "${JOBS:-$(nproc)}"

# Files that a reader takes by path lie in memory; what a fuzzer that died has left goes with them.
memory=$(mktemp -d -p /dev/shm lazuli-fuzz-XXXXXX 2>/dev/null || mktemp -d)
trap 'rm -rf "$memory"' EXIT
export TMPDIR=$memory
export UBSAN_OPTIONS=print_stacktrace=1
ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer-19 || true)
export ASAN_SYMBOLIZER_PATH

# The last number behind NAME in a log.
figure() {  # name log
  sed -nE "s/.*$1:? +([0-9]+).*/\1/p" "$2" | tail -n 1
}

failed=0
for fuzzer in "${chosen[@]}"; do
  corpus=$folder/corpus/$fuzzer findings=$folder/findings/$fuzzer log=$folder/$fuzzer.log
  mkdir -p "$corpus" "$findings"
  inputs=("$corpus" "tests/fuzz/corpus/$fuzzer")
  [ ! -d "tests/fuzz/regressions/$fuzzer" ] || inputs+=("tests/fuzz/regressions/$fuzzer")
  options=(-seed="$seed" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=256 -print_final_stats=1
    -artifact_prefix="$findings/")
  [ ! -e "$folder/bin/fuzz_$fuzzer.dict" ] || options+=(-dict="$folder/bin/fuzz_$fuzzer.dict")
  found=0
  "$folder/bin/fuzz_$fuzzer" "${options[@]}" "${inputs[@]}" >"$log" 2>&1 || found=1
  printf 'fuzz: %-18s %10s executions, %6s edges, %s\n' "$fuzzer" "$(figure stat::number_of_executed_units "$log")" \
    "$(figure cov "$log")" "$([ $found = 0 ] && echo 'no finding' || echo "a FINDING: $log")"
  if [ $found != 0 ]; then
    failed=1
    tail -n 40 "$log" >&2
  fi
done
exit $failed
