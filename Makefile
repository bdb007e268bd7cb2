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
PYTEST := $(RUN) -m pytest $(if $(K),-k "$(K)")

##@ Use
help: ## This list
	@awk 'BEGIN{FS=":.*## "} /^##@/{printf "\n%s\n",substr($$0,5)} /^[a-z-]+:.*## /{printf "  make %-11s %s\n",$$1,$$2}' $(MAKEFILE_LIST)
.PHONY: help

setup: $(VENV)/.done ## Python environment (hash-pinned), shared by all clones of this revision
	@ln -sfn $(VENV) .venv
.PHONY: setup

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

unit component apiserver: setup ## One layer of the tests (K=expression picks)
	@$(PYTEST) tests/$@
.PHONY: unit component apiserver

lock: setup ## Resolve the dependencies anew into requirements/
	@bash requirements/lock.sh $(CACHE)
.PHONY: lock

##@ Everything
test: setup ## All set-up, then every test that this machine can run
	@$(RUN) -m suite test
.PHONY: test
