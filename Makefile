# The house around the code. Every target looks for what it lacks and installs it where that needs no
# password, or prints the one command that does. The scripts are in .ci/, one for each target.
#
#   KAFKA=1         runs `demo` on a broker of Apache Kafka of its own
#   ARGS=...        passed on by `demo` (see `make demo ARGS=--help`), `test` (to cargo test), `soak`,
#                   `bench` and `bench-kafka`; to `soak-kafka`, minutes
#   ROCKSDB=source  compile RocksDB instead of fetching its library (see .ci/rocksdb)

.DEFAULT_GOAL := help
.PHONY: help demo test real-data check advisories bench bench-kafka soak soak-kafka

export ARGS KAFKA ROCKSDB

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: ## all four workers on a seeded world of events, live in this terminal; nothing to set up, KAFKA=1 included
	@.ci/demo

test: ## every test, with its time by part
	@.ci/test

real-data: ## the workers beside real data and other programs' figures for it, which come from PyPI
	@.ci/real-data

check: ## format, clippy, docs, licences, bans, sources, unused dependencies, tidiness
	@.ci/check

advisories: ## known vulnerabilities of the dependencies (asks the RustSec database)
	@.ci/advisories

bench: ## cost of an event by case, against the compiled RocksDB; writes tests/bench/results/core.json
	@.ci/bench

bench-kafka: ## the worker against Kafka Streams on one broker (an hour); writes tests/bench/results/kafka.json
	@.ci/bench-kafka

soak: ## the simulator over new seeds until stopped
	@.ci/soak

soak-kafka: ## workers on a real broker, disturbed over new seeds for ARGS minutes
	@.ci/soak-kafka
