# A change must pass `make` before it is sent. `make help` lists the other targets.

GO          ?= go
include .ci/tools
MODULES     := $(patsubst %/,%,$(dir $(shell git ls-files '*go.mod')))
FUZZTIME    ?= 20s
STRESSTIME  ?= 1m
SEEDS       ?= 3

.PHONY: all help test race lint fmt modules bench load soak stress simulate fuzz api vuln newest quickstart ci

all: test lint ## test and lint

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

test: ## every test of every module
	$(GO) test work

race: ## the same under the race detector, shuffled
	$(GO) test -race -shuffle=on work

lint: ## formatting, go vet, staticcheck, and that it compiles where an int has 32 bits
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) vet work
	GOARCH=386 $(GO) build work
	@for m in $(MODULES); do (cd $$m && $(GO) run $(STATICCHECK) ./...) || exit 1; done

fmt: ## format all files
	gofmt -w $$(git ls-files '*.go')

modules: ## each module on its own, without the workspace
	@for m in $(MODULES); do echo "$$m" && (cd $$m && export GOWORK=off && \
		$(GO) mod tidy -diff && $(GO) vet ./... && $(GO) test ./...) || exit 1; done

bench: ## the benchmarks of docs/performance.md, with their peers
	$(GO) test -run '^$$' -bench . -benchmem ./bench ./bench/peers

load: ## the gateway and its peers as processes over loopback: LOAD="-rows merge -rounds 11", LOAD=-help
	$(GO) run ./bench/load $(LOAD)

soak: ## a million requests with failing upstreams, and ten thousand idle connections
	SLUICE_SOAK=1000000 $(GO) test -count=1 -timeout 60m -run NothingGrows -v ./test
	SLUICE_SOAK=10000 $(GO) test -count=1 -timeout 60m -run Idle -v ./adapter

stress: ## random trees of combinators for STRESSTIME (default 1m), on 8 processors, under the race detector
	GOMAXPROCS=8 SLUICE_STRESS=$(STRESSTIME) $(GO) test -race -count=1 -timeout 60m -run Stress -v ./test

simulate: ## the disasters of docs/resilience.md with SEEDS seeds (default 3), and the table in that page
	SLUICE_SIMULATE=$(SEEDS) $(GO) test -count=1 -timeout 60m -run Simulate -v ./test/simulate

fuzz: ## each fuzz target for FUZZTIME (default 20s)
	.ci/fuzz $(FUZZTIME)

api: ## what changed in the API since the last tag, or since the branch left main
	.ci/api

vuln: ## known vulnerabilities, and the version floors of SECURITY.md
	.ci/vuln

newest: ## every test on the newest Go, which the go command downloads
	v=$$(GOWORK=off $(GO) list -m -f '{{.Version}}' go@latest) && \
		GOTOOLCHAIN=go$$v $(GO) version && GOTOOLCHAIN=go$$v $(GO) vet work && GOTOOLCHAIN=go$$v $(GO) test work

quickstart: ## the first program
	$(GO) run ./examples/quickstart

ci: ## everything that CI runs for every change
	.ci/run
