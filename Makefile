# The test targets, in two parts that take about as long as each other. Sanitizers see those that
# leave Interleave alone: its fibers switch stacks behind the back of both.
TESTS_1 := FDNetTests fdproxyTests
TESTS_2 := FDOwnershipTests FDPollerTests InterleaveTests ProofKitTests StressKitTests
SANITIZED_1 := FDNetTests
SANITIZED_2 := FDOwnershipTests FDPollerTests StressKitTests

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup build lint format test test-debug test-defects test-tsan test-asan prove mutants stress run clean

SWIFT_SOURCES := Package.swift Sources Tests Stress Snippets

# Tests that examine or start release binaries find them here, in whatever build they run.
export FD_BIN_DIR := $(CURDIR)/.build/release

# The first race ends the run. No suppressions are needed: the Swift runtime tells ThreadSanitizer
# about tasks, actors and executors. It misses three things, which code that these tests reach must
# not lean on alone: Synchronization.Mutex and atomicMemoryFence, which order nothing in its eyes,
# and a continuation resumed before its task has suspended, which does not order what came before.
export TSAN_OPTIONS := halt_on_error=1:second_deadlock_stack=1

# A leak is a failure. XCTest itself leaks two objects in every process, so tests are run without
# it: every test here is a Swift Testing one.
export ASAN_OPTIONS := detect_leaks=1

# $(call step,Heading,commands): a heading, the commands, and how many seconds they took.
define step
@printf '\n==> %s\n' '$(1)'
started=$$SECONDS
$(2)
printf '==> %s: done in %d s\n' '$(1)' "$$((SECONDS - started))"
endef

# $(call side_by_side,scratch path,targets,targets): the tests of these targets in one process and
# of those in another. The tests of a process run one at a time, because they count its descriptors,
# and leave the processors idle a third of the time. A filter that matches nothing is a success, so
# each target has to list a test first. What went wrong is repeated at the end.
define side_by_side
bin=$$(swift build --show-bin-path --scratch-path $(1))
binary=$$bin/swift-fd-pollerPackageTests.xctest
listed=$$("$$binary" --testing-library swift-testing --list-tests)
for target in $(2) $(3); do
  grep -q "^$$target\." <<< "$$listed" || { echo "No tests in $$target." >&2; exit 1; }
done
run() {
  local filter="^($${1// /|})\."
  NO_COLOR=1 "$$binary" --testing-library swift-testing --filter "$$filter" 2>&1 |
    tee "$$bin/tests-$$2.log"
}
run "$(strip $(2))" 1 & first=$$!
run "$(strip $(3))" 2 & second=$$!
failed=
wait $$first || failed=1
wait $$second || failed=1
if [[ $$failed ]]; then
  printf '\n==> What went wrong:\n'
  grep -hE -A 3 '✘|error:|WARNING: ThreadSanitizer|ERROR: |SUMMARY:' "$$bin"/tests-{1,2}.log || true
  exit 1
fi
endef

# $(call sanitized,sanitizer,scratch path,targets,targets): as side_by_side, under a sanitizer. Tests
# look at FD_SANITIZED, and take smaller bites. The linker is the toolchain's own: gold prints a
# hundred warnings about AddressSanitizer's symbols.
define sanitized
swift build --build-tests --sanitize=$(1) --scratch-path $(2) -Xswiftc -use-ld=lld
export FD_SANITIZED=$(1)
$(call side_by_side,$(2),$(3),$(4))
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

test: lint build test-debug test-defects test-tsan test-asan ## lint, build, and all of the following

test-debug: build ## all tests, debug
	$(call step,Tests,swift build --build-tests
	$(call side_by_side,.build,$(TESTS_1),$(TESTS_2)))

test-tsan: build ## the tests that sanitizers see, under ThreadSanitizer
	$(call step,Tests under ThreadSanitizer,$(call sanitized,thread,.build-tsan,$(SANITIZED_1),$(SANITIZED_2)))

test-asan: build ## the same under AddressSanitizer, leaks included
	$(call step,Tests under AddressSanitizer,$(call sanitized,address,.build-asan,$(SANITIZED_1),$(SANITIZED_2)))

test-defects: setup ## two of the seeded defects of the runtime are found
	$(call step,Seeded defects,Stress/mutants/run --defects stale-event touch-after-publish)

prove: build ## every interleaving of word, mailbox and pool, four threads too
	$(call step,Proof,.build/release/fdstress explore --all)

mutants: setup ## leave out each clause of the protocols in a copy: all are found (ONLY=name: one)
	$(call step,Mutants,Stress/mutants/run $(ONLY))

# How long each scenario lasts in each of its four runs: on both backends, without delays and with.
STRESS_SECONDS ?= 30

# A hunt ends with 1 when it has found what it was sent for.
define storms
swift build -c release --traits SpinDelays --scratch-path .build-delays --product fdstress
for io in epoll io_uring; do
  .build/release/fdstress run --seconds $(STRESS_SECONDS) --io $$io
  .build-delays/release/fdstress run --seconds $(STRESS_SECONDS) --io $$io --delay-at all
done
code=0
.build-delays/release/fdstress hunt --all --seeds 10 || code=$$?
((code == 1))
endef

stress: build ## every scenario, a minute on each backend; then every seeded defect
	$(call step,Stress,$(storms))
	$(call step,Seeded defects,Stress/mutants/run --defects)

run: build ## the demo of fdproxy (ONCE=1: one round, then exit; IO=io_uring)
	@exec .build/release/fdproxy demo $(if $(IO),--io $(IO)) $(if $(ONCE),--once)

clean: ## remove everything that was built
	@rm -rf .build .build-*
