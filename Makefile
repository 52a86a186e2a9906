# make demo   the whole workflow on synthetic steel: environment, training, leaderboard
# make study  a study from a folder of images and labels: config/NAME.yaml (DATA=folder NAME=mydata; SIZE=small,
#             usual or thorough; FORMAT=... where several are possible; FORCE=1 replaces the file)
# make test   linters and tests (WORKERS=2 at a time)
# make test-slow  tests that train for minutes
# make test-slurm install Slurm (as root), run a small study through it
# make test-versions staleness and kills under the oldest and the newest Snakemake allowed
# make chaos  kill a small study 20 times at random times: same results each time
# make resume continue after a kill, crash or power loss (CONFIG=...; no other run may work here)
# make plan   jobs, hours, memory and disk that a study would take, from past runs (CONFIG=...)
# make docs   the documentation as a site, in site/
# make doctor what is installed, what is missing (CONFIG=config/neu_seg.yaml for another study)
# make lock   pin all dependencies again

PYTHON ?= python3
CONFIG ?= config/config.yaml
SIZE ?= usual
WORKERS ?= 2
BIN := $(CURDIR)/.venv/bin
READY := .venv/.installed
# Trainings at a time: one for each GPU; without any, one for each core.
GPUS := $(shell nvidia-smi --list-gpus 2>/dev/null | wc -l)
DEVICES := $(if $(filter-out 0,$(GPUS)),$(GPUS),$(shell getconf _NPROCESSORS_ONLN))
# Tools that build a package on its installation run code: pinned and hashed, and others refused.
BUILD_HASHES := --require-build-hashes --preview-features build-dependency-hashes --build-constraints
COMPILE := uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11.4 \
	--custom-compile-command 'make lock'

# The value of a variable as one word of a shell: neither make nor the shell runs what a folder's name may hold.
quoted = '$(subst ','\'',$(value $(1)))'
unexport CONFIG DATA NAME SIZE FORMAT IMAGE_SIZE

export PATH := $(BIN):$(PATH)
export NO_ALBUMENTATIONS_UPDATE := 1
# Without bytecode every job would compile torch's sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo study test test-slow test-slurm test-versions chaos resume plan docs doctor env lock

demo: $(READY)
	snakemake --cores all --resources gpu=$(DEVICES)

study: $(READY)
	python workflow/scripts/study.py --data $(call quoted,DATA) --name $(call quoted,NAME) --size $(call quoted,SIZE) \
		--format $(call quoted,FORMAT) --image-size $(call quoted,IMAGE_SIZE) $(if $(FORCE),--force)
	@$(MAKE) --no-print-directory plan CONFIG=config/$(call quoted,NAME).yaml

test: $(READY)
	ruff check
	ruff format --check
	snakefmt --check --no-sort Snakefile rules
	snakemake --lint --configfile config/test/tiny.yaml
	lint-imports
	mypy
	pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: $(READY)
	pytest -m slow

test-slurm: $(READY)
	tests/slurm/install.sh
	pytest -m slow -rs tests/slurm

test-versions: $(READY)
	tests/versions.sh

chaos: $(READY)
	python tests/support/chaos.py --kills 20

resume: $(READY)
	snakemake --unlock --configfile $(call quoted,CONFIG)
	snakemake --cores all --configfile $(call quoted,CONFIG)

plan: $(READY)
	snakemake -n --quiet host --configfile $(call quoted,CONFIG) 2>&1 | python workflow/scripts/plan.py

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

doctor: $(READY)
	python workflow/scripts/doctor.py --configfile $(call quoted,CONFIG)

env: $(READY)

$(READY): requirements.lock envs/uv.lock envs/crf.lock envs/crf-build.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --only-binary :all: --require-hashes -r envs/uv.lock
	SAM2_BUILD_CUDA=0 uv pip install --python $(BIN)/python --compile-bytecode --require-hashes \
		$(BUILD_HASHES) requirements.lock -r requirements.lock
	uv pip install --python $(BIN)/python --quiet --require-hashes --no-deps \
		$(BUILD_HASHES) envs/crf-build.lock -r envs/crf.lock || \
		echo "No dense CRF: its package could not be compiled. Everything else works."
	uv pip install --python $(BIN)/python --quiet --no-deps --no-build-isolation -e .
	touch $(READY)

lock:
	$(COMPILE) --all-extras --no-emit-package pydensecrf2 pyproject.toml -o requirements.lock
	echo uv | $(COMPILE) - -o envs/uv.lock
	echo pydensecrf2 | $(COMPILE) --no-deps - -o envs/crf.lock
	printf 'setuptools\nwheel\nCython==0.29.36\n' | $(COMPILE) - -o envs/crf-build.lock
	python envs/make_conda_env.py
