PYTHON ?= python3
BIN := .venv/bin
CODE := $(wildcard shared services deploy tests)
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" PIP_FIND_LINKS= $(BIN)/python -m piptools compile \
	--quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-options $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help venv demo check test chaos bench format lock clean

help: ## say what each target does
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: .venv/.stamp ## make .venv from requirements.lock

.venv/.stamp: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# Two at a time, each with a Kafka and a mongod of its own: most of the time a test waits.
# In the order of folders: else files of a few long tests come last, one after the other.
PYTEST := $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder
NODE := tests/node/node_modules/.stamp
BOARD := services/projections/board/static/vendor/.stamp

$(NODE): tests/node/package-lock.json tests/node/package.json
	npm ci --prefix tests/node --no-progress
	touch $@

$(BOARD): services/projections/board/package-lock.json services/projections/board/package.json
	npm ci --prefix services/projections/board --no-progress
	npm run --silent --prefix services/projections/board vendor
	touch $@

demo: venv $(BOARD) ## play a town from order to write-off on real servers (ONCE=1: end when played)
	$(BIN)/wishgrid demo $(if $(ONCE),--once)

check: venv ## format, lint, types, import rules, pure tests (under a minute)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(PYTEST) -m "not stack"

test: check $(NODE) $(BOARD) ## all that must hold: check, then the tests on a real Kafka and mongod
	$(PYTEST) -m stack

chaos: venv ## all evidence about faults: crash points, seeds, poison, broken builds, a long history (SECONDS=240 SEED=7: one seed)
ifeq ($(SEED)$(SECONDS),)
	$(BIN)/python -m tests.chaos crash --runs 20
endif
	$(BIN)/python -m tests.chaos run $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))
ifeq ($(SEED)$(SECONDS),)
	$(BIN)/python -m tests.chaos poison --events 100000
	$(BIN)/python -m tests.chaos broken
	WISHGRID_HISTORY=200000 $(BIN)/pytest -q -m stack tests/hardcases/test_long_history.py
endif

bench: venv ## measure against peers: accepting, replay, appending, visible (tests/bench/README.md)
	$(BIN)/python -m tests.bench

format: venv ## put the code into the one format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix --exit-zero $(CODE)

lock: venv ## compile both lock files from pyproject.toml (UPGRADE=1: to the newest allowed)
	$(COMPILE) --extra local --extra dev --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra build --constraint requirements.lock --output-file requirements.runtime.lock pyproject.toml

clean: ## remove the venv and everything generated
	rm -rf .venv .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build *.egg-info tests/node/node_modules \
		services/projections/board/node_modules services/projections/board/static/vendor
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
