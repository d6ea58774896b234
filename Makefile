# Every verb of the project. CI (.ci/run) calls the same ones; `make help` lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The server's address: make demo HOST=0.0.0.0 PORT=9000
HOST ?= 127.0.0.1
PORT ?= 8000
# One parser's fuzzing time in seconds, and only those that match: make fuzz FUZZ_TIME=600 FUZZ=h1
FUZZ_TIME ?= 30
FUZZ ?=
# More arguments for a test runner: make test-py ARGS="-k router -x"
ARGS ?=
PREFIX ?= /usr/local

EXT_BUILD := build/ext
EXT_OUTPUT := $(CURDIR)/python/quintette
# The projects' packages, and the Django that suits them, apart from the tests' own.
CONFORMANCE_VENV := $(CURDIR)/build/conformance/venv

.PHONY: help
help: ## List the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r verb text; do printf '  make %-20s %s\n' "$$verb" "$$text"; done

# --- set-up -----------------------------------------------------------------

.PHONY: setup
setup: ## Make .venv, install what is needed, build the extension in place
	@scripts/setup.sh dev demo
	@scripts/build-extension.sh $(EXT_BUILD) $(EXT_OUTPUT)

.PHONY: demo
demo: setup ## Serve the example project with its data on http://HOST:PORT
	@HOST=$(HOST) PORT=$(PORT) scripts/demo.sh

# --- tests --------------------------------------------------------------------

.PHONY: test
test: test-c test-py ## Every test that needs no server, and those whose server answers

.PHONY: test-c
test-c: ## The C tests (cmocka, by ctest)
	@scripts/test-c.sh dev $(ARGS)

.PHONY: test-py
test-py: setup ## The Python tests (pytest)
	@scripts/test-py.sh $(ARGS)

.PHONY: conformance
conformance: setup ## Real projects, Django's tests, other parsers: each against ours
	@VENV=$(CONFORMANCE_VENV) PYTHON=$$(cat .venv/.base) scripts/setup.sh conformance || \
	  echo "Not all packages could be installed: tests that need them are skipped."
	@scripts/setup.sh parsers || echo "Not all parsers could be installed: the others are compared."
	@scripts/test-py.sh --conformance $(ARGS)

.PHONY: autobahn
autobahn: setup ## The Autobahn suite against our WebSockets; needs wstest: see scripts/autobahn.sh
	@scripts/autobahn.sh $(ARGS)

.PHONY: endurance
endurance: setup ## 10,000 idle connections, a million requests with every kind of abort (minutes)
	@scripts/test-py.sh --endurance -s $(ARGS)

.PHONY: asan
asan: setup ## The C tests, and the Python tests that are not slow, under AddressSanitizer and UBSan
	@scripts/test-c.sh asan
	@scripts/test-py.sh --sanitizer address,undefined $(ARGS)

.PHONY: tsan
tsan: ## The C tests under ThreadSanitizer
	@scripts/test-c.sh tsan $(ARGS)

.PHONY: fuzz
fuzz: ## Fuzz each parser for FUZZ_TIME seconds, from its corpus
	@FUZZ_TIME=$(FUZZ_TIME) scripts/fuzz.sh $(FUZZ)

.PHONY: bench
bench: setup ## Measure Quintette beside its peers; ARGS=--quick, see ARGS=--help
	@scripts/bench.sh $(ARGS)

.PHONY: bench-instructions
bench-instructions: setup ## Count instructions per request, against the committed baseline
	@scripts/system-packages.sh instructions
	@scripts/bench-instructions.sh $(ARGS)

.PHONY: lint
lint: setup ## Formatters, linters and type checkers, all of them
	@scripts/lint.sh $(ARGS)

# --- what is shipped ------------------------------------------------------------

.PHONY: wheel
wheel: setup ## Build dist/*.whl and the sdist, install the wheel into a fresh venv, import it
	@scripts/wheel.sh

.PHONY: docs
docs: setup ## Build the documentation into docs/site
	@scripts/setup.sh docs
	@.venv/bin/mkdocs build --quiet --strict --site-dir build/docs
	@rm -rf docs/site && cp -r build/docs docs/site
	@echo "docs/site/index.html"

.PHONY: install-lib
install-lib: ## Install libq5, its headers and its pkg-config file below PREFIX
	@cmake -S . -B build/install-lib -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	@cmake --build build/install-lib
	@cmake --install build/install-lib

.PHONY: clean
clean: ## Remove what was built (.venv stays: remove it by hand)
	rm -rf build dist docs/site python/quintette/*.so
