#!/usr/bin/env bash
# All tests in release, as the README tells users, and in debug, where overflow and debug assertions are checked.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --locked
cargo test --locked
