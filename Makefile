# Tests run in several processes side by side. Each has those whose names match one of these, and no
# earlier one; a last process has all others, so nothing has to be added here. They take about as long
# as each other. Those that compute for seconds on end have a process to themselves: they keep the few
# threads of Swift's pool from tests that wait.
TEST_PARTS := '^FDNetTests\.Connect' '^FDNetTests\.' '^FDPollerTests\.' \
  '^(ReverseProxy|fdtunnel)Tests\.' '^FD(Async|Service|Coordination)Tests\.' '^StressKitTests\.' \
  '^(FDHTTP|FDOwnership|Interleave|ProofKit)Tests\.'
# What sanitizers do not see: fibers, which switch stacks behind their back, and other processes.
# Package.swift leaves these targets out then.
UNSANITIZED := InterleaveTests ProofKitTests WorkloadsTests fdproxyTests fdtunnelTests
# In seconds: how long a process of tests may take before it hangs.
TEST_LIMIT ?= 1200

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help setup build lint format test test-debug test-defects test-tsan test-asan docs prove mutants stress fuzz bench bench-micro budget run clean

SWIFT_SOURCES := Package.swift Sources Tests Stress Snippets Fuzzing/Package.swift Fuzzing/Sources \
  Benchmarks/Package.swift Benchmarks/Sources Benchmarks/Benchmarks

# Tests that examine or start release binaries find them here, in whatever build they run.
export FD_BIN_DIR := $(CURDIR)/.build/release

# The first race ends the run. The Swift runtime tells ThreadSanitizer about tasks, actors and
# executors. It misses three things, which code that these tests reach must not lean on alone:
# Synchronization.Mutex and atomicMemoryFence, which order nothing in its eyes, and a continuation
# resumed before its task has suspended, which does not order what came before. The frame of such a
# wait, which the runtime writes, is the one thing that is suppressed.
export TSAN_OPTIONS := \
  halt_on_error=1:second_deadlock_stack=1:suppressions=$(CURDIR)/Tests/thread-sanitizer.supp

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

# $(call side_by_side,scratch path): all tests that are built there, in several processes. The tests
# of a process run one at a time, because they count its descriptors, and leave the processors idle
# most of the time. A filter that matches nothing is a success, so each part and each target has to
# list a test first. What went wrong is repeated at the end, and what began and did not end.
define side_by_side
bin=$$(swift build --show-bin-path --scratch-path $(1))
binary=$$bin/swift-fd-pollerPackageTests.xctest
listed=$$("$$binary" --testing-library swift-testing --list-tests)
for target in Tests/*Tests; do
  [[ " $${FD_LEFT_OUT-} " == *" $${target#Tests/} "* ]] && continue
  grep -q "^$${target#Tests/}\." <<< "$$listed" || { echo "No tests in $$target." >&2; exit 1; }
done
run() {
  NO_COLOR=1 timeout --foreground --signal ABRT --kill-after 60 $(TEST_LIMIT) \
    "$$binary" --testing-library swift-testing --filter "$$2" --skip "$$3" 2>&1 |
    tee "$$bin/tests-$$1.log"
}
unended() {
  awk '/^◇ Test .* started\.$$/ && !/^◇ Test (case|run) / {
      sub(/^◇ Test /, ""); sub(/ started\.$$/, ""); unended[$$0] }
    /^(✔|✘) Test .* (passed|failed) after / {
      sub(/^(✔|✘) Test /, ""); sub(/( with [0-9]+ test cases?)? (passed|failed) after .*/, "")
      delete unended[$$0] }
    END { for (name in unended) print "  " name }' "$$1"
}
rm -f "$$bin"/tests-*.log
processes=()
others='^$$'
for part in $(TEST_PARTS) .; do
  grep -qE "$$part" <<< "$$listed" || { echo "No test matches $$part." >&2; exit 1; }
  run "$${#processes[@]}" "$$part" "$$others" & processes+=($$!)
  others+="|$$part"
done
failed=
for process in "$${processes[@]}"; do wait "$$process" || failed=1; done
if [[ $$failed ]]; then
  printf '\n==> What went wrong:\n'
  for log in "$$bin"/tests-*.log; do
    grep -E -A 3 '✘|error:|WARNING: ThreadSanitizer|ERROR: |SUMMARY:' "$$log" |
      grep -vE '^(◇|✔)' || true
    grep -q '^. Test run with' "$$log" && continue
    printf '%s has no end. These tests had not ended:\n' "$$log"
    unended "$$log"
  done
  exit 1
fi
endef

# $(call sanitized,sanitizer,scratch path): as side_by_side, under a sanitizer. Tests look at
# FD_SANITIZED, and take smaller bites. The linker is the toolchain's own: gold prints a hundred
# warnings about AddressSanitizer's symbols. A report needs lines, no variables. A crash is not
# explained: to stop the other threads for that confuses ThreadSanitizer, whose locks they may hold.
define sanitized
export FD_SANITIZED=$(1) FD_LEFT_OUT='$(UNSANITIZED)' SWIFT_BACKTRACE=enable=no
swift build --product swift-fd-pollerPackageTests --sanitize=$(1) --scratch-path $(2) \
  -Xswiftc -use-ld=lld -Xswiftc -gline-tables-only
