#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Measures what the README shows, on this host, and writes it there.
#   bench/run.sh [--peers | --build]
#     --peers    also against llama.cpp, which is built first, MLX, ONNX Runtime and oneDNN (bench/peers)
#     --build    builds lazuli_bench and measures nothing
# The samples stay in build/bench/*.json. Leave the machine alone meanwhile.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/bench

if [ $# -gt 1 ] || [[ ${1:---build} != --@(peers|build) ]]; then
  sed -n 's/^#   //p' "$0" >&2
  exit 2
fi
scripts/install-dependencies.sh
scripts/install-packages.sh libbenchmark-dev libdnnl-dev  # which times kernels; which matmuls are compared with
cmake --preset release >&2
cmake --build --preset release >&2
if [ "${1:-}" = --build ]; then exit 0; fi
model=$(scripts/fetch-model.sh)
mkdir -p "$out"

build/release/bin/lazuli_bench --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true \
  --benchmark_min_time=0.1 --benchmark_out="$out/kernels.json" --benchmark_out_format=json
build/release/bin/lazuli bench -m "$model" -p 512 -n 128 --reps 5 --compare fused,unfused --json >"$out/model.json"
parts=(--kernels "$out/kernels.json" --model "$out/model.json")
if [ "${1:-}" = --peers ]; then
  bench/peers/run.sh --out "$out/peers.json"
  bench/peers/run_mlx.sh fusions --out "$out/mlx.json"
  bench/peers/run_mlx.sh model --out "$out/mlx_model.json"
  bench/peers/run_plain_graphs.sh --out "$out/plain.json"
  parts+=(--plain "$out/plain.json" --peers "$out/peers.json" --mlx "$out/mlx.json" --mlx-model "$out/mlx_model.json")
fi
bench/render.py "${parts[@]}"
