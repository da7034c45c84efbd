# Everything from a bare clone: needs Python 3.10 to 3.12, pip and make.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.10 python3; do $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check lint docs clean

demo: $(INSTALLED)
	$(BIN)/lmac demo --out demo-output

# One thread each; a file's tests stay together, as they share what is made for them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --dist loadfile

# Three processes on two cores: what starts Ray waits more than it computes.
test: $(INSTALLED) lint
	$(PYTEST) -n 3

# What can be run after every change: no Ray, no server, no training, and no file of tests that takes many seconds.
check: $(INSTALLED) lint
	$(PYTEST) -n 2 -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(INSTALLED)
	PYTHONPATH=. $(BIN)/griffe2md lmac --format-md --output docs/api.md

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "lmac needs Python 3.10, 3.11 or 3.12; none was found on PATH (set PYTHON=/path/to/python)"; exit 1; }
	@echo "installing into $(VENV) (some 6 GB, 4 minutes on a good line)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) demo-output build *.egg-info
