# The house's verbs. `make demo` and `make test` are all a newcomer needs; each installs what it needs, once.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve test test-integration test-long test-docker soak lint bench lock clean

BIN := .venv/bin
DATA ?= $(wildcard data/*.hdf5 ../shared/data/*.hdf5)
EXTRAS := server,demo,test,integration,lint,bench
PIP := -m pip --disable-pip-version-check
PACKAGES := pqdb pqdb_server
SOAK_SECONDS ?= 600

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1|/p' Makefile | column -t -s '|'

demo: .venv/.has-demo  ## index and search your Python's standard library (QUESTION="…" asks your own)
	$(BIN)/pqdb demo $(if $(QUESTION),"$(QUESTION)")

serve: .venv/.has-server .venv/.has-demo  ## serve the demo's database over HTTP
	$(BIN)/pqdb serve demo-data

test: .venv/.has-test  ## the whole suite, on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-integration: .venv/.has-integration .venv/oldest-client  ## with heavy neighbours: RAG frameworks over the real service
	$(BIN)/python -m pytest -m integration $(ARGS)

test-long: .venv/.has-test  ## the longer stories: crashes by the hundred, large collections
	$(BIN)/python -m pytest -m long $(ARGS)

test-docker: .venv/.has-test  ## build and start the image (needs a Docker engine)
	PQDB_TEST_DOCKER=1 $(BIN)/python -m pytest tests/server -k docker $(ARGS)

soak: .venv/.has-bench  ## the service under a mixed load (SOAK_SECONDS=600; a day: 86400): no failure, flat memory
	$(BIN)/python -m bench.soak --seconds $(SOAK_SECONDS)

lint: .venv/.has-lint  ## style, types and floors
	$(BIN)/ruff check .
	@mkdir -p .venv/links && ln -sfn ../../server .venv/links/pqdb_server
	$(BIN)/mypy $(addprefix -p ,$(PACKAGES))
	$(BIN)/lint-imports --no-logo

bench: .venv/.has-bench  ## every engine side by side (DATA="file.hdf5 …"): tables and plots
	$(BIN)/python -m bench $(DATA)

lock:  ## the newest versions of everything the extras name, into constraints.txt
	rm -rf build/lock && mkdir -p build
	$(BIN)/python -m venv build/lock
	build/lock/bin/python $(PIP) install --quiet '.[$(EXTRAS)]'
	@{ echo "# The lock: exact versions of all that pqdb and its extras need; made by \`make lock\`, used by every install."; \
	   build/lock/bin/python $(PIP) list --format=freeze --exclude pqdb --exclude pip; } > build/constraints.txt
	mv build/constraints.txt constraints.txt && rm -rf build/lock

clean:  ## forget the environment, the demo's data and all caches
	rm -rf .venv build demo-data *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp an extra: pip runs again only after pyproject.toml or the lock has changed. setuptools comes first and
# from the lock, so that the build needs no environment of its own.
.venv/.has-%: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python $(PIP) install --quiet -c constraints.txt setuptools
	@echo "installing pqdb[$*] into .venv (exact versions, from constraints.txt) …"
	$(BIN)/python $(PIP) install -c constraints.txt --no-build-isolation -e '.[$*]'
	@touch $@

# The oldest Qdrant client we promise to serve, beside the newest, which the lock names.
.venv/oldest-client: .venv/bin/python
	$(BIN)/python $(PIP) install --quiet --no-deps --target $@ qdrant-client==1.16.0

# Made once and then left alone; no prerequisites, so an environment of your own making is used as it is.
.venv/bin/python:
	@for python in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making .venv with $$($$python --version)"; exec $$python -m venv .venv; \
	  fi; \
	done; \
	echo "pqdb needs Python 3.11 or newer with venv and pip, and found none on the PATH (on Debian and Ubuntu:" \
	  "apt-get install python3-venv; or say make PYTHON=/path/to/python3)." >&2; exit 1
