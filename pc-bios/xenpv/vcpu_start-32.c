/*
 * The start of a vCPU, 32-bit: selectors, of which none has ring 0
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vcpu_start.h"
#include "traps.h"

bool get_context_of_width(struct start *st, ulong arg)
{
    return !copy_from_guest(st->callbacks, CONTEXT(arg, event_callback_cs),
                            4 * sizeof(ulong));
}

void set_regs_of_width(struct vcpu *v, const struct cpu_user_regs *user,
                       ulong flags)
{
    v->start->regs.cs = fix_selector(user->cs);
    v->start->regs.ss = fix_selector(user->ss);
}

void set_callbacks_of_width(struct vcpu *v, ulong flags)
{
    v->event.cs = fix_selector(v->start->callbacks[0]);
    v->event.ip = v->start->callbacks[1];
    v->failsafe.cs = fix_selector(v->start->callbacks[2]);
    v->failsafe.ip = v->start->callbacks[3];
    v->failsafe.masks = flags & VGCF_failsafe_disables_events;
}

/* DS and ES are loaded when the guest is entered */
void load_data_segments(struct regs *regs, u16 ds, u16 es, u16 fs, u16 gs)
{
    regs->ds = ds;
    regs->es = es;
    LOAD_SEGMENT("fs", fs);
    LOAD_SEGMENT("gs", gs);
}
