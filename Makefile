# The two commands of a fresh machine: `make demo` and `make test`. Both make .venv first, from pyproject.toml alone.

VENV := .venv
PYTHON ?= $(shell for p in python3.11 python3.10 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)

# Debian's. Without those of the tests, the tests that need them are skipped, and say so.
TEST_PACKAGES := mosquitto openssl chromium chromium-driver systemd
PI_PACKAGES := qemu-user-static qemu-user gcc libc6-dev qemu-system-arm cpio kmod
need = dpkg --status $(1) >/dev/null 2>&1 || if [ "$$(id -u)" = 0 ]; \
	then echo "Installing $(1)" && apt-get update -qq && \
		apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $(1) >/dev/null; \
	else echo "Expected the packages $(1): sudo apt-get install $(1)" && exit 1; fi

.PHONY: help demo test test-slow test-packages test-pi check bench clean

help:
	@echo "make demo    train, quantize, verify, benchmark and play a clip, on handwritten digits"
	@echo "make test    lint, type check and the tests"
	@echo "make test-slow   the tests that take long: whole trainings, thousands of broken models, a browser, fresh installs"
	@echo "make test-packages   the broker, browser and service manager that some tests need; as root"
	@echo "make test-pi the wheel on emulated Raspberry Pi processors, its instructions counted, and with a kernel's camera; needs $(PI_PACKAGES)"
	@echo "make bench   measure what README.md promises"
	@echo "make clean   remove .venv, runs and build"

demo: $(VENV)/trainer.stamp
	@$(VENV)/bin/edge-trainer demo --to runs/demo

# Two processes, a file's tests in one of them: what a file makes once is made once.
PYTEST := $(VENV)/bin/pytest --numprocesses 2 --dist loadfile
test: check
	@$(PYTEST) -m 'not slow'

test-slow: $(VENV)/dev.stamp
	@$(PYTEST) -m slow

test-packages:
	@$(call need,$(TEST_PACKAGES))

# SKIP='v4l2_camera=the reason' leaves a proof out, and says so.
test-pi: $(VENV)/dev.stamp
	@$(call need,$(PI_PACKAGES))
	@$(VENV)/bin/pytest -vv -o log_cli=true -o log_cli_level=INFO -o log_cli_format='%(asctime)s %(message)s' -o log_cli_date_format=%T tests/pi $(if $(SKIP),--skip-proof '$(SKIP)')

check: $(VENV)/dev.stamp
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

bench: $(VENV)/dev.stamp
	@$(VENV)/bin/python -m benchmarks

clean:
	rm -rf $(VENV) runs build

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
