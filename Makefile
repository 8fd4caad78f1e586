# `make run` and `make test` are all that is needed; the first of them sets up what both need.

PYTHON   ?= python3
TOPOLOGY ?= topologies/clinic.yaml
KILLS    ?= 300

BIN   := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow kills bench fidelity agreement lint format schema clean

help:
	@echo "make setup      create .venv with everything that simlab needs"
	@echo "make run        bring a small department to life, and report on it (TOPOLOGY=$(TOPOLOGY))"
	@echo "make test       run the tests, without the slow ones, two files at a time"
	@echo "make test-slow  run the slow tests"
	@echo "make kills      kill the archive at random points under load, KILLS=$(KILLS) times for each durability"
	@echo "make bench      measure simlab and its peers side by side: about an hour (BENCH=--quick to try it)"
	@echo "make fidelity   hold the relay against the kernel's TCP and theory: 27 minutes, root (FIDELITY=--quick to try it)"
	@echo "make agreement  hold the virtual world against live runs: about 50 minutes, on an idle machine (AGREEMENT=--quick to try it)"
	@echo "make lint       check style and types"
	@echo "make format     put the code into its style"
	@echo "make schema     write the JSON schema of topology files anew"
	@echo "make clean      remove .venv and caches; the folder runs/ stays"

setup: $(STAMP)
	@:

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "simlab needs Python 3.11 or later, and $(PYTHON) is not; try: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up .venv; the first time, this takes a minute or two."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[notebooks,tests]"
	@touch $@

run: setup
	@$(BIN)/simlab run $(TOPOLOGY)

test: setup
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest -m slow

kills: setup
	SIMLAB_KILLS=$(KILLS) $(BIN)/python -m pytest tests/durability/test_kills.py

bench: setup
	$(BIN)/python -m benchmarks --json runs/bench.json $(BENCH)

fidelity: setup
	$(BIN)/python -m benchmarks.fidelity --json runs/fidelity.json $(FIDELITY)

agreement: setup
	$(BIN)/python -m benchmarks.agreement --json runs/agreement.json --pictures runs/agreement $(AGREEMENT)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schema: setup
	@$(BIN)/python -m simlab.nodes.schema

clean:
	rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find simlab tests -name __pycache__ -type d -prune -exec rm -rf {} +
