/*
 * Access to guest frames by machine frame number
 *
 * The 64-bit monitor has all of guest memory mapped. The 32-bit one maps a
 * frame in a window of the vCPU's area, picked by the low bits of its number:
 * there a pointer that frame() returned is good until frame() is called again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_FRAME_H
#define XENPV_FRAME_H

#include "monitor.h"

/* What the monitor knows about each frame of guest memory */
typedef u32 frame_info_t;
#define FI_TYPE_SHIFT   24
#define FI_TYPE(fi)     ((u8)((fi) >> FI_TYPE_SHIFT))   /* 0, a table's level, or */
#define FI_SEG_DESC     6               /* part of a GDT */
#define FI_RELEASED     7               /* not the domain's now: ballooned */
#define FI_PINNED       (1u << 23)
#define FI_PAE_XEN_L2   (1u << 22)      /* a level-2 table with our entries */
#define FI_CHECKING     (1u << 21)      /* its entries are still being read */
#define FI_LEAVING      (1u << 20)      /* given back, but still in use */
#define FI_COUNT_MASK   0x000fffffu

#ifdef __x86_64__
extern frame_info_t *frame_table;

static inline void *frame(ulong mfn)
{
    return (void *)(XENPV_DIRECT_VIRT_64 + (mfn << 12));
}
#else
#define frame_table ((frame_info_t *)FRAME_TABLE_VIRT)

void map_window(ulong mfn);

/* Is it in its window already, as it mostly is? */
static inline bool frame_is_mapped(ulong mfn)
{
    struct vcpu *v = (struct vcpu *)(area_base() + VCPU_OFFSET);

    return likely(v->window[mfn % AREA_WINDOW_PAGES] == mfn);
}

/* Where it then is */
static inline void *mapped_frame(ulong mfn)
{
    return (void *)(area_base() + AREA_WINDOW * PAGE_SIZE +
                    mfn % AREA_WINDOW_PAGES * PAGE_SIZE);
}

static inline void *frame(ulong mfn)
{
    if (!frame_is_mapped(mfn)) {
        map_window(mfn);
    }
    return mapped_frame(mfn);
}
#endif

/* The level-1 entry for addr in the tables in use; to access it may fault */
static inline u64 *linear_entry(ulong addr)
{
#ifdef __x86_64__
    return (u64 *)LINEAR_VIRT + (addr >> 12 & 0xfffffffffUL);
#else
    return (u64 *)(LINEAR_VIRT + (addr >> 9 & ~7UL));
#endif
}

#endif
