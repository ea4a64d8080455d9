# Two commands matter: `make book` builds the site, `make test` checks everything. `make help` lists the rest.

# Any Python >= 3.11; the first one found, unless named: make book PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# The build of torch: cpu, or default (the platform's own, which on Linux drives NVIDIA GPUs).
TORCH ?= $(if $(shell command -v nvidia-smi 2>/dev/null),default,cpu)
# The port of `make serve`.
PORT ?= 8888
# More arguments for pytest: make test ARGS="-k serve -x"
ARGS ?=
# How many tests run side by side, on one thread each. A lab among them may take 2 GB; 0 runs one after another, with output as it comes.
WORKERS ?= 2

BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help book test labs serve bench lint format clean install profile

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PYTHON=$(PYTHON)  TORCH=$(TORCH) (cpu or default)  PORT=$(PORT)  WORKERS=$(WORKERS) and ARGS= (for pytest)"

book: profile ## Install what is missing, calibrate this machine once, build the site into _build/html
	@$(BIN)/workbook build

test: profile ## Run every check: style, types, units, properties, labs, questions, book and browser
	@$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder $(ARGS)

labs: profile ## Run every lab on this machine (cached, resumable), for the site to show your outputs
	@$(BIN)/workbook labs

serve: book ## Serve the site and JupyterLab on one port of this machine, PORT=8888
	@$(BIN)/workbook serve --port $(PORT)

bench: profile ## Run every script in benchmarks/ and list the results
	@$(BIN)/workbook bench

lint: install ## Check style and types: ruff (notebooks too) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m workbook.notebooks --check labs

format: install ## Put code and notebooks into their normal form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m workbook.notebooks labs

clean: ## Remove what was built: the site and the outputs of your lab runs
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis

install: ## Make or refresh .venv from requirements.txt
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed and none was found. Install one, or name it: make book PYTHON=/path/to/python3.11" >&2; exit 1; }
	@command -v "$(PYTHON)" >/dev/null || { echo "make: PYTHON=$(PYTHON) is no program here. Name one: make book PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) src/workbook/environment.py --torch $(TORCH)

profile: install ## Calibrate this machine, unless its profile is there
	@$(BIN)/napkinmath calibrate --if-needed
