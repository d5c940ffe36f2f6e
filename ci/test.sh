#!/usr/bin/env bash
# All tests, as the README tells users: with overflow and debug assertions checked.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --locked
