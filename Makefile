# Table of contents of the checkout. Two commands are enough: `make demo` and `make test`.
# Every target does its own set-up; ARGS goes to pytest, to molecule or to the bench.
.DEFAULT_GOAL := help
.PHONY: help demo test setup system lint sanity unit integration molecule e2e bench fuzz schema deaths docs clean
PYTEST := .venv/bin/python -m pytest -q

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup ## the main job on loopback, as yourself, in about a minute
	@tools/demo $(ARGS)

test: setup system ## everything that CI runs; real machines need root
	@.venv/bin/python tools/stages.py $(ARGS)

setup: .venv/.complete ## the Python environment alone

system: ## the Debian packages that the tests need (root installs what is missing)
	@tools/system-packages

lint: setup ## ansible-lint, production profile, and the changelog fragments
	@tools/lint

sanity: setup ## ansible-test sanity, without ignore files
	@tools/sanity $(ARGS)

unit: setup system ## pure rooms, doors, and the contract of the lease endpoint over every ledger and provider
	@$(PYTEST) -n 2 --dist loadfile tests/unit tests/contract $(ARGS)

integration: setup system ## real playbooks, watchers, sockets and endpoint on loopback
	@$(PYTEST) -n 2 --dist loadfile tests/integration $(ARGS)

molecule: setup system ## the Molecule scenarios on real machines (root)
	@tools/molecule $(ARGS)

e2e: setup system ## real fleets from bookworm to trixie and back, Patroni among them (root)
	@$(PYTEST) --timeout 2400 tests/e2e $(ARGS)

bench: setup system ## the figures of the README, each beside a named rival
	@.venv/bin/python -m tests.bench $(ARGS)

fuzz: setup ## a million strange requests and markers against the watcher, and disturbed lives: ARGS="--requests 10000000 --stories 100000"
	@.venv/bin/python -m tests.fuzz --requests 1000000 --markers 1000000 $(ARGS)

schema: setup ## a hundred thousand requests made from the endpoint's OpenAPI document by schemathesis (half an hour): ARGS="--cases 10000"
	@.venv/bin/python -m tests.schema $(ARGS)

deaths: setup ## the controller killed at every point of upgrade_series and rollback, another one finishes (a quarter of an hour)
	@LEASEHOLD_DEATHS=0 LEASEHOLD_DEATHS_LANES=2 $(PYTEST) -s tests/integration/test_controller_deaths.py $(ARGS)

docs: setup ## lint and render the documentation of the plugins into build/docs
	@tools/docs

clean: ## what the targets above made in the checkout
	rm -rf .venv .cache .ansible build series_upgrade_reports

.venv/.complete: requirements/dev.txt pyproject.toml tools/setup
	@tools/setup
