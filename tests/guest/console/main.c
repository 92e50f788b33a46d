/*
 * The PV console: what is put into the ring comes out, and events say so.
 *
 * A guest writes its text into the shared ring and sends the console's event
 * channel; the other end takes the text, moves out_cons and sends an event
 * back. The result of this test goes through the ring alone, so that there is
 * none if the text gets lost. Domain 0 has no such ring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static volatile unsigned nr_events;

static void handler(evtchn_port_t port)
{
    nr_events++;
}

static bool drained(struct xencons_interface *ring)
{
    uint64_t end = system_time() + 10000000000ULL;
    volatile uint32_t *cons = &ring->out_cons;

    while (*cons != ring->out_prod) {
        if (system_time() > end) {
            return false;
        }
        HYPERCALL(sched_op, SCHEDOP_yield, 0);
    }
    return true;
}

void test_main(void)
{
    static const char line[] = "console: a line through the ring\n";
    static const char result[] = "Result: Success\n";
    struct xencons_interface *ring;
    int reason = SHUTDOWN_poweroff;

    if (is_initdomain()) {
        skip("domain 0 has no console ring");
        return;
    }
    ring = mfn_to_virt(start_info->console.domU.mfn);
    set_event_handler(start_info->console.domU.evtchn, handler);
    unmask_port(start_info->console.domU.evtchn);
    unmask_upcalls();

    check(ring->in_prod == ring->in_cons, "input out of nowhere");
    check(ring_write(line, sizeof(line) - 1), "writing to the ring");
    check(drained(ring), "the ring is not drained");
    check(nr_events != 0, "no event when the ring was drained");

    /* More than the ring holds, several times over */
    for (unsigned i = 0; i < 200; i++) {
        char text[64] = "console: .......................................\n";

        text[9 + i % 32] = '0' + i % 10;
        if (!ring_write(text, strlen(text))) {
            failure("the ring is stuck after line %u", i);
            return;
        }
    }
    check(drained(ring), "the ring is not drained");
    if (!failed()) {
        ring_write(result, sizeof(result) - 1);
        drained(ring);
        HYPERCALL(sched_op, SCHEDOP_shutdown, &reason);
    }
}
