#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs tests with checks of addresses, undefined behaviour and threads; the first finding of a program ends it.
#   scripts/sanitizers.sh [asan] [tsan]      the whole suite, in builds of their own, BUILD/asan and BUILD/tsan
#   scripts/sanitizers.sh --ci               what reads foreign bytes and what runs threads, beside BUILD/release
# Environment: BUILD, the folder of the builds (build); JOBS, compilers and tests at a time (all cores);
# LAZULI_TEST_MODEL, the real model, fetched where it is unset; empty: its tests are skipped, or fail where CI is set.
# Nothing is installed: scripts/install-dependencies.sh does that.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
jobs=${JOBS:-$(nproc)}

# What LLVM and OpenBLAS do is not seen, as they are built without checks.
# Stack use after return is not looked for: gcc before 14 then places vectors at addresses that their loads do not allow.
export ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=0
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# gcc 12's checks need memory where they expect it, which newer kernels' random addresses do not grant.
plain=()
if setarch -R true 2>/dev/null; then plain=(setarch -R); fi

chosen=()
subset=
for argument in "$@"; do
  case $argument in
    --ci) subset=yes ;;
    asan | tsan) chosen+=("$argument") ;;
    *)
      sed -n 's/^#   //p' "$0" >&2
      exit 2
      ;;
  esac
done
if [ -z "${LAZULI_TEST_MODEL+set}" ]; then LAZULI_TEST_MODEL=$(scripts/fetch-model.sh); fi
export LAZULI_TEST_MODEL

if [ -n "$subset" ]; then
  [ -e "$build/release/build.ninja" ] || cmake --preset release -B "$build/release"
  cmake --build "$build/release" --target lazuli_sanitized -j "$jobs"
  for program in lazuli_readers_asan lazuli_threads_tsan; do
    echo "sanitizers: $program"
    "${plain[@]}" "$build/release/bin/$program" --gtest_brief=1
  done
  exit
fi

if [ ${#chosen[@]} -eq 0 ]; then chosen=(asan tsan); fi
for preset in "${chosen[@]}"; do
  cmake --preset "$preset" -B "$build/$preset"
  cmake --build "$build/$preset" -j "$jobs"
  # Left out: what looks at how it is built and installed, not at how it runs, and what replaces calls that the checks
  # replace as well (tests/faults); planted miscompilations, which would take an hour.
  "${plain[@]}" ctest --test-dir "$build/$preset" -j "$jobs" --output-on-failure -E '^(consumer|package|isa_symbols)' \
    -LE '^(faults|plants)$'
done
