# What can be done here. `make` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Counting branches slows what is counted by half: unit tests alone must reach every one of the core's.
# A file of tests stays in one process, because its servers and results are shared within it; files are taken in the
# order in which they are named, the long ones first, so that no process ends long before the other.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
DATA ?= ../shared/data
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup run demo test check format lint types imports docs unit integration acceptance soak fuzz bench train nnunet-parity norms-trials audit-dependencies lock clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.runtime ## set up .venv with the command in it

run: setup ## start everything on embedded defaults (DICOM 11112, dashboard 8080)
	$(BIN)/myoscreen serve

demo: ## start everything and play the phantom (or SERIES=folder) through it; ONCE=1 ends when it came back
	@start=$$(date +%s); $(MAKE) --no-print-directory setup; echo "installation: $$(( $$(date +%s) - start )) s"
	$(BIN)/myoscreen demo $(if $(SERIES),--series "$(SERIES)") $(if $(ONCE),--once)

test: test-setup ## set up what tests need, and run every test
	$(PYTEST)

check: test-setup ## format, lint, types, import contracts, security lint, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --severity-level medium --configfile pyproject.toml --recursive service
	$(PYTEST) tests/unit --cov --cov-report=term
	$(PYTEST) tests/acceptance tests/integration

format: test-setup ## put the code into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: test-setup ## write the pages that are made from the code: conformance statement, table of oddities
	$(BIN)/python -m tests.make.conformance
	$(BIN)/python -m tests.make.quirks

unit: test-setup ## run the tests that touch memory only
	$(BIN)/python -m pytest tests/unit

soak: test-setup ## run what takes long: the crash matrix, SOAK_KILLS random kills, long outages, 50,000 instances, the self-test, every page in every look
	$(BIN)/python -m pytest tests/soak -s -v

fuzz: test-setup ## search for bytes on the wire, files and requests that break the service, FUZZ_SECONDS long each (120)
	$(BIN)/python -m tests.fuzz.wire --seconds $(or $(FUZZ_SECONDS),120)
	$(BIN)/python -m tests.fuzz.files --seconds $(or $(FUZZ_SECONDS),120)
	$(BIN)/python -m tests.fuzz.rest --seconds $(or $(FUZZ_SECONDS),120)

bench: test-setup ## measure, as ratios side by side in one run
	$(BIN)/python -m tests.bench

train: ## rebuild the network from DATA=folder (own environment, torch)
	test -x .venv-train/bin/python || $(PYTHON) -m venv .venv-train
	.venv-train/bin/pip install --quiet --upgrade pip
	.venv-train/bin/pip install --quiet --group training
	.venv-train/bin/python -m models.training.train --data "$(DATA)" --out build/train/synthetic
	.venv-train/bin/python -m models.training.train --data "$(DATA)" --out build/train/paraspinal --seed 2 \
	  --start build/train/synthetic/work/checkpoint.pt --iterations 1600 --rate 1e-3 --real-share 0.4

norms-trials: test-setup ## fitted reference tables on people of known scores, and beside R's VGAM
	$(BIN)/python -m tests.make.norm_trials

audit-dependencies: ## ask a public database of known faults about every pinned package (own environment, network)
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --upgrade pip
	.venv-audit/bin/pip install --quiet --group audit
	for set in runtime test build; do \
	  .venv-audit/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements/$$set.txt; done

nnunet-parity: ## compare imported networks with nnU-Net's own predictor (own environment, torch)
	test -x .venv-nnunet/bin/python || $(PYTHON) -m venv .venv-nnunet
	.venv-nnunet/bin/pip install --quiet --upgrade pip
	.venv-nnunet/bin/pip install --quiet --group nnunet-parity
	.venv-nnunet/bin/python -m models.training.nnunet_parity

lock: test-setup ## resolve the requirement files again
	$(BIN)/pip install --quiet uv
	for set in "runtime:pyproject.toml" "build:--group build" "test:pyproject.toml --group test --group build"; do \
	  $(BIN)/uv pip compile $${set#*:} --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --quiet $$([ $${set%%:*} = runtime ] || echo -c requirements/runtime.txt) \
	    --output-file requirements/$${set%%:*}.txt; done

clean: ## remove what was built (not the data of a running service)
	rm -rf $(VENV) .venv-train .venv-nnunet .venv-audit dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

.PHONY: test-setup
test-setup: $(VENV)/.test $(VENV)/.packages

$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { echo "Python cannot make environments here; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --require-hashes -r requirements/runtime.txt
	$(BIN)/pip install --quiet --require-hashes -r requirements/build.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.runtime
	$(BIN)/pip install --quiet --require-hashes -r requirements/test.txt
	@touch $@

$(VENV)/.packages: deploy/debian-packages.txt | $(VENV)/bin/python
	@PACKAGES="$$(grep -v '^#' $<)" bash tests/install_packages.sh
	@touch $@
