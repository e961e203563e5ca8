# The whole developer interface. Needs Python 3.11 or newer with venv and pip, git and make; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EVENTS ?= events
# Where it is set, each of pytest's workers and each process that a test starts compiles every module and rewrites every
# assert anew: 9 s of CPU time to collect the tests in each worker, instead of 4.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
# Most tests wait for a client or a process most of their time, so there are more workers than cores.
WORKERS ?= $(shell echo $$(( 2 * $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) )))
# The tests on the real Pulumi engine stand together and take a minute each: who is done first takes some of them over.
PARALLEL := -n $(WORKERS) --dist worksteal
MESSAGES ?= 10000
FUZZ ?= 10000
# Whole apps, processes, hanging servers, type checkers and long searches: most of the time of all tests, few of their number.
THOROUGH := tests/blackholes tests/dev tests/e2e tests/emulators/functions_host tests/emulators/sqs_lambda \
  tests/emulators/test_command.py tests/infra tests/bundle/test_build.py \
  tests/core/test_model.py tests/core/test_properties.py tests/stores/test_defects.py tests/stores/test_machine.py \
  tests/stores/test_sqlite.py tests/test_events.py tests/test_plugin.py tests/test_typing.py tests/test_wheels.py
PYTHONS ?= 3.12 3.13
JS := build/js/node_modules
PEER := build/peer/bin/cloud-tasks-emulator
PEER_VERSION := 0.1.3
PULUMI := build/pulumi/pulumi
PULUMI_VERSION := 3.274.1

SDK := build/sdk

.PHONY: help replay test pythons slow sdk-tests sdk-tests-go fuzz servers redis soak lint coverage coverage-rest bench js peer pulumi infra-test lock clean

help: ## Say what each target does
	@echo "make replay    set up, then run the sample events through the example handlers"
	@echo "make test      set up, then run the tests"
	@echo "make slow      whole apps, processes and hanging servers; the large model, planted faults, 100,000 mutated events, a small soak"
	@echo "make pythons   the tests of the core and the platforms on Python 3.12 and 3.13, where they are"
	@echo "make fuzz      mutated sample events through every entry point; FUZZ=n events a platform, FUZZ_SEED=n"
	@echo "make servers   the stores on dynalite, azurite, redis-server and Google's Firestore emulator; Pub/Sub on Google's own"
	@echo "make infra-test  the infrastructure on the real Pulumi engine; needs Go or pulumi"
	@echo "make sdk-tests  the own tests of azure-servicebus, against our emulator; SDK_FILES=patterns"
	@echo "make sdk-tests-go  those of Go's azservicebus"
	@echo "make soak      10,000 messages on each cloud while everything goes wrong; MESSAGES=n, SOAK_SEED=n"
	@echo "make lint      ruff, mypy, pyright, import-linter"
	@echo "make coverage  the tests with branch coverage, and its floors"
	@echo "make bench     side by side with the peers; writes build/bench.json"
	@echo "make lock      renew the lock files; LOCK_ARGS=--upgrade for newer releases"
	@echo "make clean     remove what the others made"

$(BIN)/python:
	@echo "== making a virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "peeklock needs Python 3.11 or newer, not " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

# Two stamps in one environment: the few packages of a replay, and on top of them those of the tests. The locks are
# whole, so pip resolves nothing (--no-deps): left to resolve, it may want a release newer than the lock's.
$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "== installing what a replay needs (about 10 seconds)"
	@$(PIP) install --require-hashes --no-deps -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable . --editable src/cloudqueues
	@touch $@

$(VENV)/.dev: requirements/dev.txt requirements/azure-worker.txt $(VENV)/.run
	@echo "== installing what the tests need (about a minute, once)"
	@mkdir -p build && awk '/^uv==/ { on = 1 } on { print } on && !/\\$$/ { exit }' requirements/dev.txt >build/uv.txt
	@{ $(PIP) install --require-hashes --no-deps -r build/uv.txt \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements/dev.txt; } \
	  || $(PIP) install --require-hashes --no-deps -r requirements/dev.txt  # where uv cannot be had, or knows no index that pip knows
	@$(PIP) install --require-hashes --no-deps --ignore-requires-python -r requirements/azure-worker.txt
	@touch $@

