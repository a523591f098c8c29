# One virtual environment for everything; what it holds is brought up to date when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests that run at the same time, file by file: a browser and its server use one core.
JOBS ?= 2
CHROMIUM := chromium chromium-driver fonts-dejavu-core

.PHONY: run test lint types layers unit browser bench bench-singler bench-enrichment audit clean

run: $(VENV)/.installed
	$(BIN)/iscan-dash demo

test: lint types layers unit browser

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

layers: $(VENV)/.installed-test
	$(BIN)/lint-imports

unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not browser"

browser: $(VENV)/.installed-test
	@sh scripts/ensure_programs.sh "chromium chromedriver" $(CHROMIUM)
	@sh scripts/ensure_programs.sh "nginx openssl" nginx openssl
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m browser --reruns 2 tests/browser

bench: $(VENV)/.installed-test
	@sh scripts/ensure_programs.sh "chromium chromedriver" $(CHROMIUM)
	$(BIN)/python -m benchmarks

bench-singler: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.bench_singler

bench-enrichment: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.bench_enrichment

# Asks PyPI for known faults of what would be installed, and fails where it knows a package not.
audit: $(VENV)/.venv
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7'
	$(VENV)/audit/bin/pip-audit --strict .

clean:
	rm -rf $(VENV)

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "iscan-dash needs Python 3.11 or newer; name one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "Python cannot make a virtual environment. On Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/.installed: $(VENV)/.venv pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.venv pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed
