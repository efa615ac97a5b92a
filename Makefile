# Every target sets up what it needs: a virtual environment with pinned packages.
PYTHON ?= python3
DATA ?= data
RUN ?= runs/default
PRESET ?= auto
ARGS ?=
WORKERS ?= 2
TRIALS ?= 15
N ?= 100

BIN := .venv/bin
CORE := .venv/.core
READY := .venv/.ready
PACKAGES := featlab models pipelines
FAST := tests/featlab/features tests/featlab/battles tests/featlab/signals \
	tests/models/stacking featlab/features featlab/battles featlab/signals \
	featlab/parity.py featlab/columns.py featlab/files.py models/stacking pipelines/run \
	--ignore tests/models/stacking/test_search.py
WRITTEN := tests/documents tests/examples

.DEFAULT_GOAL := help
.PHONY: help demo test test-docs test-fast test-ray check format data features train-ensemble learning-curve report play readme-figures kaggle test-kaggle docs bench bench-full harden clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What trains and predicts, without an encoder: no torch.
$(CORE): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(INSTALL) --editable . --group ensemble
	touch $@

$(READY): $(CORE)
	$(INSTALL) --editable ".[encoder,play]" --group ensemble --group data --group docs --group bench \
		--group dev
	touch $@

demo: $(CORE)  ## the whole main job on generated battles, no data or network needed
	$(BIN)/python -m pipelines.demo $(ARGS)

test: $(READY)  ## the test suite
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(addprefix --ignore ,$(WRITTEN)) $(ARGS)

test-docs: $(READY)  ## README, guide and examples, run as they are written
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(WRITTEN) $(ARGS)

test-fast: $(READY)  ## the tests of single parts, in under a minute
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(FAST) $(ARGS)

test-ray: $(READY)  ## shards on a Ray cluster of two workers, one killed; installs Ray
	$(INSTALL) --editable ".[ray]"
	$(BIN)/python -m pytest -q tests/featlab/shards/test_on_ray.py $(ARGS)

check: $(READY)  ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(addprefix -p ,$(PACKAGES))
	$(BIN)/mypy tests/examples

format: $(READY)  ## put the code into the format that check wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

data: $(READY)  ## fetch the training battles into DATA
	$(BIN)/python -m pipelines.data --data "$(DATA)" $(ARGS)

features: $(CORE)  ## text features of DATA into RUN
	$(BIN)/python -m pipelines.features --data "$(DATA)" --run "$(RUN)" $(ARGS)

train-ensemble: $(READY)  ## train on DATA into RUN with PRESET
	$(BIN)/python -m pipelines.train_ensemble --data "$(DATA)" --run "$(RUN)" --preset $(PRESET) $(ARGS)

learning-curve: $(READY)  ## loss of RUN by training battles, with a power law, for the report
	$(BIN)/python -m pipelines.learning_curve --run "$(RUN)" $(ARGS)

report: $(READY)  ## figures, bias audit and model report of RUN, as one page
	$(BIN)/python -m pipelines.report --run "$(RUN)" $(ARGS)

kaggle: $(READY)  ## pack RUN for Kaggle, where there is no network, into kaggle/
	$(BIN)/python -m pipelines.kaggle_kit --run "$(RUN)" $(ARGS)

test-kaggle: $(READY)  ## install a kit and predict 25,000 battles with no network, in minutes
	$(BIN)/python -m pytest -q -s tests/pipelines/offline_kaggle.py $(ARGS)

docs: $(READY)  ## the guide and every docstring as pages, into build/docs
	rm -rf build/guide build/battles build/docs
	mkdir -p build && cp -r assets/guide assets/battles build
	$(BIN)/python -m sphinx --quiet --fail-on-warning -b html build/guide build/docs

play: $(READY)  ## guess votes against the model of RUN, on a page of this machine
	$(BIN)/python -m pipelines.play --run "$(RUN)" $(ARGS)

readme-figures: $(READY)  ## the README's figures from RUN
	$(BIN)/python -m pipelines.report --run "$(RUN)" --readme-figures assets/battles $(ARGS)

bench: $(READY)  ## time and memory of the main parts; TRIALS=100 runs the whole search
	$(BIN)/python -m tests.bench.features --families $(ARGS)
	$(BIN)/python -m tests.bench.text_peers
	$(BIN)/python -m tests.bench.search_cost --trials $(TRIALS)
	$(BIN)/python -m tests.bench.embedding_throughput --texts 200

bench-full: $(READY)  ## a whole training at 5,000, 20,000 and 57,477 battles, stage by stage
	$(BIN)/python -m tests.bench.full $(ARGS)

harden: $(READY)  ## kill, starve and fuzz every command; a release takes N=1000
	$(BIN)/python -m tests.harden.kills --n $$(($(N) / 5))
	$(BIN)/python -m tests.harden.machine --n $(N)
	$(BIN)/python -m tests.harden.fuzz --n $$(($(N) * 100))

clean:  ## remove caches and the virtual environment, keep data and runs
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
