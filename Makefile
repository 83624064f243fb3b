# Every target sets up what it needs; the first run installs, later ones only check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUBS_VENV := .venv-proto
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo bench bench-quick test check unit e2e lint types layers proto proto-check format lock clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.dev: requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the server, the client and the development tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $(VENV)/.dev $(VENV)/.server

$(VENV)/.server: requirements/demo.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the server and the client into $(VENV)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/demo.lock
	@$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $(VENV)/.server

$(STUBS_VENV)/.done: requirements/proto.lock
	@$(PYTHON) -m venv $(STUBS_VENV)
	@$(STUBS_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements/proto.lock
	@touch $@

demo: $(VENV)/.server  ## Serve the zoo, predict and explain the samples, write pictures into out/
	@$(BIN)/python tools/demo.py

test: check unit e2e  ## Everything that must pass

check: lint types layers proto-check

unit: $(VENV)/.dev  ## Unit and contract tests
	$(BIN)/python -m pytest tests/unit tests/contract

e2e: $(VENV)/.dev  ## Tests on a real server
	$(BIN)/python -m pytest tests/e2e

bench: $(VENV)/.dev  ## Measure everything, print one table, write benchmarks/results.json
	$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.dev  ## The same names, roughly, in under two minutes
	$(BIN)/python -m benchmarks --quick

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/buf lint proto
	$(BIN)/buf format proto --diff --exit-code

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

proto: $(STUBS_VENV)/.done  ## Regenerate the stubs
	PATH="$(CURDIR)/$(STUBS_VENV)/bin:$$PATH" proto/generate.sh

proto-check: $(STUBS_VENV)/.done  ## Fail where the committed stubs are not those of the protos
	@rm -rf $(STUBS_VENV)/out
	@PATH="$(CURDIR)/$(STUBS_VENV)/bin:$$PATH" proto/generate.sh "$(CURDIR)/$(STUBS_VENV)/out" >/dev/null 2>&1
	@cd $(STUBS_VENV)/out && find . -name '*_pb2*' | while read -r stub; do cmp "$$stub" "$(CURDIR)/$$stub" || { echo "run: make proto"; exit 1; }; done

format: $(VENV)/.dev  ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/buf format proto -w

lock: $(VENV)/.dev  ## Resolve the dependencies anew
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/dev.lock
	$(COMPILE) -c requirements/dev.lock pyproject.toml --extra server -o requirements/server.lock
	$(COMPILE) -c requirements/dev.lock pyproject.toml --extra server --extra optimize --extra report -o requirements/demo.lock
	$(COMPILE) requirements/proto.in -o requirements/proto.lock

clean:  ## Remove the environments and what was built
	rm -rf $(VENV) $(STUBS_VENV) out dist .mypy_cache .ruff_cache .pytest_cache
