#!/usr/bin/env bash
# The tests again, capped at each lower SIMD level: what a processor without the higher ones would run.
set -euo pipefail
cd "$(dirname "$0")/.."
for level in portable avx2; do
    echo "-- HOTROW_LEVEL=$level"
    HOTROW_LEVEL=$level cargo test --release --locked
done
