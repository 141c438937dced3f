# `make` alone lists the targets. Every target that runs something installs first, which takes a
# moment once that is done, so that `make demo` is the only command a newcomer needs.

# STACK=onedl: the maintained forks of OpenMMLab, in an environment of their own.
venv := $(if $(filter onedl,$(STACK)),.venv-onedl,.venv)
python := $(venv)/bin/python
# Looked up when used: `make install` may have put it there a moment ago.
uv = $(shell command -v uv || echo .cache/uv/bin/uv)

.DEFAULT_GOAL := help
.PHONY: help install bundle demo reproduce peers test test-quick trials lint docs bench gpu-check gpu-bundle lock clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## put the tested stack and the project into .venv (options: requirements/install.sh --help)
	@bash requirements/install.sh $(if $(CHECK),--check-only)

bundle: ## fill BUNDLE=folder for make install OFFLINE=folder on a machine without a network
	@bash requirements/bundle.sh

demo: install ## train a GCP classifier, then Mask R-CNN from it, on data made here
	$(python) tools/demo.py

reproduce: install ## try the paper's claims (PLAN=quick: 8 minutes; imagenette: hours; or a file)
	$(python) tools/reproduce.py $(or $(PLAN),quick) $(OPTIONS)

# Idle workers steal tests from the end of the others' queues. See tests/suite.py for their number.
# Without bytecode, each process compiles the project's files, and each run those of the tests.
pytest = PYTHONDONTWRITEBYTECODE= $(python) -m pytest -n auto --dist worksteal

peers: install ## put what the pages run apart from the stack into .cache/peers (make test does)
	@bash requirements/peers.sh

test: peers ## run all tests, a worker on each core, and name the slowest
	$(pytest) --durations=20

# Its tests start no process, which alone could look into .cache/peers.
test-quick: install ## run one case of each test that is not slow, starts no process and trains nothing
	$(pytest) -q --one-case -m "not process and not training and not slow"

trials: install ## 15 minutes of hostile files, kills and faults (SEED=0 chooses the cases)
	OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES= $(python) -W ignore tests/trials --seed $(or $(SEED),0)

# Copies are found over both folders together: most are made from one into the other.
lint: install ## style rules, types, and no code copied from file to file
	$(venv)/bin/ruff check .
	$(venv)/bin/mypy gcp_mm
	@$(python) tools/model_zoo.py readme --check
	$(venv)/bin/pylint --disable=all --enable=duplicate-code --min-similarity-lines=8 \
		--recursive=y $(wildcard gcp_mm tools demo)

# A link or an anchor that leads nowhere is a warning, and a warning is an error.
docs: install ## build the site of docs/ into build/site, without a network
	CUDA_VISIBLE_DEVICES= $(python) -W ignore -m sphinx -b html -W --keep-going -q docs build/site
	@echo "results: build/site/index.html"

bench: install ## time the pooling layer, and what it adds to a training step
	$(python) benchmarks/layer.py --out benchmarks/results/layer.json
	$(python) benchmarks/training_step.py --out benchmarks/results/training_step.json

# No installation is needed there: what the machine lacks is in the bundle.
gpu-check: ## see on a GPU, in five minutes, that the layer is right and fast (OPTIONS=--help)
	$(if $(wildcard $(python)),$(python),python3) benchmarks/gpu_check.py $(OPTIONS)

gpu-bundle: install ## pack what gpu-check needs on a bare machine: wheels and images, below 60 MiB
	$(python) benchmarks/gpu_bundle.py $(OPTIONS)

# Universal: one lock for every supported Python. The paths are relative because uv writes them into
# the file. Not after install, which a lock that cannot be installed would stop.
compile = $(uv) pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	--overrides requirements/overrides.txt

# The packages of the stack, but for those that it has on other systems only.
in_stack = sed -nE "/win32|never/d; s/^([a-z0-9-]+)==.*/--no-emit-package \1/p" requirements/lock.txt

lock: ## compile requirements/{lock,onedl,uv,peers}.in into lock.txt, onedl.txt, uv.txt, peers.txt
	$(compile) requirements/lock.in -o requirements/lock.txt
	$(compile) requirements/onedl.in -o requirements/onedl.txt
	$(compile) requirements/uv.in -o requirements/uv.txt
	$(compile) $$($(in_stack)) requirements/peers.in -o requirements/peers.txt

# Data, work_dirs and .venv cost hours or gigabytes to get back: clean leaves them alone.
clean: ## remove build outputs and caches, but no data, results, bundle or .venv
	rm -rf .cache .pytest_cache .ruff_cache build dist docs/examples *.egg-info gcp_mm/.mim
	find . \( -name .git -o -name '.venv*' -o -name data -o -name work_dirs \) -prune -o \
		-name __pycache__ -type d -exec rm -rf {} +

distclean: clean ## clean, and remove .venv and the compiled kernels too
	rm -rf .venv .venv-onedl gcp_mm/ops/cpu_kernels/_kernels*.so
