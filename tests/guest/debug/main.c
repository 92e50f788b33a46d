/*
 * Breakpoints and single steps, also over what the hypervisor does itself.
 *
 * A debugger in the guest sets debug registers by hypercall and steps by TF.
 * Breakpoints must hit in the kernel and in user mode and say so in DR6, which
 * the guest reads by hypercall; a step over a hypercall or an instruction that
 * is emulated must stop behind it, as it does for an instruction that the CPU
 * executes, and must never step the hypervisor instead.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define DR7_L0          0x1
#define DR7_RW0(x)      ((x) << 16)
#define DR7_LEN0(x)     ((x) << 18)
#define DR7_FIXED       0x400

static long volatile variable;

static long set_debugreg(unsigned nr, ulong val)
{
    return HYPERCALL(set_debugreg, nr, val);
}

static ulong get_debugreg(unsigned nr)
{
    return HYPERCALL(get_debugreg, nr);
}

/* --- Breakpoints --- */

extern char here[], there[];

static noinline void code(void *arg)
{
    asm volatile("nop\n.globl here\nhere: nop" : : : "memory");
}

static noinline void writer(void *arg)
{
    asm volatile("movl $1, %0\n.globl there\nthere: nop"
                 : "=m" (variable) : : "memory");
}

static __user ulong user_code(ulong a, ulong b)
{
    asm volatile("nop; nop" : : : "memory");
    return a;
}

static void breakpoints(void)
{
    struct trap t;
    ulong result;

    check_ret(set_debugreg(0, (ulong)here), 0, "set_debugreg(0)");
    check_ret(set_debugreg(7, DR7_FIXED | DR7_L0), 0, "set_debugreg(7)");
    check_eq(get_debugreg(0), (ulong)here, "get_debugreg(0)");
    check_eq(get_debugreg(7) & 0xffff00ff, DR7_L0, "get_debugreg(7)");
    check_ret(set_debugreg(6, 0), 0, "set_debugreg(6)");
    if (catch_exception(&t, code, NULL)) {
        check(t.vector == X86_DB, "a breakpoint: %s", trap_name(t.vector));
        check_eq(t.ip, (ulong)here, "IP of a breakpoint");
        check_eq(get_debugreg(6) & 0x400f, 1, "DR6 of a breakpoint");
    } else {
        failure("no #DB by a breakpoint");
    }

    check_ret(set_debugreg(0, (ulong)&variable), 0, "set_debugreg(0)");
    check_ret(set_debugreg(7, DR7_FIXED | DR7_L0 | DR7_RW0(1) | DR7_LEN0(3)),
              0, "set_debugreg(7)");
    set_debugreg(6, 0);
    if (catch_exception(&t, writer, NULL)) {
        check(t.vector == X86_DB, "a watchpoint: %s", trap_name(t.vector));
        check_eq(t.ip, (ulong)there, "IP of a watchpoint");
        check_eq(get_debugreg(6) & 0x400f, 1, "DR6 of a watchpoint");
        check_eq(variable, 1, "the variable");
    } else {
        failure("no #DB by a watchpoint");
    }

    /* DR6 says all that was since it was written */
    check_ret(set_debugreg(1, (ulong)here), 0, "set_debugreg(1)");
    check_ret(set_debugreg(7, DR7_FIXED | DR7_L0 << 2), 0, "set_debugreg(7)");
    check(catch_exception(&t, code, NULL) && t.vector == X86_DB,
          "no #DB by the second breakpoint");
    check_eq(get_debugreg(6) & 0x400f, 3, "DR6 of both");
    set_debugreg(6, 0);

    user_init();
    check_ret(set_debugreg(0, user_address(user_code)), 0, "set_debugreg(0)");
    check_ret(set_debugreg(7, DR7_FIXED | DR7_L0), 0, "set_debugreg(7)");
    check(call_user(user_code, 0, 0, NULL, &t) && t.vector == X86_DB,
          "no #DB by a breakpoint in user mode");
    check_eq(t.ip, user_address(user_code), "IP of a user breakpoint");
    check(t.from_user, "a breakpoint in user mode is not from there");

    check_ret(set_debugreg(7, DR7_FIXED), 0, "set_debugreg(7)");
    check(!catch_exception(&t, code, NULL), "a breakpoint that is disabled");
    check(!call_user(user_code, 7, 0, &result, &t) && result == 7,
          "a user breakpoint that is disabled");
}

