# Every target bootstraps what it needs into .venv of this checkout. Uses uv where it is installed, plain venv and pip where not.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# A stamp is keyed by the lock's content and the interpreter, so that a changed lock reinstalls and nothing else does.
key = $(shell (cat requirements/$(1).txt pyproject.toml; $(PYTHON) -VV) | sha256sum | cut -c1-16)
VENV_STAMP := $(VENV)/venv-$(shell $(PYTHON) -VV | sha256sum | cut -c1-16)
DEV_STAMP := $(VENV)/dev-$(call key,dev)
DEMO_STAMP := $(VENV)/demo-$(call key,demo)

# Tracing takes nearly twice the time: the suite is run with it once in the gate, and without it by people.
COV :=

# The JavaScript clients that the local Solana node must satisfy.
NODE_SVM := build/node-svm
NODE_SVM_STAMP := $(NODE_SVM)/installed-$(shell sha256sum tests/system/svm/node/package-lock.json | cut -c1-16)
# A real EVM node, and what compiles contracts for it.
NODE_EVM := build/node-evm
NODE_EVM_STAMP := $(NODE_EVM)/installed-$(shell sha256sum tests/system/evm/node/package-lock.json | cut -c1-16)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(DEMO_STAMP) ## Watch prices from a sandbox, break eight things, see each verdict turn and recover (about a minute)
	$(BIN)/python -m probekit.dev.demo

# Bytecode, the tests' own with rewritten assertions, is kept out of the tree: without it each worker spends half its start on it.
test: export PYTHONPYCACHEPREFIX := $(CURDIR)/build/pycache
test: export PYTHONDONTWRITEBYTECODE :=

.PHONY: test
test: $(DEV_STAMP) ## Run the test suite (no network beyond loopback, no root, under 5 minutes)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not system" $(COV) $(ARGS)

.PHONY: coverage
coverage: ## The same, and 90 % of all branches must have been taken
	@$(MAKE) --no-print-directory test COV="--cov --cov-report=term:skip-covered"

PYTHONS := 3.12 3.13
.PHONY: test-pythons
test-pythons: ## The same on the other supported Pythons found here (PYTHONS, 3.12 and 3.13), each in a venv of its own
	@for version in $(PYTHONS); do \
	  if python=$$(tests/packaging/find-python $$version); then \
	    $(MAKE) --no-print-directory test PYTHON=$$python VENV=.venv-$$version || exit 1; \
	  else echo "skipped: no Python $$version on this machine"; fi; \
	done

.PHONY: test-system
test-system: $(DEV_STAMP) $(if $(shell command -v npm),$(NODE_SVM_STAMP) $(NODE_EVM_STAMP)) ## Run the system tier: real components, real time
	$(BIN)/python -m pytest -m system $(ARGS) tests/system tests/fleet

.PHONY: node-svm
node-svm: $(NODE_SVM_STAMP) ## Install the JavaScript clients of the system tier (needs npm)

.PHONY: node-evm
node-evm: $(NODE_EVM_STAMP) ## Install anvil, the Solidity compiler and Pyth's contracts (needs npm)

.PHONY: lint
lint: $(DEV_STAMP) ## Ruff: lint and format check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(DEV_STAMP) ## mypy strict on src, probes and tests; pyright on the public surface
	$(BIN)/mypy
	$(BIN)/pyright --warnings

.PHONY: lint-ansible
lint-ansible: $(DEV_STAMP) ## ansible-lint, profile production, on the collection
	mkdir -p build/collections/ansible_collections/probekit
	ln -sfn ../../../../ansible build/collections/ansible_collections/probekit/fleet
	cd ansible && PATH="$(CURDIR)/$(BIN):$$PATH" ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/build/collections ANSIBLE_HOME=$(CURDIR)/build/ansible \
	  $(CURDIR)/$(BIN)/ansible-lint --offline --profile production --nocolor -q

.PHONY: contracts
contracts: $(DEV_STAMP) ## Import contracts: floors, pure core, independent checks
	$(BIN)/lint-imports

.PHONY: bench
bench: $(DEV_STAMP) ## Benchmarks against named peers; writes build/bench.json (BENCH_ARGS=--smoke for shape only)
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

.PHONY: docs
docs: $(DEV_STAMP) ## Build the documentation into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.PHONY: extras
extras: $(DEV_STAMP) ## Install the wheel with each extra alone and import what it promises
	$(BIN)/python tests/packaging/extras.py

.PHONY: dist
dist: $(DEV_STAMP) ## Build dist/: the wheel, an executable per dependency profile, a launcher per probe, their manifest
	$(BIN)/python -m probekit.dev.artifacts $(DIST_ARGS)

.PHONY: format
format: $(DEV_STAMP) ## Format and fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: ## Recompile requirements/*.txt, with hashes and without registry addresses (needs uv)
	for name in dev demo core evm solana full; do \
	  if [ $$name = dev ]; then same=; else same="--constraint requirements/dev.txt"; fi; \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	    --no-emit-package probekit $$same requirements/$$name.in --output-file requirements/$$name.txt && \
	  sed -i '/^-e /d' requirements/$$name.txt || exit 1; \
	done

.PHONY: clean
clean: ## Remove what the targets made
	rm -rf $(VENV) .venv-3.12 .venv-3.13 build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# Another interpreter makes another venv: the old one's packages would be run by the old Python.
$(VENV_STAMP):
	if command -v uv >/dev/null; then uv venv --quiet --seed --clear --python $(PYTHON) $(VENV); \
	else $(PYTHON) -m venv --clear $(VENV); fi
	touch $@

define install_node
	mkdir -p $(1)
	cp $(2)/package.json $(2)/package-lock.json $(1)/
	npm ci --prefix $(1) --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved=true
	rm -f $(1)/installed-*
	touch $@
endef

$(NODE_SVM_STAMP):
	$(call install_node,$(NODE_SVM),tests/system/svm/node)

$(NODE_EVM_STAMP):
	$(call install_node,$(NODE_EVM),tests/system/evm/node)

# The lock is the whole closure: nothing is left for a resolver to choose.
define install
	if command -v uv >/dev/null; then \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/$(1).txt && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/$(1).txt && \
	  $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .; \
	fi
	rm -f $(VENV)/$(1)-????????????????
	touch $@
endef

$(DEV_STAMP): $(VENV_STAMP)
	$(call install,dev)

$(DEMO_STAMP): $(VENV_STAMP)
	$(call install,demo)
