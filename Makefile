# Two commands: `make run` meters this machine, `make test` proves the agent.
PYTHON ?= python3
BIN := .venv/bin
# Each worker and each agent that a test starts would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check clean bench meters

run: .venv/installed
	@exec $(BIN)/meteragent run --config-dir etc/meteragent --state-dir state

test: .venv/testing .venv/oslo/installed .venv/ceilometer/installed check
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/testing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: .venv/testing
	$(BIN)/python -m benchmarks

meters: .venv/testing
	$(BIN)/python -m tests.meter_table

clean:
	rm -rf .venv build *.egg-info state

.venv/created:
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/created setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/testing: .venv/created setup.cfg pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/installed

# The notifier of the services, in an environment of its own: what it brings along must not be where the agent is.
.venv/oslo/installed: tests/oslo_notifier.txt
	$(PYTHON) -m venv .venv/oslo
	.venv/oslo/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

# Ceilometer and libvirt beside the agent, in another one: its pollsters run in the agent there.
.venv/ceilometer/installed: tests/ceilometer.txt setup.cfg pyproject.toml
	@if ! pkg-config --exists libvirt; then echo "no libvirt-dev and pkg-config: not tested with ceilometer"; else \
	$(PYTHON) -m venv .venv/ceilometer && \
	.venv/ceilometer/bin/pip install --quiet --disable-pip-version-check --requirement $< --editable . && \
	touch $@; fi
