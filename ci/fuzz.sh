#!/usr/bin/env bash
# Every fuzz target for a short while (FUZZ_SECONDS each), from the committed corpus, where a nightly toolchain is present.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "no nightly toolchain here: skipped"
    exit 0
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    cargo install cargo-fuzz --locked --version 0.13.2
fi
# libFuzzer writes what it finds into the corpus it is given: it gets a copy, so that the tree stays clean.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R fuzz/corpus/. "$copy"
# Optimized, the kernels take five minutes to build, for seconds of fuzzing.
export CARGO_PROFILE_RELEASE_OPT_LEVEL="${FUZZ_OPT_LEVEL:-0}"
cargo +nightly fuzz build
for target in $(cargo +nightly fuzz list); do
    echo "-- $target"
    log=$copy/$target.log
    # No limit on the growth of inputs: a short run would spend itself on the shortest ones.
    if ! cargo +nightly fuzz run "$target" "$copy/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-5}" -max_len=4096 -len_control=0 -print_final_stats=1 >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "$target failed. The input: $(grep -o 'fuzz/artifacts/[^ ]*' "$log" | tail -n 1)"
        exit 1
    fi
    grep -E '^Done|average_exec_per_sec' "$log"
done
