# `make` alone lists the commands. They need python3 (3.11 or newer) with venv, and nothing else that is not fetched here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

# pip complains about a cache that it cannot write: no home, an empty one, or somebody else's. Asked for where pip runs
# alone: `make` that only lists the commands makes no folder.
CACHE = $(shell [ -n "$$HOME" ] && mkdir -p "$$HOME/.cache/pip" 2>/dev/null && [ -w "$$HOME/.cache/pip" ] || echo --no-cache-dir)

.DEFAULT_GOAL := help
.PHONY: help try test test-product torture bench bench-nodes bench-bearing e2e conformance release pin docs pictures transcripts clean
.DELETE_ON_ERROR:

help:
	@echo "make try           a cluster up, again, and down, in an AWS on this machine"
	@echo "make test          the tests, ruff, mypy and shellcheck"
	@echo "make test-product  the stories, and all tests that need no simulated AWS"
	@echo "make torture       all of it: stopped at every call, answers lost, two at once;"
	@echo "                   and the rest of each loop that make test plays in part"
	@echo "                   (TORTURE=up-after:7 repeats one)"
	@echo "make bench         calls and seconds of up, rerun and down (BENCH=--help)"
	@echo "make bench-nodes   real nodes: beside bare kubeadm, the dead replaced (root)"
	@echo "make bench-bearing 100 pods a node on the default sizes (root; 5 minutes)"
	@echo "make e2e           real clusters on this computer (root; half an hour)"
	@echo "make conformance   Kubernetes' own suite on one (root; 40 minutes;"
	@echo "                   CONFORMANCE=REGEX runs a part,"
	@echo "                   KUBERNETES_VERSION=1.36.3 the suite of that version,"
	@echo "                   KERNEL=own on machines with a kernel of their own)"
	@echo "make release       build what a node needs, where nothing can be downloaded"
	@echo "                   (Go; 25 minutes)"
	@echo "make pin           write the downloads' published sums into the templates"
	@echo "make docs          the parts of docs/ that are made from the code"
	@echo "make pictures      docs/up.svg and docs/failure.svg"
	@echo "make transcripts   docs/transcripts.md, but for what needs root"
	@echo "make clean         remove what these made here"

try: $(READY)
	@sh sandbox/try.sh $(BIN)

test: $(READY)
	@sh .ci/checks $(BIN)

test-product: $(READY)
	@sh .ci/checks $(BIN) product

torture: $(READY)
	@failed=0; \
	[ -n "$(TORTURE)" ] || $(BIN)/python -m pytest -n 3 -m torture || failed=1; \
	PYTHONPATH=tests $(BIN)/python -m torture $(TORTURE) || failed=1; \
	exit $$failed

bench: $(READY)
	@$(BIN)/python -m benchmarks $(BENCH)

bench-nodes: $(READY)
	@$(BIN)/python -m sandbox --hosts machines -- $(BIN)/python -m benchmarks.nodes

bench-bearing: $(READY)
	@$(BIN)/python -m sandbox --hosts machines -- $(BIN)/python -m benchmarks.bearing

e2e: $(READY)
	@timeout --foreground --signal=INT --kill-after=10s 20m $(BIN)/python -m sandbox.conformance.build part || echo "make e2e: without the part of the conformance suite"
	@$(BIN)/python -m pytest -rs tests/e2e

conformance: $(READY)
	@$(BIN)/python -m sandbox.conformance check
	@$(BIN)/python -m sandbox.conformance.build
	@$(BIN)/python -m sandbox --hosts machines $(if $(KERNEL),--kernel) --images "$$($(BIN)/python -m sandbox.conformance.build where)" -- \
		$(BIN)/python -m sandbox.conformance

release:
	@command -v go >/dev/null || { echo "make release: there is no go; .ci/machines names the packages that it wants" >&2; exit 1; }
	@sandbox/release/build
	@sandbox/kernel/build || test $$? = 3

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
