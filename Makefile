# `make` is what a change must pass before it is sent. `make help` lists the rest.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
MODULES     := $(patsubst %/,%,$(dir $(shell git ls-files '*go.mod')))
FUZZTIME    ?= 20s

.PHONY: all help test race lint fmt modules bench soak fuzz quickstart ci

all: test lint ## test and lint

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

test: ## every test of every module
	$(GO) test work

race: ## the same under the race detector, shuffled
	$(GO) test -race -shuffle=on work

lint: ## formatting, go vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -d $$(git ls-files '*.go'); exit 1; }
	$(GO) vet work
	@for m in $(MODULES); do (cd $$m && $(GO) run $(STATICCHECK) ./...) || exit 1; done

fmt: ## format all files
	gofmt -w $$(git ls-files '*.go')

modules: ## each module on its own, without the workspace
	@for m in $(MODULES); do echo "$$m" && (cd $$m && export GOWORK=off && \
		$(GO) mod tidy -diff && $(GO) vet ./... && $(GO) test ./...) || exit 1; done

bench: ## the benchmarks of docs/performance.md, with their peers
	$(GO) test -run '^$$' -bench . -benchmem ./bench

soak: ## a million requests in bad weather, and ten thousand idle connections
	SLUICE_SOAK=1000000 $(GO) test -count=1 -timeout 60m -run NothingGrows -v ./test
	SLUICE_SOAK=10000 $(GO) test -count=1 -timeout 60m -run Idle -v ./adapter

fuzz: ## each fuzz target for FUZZTIME (default 20s)
	@for p in $$($(GO) list work); do for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
		echo "$$p $$f" && $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

quickstart: ## the first program
	$(GO) run ./examples/quickstart

ci: ## what runs for every change
	.ci/run
