# Builds tare, its init, and runs every test ring. `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# ---- what is built -----------------------------------------------------------

# A release sets VERSION; internal/version has the one that is being worked on.
VERSION ?=
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
PREFIX  ?= /usr/local
GO      ?= go
# The init and tare for other machines: `make tare GOARCH=arm64 TARE=tare.arm64`.
GOARCH  := $(or $(GOARCH),$(shell $(GO) env GOARCH))
HOSTARCH := $(shell $(GO) env GOHOSTARCH)
TARE    ?= tare
TARE_NET ?= tare-net
OUT     := build/out

# tare is two programs in one file: see internal/whole.
WHOLE    := internal/whole/bin
MODULE   := github.com/tare-oci/tare
GO_TAGS  := urfave_cli_no_docs,urfave_cli_no_suggest
GO_LD    := -s -w -X $(MODULE)/internal/version.commit=$(COMMIT) \
	$(if $(VERSION),-X $(MODULE)/internal/version.version=$(VERSION))
# The front begins with internal/entry, and without the runtime's memory profile,
# which nothing reads: its first allocation would be traced all the same. It is
# copied because the linker's output lies in the page cache page by page; what is
# written at once, or read from a disk, is mapped by larger pieces (-13 % of `state`).
# No PIE: its constants are written to when it is loaded, and entry.Drop would lose that.
FRONT_LD := -E tare_entry -X runtime.godebugDefault=memprofilerate=0,profstackdepth=1
go_build = CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -buildvcs=false -ldflags '$(GO_LD) $(1)'

# ---- the init: a static C program without a libc and without relocations ------

CC_amd64 ?= gcc
CC_arm64 ?= aarch64-linux-gnu-gcc
ifeq ($(HOSTARCH),arm64)
CC_amd64 := x86_64-linux-gnu-gcc
CC_arm64 := gcc
endif

