# The commands that people and CI run.

CARGO ?= cargo
TOOLS := $(CURDIR)/target/tools

.PHONY: demo test torture check bench contract prerequisites

## The server and a small local forge in one process, with an open pull request to click through; FORGE says which.
FORGE := github
demo:
	$(CARGO) run --quiet --locked -- demo --forge $(FORGE)

## Everything the tests need, then the tests.
test: prerequisites
	TERRAPLANE_TEST_TOFU="$$(scripts/install-tofu.sh $(TOOLS))" INSTA_UPDATE=no $(CARGO) test --locked --lib --bins --tests

## What the suite sends to each forge, and what the demo's forges answer, against the forges' published descriptions:
## every call that there is, and the scenarios that make most of them.
RECORD := $(CURDIR)/target/contract.jsonl
contract: prerequisites
	rm -f $(RECORD)
	for forge in github gitea; do \
	    TEST_FORGE=$$forge TEST_RECORD=$(RECORD) TERRAPLANE_TEST_TOFU="$$(scripts/install-tofu.sh $(TOOLS))" \
	    INSTA_UPDATE=no $(CARGO) test --locked --test it -- calls:: scenario::commands scenario::labels || exit 1; \
	done
	TEST_RECORD=$(RECORD) $(CARGO) test --locked --test it -- github_app::
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
