/*
 * SYSENTER from user mode enters the kernel's callback, or is a #GP.
 *
 * The instruction tells nobody where it came from, and takes the flags with
 * it: NT and TF as well, with which a hypervisor that is careless at its entry
 * steps itself, or fails at its next IRET. Kernels register a callback for the
 * system calls of their 32-bit programs; without one, and whatever a program
 * has in its registers, it must end as an exception of that program.
 *
 * AMD's CPUs do not have it in long mode: what is tested is Intel's.
 *
 * CPU: vendor=GenuineIntel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define FLAG_NT     0x4000

static __user ulong do_sysenter(ulong flags, ulong junk)
{
    /* Also without a stack to speak of */
#ifdef __x86_64__
    asm volatile("push %0; popf; mov %1, %%rsp; mov %1, %%rbp; sysenter"
                 : : "r" (flags), "r" (junk) : "memory", "cc");
#else
    asm volatile("push %0; popf; mov %1, %%esp; mov %1, %%ebp; sysenter"
                 : : "r" (flags), "r" (junk) : "memory", "cc");
#endif
    return 0;
}

#ifdef __x86_64__
extern char compat_sysenter[];
asm(".pushsection .user.text, \"ax\"\n"
    ".code32\n"
    "compat_sysenter: sysenter\nud2\n"
    ".code64\n"
    ".popsection");

static __user ulong from_compat(ulong ip, ulong unused)
{
    asm volatile("push $0xe023; push %0; lretq" : : "r" (ip) : "memory");
    return 0;
}
#endif

static long register_sysenter(unsigned flags, ulong address)
{
    return register_callback(CALLBACKTYPE_sysenter, flags, address);
}

static void check_frame(const char *what, const struct trap *t, unsigned mask)
{
    ulong flags;

    asm volatile("pushf; pop %0" : "=r" (flags));
    check_eq(flags & (X86_EFLAGS_TF | FLAG_NT | X86_EFLAGS_DF), 0,
             "%s: flags of the kernel", what);
    check_eq(t->from_user, true, "%s: from user mode", what);
    check_eq(t->ip, 0, "%s: IP", what);
    check_eq(t->cs, 3, "%s: CS", what);
    check_eq(t->sp, 0, "%s: SP", what);
    check_eq(t->ss, FLAT_USER_SS, "%s: SS", what);
    check_eq(t->flags & X86_EFLAGS_IF, X86_EFLAGS_IF, "%s: IF", what);
    check_eq(t->saved_upcall_mask, 0, "%s: the saved upcall mask", what);
    check_eq(t->upcall_mask, mask, "%s: the upcall mask", what);
}

static bool sysenter(const char *what, ulong flags, ulong junk,
                     unsigned vector, unsigned mask)
{
    struct trap t;

    if (!call_user(do_sysenter, flags, junk, NULL, &t)) {
        failure("%s: it returns", what);
        return false;
    }
    check(t.vector == vector, "%s: %s(%x) at %lx", what, trap_name(t.vector),
          t.error_code, t.ip);
    if (t.vector == vector) {
        check_frame(what, &t, mask);
        check_eq(t.error_code, 0, "%s: error code", what);
        check_eq(t.flags & (FLAG_NT | X86_EFLAGS_DF | X86_EFLAGS_AC),
                 flags & (FLAG_NT | X86_EFLAGS_DF | X86_EFLAGS_AC),
                 "%s: flags", what);
    }
    return t.vector == vector;
}

static void with(const char *what, unsigned vector, unsigned mask)
{
    static const ulong flags[] = {
        2, FLAG_NT | 2, X86_EFLAGS_DF | 2, X86_EFLAGS_AC | 2,
        FLAG_NT | X86_EFLAGS_DF | X86_EFLAGS_AC | 0x8d7,
    };
    static const ulong junk[] = {
        0, ~0UL, 1, HV_POINTER, VIRT_BASE,
#ifdef __x86_64__
        0x800000000000UL, 0xffff808040028000UL,
#endif
    };

    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(junk); j++) {
            if (!sysenter(what, flags[i], junk[j], vector, mask)) {
                return;
            }
        }
    }
}

