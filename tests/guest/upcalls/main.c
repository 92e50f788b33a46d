/*
 * Events reach the guest exactly when its masks say so.
 *
 * A port has a mask, a vCPU has one, and the event callback is entered with
 * the latter set and returns through iret, which restores it. An event that
 * arrives while either is set must be kept and delivered by whatever clears
 * the mask: an unmask hypercall or the iret. If one is lost, the guest hangs;
 * if one comes too early, it re-enters a critical section.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static volatile unsigned nr_events[2];
static evtchn_port_t ports[2];

static void handler(evtchn_port_t port)
{
    nr_events[port == ports[1]]++;
}

static bool selected(evtchn_port_t port)
{
    return *(volatile ulong *)&vcpu_info()->evtchn_pending_sel >>
           port / (8 * sizeof(ulong)) & 1;
}

static bool upcall_pending(void)
{
    return *(volatile uint8_t *)&vcpu_info()->evtchn_upcall_pending;
}

static void reset(void)
{
    nr_upcalls = nr_events[0] = nr_events[1] = 0;
}

/* --- An IPI to self, with all combinations of the two masks --- */

static void send_unmasked(void)
{
    reset();
    unmask_port(ports[0]);
    unmask_upcalls();
    check_ret(send_event(ports[0]), 0, "EVTCHNOP_send");
    check_eq(nr_upcalls, 1, "upcalls when send returns");
    check_eq(nr_events[0], 1, "events when send returns");
    check_eq(last_upcall.upcall_mask, 1, "the upcall mask in the callback");
    check_eq(last_upcall.saved_upcall_mask, 0, "the saved upcall mask");
    check_eq(last_upcall.cs, FLAT_KERNEL_CS, "CS in the callback's frame");
    check_eq(last_upcall.ss, FLAT_KERNEL_SS, "SS in the callback's frame");
    check_eq(last_upcall.flags & X86_EFLAGS_IF, X86_EFLAGS_IF,
             "IF in the callback's frame");
    check_eq(vcpu_info()->evtchn_upcall_mask, 0, "the upcall mask after it");
    check(!upcall_pending() && !selected(ports[0]) && !port_pending(ports[0]),
          "something is pending after it");
}

static void send_upcalls_masked(void)
{
    reset();
    mask_upcalls();
    check_ret(send_event(ports[0]), 0, "EVTCHNOP_send");
    check_eq(nr_upcalls, 0, "upcalls while they are masked");
    check(upcall_pending(), "evtchn_upcall_pending is clear");
    check(selected(ports[0]), "evtchn_pending_sel is clear");
    check(port_pending(ports[0]), "evtchn_pending is clear");
    HYPERCALL(xen_version, XENVER_version);
    check_eq(nr_upcalls, 0, "upcalls while they are masked");
    unmask_upcalls();
    check_eq(nr_upcalls, 1, "upcalls after unmasking them");
    check_eq(nr_events[0], 1, "events after unmasking upcalls");
}

static void send_port_masked(void)
{
    reset();
    unmask_upcalls();
    mask_port(ports[0]);
    check_ret(send_event(ports[0]), 0, "EVTCHNOP_send, port masked");
    check_eq(nr_upcalls, 0, "upcalls by a masked port");
    check(port_pending(ports[0]), "a masked port does not become pending");
    check(!selected(ports[0]), "a masked port selects its word");
    check(!upcall_pending(), "a masked port sets evtchn_upcall_pending");
    check_ret(unmask_port(ports[0]), 0, "EVTCHNOP_unmask");
    check(!port_masked(ports[0]), "the port is still masked");
    check_eq(nr_upcalls, 1, "upcalls when EVTCHNOP_unmask returns");
    check_eq(nr_events[0], 1, "events when EVTCHNOP_unmask returns");

    reset();
    mask_port(ports[0]);
    check_ret(unmask_port(ports[0]), 0, "EVTCHNOP_unmask");
    check_eq(nr_upcalls, 0, "upcalls by unmasking a port without events");
}

static void send_twice(void)
{
    reset();
    mask_upcalls();
    send_event(ports[0]);
    send_event(ports[0]);
    send_event(ports[1]);
    unmask_upcalls();
    check_eq(nr_events[0], 1, "events after sending twice");
    check_eq(nr_events[1], 1, "events of the other port");
    check_eq(nr_upcalls, 1, "upcalls for two ports");

    /* Pending, but no longer selected: a second send does nothing */
    reset();
    mask_port(ports[0]);
    send_event(ports[0]);
    send_event(ports[0]);
    check_eq(nr_upcalls, 0, "upcalls by a masked port");
    clear_port(ports[0]);
    check_ret(unmask_port(ports[0]), 0, "EVTCHNOP_unmask");
    check_eq(nr_upcalls, 0, "upcalls although the event was taken back");
}

/* --- iret --- */

static uint8_t flags_if;
static unsigned upcalls_inside;

