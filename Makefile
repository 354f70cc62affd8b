# Two commands suffice on a fresh machine with Python (>= 3.11), pip and make: `make demo` and `make test`.
# Everything is installed into VENV; what is there already is not installed again.

VENV   ?= .venv
PYTHON ?=
FILE   ?=
MINUTES ?= 2
SEEDS  ?= 20000
FIRST  ?=
SEED   ?=
ARGS   ?=

PIP     = $(VENV)/bin/python -m pip --disable-pip-version-check --quiet
BIN     = $(VENV)/bin
COMPOSE = docker compose
ENGINE  = docker version >/dev/null 2>&1 && $(COMPOSE) version >/dev/null 2>&1 || { \
          echo 'No Docker Engine with compose can be reached: install or start it; `docker version` says more.' >&2; exit 1; }
LOCK    = $(BIN)/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-header --no-annotate
SOURCES = contracts services tests bench deploy

.DEFAULT_GOAL := help
.PHONY: help cluster demo dev up down logs demo-compose test test-containers sim chaos check format lock bench clean

help: ## what there is to do
	@echo 'Usage: make TARGET [VENV=.venv] [PYTHON=python3.11]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## summarise a text, with every step streamed: make demo [FILE=text.txt]
	@$(BIN)/python -m backhaul.cli.demo $(if $(FILE),'$(FILE)')

dev: $(VENV)/.demo ## the whole platform in one process on port 8080: make dev [ARGS='MODULE:SERVICE --port 9000']
	@$(BIN)/backhaul dev $(ARGS)

up: ## RabbitMQ, PostgreSQL, all roles and the examples in containers, on 127.0.0.1:8080: make up [ARGS='--scale digest=3']
	@$(ENGINE)
	@$(COMPOSE) up --build --wait $(ARGS) || { \
	  echo 'Not all is up. Why a container ended: docker compose logs NAME. A port that is taken: set BACKHAUL_PORT,' >&2; \
	  echo 'AMQP_PORT or MANAGEMENT_PORT, also in a file .env.' >&2; exit 1; }

down: ## stop the containers; data and secrets stay: make down [ARGS=--volumes]
	@$(COMPOSE) --profile observability --profile cli down $(ARGS)

logs: ## what the containers say, as it comes: make logs [ARGS=ledger]
	@$(COMPOSE) --profile observability logs --follow --tail=100 $(ARGS)

demo-compose: up $(VENV)/.demo ## the demo in the containers, in peace and while they are killed: make demo-compose [FILE=text.txt]
	@$(BIN)/python deploy/compose/demo.py $(if $(FILE),'$(FILE)')

test: $(VENV)/.dev ## all tests; servers that are installed here are started for them: make test [ARGS='-k word']
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

test-containers: $(VENV)/.dev ## all tests with servers, on RabbitMQ 4 and PostgreSQL 17 in containers: make test-containers [ARGS='-k word']
	@BACKHAUL_TEST_CONTAINERS=1 BACKHAUL_TEST_REQUIRE_SERVERS=1 $(BIN)/python -m pytest -n 2 --dist loadfile \
	  tests/conformance/broker tests/conformance/store tests/integration tests/faults tests/acceptance $(ARGS)

sim: $(VENV)/.dev ## the platform in simulated time under seeded faults: make sim SEEDS=100000 [FIRST=0] [ARGS=…]
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(FIRST),--first $(FIRST)) $(ARGS)

chaos: $(VENV)/.dev ## the deployment under load and seeded faults: make chaos MINUTES=10 [SEED=7] [ARGS='--into docs/reliability.md']
	@$(BIN)/python -m tests.faults --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

cluster: $(VENV)/.dev ## three nodes of RabbitMQ, of which one is killed under load: make cluster [ARGS='--seconds 60']
	@$(BIN)/python -m tests.faults.cluster $(ARGS)

check: $(VENV)/.dev ## what CI checks: format, lint, types, who imports whom, generated files
	@$(BIN)/ruff format --check --quiet $(SOURCES) || { echo 'Files are not formatted: run `make format`.' >&2; exit 1; }
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/backhaul contracts check --exact
	@kubectl kustomize --help 2>/dev/null | grep -q enable-helm || exit 0; cd deploy/kubernetes && \
	  kubectl kustomize overlays/example >/dev/null && kubectl kustomize overlays/example/upgrade >/dev/null && kubectl kustomize monitoring >/dev/null
	@if command -v promtool >/dev/null; then cd deploy/observability && promtool check config --syntax-only prometheus.yml >/dev/null && \
	    promtool check rules alerts.yml >/dev/null && promtool test rules alerts.test.yml >/dev/null; \
	  elif [ "$$BACKHAUL_TEST_REQUIRE_SERVERS" = 1 ]; then echo 'The alerts cannot be played: install promtool (on Debian: package prometheus).' >&2; exit 1; \
	  else echo 'The alerts are not played: there is no promtool here (on Debian it is in the package prometheus).'; fi

format: $(VENV)/.dev ## put the code into shape
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

lock: $(VENV)/.dev ## renew what the image is installed from: deploy/docker/*.lock
	@$(PIP) install 'uv>=0.9'
	@sed -n 's/^requires = \[\(.*\)\]/\1/p' pyproject.toml | tr -d '"' | $(LOCK) - --output-file deploy/docker/build.lock
	@$(LOCK) pyproject.toml --extra otel --output-file deploy/docker/platform.lock
	@$(LOCK) pyproject.toml --extra otel --extra digest --extra linkcheck --extra report --extra thumbnail \
	  --constraints deploy/docker/platform.lock --output-file deploy/docker/examples.lock

bench: $(VENV)/.dev ## measure on RabbitMQ and PostgreSQL: make bench [ARGS=…]
	@$(BIN)/python -m bench.platform $(ARGS)

clean: ## remove the venv and caches; what `make dev` recorded in .backhaul stays
	rm -rf '$(VENV)' build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# A venv by the given Python, else by the first that is new enough.
$(VENV)/bin/python:
	@for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$$python has no venv module: install it (on Debian: apt-get install python3-venv)." >&2; exit 1; }; \
	  echo "Making $(VENV) with $$("$$python" --version)" && "$$python" -m venv '$(VENV)' && exit 0; \
	  rm -rf '$(VENV)'; exit 1; \
	done; \
	echo "Backhaul needs Python 3.11 or newer, and $(or $(PYTHON),python3) is not: name one with make PYTHON=/path/to/python3.11." >&2; \
	exit 1

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	@echo 'Installing Backhaul and its examples (once)'
	@$(PIP) install --editable '.[digest,linkcheck,thumbnail,report]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo 'Installing Backhaul with the tools for its tests and checks (once)'
	@$(PIP) install --editable '.[dev]'
	@touch $@ $(VENV)/.demo
