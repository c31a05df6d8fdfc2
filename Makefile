# make demo    from a bare machine to a table of handshakes
# make check   lint, format, types, layers, the site of the documentation
# make test    everything, with what the tests need
# make test-long   what would make that longer than fifteen minutes
# make docs    the documentation as a site, in build/site
# make pins    the newest versions for the tests' environment, into tests/constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo check docs test test-long bench pins clean
SHELL := /bin/sh

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= build/demo
PINS := tests/constraints.txt
# Twice the cores of a small machine: much of a test is waiting for servers.
WORKERS ?= 4

help:
	@sed -n 's/^# make /make /p' Makefile

demo: needs-demo
	@sh tools/demo.sh "$(PYTHON)" "$(DEMO)"

# The tests' own environment: editable, so that the tree is what is tested, and with the versions of $(PINS).
# What builds the package is held to them as well; pip before 25.3 reads the first variable for that, later ones the second.
$(BIN)/.installed: pyproject.toml $(PINS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=$(PINS) PIP_BUILD_CONSTRAINT=$(PINS) \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

pins:
	rm -rf build/pins
	$(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	@{ sed -n '/^#/p' $(PINS) && build/pins/bin/python -m pip freeze --exclude mtls-scaffold; } >build/pins/constraints.txt
	mv build/pins/constraints.txt $(PINS)

check: needs-check $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --quiet tests/test_layers.py
	@$(MAKE) --no-print-directory docs

docs: $(BIN)/.installed
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs build/site

test: needs-test $(BIN)/.installed
	$(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadfile

test-long: needs-test-long $(BIN)/.installed
	$(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadfile -m long

bench: needs-demo $(BIN)/.installed
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/apply.py
	$(BIN)/python benchmarks/plan.py
	$(BIN)/python benchmarks/revoked.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/testing.py
	$(BIN)/python benchmarks/apps.py
	$(BIN)/python benchmarks/nginx_hop.py
	$(BIN)/python benchmarks/revocation

needs-%:
	@PYTHON="$(PYTHON)" sh tools/needs.sh $*

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
