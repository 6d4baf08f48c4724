# One word per chore; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup constraints

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 28

setup: .venv/.done  ## virtual environment, packages, and the system's programs that are missing

.venv/.done: pyproject.toml constraints.txt
	@./.ci/system-packages
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r constraints.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

constraints:  ## pin every version and hash again (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra dev \
	    --output-file constraints.txt pyproject.toml
