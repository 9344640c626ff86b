# Firehose. Needs Go, bash and nothing else; `make` lists what there is.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

DIR      ?= ./firehose-data# where `make run` keeps its data
RATE     ?= 50# events a second that `make run` simulates
BENCH    ?= .# benchmarks to run, a regular expression
COUNT    ?= 1# how often each benchmark runs; benchstat wants ten
ROW      ?=# make peers: names of rows, comma-separated; default all
EVENTS   ?=# make peers: events of each run; 1000000
PAGE     ?=# make peers: 1: write docs/performance.md
ROUNDS   ?= 7# of make ratios, the last part of make bench; make peers: 3
TESTFLAGS ?=# more flags for go test, e.g. -run TestPosition -v
STRICT   ?=# 1: fail where a check cannot be made, e.g. without the vulnerability database

BROKERS  ?=# make kafka: 3 brokers or 1; what the folder holds, else 3
SECURE   ?=# make kafka: 1: TLS, passwords, permissions; what the folder holds, else 0
KAFKA_DIR ?= ./kafka-data# make kafka: jars, data and logs
KAFKA_PORT ?= 9092# make kafka: port of the first broker; the others have the next ones
KAFKA_CONTROLLER_PORT ?=# make kafka: port of the first controller; else KAFKA_PORT + 1000
KAFKA_HEAP ?= 256m# make kafka: heap of each broker
REGISTRY_DIR ?= ./registry-data# make registry: jars, schemas and log
REGISTRY_PORT ?= 8081# make registry: its port
REGISTRY_HEAP ?= 128m# make registry: its heap
POSTGRES_DIR ?= ./postgres-data# make postgres: data, log, passwords
POSTGRES_PORT ?= 5432# make postgres: its port

IMAGE_PREFIX ?= firehose/# make images: before the name of each of our programs
IMAGE_TAG ?= dev# make images: after it
PARTS    ?=# make images: and those of the parts that tests use: kafka registry postgres
KAFKA_IMAGE ?= firehose/kafka:4.3.1# make images PARTS=kafka: its name
REGISTRY_IMAGE ?= firehose/registry:3.3.3# make images PARTS=registry: its name
POSTGRES_IMAGE ?= firehose/postgres:15# make images PARTS=postgres: its name

# The tools' versions are pinned in a module of their own, so that what the
# linter depends on never decides what the binaries are built from.
TOOL := go tool -modfile=tools/go.mod

.PHONY: help
help: ## list the targets
	@echo "Firehose: business events through Kafka into each service's own store."
	@echo
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r target text; do printf '%-22s %s\n' "$$target" "$$text"; done
	@echo
	@echo "Variables (make run RATE=500):"
	@sed -nE 's/^([A-Z_]+) +\?= ?(.*)# ?(.*)/  \1|\3|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text value; do printf '%-26s %s%s\n' "  $$name" "$$text" "$${value:+ (default $$value)}"; done

.PHONY: run
run: build ## the whole system in one process, fed with real purchases, then simulated ones
	@echo "starting: broker, registry, ingest and three services, data in $(DIR); Ctrl-C stops"
	@# On a terminal the program gets a process group of its own, so that Ctrl-C
	@# reaches it and not make, which would call a clean stop an error. (What
	@# follows the command keeps bash from becoming it, which would undo that.)
	@if [ -t 0 ]; then set -m; fi; bin/firehose dev --dir '$(DIR)' --replay cdnow --simulate '$(RATE)' || exit $$?

.PHONY: build
build: ## static binaries into bin/
	@.ci/build

# Packages wait about as often as they work: one more at a time than processors.
.PHONY: test
test: ## all unit tests, with the race detector where a C compiler is there (make check vets)
	@race="$$(.ci/race)"; \
	if [ -n "$$race" ]; then \
		echo "tests: with the race detector"; \
	else \
		echo "tests: WITHOUT the race detector: it needs a C compiler and there is none"; export CGO_ENABLED=0; \
	fi; \
	go test $$race -vet=off -p $$(($$(getconf _NPROCESSORS_ONLN) + 1)) -timeout 5m $(TESTFLAGS) ./...

.PHONY: test-full
test-full: ## the end-to-end tests on all of the data set (ten minutes)
	@E2E_FULL=1 go test -count 1 -timeout 60m -v $(TESTFLAGS) ./internal/e2e

.PHONY: test-integration
test-integration: ## the tests on real parts: Kafka, registry, PostgreSQL; ends with what was skipped and why
	@.ci/integration $(TESTFLAGS)

.PHONY: check
check: generate format-check house tidy-check vet lint test bench-once vulnerabilities ## everything that must hold before a commit
	@echo "check: nothing is wrong; what could not be checked says so above"

.PHONY: generate
generate: ## run the generators; fails when they changed what was there
	@echo "generate"
	@before="$$( (git status --porcelain; git diff) | cksum)"; go generate ./...; \
	if [ "$$before" != "$$( (git status --porcelain; git diff) | cksum)" ]; then \
		git diff --stat; echo "generate: what is generated was out of date; it is renewed now, commit it"; exit 1; \
	fi

.PHONY: format
format: ## format the code
	@$(TOOL) golangci-lint fmt

.PHONY: format-check
format-check:
	@echo "format"
	@$(TOOL) golangci-lint fmt --diff || { echo "format: run make format"; exit 1; }

.PHONY: house
house: ## rules of the house that no linter knows
	@echo "house rules"
	@.ci/house

