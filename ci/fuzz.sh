#!/usr/bin/env bash
# The fuzz targets for a short while (FUZZ_SECONDS each), from the committed corpus, where a nightly toolchain is present. Without an
# argument those of the readers, which need no optimization; `ci/fuzz.sh all` has those of the kernels, too, which take five minutes to
# build, and whose corpora the tests replay.
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
targets=(checkpoint csv idlists libfm messages npy npz ratings safetensors word2vec workloads)
if [ "${1:-}" = all ]; then
    mapfile -t targets < <(cargo +nightly fuzz list)
else
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=0
fi
for target in "${targets[@]}"; do
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
