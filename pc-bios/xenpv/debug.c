/*
 * The debug registers. The CPU's always have the guest's values, in the
 * monitor, too; do_monitor_trap() ignores traps that come of it.
 *
 * dispatch.S calls the hypercalls, privileged.c does for instructions,
 * vcpu_start.c loads what a vCPU starts with. The guest can neither have
 * breakpoints on the monitor's memory nor set DR7.GD (general detect).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

static void load_debugreg(unsigned reg, ulong val)
{
    switch (reg) {
#define LOAD(nr) \
    case nr: \
        asm volatile("mov %0, %%db" #nr : : "r" (val)); \
        break;
    LOAD(0)
    LOAD(1)
    LOAD(2)
    LOAD(3)
    LOAD(6)
    LOAD(7)
#undef LOAD
    }
}

#define NO_DEBUGREG     (~0u)

/* DR4 and DR5 are other names of DR6 and DR7, or with CR4.DE not there */
static unsigned debugreg_of(struct vcpu *v, ulong nr)
{
    if (nr == 4 || nr == 5) {
        return v->cr4 & CR4_DE ? NO_DEBUGREG : nr + 2;
    }
    return nr < 8 ? nr : NO_DEBUGREG;
}

/* Check a value from the guest, and change it to what the register may hold */
int check_debugreg(struct vcpu *v, unsigned *reg, ulong *val)
{
    ulong io;

    *reg = debugreg_of(v, *reg);
    if (*reg == NO_DEBUGREG) {
        return -ENODEV;
    }
    if (*reg < 4) {
        return access_ok(*val, 0) && canonical(*val) ? 0 : -EPERM;
    }
    if (*val != (u32)*val) {
        return -EINVAL;
    }
    if (*reg == 6) {
        *val = (*val & 0xe00f) | DR6_DEFAULT;
        return 0;
    }
    *val = (*val & ~0xd800UL) | DR7_DEFAULT;
    /* No guest has general detect, or ports to break on */
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
    unsigned reg = debugreg_of(v, (u32)a1);

    return reg == NO_DEBUGREG ? -ENODEV : (long)v->debugreg[reg];
}
