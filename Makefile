PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where a shell has this set, each process of a test and each pytest would compile torch, Optuna, SciPy and the tests anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo campaign check test lint types imports fast lock clean

setup: $(VENV)/.installed

# Compiling all of the packages takes half of the time of installing them; Python compiles what is used when it is first imported.
# The lock is used as constraints, so that torch brings its CUDA packages only where its build asks for them.
$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(0 if (3,11) <= sys.version_info[:2] <= (3,14) else "hpo needs Python 3.11 to 3.14; run make PYTHON=python3.12")'
	@echo 'installing into $(VENV): some minutes in which nothing is printed, and 6 GB with the CUDA packages of PyTorch'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --progress-bar off -c requirements.lock -e '.[dev,postgres,mysql,server,nifti,tensorboard]'
	touch $@

# Its own data folder, so that the log of test set accesses of an earlier demo does not stop this one. A demo that was stopped goes on;
# one that has its result begins anew.
demo: export HPO_DATA_DIR := $(CURDIR)/demo-run
demo: setup
	test ! -e demo-run/hpo-results/digits-hard/final.json || rm -rf demo-run
	mkdir -p demo-run
	cd demo-run && ../$(BIN)/hpo launch digits-hard
	cd demo-run && ../$(BIN)/hpo finalize digits-hard --networks 4 --baseline-epochs 50 \
		--trial $$(../$(BIN)/hpo best digits-hard --count 1 --csv - | tail -n 1 | cut -d , -f 2)
	cd demo-run && ../$(BIN)/hpo report digits-hard
	@printf '%s\n' '' 'report      open demo-run/hpo-results/digits-hard/report.html in a browser' \
		'dashboard   cd demo-run && ../$(BIN)/hpo dashboard digits-hard' \
		'all trials  cd demo-run && ../$(BIN)/hpo trials digits-hard' \
		'next        . $(BIN)/activate, for the command hpo in this shell; docs/first-hour.md'

# Goes on with a data set's whole study where it was stopped: `make campaign HOURS=8 DATASET=pneumonia ARGS='--trials 60'`.
campaign: DATASET ?= breast
campaign: setup
	benchmarks/campaign.sh $(DATASET) $(ARGS)

# What fails in a second comes first. mypy takes a core for half a minute where it has no cache, so it runs beside the tests; what
# it has to say is one block, and make names what failed at the end.
check: lint imports
	$(MAKE) --no-print-directory -j 2 types fast

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

fast: setup
	$(BIN)/python -m pytest -m 'not slow and not gpu' -n 2

# Three on two cores: a third of these tests' time is waiting, for servers, leases and Slurm. In the order of tests/conftest.py,
# since pytest-xdist would begin with the files of the most tests.
test: check
	$(BIN)/python -m pytest -m 'slow and not gpu' -n 3 --dist loadfile --no-loadscope-reorder

lock:
	$(PYTHON) -m venv /tmp/hpo-lock && /tmp/hpo-lock/bin/pip install --quiet uv
	/tmp/hpo-lock/bin/uv pip compile --quiet pyproject.toml -c requirements.in --universal --python-version 3.11 \
		--extra dev --extra postgres --extra mysql --extra server --extra nifti --extra tensorboard --upgrade --no-emit-index-url --no-annotate --no-header -o requirements.lock

clean:
	rm -rf $(VENV) demo-run campaign-run