static bool send_in_trap(struct trap *t)
{
    send_event(ports[0]);
    upcalls_inside = nr_upcalls;
    t->frame->ip += 2;
    if (flags_if) {
        t->frame->flags |= X86_EFLAGS_IF;
    } else {
        t->frame->flags &= ~(ulong)X86_EFLAGS_IF;
    }
    return true;
}

extern char after_ud2[];

static noinline void trap(void)
{
    asm volatile("ud2\n.globl after_ud2\nafter_ud2:" : : : "memory");
}

static void iret_unmasks(void)
{
    set_handler(X86_UD, send_in_trap);
    set_trap_flags(X86_UD, TI_IF);

    reset();
    unmask_upcalls();
    flags_if = 1;
    trap();
    check_eq(upcalls_inside, 0, "upcalls in a handler that masks them");
    check_eq(nr_upcalls, 1, "upcalls when iret clears the mask");
    check_eq(last_upcall.ip, (ulong)after_ud2, "IP in the callback's frame");
    check_eq(last_upcall.saved_upcall_mask, 0, "the saved upcall mask");
    check_eq(vcpu_info()->evtchn_upcall_mask, 0, "the upcall mask after iret");

    reset();
    flags_if = 0;
    trap();
    check_eq(nr_upcalls, 0, "upcalls when iret sets the mask");
    check_eq(vcpu_info()->evtchn_upcall_mask, 1, "the upcall mask after iret");
    unmask_upcalls();
    check_eq(nr_upcalls, 1, "upcalls after unmasking them");

    /* Without TI_IF the mask stays as it was */
    set_trap_flags(X86_UD, 0);
    reset();
    flags_if = 1;
    trap();
    check_eq(upcalls_inside, 1, "upcalls in a handler that does not mask");
    set_handler(X86_UD, NULL);
}

/* --- On the way to user mode, and from there --- */

static __user ulong user_add(ulong a, ulong b)
{
    return a + b;
}

static void user_mode(void)
{
    struct trap t;
    ulong sum;

    /* call_user() goes there with the mask as it is */
    unmask_upcalls();
    check(!call_user(user_add, 1, 2, &sum, &t) && sum == 3,
          "user mode does not work");

    reset();
    mask_upcalls();
    send_event(ports[0]);
    check(!call_user(user_add, 3, 4, &sum, &t) && sum == 7,
          "user mode with masked upcalls");
    check_eq(nr_upcalls, 0, "upcalls on the way to user mode, masked");

    /* The same, but iret clears the mask: the upcall comes from user mode */
    *(volatile uint8_t *)&vcpu_info()->evtchn_upcall_mask = 0;
    check(!call_user(user_add, 5, 6, &sum, &t) && sum == 11,
          "user mode after an upcall");
    check_eq(nr_upcalls, 1, "upcalls on the way to user mode");
    check_eq(nr_events[0], 1, "events on the way to user mode");
}

static evtchn_port_t timer;
static volatile bool ticked;

static void tick(evtchn_port_t port)
{
    ticked = true;
}

static __user ulong user_spin(ulong count, ulong unused)
{
    for (volatile ulong i = 0; i < count; i++) {
    }
    return 0x600d;
}

/* An event that comes from outside, while user mode runs */
static void interrupted_user_mode(void)
{
    struct trap t;
    ulong result;

    /* No event comes but those that are asked for */
    check_ret(HYPERCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0,
              "stop_periodic_timer");
    timer = bind_virq(VIRQ_TIMER, tick);
    unmask_port(timer);
    unmask_upcalls();
    for (int i = 0; i < 20; i++) {
        reset();
        ticked = false;
        set_timer_op(system_time() + 2000000);
        check(!call_user(user_spin, 3000000, 0, &result, &t) &&
              result == 0x600d, "user mode does not go on after a timer event");
        if (ticked && last_upcall.from_user) {
            check_eq(last_upcall.cs, FLAT_USER_CS, "CS in the user frame");
            check_eq(last_upcall.ss, FLAT_USER_SS, "SS in the user frame");
            check_eq(last_upcall.saved_upcall_mask, 0, "the saved mask");
            check_eq(last_upcall.upcall_mask, 1, "the mask in the callback");
            break;
        }
    }
    check(ticked && last_upcall.from_user,
          "no timer event interrupts user mode");
    set_timer_op(0);
    close_port(timer);
}

void test_main(void)
{
    ports[0] = bind_ipi(handler);
    ports[1] = bind_ipi(handler);
    unmask_port(ports[0]);
    unmask_port(ports[1]);

    send_unmasked();
    send_upcalls_masked();
    send_port_masked();
    unmask_port(ports[0]);
    send_twice();
    unmask_port(ports[0]);
    iret_unmasks();
    user_mode();
    interrupted_user_mode();

    mask_upcalls();
    close_port(ports[0]);
    check_ret(send_event(ports[0]), -EINVAL, "EVTCHNOP_send on a closed port");
}
