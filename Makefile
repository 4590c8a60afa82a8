# The two commands of a fresh machine: `make demo` and `make test`. Both make .venv first: from requirements/ on x86-64
# Linux, by exact versions and hashes; elsewhere within the bounds of pyproject.toml.

VENV := .venv
AUDIT := .venv-audit
PYTHON ?= $(shell for p in python3.11 python3.10 python3.12 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p && break; done)

# Debian's. Without those of the tests, the tests that need them are skipped, and say so.
TEST_PACKAGES := mosquitto openssl chromium chromium-driver systemd
PI_PACKAGES := qemu-user-static qemu-user gcc libc6-dev qemu-system-arm cpio kmod
comma := ,
need = dpkg --status $(1) >/dev/null 2>&1 || if [ "$$(id -u)" = 0 ]; \
	then echo "Installing $(1)" && apt-get update -qq && \
		apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $(1) >/dev/null; \
	else echo "Expected the packages $(1): sudo apt-get install $(1)" && exit 1; fi

.PHONY: help demo test test-slow test-packages test-pi matrix check bench lock audit sbom clean

help:
	@echo "make demo    train, quantize, verify, benchmark and play a clip, on handwritten digits"
	@echo "make test    lint, type check and the tests"
	@echo "make test-slow   the tests that take long: whole trainings, thousands of broken models, a browser, fresh installs"
	@echo "make test-packages   the broker, browser and service manager that some tests need; as root"
	@echo "make test-pi the wheel on emulated Raspberry Pi processors, its instructions counted, and with a kernel's camera; needs $(PI_PACKAGES)"
	@echo "make matrix  the runtime with each Python, interpreter, numpy and OpenCV that can be had here; ONLY=3.13: one Python's lines"
	@echo "make bench   measure what README.md promises"
	@echo "make lock    choose the newest versions within pyproject.toml's bounds, and list their licences"
	@echo "make audit   known weaknesses of what is locked (pip-audit); bandit, over the code, is a part of make test"
	@echo "make sbom    build/sbom.json: what .venv consists of (CycloneDX)"
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

test-pi: $(VENV)/dev.stamp
	@$(call need,$(PI_PACKAGES))
	@$(VENV)/bin/pytest -vv -o log_cli=true -o log_cli_level=INFO -o log_cli_format='%(asctime)s %(message)s' -o log_cli_date_format=%T tests/pi

check: $(VENV)/dev.stamp
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports --no-logo
	@$(VENV)/bin/bandit --quiet --recursive --configfile pyproject.toml edge_runtime trainer benchmarks examples

bench: $(VENV)/dev.stamp
	@$(VENV)/bin/python -m benchmarks

matrix: $(VENV)/dev.stamp
	@$(VENV)/bin/python -m tests.tools.matrix $(if $(ONLY),--python $(ONLY))

LOCK := $(AUDIT)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-annotate \
	--custom-compile-command "make lock" --python $(VENV)/bin/python
lock: $(AUDIT)/stamp
	@$(LOCK) requirements/audit.in --output-file requirements/audit.txt
	@$(LOCK) pyproject.toml --extra trainer --output-file requirements/trainer.txt
	@$(LOCK) pyproject.toml --extra trainer --extra dev --extra litert --constraints requirements/trainer.txt --output-file requirements/dev.txt
	@$(MAKE) --no-print-directory $(VENV)/dev.stamp
	@$(VENV)/bin/python -m tests.tools.licenses

audit: $(AUDIT)/stamp
	@$(AUDIT)/bin/python -m tests.tools.audit

sbom: $(AUDIT)/stamp $(VENV)/trainer.stamp
	@mkdir -p build
	@$(AUDIT)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json $(VENV)/bin/python
	@echo "build/sbom.json"

clean:
	rm -rf $(VENV) $(AUDIT) runs build

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Expected Python 3.10, 3.11 or 3.12 on the PATH, found none: install python3.11 with its venv module, or run make PYTHON=/path/to/python3.11."; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV)

# $(1): a file of requirements/. $(2): the extras of pyproject.toml that it was made from.
install = if [ "$$(uname -sm)" = "Linux x86_64" ] && $(VENV)/bin/python -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then \
	$(PIP) --require-hashes -r requirements/$(1).txt && $(PIP) --no-deps --no-build-isolation -e .; \
	else $(PIP) -e '.[$(2)]'; fi
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

$(VENV)/trainer.stamp: pyproject.toml requirements/trainer.txt | $(VENV)/bin/python
	@echo "Installing the trainer (TensorFlow and friends, about 2.6 GB unpacked; once)"
	@$(call install,trainer,trainer)
	@touch $@

$(VENV)/dev.stamp: $(VENV)/trainer.stamp pyproject.toml requirements/dev.txt
	@echo "Installing what the tests need"
	@$(call install,dev,trainer$(comma)dev$(comma)litert)
	@touch $@

$(AUDIT)/stamp: requirements/audit.txt | $(VENV)/bin/python
	@echo "Making $(AUDIT)"
	@$(VENV)/bin/python -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch $@
