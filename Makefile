# make demo        from nothing to 20 titles for a user, on embedded parts
# make test        lint, types and every test
# make test-all    the same on each Python from 3.11 to 3.13 that this machine has
# make prove       the long proofs, and the tests with each of OpenBLAS's kernels that the CPU can execute
# make mutants     changes the code in one place at a time, and says which changes no test notices
# make notebooks executes the notebooks and stores their outputs in them
# make docs        the documentation as a site, in site/
# make release     the manifests as plain YAML, in dist/, for kubectl apply without kustomize
# make gpu-check   on a machine with an NVIDIA GPU: its tests and its speed
# Each target makes its own environment, by default in .venv; a second call installs nothing.

.SILENT:
.DELETE_ON_ERROR:
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -euc
MAKEFLAGS += --no-print-directory

# else each of a run's twelve processes compiles anew whatever it imports, which is most of a small one
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
PYTHONS ?= python3.13 python3.12 python3.11 python3
UV := $(VENV)/bin/uv
INPUTS := setup.cfg pyproject.toml requirements.lock

.PHONY: demo test test-all prove mutants notebooks docs release gpu-check lock clean

demo:
	began=$$(date +%s)
	$(MAKE) $(VENV)/user
	DAWNLIST_SETUP_SECONDS=$$(($$(date +%s) - began)) $(VENV)/bin/python benchmarks/demo.py

test: $(VENV)/dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

test-all:
	for version in 3.11 3.12 3.13; do
	  if python$$version -c '' 2>/dev/null; then
	    echo "Python $$version"
	    $(MAKE) test VENV=.venv-$$version PYTHONS=python$$version
	  else
	    echo "Python $$version is not installed: skipped"
	  fi
	done

docs: $(VENV)/dev
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict

release: $(VENV)/dev
	$(VENV)/bin/python manifests/release.py dist

gpu-check: $(VENV)/dev
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --constraint requirements.lock --editable '.[local,dev,gpu]'
	$(VENV)/bin/python -m pytest -q -rs tests/test_ials.py tests/test_solver.py tests/test_topk.py
	$(VENV)/bin/python benchmarks/gpu_check.py

prove: $(VENV)/dev
	$(VENV)/bin/python benchmarks/kernels.py

mutants: $(VENV)/dev
	nice -n 10 $(VENV)/bin/python benchmarks/mutants.py

notebooks: $(VENV)/dev
	$(VENV)/bin/python benchmarks/notebooks.py

# the newest Python from 3.11 to 3.13 that can make an environment; uv then installs what the lock pins
$(UV):
	for python in $(PYTHONS); do
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
	    $$python -m venv --clear $(VENV)
	    awk '/^uv==/,!/\\$$/' requirements.lock | $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement /dev/stdin
	    exit 0
	  fi
	done
	echo "dawnlist: no Python from 3.11 to 3.13 with venv was found: install one, e.g. on Debian and Ubuntu: apt-get install python3 python3-venv" >&2
	exit 1

$(VENV)/user: $(INPUTS) | $(UV)
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --constraint requirements.lock --editable '.[local]'
	touch $@

$(VENV)/dev: $(INPUTS) | $(UV)
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --constraint requirements.lock --editable '.[local,dev]'
	touch $@ $(VENV)/user

lock: | $(UV)
	$(UV) pip compile setup.cfg --extra local --extra dev --universal --python-version 3.11 --quiet --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock

clean:
	rm -rf .venv .venv-* .dawnlist build site *.egg-info
