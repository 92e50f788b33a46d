/*
 * The IDT, 32-bit: gates, with that for hypercalls, and the double fault's task
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "traps.h"

#define GATE_TASK       0x5
#define GATE_TRAP       0xf

void set_gate(struct gate *gate, ulong addr, u16 sel, u8 type, unsigned dpl,
              unsigned ist)
{
    *gate = (struct gate) {
        .offset_lo = addr,
        .selector = sel,
        .type = 0x80 | dpl << 5 | type,
        .offset_hi = addr >> 16,
    };
}

/*
 * A guest's system call needs no help: its gate leads from ring 3 to ring 1
 * directly. False: it cannot, as when the handler wants events masked.
 */
bool set_direct_gate(struct vcpu *v, const struct trap_info *ti)
{
    if (!ti->address || TI_GET_IF(ti) || (ti->cs & 3) != 1 ||
        !access_ok(ti->address, 1)) {
        return false;
    }
    set_gate(&v->idt[0x80], ti->address, ti->cs, GATE_TRAP, TI_GET_DPL(ti), 0);
    return true;
}

void init_gates_of_width(struct vcpu *v)
{
    set_gate(&v->idt[0x82], (ulong)hypercall_entry, MON_CS, GATE_INTERRUPT, 1, 0);
    set_gate(&v->idt[X86_DF], 0, SEL_DF_TSS, GATE_TASK, 0, 0);
}
