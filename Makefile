# The two commands of the README are `make demo` and `make test`; both first create the environment in .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT    ?= runs/demo
SEED   ?= 0

.PHONY: demo test test-slow fuzz kills counts dist wheel-test lock docs lab readme clean

$(VENV)/.ready: requirements.lock requirements-mesh.lock settings.ini setup.py
	$(PYTHON) -c "import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,14) and 'xmodreid needs Python 3.11 to 3.14; this is ' + sys.version.split()[0] + '. Call: make PYTHON=python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --require-hashes --requirement requirements-mesh.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	touch $@

demo: $(VENV)/.ready
	$(BIN)/xmodreid demo --out-dir $(OUT)

test: $(VENV)/.ready
	$(BIN)/python scripts/check.py

test-slow: $(VENV)/.ready
	$(BIN)/python scripts/check.py --flags slow

fuzz: $(VENV)/.ready
	$(BIN)/python scripts/fuzz.py --n 10000 --seed $(SEED)

kills: $(VENV)/.ready
	$(BIN)/python scripts/check_resume.py

counts: $(VENV)/.ready
	$(BIN)/python scripts/surface.py

dist: $(VENV)/.ready  # wheel and sdist in dist/, checked, and used in an empty environment
	$(BIN)/python scripts/check_wheel.py --out-dir dist

wheel-test: $(VENV)/.ready  # the wheel beside torch and the newest fastai, which must stay; without nbdev: lessons and commands
	$(BIN)/python scripts/check_wheel.py --with torch torchvision fastai --commands --lessons 01 04 07 08

lock:  # the newest versions that fit, with hashes, for every system and Python
	uv pip compile setup.py --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate --quiet \
		--upgrade --custom-compile-command "make lock" --output-file requirements.lock

docs: $(VENV)/.ready
	$(BIN)/python scripts/docs.py

readme: $(VENV)/.ready
	$(BIN)/python scripts/readme.py

lab: $(VENV)/.ready
	$(BIN)/jupyter lab nbs

clean:
	rm -rf runs _docs _proc build dist *.egg-info
