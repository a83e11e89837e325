#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Compares lazuli with llama.cpp by turns in one run, on Gemma 3 270M unless told otherwise.
#   bench/peers/run.sh [--model GGUF] [--reps N] [--threads N] [--prompts N...] [--flash-attention] [--out FILE]
# llama.cpp comes as llama-cpp-python, built here for this CPU by clang 19 (about eight minutes on two cores; gcc 12
# miscompiles its AMX path). PEERS_PYTHON names a Python that has it already; LAZULI another lazuli program.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=0.3.36
packages=(clang-19 libomp-19-dev python3-venv)
venv=build/peers/venv
lazuli=${LAZULI:-build/release/bin/lazuli}

install_llama_cpp() {
  scripts/install-packages.sh "${packages[@]}"
  python3 -m venv "$venv" >&2
  echo "building llama-cpp-python $version; this takes some minutes" >&2
  CC=clang-19 CXX=clang++-19 CMAKE_ARGS=-DGGML_NATIVE=ON "$venv/bin/pip" install --quiet \
    --no-binary llama-cpp-python "llama-cpp-python==$version" >&2
}

if [ ! -x "$lazuli" ]; then
  echo "peers: no program $lazuli; build it by: cmake --preset release && cmake --build --preset release" >&2
  exit 1
fi
python=${PEERS_PYTHON:-$venv/bin/python}
if [ -z "${PEERS_PYTHON:-}" ] && ! "$python" -c 'import llama_cpp' 2>/dev/null; then
  install_llama_cpp
fi
model=$(scripts/fetch-model.sh)
exec "$python" bench/peers/compare_llama_cpp.py --lazuli "$lazuli" --model "$model" "$@"
