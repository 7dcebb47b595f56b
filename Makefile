# Everything a person types. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup env servers demo up test test-hard test-doors lint audit bench measure evaluate lock clean
SHELL := /bin/sh
export PYTHON NEED_GB

VENV ?= .venv
bin := $(VENV)/bin

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## install the pinned packages into .venv, if they are not there (every target does it)
	@scripts/setup $(VENV)

env: ## make .env with fresh secrets for docker compose; what is there stays
	@scripts/env

servers: ## put Redis, Weaviate, an S3 server, toxiproxy and docker-compose into .servers, for the tests
	@scripts/servers

demo: setup ## real photos and edited copies through the HTTP API, and a page that shows the verdicts
	@$(bin)/python -m demo

up: setup ## run Seenit on this machine: API and worker in one process, on SEENIT_HOST:SEENIT_PORT
	@exec $(bin)/seenit up

test: setup ## the tests, and what was skipped and why
	@$(bin)/python -m pytest -n auto

test-hard: setup ## the slow attacks: kill -9, races, hostile files; every benchmark in its quick form
	@$(bin)/python -m pytest -m hard -n auto

test-doors: setup ## third parties' clients and generators against a service; downloads them once
	@$(bin)/python -m pytest -m doors

lint: setup ## format, rules, prose, length of functions, licences, types and layers
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/python scripts/prose.py
	@$(bin)/python scripts/knots.py
	@$(bin)/python scripts/licences.py
	@$(bin)/mypy
	@$(bin)/lint-imports

audit: setup ## known vulnerabilities of the pinned versions, by pip-audit and osv.dev
	@scripts/audit $(VENV)

bench: setup ## the speed table, also as out/bench.json; QUICK=1: all topics, tiny, in minutes
	@$(bin)/python -m benchmarks $(if $(QUICK),--quick)

measure: setup ## the long figures, hours: recall on Weaviate, a million records; QUICK=1: tiny
	@$(bin)/python -m benchmarks nearest features million --out out/measure.json $(if $(QUICK),--quick)

evaluate: setup ## recall and false verdicts on photos of yours: make evaluate PHOTOS=folder
	@test -n "$(PHOTOS)" || { echo "make evaluate PHOTOS=folder: name a folder of photos" >&2; exit 2; }
	@$(bin)/seenit evaluate duplicates "$(PHOTOS)"

lock: setup ## resolve the newest versions that have wheels everywhere, with their hashes
	@scripts/lock $(VENV)

clean: ## remove .venv, caches and out/, but no data
	@rm -rf $(VENV) out .doors .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
