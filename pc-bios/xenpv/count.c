/*
 * Counters: struct xenpv_counters of each vCPU
 *
 * Called from the sites of count.h, which are jumps only while the machine counts;
 * and, where what is counted takes a thousand times as long, from C that looks at
 * boot_info's .counting. Each vCPU writes its own. The machine takes what it reads
 * there for numbers and nothing else, as the guest can write them.
 *
 * A vCPU is in the monitor from a trap or a hypercall to the return to its guest, but
 * not while it is halted. System calls that go straight to the guest's kernel are
 * counted, and not timed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

static inline struct xenpv_counters *mine(void)
{
    return (struct xenpv_counters *)(image_start + XENPV_CORE_COUNTERS) +
           current_vcpu()->id;
}

static void enter(struct xenpv_counters *c)
{
    c->entered = rdtsc();
}

void count_leave(void)
{
    struct xenpv_counters *c = mine();

    if (c->entered) {
        c->ticks += rdtsc() - c->entered;
        c->entered = 0;
    }
}

void count_trap(struct regs *regs)
{
    struct xenpv_counters *c = mine();
    unsigned vector = regs->vector;

    enter(c);
    if (vector < XENPV_COUNTED_EXCEPTIONS) {
        c->exceptions[vector]++;
    } else {
        c->interrupts++;
    }
}

/* In a multicall: the time is that one's */
void count_nested(ulong nr)
{
    if (nr < XENPV_COUNTED_HYPERCALLS) {
        mine()->hypercalls[nr]++;
    }
}

void count_hypercall(ulong nr)
{
    enter(mine());
    count_nested(nr);
}

void count_syscall(void)
{
    mine()->syscalls++;
}

void count_upcall(void)
{
    mine()->upcalls++;
}

void count_doorbell(void)
{
    mine()->doorbells++;
}

void count_flush(void)
{
    mine()->flushes++;
}

void count_idle(bool idle)
{
    if (idle) {
        count_leave();
    } else {
        enter(mine());
    }
}
