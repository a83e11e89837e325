#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares lazuli with MLX on the CPU, by turns in one run: fusions by themselves, or whole models.
#   bench/peers/run_mlx.sh fusions [--reps N] [--out FILE]
#   bench/peers/run_mlx.sh model [--arch NAME] [--quant Q...] [--prompt N] [--tokens N] [--threads N] [--reps N]
#                                [--out FILE]
# MLX and mlx-lm come from PyPI into a virtual environment in build/peers, where the models are made too. PEERS_PYTHON
# names a Python that has both already; LAZULI and LAZULI_BENCH other programs lazuli and lazuli_bench.
set -euo pipefail
cd "$(dirname "$0")/../.."

. bench/peers/python.sh

case ${1:-} in
  fusions)
    program=${LAZULI_BENCH:-build/release/bin/lazuli_bench}
    compare=(compare_mlx_fusions.py --lazuli-bench "$program")
    ;;
  model)
    program=${LAZULI:-build/release/bin/lazuli}
    compare=(compare_mlx_model.py --lazuli "$program" --folders build/peers)
    ;;
  *)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
if [ ! -x "$program" ]; then
  echo "peers: no program $program; build it by: cmake --preset release && cmake --build --preset release" >&2
  exit 1
fi
python=$(peers_python build/peers/venv mlx.core,mlx_lm "mlx[cpu]==0.32.4" mlx-lm==0.32.2)
exec "$python" "bench/peers/${compare[0]}" "${compare[@]:1}" "${@:2}"
