#!/usr/bin/env bash
# All tests in release, as the README tells users, and those of the command in debug, where overflow and debug assertions are checked.
# ci/sanitize.sh does that for the library.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --release --locked
cargo test -p hotrow-cli --locked