.PHONY: tidy-check
tidy-check:
	@echo "go.mod is tidy"
	@go mod tidy -diff

.PHONY: vet
vet: ## go vet
	@echo "vet"
	@go vet ./...

.PHONY: lint
lint: ## golangci-lint with the import rules
	@echo "lint (the first time compiles the linters, about three minutes)"
	@$(TOOL) golangci-lint run

.PHONY: vulnerabilities
vulnerabilities: ## govulncheck; STRICT=1 fails when the database cannot be reached
	@echo "vulnerabilities"
	@STRICT='$(STRICT)' .ci/vulnerabilities $(TOOL) govulncheck

.PHONY: bench-once
bench-once:
	@echo "benchmarks, once each, so that they cannot rot"
	@go test -short -run '^$$' -bench . -benchtime 1x -timeout 10m ./... | { grep -vE '^(ok|\?|PASS|goos|goarch|pkg|cpu)' || true; }

.PHONY: bench
bench: ## benchmarks (COUNT=10 for benchstat), then what ours costs against others
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count '$(COUNT)' -timeout 60m $$(go list ./... | grep -v '/internal/bench$$') | { grep -vE '^(ok .*no test files|\?|PASS)' || true; }
	@$(MAKE) --no-print-directory ratios

.PHONY: ratios
ratios: ## what ours costs against bare twmb/avro, goavro, franz-go and SQLite, side by side
	@echo "ratios: $(ROUNDS) rounds, in which all sides take their turn; some minutes"
	@go test -run '^$$' -bench '$(BENCH)' -benchtime '$(ROUNDS)x' -timeout 60m ./internal/bench | { grep -vE '^(ok|PASS|goos|goarch|pkg|cpu)' || true; }

.PHONY: benchstat
benchstat: ## compare two outputs of make bench: make benchstat OLD=old.txt NEW=new.txt
	@$(TOOL) benchstat '$(OLD)' '$(NEW)'

KAFKA = BROKERS='$(BROKERS)' SECURE='$(SECURE)' KAFKA_DIR='$(KAFKA_DIR)' KAFKA_PORT='$(KAFKA_PORT)' \
	KAFKA_CONTROLLER_PORT='$(KAFKA_CONTROLLER_PORT)' KAFKA_HEAP='$(KAFKA_HEAP)' deploy/kafka/local/kafka

.PHONY: kafka
kafka: $(if $(filter 1,$(SECURE)),build) ## a real three-broker Kafka, without Docker (Java 17, Maven); BROKERS=1, SECURE=1
	@$(KAFKA) start

.PHONY: kafka-stop
kafka-stop: ## stop it; its data stays
	@$(KAFKA) stop

.PHONY: kafka-status
kafka-status: ## its brokers and their memory; fails unless all of them serve
	@$(KAFKA) status

REGISTRY = REGISTRY_DIR='$(REGISTRY_DIR)' REGISTRY_PORT='$(REGISTRY_PORT)' REGISTRY_HEAP='$(REGISTRY_HEAP)' deploy/kafka/local/registry

.PHONY: registry
registry: ## a real schema registry, Apicurio, without Docker (Maven; Java 21 is found or fetched)
	@$(REGISTRY) start

.PHONY: registry-stop
registry-stop: ## stop it; its schemas stay
	@$(REGISTRY) stop

.PHONY: registry-status
registry-status: ## its URL and memory; fails unless it serves
	@$(REGISTRY) status

POSTGRES = POSTGRES_DIR='$(POSTGRES_DIR)' POSTGRES_PORT='$(POSTGRES_PORT)' deploy/kafka/local/postgres

.PHONY: postgres
postgres: ## a real PostgreSQL with a database for each service, without Docker (Debian: postgresql)
	@$(POSTGRES) start

.PHONY: postgres-stop
postgres-stop: ## stop it; its data stays
	@$(POSTGRES) stop

.PHONY: postgres-status
postgres-status: ## its databases' URLs and memory; fails unless it serves
	@$(POSTGRES) status

.PHONY: peers
peers: ## what users would pick instead, measured in turns with ours (Java 17, Maven, PostgreSQL); ROW, EVENTS, ROUNDS, PAGE=1
	@ROW='$(ROW)' EVENTS='$(EVENTS)' ROUNDS='$(if $(filter file,$(origin ROUNDS)),,$(ROUNDS))' PAGE='$(PAGE)' loadtest/peers/run

.PHONY: images
images: build ## images of our programs, with a Docker engine; PARTS="kafka registry postgres": of those, too
	@IMAGE_PREFIX='$(IMAGE_PREFIX)' IMAGE_TAG='$(IMAGE_TAG)' PARTS='$(PARTS)' KAFKA_IMAGE='$(KAFKA_IMAGE)' \
		REGISTRY_IMAGE='$(REGISTRY_IMAGE)' POSTGRES_IMAGE='$(POSTGRES_IMAGE)' deploy/docker/build

.PHONY: deploy-check
deploy-check: ## the Kubernetes manifests against the API server's own code and the real CRDs (needs Java and Maven once)
	@echo "deploy-check (the first time compiles the API server's validation, two or three minutes)"
	@cd deploy/kafka/kubernetes/check && go vet . && go run . ../base ../overlays/production
	@echo "deploy-check: mistakes made on purpose, one at a time"
	@cd deploy/kafka/kubernetes/check && go test -count 1 .

.PHONY: clean
clean: ## remove bin/; data stays
	@rm -rf bin
