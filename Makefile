# `make` alone lists the commands. They need python3 (3.11 or newer) with venv, and nothing else that is not fetched here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# pip complains about a cache that it cannot write: no home, an empty one, or somebody else's. Asked for where pip runs
# alone: `make` that only lists the commands makes no folder.
CACHE = $(shell [ -n "$$HOME" ] && mkdir -p "$$HOME/.cache/pip" 2>/dev/null && [ -w "$$HOME/.cache/pip" ] || echo --no-cache-dir)

.DEFAULT_GOAL := help
.PHONY: help try test test-product torture bench bench-nodes e2e conformance release pin docs pictures transcripts clean
.DELETE_ON_ERROR:

help:
	@echo "make try    bring a cluster up in an AWS on this machine, rerun, take it down: no account, nothing to pay"
	@echo "make test   the tests, ruff, mypy and shellcheck"
	@echo "make test-product  the same without what a change of lib alone seldom breaks (README.md says what)"
	@echo "make torture  stopped at every call, answers lost, throttled, two at once: all of it (TORTURE=up-after:7 repeats one)"
	@echo "make bench  count calls and seconds of up, rerun and down (BENCH=--help lists the parts)"
	@echo "make bench-nodes  real nodes: kube_up.py beside bare kubeadm, and how soon the dead are replaced (root on Linux)"
	@echo "make e2e    real clusters on this computer, booted from the very user-data (root on Linux; 17 minutes, the first time 22)"
	@echo "make conformance  Kubernetes' own conformance suite on such a cluster (40 minutes; CONFORMANCE=REGEX runs a part)"
	@echo "make release  build Kubernetes and what a node needs, for machines where no download site can be reached (Go; 20 minutes)"
	@echo "make pin    write the published sums of the default downloads into templates/releases.env"
	@echo "make docs   make docs/options.md, docs/permissions.md, the former names in docs/porting.md, the picture in docs/architecture.md"
	@echo "make pictures  make docs/up.svg and docs/failure.svg from what kube_up.py prints in the sandbox"
	@echo "make transcripts  run again what docs/transcripts.md shows, but for what needs root"
	@echo "make clean  remove what these made here"

try: $(READY)
	@sh sandbox/try.sh $(BIN)

test: $(READY)
	@sh .ci/checks $(BIN)

test-product: $(READY)
	@sh .ci/checks $(BIN) product

torture: $(READY)
	@PYTHONPATH=tests $(BIN)/python -m torture $(TORTURE)

bench: $(READY)
	@$(BIN)/python -m benchmarks $(BENCH)

bench-nodes: $(READY)
	@$(BIN)/python -m sandbox --hosts machines -- $(BIN)/python -m benchmarks.nodes

e2e: $(READY)
	@timeout 20m $(BIN)/python -m sandbox.conformance.build part || echo "make e2e: without the part of the conformance suite"
	@$(BIN)/python -m pytest tests/e2e

conformance: $(READY)
	@$(BIN)/python -m sandbox.conformance.build
	@$(BIN)/python -m sandbox --hosts machines --images "$$HOME/.cache/kube-up/conformance/images" -- \
		$(BIN)/python -m sandbox.conformance

release:
	@sandbox/release/build

pin: $(READY)
	@$(BIN)/python -m sandbox.pin

docs: $(READY)
	@$(BIN)/python -m lib.settings.options >docs/options.md
	@$(BIN)/python -m lib.checks.permissions >docs/permissions.md
	@$(BIN)/python -m lib.settings.former docs/porting.md
	@$(BIN)/python tests/house.py

pictures: $(READY)
	@$(BIN)/python -m sandbox.pictures

transcripts: $(READY)
	@$(BIN)/python -m sandbox.transcripts

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew when a requirement changes, so that nothing is there that is not pinned.
$(READY): requirements.txt sandbox/requirements.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "make: $(PYTHON) is not there or older than 3.11; name another: make PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "make: $(PYTHON) has no venv: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV) with the pinned requirements (a minute or two)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check $(CACHE) -r requirements-dev.txt
	@touch $@
