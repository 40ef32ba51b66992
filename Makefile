# Two commands for a newcomer: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export CBI_DATA_DIR ?= $(CURDIR)/.data

.PHONY: run test check install peers lock clean

run: install
	@$(BIN)/cbi serve --check
	@$(BIN)/cbi demo --once
	@$(BIN)/cbi serve

# The tests run Spark too, on a cluster of their own: 450 MB to install, once. Each of the two
# processes has a database server of its own; the longest files come first.
test: install $(STAMP)-spark
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_tidy.py

install: $(STAMP)

$(STAMP): .ci/requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r .ci/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $(STAMP)

$(STAMP)-spark: .ci/spark.lock $(STAMP)
	$(BIN)/python -m pip install --quiet --require-hashes -r .ci/spark.lock
	@touch $@

# What bench/ compares with.
peers: install
	$(BIN)/python -m pip install --quiet --require-hashes -r .ci/bench.lock

# Needs uv on the path. The locks serve every platform and Python from 3.11 on. The extras that
# only Spark or the benchmarks need are installed where they are used: they are large.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock:
	$(LOCK) --extra demo --extra dev --extra parquet pyproject.toml --output-file .ci/requirements.lock
	$(LOCK) --extra bench -c .ci/requirements.lock pyproject.toml --output-file .ci/bench.lock
	$(LOCK) --extra spark -c .ci/bench.lock pyproject.toml --output-file .ci/spark.lock

clean:
	@[ ! -x $(BIN)/cbi ] || $(BIN)/cbi stop
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
