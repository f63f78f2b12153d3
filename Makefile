# Each target sets up .venv by itself; it is installed anew only when what it depends on changed.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test check format thorough emulated clean

demo: $(READY)
	$(BIN)/edgeunet demo

# One process per core, and in each one thread: what several threads change has tests that ask for
# them.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

# Every network of the zoo at three sizes and from both exporters, and 200 random graphs.
thorough: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m thorough tests

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy edgeunet tests examples/0*.py $(wildcard benchmarks/*.py benchmarks/*/*.py)

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Answers on other processors: AVX2, AVX-512 without VNNI, ARM64. The first time it fetches qemu and
# ARM64 packages into .emulated/ (0.8 GB); it needs Debian on x86-64, with gcc and binutils.
emulated: $(READY)
	$(BIN)/python -m tests.emulated.setting_up
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m emulated tests/emulated

# What was built and measured here; weights in training (runs/) are kept.
clean:
	rm -rf .venv .emulated build dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp comes last, so that an interrupted installation is taken up again. A .venv that
# does not run, because its Python was removed or pip never got in, is made anew.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
		{ echo 'error: $(PYTHON) is not Python 3.10 or later; name one: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'error: $(PYTHON) has no venv module; on Debian or Ubuntu: apt install python3-venv' >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo 'setting up .venv; the first time this takes some minutes'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
