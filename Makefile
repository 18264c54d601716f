# Sanitizers see these test targets. Interleave is not among them: its fibers switch stacks behind
# the back of both.
TSAN_TESTS ?= FDOwnershipTests FDPollerTests FDNetTests StressKitTests
ASAN_TESTS ?= FDOwnershipTests FDPollerTests FDNetTests StressKitTests

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup build lint format test test-debug test-tsan test-asan prove mutants run clean

SWIFT_SOURCES := Package.swift Sources Tests Stress Snippets

# Tests that examine or start release binaries find them here, in whatever build they run.
export FD_BIN_DIR := $(CURDIR)/.build/release

# The first race ends the run. No suppressions are needed: the Swift runtime tells ThreadSanitizer
# about tasks, actors and executors. It misses three things, which code that these tests reach must
# not lean on alone: Synchronization.Mutex and atomicMemoryFence, which order nothing in its eyes,
# and a continuation resumed before its task has suspended, which does not order what came before.
export TSAN_OPTIONS := halt_on_error=1:second_deadlock_stack=1

# A leak is a failure. XCTest itself leaks two objects in every process, hence --disable-xctest:
# every test here is a Swift Testing one.
export ASAN_OPTIONS := detect_leaks=1
SWIFT_TEST := swift test --disable-xctest

# $(call step,Heading,commands): a heading, the commands, and how many seconds they took.
define step
@printf '\n==> %s\n' '$(1)'
started=$$SECONDS
$(2)
printf '==> %s: done in %d s\n' '$(1)' "$$((SECONDS - started))"
endef

# $(call sanitized,sanitizer,scratch path,targets): the tests of those targets. A filter that
# matches nothing is a success to `swift test`, so each target has to list a test first. Tests look
# at FD_SANITIZED, and take smaller bites. The linker is the toolchain's own: gold prints a hundred
# warnings about AddressSanitizer's symbols.
define sanitized
flags=(--sanitize=$(1) --scratch-path $(2) -Xswiftc -use-ld=lld)
swift build --build-tests "$${flags[@]}"
tests=$$($(SWIFT_TEST) list --skip-build "$${flags[@]}")
for target in $(3); do
  grep -q "^$$target\." <<< "$$tests" || { echo "No tests in $$target." >&2; exit 1; }
done
FD_SANITIZED=$(1) $(SWIFT_TEST) --skip-build "$${flags[@]}" --filter '^($(subst $() ,|,$(strip $(3))))\.'
endef

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## check the Swift toolchain, install liburing-dev, binutils and patch where missing
	@version=$$(swift --version 2> /dev/null | sed -nE 's/.*Swift version ([0-9.]+).*/\1/p' || true)
	if ! printf '6.3\n%s\n' "$$version" | sort --version-sort --check=silent; then
	  echo "Swift 6.3 or newer is needed, and $${version:-none} was found." \
	    "Install it from https://www.swift.org/install/linux and put it on the PATH." >&2
	  exit 1
	fi
	missing=()
	[[ -e /usr/include/liburing.h ]] || missing+=(liburing-dev)
	command -v objdump > /dev/null || missing+=(binutils)
	command -v patch > /dev/null || missing+=(patch)
	[[ "$${missing[*]}" ]] || exit 0
	echo "Installing $${missing[*]} with apt-get."
	as_root=()
	((EUID == 0)) || as_root=(sudo)
	get() { "$${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq "$$@" > /dev/null; }
	if ! { get update; get install --yes "$${missing[@]}"; }; then
	  echo "Could not install $${missing[*]}. Install it with your package manager, as root." >&2
	  exit 1
	fi

build: setup ## build everything, release
	$(call step,Release build,swift build -c release)

lint: setup ## check the layout and the style of the Swift sources
	$(call step,Lint,swift format lint --strict --recursive --parallel $(SWIFT_SOURCES))

format: setup ## lay the Swift sources out
	$(call step,Format,swift format --in-place --recursive --parallel $(SWIFT_SOURCES))

test: lint build test-debug test-tsan test-asan ## lint, build, test-debug, test-tsan, test-asan

test-debug: build ## all tests, debug
	$(call step,Tests,$(SWIFT_TEST))

test-tsan: build ## tests of TSAN_TESTS under ThreadSanitizer
	$(call step,Tests under ThreadSanitizer,$(call sanitized,thread,.build-tsan,$(TSAN_TESTS)))

test-asan: build ## tests of ASAN_TESTS under AddressSanitizer, leaks included
	$(call step,Tests under AddressSanitizer,$(call sanitized,address,.build-asan,$(ASAN_TESTS)))

prove: build ## every interleaving of word, mailbox and pool, four threads too
	$(call step,Proof,.build/release/fdstress explore --all)

mutants: setup ## leave out each clause of the protocols in a copy: all are found (ONLY=name: one)
	$(call step,Mutants,Stress/mutants/run $(ONLY))

run: build ## the demo of fdproxy (ONCE=1: one round, then exit; IO=io_uring)
	@exec .build/release/fdproxy demo $(if $(IO),--io $(IO)) $(if $(ONCE),--once)

clean: ## remove everything that was built
	@rm -rf .build .build-*