replay: $(VENV)/.run ## Run the sample events through the example handlers
	@echo "== replaying $(EVENTS)/ through the example handlers"
	@$(BIN)/peeklock replay $(EVENTS)

test: $(VENV)/.dev ## Run the tests
	@echo "== testing (about 90 seconds), without whole apps, servers and the infrastructure: make slow, servers and infra-test have those"
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not servers" $(addprefix --ignore=,$(THOROUGH)) $(PYTEST_ARGS)

slow: $(VENV)/.dev $(JS) redis ## Run the slow tests
	@echo "== running the slow tests (about 15 minutes without the planted faults)"
	@$(BIN)/python -m pytest $(PARALLEL) -m slow --timeout=900 $(PYTEST_ARGS)
	@$(if $(THOROUGH),$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not servers" $(THOROUGH))

fuzz: $(VENV)/.dev ## Mutated sample events, and the laws that hold for each
	@echo "== fuzzing: $(FUZZ) events a platform (about a minute for 10,000)"
	@$(BIN)/python -m tests.fuzz --events $(FUZZ) $(if $(FUZZ_SEED),--seed $(FUZZ_SEED))

# The core and the platforms on the other Pythons of the classifiers, each in an environment of its own.
pythons: $(VENV)/.dev ## The tests of the core and the platforms, on every other Python that is here
	@for version in $(PYTHONS); do \
	  python=$$(for path in python$$version $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python; do \
	    $$path -c 'import sys; print(sys.executable)' 2>/dev/null && break; done) || { echo "== no Python $$version here"; continue; }; \
	  $(MAKE) --no-print-directory VENV=build/python/$$version PYTHON=$$python build/python/$$version/.dev || exit 1; \
	  echo "== testing on Python $$version"; \
	  build/python/$$version/bin/python -m pytest $(PARALLEL) -m "not slow and not servers" tests/core tests/platforms --junitxml=build/python/$$version.xml $(PYTEST_ARGS) || exit 1; \
	done

servers: $(VENV)/.dev $(JS) redis pulumi ## The stores on every server that there is
	@echo "== the stores on dynalite, azurite, redis-server and Google's Firestore emulator; Pub/Sub on Google's own"
	@$(BIN)/python -m pytest $(PARALLEL) -m "servers and not slow" $(PYTEST_ARGS)

# The SDK's source distribution has them: that of the release, and with the hash, that the lock has.
sdk-tests: $(VENV)/.dev $(SDK)/.made ## The own tests of azure-servicebus, against our emulator
	@echo "== the own tests of azure-servicebus (about 10 minutes; those of its administration clients half a minute)"
	@$(BIN)/python -m tests.sdk $(SDK)/venv $(SDK)/source/tests $(SDK_FILES)

$(SDK)/.made: requirements/sdk-tests.txt requirements/dev.txt | $(VENV)/.dev
	@echo "== fetching the tests of azure-servicebus, and what they need"
	@rm -rf $(SDK) && mkdir -p $(SDK)/source && $(BIN)/python -m venv $(SDK)/venv
	@$(SDK)/venv/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes --no-deps -r requirements/sdk-tests.txt
	@awk '/^azure-servicebus==/ { on = 1 } on { print } on && !/\\$$/ { exit }' requirements/dev.txt >$(SDK)/source.txt
	@$(SDK)/venv/bin/python -m pip --disable-pip-version-check --quiet download --require-hashes --no-deps --no-build-isolation \
	  --no-binary azure-servicebus --dest $(SDK) -r $(SDK)/source.txt
	@tar -xzf $(SDK)/azure_servicebus-*.tar.gz -C $(SDK)/source --strip-components 1
	@touch $@

# Its module has them; go.sum says which.
GO_SDK := build/sdk-go
sdk-tests-go: $(VENV)/.dev ## The own tests of Go's azservicebus, against our emulator; needs Go, and root for port 443
	@command -v go >/dev/null || { echo "Go is needed: https://go.dev/dl/"; exit 1; }
	@echo "== the own tests of Go's azservicebus (about 5 minutes)"
	@rm -rf $(GO_SDK)/source && mkdir -p $(GO_SDK) && root=$$PWD/build/go; export GOCACHE=$$root/cache GOMODCACHE=$$root/mod GOFLAGS=-modcacherw; \
	  folder=$$(cd tools/azservicebus && go mod download && go list -m -f '{{.Dir}}' github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus) \
	  && cp -r "$$folder" $(GO_SDK)/source && chmod -R u+w $(GO_SDK)/source \
	  && $(BIN)/python -m tests.sdk.golang $(GO_SDK)/source $(GO_SDK)/results.jsonl

# Debian's server, where it is not installed and we may install it.
redis:
	@command -v redis-server >/dev/null || { echo "== installing redis-server"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >build/redis.log 2>&1; } \
	  || { echo "redis-server is needed: install it with your system's packages"; exit 1; }

soak: $(VENV)/.dev ## Thousands of messages on each cloud, with all faults
	@echo "== the soak: $(MESSAGES) messages on each cloud (about an hour for 10,000)"
	@SOAK_MESSAGES=$(MESSAGES) $(BIN)/python -m pytest tests/soak -m slow -s -p no:xdist --timeout=7200 -k nothing_is_lost $(PYTEST_ARGS)

# Clients of the Service Bus emulator and servers of stores, each a second opinion.
js: $(JS) ## Install the clients and servers in JavaScript; needs node and npm

$(JS): tests/js/package.json tests/js/package-lock.json
	@echo "== installing clients and servers in JavaScript"
	@mkdir -p build/js && cp $^ build/js/ && cd build/js && npm ci --silent --no-audit --no-fund && touch node_modules

# The Rust crate that the Cloud Tasks emulator is measured against; nothing, where there is no cargo.
peer: ## Build the peer of the Cloud Tasks benchmark, where cargo is
	@test -x $(PEER) || { cargo=$$(command -v cargo || ls $$HOME/.cargo/bin/cargo 2>/dev/null) || exit 0; \
	  echo "== building the Rust peer (about 5 minutes, once)"; \
	  mkdir -p build && $$cargo install --quiet --locked --root build/peer cloud-tasks-emulator --version $(PEER_VERSION) >build/peer.log 2>&1 \
	  || { tail -5 build/peer.log; echo "the peer does not build here: measured without it"; }; }

# The one on PATH, or one built from its Go module: about 5 minutes, once. What Go keeps for that is in build/go.
pulumi: ## Have the Pulumi CLI; needs pulumi or Go
	@command -v pulumi >/dev/null || test -x $(PULUMI) || { \
	  command -v go >/dev/null || { echo "pulumi or Go is needed: https://www.pulumi.com/docs/iac/download-install/ or https://go.dev/dl/"; exit 1; }; \
	  echo "== building pulumi $(PULUMI_VERSION) (about 5 minutes, once)"; mkdir -p build/pulumi; \
	  root=$$PWD; cd tools/pulumi && GOCACHE=$$root/build/go/cache GOMODCACHE=$$root/build/go/mod GOFLAGS=-modcacherw \
	  go build -v -trimpath -tags osusergo,grpcnotrace -o $$root/$(PULUMI) \
	    -ldflags "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v$(PULUMI_VERSION)" \
	    github.com/pulumi/pulumi/pkg/v3/cmd/pulumi 2>$$root/build/pulumi.log & built=$$!; \
	  while kill -0 $$built 2>/dev/null; do sleep 10; echo "   $$(wc -l <$$root/build/pulumi.log) modules and packages"; done; \
	  wait $$built || { tail -5 $$root/build/pulumi.log; exit 1; }; }

infra-test: $(VENV)/.dev pulumi ## The infrastructure, on the real Pulumi engine too
	@echo "== the infrastructure, on the real Pulumi engine too (about 5 minutes)"
	@$(BIN)/python -m pytest $(PARALLEL) tests/infra tests/dev/test_infra.py $(PYTEST_ARGS)

lint: $(VENV)/.dev ## Check style, types and imports
	@echo "== ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@mkdir -p build
	@echo "== mypy"; $(BIN)/mypy
	@echo "== pyright (needs node)"; PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@echo "== import-linter"; $(BIN)/lint-imports --no-cache >build/imports.log 2>&1 || { cat build/imports.log; exit 1; }

coverage: $(VENV)/.dev $(JS) redis pulumi ## Run the tests with branch coverage
	@echo "== testing with branch coverage (about 6 minutes)"
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow" --cov --cov-report= $(PYTEST_ARGS)
	@$(BIN)/python tests/coverage_floors.py

# What `make test PYTEST_ARGS="--cov --cov-report="` left to measure; CI need not run anything twice.
coverage-rest: $(VENV)/.dev $(JS) redis pulumi
	@echo "== testing the rest with branch coverage"
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not servers" $(THOROUGH) --cov --cov-append --cov-report= --junitxml=build/thorough.xml $(PYTEST_ARGS)
	@$(BIN)/python -m pytest $(PARALLEL) -m "servers and not slow" --cov --cov-append --cov-report= --junitxml=build/servers.xml $(PYTEST_ARGS)
	@$(BIN)/python tests/coverage_floors.py

bench: $(VENV)/.dev peer ## Measure against the peers
	@mkdir -p build
	@echo "== benchmarks, side by side in one run (about 5 minutes)"
	@test ! -x $(PEER) || export PEEKLOCK_CT_PEER=$(PEER); $(BIN)/python -m benchmarks

UV := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-emit-index-url --no-annotate
# Of one Python and platform each, as pip judges markers by the machine that it runs on; see docs/bundle.md.
LOCK_aws := --extra pydantic --extra sqs --extra dynamodb --extra powertools --python-version 3.13 --python-platform aarch64-manylinux_2_28
LOCK_azure := --extra pydantic --extra servicebus --extra tables --python-version 3.12 --python-platform x86_64-manylinux_2_28
LOCK_gcp := --extra pydantic --extra cloudtasks --extra pubsub --extra firestore --python-version 3.13 --python-platform x86_64-manylinux_2_28

lock: $(VENV)/.dev ## Renew the lock files; LOCK_ARGS=--upgrade for newer releases
	$(UV) --universal --python-version 3.11 --group run $(LOCK_ARGS) -o requirements/run.txt
	$(UV) --universal --python-version 3.11 --group dev -c requirements/run.txt $(LOCK_ARGS) -o requirements/dev.txt
	printf '%s\n' azure-functions-runtime==1.3.0 azurefunctions-extensions-bindings-servicebus==1.0.0b2 uamqp==1.6.11 | $(UV) --no-deps --python-version 3.13 $(LOCK_ARGS) -o requirements/azure-worker.txt -
	$(UV) --universal --python-version 3.11 -c requirements/dev.txt $(LOCK_ARGS) -o requirements/sdk-tests.txt requirements/sdk-tests.in
	$(UV) --universal --python-version 3.11 infra/policy/requirements.txt $(LOCK_ARGS) -o infra/policy/requirements-lock.txt
	$(UV) pyproject.toml $(LOCK_aws) $(LOCK_ARGS) -o handlers/aws_sqs/requirements-lock.txt
	$(UV) pyproject.toml $(LOCK_azure) $(LOCK_ARGS) -o handlers/azure_servicebus/requirements-lock.txt
	$(UV) pyproject.toml $(LOCK_gcp) $(LOCK_ARGS) -o handlers/gcp_cloudtasks/requirements-lock.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) build .peeklock .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
