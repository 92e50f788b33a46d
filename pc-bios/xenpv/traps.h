/*
 * Exceptions by number, and what traps.c, bounce.c and the files about the IDT share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_TRAPS_H
#define XENPV_TRAPS_H

#include "monitor.h"

#define NR_EXCEPTIONS   32
#define X86_DB          1
#define X86_NMI         2
#define X86_BP          3
#define X86_OF          4
#define X86_UD          6
#define X86_NM          7
#define X86_DF          8
#define X86_GP          13
#define X86_PF          14
#define X86_MC          18

/* Vectors that are neither exceptions nor the monitor's own */
static inline bool is_guest_vector(unsigned vector)
{
    return vector >= NR_EXCEPTIONS && vector < XENPV_TIMER_VECTOR;
}

/* Make a selector that the guest kernel gives for ring 0 one for ring 1 */
static inline u16 fix_selector(u16 sel)
{
    return sel & 3 ? sel : sel | 1;
}

/* bounce.c */
void bounce_trap(struct vcpu *v, struct regs *regs, u8 vector);
void bounce_trap_error(struct vcpu *v, struct regs *regs, u8 vector, u32 error);
void bounce_callback(struct vcpu *v, struct regs *regs,
                     const struct callback *cb);

/*
 * callbacks.c. The types of public/callback.h, which QEMU has no copy of.
 * Returns 0, or minus Xen's errno and changes nothing.
 */
#define CALLBACKTYPE_event          0
#define CALLBACKTYPE_failsafe       1
#define CALLBACKTYPE_syscall        2
#define CALLBACKTYPE_nmi            4
#define CALLBACKTYPE_sysenter       5
#define CALLBACKTYPE_syscall32      7
long set_callback(struct vcpu *v, unsigned type, u16 cs, ulong ip, bool masks);

/* idt.c */
#define GATE_INTERRUPT  0xe
void set_own_gate(struct vcpu *v, u8 vector);

/* idt-*.c */
void set_gate(struct gate *gate, ulong addr, u16 sel, u8 type, unsigned dpl,
              unsigned ist);
void init_gates_of_width(struct vcpu *v);
bool set_direct_gate(struct vcpu *v, const struct trap_info *ti);
void load_syscall_msrs(struct vcpu *v);     /* 64-bit */

#endif
