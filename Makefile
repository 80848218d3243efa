# Everything a developer does here, and what CI does: `make help` lists it.
# The first target that needs it makes .venv, from pinned requirements; afterwards that costs nothing.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
IMAGE ?= millstream
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
# tests/sharding.py says what runs in one process, and how many there are.
# A process that ends ends the run: with a process in its place, xdist waits for ever for the groups of the first.
SIDE_BY_SIDE := -n auto --dist loadgroup --max-worker-restart=0
# What benchmarks have measured, a line of JSON each.
MEASURED ?= benchmarks/measured.jsonl
# The tool that writes the pins has its own environment, and is pinned too.
UV_VERSION := 0.13.9
UV := $(VENV)/uv/bin/uv
SUPPLY_CHAIN := $(VENV)/supply-chain

.DEFAULT_GOAL := help
.PHONY: help setup up demo fmt lint types test chaos generate docs pictures bench bench-long bench-peers capacity soak build image requirements advisories sbom clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv and install everything into it
	@:

up: $(INSTALLED) ## Run the whole system here until Ctrl-C
	@$(BIN)/millstream up $(ARGS)

demo: $(INSTALLED) ## See the whole system at work, in about a minute
	@$(BIN)/millstream demo $(ARGS)

fmt: $(INSTALLED) ## Format the code, and mend what can be mended
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

lint: $(INSTALLED) ## Check style, spelling and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/lint-imports

# The examples are checked as users check their own code: strictly, and by two type checkers. Those for web frameworks
# that are not installed here are left out.
types: $(INSTALLED) ## Check types, and that tests and benchmarks use no name that is gone
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini
	$(BIN)/mypy --config-file= --strict --cache-dir .mypy_cache/examples \
		--exclude 'examples/web_(django|fastapi|flask)' examples
	$(BIN)/basedpyright --pythonpath $(BIN)/python

test: $(INSTALLED) ## Run all tests, side by side; or, in one process, what ARGS="tests/streams -k drain -x" says to pytest
	$(BIN)/pytest $(or $(ARGS),$(SIDE_BY_SIDE))

chaos: export PYTHONPATH := tests
chaos: $(INSTALLED) ## Break everything and see whether promises hold; SCENARIO=zombie CHAOS_SECONDS=120 CHAOS_SEED=1
	@$(BIN)/python -m chaos $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(CHAOS_SECONDS),--seconds $(CHAOS_SECONDS)) \
		$(if $(CHAOS_SEED),--seed $(CHAOS_SEED)) $(ARGS)

generate: docs ## Write anew all that is made: SyncClient, pages of docs/, the alerts for Kubernetes
	$(BIN)/python libs/sdk/write_sync_client.py
	$(BIN)/python deploy/k8s/monitoring/write_rule.py

pictures: export PYTHONPATH := tests
pictures: $(INSTALLED) ## Take the pictures of docs/console.md anew
	@$(BIN)/python -m console.pictures

docs: $(INSTALLED) ## Write the pages of docs/ anew that are made from the code
	$(BIN)/python -m millstream_cli.configuration_page > docs/configuration.md
	$(BIN)/python -m millstream_cli.options_page > docs/handlers/options.md

bench: $(INSTALLED) ## Measure throughput and latency, and say how far each figure is from its target
	$(BIN)/python benchmarks --save $(MEASURED) $(ARGS)

bench-long: $(INSTALLED) ## Measure what takes minutes: the cost of a job as the system grows
	$(BIN)/python benchmarks scale --save $(MEASURED) $(ARGS)

bench-peers: $(INSTALLED) ## Measure our peers and us in turn; the first run installs them
	$(BIN)/python benchmarks/peers $(ARGS)

capacity: $(INSTALLED) ## Compute docs/capacity.md from what `make bench` measured
	$(BIN)/python benchmarks capacity --save $(MEASURED) $(ARGS)

soak: $(INSTALLED) ## See whether a million jobs leave anything behind
	$(BIN)/python benchmarks soak --jobs 1000000 $(ARGS)

build: $(INSTALLED) ## Build the wheel and the source archive into dist/
	$(BIN)/hatchling build

image: ## Build the container image of all services; TARGET=demo IMAGE=millstream-demo: one that needs no Redis
	docker build --tag $(IMAGE) $(if $(TARGET),--target $(TARGET)) --build-arg VERSION=$(VERSION) \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null) .

# Pins that are there are kept; ARGS=--upgrade takes the newest of all.
requirements: $(UV) ## Write requirements/*.txt anew from pyproject.toml
	$(call pin,dev.txt,pyproject.toml --extra all --group dev)
	$(call pin,all.txt,pyproject.toml --extra all --constraints requirements/dev.txt)
	$(call pin,services.txt,pyproject.toml --extra services --constraints requirements/dev.txt)
	$(call pin,build.txt,--group build --constraints requirements/dev.txt)
	$(call pin,supply-chain.txt,--group supply-chain)

# Without addresses of an index: each machine has its own.
define pin
$(UV) pip compile $(2) --output-file requirements/$(1) --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command 'make requirements' $(ARGS)
endef

# Of what the image installs. --strict: what cannot be looked up is no reason to call it well.
advisories: $(SUPPLY_CHAIN) ## Compare the pinned dependencies with known vulnerabilities; it asks PyPI
	$(SUPPLY_CHAIN)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		$(foreach one,all services build,--requirement requirements/$(one).txt)

sbom: $(SUPPLY_CHAIN) ## Write a bill of materials of what the image installs: dist/millstream.cdx.json
	@mkdir -p dist
	$(SUPPLY_CHAIN)/bin/cyclonedx-py requirements requirements/services.txt --pyproject pyproject.toml \
		--output-reproducible --output-format JSON --output-file dist/millstream.cdx.json

clean: ## Remove what was installed, built and cached; jobs in .millstream stay
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find libs services tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Millstream needs Python 3.11 or later, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another one: make $(or $(MAKECMDGOALS),setup) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }
	@echo "Installing into $(VENV); this happens once."
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(SUPPLY_CHAIN): requirements/supply-chain.txt
	$(PYTHON) -m venv --clear $@
	$@/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(UV):
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
