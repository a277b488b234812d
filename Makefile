# Every target makes .venv once, from pinned constraints, and reuses it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
DATA ?= $(or $(PHASHOPT_DATA),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/phashopt/data)
DATA_SOURCE ?= ../shared/data
DEMO_STORAGE := sqlite:///demo/phashopt.db

.PHONY: demo test lint format data bench-signal bench-training bench-inherit bench-pruner bench-search bench-predict \
	bench-epoch1 bench-live bench-service section4 table1 gpu-check chaos clean

demo: $(READY)  ## create the digits study, let two workers pull its trials, write the report
	rm -rf demo && mkdir demo
	$(BIN)/python -m phashopt study create studies/digits.toml --storage $(DEMO_STORAGE)
	$(BIN)/python -m phashopt worker digits --processes 2 --storage $(DEMO_STORAGE)
	$(BIN)/python -m phashopt study show digits --storage $(DEMO_STORAGE)
	@echo "The report is at"
	@$(BIN)/python -m phashopt report digits --out demo/report --storage $(DEMO_STORAGE)

test: $(READY)  ## the whole suite, a process more than there are cores
	@sh scripts/system_packages.sh chromium chromium
	@sh scripts/system_packages.sh "ls /usr/lib/postgresql/*/bin/postgres" postgresql
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(READY)  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

data: $(READY)  ## unpack MNIST, CIFAR-10 and CIFAR-100 from DATA_SOURCE, each file checked by its md5
	mkdir -p "$(DATA)"
	$(BIN)/python $(DATA_SOURCE)/unpack.py "$(DATA)"

bench-signal: $(READY)  ## how fast a reading is, beside captum and beside training
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_signal.py

bench-training: $(READY)  ## how fast a trial trains, beside a plain PyTorch loop; needs MNIST and CIFAR-10 (make data)
	$(BIN)/python scripts/bench_training.py --data-dir "$(DATA)"

bench-inherit: $(READY)  ## which kernels a child should keep, beside training from scratch; needs both MNISTs
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_inherit.py --data-dir "$(DATA)"

bench-pruner: $(READY)  ## what each verdict of the pruner is worth, on digits
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_pruner.py --data-dir "$(DATA)"

bench-search: $(READY)  ## the search beside its ablations, the paper's rule and Optuna's samplers; goes on where it ended
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_search.py

bench-predict: $(READY)  ## how far predictions can be trusted, in the recorded tables
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_predict.py

bench-epoch1: $(READY)  ## what a reading after one epoch adds to accuracy, loss and widths, in the recorded tables
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_epoch1.py

bench-live: $(READY)  ## searches that train real networks at equal compute; hours, and goes on where it ended
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_live.py --data-dir "$(DATA)"

bench-service: $(READY)  ## what database, sampler and lease cost a trial; starts a PostgreSQL server of its own
	@sh scripts/system_packages.sh "ls /usr/lib/postgresql/*/bin/postgres" postgresql
	OMP_NUM_THREADS=1 $(BIN)/python scripts/bench_service.py

section4: $(READY)  ## the paper's section IV walked on Fashion-MNIST, one figure a step; minutes of one core
	OMP_NUM_THREADS=1 $(BIN)/python scripts/section4.py --data-dir "$(DATA)"

table1: $(READY)  ## Table I with its rivals; STUDIES="cifar10 cifar10_vgg" MINUTES=9 SIZE=--toy; goes on where it ended
	$(BIN)/python scripts/table1.py $(STUDIES) --data-dir "$(DATA)" $(if $(MINUTES),--minutes $(MINUTES)) $(SIZE)

gpu-check: $(READY)  ## on a CUDA machine: tests, readings, benchmarks and a CIFAR-10 study, in under nine minutes
	$(BIN)/python scripts/gpu_check.py --data-dir "$(DATA)"

chaos: $(READY)  ## 32 workers, 100 of them killed, PostgreSQL away twice for 20 s: every trial must end once
	@sh scripts/system_packages.sh "ls /usr/lib/postgresql/*/bin/postgres" postgresql
	OMP_NUM_THREADS=1 $(BIN)/python scripts/chaos.py

clean:
	rm -rf .venv demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): pyproject.toml constraints.txt
	@sh scripts/system_packages.sh "$(PYTHON) -m ensurepip --version" python3-venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
