/*
 * What vcpu_start.c and its files for each width share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_VCPU_START_H
#define XENPV_VCPU_START_H

#include "traps.h"

/* Load a segment register; a selector that cannot be loaded becomes null */
#define LOAD_SEGMENT(name, sel) \
    do { \
        u32 sel_ = (sel); \
        asm volatile("jmp 2f\n\t" \
                     "1: xor %0, %0\n\t" \
                     "2: mov %0, %%" name "\n\t" \
                     EX_TABLE(2b, 1b) \
                     : "+r" (sel_)); \
    } while (0)

/* vcpu_start-*.c: the parts of v->start that differ by width */
bool context_is_valid(const struct vcpu_guest_context *c);     /* 64-bit */
void set_start_callbacks(struct vcpu *v);
void load_start_of_width(struct vcpu *v, struct regs *regs);

#endif
