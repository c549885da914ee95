# Sallyport: the commands of everyday work. `make help` lists them.

CARGO   ?= cargo
TARGET  := $(or $(CARGO_TARGET_DIR),target)
DEMO    ?= certs-dev/demo

# One place for the Python environments that the tests drive.
export SALLYPORT_TEST_VENVS := $(abspath $(TARGET))/venv

# CI=1: nothing may be skipped.
ifeq ($(CI),1)
export SALLYPORT_TEST_REQUIRE_ALL := 1
export CARGO_INCREMENTAL := 0
endif

.PHONY: help build demo test test-setup check fuzz bench bench-smoke clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

build: ## target/release/sallyport
	$(CARGO) build --release --locked --bin sallyport

demo: build ## a whole gateway on loopback, made from nothing; prints what to type
	$(TARGET)/release/sallyport demo --dir $(DEMO)

test: test-setup ## installs what the tests need (root and apt) and runs every test
	$(CARGO) test --locked

test-setup:
	scripts/test-setup.sh

check: ## what a reviewer should not have to say: format, lints, dependencies, layers
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --lib --bins --features fuzzing -- -D warnings
	$(CARGO) check --locked --package sallyport-fuzz --no-default-features
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --locked check; else echo "check: cargo-deny is not installed, dependencies not checked"; fi
	$(CARGO) test --locked --test it layers

fuzz: ## libFuzzer on every decoder, FUZZ_SECONDS (60) each; needs nightly Rust, cargo-fuzz and a C++ compiler
	scripts/fuzz.sh

bench: ## the benches (release build, under five minutes); see docs/performance.md
	$(CARGO) bench --locked

bench-smoke: ## whether the benches still run: each once, small, unoptimised
	$(CARGO) test --locked --benches

clean: ## everything that was built, and the demo
	$(CARGO) clean
	rm -rf $(DEMO)
