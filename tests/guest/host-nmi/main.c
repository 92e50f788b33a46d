/*
 * An NMI from outside reaches a kernel that has asked for NMIs, whatever its
 * vCPU does.
 *
 * A host sends one to have a kernel dump itself that has stopped to answer;
 * most likely its vCPUs wait, in the hypervisor, or are on their way in or out
 * of it. One that is lost there was the only one.
 *
 * The hypervisor's local APIC, whose page is at a known place for a kernel that
 * looks for it, plays the host.
 *
 * vCPUs: 2
 *
 * CPU: x2apic=off
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define VECTOR_NMI  2
#define APIC_AREA   (IS_64BIT ? 0xffff808040022000UL : 0xf8022000UL)
#define ICR_NMI     (4 << 8 | 1 << 14)      /* delivery mode, assert */

static volatile unsigned nmis, nr_calls;
static volatile enum { BLOCK, CALL, STOP } work;

static void send_nmi(void)
{
    volatile uint32_t *icr = (void *)(APIC_AREA + 0x300);

    icr[4] = 1 << 24;                       /* to the second vCPU */
    icr[0] = ICR_NMI;
}

extern char nmi_entry[];
static void __attribute__((used)) count_nmi(void)
{
    nmis++;
}

#ifdef __x86_64__
asm(".pushsection .text\n"
    "nmi_entry: pop %rcx; pop %r11\n"
    "push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9\n"
    "push %r10; push %r11\n"
    "call count_nmi\n"
    "pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx\n"
    "pop %rcx; pop %rax\n"
    "push $0; jmp hypercall_page + 23 * 32\n"
    ".popsection\n");
#else
asm(".pushsection .text\n"
    "nmi_entry: push %eax; push %ecx; push %edx\n"
    "call count_nmi\n"
    "pop %edx; pop %ecx; pop %eax\n"
    "jmp hypercall_page + 23 * 32\n"
    ".popsection\n");
#endif

static void secondary(void)
{
    ulong handler = (ulong)nmi_entry;

    /* Not the harness's handlers, which are for one vCPU */
    HYPERCALL(nmi_op, 0 /* XENNMI_register_callback */, &handler);
    nr_calls = 1;
    while (work != STOP) {
        if (work == BLOCK) {
            HYPERCALL(sched_op, SCHEDOP_block);
        } else {
            HYPERCALL(xen_version, XENVER_version);
            nr_calls++;
        }
    }
    HYPERCALL(vcpu_op, VCPUOP_down, 1, 0);
    for (;;) {
    }
}

static bool wait_for(unsigned n)
{
    uint64_t end = system_time() + 5000000000ULL;

    while (nmis < n && system_time() < end) {
        asm volatile("pause" : : : "memory");
    }
    return nmis >= n;
}

static void series(const char *what, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        unsigned before = nmis;

        /* Such that they hit different places */
        for (volatile unsigned n = 0; n < i % 97 * 11; n++) {
        }
        send_nmi();
        if (!wait_for(before + 1)) {
            failure("%s: NMI %u is lost", what, i);
            return;
        }
    }
}

void test_main(void)
{
    if (is_initdomain()) {
        skip("of this machine's APIC");
        return;
    }
    start_second(secondary);
    while (!nr_calls) {
        asm volatile("pause" : : : "memory");
    }
    busy_wait(100000000);
    series("a vCPU that waits", 100);
    work = CALL;
    /* The block that it is in ends with the NMI */
    send_nmi();
    wait_for(101);
    series("a vCPU that makes hypercalls", 1000);
    check(nr_calls > 1, "it did not make any");
    work = STOP;
}
