# Berth: Amazon ECS that anyone can run. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/openberth/berth/internal/cli.Version=$(VERSION)
# A data directory of its own for the cluster that `make up` starts; empty means berth's default.
DATA ?=
DATA_FLAG := $(if $(DATA),--data-dir $(DATA))

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/berth
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/berth ./cmd/berth

.PHONY: docker
docker: ## Make sure that a Docker engine is installed and runs
	@scripts/docker.sh

.PHONY: up
up: docker build ## Start a one-machine cluster with a sample service, in the background
	@bin/berth up $(DATA_FLAG)
	@bin/berth demo $(DATA_FLAG)

.PHONY: down
down: ## Stop what `make up` started, containers included
	@if [ -x bin/berth ]; then bin/berth down $(DATA_FLAG); fi
	@scripts/docker.sh stop

.PHONY: test
test: docker tools build unit race e2e ## Install what the tests need and run all of them, real containers included

.PHONY: tools
tools:
	@scripts/test-tools.sh

.PHONY: unit
unit: ## Run the Go tests, Docker and etcd included
	BERTH_REQUIRE_DOCKER=1 BERTH_REQUIRE_ETCD=1 go test -timeout 15m ./...

.PHONY: race
race: ## Run the concurrent packages under the race detector
	CGO_ENABLED=1 go test -race -short -timeout 10m $(RACE_PACKAGES)
RACE_PACKAGES := ./internal/store ./internal/store/memory ./internal/reconcile ./internal/gateway ./internal/agentlink/... ./internal/agent ./internal/agent/engine ./internal/agent/checkpoint ./internal/ecs/servicesched

.PHONY: e2e
e2e: build ## Run the end-to-end scripts: the real binary, AWS CLI and containers
	cd e2e && BERTH_BIN=$(CURDIR)/bin/berth go test -timeout 25m ./...

.PHONY: lint
lint: ## gofmt, go vet, generated files up to date
	@test -z "$$(gofmt -l cmd internal api tools e2e)" || { echo "gofmt is needed in:"; gofmt -l cmd internal api tools e2e; exit 1; }
	go vet ./...
	cd e2e && go vet ./...
	@$(MAKE) --no-print-directory generated

.PHONY: generate
generate: ## Regenerate api/ and docs/compat/ from the models
	go generate ./...

.PHONY: generated
generated: generate
	@git diff --exit-code --stat -- api docs/compat || { echo "generated files were not up to date: commit what make generate wrote"; exit 1; }

.PHONY: check
check: lint test ## All that CI runs

.PHONY: bench
bench: docker build ## Measure: start, memory, RunTask against docker run, API reads; as a table
	cd e2e && BERTH_BIN=$(CURDIR)/bin/berth go run ./bench
