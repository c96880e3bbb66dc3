# make install   .venv with everything in it, kernels built
# make run       a six-node cluster and a writer in the foreground
# make test      all tests, files in parallel (TEST_JOBS=1: one after the other)
# make check     lint, types, tests
# make sim       SEEDS=N seeds of each of the three simulators, on all cores
# make clients   other projects' suites here and on POSTGRES="host=… port=… user=…" (ONLY=names)
# make bench     the comparison with PostgreSQL; make bench-many-tables, make bench-bloat
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KERNELS := $(wildcard aurora/kernels/native/*.pyx) $(wildcard aurora/kernels/native/*.pxd)
DATA ?= ./aurora-data
PORT ?= 5432
JOBS ?= $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
TEST_JOBS ?= $(shell test $(JOBS) -lt 4 && echo $(JOBS) || echo 4)
PYTEST_ARGS ?=

.PHONY: install run test check lint types bench bench-many-tables bench-bloat sim clients proto clean

install: $(STAMP)
	@$(BIN)/python -m compileall -q aurora compute_node storage_node

# The kernels are compiled while pip fetches and unpacks: neither waits for the other.
$(STAMP): pyproject.toml setup.py $(KERNELS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "setuptools>=77" "Cython>=3.1" wheel
	@$(BIN)/python setup.py --quiet build_ext --inplace --parallel $(JOBS) & kernels=$$!; \
	AURORA_BUILD_KERNELS=0 $(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[dev]" \
	|| { kill $$kernels; exit 1; }; wait $$kernels
	@if pkg-config --exists icu-i18n 2>/dev/null; then \
	CFLAGS="-O1 -g0" $(BIN)/python -m pip install --quiet "PyICU>=2.14" || echo "PyICU could not be built: no ICU collations"; \
	else echo "ICU's headers (libicu-dev, pkg-config) are not here: no ICU collations"; fi
	$(BIN)/python -c "import aurora.kernels as k; print('kernels:', k.IMPLEMENTATION)"
	$(BIN)/python -m compute_node.catalog.bootstrap
	touch $(STAMP)

run: install
	$(BIN)/aurora up --data $(DATA) --port $(PORT)

test: install
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: install
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

check:
	$(MAKE) lint types
	$(MAKE) test

bench: install
	$(BIN)/python -m benchmarks.compare

bench-many-tables: install
	$(BIN)/python -m benchmarks.many_tables

bench-bloat: install
	$(BIN)/python -m benchmarks.bloat

sim: install
	$(BIN)/python -m aurora.sim --seeds $(or $(SEEDS),200) --jobs $(JOBS)
	$(BIN)/python -m aurora.sim --compute --seeds $(or $(SEEDS),200) --jobs $(JOBS)
	$(BIN)/python -m aurora.sim --readers --seeds $(or $(SEEDS),200) --jobs $(JOBS)

clients: install
	$(BIN)/python -m tests.clients.suites --postgres "$(POSTGRES)" $(if $(ONLY),--only $(ONLY))

fuzz: install
	$(BIN)/python -m tests.fuzz --queries $(or $(QUERIES),5000) --seed $(or $(SEED),1) --jobs $(JOBS) $(if $(POSTGRES),--postgres "$(POSTGRES)")

proto: install
	$(BIN)/python -m grpc_tools.protoc -Iaurora/rpc=protos --python_out=. --pyi_out=. --grpc_python_out=. protos/storage.proto protos/compute.proto
	sed -i "s/^import \\(storage\\|compute\\)_pb2/from aurora.rpc import \\1_pb2/" aurora/rpc/*_pb2_grpc.py

clean:
	rm -rf $(VENV) build *.egg-info aurora/kernels/native/*.c aurora/kernels/native/*.so
