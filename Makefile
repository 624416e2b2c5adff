# make demo    the gateway with TPC-H data on the embedded endpoint
# make test    all tests: Rust, then real clients from a pinned Python environment
# make lint    what CI checks besides: format, clippy, documentation, licences
# make bench   criterion benchmarks
# make soak    load at full size for 20 minutes, outside of CI

PYTHON ?= python3
VENV := .venv
TARGET := $(or $(CARGO_TARGET_DIR),target)

NODE := tests/clients/npm/node_modules

DENY := $(TARGET)/tools/bin/cargo-deny
FLIGHT_SQL_CLIENT := $(TARGET)/tools/bin/flight_sql_client

.PHONY: demo test test-rust test-clients lint bench soak

demo:
	cargo run -- serve --demo

test: test-rust test-clients

test-rust:
	cargo test

# The same build as test-rust, which has made the binary already when it ran before.
test-clients: $(VENV)/installed $(NODE)/installed $(FLIGHT_SQL_CLIENT)
	cargo test --no-run -q
	ATHENA_FLIGHT_BIN=$(abspath $(TARGET))/debug/athena-flight FLIGHT_SQL_CLIENT=$(abspath $(FLIGHT_SQL_CLIENT)) \
		$(VENV)/bin/python -m pytest -q tests/clients

$(VENV)/installed: tests/clients/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -r tests/clients/requirements.txt
	touch $@

# Not `npm ci`: one package names an optional one, for another system, that was never published.
$(NODE)/installed: tests/clients/npm/package-lock.json
	cd tests/clients/npm && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel error
	touch $@

# The program of the arrow-flight crate, unoptimised.
$(FLIGHT_SQL_CLIENT):
	cargo install arrow-flight --version 59.3.2 --features cli,flight-sql,tls-ring --bin flight_sql_client --locked \
		--debug --root $(TARGET)/tools --target-dir $(TARGET)/tools/build -q

lint: $(DENY)
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo check --no-default-features
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
	$(DENY) --log-level error check licenses bans sources

# Unoptimised: it compiles in a minute and runs once.
$(DENY):
	cargo install cargo-deny --version 0.20.2 --locked --debug --root $(TARGET)/tools --target-dir $(TARGET)/tools/build -q

bench:
	cargo bench

soak: $(VENV)/installed
	cargo build --release
	ATHENA_FLIGHT_BIN=$(abspath $(TARGET))/release/athena-flight $(VENV)/bin/python tests/clients/soak.py
