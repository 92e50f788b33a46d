/*
 * Two vCPUs change the same things at once: an event port and what is bound to it.
 *
 * A hypervisor that keeps the same fact in two places, or changes one in parts,
 * loses events that a vCPU waits for. Afterwards all of it has to work as
 * before. (Page tables and descriptors have tests of their own.)
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define WAIT_NS     5000000000ULL
/* On a host that is busy with other things fewer rounds have to do */
#define PART_NS     (option_number("seconds", 2) * 1000000000ULL)

/* What the second vCPU does, over and over, until it is to do something else */
typedef void work_fn(void);
static work_fn *volatile work, *volatile working;
static volatile ulong nr_rounds;

static uint64_t part_end;

static void begin_part(void)
{
    part_end = system_time() + PART_NS;
}

static bool go_on_with(ulong round, ulong rounds)
{
    return round < rounds && system_time() < part_end && !failed();
}

static void nothing(void)
{
    asm volatile("pause");
}

static void secondary(void)
{
    for (;;) {
        work_fn *fn = work;

        working = fn;
        fn();
        nr_rounds++;
    }
}

static void let_it(work_fn *fn)
{
    uint64_t end = system_time() + WAIT_NS;

    work = fn;
    while (working != fn) {
        if (system_time() > end) {
            error("the second vCPU is stuck");
        }
        asm volatile("pause" : : : "memory");
    }
}

/* --- A vCPU's VIRQ, closed by one and bound again by the other --- */

static volatile evtchn_port_t virq_port;

/* A deadline that has passed: the port is pending when the call returns */
static volatile bool fired, asked;
static void fire_timer(void)
{
    struct evtchn_bind_virq op = { .virq = VIRQ_TIMER, .vcpu = 1 };

    if (virq_port) {
        if (asked) {
            clear_port(virq_port);
            set_timer_op(1);
            fired = port_pending(virq_port);
            asked = false;
        }
    } else if (!HYPERCALL(event_channel_op, EVTCHNOP_bind_virq, &op)) {
        mask_port(op.port);
        virq_port = op.port;
    }
}

static void virqs(ulong rounds)
{
    let_it(fire_timer);
    begin_part();
    for (ulong i = 0; go_on_with(i, rounds); i++) {
        struct evtchn_port op;
        uint64_t end = system_time() + WAIT_NS;

        while (!virq_port) {
            if (system_time() > end) {
                error("round %lu: the VIRQ cannot be bound again", i);
            }
        }
        asked = true;
        while (asked) {
            asm volatile("pause" : : : "memory");
        }
        if (!fired) {
            failure("round %lu: port %u has lost its VIRQ", i, virq_port);
        }
        /* From here on the other binds it, whenever the hypervisor lets it */
        op.port = virq_port;
        virq_port = 0;
        check_ret(HYPERCALL(event_channel_op, EVTCHNOP_close, &op), 0, "close");
    }
    let_it(nothing);
    if (virq_port) {
        close_port(virq_port);
    }
}

/* --- Ports in any order --- */

static uint32_t seeds[2] = { 1, 77 };

static uint32_t random(unsigned cpu)
{
    seeds[cpu] = seeds[cpu] * 1103515245 + 12345;
    return seeds[cpu] >> 8;
}

#define FIRST_PORT  8           /* below are the harness's */
#define NR_PORTS    24

static void change_a_port(unsigned cpu)
{
    union {
        struct evtchn_bind_ipi ipi;
        struct evtchn_bind_virq virq;
        struct evtchn_alloc_unbound unbound;
        struct evtchn_bind_interdomain interdomain;
        struct evtchn_bind_vcpu vcpu;
        struct evtchn_port port;
    } op;
    uint32_t r = random(cpu), port = FIRST_PORT + r / 16 % NR_PORTS;

    memset(&op, 0, sizeof(op));
    switch (r % 12) {
    case 0:
        op.ipi.vcpu = r >> 12 & 1;
        HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &op);
        break;
    case 1:
        op.virq.virq = VIRQ_DEBUG;
        op.virq.vcpu = r >> 12 & 1;
        HYPERCALL(event_channel_op, EVTCHNOP_bind_virq, &op);
        break;
    case 2:
        op.unbound.dom = op.unbound.remote_dom = DOMID_SELF;
        HYPERCALL(event_channel_op, EVTCHNOP_alloc_unbound, &op);
        break;
    case 3:
        op.interdomain.remote_dom = DOMID_SELF;
        op.interdomain.remote_port = port;
        HYPERCALL(event_channel_op, EVTCHNOP_bind_interdomain, &op);
        break;
    case 4:
        op.vcpu.port = port;
        op.vcpu.vcpu = r >> 12 & 1;
        HYPERCALL(event_channel_op, EVTCHNOP_bind_vcpu, &op);
        break;
    case 5:
    case 6:
        unmask_port(port);
        break;
    case 7:
    case 8:
    case 9:
        op.port.port = port;
        HYPERCALL(event_channel_op, EVTCHNOP_close, &op);
        break;
    default:
        send_event(port);
    }
}

static void change_ports(void)
{
    change_a_port(1);
}

static void ports(ulong rounds)
{
    let_it(change_ports);
    begin_part();
    for (ulong i = 0; go_on_with(i, rounds); i++) {
        change_a_port(0);
    }
    let_it(nothing);
    for (uint32_t port = FIRST_PORT; port < FIRST_PORT + 2 * NR_PORTS; port++) {
        struct evtchn_port op = { port };

        HYPERCALL(event_channel_op, EVTCHNOP_close, &op);
        check(!port_pending(port), "port %u is closed, and pending", port);
    }
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        struct evtchn_bind_ipi op = { .vcpu = cpu };
        struct evtchn_port port;

        check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &op), 0,
                  "bind_ipi");
        mask_port(op.port);
        check_ret(send_event(op.port), 0, "send");
        check(port_pending(op.port), "an event for vCPU %u is lost", cpu);
        port.port = op.port;
        HYPERCALL(event_channel_op, EVTCHNOP_close, &port);
    }
}

void test_main(void)
{
    ulong rounds = option_number("rounds", 2000);

    user_init();
    work = nothing;
    start_second(secondary);
    let_it(nothing);
    virqs(rounds);
    ports(10 * rounds);
}
