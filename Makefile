# Every target runs without a terminal, any number of times, and exits non-zero on failure.
# Logs of the long ones: .cluster/log/
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/postbase
VENV := $(CACHE)/venv-$(shell cat requirements/dev.txt | sha256sum | cut -c1-12)
RUN := PYTHONPATH=operator:tests $(VENV)/bin/python
NODE := PYTHONPATH=tests python3 -m node
K ?=
PART ?=
RUNS ?=
PROVIDER ?= kubernetes
PYTEST := $(RUN) -m pytest $(if $(K),-k "$(K)")

##@ Use
help: ## This list
	@awk 'BEGIN{FS=":.*## "} /^##@/{printf "\n%s\n",substr($$0,5)} /^[a-z0-9-]+:.*## /{printf "  make %-11s %s\n",$$1,$$2}' $(MAKEFILE_LIST)
.PHONY: help

setup: $(VENV)/.done ## Python environment (hash-pinned), shared by all clones of this revision
	@ln -sfn $(VENV) .venv
.PHONY: setup

demo: setup ## A real cluster, a database by kubectl apply, rows over TLS: told step by step (PROVIDER=railway: on a double of it)
	@PYTHONPATH=tests python3 -m demo $(PROVIDER)
.PHONY: demo

up: ## The cluster with the operator of this checkout; kubeconfig in .cluster/kubeconfig
	@$(NODE) up
.PHONY: up

down: ## All of it gone
	@$(NODE) down
.PHONY: down

status: ## What runs, in one screen
	@$(NODE) status
.PHONY: status

purge: ## As down, and the build cache too
	@$(NODE) purge
.PHONY: purge

clean: ## Removes what checks and tests have left in the checkout
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	@find operator tests -name __pycache__ -prune -exec rm -rf {} +
.PHONY: clean

$(VENV)/.done:
	@bash tests/node/venv.sh $(VENV) requirements/dev.txt

##@ While coding
check: setup ## Format, lint, types, layers, unit tests: under a minute warm
	@$(RUN) -m suite check
.PHONY: check

fmt: setup ## Put the code in its format
	@$(VENV)/bin/ruff format operator tests
	@$(VENV)/bin/ruff check --fix operator tests
.PHONY: fmt

unit: setup ## The pure tests (K=expression picks)
	@$(PYTEST) tests/unit
.PHONY: unit

component: setup build ## One adapter each, against a real server (K=expression picks)
	@$(PYTEST) tests/component
.PHONY: component

apiserver: setup build ## Against a real API server and etcd (K=expression picks)
	@$(PYTEST) tests/apiserver
.PHONY: apiserver

e2e: setup up ## Against the cluster of `make up` (K=expression picks)
	@$(PYTEST) tests/e2e
.PHONY: e2e

build: ## The Go programs of the node, from source, into the cache
	@$(NODE) build
.PHONY: build

crds: setup ## The resource definitions and docs/api.md, generated anew from the types
	@$(RUN) -m postbase_operator.api.crd
.PHONY: crds

traps: setup ## The table of docs/railway.md, from the marks of tests
	@$(RUN) -m railway.trap_table
.PHONY: traps

tries: setup ## What holds for each of Railway's traps is taken out, and its test must fail (TRAP=name)
	@$(RUN) -m railway.tries $(TRAP)
.PHONY: tries

railway-check: setup ## What only a token of Railway tells: RAILWAY_TOKEN, read-only; WRITE=1 makes a service and removes it
	@$(RUN) -m railway_check
.PHONY: railway-check

golden: setup ## The manifests that unit tests compare with, written anew: read the diff
	@for each in test_manifests test_backup_job test_load_job; do $(RUN) -m unit.desired.$$each; done
.PHONY: golden

lock: setup ## Resolve the dependencies anew into requirements/
	@bash requirements/lock.sh $(CACHE)
.PHONY: lock

##@ Everything
test: setup ## All set-up, then every test that this machine can run
	@$(RUN) -m suite test
.PHONY: test

bench: setup $(if $(filter-out ready idle estimates railway,$(PART)),build,$(if $(filter railway,$(PART)),,up)) ## The tables of docs/benchmarks.md beside peers (PART=ready, idle, estimates, backups, archiving, recovery, gateway or railway)
	@$(RUN) -m bench $(PART)
.PHONY: bench

bench-long: setup build ## A hundred random losses of a volume (RUNS=n), each restored and compared
	@$(RUN) -m bench.ledger $(or $(RUNS),100)
.PHONY: bench-long
