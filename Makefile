# plait: `make demo` builds a corpus from real pages, `make test` sets everything up and runs the whole suite.
PYTHON ?= python3
VENV := .venv
READERS := .venv-readers
BIN := $(VENV)/bin
MAGIC := .venv-magic-html
PYTHON312 ?= python3.12
ROOMS := schemas filters dedup pipeline jobs loader explorer
WORKERS ?= 2

.PHONY: help demo readers test test-core lint typecheck bench magic-html soak clean

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make demo       venv, install, archive of real pages, corpus, report
demo: $(VENV)/.installed
	rm -rf demo/corpus
	sh scripts/demo_site.sh $(BIN)/python demo
	$(BIN)/plait pack demo/site --base-url https://www.pygame.org/docs/ --out demo/pygame-docs.warc.gz
	$(BIN)/plait build demo/pygame-docs.warc.gz --out demo/corpus --recipe annotate
	$(BIN)/plait audit demo/corpus
	@echo
	@echo "corpus:  $(CURDIR)/demo/corpus"
	@echo "report:  $(CURDIR)/demo/corpus/report.html"

## make view       venv, install, and the explorer on ARCHIVE=... (an archive, a folder of them, or a corpus)
view: $(VENV)/.view
	@test -n "$(ARCHIVE)" || { echo "name what to look at: make view ARCHIVE=crawl.warc.gz"; exit 2; }
	$(BIN)/plait view $(ARCHIVE) $(VIEW)

$(VENV)/.view: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --no-compile -e '.[view]' # what is imported is compiled then
	touch $(VENV)/.installed $@

## make docs       the documentation as a site, in build/site
docs: $(VENV)/.dev
	$(BIN)/mkdocs build --quiet

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "plait needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	$(BIN)/python -c 'from plait.filters.models import lid176; lid176()'
	touch $@ $(VENV)/.installed

# What the tests of the cluster engines and object stores need; `make test-core` does without.
$(VENV)/.heavy: $(VENV)/.dev pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev,heavy]'
	touch $(VENV)/.dev $(VENV)/.installed $@

$(READERS)/.ready: $(VENV)/.heavy scripts/readers.sh scripts/readers.txt
	sh scripts/readers.sh $(BIN)/python $(READERS)
	touch $@

## make readers    Energon and MosaicML Streaming, whose pins clash with ours, for tests and benchmarks
readers: $(READERS)/.ready

## make lint       ruff: rules and format
lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

## make typecheck  mypy --strict over all rooms
typecheck: $(VENV)/.dev
	mkdir -p build/typing/plait
	for room in $(ROOMS); do ln -sfn ../../../$$room build/typing/plait/$$room; done
	cd build/typing && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p plait

## make test       lint, types and the whole suite
test: $(VENV)/.heavy readers lint typecheck
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not campaign"

## make test-core  the suite without what needs torch, ray or spark
test-core: lint typecheck
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not heavy and not campaign"

## make bench      speed beside peers and physical limits, printed as ratios
bench: $(VENV)/.heavy
	$(BIN)/python benchmarks/read.py
	$(BIN)/python benchmarks/stages.py
	$(BIN)/python benchmarks/dedup.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/text.py
	$(BIN)/python benchmarks/extraction.py
	$(BIN)/python benchmarks/outside.py
	$(BIN)/python benchmarks/explorer.py --folder build/explorer
	$(BIN)/python benchmarks/clip.py

$(MAGIC)/.ready: pyproject.toml
	@$(PYTHON312) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { echo "magic-html needs Python 3.12 or newer; try: make magic-html PYTHON312=python3.13"; exit 1; }
	$(PYTHON312) -m venv $(MAGIC)
	$(MAGIC)/bin/python -m pip install --quiet -e . 'magic-html>=0.1.8'
	touch $@

## make magic-html extraction by magic-html beside the others, in a venv of Python 3.12 or newer
magic-html: $(MAGIC)/.ready
	$(MAGIC)/bin/python benchmarks/extraction.py --systems magic-html
	$(MAGIC)/bin/python benchmarks/outside.py --systems magic-html

## make soak       1 GB of generated archives, memory of every process printed
soak: $(VENV)/.heavy
	$(BIN)/python benchmarks/soak.py
	$(BIN)/python -m pytest -m campaign

clean:
	rm -rf build demo $(READERS) $(MAGIC) *.egg-info
