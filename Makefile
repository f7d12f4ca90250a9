# The two commands of the README are `make quickstart` and `make test`; both make their own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-all check docs fuzz bench clean
.DELETE_ON_ERROR:

quickstart: $(VENV)/installed
	$(BIN)/limbeck quickstart

test: $(VENV)/installed
	$(BIN)/python -m pytest

# The slow ones too.
test-all: $(VENV)/installed
	$(BIN)/python -m pytest -m ""

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Thousands of broken recipes and data rows; the tests do a hundred of each.
fuzz: $(VENV)/installed
	LIMBECK_FUZZ=2000 $(BIN)/python -m pytest -n 2 tests/test_fuzz.py

# The documentation as a site, in site/.
docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# limbeck beside the naive way, on the GPU where there is one; a table in benchmarks/results.
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.run

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
