# Two commands: make book (read it) and make test (see every claim in it executed).
PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
STEP := $(PYTHON) tools/step.py
CHAPTERS := $(filter-out notebooks/labs/% notebooks/homework/%,$(wildcard notebooks/*/*.ipynb))
LABS := $(wildcard notebooks/labs/*.ipynb)

.PHONY: help book test contents notebooks labs lab homework weights scores speed lock lint clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1	/p' Makefile | expand -t 18

book: .venv/.book  ## build the static book from the stored outputs, and open it
	@$(STEP) "Build the book (warnings are errors)" -- $(BIN)/jupyter-book build . -W -n --keep-going --quiet
	@$(PYTHON) tools/open_book.py

test: .venv/.full  ## run everything that CI runs
	@$(BIN)/python tools/test.py

contents: .venv/.full  ## list the chapters that stand in _toc.yml, README.md and mmlib/__init__.py
	@$(BIN)/python tools/contents.py

notebooks: .venv/.full  ## execute the chapters again and store their outputs
	@$(STEP) "Execute the chapters" -- $(BIN)/python tools/execute.py $(CHAPTERS)

labs: .venv/.full  ## execute the labs on the real data in MMLIB_DATA
	@$(STEP) "Execute the labs" -- $(BIN)/python tools/execute.py $(LABS)

lab: .venv/.full  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab notebooks

homework: .venv/.full  ## make the student notebooks from the solutions
	@$(STEP) "Make the student notebooks" -- $(BIN)/python tools/student.py

weights: .venv/.full  ## train the encoders that ship with mmlib (half an hour)
	@$(STEP) "Train the encoders" -- $(BIN)/python tools/weights.py

scores: .venv/.full  ## train every system with five seeds and store its scores (an hour)
	@$(STEP) "Train and measure the systems" -- $(BIN)/python -m experiments scores

speed: .venv/.full  ## time mmlib against what one would use instead; run it on an idle machine
	@$(STEP) "Time mmlib and others" -- $(BIN)/python -m experiments speed

lock: .venv/.full  ## resolve the dependencies anew into requirements.txt
	@$(STEP) "Lock the environment" -- $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --all-extras pyproject.toml -o requirements.txt

lint: .venv/.full  ## mend style and layout of code and notebooks
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove what was built, also the environment
	rm -rf _build .venv .pytest_cache .ruff_cache .hypothesis

.venv/.book: tools/environment.py requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("this is Python %d.%d; the book needs 3.11 or newer: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@$(STEP) "Install what the book needs (seconds, no torch)" -- $(PYTHON) tools/environment.py book
	@touch $@

.venv/.full: tools/environment.py requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("this is Python %d.%d; the book needs 3.11 or newer: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@$(STEP) "Install the full environment (5 GB, about a minute)" -- $(PYTHON) tools/environment.py full
	@touch $@
