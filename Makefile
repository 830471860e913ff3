# Every target works on a fresh clone: it first makes the environment that it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export LINEAMENT_SHARED ?= $(CURDIR)/../shared

.PHONY: setup demo test test-slow lint types check bench docs clean

$(VENV)/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[plots]"
	touch $@

$(VENV)/dev: $(VENV)/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

setup: $(VENV)/dev  ## everything that the other targets need

demo: $(VENV)/base  ## verify and identify real photographs; make demo A=one.jpg B=other.jpg verifies yours
	$(BIN)/lineament demo --out demo-out $(if $(A),"$(A)" "$(B)",)

test: $(VENV)/dev  ## the default test run
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/dev  ## what the default run leaves out
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell

types: $(VENV)/dev
	$(BIN)/mypy

docs: $(VENV)/dev  ## rebuild the generated parts of the documentation
	$(BIN)/python docs/generate.py

check: lint types test  ## what CI runs

bench: $(VENV)/dev  ## speed and memory; writes reports/bench.json
	$(BIN)/python -m benchmarks --json reports/bench.json

clean:
	rm -rf $(VENV) demo-out build dist .pytest_cache .mypy_cache .ruff_cache
