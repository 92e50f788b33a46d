# SPDX-License-Identifier: GPL-2.0-or-later
#
# GNU make front end: "make help" says what there is. The work is done by
# configure, by ninja in build/, and by scripts/.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DEFAULT_GOAL := all

ARCH ?= x86_64
CONFIGURE_FLAGS ?=
DESTDIR ?=
-include build/xenpv-kvm.mak
PREFIX ?= /usr/local
# Of a build for another host, and of its monitor; for the packages, before it is
# configured, too
CROSS_PREFIX ?=
MONITOR_CC ?=
export CROSS_PREFIX MONITOR_CC
QEMU ?= .cache/qemu
QEMU_SERIES ?= 10.0

PYTHON := /usr/bin/python3
CACHE := .cache
PARTS := unit qtest guest functional kvm
# With sanitizers, from build/asan, as the fuzzers are; what takes longest is last
SANITIZED := sanitized-unit sanitized-functional sanitized-qtest sanitized-guest
TARGET ?=
TIME ?= 60
# A built Xen Test Framework, whose PV tests are then a part of "make check"
XTF ?=
export XTF

libdir = $(DESTDIR)$(PREFIX)/lib/xenpv-kvm
datadir = $(DESTDIR)$(PREFIX)/share/xenpv-kvm
bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man/man1
completiondir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions

.PHONY: all
all: build/build.ninja
	@scripts/build emulators

# Only the first time: later on, ninja sees for itself what has changed.
build/build.ninja:
	./configure $(CONFIGURE_FLAGS)

.PHONY: help
help:
	@sed -n 's/^## \?//p' Makefile
## make                    build build/qemu-system-{i386,x86_64} and the tools
## make demo [ARCH=i386]   boot a real PV guest; installs what is needed
## make check              all tests; installs what is needed. In parts:
##   make check-unit           data structures, without a VM
##   make check-qtest          devices, without a guest
##   make check-guest          tiny PV kernels of our own, under TCG
##   make check-functional     real guests, under TCG
##   make check-kvm            real guests, under real KVM (nested where needed)
##   make check-fuzz           each fuzz target's corpus, and a few inputs more
##   make check-vmx            likewise under Intel's KVM, in Bochs, which no part
##                             of make check is: an hour and more
##   make check-xtf XTF=DIR    a built Xen Test Framework's PV tests, under TCG;
##                             make check XTF=DIR has them, too
## make check-series SERIES=10.2   all but the last with another QEMU (or 11), which
##                         is built in build/qemu-SERIES; one that Debian does not
##                         have by CONFIGURE_FLAGS=--qemu-src=DIR
## make check-sanitizers   tests with address and undefined-behaviour sanitizers
## make check-tsan         disks in IOThreads, with ThreadSanitizer
## make check-overlay      QEMU has the defects that scripts/qemu mends
## make check-all          make check and make check-sanitizers
## make lint               checkpatch.pl, clang-tidy and cppcheck on our C files
## make fuzz [TARGET=name] [TIME=seconds]   look for new inputs
## make bench              what each operation costs a guest
## make bench-devices      disks and networks next to virtio
## make assets             fetch real guests into .cache/assets
## make deb                Debian packages, into build/deb/
## make check-deb          try them in a fresh Debian, 12 or 13 as here (a chroot)
## make html, make man     the documents, into build/html/ and build/man/
## make deps               install the Debian packages needed, and nothing else;
##                         make deps-build: those of "make" alone, with
##                         CROSS_PREFIX=aarch64-linux-gnu- for arm64
## make install            into PREFIX (./configure --prefix), DESTDIR obeyed
## make uninstall          take that away again
## make clean              remove what was built
## make distclean          remove what was built, fetched and configured

# --- What has to be there ----------------------------------------------------

.PHONY: deps deps-build deps-demo deps-check deps-docs deps-lint deps-vmx assets
deps-docs:
	@scripts/packages --install build docs
deps: deps-check
deps-build:
	@scripts/packages --install build
deps-demo:
	@scripts/packages --install build demo
deps-check:
	@scripts/packages --install build check
deps-vmx:
	@scripts/packages --install build vmx
deps-lint:
	@scripts/packages --install build lint
assets: deps-check
	@scripts/assets

# The same as "all", after the packages it needs are there.
.PHONY: emulators-demo tests
emulators-demo: deps-demo
	@$(MAKE) --no-print-directory all
tests: deps-check
	@$(MAKE) --no-print-directory build/build.ninja
	@scripts/build emulators tests

# --- Demo and tests ----------------------------------------------------------

.PHONY: demo
demo: emulators-demo
	@scripts/demo $(ARCH)

.PHONY: check check-sanitizers check-all $(PARTS:%=check-%) bench bench-devices
check: tests fuzzers assets
	@scripts/run-tests $(PARTS) fuzz $(if $(XTF),xtf)
check-sanitizers: sanitized assets
	@scripts/run-tests fuzz $(SANITIZED)
check-all: tests sanitized assets
	@scripts/run-tests $(PARTS) fuzz $(SANITIZED)
check-functional check-kvm bench bench-devices: assets
$(PARTS:%=check-%): check-%: tests
	@scripts/run-tests $*
