/*
 * While the monitor counts, nothing is different for a guest: user mode, by other
 * paths through the monitor than usual.
 *
 * A jump in a wrong place, or code behind it that changes a register, a flag or the
 * stack, would be seen by one of the many checks here.
 *
 * machine: counters=on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "../user/main.c"
