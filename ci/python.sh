#!/usr/bin/env bash
# The Python package: builds the wheel, installs it into a virtual environment, and runs the tests, the type checks and the examples.
# The environment is made once: it lies outside of the checkout, under a name that its list of packages and Python's version give.
# `ci/python.sh environment` makes that, and nothing else.
set -euo pipefail
cd "$(dirname "$0")/../bindings/python"

if ! command -v python3 > /dev/null; then
    echo "skipped: there is no python3"
    exit 0
fi
if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; then
    echo "skipped: python3 is older than 3.10, or has no venv: $(python3 --version)"
    exit 0
fi

# requirements/all.txt has TensorFlow and JAX too, which are too large for every run: without them their tests are skipped.
lock=requirements/${HOTROW_PYTHON_LOCK:-ci}.txt
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hotrow
name=$( (python3 -c 'import sys; print(sys.version, sys.platform, sys.prefix)'; cat requirements/ci.txt "$lock") | sha256sum | cut -c 1-16)
venv=$cache/venv-$name
mkdir -p "$cache"
# One run at a time in an environment: each installs its own wheel there.
exec 9> "$venv.lock"
flock 9
if ! [ -e "$venv/complete" ]; then
    echo "making $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    if python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$lock"
    else
        # The versions of the list need Python 3.11: whatever there is for 3.10, then.
        "$venv/bin/pip" install --quiet --disable-pip-version-check \
            torch keras numpy ml_dtypes pytest hypothesis pytest-run-parallel mypy ruff maturin expecttest safetensors \
            mpi4py mpich
    fi
    touch "$venv/complete"
fi
if [ "${1:-}" = environment ]; then
    exit 0
fi
# An environment that activation would have made: maturin and the tests' own processes find Python by it.
export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH
unset PYTHONHOME PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

step() {
    echo "-- $*"
    "$@"
}

step ruff check .
step ruff format --check .
step maturin build --quiet --locked --profile "${HOTROW_PYTHON_PROFILE:-release}" --compatibility linux --out "$work"
step pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$work"/hotrow-*.whl

# Outside of the sources: what is checked is what was installed.
sources=$PWD
cd "$work"
step mypy --config-file "$sources/pyproject.toml" --strict -p hotrow
step python -m mypy.stubtest --mypy-config-file "$sources/pyproject.toml" hotrow._native
# The processes of a test that call Keras say for themselves which backend it has.
export KERAS_BACKEND=torch KERAS_TORCH_DEVICE=cpu
step pytest -q -p no:cacheprovider -c "$sources/pyproject.toml" --rootdir "$sources" -rs "$sources/tests"
step pytest -q -p no:cacheprovider -c "$sources/pyproject.toml" --rootdir "$sources" --parallel-threads=2 \
    --ignore "$sources/tests/keras" --ignore "$sources/tests/torch" --ignore "$sources/tests/distributed" "$sources/tests"
for example in "torch --embedding hotrow" "torch --embedding torch" "keras --embedding hotrow" "keras --embedding keras"; do
    # shellcheck disable=SC2086
    step python -m hotrow.examples.two_tower_$example --epochs 2
done
step python -m hotrow.distributed.simulate
