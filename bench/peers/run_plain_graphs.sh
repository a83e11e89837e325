#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares lazuli with ONNX Runtime, MLX and oneDNN on plain graphs, by turns in one run.
#   bench/peers/run_plain_graphs.sh [--peers onnxruntime,mlx,onednn] [--threads N...] [--reps N] [--seconds S]
#                                   [--no-errors] [--out FILE]
# ONNX Runtime and MLX come from PyPI into a virtual environment in build/peers; oneDNN is Debian's libdnnl-dev, which
# has to be there when the build is configured (bench/run.sh installs it). What is missing is named and left out.
# PEERS_PYTHON names a Python that has the packages already; PLAIN_GRAPHS and ONEDNN_GRAPHS other programs
# lazuli_plain_graphs and lazuli_onednn_graphs.
set -euo pipefail
cd "$(dirname "$0")/../.."

. bench/peers/python.sh
program=${PLAIN_GRAPHS:-build/release/bin/lazuli_plain_graphs}
onednn=${ONEDNN_GRAPHS:-build/release/bin/lazuli_onednn_graphs}
if [ ! -x "$program" ]; then
  echo "peers: no program $program; build it by: cmake --preset release && cmake --build --preset release" >&2
  exit 1
fi
python=$(peers_python build/peers/plain onnx,onnxruntime,mlx.core onnxruntime==1.32.0 onnx==1.23.2 \
  "mlx[cpu]==0.32.4" numpy)
exec "$python" bench/peers/compare_plain_graphs.py --program "$program" --onednn "$onednn" "$@"
