/*
 * A watchdog ends the domain when it was not set again in time, and not before.
 *
 * It is there for kernels that hang: it has to go off in a vCPU that runs with
 * its events masked as well as in one that blocks. Nothing comes after that, so
 * the result is printed first, and what fails then is that this does not end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

/* In s, and more than half of it: a busy host may take away what is left of it */
#define TIMEOUT     3
#define WAIT_NS     1600000000ULL

static long watchdog(uint32_t id, uint32_t timeout)
{
    struct {
        uint32_t id, timeout;
    } w = { id, timeout };

    return HYPERCALL(sched_op, SCHEDOP_watchdog, &w);
}

void test_main(void)
{
    check_ret(watchdog(0, TIMEOUT), 1, "a watchdog");
    check_ret(watchdog(0, TIMEOUT), 2, "another one");
    mask_upcalls();
    busy_wait(WAIT_NS);
    check_ret(watchdog(1, TIMEOUT), 0, "setting it again");
    check_ret(watchdog(2, 0), 0, "the other one off");
    busy_wait(WAIT_NS);
    if (failed()) {
        return;
    }
    printk("Result: Success\n");
    for (;;) {
        vcpu_info()->evtchn_upcall_pending = 0;
        HYPERCALL(sched_op, SCHEDOP_block);
    }
}