/* Steps begin behind POPF, and the last one may be of SYSENTER or before */
static bool step(struct trap *t)
{
    return t->from_user;
}

static void stepped(unsigned vector)
{
    struct trap t;

    set_handler(X86_DB, step);
    check(call_user(do_sysenter, X86_EFLAGS_TF | 2, 0, NULL, &t) &&
          t.vector == vector, "stepped: %s at %lx", trap_name(t.vector), t.ip);
    check_frame("stepped", &t, 0);
    set_handler(X86_DB, NULL);
}

/* A program that runs with upcalls masked, as its kernel wants it */
static void masked(void)
{
    struct trap t;

    mask_upcalls();
    check(call_user(do_sysenter, 2, 0, NULL, &t) &&
          t.vector == VECTOR_SYSCALL, "masked: %s", trap_name(t.vector));
    check_eq(t.flags & X86_EFLAGS_IF, 0, "masked: IF");
    check_eq(t.saved_upcall_mask, 1, "masked: the saved upcall mask");
    check_eq(t.upcall_mask, 1, "masked: the upcall mask");
    unmask_upcalls();
}

#ifdef __i386__
/* The trap table's entry for #GP has the selector, where the callback has none */
static void null_selector(void)
{
    for (unsigned cs = 0; cs < 4; cs++) {
        struct callback_register r = {
            .type = CALLBACKTYPE_sysenter,
            .address = { cs, trap_stub(VECTOR_SYSCALL) },
        };

        check_ret(HYPERCALL(callback_op, CALLBACKOP_register, &r), 0,
                  "registering with CS %u", cs);
        sysenter("with a null CS", 2, 0, VECTOR_SYSCALL, 0);
    }
}

/*
 * A kernel that does this is told so as if a program had, on the stack that is
 * for these
 */
static void kernel_sysenter(void *unused)
{
    asm volatile("sysenter" : : : "memory");
}

static void from_kernel(unsigned vector)
{
    struct trap t;

    check(catch_exception(&t, kernel_sysenter, NULL), "from ring 1: it returns");
    check_eq(t.vector, vector, "from ring 1: vector");
    check_frame("from ring 1", &t, 0);
}
#endif

void test_main(void)
{
    struct trap t;

    if (IS_64BIT && is_initdomain()) {
        skip("Xen 4.17 in an emulator enters on a stack that is gone");
        return;
    }
    user_init();
    unmask_upcalls();
    if (IS_64BIT && call_user(do_sysenter, 2, 0, NULL, &t) &&
        t.vector == X86_UD) {
        skip("the CPU behind this one is AMD's");
        return;
    }
    if (IS_64BIT) {
        check(cpuid_edx(1) & CPUID1_SEP, "CPUID does not offer it");
    }
    with("without a callback", X86_GP, 0);
    stepped(X86_GP);
    for (unsigned flags = 0; flags < 2; flags++) {
        check_ret(register_sysenter(flags, trap_stub(VECTOR_SYSCALL)), 0,
                  "registering the callback");
        with("with a callback", VECTOR_SYSCALL, flags);
    }
    register_sysenter(0, trap_stub(VECTOR_SYSCALL));
    stepped(VECTOR_SYSCALL);
    masked();
#ifdef __i386__
    from_kernel(VECTOR_SYSCALL);
    null_selector();
#endif
#ifdef __x86_64__
    check(call_user(from_compat, user_address(compat_sysenter), 0, NULL, &t) &&
          t.vector == VECTOR_SYSCALL, "from 32-bit code: %s",
          trap_name(t.vector));
    check_frame("from 32-bit code", &t, 0);
#endif
    /* As if there were none */
    check_ret(register_sysenter(0, 0), 0, "registering address 0");
    with("with address 0", X86_GP, 0);
#ifdef __i386__
    from_kernel(X86_GP);
#endif
}
