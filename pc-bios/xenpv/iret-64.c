/*
 * HYPERVISOR_iret, 64-bit, where entry-64.S does not do it itself: when it ends
 * an NMI's handler, when an event may be due, and when something is wrong
 *
 * entry-64.S calls it on the vCPU itself, and then goes on as after a trap.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

/* regs: the hypercall's, but for .ax, .cx, .r11, .ip and .flags, set here */
void do_iret(struct regs *regs)
{
    struct vcpu *v = current_vcpu();
    struct iret_context to;

    if (copy_from_guest(&to, regs->sp, sizeof(to))) {
        domain_crash(regs, "HYPERVISOR_iret: the guest's stack is not readable");
    }
    if (v->in_nmi) {
        end_nmi();
    }
    v->vcpu_info->evtchn_upcall_mask = !(to.rflags & EFL_IF);
    regs->ip = to.rip;
    regs->sp = to.rsp;
    regs->flags = ((u32)to.rflags & ~(EFL_IOPL | EFL_VM)) | EFL_IF;
    regs->ax = to.rax;
    regs->cx = to.rcx;
    regs->r11 = to.r11;
    if ((to.cs & 3) != 3) {
        return;                 /* .cs and .ss are the kernel's */
    }
    if (!v->user_cr3) {
        domain_crash(regs, "HYPERVISOR_iret to user mode with no user page tables");
    }
    v->mode = 0;
    regs->cs = to.cs;
    regs->ss = to.ss | 3;
    if (to.flags & VGCF_in_syscall) {
        if (to.cs != USER_CS32) {
            regs->cs = USER_CS; /* as SYSRET does it */
        }
        regs->ss = USER_SS;
        regs->cx = regs->ip;
        regs->r11 = regs->flags;
    }
}
