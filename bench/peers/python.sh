# SPDX-License-Identifier: MIT
# Sourced: peers_python FOLDER MODULES PACKAGE... prints a Python that can import MODULES: the one that PEERS_PYTHON names,
# or that of a virtual environment in FOLDER, which is made of PyPI's packages where it is missing.
peers_python() {
  local folder=$1 modules=$2
  shift 2
  if [ -n "${PEERS_PYTHON:-}" ]; then
    printf '%s\n' "$PEERS_PYTHON"
    return
  fi
  if ! "$folder/bin/python" -c "import $modules" 2>/dev/null; then
    scripts/install-packages.sh python3-venv libopenblas0-pthread >&2
    python3 -m venv "$folder" >&2
    "$folder/bin/pip" install --quiet "$@" >&2
  fi
  printf '%s\n' "$folder/bin/python"
}
