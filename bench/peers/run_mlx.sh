#!/usr/bin/env bash
# Compares fusions by themselves with MLX on the CPU, by turns in one run.
#   bench/peers/run_mlx.sh [--reps N] [--out FILE]
# MLX comes from PyPI into a virtual environment in build/peers. PEERS_PYTHON names a Python that has it already;
# LAZULI_BENCH another lazuli_bench.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.32.4
venv=build/peers/venv
lazuli_bench=${LAZULI_BENCH:-build/release/bin/lazuli_bench}

if [ ! -x "$lazuli_bench" ]; then
  echo "peers: no program $lazuli_bench; build it by: cmake --preset release && cmake --build --preset release" >&2
  exit 1
fi
python=${PEERS_PYTHON:-$venv/bin/python}
if [ -z "${PEERS_PYTHON:-}" ] && ! "$python" -c 'import mlx.core' 2>/dev/null; then
  scripts/install-packages.sh python3-venv
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install --quiet "mlx[cpu]==$version" >&2
fi
exec "$python" bench/peers/compare_mlx.py --lazuli-bench "$lazuli_bench" "$@"
