/*
 * Descriptors, and what segments.c and its files for each width share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_SEGMENTS_H
#define XENPV_SEGMENTS_H

#include "monitor.h"

#define DESC_P          (1ULL << 47)
#define DESC_S          (1ULL << 44)
#define DESC_L          (1ULL << 53)
#define DESC_DPL_SHIFT  45
#define DESC_FLAT       0x00cf000000000000ULL   /* 4 GiB, 32-bit */
#define DESC_FLAT64     0x00af000000000000ULL
#define DESC_TYPE(t)    ((u64)(t) << 40)
#define DESC_TYPE_LDT       0x2
#define DESC_TYPE_DATA      0x3
#define DESC_TYPE_TSS       0x9
#define DESC_TYPE_CODE      0xb
#define DESC_TYPE_CALL_GATE 0xc

/* size: DESC_FLAT or DESC_FLAT64 */
static inline u64 flat(u64 size, unsigned type, unsigned dpl)
{
    return size | 0xffff | DESC_P | DESC_S | DESC_TYPE(type) |
           (u64)dpl << DESC_DPL_SHIFT;
}

static inline ulong area_of(struct vcpu *v)
{
    return (ulong)v - VCPU_OFFSET;
}

static inline u64 *gdt_entry(struct vcpu *v, unsigned selector)
{
    return (u64 *)(area_of(v) + AREA_GDT * PAGE_SIZE + (selector & ~7));
}

static inline void set_system_desc(u64 *desc, ulong base, u32 limit,
                                   unsigned type)
{
    desc[0] = DESC_P | DESC_TYPE(type) | (limit & 0xffff) |
              (u64)(base & 0xffffff) << 16 |
              (u64)(limit >> 16 & 0xf) << 48 | (u64)(base >> 24 & 0xff) << 56;
    if (WORD == 8) {
        desc[1] = (u64)base >> 32;
    }
}

/* segments-*.c: our descriptors, and the stacks in the TSS; CS = MON_CS */
void fill_gdt(struct vcpu *v);
void load_monitor_cs(void);

#endif
