/*
 * The I/O privilege level: who may use cli, sti, in and out.
 *
 * It is PHYSDEVOP_set_iopl's, which frames do not show and an iret leaves
 * alone, and by which the kernel counts as ring 1. A program that may not use
 * I/O ports and can all the same could take the machine over, and one that may
 * and cannot is killed by its kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define IOPL(n)     ((ulong)(n) << 12)

static void set_iopl(uint32_t iopl)
{
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0,
              "set_iopl(%u)", iopl);
}

/* --- The kernel --- */

static void kernel_cli(void *unused)
{
    asm volatile("cli; sti");
}

static void kernel_out(void *unused)
{
    asm volatile("out %%al, $0x80; in $0x80, %%al" : : : "eax");
}

static void in_kernel(const char *what, bool allowed)
{
    struct trap t;

    check(catch_exception(&t, kernel_cli, NULL) != allowed,
          "%s: the kernel's cli: %s", what, allowed ? "refused" : "done");
    if (!is_initdomain()) {         /* it has ports, and so also their use */
        check(catch_exception(&t, kernel_out, NULL) != allowed,
              "%s: the kernel's out: %s", what, allowed ? "refused" : "done");
    }
}

/* --- Programs, entered with flags of the test's choice --- */

static __user ulong user_cli(ulong a, ulong b)
{
    asm volatile("cli; sti; int $0x81");
    return 0;
}

static __user ulong user_out(ulong a, ulong b)
{
    asm volatile("out %%al, $0x80; in $0x80, %%al; int $0x81" : : : "eax");
    return 0;
}

static __user ulong user_int80(ulong a, ulong b)
{
    asm volatile("int $0x80");
    return 0;
}

static __user ulong user_ud2(ulong a, ulong b)
{
    asm volatile("ud2");
    return 0;
}

static __user ulong user_fault(ulong a, ulong b)
{
    return *(volatile ulong *)BAD_POINTER;
}

static __user ulong user_syscall(ulong a, ulong b)
{
#ifdef __x86_64__
    asm volatile("syscall" : : : "rcx", "r11");
#else
    asm volatile("sysenter");
#endif
    return 0;
}

static void enter(void *arg)
{
    extern void enter_user(const struct iret_frame *frame, ulong a, ulong b);

    enter_user(arg, 0, 0);
}

static void enter_with(user_fn *fn, unsigned iopl, struct trap *t)
{
    struct iret_frame frame = {
        user_address(fn), FLAT_USER_CS, X86_EFLAGS_IF | 2 | IOPL(iopl),
        USER_STACK - 64, FLAT_USER_SS
    };

    if (!catch_exception(t, enter, &frame)) {
        error("no trap from user mode");
    }
    check(t->from_user, "%s from the kernel", trap_name(t->vector));
}

/* iopl: what the iret to user mode has in its flags */
static void in_user(const char *what, unsigned iopl, bool allowed)
{
    static const struct {
        user_fn *fn;
        unsigned vector;
    } traps[] = {
        { user_int80, 0x80 }, { user_ud2, X86_UD }, { user_fault, X86_PF },
        /* Last, for 32-bit guests of AMD's CPUs do not have it under Xen */
        { user_syscall, VECTOR_SYSCALL },
    };
    unsigned nr = ARRAY_SIZE(traps);
    struct trap t;

    enter_with(user_cli, iopl, &t);
    check_eq(t.vector, allowed ? 0x81 : X86_GP, "%s: a program's cli", what);
    enter_with(user_out, iopl, &t);
    check_eq(t.vector, allowed ? 0x81 : X86_GP, "%s: a program's out", what);
    if (!IS_64BIT && is_initdomain() && !(cpuid_edx(1) & CPUID1_SEP)) {
        nr--;
    }
    for (unsigned i = 0; i < nr; i++) {
        enter_with(traps[i].fn, iopl, &t);
        check_eq(t.vector, traps[i].vector, "%s: the vector", what);
        check_eq(t.flags & IOPL(3), 0, "%s: IOPL in %s's frame", what,
                 trap_name(t.vector));
    }
}

/* --- Frames of the kernel, and its irets to itself --- */

static ulong seen_flags, new_flags;

static bool change_flags(struct trap *t)
{
    seen_flags = t->flags;
    t->frame->flags = (t->flags & ~IOPL(3)) | new_flags;
    return true;
}

static void kernel_frames(const char *what)
{
    set_handler(X86_BP, change_flags);
    new_flags = IOPL(2);
    asm volatile("int3");
    check_eq(seen_flags & IOPL(3), 0, "%s: IOPL in the kernel's frame", what);
    asm volatile("int3");
    check_eq(seen_flags & IOPL(3), 0, "%s: IOPL after an iret with 2", what);
    set_handler(X86_BP, NULL);
}

/* Only what is at the upcall is seen: the handler itself is the harness's */
static void nothing(evtchn_port_t port)
{
}

static void upcall_frame(const char *what)
{
    evtchn_port_t port = bind_ipi(nothing);

    unmask_port(port);
    unmask_upcalls();
    check_ret(send_event(port), 0, "send");
    check_eq(last_upcall.flags & IOPL(3), 0,
             "%s: IOPL in an upcall's frame", what);
    mask_upcalls();
    close_port(port);
}

void test_main(void)
{
    user_init();
    register_callback(IS_64BIT ? CALLBACKTYPE_syscall : CALLBACKTYPE_sysenter, 0,
                      trap_stub(VECTOR_SYSCALL));
    mask_upcalls();
    set_iopl(0);
    in_kernel("IOPL 0", false);
    in_user("IOPL 0", 0, false);
    in_user("IOPL 0, in flags 3", 3, false);
    set_iopl(1);
    in_kernel("IOPL 1", true);
    in_user("IOPL 1", 0, false);
    set_iopl(3);
    in_user("IOPL 3", 0, true);
    kernel_frames("IOPL 3");
    upcall_frame("IOPL 3");
    in_kernel("IOPL 3", true);
    set_iopl(0);
    in_kernel("IOPL 0 again", false);
}
