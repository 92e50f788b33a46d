/*
 * The start of a vCPU, 64-bit: r8 to r15, the mode that it starts in, GS and FS
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vcpu_start.h"

bool get_context_of_width(struct start *st, ulong arg)
{
    return !copy_from_guest(st->callbacks, CONTEXT(arg, event_callback_eip),
                            3 * sizeof(ulong)) &&
           !copy_from_guest(st->bases, CONTEXT(arg, fs_base),
                            sizeof(st->bases));
}

void set_regs_of_width(struct vcpu *v, const struct cpu_user_regs *user,
                       ulong flags)
{
    struct regs *regs = &v->start->regs;

    regs->r8 = user->r8;
    regs->r9 = user->r9;
    regs->r10 = user->r10;
    regs->r11 = user->r11;
    regs->r12 = user->r12;
    regs->r13 = user->r13;
    regs->r14 = user->r14;
    regs->r15 = user->r15;
    v->mode = flags & VGCF_IN_KERNEL ? V_MODE_KERNEL : 0;
    regs->cs = v->mode ? RING1_CS : user->cs | 3;
    regs->ss = v->mode ? RING1_SS : user->ss | 3;
}

void set_callbacks_of_width(struct vcpu *v, ulong flags)
{
    v->event.cs = v->failsafe.cs = RING1_CS;
    v->event.ip = v->start->callbacks[0];
    v->failsafe.ip = v->start->callbacks[1];
    v->failsafe.masks = flags & VGCF_failsafe_disables_events;
    v->syscall_cb = v->start->callbacks[2];
    v->syscall_masks = flags & VGCF_syscall_disables_events ? 1 : 0;
}

void load_data_segments(struct regs *regs, u16 ds, u16 es, u16 fs, u16 gs)
{
    LOAD_SEGMENT("ds", ds);
    LOAD_SEGMENT("es", es);
    LOAD_SEGMENT("fs", fs);
    LOAD_SEGMENT("gs", gs);
}
