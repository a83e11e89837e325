#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs all tests, with the real Gemma 3 270M among them.
#   scripts/test.sh [PRESET]      release (default) or debug; scripts/sanitizers.sh runs the others
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}

scripts/install-dependencies.sh
cmake --preset "$preset"
cmake --build --preset "$preset"
LAZULI_TEST_MODEL=$(scripts/fetch-model.sh)
export LAZULI_TEST_MODEL
ctest --preset "$preset" -j "$(nproc)"
