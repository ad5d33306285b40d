# `make` says what there is. Python 3.11 or newer, make and gcc are all that a fresh machine needs.
#
# The lock files hold hashes and no hosts: pip takes packages from wherever this machine's own configuration says.
# They are made by
#   uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
#       --no-header --no-emit-index-url --no-annotate -o requirements.lock
# and, from proto/requirements.in, proto/requirements.lock in the same way.

PYTHON ?= python3
VENV ?= .venv
PROTO_VENV ?= .venv-proto
BIN := $(VENV)/bin
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format proto docs coverage bench wheel clean

help: ## Say what there is.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "setting up $(VENV) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=…")'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(PROTO_VENV)/.ready: proto/requirements.lock
	@echo "setting up $(PROTO_VENV) …"
	@$(PYTHON) -m venv --clear $(PROTO_VENV)
	@$(PROTO_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r proto/requirements.lock
	@touch $@

setup: $(VENV)/.ready ## Set up the environment that the other targets use.

demo: setup ## Let ten sessions pick from the same list, with claims and without.
	@$(BIN)/python -m demo $(DEMO_ARGS)

test: setup ## Run all tests, against a real etcd.
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup $(PROTO_VENV)/.ready ## Check style, types, layers, generated code and documentation.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }
	@rm -f .lint-imports.log
	@$(BIN)/buf lint
	@$(BIN)/yamllint --strict .
	@$(BIN)/deptry .
	@$(BIN)/codespell
	@$(PROTO_VENV)/bin/python scripts/protoc.py --check
	@$(BIN)/python scripts/unasync.py --check
	@$(BIN)/python scripts/cli_docs.py --check
	@echo "lint: all checks passed"

format: setup ## Format the code.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: setup $(PROTO_VENV)/.ready ## Generate the code made from proto/ and the synchronous client.
	@$(PROTO_VENV)/bin/python scripts/protoc.py
	@$(BIN)/python scripts/unasync.py

docs: setup ## Generate docs/cli.md from the command line.
	@$(BIN)/python scripts/cli_docs.py

coverage: setup ## Run all tests and show which lines they miss, subprocesses included.
	@$(BIN)/coverage erase
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --show-missing

bench: setup ## Measure how fast it is, beside what its parts could do at best; takes four minutes.
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

wheel: setup ## Build the wheel into dist/.
	@$(BIN)/python -m hatchling build -t wheel

clean: ## Remove what the other targets have made.
	@rm -rf $(VENV) $(PROTO_VENV) dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
