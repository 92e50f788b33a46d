/*
 * What the hypervisor reads or writes for a kernel it finds as the tables are,
 * and not as they were when a CPU looked last; and what it does about a fault
 * of its own comes to an end.
 *
 * A kernel need not flush a TLB when it gives more rights. So a hypervisor that
 * takes a fault for what the tables say fails a call for no reason: with some
 * processors under KVM, as TCG looks into the tables before each fault. And one
 * that looks into other tables than the CPU uses tries for ever: those of a 32-bit
 * guest's top level, of which a CPU has a copy until it is told to make another.
 * No other vCPU gets an answer from one that is in there.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define ROUNDS      option_number("rounds", 400)
#define WAIT_NS     20000000000ULL
#define TOP_LEVEL   (IS_64BIT ? 4 : 3)

static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096)));
static volatile ulong where;            /* vCPU 1 has it written there */
static volatile unsigned calls, missed;
static volatile long unexpected;

static void secondary(void)
{
    for (;;) {
        /* XENVER_extraversion: 16 bytes */
        long ret = HYPERCALL(xen_version, 1, where);

        if (ret == -EFAULT) {
            missed++;
        } else if (ret) {
            unexpected = ret;
        }
        barrier();
        calls++;
    }
}

/* Until vCPU 1 has begun and ended a call */
static void wait_for_call(void)
{
    uint64_t end = system_time() + WAIT_NS;
    unsigned from = calls;

    while (calls - from < 2) {
        if (system_time() > end) {
            error("vCPU 1 does not come back from a call");
        }
        barrier();
    }
}

/* This vCPU has seen a page read-only; another one gives more rights */
static void test_more_rights(void)
{
    uint64_t rw = make_pte(virt_to_mfn(page), PAGE_KERNEL);

    for (unsigned i = 0; i < 50; i++) {
        check_ret(update_va_mapping(TEST_VA, rw & ~(uint64_t)_PAGE_RW,
                                    UVMF_INVLPG | UVMF_ALL), 0, "read-only");
        check_ret(HYPERCALL(xen_version, 1, TEST_VA), -EFAULT,
                  "a call that has it written");
        (void)*(volatile uint8_t *)TEST_VA;
        check_ret(mmu_update(pte_maddr(TEST_VA, 1), rw), 0,
                  "writable, with no flush");
        check_ret(HYPERCALL(xen_version, 1, TEST_VA), 0,
                  "the same call, when it may be written");
    }
}

/* The top level's entry goes and comes while another vCPU goes through it */
static void test_top_level(void)
{
    uint64_t entry = *pte_of(TEST_VA, TOP_LEVEL);
    uint64_t maddr = pte_maddr(TEST_VA, TOP_LEVEL);

    where = TEST_VA;
    for (unsigned i = 0; i < ROUNDS && !failed(); i++) {
        check_ret(mmu_update(maddr, 0), 0, "no entry");
        if (i % 16 == 0) {
            check_ret(mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0,
                      "TLB_FLUSH_ALL");
            wait_for_call();
        }
        check_ret(mmu_update(maddr, entry), 0, "the entry");
        if (i % 16 == 8) {
            wait_for_call();
        }
    }
    wait_for_call();
    check_eq(unexpected, 0, "what else the calls returned");
    if (!missed) {
        failure("vCPU 1 has not met a missing entry");
    }
}

void test_main(void)
{
    make_tables(TEST_VA, 1);
    map_page(TEST_VA, make_pte(virt_to_mfn(page), PAGE_KERNEL));
    test_more_rights();
    where = (ulong)page;
    start_second(secondary);
    wait_for_call();
    test_top_level();
}
