/*
 * With what a vCPU starts: struct vcpu_guest_context, as far as it is not in struct
 * vcpu at once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_VCPU_START_H
#define XENPV_VCPU_START_H

#include "monitor.h"

struct start {
    u8 fpu[512] __attribute__((aligned(16)));
    struct regs regs;
    bool fpu_valid;
    u16 ds, es, fs, gs;
    ulong ldt_base, ldt_ents;
    ulong callbacks[4];     /* the event's and failsafe's, as this width has them */
    u64 bases[3];           /* 64-bit: of FS, GS in the kernel, GS in user mode */
};
_Static_assert(sizeof(struct start) <= PAGE_SIZE, "");

/* A selector that cannot be loaded is null */
#define LOAD_SEGMENT(name, sel) \
    do { \
        u32 sel_ = (sel); \
        asm volatile("jmp 2f\n\t" \
                     "1: xor %0, %0\n\t" \
                     "2: mov %0, %%" name "\n\t" \
                     EX_TABLE(2b, 1b) \
                     : "+r" (sel_)); \
    } while (0)

/* Where a member of the guest's struct vcpu_guest_context at arg is */
#define CONTEXT(arg, field) \
    ((arg) + offsetof(struct vcpu_guest_context, field))
#define GET_CONTEXT(to, arg, field) \
    copy_from_guest(to, CONTEXT(arg, field), \
                    sizeof(((struct vcpu_guest_context *)0)->field))

/* vcpu_start-*.c: what of the context differs by width. False: a fault */
bool get_context_of_width(struct start *st, ulong arg);
void set_regs_of_width(struct vcpu *v, const struct cpu_user_regs *user,
                       ulong flags);
void set_callbacks_of_width(struct vcpu *v, ulong flags);

#endif
