# `make NAME [PARAMETER=VALUE ...]` is `python -m course NAME [PARAMETER=VALUE ...]`: try `make help`.
# Needs nothing but Python 3.11 to 3.13, make and a package index.

PYTHON ?= python3
NAMES := all test unit check refresh own new learn lab student grade-mine grade term site drift mutate compare bench doctor env data \
	summary lint lock clean

.PHONY: help $(NAMES)
.NOTPARALLEL:
.DEFAULT_GOAL := all

# NAME=value as it was typed, for the shell: with blanks, quotes, dollars and backquotes
QUOTED = '$(1)=$(subst ','\'',$(value $(1)))'

# PATH=my.csv says which file, not where programs are: those are found as before
ifeq ($(origin PATH),command line)
OWN := $(call QUOTED,PATH)
override PATH := $(or $(shell PATH=/usr/bin:/bin; tr '\0' '\n' 2>/dev/null < /proc/$$PPID/environ | sed -n 's/^PATH=//p'),$(shell echo "$$PATH"))
endif

# what was given on this command line, as the front door takes it; it says what is allowed
GIVEN = $(foreach word,$(filter-out MAKEOVERRIDES PYTHON,$(sort $(.VARIABLES))),$(if $(filter command line,$(origin $(word))),$(call QUOTED,$(word))))

help:
	@$(PYTHON) -m course --help

# `make check 22` is refused before `check`, which would take every notebook, has begun
$(NAMES):
	@$(PYTHON) -m course $(or $(firstword $(filter-out help $(NAMES),$(MAKECMDGOALS))),$@) $(GIVEN) $(OWN)

.DEFAULT:
	@$(PYTHON) -m course $@
