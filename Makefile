# Every target sets up what it needs by itself; nothing is installed twice.
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
UV := VIRTUAL_ENV=$(VENV) $(BIN)/uv pip
unexport PYTHONDONTWRITEBYTECODE
# The TensorFlow of Vertex AI's containers needs Python 3.11; without one its test says so and is skipped.
CONTAINER := $(if $(shell command -v python3.11),$(VENV)-container/installed)

# KEY=VALUE beside ARGS would be a variable of make that nobody reads.
KNOWN := ARGS PYTHON PLAN YES CHAPTER FUZZ OSV SHIPPED VENV SHELL MAKEFLAGS
STRAY := $(foreach name,$(.VARIABLES),$(if $(findstring command line,$(origin $(name))),$(filter-out $(KNOWN),$(name))))
$(if $(strip $(STRAY)),$(error put settings into ARGS: make $(firstword $(MAKECMDGOALS)) ARGS='$(strip $(foreach name,$(STRAY),$(name)=$($(name))))'))
$(if $(filter-out 1,$(PLAN) $(YES)),$(error write PLAN=1 or YES=1, or leave it out))
$(if $(PLAN),$(if $(filter-out deploy,$(MAKECMDGOALS)),$(error PLAN=1 is for make deploy only)))
$(if $(YES),$(if $(filter-out deploy destroy,$(MAKECMDGOALS)),$(error YES=1 is for make deploy and make destroy only)))

.DEFAULT_GOAL := help
.PHONY: help bench-setup train snapshot promote score serve app monitor retrain loop deploy rollback status destroy ui notebooks chapter docs test fuzz lint sbom audit lock clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Configuration goes into ARGS: make train ARGS='data=telco train.epochs=20'"

train: $(VENV)/train  ## train on synthetic customers, or ARGS='data=telco'; see runs/latest/report.html
	@$(BIN)/churn train $(ARGS)

snapshot: $(VENV)/events  ## event tables to a table to learn from: ARGS='events=NAME output=FILE.parquet'
	@$(BIN)/churn snapshot $(ARGS)

promote: $(VENV)/score  ## make the newest run's bundle the champion
	@$(BIN)/churn promote run=runs/latest $(ARGS)

score: $(VENV)/score  ## churn probabilities for a file: ARGS='input=FILE output=FILE'
	@$(BIN)/churn score $(ARGS)

serve: $(VENV)/serve  ## answer requests on this machine as Vertex AI does: http://127.0.0.1:8080
	@$(BIN)/churn serve $(ARGS)

app: $(VENV)/app  ## a page in the browser: drop a file, see whom to call, ask why and what if, train
	@$(BIN)/churn app $(ARGS)

monitor: $(VENV)/score  ## drift and performance of what was predicted: ARGS='monitor.labels=FILE'
	@$(BIN)/churn monitor $(ARGS)

retrain: $(VENV)/train  ## if the policy says so, a challenger, which serves if it proves itself
	@$(BIN)/churn retrain $(ARGS)

loop: $(VENV)/train  ## a simulated year with and without retraining; see runs/loop.html
	@$(BIN)/churn loop $(ARGS)

CHOSEN = $(if $(filter 1,$(PLAN)),deploy.plan_only=true) $(if $(filter 1,$(YES)),deploy.yes=true) $(ARGS)
deploy: $(VENV)/deploy  ## Vertex AI: PLAN=1 shows what it would do and cost, without an account; YES=1 does not ask
	@$(BIN)/churn deploy $(CHOSEN)

rollback: $(VENV)/deploy  ## Vertex AI: all traffic back to the version before
	@$(BIN)/churn rollback $(ARGS)

status: $(VENV)/deploy  ## Vertex AI: versions, traffic, monitoring, and what they have cost
	@$(BIN)/churn status $(ARGS)

destroy: $(VENV)/deploy  ## Vertex AI: remove everything of the deployment, then look again; YES=1 does not ask
	@$(BIN)/churn destroy $(CHOSEN)

ui: $(VENV)/ui  ## compare runs in a browser, on this machine only
	@mkdir -p runs && $(BIN)/python -m churn.bundle.runs_page http://127.0.0.1:5000
	@$(BIN)/mlflow server --backend-store-uri sqlite:///runs/mlflow.db --host 127.0.0.1 --port 5000

CHAPTER ?=
EXECUTED := $(patsubst notebooks/%,runs/notebooks/%,$(wildcard notebooks/$(CHAPTER)*.ipynb))
$(if $(CHAPTER),$(if $(EXECUTED),,$(error there is no chapter $(CHAPTER); write CHAPTER=04 for $(notdir $(wildcard notebooks/04*.ipynb)))))
notebooks: $(VENV)/notebooks  ## run every notebook from a clean kernel, and say how long each took
	@rm -rf runs/notebooks
	@$(MAKE) --no-print-directory $(EXECUTED)

runs/notebooks/%.ipynb: notebooks/%.ipynb docs/execute.py $(shell find src configs -type f ! -name '*.pyc') | $(VENV)/notebooks
	@$(BIN)/python docs/execute.py $< $@

