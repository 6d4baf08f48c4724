# One word per chore; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup run test check generate bench constraints coverage-of-requirements

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 28

setup: .venv/.done  ## virtual environment, packages, and the system's programs that are missing

.venv/.done: pyproject.toml constraints.txt .ci/system-packages
	@./.ci/system-packages
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

run: setup  ## the whole fleet and a broker on this machine
	@$(BIN)/mynah up

test: setup  ## every test that can run here
	@$(BIN)/pytest

check: setup  ## format, lint, types, architecture, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m mynah_contracts.generate --check
	@$(BIN)/python -m mynah.environment --check

generate: setup  ## what follows from the contracts: docs, schemas, broker rights
	@$(BIN)/python -m mynah_contracts.generate
	@$(BIN)/python -m mynah.environment

bench: setup  ## every file of benchmarks/, each with one JSON line at its end
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

coverage-of-requirements: setup  ## the rows of a requirements file that no test proves: make … ROWS=path
	@$(BIN)/python tests/requirements_coverage.py $(ROWS)

constraints:  ## pin every version and hash again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra dev \
	    --output-file constraints.txt pyproject.toml
