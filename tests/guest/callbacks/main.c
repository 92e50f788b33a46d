/*
 * Callbacks: registering them, their flags, and where vcpu_info is.
 *
 * callback_op replaces a callback at once and can make the system-call
 * callback mask upcalls, on which a 64-bit kernel's entry code relies before
 * it has a stack; VCPUOP_register_vcpu_info moves the structure that all
 * masking and pending is in, with what it contains, and may be done once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static volatile unsigned nr_events;

static void handler(evtchn_port_t port)
{
    nr_events++;
}

static void register_callbacks(evtchn_port_t port)
{
    unsigned before;

    check_ret(register_callback(CALLBACKTYPE_event, 0,
                                trap_stub(VECTOR_EVENT)), 0,
              "registering the event callback");
    check_ret(register_callback(CALLBACKTYPE_failsafe, CALLBACKF_mask_events,
                                trap_stub(VECTOR_FAILSAFE)), 0,
              "registering the failsafe callback");
    check_ret(register_callback(99, 0, trap_stub(VECTOR_EVENT)), -ENOSYS,
              "registering a callback of type 99");
    before = nr_events;
    send_event(port);
    check_eq(nr_events, before + 1, "events");
}

#ifdef __x86_64__
static __user ulong do_syscall(ulong a, ulong b)
{
    asm volatile("syscall" : : "a" (77) : "rcx", "r11", "memory");
    return 0;
}

extern char compat_start[], compat_int80[], compat_syscall[], compat_ud2[];
asm(".pushsection .user.text, \"ax\"\n"
    ".code32\n"
    "compat_start: nop\n"
    "compat_int80: int $0x80\nud2\n"
    "compat_syscall: syscall\nud2\n"
    "compat_ud2: ud2\n"
    ".code64\n"
    ".popsection");

/* Goes to 32-bit code in user mode */
static __user ulong to_compat(ulong ip, ulong unused)
{
    asm volatile("push $0xe023; push %0; lretq" : : "r" (ip) : "memory");
    return 0;
}

static void system_calls(void)
{
    struct trap t;

    unmask_upcalls();
    for (unsigned flags = 0; flags < 2; flags++) {
        check_ret(register_callback(CALLBACKTYPE_syscall, flags,
                                    trap_stub(VECTOR_SYSCALL)), 0,
                  "registering the syscall callback");
        check(call_user(do_syscall, 0, 0, NULL, &t) &&
              t.vector == VECTOR_SYSCALL, "no syscall callback");
        check_eq(t.upcall_mask, flags & CALLBACKF_mask_events,
                 "the upcall mask in the syscall callback, flags %u", flags);
        check_eq(t.saved_upcall_mask, 0, "the saved upcall mask");
        check_eq(t.flags & X86_EFLAGS_IF, X86_EFLAGS_IF, "IF in its frame");
    }
    check_ret(register_callback(CALLBACKTYPE_syscall, 0, 0x800000000000),
              -EINVAL, "registering an address that is not canonical");
    register_callback(CALLBACKTYPE_syscall, 0, trap_stub(VECTOR_SYSCALL));
}

