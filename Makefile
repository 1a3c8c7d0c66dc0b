# Everything a developer calls. Each target makes what it needs in $(VENV) and repeats are quick.
#
#   make demo [ONCE=1]      the example site, with an import that you can watch
#   make test [ARGS=...]    the suite on every database that answers; ARGS go to pytest
#   make test-all           the suite on every pair of Python and Django, without browsers and storms
#   make lint | docs | bench | clean

VENV ?= .venv
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
DJANGO ?=
PAIRS ?= 3.11:5.2 3.12:6.0 3.13:6.1
TEST_GROUPS ?= test browser
ARGS ?=
ONCE ?=

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

.DELETE_ON_ERROR:
.PHONY: demo test test-all lint docs bench clean install-lint install-test mysqlclient

demo: $(VENV)/.example
	ONCE=$(ONCE) $(PY) -m example_project.demo

test: install-test
	$(PY) scripts/run_tests.py $(ARGS)

test-all: $(VENV)/.python
	$(PY) scripts/test_pairs.py $(PAIRS) -- --without=browser,storm $(ARGS)

lint: install-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict

bench: install-test
	$(PY) -m benchmarks $(ARGS)

clean:
	rm -rf .venv .venvs build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install-test: $(VENV)/.test mysqlclient

install-lint: $(VENV)/.test $(VENV)/.lint

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found; set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	touch $@

define install
$(PIP) install "django$(DJANGO)" --editable '.[postgresql,redis]' $(foreach group,$(1),--group $(group))
touch $@
endef

$(VENV)/.example: $(VENV)/.python pyproject.toml
	$(call install,example)

$(VENV)/.test: $(VENV)/.python pyproject.toml
	$(call install,$(TEST_GROUPS))

$(VENV)/.lint: $(VENV)/.python pyproject.toml
	$(call install,lint)

$(VENV)/.docs: $(VENV)/.python pyproject.toml
	$(call install,docs)

# Built from source. A machine without MariaDB's C library goes on without it, and the tests say so;
# the next call tries again.
mysqlclient: $(VENV)/.test
	@test -e $(VENV)/.mysqlclient || { \
		$(PIP) install --editable '.[mysql]' >$(VENV)/mysqlclient.log 2>&1 && touch $(VENV)/.mysqlclient; \
	} || echo "mysqlclient could not be built, so MariaDB is left out: see $(VENV)/mysqlclient.log"
