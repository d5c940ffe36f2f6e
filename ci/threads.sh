#!/usr/bin/env bash
# The parallel operations under ThreadSanitizer; it takes a nightly toolchain. The standard library is not built with it here, so locks
# are invisible to it: tests/threads.rs keeps every calling thread in the pool, where all is handed over through atomics, and
# ci/threads.supp names the places of the pool and of the test harness that do use locks or fences.
set -euo pipefail
cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
TSAN_OPTIONS="suppressions=$PWD/ci/threads.supp halt_on_error=1" RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
    cargo +nightly test -p hotrow --test threads --locked --target "$host" --target-dir target/tsan
