#!/usr/bin/env bash
# Runs the benchmarks: all of them, or the parts that are named (calls brain relay routes message disk memory reports).
# `soak [MINUTES]` is the long run instead. Results: bench/RESULTS.md and bench/results.json. Leaves nothing running and nothing behind.
#   BENCH_QUICK=1  a short run that only shows that all works
#   BENCH_CDRS=N   so many calls for the part "reports"
#   BENCH_BUILD=0  take the programs as they are built
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
if [ "${BENCH_BUILD:-1}" = 1 ]; then
    cargo build --release --locked -p tandem -p bench
    cargo build --release --locked -p tandem --example bench_relay
fi
mkdir -p "$target"
scratch=$(mktemp -d "$(realpath "$target")/bench-XXXXXX")

# Job control gives the run a process group of its own, so that all it started can be ended together.
set -m
group=
clean_up() {
    trap - EXIT INT TERM
    if [ -n "$group" ]; then
        kill -TERM -- "-$group" 2>/dev/null || true
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            kill -0 -- "-$group" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$group" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Each relayed call has four sockets.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
BENCH_TARGET="$(realpath "$target")/release" BENCH_SCRATCH="$scratch" timeout --foreground "${BENCH_TIMEOUT:-900}" \
    "$target/release/bench" "$@" &
group=$!
wait "$group"
