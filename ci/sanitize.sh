#!/usr/bin/env bash
# The tests that reach the library's unsafe code under AddressSanitizer, where a nightly toolchain is present. The fuzz targets run under it,
# too, and replay their corpora.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "no nightly toolchain here: without AddressSanitizer"
    exit 0
fi
host=$(rustc -vV | sed -n 's/^host: //p')
# allocator_may_return_null: tests ask for memory that cannot be had, and expect an error.
export RUSTFLAGS="-Zsanitizer=address"
run() {
    leaks=$1
    shift
    ASAN_OPTIONS="allocator_may_return_null=1:detect_leaks=$leaks" \
        cargo +nightly test -p hotrow "$@" --locked --target "$host" --target-dir target/asan
}
run 1 --lib --test equals_reference --test nearest --test opened_tables
# A pool that the calling thread joins is never freed: rayon leaks it by design (ThreadPoolBuilder::use_current_thread).
run 0 --test threads
