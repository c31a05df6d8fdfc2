# make demo    from a bare machine to a table of handshakes
# make check   lint, format, types, layers
# make test    everything, with what the tests need

.DEFAULT_GOAL := help
.PHONY: help demo check test bench needs needs-test clean
SHELL := /bin/sh

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= build/demo

help:
	@sed -n 's/^# //p' Makefile

demo: needs
	@sh tools/demo.sh "$(PYTHON)" "$(DEMO)"

# The tests' own environment: editable, so that the tree is what is tested.
$(BIN)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

check: needs $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_layers.py

test: needs $(BIN)/.installed
	$(BIN)/python -m pytest --quiet --numprocesses 2 --dist loadfile

bench: needs $(BIN)/.installed
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/apply.py
	$(BIN)/python benchmarks/plan.py
	$(BIN)/python benchmarks/revocation

needs:
	@PYTHON="$(PYTHON)" sh tools/needs.sh

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
