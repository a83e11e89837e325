#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What CI runs in a bare root: the README's commands, and with what they built the tests of kernels and bits at other
# instruction sets, then what those commands leave out. Prints the summary of the whole suite once more at the end.
#   scripts/check.sh
# CXX names another compiler, as CMake takes it; LAZULI_WERROR=ON makes warnings errors; CI=true fails where the model is
# missing.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly suite=build/suite.log

step() { printf '\n== %s (after %d min)\n' "$*" $((SECONDS / 60)); }

at_level() {  # name=value...
  step "tests of kernels and bits with $*"
  env "$@" ctest --preset release -j "$(nproc)" -L bits
}

step "README: scripts/demo.sh"
scripts/demo.sh
step "README: scripts/test.sh"
scripts/test.sh | tee "$suite"

LAZULI_TEST_MODEL=$(scripts/fetch-model.sh)
export LAZULI_TEST_MODEL
at_level LAZULI_ISA=avx2 OPENBLAS_CORETYPE=Haswell
at_level LAZULI_ISA=scalar

# Clang's checks come in packages of their own; gcc brings its.
if [ -z "${CXX:-}" ]; then
  step "what reads foreign bytes and what runs threads, with checks of addresses and threads"
  scripts/sanitizers.sh --ci
  step "fuzzers of what reads foreign bytes, 20 s each"
  scripts/install-packages.sh clang-19 libclang-rt-19-dev
  scripts/fuzz.sh --ci
fi

step "bench/, with what it measures and compares with"
bench/run.sh --build

step "the whole suite at this host's best level, as it ended above"
sed -n '/tests passed, .* failed out of/,$p' "$suite"
