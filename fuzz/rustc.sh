#!/bin/bash
# The compiler for cargo: coverage counters, by the stable compiler's own pass, in our crates only. What others wrote is
# run, but not explored.
rustc=$1; shift
if [[ " $* " =~ \ --crate-name\ (vocab|sip|media|routing|billing|cdr|params|codec|switch|store|api|sim|hostile|fuzz)\  ]]; then
    set -- "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
fi
exec "$rustc" "$@"
