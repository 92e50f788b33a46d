/*
 * The machine begins and ends counting, over and over, while two vCPUs run: nothing
 * is different for a guest.
 *
 * Counting puts jumps into the monitor's code. A vCPU that finds half of one, that is
 * between two instructions which are one now, or of which only the begin or the
 * end of something was counted, would lose a register, its stack or its way.
 *
 * vCPUs: 2
 * monitor: qom-set /machine counters on; qom-set /machine counters off
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* On the first vCPU: user mode, exceptions, system calls, and all their registers */
#define test_main user_main
#include "../user/main.c"
#undef test_main

#define RUN_NS      1500000000ULL

static volatile ulong nr_traps, nr_wrong, wrong_line, rounds;
static volatile bool ready, stop, stopped;
static evtchn_port_t masked;

static bool ud2(struct trap *t)
{
    if (is_of_second(t)) {
        t->frame->ip += 2;
        nr_traps++;
        return true;
    }
    return false;
}

static bool interrupt(struct trap *t)
{
    /* Not written by the first vCPU at all */
    if (is_of_second(t)) {
        nr_traps++;
        return true;
    }
    return false;
}

#ifdef __x86_64__
#define REGS(x) x(rbx) x(rcx) x(rdx) x(rsi) x(rdi) x(r8) x(r9) x(r10) x(r11) \
                x(r12) x(r13) x(r14) x(r15)
#define NUMBER  "0x123456789abc"
#else
#define REGS(x) x(ebx) x(ecx) x(edx) x(esi) x(edi)
#define NUMBER  "0x12345678"
#endif
#define LOAD(r)     "mov $" NUMBER ", %%" #r "\n"
#define COMPARE(r)  "cmp %%" #r ", %%" AX "\njne 9f\n"
#define CLOBBER(r)  #r,
#ifdef __x86_64__
#define AX          "rax"
#else
#define AX          "eax"
#endif

/* All registers come back from it */
#define KEEPS(insn) ({ \
        bool kept_; \
        asm volatile(REGS(LOAD) "mov $" NUMBER ", %%" AX "\n" insn "\n" \
                     REGS(COMPARE) "mov $" NUMBER ", %%" AX "\n" \
                     REGS(COMPARE) "mov $1, %%eax\njmp 8f\n" \
                     "9: xor %%eax, %%eax\n8:" \
                     : "=a" (kept_) : : REGS(CLOBBER) "memory", "cc"); \
        kept_; \
    })

/* The line says which check it was */
static void wrong_at(unsigned line, bool is)
{
    if (is) {
        wrong_line = line;
        nr_wrong++;
    }
}
#define wrong(is)   wrong_at(__LINE__, is)

static void secondary(void)
{
    HYPERCALL(fpu_taskswitch, 0);
    wrong(set_trap_entry(0x81, 3, trap_stub(0x81)));
    ready = true;
    while (!stop) {
        struct multicall_entry calls[3];
        ulong before = nr_traps;

        wrong(!KEEPS("ud2"));
        wrong(!KEEPS("int $0x81"));
        wrong(nr_traps != before + 2);
        wrong(HYPERCALL(xen_version, XENVER_version, NULL) < 4 << 16);
        wrong(HYPERCALL(xen_version, 99, NULL) != -ENOSYS);
        memset(calls, 0, sizeof(calls));
        for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
            calls[i].op = __HYPERVISOR_xen_version;
            calls[i].args[0] = i ? 99 : XENVER_version;
        }
        wrong(HYPERCALL(multicall, calls, ARRAY_SIZE(calls)));
        wrong((long)calls[0].result < 4 << 16);
        wrong((long)calls[2].result != -ENOSYS);
        wrong(send_event(masked));
        wrong(!port_pending(masked));
        /* The other is interrupted for it, wherever it is */
        if (rounds % 8 == 0) {
            wrong(mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0));
        }
        rounds++;
    }
    stopped = true;
    for (;;) {
        HYPERCALL(vcpu_op, VCPUOP_down, 1, NULL);
    }
}

static void nothing(evtchn_port_t port)
{
}

void test_main(void)
{
    uint64_t end;
    unsigned n = 0;

    set_handler(X86_UD, ud2);
    set_handler(0x81, interrupt);
    masked = bind_ipi(nothing);
    mask_port(masked);
    start_second(secondary);
    /* The table for traps is for both, and user mode's tests change it */
    while (!ready) {
        barrier();
    }
    for (end = system_time() + RUN_NS; system_time() < end && !failed(); n++) {
        user_main();
    }
    stop = true;
    for (end = system_time() + 5 * RUN_NS; !stopped && system_time() < end;) {
        barrier();
    }
    printk("%u rounds of user mode, %lu of the other vCPU\n", n, rounds);
    check(stopped, "the second vCPU is stuck");
    check(n && rounds > 10, "too few rounds");
    check(!nr_wrong, "%lu times the second vCPU found something wrong, as in line %lu",
          nr_wrong, wrong_line);
}
