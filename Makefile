# make demo | test | lint | accept | bench | fuzz | mutants | models: each sets up .venv by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-modes lint accept bench fuzz mutants mutants-drawn models reports clean

demo: $(READY)
	$(BIN)/accelsim run edge_npu onnx:bvlc_alexnet

test: $(READY)
	$(BIN)/python -m pytest -n 2

# the contract once more: kernels as plain Python, then compiled with bounds checks
test-modes: $(READY)
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -n 2 tests/test_contract.py
	NUMBA_BOUNDSCHECK=1 $(BIN)/python -m pytest -n 2 tests/test_contract.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

accept: $(READY)
	$(BIN)/python -m benchmarks.accept

# speed against C and against a peer, written to benchmarks/results.md
bench: $(READY)
	$(BIN)/python -m benchmarks

# every loader against ten thousand damaged files each, and five thousand that are whole and make no sense; takes an
# hour or so
fuzz: $(READY)
	$(BIN)/python -W ignore -m benchmarks.fuzz

# small wrong changes of the sources, each of which a test must notice: all of them, and 20 drawn ones
mutants: $(READY)
	$(BIN)/python -m benchmarks.mutants

mutants-drawn: $(READY)
	$(BIN)/python -m benchmarks.mutants --draw 20

# real ONNX files of packages, and exports of torch and torchvision, written to benchmarks/models.md; packages and files
# go to a cache folder (MODELS_FOLDER), torch to an environment there unless MODELS_PYTHON is an interpreter that has it
models: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.models $(if $(MODELS_PYTHON),--python $(MODELS_PYTHON)) $(if $(MODELS_FOLDER),--folder $(MODELS_FOLDER))

# everything that is committed in reports/
reports: $(READY)
	$(BIN)/accelsim validate -o reports/validation.md
	$(BIN)/accelsim compare diannao dadiannao eyeriss stripes tpu_v1 --network alexnet vgg16 --node 28 -o reports/edp-28nm
	$(BIN)/accelsim run edge_npu onnx:bvlc_alexnet -o reports/alexnet-edge_npu
	$(BIN)/accelsim report reports/alexnet-edge_npu/report.json -o reports/alexnet-edge_npu/report.html

$(READY): requirements.txt pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "accelsim needs Python 3.11 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info reports/out