chapter: $(EXECUTED)  ## one chapter to read: CHAPTER=04; see runs/notebooks/
	@$(BIN)/jupyter-nbconvert --log-level=WARN --to html --template lab $(EXECUTED)
	@echo "Open $(EXECUTED:.ipynb=.html)"

docs: $(EXECUTED)  ## the notebooks, the guides and the reference as a site: site/index.html
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open site/index.html"

test: $(VENV)/test $(CONTAINER)  ## run all tests
	@$(BIN)/python -m pytest $(ARGS)

fuzz: $(VENV)/test $(VENV)-openapi/installed  ## try 100,000 inputs on loader, configuration, endpoint and log; FUZZ=N: another number
	@FUZZ=$(or $(FUZZ),100000) $(BIN)/python -m pytest tests/fuzz -n0 -s -q $(ARGS)

lint: $(VENV)/test  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

SHIPPED := train score serve serve-alone tables events deploy
sbom: $(VENV)/test $(SHIPPED:%=sbom/%.cdx.json)  ## bills of materials of the locks (CycloneDX), and the licences, if all are allowed
	@$(BIN)/pip-licenses --output-file sbom/licences.csv >/dev/null
	@echo "sbom/: $(SHIPPED:%=%.cdx.json) licences.csv"

OSV_EXPORT := https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip
OSV ?= sbom/osv-pypi.zip
audit: $(VENV)/test  ## look up known vulnerabilities of the locks, also offline if OSV=FILE is at hand
	@mkdir -p sbom
	@test -e $(OSV) || ! curl -fsSo $(OSV).partial --max-time 120 $(OSV_EXPORT) || mv $(OSV).partial $(OSV)
	@$(BIN)/python .ci/audit.py $(OSV) $(SHIPPED:%=requirements/%.txt)

sbom/%.cdx.json: requirements/%.txt pyproject.toml | $(VENV)/test
	@mkdir -p sbom
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements $< --pyproject pyproject.toml --output-reproducible --output-file $@

clean:  ## remove virtual environments and unfinished runs
	rm -rf $(VENV) $(VENV)-container $(VENV)-bench $(VENV)-drift-peers $(VENV)-featuretools $(VENV)-openapi runs/.unfinished-* runs/notebooks site sbom

$(VENV)/uv: requirements/uv.txt
	@echo "Creating the virtual environment ($(PYTHON)) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r $<
	@touch $@

# One stamp a lock says what is installed. Bytecode is compiled once here: importing TensorFlow without
# it takes three times as long.
$(VENV)/%: requirements/%.txt requirements/build.txt pyproject.toml | $(VENV)/uv
	@echo "Installing $< ..."
	@$(UV) install --quiet --require-hashes --compile-bytecode --build-constraints requirements/build.txt -r $<
	@$(UV) install --quiet --no-deps --build-constraints requirements/build.txt --editable .
	@touch $@ $(if $(filter test,$*),$(addprefix $(VENV)/,train score serve tables events ui app deploy notebooks))  # the tests' lock holds the others

$(VENV)-container/installed: requirements/container.txt | $(VENV)/uv
	@echo "Installing $< (the TensorFlow of Vertex AI's containers) ..."
	@python3.11 -m venv $(VENV)-container
	@VIRTUAL_ENV=$(VENV)-container $(BIN)/uv pip install --quiet --require-hashes --compile-bytecode -r $<
	@touch $@

bench-setup: $(VENV)-bench/installed $(VENV)-drift-peers/installed $(VENV)-featuretools/installed  ## install what the benchmarks compare with, apart from our own

$(VENV)-%/installed: requirements/%.txt | $(VENV)/uv
	@$(PYTHON) -m venv $(VENV)-$*
	@VIRTUAL_ENV=$(VENV)-$* $(BIN)/uv pip install --quiet --require-hashes --compile-bytecode -r $<
	@touch $@

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate -c requirements/constraints.in
lock: $(VENV)/uv  ## renew the hash-pinned locks after a change of pyproject.toml or requirements/*.in
	$(COMPILE) pyproject.toml --all-extras -o requirements/test.txt
	for extra in train score; do $(COMPILE) pyproject.toml --extra $$extra -c requirements/test.txt -o requirements/$$extra.txt; done
	for extra in tables events ui app deploy; do $(COMPILE) pyproject.toml --extra train --extra $$extra -c requirements/test.txt -o requirements/$$extra.txt; done
	$(COMPILE) pyproject.toml --extra serve --extra registry -c requirements/test.txt -o requirements/serve.txt
	$(COMPILE) pyproject.toml --extra serve -c requirements/test.txt -o requirements/serve-alone.txt  # deploy/serving/
	$(COMPILE) pyproject.toml --extra train --extra notebooks --extra docs --extra events --extra serve --extra deploy --extra test -c requirements/test.txt -o requirements/notebooks.txt
	for name in uv build container bench dataflow drift-peers featuretools openapi; do $(COMPILE) requirements/$$name.in -o requirements/$$name.txt; done
