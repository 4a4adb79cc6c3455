# Two commands for a newcomer: `make demo` and `make test`. Everything else serves them.
# Another build of torch: make TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cu128" env

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin

.PHONY: help env demo test test-slow lint bench docs clean

help:  ## Say what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s $$'\t'

env: .venv/.installed  ## The environment alone, in .venv

.venv/.system: .ci/system-libraries
	@bash .ci/system-libraries
	@mkdir -p .venv && touch $@

.venv/.installed: setup.py .venv/.system
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "setuptools>=68,<81" wheel
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable ".[render,dev]"
	@touch $@

demo: env  ## Render songs, train a small network, separate and score held-out songs: out/demo/
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/rendered/run.sh --conf recipes/rendered/conf/demo.yml --exp_dir out/demo

test: env  ## The tests, within 10 minutes on 2 cores
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

test-slow: env  ## The tests that take longer
	$(BIN)/python -m pytest -m slow

lint: env  ## Format, style, types, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/codespell
	bash -n .ci/run recipes/*/run.sh .ci/system-libraries

bench: env  ## Speed beside peers and floors
	@set -e; for file in benchmarks/[!_]*.py; do $(BIN)/python -m "benchmarks.$$(basename "$$file" .py)"; done

docs: env  ## The guide, in site/
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/mkdocs build --strict

clean:  ## What was built, not the environment
	rm -rf build dist site out .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage *.egg-info