# Takes too long for make check: before each release
.PHONY: check-vmx
check-vmx: tests assets deps-vmx
	@scripts/assets linux-6.1-cloud
	@scripts/run-tests vmx
# Another QEMU than that of build/
SERIES_BUILD = build/qemu-$(SERIES)
.PHONY: check-series
check-series: assets
	@[ -n "$(SERIES)" ] || { echo "usage: make check-series SERIES=10.2"; exit 1; }
	@[ -f $(SERIES_BUILD)/build.ninja ] || ./configure --qemu-series=$(SERIES) \
	    --build-dir=$(SERIES_BUILD) $(CONFIGURE_FLAGS)
	@BUILD=$(CURDIR)/$(SERIES_BUILD) scripts/build emulators tests
	@BUILD=$(CURDIR)/$(SERIES_BUILD) scripts/run-tests $(PARTS)
# The build with sanitizers, of which the fuzzers alone are a part of make check
.PHONY: fuzzers sanitized check-fuzz fuzz
build/asan/build.ninja:
	./configure --qemu-series=$(QEMU_SERIES) --build-dir=build/asan --cc=clang \
	    --enable-sanitizers --enable-fuzzing
fuzzers: deps-check
	@$(MAKE) --no-print-directory build/asan/build.ninja
	@BUILD=$(CURDIR)/build/asan scripts/build fuzzers
sanitized: fuzzers
	@BUILD=$(CURDIR)/build/asan scripts/build emulators tests
build/tsan/build.ninja:
	./configure --qemu-series=$(QEMU_SERIES) --build-dir=build/tsan --cc=clang \
	    --enable-tsan
.PHONY: check-tsan
check-tsan: deps-check
	@$(MAKE) --no-print-directory build/tsan/build.ninja
	@BUILD=$(CURDIR)/build/tsan scripts/build emulators tests
	@scripts/run-tests tsan
.PHONY: check-overlay
check-overlay: tests assets
	@scripts/check-overlay
check-fuzz: fuzzers
	@scripts/run-tests fuzz
.PHONY: check-xtf
check-xtf: tests
	@scripts/run-tests xtf
fuzz: fuzzers
	@TIME=$(TIME) scripts/fuzz $(TARGET)
.PHONY: lint
lint: deps-lint all
	@scripts/lint
bench: tests
	@tests/guest/bench
	@$(PYTHON) tests/functional/run.py bench-linux
	@$(PYTHON) tests/functional/run.py bench-kvm
bench-devices: tests
	@scripts/assets debian-bench
	@$(PYTHON) tests/functional/run.py bench-devices

# --- Documents and packages ---------------------------------------------------

.PHONY: html man deb check-deb
html man: deps-docs
	@scripts/docs $@
deb: man all
	@scripts/deb/build
check-deb: deb
	@scripts/deb/check

# --- Installation ------------------------------------------------------------
#
# The emulators keep their names but live in a directory of their own, and the
# links to them have names that no distribution uses.

INSTALL_PROGRAM = install -s --strip-program=$(CROSS_PREFIX)strip

.PHONY: install uninstall
install: all
	install -d "$(libdir)/bin" "$(datadir)/keymaps" "$(bindir)"
	$(INSTALL_PROGRAM) build/qemu-system-i386 build/qemu-system-x86_64 "$(libdir)/bin"
	install -m 644 build/pc-bios/xenpv/*.bin "$(datadir)"
	install -m 644 $$(find $(QEMU)/pc-bios/keymaps/ -type f \
	    ! -name meson.build) "$(datadir)/keymaps"
	ln -sf ../lib/xenpv-kvm/bin/qemu-system-i386 \
	    "$(bindir)/qemu-xenpv-i386"
	ln -sf ../lib/xenpv-kvm/bin/qemu-system-x86_64 \
	    "$(bindir)/qemu-xenpv-x86_64"
	$(INSTALL_PROGRAM) build/xenner build/xenpv-convert "$(bindir)"
	$(INSTALL_PROGRAM) build/qemu-bridge-helper "$(libdir)"
	install -d "$(completiondir)"
	install -m 644 scripts/bash-completion/* "$(completiondir)"
	if [ -d build/man ]; then install -d "$(mandir)" && \
	    install -m 644 build/man/*.1 "$(mandir)"; fi

uninstall:
	rm -f "$(bindir)/qemu-xenpv-i386" "$(bindir)/qemu-xenpv-x86_64" \
	    "$(bindir)/xenner" "$(bindir)/xenpv-convert" \
	    "$(completiondir)/xenner" "$(completiondir)/xenpv-convert" \
	    "$(mandir)/xenner.1" "$(mandir)/xenpv-convert.1" \
	    "$(mandir)/qemu-xenpv-i386.1" "$(mandir)/qemu-xenpv-x86_64.1"
	rm -rf "$(libdir)" "$(datadir)"

# --- Cleaning ----------------------------------------------------------------

.PHONY: clean distclean
clean:
	@if [ -f build/build.ninja ]; then ninja -C build -t clean; fi
	rm -rf build/asan build/tsan build/qemu-* build/results build/guest build/demo build/deb build/html \
	    build/man build/docs-*
distclean:
	rm -rf build $(CACHE)
