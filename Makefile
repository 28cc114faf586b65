# Two commands: make book (read it) and make test (see every claim in it executed).
SHELL := bash
PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
INSTALL := $(BIN)/python -m uv pip install --quiet --python $(BIN)/python
CHAPTERS := $(filter-out notebooks/labs/% notebooks/homework/%,$(wildcard notebooks/*/*.ipynb))
LABS := $(wildcard notebooks/labs/*.ipynb)
HTML := $(CURDIR)/_build/html/index.html

# $(call step,What is done,command): say it, do it, say how long it took
define step
@echo "▸ $(1)"; SECONDS=0; if $(2); then echo "  done in $$SECONDS s"; \
else code=$$?; echo "  FAILED in $$SECONDS s (exit $$code)"; exit $$code; fi
endef

.PHONY: help book test contents notebooks labs lab homework weights scores speed lock lint clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile | expand -t 18

book: .venv/.book  ## build the static book from the stored outputs, and open it
	$(call step,Build the book (warnings are errors),$(BIN)/jupyter-book build . -W -n --keep-going --quiet)
	@echo "The book is at file://$(HTML)"
	@if [ -z "$$CI" ] && [ -n "$$DISPLAY$$WAYLAND_DISPLAY" -o "$$(uname)" != Linux ]; then \
	$(PYTHON) -m webbrowser "file://$(HTML)" >/dev/null; fi

test: .venv/.full  ## run everything that CI runs
	@$(BIN)/python tools/test.py

contents: .venv/.full  ## list the chapters that stand in _toc.yml, README.md and mmlib/__init__.py
	@$(BIN)/python tools/contents.py

notebooks: .venv/.full  ## execute the chapters again and store their outputs
	$(call step,Execute the chapters,$(BIN)/python tools/execute.py $(CHAPTERS))

labs: .venv/.full  ## execute the labs on the real data in MMLIB_DATA
	$(call step,Execute the labs,$(BIN)/python tools/execute.py $(LABS))

lab: .venv/.full  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

homework: .venv/.full  ## make the student notebooks from the solutions
	$(call step,Make the student notebooks,$(BIN)/python tools/student.py)

weights: .venv/.full  ## train the weights that ship with mmlib (an hour)
	$(call step,Train the weights,$(BIN)/python tools/weights.py)

scores: .venv/.full  ## train every system with five seeds and store its scores (hours)
	$(call step,Train and measure the systems,$(BIN)/python -m experiments scores)

speed: .venv/.full  ## time mmlib against what one would use instead; run it on an idle machine
	$(call step,Time mmlib and others,$(BIN)/python -m experiments speed)

lock: .venv/.full  ## resolve the dependencies anew into requirements.txt
	$(call step,Lock the environment,$(BIN)/python -m uv pip compile --quiet --universal \
	--python-version 3.11 --all-extras --group book --group dev pyproject.toml -o requirements.txt)

lint: .venv/.full  ## fix style and layout of code and notebooks
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove what was built, also the environment
	rm -rf _build .venv .pytest_cache .ruff_cache .hypothesis

.venv/.uv: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("this is Python %d.%d; the book needs 3.11 or newer: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt uv
	@touch $@

.venv/.book: .venv/.uv pyproject.toml
	$(call step,Install what the book needs (seconds$(,) no torch),$(INSTALL) -c requirements.txt --group book)
	@touch $@

# compiled once here: else every notebook's kernel waits seconds for its imports
.venv/.full: .venv/.uv pyproject.toml
	$(call step,Install the full environment (5 GB$(,) about a minute),$(INSTALL) --compile-bytecode \
	-r requirements.txt && $(INSTALL) --no-deps -e .)
	@touch $@

, := ,
