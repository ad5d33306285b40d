# `make` says what there is. Python 3.11 or newer, make and gcc are all that a fresh machine needs.
#
# The lock files hold hashes and no hosts: pip takes packages from wherever this machine's own configuration says.
# CONTRIBUTING.md says how they are made.

PYTHON ?= python3
VENV ?= .venv
PROTO_VENV ?= .venv-proto
# Where tests/interop looks for it.
INTEROP_VENV := .venv-interop
# The schemas of Kubernetes, which are large.
DEPLOY_VENV := .venv-deploy
# Sphinx and its theme.
SITE_VENV := .venv-site
# What the product is measured beside.
PEERS_VENV := .venv-peers
# What checks a release: twine, and what lists its components.
RELEASE_VENV := .venv-release
BIN := $(VENV)/bin
PYTEST_ARGS ?=
# Most tests wait for another process or for a deadline, so there may be more at a time than there are cores.
PARALLEL ?= --numprocesses 4 --dist worksteal
# With COVERAGE=1, `make test` also measures which lines are run.
# The tests start hundreds of Python processes: byte code is kept, also where the environment says otherwise.
PYTEST = PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONDONTWRITEBYTECODE= $(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest
# What has limits of a few seconds is run after all others, one by one; PYTEST_ARGS may name tests without such.
RUN_TESTS = $(PYTEST) $(PARALLEL) -m "not alone and not long$(1)" $(PYTEST_ARGS) $(2) && \
	{ $(PYTEST) -m "alone and not long$(1)" $(PYTEST_ARGS) $(2) || test $$? -eq 5; }
FUZZ_MINUTES ?= 5
# What runs on macOS too: all but `coordination run`, whose promise needs Linux.
PORTABLE = $(shell find coordinator demo -name '*.py' -not -path 'coordinator/run/*' -not -path '*_pb2*')
# The release of Debian that a newer etcd is taken from, and the tests that are run with it: those of the integration
# tests that are about credentials, commands and numbers would find nothing new.
ETCD_SUITE ?= trixie
NOT_ABOUT_ETCD := test_security_% test_demo.py test_limits_claims.py test_limits_sizes.py test_metrics_% test_server% \
	test_up.py
ETCD_TESTS := $(filter-out $(addprefix tests/integration/,$(NOT_ABOUT_ETCD)),$(wildcard tests/integration/test_*.py)) \
	tests/interop/

.DEFAULT_GOAL := help
# All that `make help` lists.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

$(SITE_VENV)/.ready: docs/requirements.lock
	@echo "setting up $(SITE_VENV) …"
	@$(PYTHON) -m venv --clear $(SITE_VENV)
	@$(SITE_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r docs/requirements.lock
	@touch $@

$(PEERS_VENV)/.ready: benchmarks/peers/requirements.lock
	@echo "setting up $(PEERS_VENV) …"
	@$(PYTHON) -m venv --clear $(PEERS_VENV)
	@$(PEERS_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/peers/requirements.lock
	@touch $@

$(INTEROP_VENV)/.ready: tests/interop/build.lock tests/interop/requirements.lock
	@echo "setting up $(INTEROP_VENV) …"
	@$(PYTHON) -m venv --clear $(INTEROP_VENV)
	@$(INTEROP_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r tests/interop/build.lock
	@$(INTEROP_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation \
		-r tests/interop/requirements.lock
	@touch $@

$(DEPLOY_VENV)/.ready: deploy/kubernetes/requirements.lock
	@echo "setting up $(DEPLOY_VENV) …"
	@$(PYTHON) -m venv --clear $(DEPLOY_VENV)
	@$(DEPLOY_VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes \
		-r deploy/kubernetes/requirements.lock
	@touch $@

$(RELEASE_VENV)/.ready: scripts/release/requirements.lock
	@echo "setting up $(RELEASE_VENV) …"
	@$(PYTHON) -m venv --clear $(RELEASE_VENV)
	@$(RELEASE_VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		-r scripts/release/requirements.lock
	@touch $@

setup: $(VENV)/.ready ## Set up the environment that the other targets use.

demo: setup ## Let ten sessions pick from the same list: without claims, with work-claim, with work-next.
	@$(BIN)/coordination demo $(DEMO_ARGS)

observability: setup ## Run etcd, two coordinators, Prometheus and a fleet, and print their addresses; no Docker.
	@$(BIN)/python -m demo.observability $(OBSERVABILITY_ARGS)

test: setup $(INTEROP_VENV)/.ready ## Run the tests, against a real etcd; COVERAGE=1: report the lines that they miss.
	@$(call RUN_TESTS)

$(VENV)/.browser: $(VENV)/.ready tests/browser/requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r tests/browser/requirements.lock
	@touch $@

browser-test: setup $(VENV)/.browser ## Test the board in a headless Chromium, which must be installed (Debian: chromium).
	@$(PYTEST) tests/browser $(PYTEST_ARGS)

.venv-node/.ready: tests/javascript/package.json tests/javascript/package-lock.json tests/javascript/.npmrc
	@mkdir -p .venv-node && cp $^ .venv-node
	@cd .venv-node && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

javascript-test: setup .venv-node/.ready ## Test clients in JavaScript, with packages from npm; needs Node.js 20 or newer.
	@$(PYTEST) tests/javascript $(PYTEST_ARGS)

screenshots: setup $(VENV)/.browser ## Take the pictures of the board in docs/images; needs Chromium, and looks best with the font Inter.
	@$(BIN)/python -m tests.browser.screenshots

test-long: setup $(INTEROP_VENV)/.ready ## Run the tests that `make test` leaves out: they take long, and rarely find anything new.
	@$(PYTEST) $(PARALLEL) -m long $(PYTEST_ARGS)
	@COORDINATION_TOPIC_ROUNDS=200 $(PYTEST) tests/integration/test_similar_topics.py
	@COORDINATION_LOST_REPLIES=200 COORDINATION_NEXT_CALLS=10000 $(PYTEST) $(PARALLEL) \
		tests/cluster/test_lost_replies_store.py tests/cluster/test_lost_replies_client.py tests/cluster/test_next_race.py
	@COORDINATION_MORE_EXAMPLES=10 $(PYTEST) $(PARALLEL) -m "not alone and not long" tests/property

# Beside the environment and not in it: pytest would load it with every run.
$(VENV)/openapi/.ready: $(VENV)/.ready tests/openapi/requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --upgrade --target $(VENV)/openapi \
		-r tests/openapi/requirements.lock
	@touch $@

fuzz: setup $(VENV)/openapi/.ready ## Test more random keys, requests and stored values than `make test`, for FUZZ_MINUTES each.
	@COORDINATION_FUZZ_MINUTES=$(FUZZ_MINUTES) $(PYTEST) -p no:randomly tests/fuzz $(PYTEST_ARGS)
	@PYTHONPATH=$(VENV)/openapi COORDINATION_FUZZ_MINUTES=$(FUZZ_MINUTES) $(PYTEST) -p no:randomly tests/openapi $(PYTEST_ARGS)

etcd: ## Fetch a newer etcd than the wheel's, from Debian, and print its path.
	@$(PYTHON) scripts/fetch_etcd.py $(ETCD_SUITE)

prometheus: ## Fetch Prometheus from Debian, as the tests do by themselves, and print its path.
	@$(PYTHON) scripts/fetch_prometheus.py

test-etcd-versions: setup $(INTEROP_VENV)/.ready ## Run the tests that depend on etcd again, with a newer etcd.
	@etcd="$$($(PYTHON) scripts/fetch_etcd.py $(ETCD_SUITE))" && export COORDINATION_ETCD="$$etcd" && \
		$(call RUN_TESTS, and etcd,$(ETCD_TESTS))

check-deploy: $(DEPLOY_VENV)/.ready ## Check deploy/kubernetes by Kubernetes' schemas, and deploy/systemd by systemd where it is installed.
	@$(DEPLOY_VENV)/bin/python scripts/check_deploy.py

mutants: setup ## Remove guards, one by one, and check that their tests fail; takes ten minutes.
	@$(BIN)/python scripts/mutants.py $(MUTANTS)

campaign-faults: setup ## Random faults for MINUTES (3), chosen by SEED, and a checker that knows nothing of the code.
	@etcd="$$($(PYTHON) scripts/fetch_etcd.py $(ETCD_SUITE) || true)"; $(BIN)/python -m tests.campaigns.faults \
		--minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED)) $${etcd:+--etcd "$$etcd"} $(CAMPAIGN_ARGS)

campaign-faults-mutants: setup ## Remove ten guards, one by one, and say which of them campaign-faults finds; takes twenty minutes.
	@$(BIN)/python -m tests.campaigns.faults.mutants $(CAMPAIGN_ARGS)

campaign-deadlines: setup ## Measure when claims end while etcd's leader changes and members restart, in real time; takes eight minutes.
	@$(BIN)/python -m tests.campaigns.deadlines $(CAMPAIGN_ARGS)

campaign-clocks: setup ## Compare the deadlines that replicas with different clocks return, in 1,000 random sequences; takes three minutes.
	@$(BIN)/python -m tests.campaigns.clocks $(CAMPAIGN_ARGS)

campaign-hold: setup ## Hold 640 work keys in threads and tasks for a minute while etcd's leader is moved every 5 s.
	@$(BIN)/python -m tests.campaigns.hold $(CAMPAIGN_ARGS)

campaign-pool: setup ## Have eight workers work through a pool of 2,000 pieces, killed, cut off and without etcd; takes eight minutes.
	@$(BIN)/python -m tests.campaigns.pool $(CAMPAIGN_ARGS)

campaign-waiting: setup ## Let 1,000 calls wait at two coordinators, for named work and then for the pool, and measure what they cost; takes six minutes.
	@$(BIN)/python -m tests.campaigns.waiting $(CAMPAIGN_ARGS)
	@$(BIN)/python -m tests.campaigns.waiting_pool $(CAMPAIGN_ARGS)

campaign-members: setup ## Kill and stop members of an etcd cluster under load, for four minutes; prints a table.
	@$(BIN)/python -m tests.campaigns.members $(CAMPAIGN_ARGS)

campaign-run: setup ## Run 700 commands under `run` through stops, kills, cuts, revocations and stepped clocks; takes ten minutes.
	@$(BIN)/python -m tests.campaigns.run $(CAMPAIGN_ARGS)

campaign-scale: setup ## Make a briefing of 50,000 records and list 100,000, in three minutes; prints time and memory.
	@$(BIN)/python -m tests.campaigns.scale $(CAMPAIGN_ARGS)

campaign-keys: setup ## Write 20,000 pieces of work of ten sites in all their ways, and look for two that have one key; takes two minutes.
	@$(BIN)/python -m tests.campaigns.keys $(CAMPAIGN_ARGS)

campaign-attack: setup ## Attack coordinators as unauthenticated clients can, for ten minutes; prints memory and a normal client's latency.
	@$(BIN)/python -m tests.campaigns.attack $(CAMPAIGN_ARGS)

campaign-reaper: setup ## Let 10,000 claims expire at once, kill reapers, let one fall far behind; takes five minutes.
	@$(BIN)/python -m tests.campaigns.reaper $(CAMPAIGN_ARGS)

lint: setup $(PROTO_VENV)/.ready $(SITE_VENV)/.ready ## Check style, types, layers, generated code and documentation.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin --follow-imports silent $(PORTABLE)
	@$(BIN)/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }
	@rm -f .lint-imports.log
	@$(BIN)/buf lint
	@$(BIN)/buf breaking --against $(lastword $(sort $(wildcard proto/released/*.binpb)))
	@$(BIN)/yamllint --strict .
	@$(BIN)/deptry .
	@$(BIN)/codespell
	@$(PROTO_VENV)/bin/python scripts/protoc.py --check
	@$(PROTO_VENV)/bin/python scripts/api_docs.py --check
	@$(BIN)/python scripts/unasync.py --check
	@$(BIN)/python scripts/cli_docs.py --check
	@$(BIN)/python scripts/man_page.py --check
	@$(BIN)/python scripts/architecture_docs.py --check
	@$(BIN)/python scripts/decisions_docs.py --check
	@$(BIN)/python scripts/keys_docs.py --check
	@$(BIN)/python scripts/quick_table.py --check
	@$(BIN)/python scripts/openapi.py --check
	@$(BIN)/python scripts/check_docs.py
	@$(MAKE) --no-print-directory --silent site > /dev/null
	@$(BIN)/python deploy/grafana/build.py --check
	@$(BIN)/python scripts/kubernetes_rules.py --check
	@echo "lint: all checks passed"

format: setup ## Format the code.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: setup $(PROTO_VENV)/.ready ## Generate the code made from proto/ and the synchronous client.
	@$(PROTO_VENV)/bin/python scripts/protoc.py
	@$(PROTO_VENV)/bin/python scripts/api_docs.py
	@$(BIN)/python scripts/unasync.py

docs: setup ## Generate docs/cli.md and the quick way's table from the command line, tables of three pages, and openapi.json.
	@$(BIN)/python scripts/cli_docs.py
	@$(BIN)/python scripts/man_page.py
	@$(BIN)/python scripts/architecture_docs.py
	@$(BIN)/python scripts/decisions_docs.py
	@$(BIN)/python scripts/keys_docs.py
	@$(BIN)/python scripts/quick_table.py
	@$(BIN)/python scripts/openapi.py

site: $(SITE_VENV)/.ready ## Make the site from docs/ in build/site.
	@PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 $(SITE_VENV)/bin/sphinx-build --quiet --fail-on-warning --keep-going docs build/site
	@echo "build/site/index.html"

docs-serve: site ## Serve the site on http://127.0.0.1:8000/, until interrupted.
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory build/site

dashboards: setup ## Generate Grafana's dashboards from deploy/grafana, and Kubernetes' rules from deploy/prometheus.
	@$(BIN)/python deploy/grafana/build.py
	@$(BIN)/python scripts/kubernetes_rules.py

coverage: ## Run all tests and show which lines they miss, subprocesses included; fails below 90 %.
	@rm -f .coverage .coverage.*
	@COVERAGE_FILE="$(CURDIR)/.coverage" $(MAKE) --no-print-directory test COVERAGE=1
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --show-missing

bench: setup ## Measure the speed, and compare it with what its parts could do at best; takes five minutes.
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.herd
	@$(BIN)/python -m benchmarks.commands
	@$(BIN)/python -m benchmarks.hooks
	@$(BIN)/python -m benchmarks.similar
	@$(BIN)/python -m benchmarks.pool
	@$(BIN)/python -m benchmarks.event_readers

bench-peers: setup $(PEERS_VENV)/.ready ## Measure this product beside fleetwright on the same work; takes five minutes.
	@$(BIN)/python -m benchmarks.peers --python $(PEERS_VENV)/bin/python $(BENCH_ARGS)

bench-metrics: setup ## Measure the cost of metrics for a claim, and how many series a million kinds make.
	@$(BIN)/python -m benchmarks.metrics_cost $(BENCH_ARGS)

simulate: setup ## Run 1 to 200 sessions over one list, without claims, with work-claim, with work-next; plots it for the README.
	@$(BIN)/python -m benchmarks.simulate $(SIMULATE_ARGS)

eval-topics: setup ## Evaluate how well the same work is found under another name, among up to 100,000 topics; takes a minute.
	@$(BIN)/python -m benchmarks.topics $(EVAL_TOPICS_ARGS)

release-check: $(RELEASE_VENV)/.ready ## Build what is to be released twice, install it with each extra, list licences and components; takes ten minutes.
	@$(RELEASE_VENV)/bin/python scripts/release/check.py

upgrade-test: setup ## Run the last release and this tree side by side for MINUTES (3), under load, and check what was answered.
	@$(BIN)/python -m tests.campaigns.upgrade --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED)) $(CAMPAIGN_ARGS)

wheel: setup ## Build the wheel into dist/.
	@$(BIN)/python -m hatchling build -t wheel

clean: ## Remove the files that the other targets have made.
	@rm -rf $(VENV) $(PROTO_VENV) $(INTEROP_VENV) $(RELEASE_VENV) .venv-node .etcd .prometheus dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
