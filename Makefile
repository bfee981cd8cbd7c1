# The few verbs; everything else is `.venv/bin/toporepro --help` and `.venv/bin/snakemake --help`.
PRESET ?= demo
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
PROFILE ?= default
FIG ?=
CARD ?= A100
PYTHON ?=
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON
# Packages in the user's home must not stand in for the pinned ones.
export PYTHONNOUSERSITE := 1

.PHONY: help setup reproduce plan lint test audit bench figure readme brain-score

help:
	@echo "make setup                          install the pinned packages into .venv"
	@echo "make reproduce [PRESET=demo] [CORES=n] [RESTORE=1]   every result of a preset, then the report"
	@echo "                                    PROFILE=slurm: on a cluster (docs/cluster.md)"
	@echo "make plan [PRESET=demo] [CARD=A100]  what a run takes, before anything runs"
	@echo "make figure FIG=name [PRESET=demo]  regenerate one figure and what it needs"
	@echo "make readme                         put the demo's table and figure into the README"
	@echo "make test                           run all tests"
	@echo "make lint                           ruff, snakefmt, mypy"
	@echo "make audit                          known vulnerabilities of the pinned packages"
	@echo "make brain-score                    install Brain-Score's package, in an environment of its own"
	@echo "make bench                          measure speed beside the peers, into benchmarks/"

setup:
	@bash envs/setup.sh

reproduce: setup
	@python workflow/ops reproduce --preset $(PRESET) --cores $(CORES) --profile $(PROFILE) \
		$(if $(RESTORE),--restore)

plan: setup
	@python workflow/ops plan --preset $(PRESET) --card $(CARD) --profile $(PROFILE)

figure: setup
	@python workflow/ops figure --preset $(PRESET) --cores $(CORES) --profile $(PROFILE) "$(FIG)"

readme: setup
	@python workflow/ops readme

lint: setup
	@ruff check . && ruff format --check . && snakefmt --check Snakefile workflow/rules && mypy

audit: setup
	@bash tests/audit.sh

test: setup
	@bash tests/run.sh

bench: setup
	@python benchmarks/run.py

brain-score: setup
	@bash envs/brain-score.sh
