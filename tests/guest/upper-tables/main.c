/*
 * The upper part of the address space is what the table in use says, whichever of
 * many that is, at once and on every vCPU; and what is the hypervisor's in it leads
 * to nothing that a kernel could take for its own.
 *
 * A 32-bit guest has the hypervisor in the table of its last GiB, of which the CPU
 * has a copy. If that is not brought up to date, a kernel reads what another process
 * has there, or what it has taken away. And Linux follows all entries of its own
 * table when it looks for pages that can be written and executed: it dies if one of
 * them leads to a frame that it does not have.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define UPPER_VA    (IS_64BIT ? (ulong)0xffffff0000000000ULL : 0xe0000000UL)
#define UPPER_LEVEL (PAGE_LEVELS - 1)       /* of the table in which it differs */
/* More than any hypervisor is likely to remember */
#define NR_SPACES   7
#define NR_VALUES   3
#define ROUNDS      3000
#define FIRST_SLOT  428                     /* 32-bit: the hypervisor's */

static struct space {
    ulong top;                              /* mfn */
    volatile uint64_t *upper;               /* the entry for UPPER_VA */
    uint64_t upper_maddr;
    volatile unsigned seq, value;           /* odd: it is being changed */
} spaces[NR_SPACES];

/* A table of the level below, by which UPPER_VA is a page with the value */
static ulong chains[NR_VALUES];
static volatile unsigned started, stop, nr_looks, nr_certain;
static volatile unsigned bad_value, bad_expected, nr_bad;

static unsigned slot(ulong va, unsigned level)
{
    return va >> (12 + 9 * (level - 1)) & (!IS_64BIT && level == 3 ? 3 : 511);
}

/* Below a table of this level there is a page; returns the table's mfn */
static ulong make_chain(unsigned level, unsigned value)
{
    uint64_t *page = alloc_page();

    if (!level) {
        *(ulong *)page = value;
        return virt_to_mfn(page);
    }
    page[slot(UPPER_VA, level)] = make_pte(make_chain(level - 1, value),
                                           level == 1 ? PAGE_KERNEL : PAGE_TABLE);
    make_readonly(page);
    return virt_to_mfn(page);
}

static void make_space(struct space *s)
{
    uint64_t *top = alloc_page(), *upper = alloc_page();
    unsigned i = slot(UPPER_VA, PAGE_LEVELS), u = slot(UPPER_VA, UPPER_LEVEL);

    memcpy(top, (void *)start_info->pt_base, IS_64BIT ? PAGE_SIZE : 32);
    if (IS_64BIT) {
        memset(&top[256], 0, 16 * sizeof(*top));
    } else {
        /* All of it, as kernels do that copy one for a new process */
        memcpy(upper, (void *)((ulong)pte_of(UPPER_VA, 2) & ~4095UL), PAGE_SIZE);
    }
    upper[u] = make_pte(chains[0], PAGE_TABLE);
    make_readonly(upper);
    top[i] = make_pte(virt_to_mfn(upper), IS_64BIT ? PAGE_TABLE : _PAGE_PRESENT);
    make_readonly(top);
    s->top = virt_to_mfn(top);
    s->upper = &upper[u];
    s->upper_maddr = ((uint64_t)virt_to_mfn(upper) << PAGE_SHIFT) + u * 8;
    check_ret(mmuext_op(IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE,
                        s->top, 0), 0, "a base table is pinned");
}

static void use_space(const struct space *s)
{
    if (mmuext_op(MMUEXT_NEW_BASEPTR, s->top, 0)) {
        error("NEW_BASEPTR");
    }
}

static void set_value(struct space *s, unsigned value)
{
    if (mmu_update(s->upper_maddr, make_pte(chains[value], PAGE_TABLE))) {
        error("mmu_update of an upper table");
    }
    s->value = value;
}

static unsigned look(void)
{
    return *(volatile ulong *)UPPER_VA;
}

/* One vCPU, which changes tables that it uses and others */
static void one_vcpu(void)
{
    struct space *used = &spaces[0];
    unsigned n = 1;

    use_space(used);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct space *s;

        n = n * 1103515245 + 12345;
        s = &spaces[(n >> 8) % NR_SPACES];
        if (n >> 16 & 1) {
            set_value(s, (n >> 20) % NR_VALUES);
        } else {
            use_space(used = s);
        }
        if (look() != used->value) {
            failure("round %u: %u is read, not %u", i, look(), used->value);
            return;
        }
    }
}

/* The other one looks at one after the other */
static void secondary(void)
{
    started = 1;
    while (!stop) {
        struct space *s = &spaces[nr_looks++ % NR_SPACES];

        use_space(s);
        for (unsigned i = 0; i < 3; i++) {
            unsigned seq = s->seq, expected = s->value, value = look();

            if (!(seq & 1) && s->seq == seq) {
                nr_certain++;
                if (value != expected && !nr_bad++) {
                    bad_value = value;
                    bad_expected = expected;
                }
            }
        }
    }
    stop = 2;
    for (;;) {
        HYPERCALL(vcpu_op, VCPUOP_down, 1, 0);
    }
}

static void two_vcpus(void)
{
    uint64_t end = system_time() + 20000000000ULL;
    unsigned n = 1;

    start_second(secondary);
    for (unsigned i = 0; system_time() < end &&
                         (i < ROUNDS || nr_certain < ROUNDS); i++) {
        struct space *s;

        n = n * 1103515245 + 12345;
        s = &spaces[(n >> 8) % NR_SPACES];
        s->seq++;
        set_value(s, (n >> 20) % NR_VALUES);
        check_ret(mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0, "TLB_FLUSH_ALL");
        s->seq++;
    }
    check(nr_certain, "the other vCPU has never looked in between");
    stop = 1;
    for (end = system_time() + 20000000000ULL; stop != 2; ) {
        if (system_time() > end) {
            error("the other vCPU does not end");
        }
    }
    check(!nr_bad, "another vCPU reads %u, not %u, and so %u times of %u", bad_value,
          bad_expected, nr_bad, nr_certain);
}

/* 32-bit: under Xen there are superpages, which nobody follows */
static void hypervisors_entries(void)
{
    uint64_t *l2 = (uint64_t *)((ulong)pte_of(UPPER_VA, 2) & ~4095UL);

    for (unsigned i = FIRST_SLOT; i < 512; i++) {
        if ((l2[i] & _PAGE_PRESENT) && !(l2[i] & _PAGE_PSE)) {
            failure("entry %u leads to frame %lx", i, PTE_MFN(l2[i]));
            return;
        }
    }
}

void test_main(void)
{
    if (is_initdomain() && !IS_64BIT) {
        skip("with Xen a table that has the hypervisor cannot be copied");
        return;
    }
    if (!IS_64BIT) {
        hypervisors_entries();
    }
    for (unsigned i = 0; i < NR_VALUES; i++) {
        chains[i] = make_chain(UPPER_LEVEL - 1, i);
    }
    for (unsigned i = 0; i < NR_SPACES; i++) {
        make_space(&spaces[i]);
    }
    if (!IS_64BIT) {
        hypervisors_entries();
    }
    one_vcpu();
    two_vcpus();
}
