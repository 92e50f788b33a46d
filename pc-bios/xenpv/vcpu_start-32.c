/*
 * How a vCPU starts, 32-bit: its selectors, none of which may be for ring 0
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vcpu_start.h"

void set_start_callbacks(struct vcpu *v)
{
    const struct vcpu_guest_context *c = &v->start;

    set_callback(v, CALLBACKTYPE_event, c->event_callback_cs,
                 c->event_callback_eip, false);
    set_callback(v, CALLBACKTYPE_failsafe, c->failsafe_callback_cs,
                 c->failsafe_callback_eip,
                 c->flags & VGCF_failsafe_disables_events);
}

void load_start_of_width(struct vcpu *v, struct regs *regs)
{
    const struct cpu_user_regs *user = &v->start.user_regs;

    regs->cs = fix_selector(user->cs);
    regs->ss = fix_selector(user->ss);
    load_data_segments(regs, user->ds, user->es, user->fs, user->gs);
}

/* DS and ES are loaded when the guest is entered */
void load_data_segments(struct regs *regs, u16 ds, u16 es, u16 fs, u16 gs)
{
    regs->ds = ds;
    regs->es = es;
    LOAD_SEGMENT("fs", fs);
    LOAD_SEGMENT("gs", gs);
}