/* 32-bit user code of a 64-bit guest */
static void compat(void)
{
    struct trap t;

    check(call_user(to_compat, user_address(compat_int80), 0, NULL, &t) &&
          t.vector == 0x80, "int $0x80 of 32-bit code: %s",
          trap_name(t.vector));
    check_eq(t.cs, 0xe023, "CS of 32-bit code");
    check_eq(t.ip, user_address(compat_int80) + 2, "IP of 32-bit code");
    check_eq(t.ss, FLAT_USER_SS, "SS of 32-bit code");
    check(call_user(to_compat, user_address(compat_ud2), 0, NULL, &t) &&
          t.vector == X86_UD, "ud2 of 32-bit code: %s", trap_name(t.vector));
    check_eq(t.ip, user_address(compat_ud2), "IP of ud2 of 32-bit code");

    /* AMD's CPUs have this instruction; nobody has registered for it */
    check(call_user(to_compat, user_address(compat_syscall), 0, NULL, &t) &&
          (t.vector == X86_GP || t.vector == X86_UD),
          "syscall of 32-bit code: %s", trap_name(t.vector));
    check_eq(t.ip, user_address(compat_syscall), "IP of the syscall");
    check_eq(t.cs, 0xe023, "CS of the syscall");

    /* CALLBACKTYPE_syscall32 */
    check_ret(register_callback(7, 0, trap_stub(VECTOR_SYSCALL)), 0,
              "registering the syscall32 callback");
    check(call_user(to_compat, user_address(compat_syscall), 0, NULL, &t) &&
          (t.vector == VECTOR_SYSCALL || t.vector == X86_UD),
          "syscall of 32-bit code: %s", trap_name(t.vector));
    if (t.vector == VECTOR_SYSCALL) {
        check_eq(t.ip, user_address(compat_syscall) + 2, "IP of the syscall");
        check_eq(t.cs, 0xe023, "CS of the syscall");
        check_eq(t.ss, FLAT_USER_SS, "SS of the syscall");
    }
}
#endif

static __user ulong do_sysenter(ulong a, ulong b)
{
    asm volatile("sysenter" : : : "memory");
    return 0;
}

static void sysenter(void)
{
    struct trap t;

    check(call_user(do_sysenter, 0, 0, NULL, &t) && t.from_user &&
          (t.vector == X86_GP || t.vector == X86_UD), "sysenter: %s",
          trap_name(t.vector));
}

/* struct vcpu_register_vcpu_info */
static struct {
    uint64_t mfn;
    uint32_t offset;
    uint32_t rsvd;
} where;
static char page[PAGE_SIZE] __attribute__((aligned(4096)));

static void register_vcpu_info(evtchn_port_t port)
{
    struct vcpu_info *new = (struct vcpu_info *)(page + 128);
    struct vcpu_info *old = vcpu_info();
    struct shared_info *s = shared_info;
    unsigned before;

    where.mfn = virt_to_mfn(page);
    where.offset = PAGE_SIZE - 32;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &where),
              -ENXIO,
              "vcpu_info beyond the end of its page");
    where.offset = 128;
    mask_upcalls();
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &where), 0,
              "VCPUOP_register_vcpu_info");
    check_eq(new->evtchn_upcall_mask, 1, "the mask in the new place");
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &where),
              -EINVAL, "VCPUOP_register_vcpu_info again");
    check(new->time.tsc_to_system_mul != 0, "no time in the new place");

    /* What was on its way could be lost, so all counts as pending */
    check_eq(new->evtchn_upcall_pending, 1, "pending in the new place");
    check_eq(new->evtchn_pending_sel, ~0UL, "selected in the new place");

    /* The old place means nothing any more */
    old->evtchn_upcall_mask = 0;
    new->evtchn_upcall_pending = 0;
    *(volatile ulong *)&new->evtchn_pending_sel = 0;
    send_event(port);
    check_eq(new->evtchn_upcall_pending, 1, "pending in the new place");
    check(*(volatile ulong *)&new->evtchn_pending_sel != 0,
          "nothing is selected in the new place");
    check(s->evtchn_pending[port / (8 * sizeof(ulong))] >>
          port % (8 * sizeof(ulong)) & 1, "the port's bit has moved, too");

    the_vcpu_info = new;
    before = nr_events;
    unmask_upcalls();
    check_eq(nr_events, before + 1, "events by the new place");
    send_event(port);
    check_eq(nr_events, before + 2, "events by the new place");
}

void test_main(void)
{
    evtchn_port_t port = bind_ipi(handler);

    unmask_port(port);
    unmask_upcalls();
    register_callbacks(port);
#ifdef __x86_64__
    system_calls();
    compat();
#endif
    sysenter();
    register_vcpu_info(port);
}
