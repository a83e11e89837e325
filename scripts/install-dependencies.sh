#!/usr/bin/env bash
# Installs what lazuli needs to build and run on Debian 12 (or newer): as root, or as a user with sudo.
#   scripts/install-dependencies.sh
# Packages that are there already are left alone; nothing is downloaded then.
set -euo pipefail

packages=(
  g++ cmake ninja-build git pkg-config
  llvm-19-dev zlib1g-dev libzstd-dev libxml2-dev # the generated kernels
  libopenblas0-pthread                           # f32 matrix products
  libfmt-dev nlohmann-json3-dev libcli11-dev     # text, JSON, command line
  libgtest-dev libbenchmark-dev                  # tests and benchmarks
  libdnnl-dev                                    # what the benchmarks compare matmuls with
  graphviz                                       # pictures of graphs
  python3 python3-pip unzip                      # fetches the model
)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-dependencies: not root and no sudo; please install: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "installing ${missing[*]}" >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
