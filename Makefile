# The commands that people and CI run.

CARGO ?= cargo
TOOLS := $(CURDIR)/target/tools

.PHONY: demo test check bench prerequisites

## The server and a small local forge in one process, with an open pull request to click through; FORGE says which.
FORGE := github
demo:
	$(CARGO) run --quiet --locked -- demo --forge $(FORGE)

## Everything the tests need, then the tests.
test: prerequisites
	TERRAPLANE_TEST_TOFU="$$(scripts/install-tofu.sh $(TOOLS))" INSTA_UPDATE=no $(CARGO) test --locked --lib --bins --tests

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
