# make demo: install, train, test and predict.   make test: the whole test suite.   make docs: the documentation site.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
INSTALL ?= $(BIN)/pip install
RECIPE := configs/parity/lstm_last.yaml

.PHONY: demo test check docs notebooks wheel wheel-test onnx audit benchmarks clean

$(BIN)/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml setup.py constraints.txt | $(BIN)/pip
	$(INSTALL) --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.test-extra: pyproject.toml setup.py constraints.txt | $(BIN)/pip
	$(INSTALL) --quiet --constraint constraints.txt --editable ".[test]"
	touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	$(BIN)/seqlight fit --config $(RECIPE)
	$(BIN)/seqlight predict --ckpt_path best --data.bits '["0110", "10110", "1111111111111111111111111111111111111111111111111"]'
	$(BIN)/seqlight test --ckpt_path best
	@echo "try next: $(BIN)/seqlight configs     (or see one fail: $(BIN)/seqlight fit --config $(RECIPE) --model.net.cell rnn)"

# Four tests at once, since many wait for processes that they start, and one thread each: two threads for each of two
# tests at once are slower than one. A file's tests run in one process, which makes what they share once; the files are
# taken in order, since the last ones are quick.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/.test-extra
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# Format, lint and types, which .ci/run checks before the tests.
check: $(VENV)/.test-extra
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/.docs-extra: pyproject.toml setup.py constraints.txt | $(BIN)/pip
	$(INSTALL) --quiet --constraint constraints.txt --editable ".[docs]"
	touch $(VENV)/.installed $@

# The site, from the pages and the docstrings. A link that leads nowhere ends it.
docs: $(VENV)/.docs-extra
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -d build/doctrees . build/docs
	@echo "the site: build/docs/index.html"

$(VENV)/.notebooks-extra: pyproject.toml setup.py constraints.txt | $(BIN)/pip
	$(INSTALL) --quiet --constraint constraints.txt --editable ".[notebooks]"
	touch $(VENV)/.installed $@

# The notebooks, made from their texts and executed: minutes each. What a cell shows is kept in the .ipynb.
notebooks: $(VENV)/.notebooks-extra
	$(BIN)/jupytext --quiet --update --to ipynb $(wildcard docs/notebooks/*.py)
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=1800 --overwrite docs/notebooks
	$(BIN)/python docs/shrink_pictures.py $(wildcard docs/notebooks/*.ipynb)

wheel: | $(BIN)/pip
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

# The wheel in an empty folder, until a model has answered in a browser. It needs the network and a Chromium.
wheel-test: wheel
	$(INSTALL) --quiet --constraint constraints.txt playwright
	$(BIN)/python benchmarks/reliability/wheel.py dist/seqlight-*.whl --picture build/wheel.png

# Every system's graphs against the system itself, in onnxruntime.
onnx: $(VENV)/.test-extra
	$(BIN)/python benchmarks/reliability/onnx_exports.py

# Known faults of the installed packages, by PyPI's advisories, which need the network.
audit: $(VENV)/.test-extra
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --skip-editable --desc off

benchmarks: $(VENV)/.test-extra
	$(BIN)/python benchmarks/speed/cells.py
	$(BIN)/python benchmarks/speed/trainer_overhead.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache build dist *.egg-info
