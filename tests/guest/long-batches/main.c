/*
 * Long lists of operations in one hypercall are done to their end, in order,
 * and do not make another vCPU wait for it.
 *
 * A hypervisor that has interrupts off meanwhile answers no other vCPU, whose
 * flush of the TLB then takes as long; so it does such a list in parts, of
 * which none may be left out or done twice, nor anything behind an error.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NR          3000
static struct multicall_entry calls[NR];
static struct mmu_update updates[NR];
static struct mmuext_op ops[NR];
static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096)));

static volatile bool busy;
static volatile unsigned nr_flushes, nr_flushes_busy;

static void secondary(void)
{
    for (;;) {
        bool before = busy;

        mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0);
        nr_flushes++;
        if (before && busy) {
            nr_flushes_busy++;
        }
    }
}

static void multicalls(void)
{
    static const unsigned lengths[] = { 255, 256, 257, 512, 513, NR };

    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        unsigned n = lengths[i], wrong = 0;

        for (unsigned j = 0; j < NR; j++) {
            calls[j] = (struct multicall_entry) {
                .op = __HYPERVISOR_xen_version, .result = 0x5a5a,
                .args = { XENVER_pagesize },
            };
        }
        check_ret(HYPERCALL(multicall, calls, n), 0, "a multicall of %u", n);
        for (unsigned j = 0; j < NR; j++) {
            wrong += calls[j].result != (j < n ? PAGE_SIZE : 0x5a5a);
        }
        check_eq(wrong, 0, "wrong results of %u", n);
    }
}

static void mmu_updates(void)
{
    uint64_t at, wrong = 0;
    unsigned done = 77;

    make_tables(TEST_VA, 1);
    at = pte_maddr(TEST_VA, 1);
    for (unsigned i = 0; i < NR; i++) {
        updates[i].ptr = at + i % 512 * 8;
        updates[i].val = make_pte(virt_to_mfn(page), PAGE_KERNEL) |
                         (uint64_t)(i / 512) << 9;
    }
    check_ret(HYPERCALL(mmu_update, updates, NR, &done, DOMID_SELF), 0,
              "mmu_update of %u", NR);
    check_eq(done, NR, "mmu_update: the count that was done");
    for (unsigned i = NR - 512; i < NR; i++) {
        wrong += pte_of(TEST_VA, 1)[i % 512] != updates[i].val;
    }
    check_eq(wrong, 0, "mmu_update: wrong entries");

    updates[1234].ptr = HV_POINTER | 5;
    done = 77;
    check(HYPERCALL(mmu_update, updates, NR, &done, DOMID_SELF) < 0,
          "mmu_update with an error in it");
    check_eq(done, 1234, "mmu_update: the count until the error");

    for (unsigned i = 0; i < NR; i++) {
        ops[i] = (struct mmuext_op) { MMUEXT_INVLPG_LOCAL, { TEST_VA } };
    }
    ops[2345].cmd = 99;
    done = 77;
    check(HYPERCALL(mmuext_op, ops, NR, &done, DOMID_SELF) < 0,
          "mmuext_op with an error in it");
    check_eq(done, 2345, "mmuext_op: the count until the error");
}

static void others(void)
{
    for (unsigned i = 0; i < NR; i++) {
        calls[i] = (struct multicall_entry) {
            .op = __HYPERVISOR_mmuext_op,
            .args = { (ulong)ops, 1000, 0, DOMID_SELF },
        };
    }
    start_second(secondary);
    while (!nr_flushes) {
        asm volatile("pause" : : : "memory");
    }
    busy = true;
    check_ret(HYPERCALL(multicall, calls, NR), 0, "a long multicall");
    busy = false;
    printk("%u flushes meanwhile\n", nr_flushes_busy);
    check(nr_flushes_busy > 10, "%u flushes meanwhile", nr_flushes_busy);
}

void test_main(void)
{
    multicalls();
    mmu_updates();
    others();
}
