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

static long watchdog(uint32_t id, uint32_t timeout)
{
    struct {
        uint32_t id, timeout;
    } w = { id, timeout };

    return HYPERCALL(sched_op, SCHEDOP_watchdog, &w);
}

void test_main(void)
{
    check_ret(watchdog(0, 1), 1, "a watchdog of 1 s");
    check_ret(watchdog(0, 1), 2, "another one");
    mask_upcalls();
    busy_wait(600000000);
    check_ret(watchdog(1, 1), 0, "setting it again");
    check_ret(watchdog(2, 0), 0, "the other one off");
    busy_wait(600000000);
    if (failed()) {
        return;
    }
    printk("Result: Success\n");
    for (;;) {
        vcpu_info()->evtchn_upcall_pending = 0;
        HYPERCALL(sched_op, SCHEDOP_block);
    }
}
