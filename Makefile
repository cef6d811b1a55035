# What people and CI type. Each target does its own set-up and says in one line what is missing.
#
#   make quickstart          a control plane, a simulated platform and the operator, to watch and play with; NODE=1: as Pods
#   make test                every check; stops at the first that fails
#   make check               what a change is likely to break, within two minutes once everything is built
#   make bench               what it costs, beside a peer written in Go; half an hour, on a quiet machine
#   make node                the chart and applications as Pods on a real node, without Docker; root on Linux; 5 minutes
#   make mutations           breaks one rule of the protocols at a time: do the tests notice? An hour
#   make image               the image, without Docker: target/image/; with PUSH=REGISTRY/NAME:TAG pushes it too
#   make image-check         builds the image twice: the same digest? Runs it, pushes it to loopback; 20 minutes
#   make advisories          known vulnerabilities; needs the network or ADVISORY_DB
.DEFAULT_GOAL := help
.PHONY: help quickstart test check bench node mutations image image-check lint unit deny advisories crds chart shell dockerfile size

CARGO ?= cargo
TOOLS := tests/tools
STEP := $(TOOLS)/step
TARGET := $(or $(CARGO_TARGET_DIR),target)
# Anything but empty: make quickstart exits instead of staying up.
ONCE ?=
# Anything but empty: make quickstart shows custom SMTP too.
MAIL ?=
# Anything but empty: make quickstart runs operator and application as Pods on a node.
NODE ?=
# What make quickstart builds. After the tests everything is there already, built with them.
BUILD ?= --bins
# The stories mostly wait for servers: more of them than cores run at once.
export RUST_TEST_THREADS ?= 6
# Anything but empty: make node builds the image too, and plays the story of a large cluster with it; 20 minutes more.
IMAGE ?=
# Where make image pushes to: REGISTRY/NAME:TAG. Empty: nowhere.
PUSH ?=
# A local copy of the advisory database, as Git checkout.
ADVISORY_DB ?=

help:
	@sed -n '2,/^\.DEFAULT/{/^#/s/^#//p;}' Makefile

quickstart:
	@MAIL='$(MAIL)' NODE='$(NODE)' $(TOOLS)/preflight quickstart
	@$(STEP) "build" $(CARGO) build --locked --workspace $(BUILD)
	@ONCE='$(ONCE)' MAIL='$(MAIL)' NODE='$(NODE)' CARGO_TARGET_DIR='$(TARGET)' $(TOOLS)/quickstart

test:
	@$(TOOLS)/preflight test
	@$(MAKE) --no-print-directory lint unit deny chart shell dockerfile
	@$(STEP) "quickstart" $(MAKE) --no-print-directory quickstart ONCE=1 MAIL=1 BUILD=--all-targets
	@$(MAKE) --no-print-directory size
	@printf '\nmake test: everything passed\n'

check:
	@$(STEP) "format" $(CARGO) fmt --all --check
	@$(STEP) "clippy" $(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(STEP) "unit tests" $(CARGO) test --locked --lib
	@$(STEP) "costs, traces, races, connections" $(CARGO) test --locked --test properties -- traces rest races ready tenancy connections
	@$(STEP) "architecture, documents" $(CARGO) test --locked --test it -- architecture documents readme schema

# Numbers of projects that are applied at once.
N ?= 50 200 1000
bench:
	@$(TOOLS)/preflight bench
	@tests/bench/run $(N)

# In one go, so that the programs that become images are built with the same features as the tests.
NODE_TESTS := --locked --package supabase-operator --package database-query --test it --test application
node:
	@$(TOOLS)/preflight node
	@if [ -n '$(IMAGE)' ]; then $(MAKE) --no-print-directory image PUSH=; fi
	@$(STEP) "build" $(CARGO) test $(NODE_TESTS) --no-run
	@$(STEP) "stories on a node" env NODE=1 $(if $(IMAGE),NODE_IMAGE="$$(echo $(abspath $(TARGET))/image/*.tar)") \
		$(CARGO) test $(NODE_TESTS) -- node:: --nocapture

mutations:
	@$(STEP) "mutations" $(TOOLS)/mutations

image:
	@PUSH='$(PUSH)' $(TOOLS)/preflight image
	@$(STEP) "image" env PUSH='$(PUSH)' CARGO_TARGET_DIR='$(TARGET)' $(TOOLS)/image

image-check:
	@$(TOOLS)/preflight image-check
	@$(STEP) "image" env PUSH= CARGO_TARGET_DIR='$(TARGET)' $(TOOLS)/image-check

lint:
	@$(STEP) "format" $(CARGO) fmt --all --check
	@$(STEP) "clippy" $(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@$(STEP) "documentation" env RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --locked --workspace --no-deps

# Unit, platform and integration tests, and whether the CRDs are current; then the examples in the documentation.
unit:
	@$(STEP) "tests" $(CARGO) test --locked --workspace --all-targets
	@$(STEP) "documentation examples" $(CARGO) test --locked --workspace --doc

deny:
	@$(STEP) "licenses, duplicates, sources" $(TOOLS)/deny

advisories:
	@$(STEP) "advisories" env ADVISORY_DB='$(ADVISORY_DB)' $(TOOLS)/deny advisories

# Writes crds/ anew from the types in src/api.
crds:
	UPDATE=1 $(CARGO) test --locked --lib crds_are_current

chart:
	@$(STEP) "chart" $(TOOLS)/chart-check

shell:
	@$(STEP) "scripts" $(TOOLS)/shell-check

dockerfile:
	@$(STEP) "Dockerfile" sh -c '"$$($(TOOLS)/ensure hadolint)" Dockerfile'

size:
	@$(STEP) "release build" $(CARGO) build --locked --release --bin supabase-operator
	@$(STEP) "size of the release" $(TOOLS)/binary-size $(TARGET)/release/supabase-operator 20
