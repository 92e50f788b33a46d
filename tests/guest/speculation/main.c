/*
 * The MSRs that bound speculation, of a CPU that has them.
 *
 * A kernel that is not offered them leaves one program's predictions to the next,
 * and assumes each fault that a CPU may have. One that is offered a bit must be
 * able to set it, read what it has set, and get a #GP for what its CPU has not:
 * that is how kernels find out.
 *
 * The emulated CPU has none of it, so only the hypervisor's part is seen here.
 *
 * CPU: x-force-features=on,vendor=GenuineIntel,spec-ctrl=on,stibp=on,ssbd=on,arch-capabilities=on,rdctl-no=on,tsx-ctrl=on,amd-ssbd=on,ibpb=on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#ifndef OFFERED
#define OFFERED     1
#endif
#define SPEC_CTRL   0x48
#define PRED_CMD    0x49
#define ARCH_CAPS   0x10a
#define FLUSH_CMD   0x10b

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    asm volatile("ud2; .ascii \"xen\"; cpuid"
                 : "=a" (out[0]), "=b" (out[1]), "=c" (out[2]), "=d" (out[3])
                 : "0" (leaf), "2" (subleaf));
}

struct access {
    uint32_t msr;
    uint64_t val;
};

static void do_write(void *arg)
{
    struct access *a = arg;

    asm volatile("wrmsr" : : "c" (a->msr), "a" ((uint32_t)a->val),
                 "d" ((uint32_t)(a->val >> 32)));
}

static void do_read(void *arg)
{
    struct access *a = arg;
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (a->msr));
    a->val = lo | (uint64_t)hi << 32;
}

static void writes(uint32_t msr, uint64_t val, bool works)
{
    struct access a = { msr, val };
    struct trap t;
    bool caught = catch_exception(&t, do_write, &a);

    check(caught != works && (works || t.vector == X86_GP),
          "writing %llx to %x: %s", (unsigned long long)val, msr,
          caught ? trap_name(t.vector) : "no exception");
}

static void reads(uint32_t msr, uint64_t val, bool works)
{
    struct access a = { msr };
    struct trap t;
    bool caught = catch_exception(&t, do_read, &a);

    check(caught != works && (works || t.vector == X86_GP), "reading %x: %s",
          msr, caught ? trap_name(t.vector) : "no exception");
    if (works && !caught) {
        check_eq(a.val, val, "what is read from %x", msr);
    }
}

void test_main(void)
{
    uint32_t seven[4], amd[4];
    struct trap t;
    struct access caps = { ARCH_CAPS };
    bool has;

    cpuid(7, 0, seven);
    cpuid(0x80000008, 0, amd);
    has = seven[3] >> 26 & 1;
    check_eq(has, OFFERED, "whether CPUID offers it");
    check_eq(seven[3] >> 26 & 0x2b, has ? 0x2b : 0, "what CPUID offers");
    check_eq(amd[1] >> 12 & 1, has, "whether it offers AMD's IBPB");

    reads(SPEC_CTRL, 0, has);
    for (unsigned val = 0; val < 8; val++) {
        writes(SPEC_CTRL, val, has);
        reads(SPEC_CTRL, val, has);
    }
    for (unsigned bit = 3; bit < 64; bit++) {
        writes(SPEC_CTRL, 1ULL << bit, false);
    }
    reads(SPEC_CTRL, 7, has);
    writes(SPEC_CTRL, 0, has);

    writes(PRED_CMD, 1, has);
    writes(PRED_CMD, 0, has);
    writes(PRED_CMD, 2, false);
    writes(PRED_CMD, 1ULL << 32, false);
    reads(PRED_CMD, 0, false);

    check(catch_exception(&t, do_read, &caps) != has, "reading %x", ARCH_CAPS);
    check_eq(caps.val & ~0x1d1ae17fULL, 0,
             "bits that tell of MSRs that are not there");
    writes(ARCH_CAPS, 0, false);
    writes(FLUSH_CMD, 1, false);
}
