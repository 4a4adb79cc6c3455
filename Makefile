# Two commands for a newcomer: `make demo` and `make test`. Everything else serves them.
# Another build of torch: make env TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin
# All but pages and prose, packaging, and what needs gradio, dask or a browser: those are of `make env`'s versions.
OLDEST_TESTS := $(filter-out $(addprefix tests/test_,$(addsuffix .py,app app_browser architecture benchmarks docs \
	doctor packaging readme recipes report_browser)),$(wildcard tests/test_*.py))

.PHONY: help env demo test coverage test-recipes test-slow test-oldest lint audit mutants bench reliability docs clean

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

env: .venv/.installed  ## The environment alone, in .venv

.venv/.system: .ci/system-libraries
	@bash .ci/system-libraries
	@mkdir -p .venv && touch $@

# Named by what TORCH says, so that another build is installed when another is asked for.
TORCH_STAMP := .venv/.torch-$(shell printf '%s' '$(TORCH)' | cksum | cut -d' ' -f1)

$(TORCH_STAMP): .venv/.system
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing $(TORCH) and what hiersep needs into .venv; this takes some minutes"
	$(BIN)/python -m pip install --quiet --upgrade "setuptools>=68,<81" wheel
	$(BIN)/python -m pip install --quiet $(TORCH)
	@rm -f .venv/.torch-* && touch $@

.venv/.installed: setup.py $(TORCH_STAMP)
	$(BIN)/python -m pip install --quiet --editable ".[render,effects,app,dev]"
	@touch $@

demo: env  ## Take songs apart by the shipped networks, and score them: out/demo/
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/demo/run.sh --exp_dir out/demo

test: env  ## The tests, within 10 minutes on 2 cores
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

coverage: env  ## The tests again, and which lines they reach
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --cov --cov-report=term:skip-covered

test-recipes: env  ## Every recipe at a size that shows only that it runs
	$(BIN)/python -m pytest -m recipe

test-slow: env  ## The tests that take longer
	$(BIN)/python -m pytest -m slow

# Without the extra `app`, whose gradio wants newer versions of what both need.
test-oldest: .venv/.system  ## The tests of formats, mathematics and command line, on the oldest versions that setup.py admits
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	$(PYTHON) .ci/oldest.py > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt setuptools wheel
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt \
	    --editable ".[render,effects]" "pytest>=8" "pytest-xdist>=3.6" "hypothesis>=6.100"
	.venv-oldest/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
	    -W ignore::DeprecationWarning -W ignore::FutureWarning $(OLDEST_TESTS)

lint: env  ## Format, style, types, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/codespell
	bash -n .ci/run recipes/*.sh recipes/*/run.sh .ci/system-libraries

audit: env  ## Known weaknesses of the installed packages, by what PyPI publishes
	$(BIN)/pip-audit --progress-spinner off --skip-editable

mutants: env  ## Change the mathematics sign by sign, and count what the tests notice; half an hour
	$(BIN)/python -m benchmarks.reliability.mutants

bench: env  ## Speed beside peers and floors
	@set -e; for file in benchmarks/[!_]*.py; do $(BIN)/python -m "benchmarks.$$(basename "$$file" .py)"; done

reliability: env  ## Faults, size and memory, as docs/reliability.md has them; some hours
	@set -e; for file in benchmarks/reliability/[!_]*.py; do $(BIN)/python -m "benchmarks.reliability.$$(basename "$$file" .py)"; done

docs: env  ## The guide, in site/
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:  ## What was built, not the environment
	rm -rf build dist site out mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage *.egg-info
