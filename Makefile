# make demo   from nothing to 20 titles for a user, on embedded parts
# make test   lint, types and tests
# make gpu-check   on a machine with an NVIDIA GPU: its tests, and what it is worth
# Both make their own environment in .venv; a second call installs nothing.

.SILENT:
.DELETE_ON_ERROR:
.ONESHELL:
SHELL := /bin/bash
.SHELLFLAGS := -euc
MAKEFLAGS += --no-print-directory

# else each of a run's twelve processes compiles anew whatever it imports, which is most of a small one
unexport PYTHONDONTWRITEBYTECODE

UV := .venv/bin/uv
DAWNLIST := .venv/bin/dawnlist
INPUTS := setup.cfg pyproject.toml requirements.lock

.PHONY: demo test prove gpu-check lock clean

demo:
	began=$$(date +%s)
	$(MAKE) .venv/user
	DAWNLIST_SETUP_SECONDS=$$(($$(date +%s) - began)) .venv/bin/python benchmarks/demo.py

test: .venv/dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m pytest -n 2 --dist loadfile

gpu-check: .venv/dev
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --constraint requirements.lock --editable '.[local,dev,gpu]'
	.venv/bin/python -m pytest -q -rs tests/test_ials.py tests/test_solver.py tests/test_topk.py
	.venv/bin/python benchmarks/gpu_check.py

prove: .venv/dev
	DAWNLIST_PROVE=1 .venv/bin/python -m pytest

# the newest Python from 3.11 to 3.13 that can make an environment; uv then installs what the lock pins
$(UV):
	for python in python3.13 python3.12 python3.11 python3; do
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
	    $$python -m venv --clear .venv
	    .venv/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	    exit 0
	  fi
	done
	echo "dawnlist: no Python from 3.11 to 3.13 with venv was found: install one, e.g. on Debian and Ubuntu: apt-get install python3 python3-venv" >&2
	exit 1

.venv/user: $(INPUTS) | $(UV)
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --constraint requirements.lock --editable '.[local]'
	touch $@

.venv/dev: $(INPUTS) | $(UV)
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --constraint requirements.lock --editable '.[local,dev]'
	touch $@ .venv/user

lock: | $(UV)
	$(UV) pip compile setup.cfg --extra local --extra dev --universal --python-version 3.11 --quiet \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --output-file requirements.lock

clean:
	rm -rf .venv .dawnlist build *.egg-info
