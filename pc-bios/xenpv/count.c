/*
 * Counters: struct xenpv_counters of each vCPU
 *
 * Called from the sites of count.h, which are jumps only while the machine
 * counts; C code that takes thousands of instructions anyway looks at
 * boot_info's .counting instead. Each vCPU writes its own counters. The guest
 * can write them, too, so to the machine they are numbers and nothing else.
 *
 * A vCPU is in the monitor from a trap or hypercall until it returns to the
 * guest, but not while it is halted. System calls that go straight to the
 * guest's kernel are counted, but not timed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

/* The vCPU is in the monitor from here until count_leave() */
void count_enter(void)
{
    my_counters()->entered = rdtsc();
}

void count_leave(void)
{
    struct xenpv_counters *c = my_counters();

    if (c->entered) {
        c->ticks += rdtsc() - c->entered;
        c->entered = 0;
    }
}

void count_trap(struct regs *regs)
{
    struct xenpv_counters *c = my_counters();
    unsigned vector = regs->vector;

    count_enter();
    if (vector < XENPV_COUNTED_EXCEPTIONS) {
        c->exceptions[vector]++;
    } else {
        c->interrupts++;
    }
}

/* A call within a multicall, which has set .entered already */
void count_nested(ulong nr)
{
    if (nr < XENPV_COUNTED_HYPERCALLS) {
        my_counters()->hypercalls[nr]++;
    }
}

void count_hypercall(ulong nr)
{
    count_enter();
    count_nested(nr);
}

void count_syscall(void)
{
    my_counters()->syscalls++;
}

void count_upcall(void)
{
    my_counters()->upcalls++;
}
