#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares lazuli with ONNX Runtime on plain graphs, by turns in one run.
#   bench/peers/run_onnxruntime.sh [--threads N...] [--reps N] [--seconds S] [--no-errors] [--out FILE]
# ONNX Runtime comes from PyPI into a virtual environment in build/peers. PEERS_PYTHON names a Python that has it
# already; PLAIN_GRAPHS another program lazuli_plain_graphs.
set -euo pipefail
cd "$(dirname "$0")/../.."

versions=(onnxruntime==1.32.0 onnx==1.23.2 numpy)
venv=build/peers/onnxruntime
program=${PLAIN_GRAPHS:-build/release/bin/lazuli_plain_graphs}
if [ ! -x "$program" ]; then
  echo "peers: no program $program; build it by: cmake --preset release && cmake --build --preset release" >&2
  exit 1
fi
python=${PEERS_PYTHON:-$venv/bin/python}
if [ -z "${PEERS_PYTHON:-}" ] && ! "$python" -c 'import onnx, onnxruntime' 2>/dev/null; then
  scripts/install-packages.sh python3-venv
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet "${versions[@]}" >&2
fi
exec "$python" bench/peers/compare_onnxruntime.py --program "$program" "$@"
