#!/bin/sh
# Runs every libFuzzer target for a while: `make fuzz`. FUZZ_SECONDS each (60), FUZZ_TARGETS (all of fuzz/fuzz_targets).
#
# What a target finds stands in fuzz/artifacts/NAME/; it belongs into tests/corpus/NAME/, where every test run tries it again.
# Finds of one run are kept in fuzz/corpus/ (not committed) as a start for the next.
set -eu
cd "$(dirname "$0")/.."

lacking=
cargo fuzz --version >/dev/null 2>&1 || lacking="$lacking cargo-fuzz (cargo install cargo-fuzz)"
cargo +nightly --version >/dev/null 2>&1 || lacking="$lacking, a nightly toolchain (rustup toolchain install nightly)"
command -v c++ >/dev/null 2>&1 || lacking="$lacking, a C++ compiler (apt-get install g++)"
if [ -n "$lacking" ]; then
    echo "fuzz: this machine lacks:${lacking#,}" >&2
    echo "fuzz: the same targets run in every 'make test', without feedback; SALLYPORT_FUZZ_ROUNDS=100000 cargo test --lib fuzzing is a longer run of those" >&2
    exit 2
fi

targets=${FUZZ_TARGETS:-$(for file in fuzz/fuzz_targets/*.rs; do basename "$file" .rs; done)}
failed=
for target in $targets; do
    echo "fuzz: $target"
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run "$target" "fuzz/corpus/$target" "tests/corpus/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -timeout=20 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 || failed="$failed $target"
done
[ -z "$failed" ] || { echo "fuzz: FAILED:$failed; see fuzz/artifacts" >&2; exit 1; }
echo "fuzz: nothing found"
