/*
 * A PV kernel starts, prints and ends.
 *
 * The least that must work for any other test here: the kernel is found by its
 * notes and entered, hypercalls work by the hypercall page, shared_info can be
 * mapped, traps and callbacks can be registered, console_io prints, and
 * SCHEDOP_shutdown ends the domain.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

void test_main(void)
{
    printk("start_info at %p: %s, %lu pages, \"%s\"\n", start_info,
           start_info->magic, start_info->nr_pages, start_info->cmd_line);
    check(memcmp(start_info->magic, "xen-3.0-x86_", 12) == 0, "magic");
}
