/*
 * How a vCPU starts, 64-bit: r8 to r15, the mode that it starts in, GS and FS
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vcpu_start.h"
#include "msr.h"

/* The checks of addresses and of the mode in Xen's arch_set_info_guest() */
bool context_is_valid(const struct vcpu_guest_context *c)
{
    for (unsigned i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++) {
        if (!canonical(c->trap_ctxt[i].address)) {
            return false;
        }
    }
    return canonical(c->user_regs.rip) && canonical(c->user_regs.rsp) &&
           canonical(c->kernel_sp) && canonical(c->ldt_base) &&
           access_ok(c->ldt_base, 1) &&
           canonical(c->event_callback_eip) &&
           canonical(c->failsafe_callback_eip) &&
           canonical(c->syscall_callback_eip) && canonical(c->fs_base) &&
           canonical(c->gs_base_kernel) && canonical(c->gs_base_user) &&
           ((c->flags & VGCF_IN_KERNEL) || c->ctrlreg[1]);
}

void set_start_callbacks(struct vcpu *v)
{
    const struct vcpu_guest_context *c = &v->start;

    set_callback(v, CALLBACKTYPE_event, RING1_CS, c->event_callback_eip, false);
    set_callback(v, CALLBACKTYPE_failsafe, RING1_CS, c->failsafe_callback_eip,
                 c->flags & VGCF_failsafe_disables_events);
    set_callback(v, CALLBACKTYPE_syscall, RING1_CS, c->syscall_callback_eip,
                 c->flags & VGCF_syscall_disables_events);
}

void load_start_of_width(struct vcpu *v, struct regs *regs)
{
    const struct vcpu_guest_context *c = &v->start;
    const struct cpu_user_regs *user = &c->user_regs;

    regs->r8 = user->r8;
    regs->r9 = user->r9;
    regs->r10 = user->r10;
    regs->r11 = user->r11;
    regs->r12 = user->r12;
    regs->r13 = user->r13;
    regs->r14 = user->r14;
    regs->r15 = user->r15;
    v->mode = c->flags & VGCF_IN_KERNEL ? V_MODE_KERNEL : 0;
    regs->cs = v->mode ? RING1_CS : user->cs | 3;
    regs->ss = v->mode ? RING1_SS : user->ss | 3;
    load_data_segments(regs, user->ds, user->es, user->fs, user->gs);
    wrmsr(MSR_FS_BASE, c->fs_base);
    wrmsr(MSR_GS_BASE, c->gs_base_kernel);
    wrmsr(MSR_KERNEL_GS_BASE, c->gs_base_user);
}

void load_data_segments(struct regs *regs, u16 ds, u16 es, u16 fs, u16 gs)
{
    LOAD_SEGMENT("ds", ds);
    LOAD_SEGMENT("es", es);
    LOAD_SEGMENT("fs", fs);
    LOAD_SEGMENT("gs", gs);
}