/* --- Single steps --- */

static ulong sink;
static unsigned nr_steps;
static ulong last_ip, stop_ip;

static bool step(struct trap *t)
{
    nr_steps++;
    last_ip = t->ip;
    check(!t->from_user, "a step in user mode");
    if (t->ip == stop_ip || t->ip == stop_ip + 1 || nr_steps > 200) {
        t->frame->flags &= ~(ulong)X86_EFLAGS_TF;
    }
    return true;
}

#define STEP_OVER(name, ...) \
    extern char name##_start[], name##_stop[]; \
    static noinline void name(void) \
    { \
        asm volatile("pushf\n" ORL_TF "popf\n" \
                     #name "_start: " __VA_ARGS__); \
        asm volatile(#name "_stop: nop\nnop" : : : "memory"); \
    }
#ifdef __x86_64__
#define ORL_TF "orl $0x100, (%%rsp)\n"
#else
#define ORL_TF "orl $0x100, (%%esp)\n"
#endif

STEP_OVER(step_nop, "nop" : : : "memory")
STEP_OVER(step_cpuid, "ud2; .ascii \"xen\"; cpuid"
          : : "a" (0), "c" (0) : "ebx", "edx", "memory")
static volatile uint32_t *entry;
STEP_OVER(step_table, "mov %0, (%1)" : : "r" (0), "r" (entry) : "memory")
STEP_OVER(step_cr0, "mov %%cr0, %0" : "=r" (sink) : : "memory")
#ifdef __x86_64__
STEP_OVER(step_hypercall, "syscall"
          : : "a" (__HYPERVISOR_xen_version), "D" (0) : "rcx", "r11", "memory")
#else
STEP_OVER(step_hypercall, "int $0x82"
          : : "a" (__HYPERVISOR_xen_version), "b" (0) : "memory")
#endif

/*
 * The step may also end one instruction (nop) later: so it does behind a
 * software interrupt, and a hypercall may be one.
 */
static void single_step(const char *name, void (*fn)(void), const char *stop,
                        bool may_slip)
{
    nr_steps = 0;
    stop_ip = (ulong)stop;
    set_handler(X86_DB, step);
    set_debugreg(6, 0);
    fn();
    set_handler(X86_DB, NULL);
    check(nr_steps != 0, "%s: no step", name);
    if (!may_slip || last_ip != (ulong)stop + 1) {
        check_eq(last_ip, (ulong)stop, "%s: where the last step stopped",
                 name);
    }
    check(nr_steps < 3, "%s: %u steps", name, nr_steps);
    /* Which Xen forgets when it has written to a page table */
    if (fn != step_table || !is_initdomain()) {
        check_eq(get_debugreg(6) & 0x4000, 0x4000, "%s: DR6.BS", name);
    }
}

void test_main(void)
{
    unmask_upcalls();
    /* A debugger takes what is in them for what has happened */
    check_eq(get_debugreg(6), 0xffff0ff0, "DR6 at the start");
    check_eq(get_debugreg(7), DR7_FIXED, "DR7 at the start");
    breakpoints();
    single_step("nop", step_nop, step_nop_stop, false);
    single_step("emulated cpuid", step_cpuid, step_cpuid_stop, false);
    single_step("mov from cr0", step_cr0, step_cr0_stop, false);
    HYPERCALL(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    make_tables(TEST_VA, 1);
    entry = (volatile uint32_t *)pte_of(TEST_VA, 1);
    single_step("write to a page table", step_table, step_table_stop, false);
    single_step("hypercall", step_hypercall, step_hypercall_stop, true);
}
