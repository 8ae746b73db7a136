#!/bin/bash
# Runs targets under libFuzzer: fuzz/run.sh SECONDS TARGET…, each for so long; without a target all of them. What is found lies
# in fuzz/artifacts, what was learned on the way in fuzz/grown; neither is committed. A finding becomes a file of
# fuzz/corpus with a name that says what it is about, as soon as it is mended.
set -eu
cd "$(dirname "$0")"
seconds=${1:-60}; shift || true
[ $# -gt 0 ] || set -- corpus/*
RUSTC_WRAPPER=$PWD/rustc.sh cargo build -q --release --locked
failed=()
for target in "${@##*/}"; do
    mkdir -p "artifacts/$target" "grown/$target"
    limit=4096
    case $target in switch | business | journal) limit=16384 ;; message | sdp | multipart | dialog) limit=65536 ;; esac
    echo "== $target for $seconds s"
    TANDEM_TARGET=$target target/release/fuzz "grown/$target" "corpus/$target" -max_total_time="$seconds" \
        -max_len=$limit -timeout=5 -rss_limit_mb=2048 -artifact_prefix="artifacts/$target/" -print_final_stats=1 \
        2>"artifacts/$target.log" || failed+=("$target")
    grep -E "number_of_executed|average_exec" "artifacts/$target.log" || true
done
[ ${#failed[@]} -eq 0 ] || { echo "findings in fuzz/artifacts: ${failed[*]}"; exit 1; }
