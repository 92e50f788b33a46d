/*
 * Two vCPUs give frames back and get frames at the same time, and what either
 * writes into what it got stays there.
 *
 * The host takes the memory of what is given back. If it did so when the frame is
 * another vCPU's already, or if both got the same frame, pages of the kernel would
 * lose what is in them, now and then, on a machine with several CPUs.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define FRAMES      48
#define ROUNDS      400
#define LIMIT_NS    4000000000ULL   /* a busy machine does less */

static struct side {
    ulong pfns[FRAMES];
    xen_pfn_t frames[FRAMES];
    ulong va;
    uint64_t tag;
    volatile ulong rounds, dirty, lost, refused;
    volatile bool done;
} sides[2];

static volatile uint64_t *word_of(struct side *s, unsigned i)
{
    /* Only this vCPU uses the address */
    update_va_mapping(s->va, make_pte(s->frames[i], PAGE_KERNEL), UVMF_INVLPG);
    return (volatile uint64_t *)(s->va + 128);
}

static void exchange(struct side *s)
{
    struct memory_reservation r = { s->frames, FRAMES, 0, 0, DOMID_SELF };
    xen_pfn_t list[FRAMES];

    update_va_mapping(s->va, 0, UVMF_INVLPG);
    if (HYPERCALL(memory_op, XENMEM_decrease_reservation, &r) != FRAMES) {
        s->refused++;
    }
    for (unsigned i = 0; i < FRAMES; i++) {
        list[i] = s->pfns[i];
    }
    r.extent_start = list;
    if (HYPERCALL(memory_op, XENMEM_populate_physmap, &r) != FRAMES) {
        s->refused++;
    }
    memcpy(s->frames, list, sizeof(list));
}

static void run(struct side *s)
{
    uint64_t end = system_time() + LIMIT_NS;

    while (s->rounds < ROUNDS && system_time() < end && !s->refused) {
        exchange(s);
        s->tag += 2;
        for (unsigned i = 0; i < FRAMES; i++) {
            volatile uint64_t *word = word_of(s, i);

            s->dirty += *word != 0;
            *word = s->tag + ((uint64_t)i << 32);
        }
        for (unsigned i = 0; i < FRAMES; i++) {
            s->lost += *word_of(s, i) != s->tag + ((uint64_t)i << 32);
        }
        s->rounds++;
    }
    s->done = true;
}

static void secondary(void)
{
    HYPERCALL(fpu_taskswitch, 0);
    asm volatile("fninit");
    run(&sides[1]);
    for (;;) {
        HYPERCALL(sched_op, SCHEDOP_yield, NULL);
    }
}

void test_main(void)
{
    ulong *p2m = (ulong *)start_info->mfn_list;

    if (is_initdomain()) {
        skip("domain 0 gets other frames than it gave");
        return;
    }
    for (unsigned n = 0; n < 2; n++) {
        struct side *s = &sides[n];

        s->va = TEST_VA + n * PAGE_SIZE;
        s->tag = n + 1;
        for (unsigned i = 0; i < FRAMES; i++) {
            s->pfns[i] = alloc_pfn();
            s->frames[i] = p2m[s->pfns[i]];
        }
        map_page(s->va, make_pte(s->frames[0], PAGE_KERNEL));
    }
    start_second(secondary);
    run(&sides[0]);
    while (!sides[1].done) {
        HYPERCALL(sched_op, SCHEDOP_yield, NULL);
    }
    for (unsigned n = 0; n < 2; n++) {
        printk("vCPU %u: %lu rounds\n", n, sides[n].rounds);
        check(sides[n].rounds, "vCPU %u did nothing", n);
        check_eq(sides[n].refused, 0, "requests of vCPU %u that failed", n);
        check_eq(sides[n].dirty, 0, "frames that vCPU %u got, and not clean",
                 n);
        check_eq(sides[n].lost, 0, "words of vCPU %u that were lost", n);
    }
}