$(call side_by_side,$(2))
endef

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## check the Swift toolchain, install what else is needed where missing
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
	# A test compares the HTTP framing with it.
	compgen -G '/usr/lib*/**/libhttp_parser.so.2.9' > /dev/null || missing+=(libhttp-parser-dev)
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

test: lint build test-debug docs test-defects test-tsan test-asan ## lint, build, docs, all of the following

test-debug: build ## all tests, debug
	$(call step,Tests,swift build --build-tests
	$(call side_by_side,.build))

test-tsan: build ## the tests that sanitizers see, under ThreadSanitizer
	$(call step,Tests under ThreadSanitizer,$(call sanitized,thread,.build-tsan))

test-asan: build ## the same under AddressSanitizer, leaks included
	$(call step,Tests under AddressSanitizer,$(call sanitized,address,.build-asan))

test-defects: setup ## two of the seeded defects of the runtime are found
	$(call step,Seeded defects,Stress/mutants/run --defects stale-event touch-after-publish)

# The modules with documentation, each after those that it links to.
DOCUMENTED := FDAtomics FDPoller FDNet FDAsync FDService FDHTTP FDCoordination Interleave StressKit

# A warning is a failure. Both tools are the toolchain's: nobody who depends on this package resolves
# anything for its documentation.
define documentation
swift build
bin=$$(swift build --show-bin-path)
clang=()
for map in $$bin/C*.build/module.modulemap .build/checkouts/*/Sources/*/include/module.modulemap; do
  clang+=(-Xcc -fmodule-map-file=$$map)
done
rm -rf .build/docs .build/docs-parts
archives=()
for module in $(DOCUMENTED); do
  symbols=.build/docs-parts/$$module
  archive=$$symbols.doccarchive
  mkdir -p $$symbols
  swift symbolgraph-extract -module-name $$module -target $$(uname -m)-unknown-linux-gnu \
    -I $$bin/Modules "$${clang[@]}" -emit-extension-block-symbols -output-dir $$symbols
  docc convert $$(find Sources Stress -name $$module.docc) --additional-symbol-graph-dir $$symbols \
    --fallback-display-name $$module --fallback-bundle-identifier $$module --output-dir $$archive \
    --enable-experimental-external-link-support $${archives[@]/#/--dependency=} --warnings-as-errors
  archives+=($$archive)
done
docc merge $${archives[@]} --synthesized-landing-page-name swift-fd-poller --output-path .build/docs
rm -r .build/docs-parts
endef

docs: setup ## build the documentation of every library into .build/docs
	$(call step,Documentation,$(documentation))

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

# How long `make fuzz` looks for inputs.
SECONDS ?= 60

# The toolchain brings libFuzzer and AddressSanitizer. New inputs are kept apart until the run is
# over; of them, those join the corpus that reach code that it does not. An input that breaks a
# property ends the run, and stays in .build-fuzz.
# The linker is not lld, which drops the counters of code that was reached.
define fuzzing
swift build -c release --package-path Fuzzing --scratch-path .build-fuzz --product FuzzHTTP \
  --sanitize=fuzzer --sanitize=address
found=.build-fuzz/found
mkdir -p $$found
.build-fuzz/release/FuzzHTTP -max_total_time=$(SECONDS) -max_len=1024 -timeout=20 \
  -print_final_stats=1 -verbosity=1 -dict=Fuzzing/http.dict -artifact_prefix=.build-fuzz/ \
  $$found Fuzzing/Corpus
.build-fuzz/release/FuzzHTTP -merge=1 -use_counters=0 -max_len=1024 Fuzzing/Corpus $$found
endef

fuzz: setup ## look for inputs that break the HTTP framing, which extends the corpus (SECONDS=60)
	$(call step,Fuzzing,$(fuzzing))

# The peers are dependencies of a package of its own.
define measurements
Benchmarks/build
.build/release/fdbench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))
endef

bench: build ## measure beside the peers, into Benchmarks/Results (QUICK=1: minutes; ONLY=echo,http)
	$(call step,Measurements,$(measurements))

bench-micro: setup ## the times of single operations (NAMES=regular expression: some of them)
	@swift package --package-path Benchmarks benchmark --target Micro $(if $(NAMES),--filter '$(NAMES)')

budget: build ## write the instructions of single operations into their budget (REASON='why')
	@.build/release/fdstress budget --write --reason '$(REASON)'

run: build ## the demo of fdproxy (ONCE=1: one round, then exit; IO=io_uring)
	@exec .build/release/fdproxy demo $(if $(IO),--io $(IO)) $(if $(ONCE),--once)

clean: ## remove everything that was built
	@rm -rf .build .build-* Benchmarks/.build
