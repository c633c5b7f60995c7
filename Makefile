# Both commands make .venv and install what they need; `make help` lists the rest.
VENV ?= .venv
OUT ?= outputs/quickstart
ENGINE ?= megatron
TP ?= 2
PP ?= 1
SEED ?= 0
export PYTHON TORCH_PIP_ARGS DRIVER MAX_JOBS
# A run starts a dozen processes that import the same modules: the first compiles them and keeps the bytecode in $(VENV),
# also where this variable forbids it elsewhere.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help install install-gpu quickstart test test-faults test-slurm test-long test-all test-verl test-gpu-stack lint check clean

help:
	@echo "make quickstart   train a small model on two CPU cores and write $(OUT)/report.html"
	@echo "                  (ENGINE=megatron|dp, TP=, PP=, SEED=, OUT=)"
	@echo "make test         lint and tests, the real stack included"
	@echo "make test-faults  kill the parts of a run, fill its disk, and see it end and continue"
	@echo "make test-slurm   job files, and jobs on a Slurm with three virtual nodes (skipped where that can't be)"
	@echo "make test-long    the tests that take minutes: twins, FSDP2, GDPO, colocate_async, export (THIRD=0|1|2 for one third)"
	@echo "make test-all     make test, test-slurm, test-faults and test-long, one after the other"
	@echo "make test-verl    what another verl breaks (VERL=its checkout)"
	@echo "make test-gpu-stack  the tests that need the packages of GPUs, and no GPU; makes .venv-gpu, 11 GB (CONTRIBUTING.md)"
	@echo "make check        lint, and the tests of the files that differ from the last commit"
	@echo "make lint         ruff, mypy and hadolint"
	@echo "make install      only $(VENV)"
	@echo "make install-gpu  $(VENV) for NVIDIA's GPUs (docs/recipes.md)"
	@echo "make clean        remove $(VENV), .venv-gpu, outputs and build files"

$(VENV)/.installed: setup.py pyproject.toml requirements/install.sh requirements/stack.txt requirements/cpu.txt requirements/dev.txt
	requirements/install.sh $(VENV)
	@touch $@

install: $(VENV)/.installed

$(VENV)/.installed-gpu: setup.py pyproject.toml requirements/install.sh $(wildcard requirements/*.txt)
	requirements/install.sh $(VENV) gpu
	@touch $@

install-gpu: $(VENV)/.installed-gpu

quickstart: install
	$(VENV)/bin/medu1 quickstart --engine $(ENGINE) --tp $(TP) --pp $(PP) --seed $(SEED) --out $(OUT)

test: install lint
	$(VENV)/bin/python -m pytest -m "not e2e and not long and not slurm and not gpu_stack" --ignore tests/cluster \
		--numprocesses 2 --dist loadfile --durations 15
	$(VENV)/bin/python -m pytest -m "e2e and not long and not slurm and not faults" --durations 15

test-faults: install
	$(VENV)/bin/python -m pytest -m faults tests/e2e

test-verl: install
	$(VENV)/bin/python -m verl_medu1.verl_compat $(VERL)

test-gpu-stack:
	$(MAKE) install-gpu VENV=.venv-gpu DRIVER=later
	.venv-gpu/bin/python -m pytest -m gpu_stack tests/gpu_stack/test_output_layer.py
	.venv-gpu/bin/python -m pytest -m gpu_stack tests/gpu_stack/test_system_libraries.py
	.venv-gpu/bin/python -m pytest -m gpu_stack tests/gpu_stack/test_vllm_configuration.py

test-slurm: install
	$(VENV)/bin/python -m pytest tests/cluster --numprocesses 2 --dist loadfile
	$(VENV)/bin/python -m pytest -m slurm tests/slurm

test-long: install
	$(VENV)/bin/python -m pytest -m long $(if $(THIRD),--third $(THIRD))

test-all:
	$(MAKE) test
	$(MAKE) test-slurm
	$(MAKE) test-faults
	$(MAKE) test-long

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/hadolint Containerfile

check: lint
	tests=$$($(VENV)/bin/python -m tests.of_changes) && if [ -n "$$tests" ]; then \
		$(VENV)/bin/python -m pytest -m "not e2e and not long and not slurm and not gpu_stack" --exitfirst $$tests; fi

clean:
	rm -rf $(VENV) .venv-gpu outputs build *.egg-info
