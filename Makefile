# make demo    everything for the embedded data set, from a fresh clone
# make test    every test, from a fresh clone
# make matrix    every test on Python 3.11 to 3.13, with the oldest and the newest torch
# make docs    the site, in site/index.html
# make test-slurm    the workflow on a real Slurm, with everything that dies on a cluster
PYTHON ?= python3
VENV ?= .venv
CORES ?= all
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo install test matrix test-slurm lint format schema pictures docs clean
.DEFAULT_GOAL := demo

demo: $(INSTALLED)
	$(BIN)/snakemake --cores $(CORES) --quiet reason host
	$(BIN)/python -m bat summary config/config.yaml

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

test: lint
	$(BIN)/python -m pytest -n auto

NOX := .nox/tool/bin/nox

# SESSION="tests-3.12(torch='oldest')" for one of them; ARGS go to pytest; LIST=1 only lists them
matrix: $(NOX)
	$(NOX) $(if $(LIST),--list) \
	  $(if $(SESSION),--error-on-missing-interpreters --session "$(SESSION)") $(if $(ARGS),-- $(ARGS))

$(NOX):
	$(PYTHON) -m venv .nox/tool
	.nox/tool/bin/python -m pip install --quiet --disable-pip-version-check nox==2026.10.20

# the workflow on a real Slurm of one node, and what it survives; about a quarter of an hour
test-slurm: $(INSTALLED)
	$(BIN)/python -m pytest tests/slurm/check_slurm.py --durations=0

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check --compact-diff workflow
	$(BIN)/snakemake --lint

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt workflow

schema: $(INSTALLED)
	$(BIN)/python -m bat schema > config/schema.json
	$(BIN)/python -m bat schema --markdown > docs/configuration.md

# those of the code and, where the demo has run, of the demo
pictures: $(INSTALLED)
	$(BIN)/python website/house.py > docs/images/house.svg
	$(BIN)/snakemake --rulegraph dot all | $(BIN)/python website/rules.py > docs/images/rules.svg
	test ! -d results/digits/figures || $(BIN)/python website/demo.py results/digits docs/images

docs: $(INSTALLED)
	BAT_NOTEBOOKS=true $(BIN)/mkdocs build
	@echo "the site is in site/index.html"

clean:
	rm -rf results logs .snakemake
