# The two commands of a fresh machine: `make demo` and `make test`. Both make .venv first, from pyproject.toml alone.

VENV := .venv
PYTHON ?= $(shell for p in python3.11 python3.10 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo test check bench clean

help:
	@echo "make demo    train, quantize, verify, benchmark and play a clip, on handwritten digits"
	@echo "make test    lint, type check and all the tests"
	@echo "make bench   measure what README.md promises"
	@echo "make clean   remove .venv and runs"

demo: $(VENV)/trainer.stamp
	@$(VENV)/bin/edge-trainer demo --to runs/demo

test: check
	@$(VENV)/bin/pytest

check: $(VENV)/dev.stamp
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

bench: $(VENV)/dev.stamp
	@$(VENV)/bin/python -m benchmarks

clean:
	rm -rf $(VENV) runs

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Expected Python 3.10, 3.11 or 3.12 on the PATH, found none: install python3.11 with its venv module, or run make PYTHON=/path/to/python3.11."; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)

$(VENV)/trainer.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing the trainer (TensorFlow and friends, about 2.6 GB unpacked; once)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[trainer]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/trainer.stamp pyproject.toml
	@echo "Installing what the tests need"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[trainer,dev,litert]'
	@touch $@
