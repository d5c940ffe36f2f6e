#!/bin/sh
# Makes the environment that peers.py and sharded.py run in: hotrow, built here with all optimizations, and what it is compared with.
#
#   benches/setup.sh              in benches/.venv
#   benches/setup.sh ~/peers      there
#   PYTHON=python3.11 benches/setup.sh
#
# It takes some gigabytes: the plain wheel of PyTorch brings its GPU libraries, which are not used. A stable Rust toolchain must be installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:-$here/.venv}
python=${PYTHON:-python3}

command -v cargo >/dev/null || { echo "setup.sh: cargo is not installed: https://rustup.rs" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup.sh: the pinned libraries need Python 3.11 or later; name one with PYTHON=..." >&2
    exit 1
}

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --requirement "$here/requirements-bench.txt"
"$venv/bin/pip" install --quiet --no-deps --requirement "$here/requirements-torchrec.txt"

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
"$venv/bin/maturin" build --release --quiet --manifest-path "$here/../Cargo.toml" --interpreter "$venv/bin/python" --out "$wheels"
"$venv/bin/pip" install --quiet --force-reinstall --no-deps "$wheels"/hotrow-*.whl

echo "run: $venv/bin/python $here/peers.py --help, or sharded.py"
