#!/bin/sh
# Runs every fuzz target for SECONDS (default 10) on the stable toolchain, and fails if one finds something.
#
#   fuzz/run.sh [SECONDS [TARGET...]]
#
# Starts from the corpora in fuzz/corpus and leaves them as they are. What makes a target fail is kept in
# target/fuzz/found; replay it with target/fuzz/<host>/release/fuzz_<target> FILE. Needs a C++ compiler.
set -eu

seconds=${1:-10}
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then
    set -- $(ls fuzz/corpus)
fi
host=$(rustc -vV | sed -n 's/^host: //p')
found=$PWD/target/fuzz/found

# Coverage as cargo-fuzz asks for it, without a sanitizer, which would need nightly: unsafe code is forbidden
# here. With --target, build scripts and macros are not instrumented.
RUSTFLAGS="-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on" \
    cargo build --locked --release --package pqlane-fuzz --bins --features libfuzzer \
    --target "$host" --target-dir target/fuzz

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$found"
status=0
for target in "$@"; do
    cp -r "fuzz/corpus/$target" "$work/$target"
    log=$work/$target.log
    if "target/fuzz/$host/release/fuzz_$target" "$work/$target" \
        -max_total_time="$seconds" -max_len=4096 -timeout=5 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$found/$target-" 2>"$log"; then
        verdict=ok
    else
        verdict=FAILED
        status=1
        grep -v '^#' "$log" | tail -n 60 >&2
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    coverage=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    printf '%-12s %10s runs  %6s edges  %s\n' "$target" "${runs:-?}" "${coverage:-?}" "$verdict" \
        >>"$work/summary"
done
cat "$work/summary"
exit $status
