# The commands that people and CI run.

CARGO ?= cargo
TOOLS := $(CURDIR)/target/tools

.PHONY: demo test torture check bench contract prerequisites

## The server and a small local forge in one process, with an open pull request to click through; FORGE says which.
FORGE := github
demo:
	$(CARGO) run --quiet --locked -- demo --forge $(FORGE)

## Everything the tests need, then the tests. What the forges are sent meanwhile, and what the demo's forges answer, is
## written down for `make contract`. Most tests wait for processes of their own more than they compute.
RECORD := $(CURDIR)/target/contract.jsonl
test: prerequisites
	mkdir -p $(dir $(RECORD)) && rm -f $(RECORD)
	TERRAPLANE_TEST_TOFU="$$(scripts/install-tofu.sh $(TOOLS))" TEST_RECORD=$(RECORD) INSTA_UPDATE=no \
	    RUST_TEST_THREADS=$$((2 * $$(nproc))) $(CARGO) test --locked --lib --bins --tests

## What the last `make test` wrote down, against the forges' published descriptions.
contract: prerequisites
	$(CARGO) test --quiet --locked --example contract
	$(CARGO) run --quiet --locked --example contract -- $(RECORD) "$$(scripts/install-descriptions.sh)"

## Kills the server at every point that there is, and not at a sample. SEED=… repeats an order.
torture: prerequisites
	TORTURE=1 $(CARGO) test --locked --test it crash:: -- --nocapture

prerequisites:
	scripts/prerequisites.sh

## What CI checks besides the tests.
check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

## Webhook to comment beside bare terraform; webhooks per second; idle memory.
bench:
	$(CARGO) bench --locked --bench loop
