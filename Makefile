# make run     builds everything and starts a switch with an example business and simulated traffic
# make build   the release program, with the console inside
# make test    all tests
# make bench   the benchmarks
# make console the console alone
# make fuzz    the fuzzer: TARGET=message SECONDS=60; without a target all of them; fuzz-nightly: ten minutes each
# make soak    a day's calls in 72 minutes: does anything grow? (ARGS=10: ten minutes)
# make nightly the fuzzer, twenty thousand simulated campaigns, ten minutes of soak
# make deny    licences, sources and known holes of the dependencies
# make flood   floods of every kind beside calls, a minute each (DURATION=60)
# make rough   calls through networks that lose and damage packets (CALLS=10000)
#
# What is missing on the machine is installed through apt and npm; see .ci/prepare.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.PHONY: run build test bench console prepare clean-console fuzz fuzz-nightly deny soak nightly flood rough

# A Node of our own where the machine's is too old for the console's tools.
export PATH := $(CURDIR)/.node/node_modules/.bin:$(HOME)/.cargo/bin:$(PATH)

CONSOLE_SOURCES := $(shell find console -path console/node_modules -prune -o -path console/dist -prune -o -type f -print 2>/dev/null)

run: build
	exec target/release/tandem demo $(ARGS)

build: console
	cargo build --release --locked -p tandem

prepare:
	@.ci/prepare

console: prepare console/dist/index.html

console/node_modules/.installed: console/package.json console/package-lock.json | prepare
	cd console && npm ci --no-audit --no-fund
	touch $@

console/dist/index.html: console/node_modules/.installed $(CONSOLE_SOURCES)
	cd console && npm run build
	touch $@

test: console
	.ci/tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	PROPTEST_RNG_SEED=2026 cargo test --workspace --locked --no-fail-fast
	cd console && npm run lint && npm run typecheck && npm test
	.ci/console-e2e

bench: build
	bench/run.sh $(ARGS)

fuzz:
	fuzz/run.sh $(or $(SECONDS),60) $(TARGET)

fuzz-nightly:
	fuzz/run.sh 600

soak: build
	BENCH_TIMEOUT=6000 bench/run.sh soak $(ARGS)

nightly: build fuzz-nightly
	TANDEM_SEEDS=20000 cargo test --release --locked -p sim --test campaign
	BENCH_TIMEOUT=1200 bench/run.sh soak 10

deny:
	.ci/deny

flood:
	TANDEM_FLOOD_SECONDS=$(or $(DURATION),60) cargo test --release --locked -p tandem --test e2e -- --nocapture flood::floods_of_every_kind

rough:
	TANDEM_LOSSY_CALLS=$(or $(CALLS),10000) cargo test --release --locked -p tandem --test e2e -- --nocapture lossy::the_table

clean-console:
	rm -rf console/dist console/node_modules