INIT_SRC := $(sort $(wildcard init/*.c))
INIT_HDR := $(sort $(wildcard init/*.h))
INIT_BIN := internal/initbin/bin
INIT_MAX := 65536
INIT_WARN := -Wall -Wextra -Werror -Wconversion -Wvla -Wswitch-enum
INIT_CFLAGS := -std=gnu17 -Os $(INIT_WARN) \
	-fstack-protector-strong -ffreestanding -fno-builtin \
	-fPIE -static-pie -nostdlib -nostartfiles -fno-unwind-tables -fno-asynchronous-unwind-tables \
	-ffunction-sections
INIT_LDFLAGS := -Wl,--gc-sections -Wl,-z,noexecstack -Wl,-z,relro -Wl,-z,now -Wl,--build-id=none \
	-Wl,-z,noseparate-code -s
# Without a libc there is no thread area to keep the canary in. On arm64 a global
# canary would be reached through the GOT, which is a relocation, so the thread
# register points at it; and read-only relocations would only cost a hole as big
# as the biggest page that such a machine can have, 64 KiB.
INIT_ARCH_amd64 := -mstack-protector-guard=global
INIT_ARCH_arm64 := -mno-outline-atomics -mstack-protector-guard=sysreg \
	-mstack-protector-guard-reg=tpidr_el0 -mstack-protector-guard-offset=0 -Wl,-z,norelro

.PHONY: all
all: tare tare-seccomp tare-net ## build the init, tare, its network hook, and tare-seccomp if libseccomp-dev is there (default)

$(INIT_BIN)/%/init: $(INIT_SRC) $(INIT_HDR) scripts/check-init.sh Makefile
	@mkdir -p $(@D)
	$(CC_$*) $(INIT_CFLAGS) $(INIT_LDFLAGS) $(INIT_ARCH_$*) -o $@ $(INIT_SRC)
	@scripts/check-init.sh $@ $(INIT_MAX)

.PHONY: init
init: $(INIT_BIN)/$(GOARCH)/init ## compile only the init

# What `run` asks of the kernel, by a C program with the init's flags: tests/bench.
FLOOR_SRC := $(sort $(wildcard tests/bench/floor/*.c))
$(OUT)/floor: $(FLOOR_SRC) $(wildcard tests/bench/floor/*.h) init/sys.h Makefile
	@mkdir -p $(@D)
	$(CC_$(HOSTARCH)) $(INIT_CFLAGS) $(INIT_LDFLAGS) $(INIT_ARCH_$(HOSTARCH)) -o $@ $(FLOOR_SRC)
	@scripts/check-init.sh $@ $(INIT_MAX) >/dev/null

.PHONY: floor
floor: $(OUT)/floor ## compile the C program that the benchmark takes for the floor of `run`

.PHONY: tare
tare: $(INIT_BIN)/$(GOARCH)/init ## build tare (GOARCH=arm64 for the other machine)
	GOARCH=$(GOARCH) $(call go_build) -tags $(GO_TAGS) -o $(WHOLE)/$(GOARCH)/tare .
	GOARCH=$(GOARCH) $(call go_build,$(FRONT_LD)) -buildmode=exe -tags tare_front -o $(TARE).linked .
	@cp $(TARE).linked $(TARE).new && mv $(TARE).new $(TARE) && rm $(TARE).linked

# The one program with a C library. Machines without libseccomp's header do without.
.PHONY: tare-seccomp
tare-seccomp: ## build the libseccomp back-end, where a C compiler and libseccomp's header are
	@if ! printf '#include <seccomp.h>\n' | $(CC_$(HOSTARCH)) -fsyntax-only -x c - 2>/dev/null; then \
		echo "tare-seccomp is left out: no C compiler, or no seccomp.h (libseccomp-dev)"; \
	else \
		CGO_ENABLED=1 CC=$(CC_$(HOSTARCH)) GOARCH=$(HOSTARCH) $(GO) build -trimpath -buildvcs=false -tags libseccomp -ldflags '-s -w' -o $@ ./cmd/tare-seccomp; \
	fi

# Without inlining it is 0.5 MB smaller, and no slower: it waits for the kernel. purego
# is BLAKE2s without assembly, for a few bytes at a time.
.PHONY: tare-net
tare-net: ## build the network hook, a program of its own
	GOARCH=$(GOARCH) $(call go_build,$(FRONT_LD) -funcalign=8) -buildmode=exe -tags purego -gcflags=all=-l -o $(TARE_NET).linked ./hooks/network/cmd
	@cp $(TARE_NET).linked $(TARE_NET).new && mv $(TARE_NET).new $(TARE_NET) && rm $(TARE_NET).linked

.PHONY: cross
cross: ## build for amd64 and arm64 into build/out, and run the arm64 programs where qemu-user is installed
	@mkdir -p $(OUT)
	$(MAKE) --no-print-directory tare GOARCH=amd64 TARE=$(OUT)/tare.amd64
	$(MAKE) --no-print-directory tare GOARCH=arm64 TARE=$(OUT)/tare.arm64
	@scripts/run-foreign.sh $(INIT_BIN)/arm64/init $(OUT)/tare.arm64 aarch64

.PHONY: reproducible
reproducible: ## prove that two folders with the same tree give the same bytes
	@scripts/reproducible.sh '$(COMMIT)'

# ---- tests (docs/testing.md) --------------------------------------------------

FUZZTIME ?= 20s

.PHONY: check
check: ## vet and test what needs neither root nor a C compiler
	$(GO) vet ./...
	$(GO) test ./specconv/... ./internal/plan/... ./internal/field/... ./internal/facts/... ./internal/ojson/... \
		./internal/ociconfig/... ./internal/ocischema/... ./internal/deps/... ./tests/rings/...

.PHONY: test
test: ## install what is missing, and run every ring that this host can run, with one summary (as root)
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory -s all
	$(GO) run ./tests/rings $(if $(ONLY),--only $(ONLY))

.PHONY: integration
integration: all ## run only the integration tests (as root)
	TARE=$(abspath $(TARE)) $(GO) test -count=1 ./tests/integration/...

.PHONY: test-vm
test-vm: ## run only the tests that need cgroup v2, systemd or AppArmor, in a virtual machine (as root)
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory -s all
	$(GO) run ./tests/rings --only vm

.PHONY: conformance
conformance: all ## run only the validation programs of the OCI runtime-tools (as root)
	$(GO) -C tests/conformance run . --runtime $(abspath $(TARE))

.PHONY: differential
differential: all ## hold tare against runc and crun with generated configs (as root)
	$(GO) run ./tests/differential --runtime tare=$(abspath $(TARE))

# STATIC_CRUN=FILE: a crun without shared libraries besides (scripts/static-crun.sh).
BENCH = $(GO) run ./tests/bench --runtime tare=$(abspath $(TARE)) --peer crun=crun --peer runc=runc \
	$(if $(STATIC_CRUN),--peer static-crun=$(STATIC_CRUN)) --floor $(abspath $(OUT)/floor)

.PHONY: bench
bench: all floor ## compare tare with crun and runc, and print it (as root; BENCH_FLAGS=--quick: 2 minutes)
	$(BENCH) $(BENCH_FLAGS)

.PHONY: bench-report
bench-report: all floor ## the same, written into docs/bench.md and its charts (as root, about 10 minutes)
	$(BENCH) $(BENCH_FLAGS) --out docs/bench.md

.PHONY: bench-net
bench-net: tare-net ## compare tare-net with Debian's CNI plugins (as root, about 2 minutes)
	@scripts/setup.sh test
	$(GO) run ./tests/network/speed --hook $(abspath tare-net) --out docs/network.md

.PHONY: bench-seccomp
bench-seccomp: tare-seccomp ## what a filter costs a container's system calls (as root, about 1 minute)
	@scripts/setup.sh test
	$(GO) test ./internal/seccomp -run '^$$' -bench Filter -count 3

.PHONY: network
network: all ## run only the tests of the network hook (as root)
	TARE=$(abspath $(TARE)) TARE_NET=$(abspath tare-net) $(GO) test -count=1 ./tests/network/...

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (20s) each
	@scripts/fuzz.sh $(FUZZTIME) $(FUZZPROFILES)

.PHONY: demo
demo: ## install what is missing, build, and show a container beside its host (as root)
	@scripts/setup.sh demo
	@$(MAKE) --no-print-directory -s all
	@scripts/demo.sh $(abspath $(TARE))

# ---- upkeep -------------------------------------------------------------------

.PHONY: generate
generate: ## write again what is generated: the op header, docs/plan.md, decoders, system call tables
	$(GO) run ./internal/gen/planheader
	$(GO) generate ./...

.PHONY: verify
verify: ## check that generated files are current, and format, sizes, changelog, scripts
	@scripts/verify.sh

MAN_PAGES := $(patsubst man/%.md,$(OUT)/man/%,$(wildcard man/*.8.md))

$(OUT)/man/%: man/%.md
	@mkdir -p $(@D)
	$(GO) run github.com/cpuguy83/go-md2man/v2 -in $< -out $@

.PHONY: man
man: $(MAN_PAGES) ## make the man pages from man/*.md, in build/out/man

.PHONY: install
install: all man ## install tare, its man pages and completion below DESTDIR and PREFIX (/usr/local)
	install -D -m 0755 $(TARE) $(DESTDIR)$(PREFIX)/sbin/tare
	@if [ -e tare-seccomp ]; then install -D -m 0755 tare-seccomp $(DESTDIR)$(PREFIX)/libexec/tare/tare-seccomp; fi
	install -D -m 0755 tare-net $(DESTDIR)$(PREFIX)/sbin/tare-net
	@for page in $(MAN_PAGES); do \
		install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man8/$${page##*/}; \
	done
	install -D -m 0644 contrib/completions/tare.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/tare
	install -D -m 0644 contrib/completions/tare-net.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/tare-net

.PHONY: clean
clean: ## remove what make has built
	rm -rf tare tare-seccomp tare-net $(OUT) $(INIT_BIN)/*/init

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST) | sort
