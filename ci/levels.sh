#!/usr/bin/env bash
# What must be exact, built as users build it, on the processor's own SIMD level and capped at each lower one: what a processor without the
# higher ones would run.
set -euo pipefail
cd "$(dirname "$0")/.."
for level in avx512 avx2 portable; do
    echo "-- HOTROW_LEVEL=$level"
    HOTROW_LEVEL=$level cargo test --release --locked -p hotrow --test equals_reference --test one_hot --test bags --test gradients \
        --test optimizers --test collections --test nearest
done
