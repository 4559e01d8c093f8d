# make build   prepare .venv, so that .venv/bin/postillon works
# make run     build, start a server for development in ./dev-data, prove that it works, stay up until Ctrl-C
# make test    install what the tests need and run them all
# make check   format, lint, types, layers, docs
# make bench   measure against Postfix and Dovecot
#
# Nothing but make and Python 3.11 or later is assumed; what is missing comes from Debian's packages and PyPI.

VENV := .venv
PORT_BASE ?= 10000
TESTS ?=
JOBS ?= 2
SOURCES := postillon tests tools bench

.PHONY: build run test check format bench clean

build: .build/run

.build/run: pyproject.toml tools/build
	sh tools/build run

.build/dev: pyproject.toml tools/build
	sh tools/build dev

run: .build/run
	@$(VENV)/bin/python tools/run.py --port-base $(PORT_BASE)

test: .build/dev
	sh tools/setup-tests
	# What failed beside the others is tried once more, alone: many of these tests share two processors with real servers.
	$(VENV)/bin/python -m pytest -m "" -n $(JOBS) --dist loadfile $(TESTS) || \
	  $(VENV)/bin/python -m pytest -m "" --last-failed --last-failed-no-failures none

check: .build/dev
	$(VENV)/bin/ruff format --check $(SOURCES)
	$(VENV)/bin/ruff check $(SOURCES)
	$(VENV)/bin/mypy
	$(VENV)/bin/python tools/layers.py
	$(VENV)/bin/python tools/docs.py

format: .build/dev
	$(VENV)/bin/ruff format $(SOURCES)
	$(VENV)/bin/ruff check --fix $(SOURCES)

bench: .build/dev
	sh tools/setup-tests bench
	$(VENV)/bin/python -m bench

clean:
	rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache
