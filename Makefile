# Tenure. Needs python3 >= 3.11 with venv, make and a package index; everything else comes from the locks.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.tenure-installed
LOCKS := requirements-build.txt requirements.txt requirements-local.txt requirements-dev.txt
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes
CORE := tests plugins/tenure/lifecycle plugins/tenure/layout.py plugins/tenure/verdicts.py plugins/tenure/vocabulary.py --doctest-modules
PROMPT := (not fault or quick) and not fault_root and not soak and not browser and not oncall
DAILY := $(PROMPT) and not exhaustive
PYTEST := $(BIN)/python -u -m pytest -q --durations=15 --durations-min=1
# What a run printed is kept: an interpreter that dies says where only once.
KEPT = 2>&1 | tee .pytest_cache/$$(date +%Y%m%d-%H%M%S)-$@.log
# In the order of tests/conftest.py: the files with many tests are not the ones that take long.
# Three on two cores: the first lives a life on a stack, which often waits. Of the exhaustive ones
# three do, one after another, so a fourth does the rest meanwhile.
WORKERS := -n 3 --max-worker-restart=2 --dist loadfile --no-loadscope-reorder
ONCE ?=
# For example `--cov --cov-report=term:skip-covered`: a quarter more processor time.
COVERAGE ?=
PYTEST_ARGS ?=

# A process that dies of a signal, one that a test starts as well, says where it was.
export PYTHONFAULTHANDLER := 1
# Some machines set this; it costs a third of every collection and of every process that a test starts.
unexport PYTHONDONTWRITEBYTECODE

SHELL := bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install check test test-all test-exhaustive test-unit test-browser screenshots demo up down docs lock clean \
	fault-test fault-test-root oncall-test soak check-format check-lint check-types check-imports check-image check-configs

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

install: $(STAMP) ## Make .venv from the locks (seconds when nothing changed)

# uv knows nothing of pip's own settings, so the index and the certificates are handed over.
$(STAMP): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make install: $(PYTHON) must be Python 3.11 or newer with its venv module" >&2; exit 2; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)  # one that was cut short too
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.txt
	@set -eu; \
	index=$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null || true)}; \
	if [ -n "$$index" ] && [ -z "$${UV_DEFAULT_INDEX:-}" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	if [ -n "$${PIP_CERT:-}" ] && [ -z "$${SSL_CERT_FILE:-}" ]; then export SSL_CERT_FILE="$$PIP_CERT"; fi; \
	export VIRTUAL_ENV="$(CURDIR)/$(VENV)"; \
	echo "Installing the locked packages into $(VENV); the first time takes about a minute."; \
	$(BIN)/uv pip install --quiet --require-hashes --compile-bytecode \
		-r requirements.txt -r requirements-local.txt -r requirements-dev.txt; \
	$(BIN)/uv pip install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

check: $(STAMP) ## Format, lint, types, import contracts, image, configs
	@$(MAKE) --no-print-directory -k -j4 --output-sync=target \
		check-types check-imports check-format check-lint check-image check-configs

check-format:
	$(BIN)/ruff format --check .

check-lint:
	$(BIN)/ruff check .

check-types:
	$(BIN)/mypy

check-imports:
	$(BIN)/lint-imports --no-logo

check-image:
	$(BIN)/hadolint Dockerfile

check-configs:
	$(BIN)/tenure check

test-unit: $(STAMP) ## The pure core, in seconds
	$(BIN)/python -m pytest -q $(CORE) -m "not airflow and not service and not e2e and $(DAILY)" $(PYTEST_ARGS)

test: $(STAMP) ## Every kind of test but the browser; says what takes longest
	@mkdir -p .pytest_cache
	$(PYTEST) $(WORKERS) $(CORE) -m "$(DAILY)" $(COVERAGE) $(PYTEST_ARGS) $(KEPT)

test-all: test test-exhaustive ## The same, then whole grids and properties with many examples

test-exhaustive: $(STAMP) ## Only what `test-all` has beyond `test`
	@mkdir -p .pytest_cache
	$(PYTEST) $(WORKERS) -n 4 -m "(exhaustive or hypothesis) and $(PROMPT)" \
		--hypothesis-profile=exhaustive --timeout=1200 $(PYTEST_ARGS) $(KEPT)

test-browser: $(STAMP) ## What a person sees, in Chromium
	$(BIN)/python -m pytest -q -m browser $(PYTEST_ARGS)

screenshots: $(STAMP) ## Every page at 1280 and 400 px, light and dark, into build/screenshots
	rm -rf build/screenshots
	TENURE_SCREENSHOTS=build/screenshots $(BIN)/python -m pytest -q -m browser -k pictured tests/web/test_screens.py
	@echo "The pictures lie in build/screenshots; open each of them."

fault-test: $(STAMP) ## Faults injected into real processes, one after another
	$(BIN)/python -m pytest -q -m fault $(PYTEST_ARGS)

fault-test-root: $(STAMP) ## Faults that need the kernel's help: root, mounts, network namespaces
	$(BIN)/python -m pytest -q -m fault_root $(PYTEST_ARGS)

oncall-test: $(STAMP) ## Twenty faults at random, mended by a robot that has only the incident pages
	$(BIN)/python -m pytest -q -s -m oncall $(PYTEST_ARGS)

soak: $(STAMP) ## Fifteen minutes of steady load on gateways that are restarted in turn
	$(BIN)/python -m pytest -q -s -m soak $(PYTEST_ARGS)

demo: $(STAMP) ## The whole life of one model on real data (ONCE=1 stops afterwards; STORY=full adds two models)
	@ONCE="$(ONCE)" exec $(BIN)/tenure demo

up: $(STAMP) ## The embedded stack in the foreground
	@exec $(BIN)/tenure up

down: $(STAMP) ## End what is left of the stack
	@exec $(BIN)/tenure down

docs: $(STAMP) ## Write the tables of docs/models.md anew
	$(BIN)/python tests/builders/config_reference.py

lock: $(STAMP) ## Resolve the *.in files anew
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-local.in -o requirements-local.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) requirements-build.in -o requirements-build.txt

clean: ## Remove what the tools leave behind; keeps .venv and var/
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage plugins/*.egg-info
	find dags plugins tests include -name __pycache__ -type d -prune -exec rm -rf {} +
