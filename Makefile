# The whole developer interface. Needs Python 3.11 or newer with venv and pip, git and make; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EVENTS ?= events

.DEFAULT_GOAL := help
.PHONY: help replay test slow lint coverage bench lock clean

help: ## Say what each target does
	@echo "make replay    set up, then run the sample events through the example handlers"
	@echo "make test      set up, then run the tests"
	@echo "make slow      the tests that take minutes: the large model, deep property tests"
	@echo "make lint      ruff, mypy, pyright, import-linter"
	@echo "make coverage  the tests with branch coverage, and its floors"
	@echo "make bench     side by side with aws-lambda-powertools; writes build/bench.json"
	@echo "make lock      renew requirements/*.txt"
	@echo "make clean     remove what the others made"

$(BIN)/python:
	@echo "== making a virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "peeklock needs Python 3.11 or newer, not " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

# Two stamps in one environment: the few packages of a replay, and on top of them those of the tests.
$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "== installing what a replay needs (about 10 seconds)"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt requirements/azure-worker.txt $(VENV)/.run
	@echo "== installing what the tests need (about 2 minutes, once)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --require-hashes --no-deps --ignore-requires-python -r requirements/azure-worker.txt
	@touch $@

replay: $(VENV)/.run ## Run the sample events through the example handlers
	@echo "== replaying $(EVENTS)/ through the example handlers"
	@$(BIN)/peeklock replay $(EVENTS)

test: $(VENV)/.dev ## Run the tests
	@echo "== testing (about 2 minutes)"
	@$(BIN)/python -m pytest -n auto -m "not slow" $(PYTEST_ARGS)

slow: $(VENV)/.dev ## Run the slow tests
	@echo "== running the slow tests (about 5 minutes)"
	@$(BIN)/python -m pytest -n auto -m slow --timeout=900 $(PYTEST_ARGS)

lint: $(VENV)/.dev ## Check style, types and imports
	@echo "== ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@mkdir -p build
	@echo "== mypy"; $(BIN)/mypy
	@echo "== pyright (needs node)"; PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@echo "== import-linter"; $(BIN)/lint-imports --no-cache >build/imports.log 2>&1 || { cat build/imports.log; exit 1; }

coverage: $(VENV)/.dev ## Run the tests with branch coverage
	@echo "== testing with branch coverage (about 3 minutes)"
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n auto -m "not slow" --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/python tests/coverage_floors.py

bench: $(VENV)/.dev ## Measure against the peers
	@mkdir -p build
	@echo "== benchmarks, side by side in one run (about 2 minutes)"
	@$(BIN)/python -m benchmarks

lock: ## Renew the lock files; needs uv
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --group run -o requirements/run.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --group dev -c requirements/run.txt -o requirements/dev.txt
	echo "azure-functions-runtime==1.3.0" | uv pip compile --quiet --no-deps --python-version 3.13 --generate-hashes --no-header --no-emit-index-url --no-annotate - -o requirements/azure-worker.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
