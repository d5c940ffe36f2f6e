#!/usr/bin/env bash
# Files of Python's safetensors and NumPy open here, and ours there: installs both into a virtual environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --bin hotrow
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -r ci/interop.txt
"$work/venv/bin/python" ci/interop.py "${CARGO_TARGET_DIR:-target}/debug/hotrow" "$work"
