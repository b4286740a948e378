# make demo   see it work, on a throwaway PostgreSQL
# make test   every test this machine can run (installs what is missing)
# make check  formatting, lints, what may come into the tree
# make oracle PostgreSQL judges thousands of random queries (minutes; `make test` has a short run)
# make fuzz   mutilated statements, startup packets and whole sessions, each for SECONDS (60)
# make soak   200 sessions for SECONDS (300), and random programs through a gate and without one
# make thousand  a thousand statements wait at once and are approved (needs 1,100 server processes; not in `make test`)
# make idle      what an idle session takes of memory, of 2,000 at once (as many server processes; not in `make test`)
# make evidence  memory and time of verifying, searching and exporting 200,000 records (RECORDS; not in `make test`)
# make regress  PostgreSQL's own regression SQL through a gate, and without one (half an hour; not in `make test`)
# make suites   drivers' own test suites through a gate, and without one (half an hour; not in `make test`)
# make power-cuts  a gate's log on a disk that is cut off CUTS (200) times: what was acknowledged is there (root, for loop devices)
# make build  the release binary, target/release/stepgate

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
DEMO ?=
# What the demonstration has built. After the tests `--bins --tests` is there already.
DEMO_BUILDS ?= --bin stepgate

.PHONY: demo test oracle fuzz soak thousand idle evidence regress suites power-cuts check build clean

demo:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@$(CARGO) build --locked --workspace $(DEMO_BUILDS)
	@exec "$(TARGET)/debug/stepgate" demo $(DEMO)

test:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@tests/tools/clients.sh
	@tests/tools/receivers.sh
	@tests/tools/exports.sh
	@tests/tools/browser.sh
	@tests/tools/idp.sh
	@tests/tools/broker.sh
	@tests/tools/ldap.sh
	@tests/tools/oracle.sh
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --workspace $(if $(CI),--profile ci); \
	else \
		$(CARGO) test --locked --workspace --lib --bins --tests --no-fail-fast; \
	fi
	@$(CARGO) test --locked --workspace --doc

oracle:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@tests/tools/oracle.sh
	@STEPGATE_ORACLE_QUERIES=$(or $(QUERIES),6500) $(CARGO) test --locked -p stepgate-sql --test oracle -- --nocapture

power-cuts:
	@tests/tools/libclang.sh
	@export STEPGATE_POWER_CUTS=$(or $(CUTS),200); if $(CARGO) nextest --version >/dev/null 2>&1; then \
		$(CARGO) nextest run --locked --workspace $(if $(CI),--profile ci) --no-capture -E 'test(power_cut)'; \
	else \
		$(CARGO) test --locked --workspace --lib -- --nocapture power_cut; \
	fi

fuzz:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@STEPGATE_FUZZ_SECONDS=$(or $(SECONDS),60) $(CARGO) test --locked --workspace --test fuzz -- --nocapture

soak:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@STEPGATE_SOAK_SESSIONS=$(or $(SESSIONS),200) STEPGATE_SOAK_SECONDS=$(or $(SECONDS),300) \
		$(CARGO) test --locked --profile quick -p stepgate --test soak -- --nocapture
	@STEPGATE_SAME_BYTES=$(or $(PROGRAMS),200) STEPGATE_SAME_BYTES_SEED=$${STEPGATE_SAME_BYTES_SEED:-$$(date +%s)} \
		$(CARGO) test --locked --profile quick -p stepgate --test same_bytes -- --nocapture
	@STEPGATE_PIPELINES=50000 $(CARGO) test --locked --profile quick -p stepgate-session --test pipelines

thousand:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@$(CARGO) test --locked --profile quick -p stepgate --test thousand -- --ignored --nocapture

idle:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@$(CARGO) test --locked --profile quick -p stepgate --test rim -- --ignored --nocapture --test-threads 1

evidence:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@STEPGATE_RECORDS=$(or $(RECORDS),200000) \
		$(CARGO) test --locked --profile quick -p stepgate --test exports -- --ignored --nocapture

regress:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@there=$${STEPGATE_REGRESS:-$$(tests/tools/regress.sh)} && test -n "$$there" && \
		STEPGATE_REGRESS=$$(realpath "$$there") \
		$(CARGO) test --locked --profile quick -p stepgate --test regress -- --ignored --nocapture

suites:
	@tests/tools/libclang.sh
	@tests/tools/postgres.sh
	@tests/tools/clients.sh
	@$(CARGO) test --locked --profile quick -p stepgate --test suites -- --ignored --nocapture

check:
	@tests/tools/libclang.sh
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
		$(CARGO) deny --offline check bans licenses sources; \
	else \
		echo "SKIP: cargo-deny is not installed (cargo install cargo-deny --locked)"; \
	fi

build:
	@tests/tools/libclang.sh
	@$(CARGO) build --locked --release -p stepgate

clean:
	@$(CARGO) clean
	@rm -rf .work
