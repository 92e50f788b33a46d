/*
 * The debug registers, which are the CPU's own: the guest's values are in force all
 * the while, in the monitor too, whose traps on them do_monitor_trap() ignores
 *
 * dispatch.S calls the hypercalls, privileged.c does for the instructions, and
 * vcpu_start.c loads what a vCPU starts with. No breakpoint may be on the monitor's
 * own memory, or have the CPU stop at changes of the registers themselves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

WRITE_REG(write_db0, "db0")
WRITE_REG(write_db1, "db1")
WRITE_REG(write_db2, "db2")
WRITE_REG(write_db3, "db3")
WRITE_REG(write_db6, "db6")
WRITE_REG(write_db7, "db7")

static void load_debugreg(unsigned reg, ulong val)
{
    switch (reg) {
    case 0:
        write_db0(val);
        break;
    case 1:
        write_db1(val);
        break;
    case 2:
        write_db2(val);
        break;
    case 3:
        write_db3(val);
        break;
    case 6:
        write_db6(val);
        break;
    case 7:
        write_db7(val);
    }
}

/* What the guest wants in a debug register, as it may have it */
int check_debugreg(struct vcpu *v, unsigned *reg, ulong *val)
{
    ulong io;

    switch (*reg) {
    case 0 ... 3:
        if (!access_ok(*val, 0) || !canonical(*val)) {
            return -EPERM;
        }
        return 0;
    case 4:
    case 5:
        if (v->cr4 & CR4_DE) {
            return -ENODEV;
        }
        *reg += 2;
        break;
    case 6:
    case 7:
        break;
    default:
        return -ENODEV;
    }
    if (*val != (u32)*val) {
        return -EINVAL;
    }
    if (*reg == 6) {
        *val = (*val & 0xe00f) | 0xffff0ff0;
        return 0;
    }
    *val = (*val & ~0xd800UL) | 0x400;
    /* General detect is ours, and no port to break on is the guest's */
    io = *val >> 17 & ~(*val >> 16) & 0x1111;
    return (*val & 0x2000) || ((*val & 0xff) && io) ? -EPERM : 0;
}

void load_debugregs(struct vcpu *v)
{
    for (unsigned i = 0; i < 8; i++) {
        load_debugreg(i, v->debugreg[i]);
    }
}

HYPERCALL(do_set_debugreg)
{
    struct vcpu *v = current_vcpu();
    unsigned reg = a1;
    ulong val = a2;
    int ret = check_debugreg(v, &reg, &val);

    if (!ret) {
        v->debugreg[reg] = val;
        load_debugreg(reg, val);
    }
    return ret;
}

HYPERCALL(do_get_debugreg)
{
    struct vcpu *v = current_vcpu();

    switch ((u32)a1) {
    case 4:
    case 5:
        return v->cr4 & CR4_DE ? -ENODEV : (long)v->debugreg[(u32)a1 + 2];
    case 0 ... 3:
    case 6:
    case 7:
        return v->debugreg[(u32)a1];
    }
    return -ENODEV;
}
