# The course's commands. `make` needs nothing but Python 3.11 to 3.13, make and a package index.
#
#   make all                 environment, data, every notebook executed, summary      (make -j2 all: two at once)
#   make test                the project's tests, and nbval over every notebook
#   make lab                 JupyterLab on the notebooks
#   make check NB=22         nbval on one notebook        make refresh NB=22   accept its new outputs
#   make student             student copies in build/student (NB=22: only this one)
#   make grade-mine NB=22    check your own copy          make grade SUBMISSIONS=folder   grade a class
#   make term                play a term through: release, 30 synthetic submissions, grades
#   make doctor              what this machine has and what to do about each problem
#   make lint                ruff                         make bench           speed as ratios in one run
#   make lock                compile requirements.lock again      make clean   forget results, keep data and .venv

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

# Whatever changes a notebook's result; a change of these runs everything again.
export DATA ?= auto
export DEVICE ?=
NETWORK ?=
PROFILE ?=
PARAMETERS := NETWORK=$(NETWORK) PROFILE=$(PROFILE)
# build/source is written by `data`: the value of DATA that takes for each data set what was decided there.
FOUND := DATA=$$(cat build/source)
SETTINGS := $(FOUND) DEVICE=$(DEVICE) $(PARAMETERS)

NOTEBOOKS := $(wildcard notebooks/[0-9]_*/[0-9][0-9]_*.ipynb)
EXECUTED := $(NOTEBOOKS:notebooks/%=build/%)
CORES := $(shell $(PYTHON) -c "import os; print(os.cpu_count())")
WORKERS ?= $(CORES)
TEST_THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1
NBVAL := $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout 600 -p course.check.tolerance

.PHONY: all env data notebooks summary test unit check refresh lab doctor lint bench lock clean FORCE
.PHONY: student grade grade-mine term
.DELETE_ON_ERROR:

all: env data
	@$(MAKE) --no-print-directory --keep-going FOUND_ALREADY=1 notebooks; $(BIN)/python -m course.run.summary

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) course/run/environment.py $(VENV)
	@touch $@

data: env
	@$(BIN)/python -m course.run.data

notebooks: $(EXECUTED)

build/%.ipynb: notebooks/%.ipynb $(wildcard helpers/*.py) course/run/execute.py requirements.lock build/settings | $(STAMP)
	@$(FOUND) $(BIN)/python -m course.run.execute $< $@ $(PARAMETERS)

# Rewritten only when a setting differs, so that its date says when the results went stale.
build/settings: FORCE | $(if $(FOUND_ALREADY),,data)
	@echo "$(SETTINGS)" | cmp -s - $@ || echo "$(SETTINGS)" > $@

summary: env
	@$(BIN)/python -m course.run.summary

# The stored outputs are those of the real data. Where a notebook's data are the sample, its executed copy takes
# their place: `make` brings it up to date, and the tests run it once more and compare.
CHECKED = $$($(BIN)/python -m course.run.find --checked $(NB))
define execute-on-sample
	@copies=$$($(BIN)/python -m course.run.find --checked $(NB) | grep ^build/); \
		[ -z "$$copies" ] || $(MAKE) --no-print-directory FOUND_ALREADY=1 $$copies
endef

test: env data
	$(execute-on-sample)
	$(FOUND) $(TEST_THREADS) $(NBVAL) -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(CHECKED) tests

unit: env
	$(TEST_THREADS) $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile tests

check: env data
	$(execute-on-sample)
	$(FOUND) $(NBVAL) -v $(CHECKED)

refresh: env data
	$(if $(NB),,$(error NB: say which notebook to refresh, for example make refresh NB=22))
	@$(FOUND) $(BIN)/python -m course.run.execute --refresh $$($(BIN)/python -m course.run.find $(NB))

lab: env
	$(BIN)/jupyter lab --notebook-dir=notebooks

doctor:
	@if [ -x $(BIN)/python ]; then $(BIN)/python course/run/doctor.py; else $(PYTHON) course/run/doctor.py; fi

lint: env
	$(BIN)/ruff check .

bench: env
	@$(BIN)/python -m benchmarks $(BENCH)

lock:
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url -q -o requirements.lock
	$(BIN)/python course/run/environment.py --conda

student: env data
	@$(BIN)/python -m course.grade.release $(NB) $(if $(FORCE),--force)

grade: env data
	$(if $(SUBMISSIONS),,$(error SUBMISSIONS: say where the submissions are, for example SUBMISSIONS=submissions))
	@$(BIN)/python -m course.grade.batch "$(SUBMISSIONS)" $(if $(REPORTS),--reports "$(REPORTS)") \
		$(if $(NB),--notebooks $(NB)) $(if $(JOBS),--jobs $(JOBS)) $(if $(SCHEDULER),--scheduler $(SCHEDULER))

grade-mine: env data
	$(if $(NB),,$(error NB: say which notebook to check, for example make grade-mine NB=22))
	@$(BIN)/python -m course.grade.mine $(NB) $(if $(FILE),"$(FILE)")

term: env data
	@$(BIN)/python -m course.grade.term $(if $(JOBS),--jobs $(JOBS))

# Student copies are somebody's work, and reports somebody's grades: clean leaves them alone.
clean:
	@for path in build/*; do case "$$path" in build/student|build/reports) ;; *) rm -rf "$$path";; esac; done
