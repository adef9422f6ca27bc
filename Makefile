# Orrery's tasks. "make help" lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO       ?= go
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)
TOOL     := $(GO) tool -modfile=tools/go.mod

# What the demo shows. It ends by itself.
DEMO     ?= ./bin/orrery up examples/iridium.yaml --speed 2 --for 150s

# Packages with benchmarks whose figures the project watches.
BENCH    ?= ./scripts/benchtable ./orbit/... ./sky ./plan ./route ./curve ./fabric ./node
COUNT    ?= 6
FUZZTIME ?= 30s
HOURS    ?= 2
PODS     ?= 50
WORKERS  ?= 1
CLUSTER  ?=
SOAK     ?=

##@ Use

build: ## build ./bin/orrery, one static binary
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/orrery

build-all: ## build all programs, those for Kubernetes too
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

images: build-all ## build the container images as archives in ./dist
	$(GO) run ./scripts/images -version '$(VERSION)' -binary bin/orrery -out dist

demo: ## install what is missing and run a small moving network for some minutes
	@scripts/deps.sh run
	@$(MAKE) --no-print-directory build
	$(DEMO)

##@ Test

test: ## install what is missing and run every test
	@scripts/deps.sh cluster
	@scripts/deps.sh vm
	@scripts/test.sh all

test-pure: ## run the tests that need neither root nor Linux
	@scripts/test.sh pure

test-kernel: ## run the tests that make namespaces, devices and daemons
	@scripts/test.sh kernel

test-race: ## run the tests of all packages that share memory under the race detector
	@scripts/test.sh race

test-browser: ## run the tests of the page in a real browser
	@scripts/deps.sh browser
	@scripts/test.sh browser

test-lab: ## run the link engine beside netem, in a user-mode kernel that has it
	@scripts/deps.sh lab
	@scripts/lab.sh

test-cluster: ## run the tests in real Kubernetes clusters; builds Kubernetes the first time
	@scripts/test.sh cluster

test-vm: ## build a node image and boot virtual machines from it, by network and over IPv6 alone
	@scripts/deps.sh vm
	@scripts/test.sh vm

fuzz: ## run every fuzz target for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME)

bench: ## measure COUNT times and print medians and ratios within this run
	@mkdir -p bin
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) -timeout 60m $(BENCH) | tee bin/bench.txt
	@$(GO) run ./scripts/benchtable bin/bench.txt

bench-lab: ## measure the link engine beside netem in that kernel
	@scripts/deps.sh lab
	@mkdir -p bin
	@scripts/lab.sh bench | tee bin/bench-lab.txt
	@$(GO) run ./scripts/benchtable bin/bench-lab.txt

bench-cluster: ## make PODS pods with five ports on WORKERS workers of a real cluster, and measure
	@scripts/deps.sh cluster
	$(GO) test -run '^$$' -bench Attachment -benchtime 20x ./kube/agent
	$(GO) run ./test/endtoend/bench -pods $(PODS) -workers $(WORKERS) $(CLUSTER)

bench-viewers: build ## measure a run's fidelity with and without ten who look at it
	$(GO) run ./test/viewers examples/iridium.yaml

soak: build ## run ten thousand ports for HOURS, 20 times faster than life, and print what grows
	$(GO) run ./scripts/soak -for $(HOURS)h $(SOAK) examples/dt-10k.yaml

##@ Develop

check: ## gofmt, go vet and golangci-lint
	@scripts/check.sh
	$(TOOL) golangci-lint run ./...

generate: ## make the generated files anew: API, JSON Schema, reference pages
	$(TOOL) buf lint
	$(TOOL) buf generate
	$(GO) generate ./...

web: ## build the page anew: web/dist, which is committed
	cd web && npm ci --no-audit --no-fund
	$(TOOL) buf generate --template web/buf.gen.yaml
	cd web && npm run --silent build

deps: ## install the packages that the demo and the tests need
	@scripts/deps.sh cluster

clean: ## remove what was built
	rm -rf bin dist

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: build build-all images demo test test-pure test-kernel test-race test-browser test-lab test-cluster test-vm fuzz bench bench-lab bench-cluster bench-viewers soak check generate web deps clean help
