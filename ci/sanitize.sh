#!/usr/bin/env bash
# The library's tests in debug, where overflow and debug assertions are checked; under AddressSanitizer where a nightly toolchain is present.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "no nightly toolchain here: without AddressSanitizer"
    cargo test -p hotrow --lib --tests --locked
    exit 0
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# allocator_may_return_null: tests ask for memory that cannot be had, and expect an error.
RUSTFLAGS="-Zsanitizer=address" ASAN_OPTIONS="allocator_may_return_null=1:detect_leaks=1" \
    cargo +nightly test -p hotrow --lib --tests --locked --target "$host" --target-dir target/asan
