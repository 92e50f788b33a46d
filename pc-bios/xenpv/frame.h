/*
 * Access to guest frames by machine frame number
 *
 * The 64-bit monitor has all of guest memory mapped. The 32-bit one maps a
 * frame in a window of the vCPU's area, picked by the low bits of its number:
 * there a pointer from frame() is only valid until the next call of frame().
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
#define FI_PAE_XEN_L2   (1u << 22)      /* 32-bit: level 2, of the top GiB */
#define FI_OPENS        (1u << 22)      /* of level 1: see table_writes.c */
#define FI_CHECKING     (1u << 21)      /* its entries are still being read */
#define FI_GIVEN_BACK   (1u << 20)      /* to be released when its use ends */
#define FI_COUNT_MASK   0x000fffffu
_Static_assert((u32)FI_RELEASED << FI_TYPE_SHIFT == XENPV_FRAME_RELEASED, "");

#define NO_FRAME        (~0UL)

/* Held while a frame becomes a table, or stops being one: see frames.c */
extern struct spinlock tables_lock;
ulong find_l1_table(struct vcpu *v, ulong addr, u32 rights);    /* or NO_FRAME */

/* table_writes.c. Called with tables_lock held, but for is_opened() */
void close_mappings(ulong mfn);
void forget_openings(ulong table);
bool is_opened(ulong mfn);

#ifdef __x86_64__
extern frame_info_t *frame_table;

static inline bool frame_is_mapped(ulong mfn)
{
    return true;
}

static inline void *mapped_frame(ulong mfn)
{
    return (void *)(XENPV_DIRECT_VIRT_64 + (mfn << 12));
}

static inline void *frame(ulong mfn)
{
    return mapped_frame(mfn);
}
#else
#define frame_table ((frame_info_t *)FRAME_TABLE_VIRT)

void map_window(ulong mfn);

/* Is the frame in its window already? Mostly it is */
static inline bool frame_is_mapped(ulong mfn)
{
    struct vcpu *v = (struct vcpu *)(area_base() + VCPU_OFFSET);

    return likely(v->window[mfn % AREA_WINDOW_PAGES] == mfn);
}

/* Its address there */
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

/* Guest RAM, in frames: [0, low_end) and [4 GiB, 4 GiB + high_pages) */
extern ulong low_end, high_pages;
#define FOUR_GIB_MFN    0x100000UL

static inline bool mfn_is_ram(ulong mfn)
{
    return mfn < low_end || mfn - FOUR_GIB_MFN < high_pages;
}

/* FI_TYPE(); 0: plain memory */
static inline unsigned mfn_level(ulong mfn)
{
    return mfn_is_ram(mfn) ? FI_TYPE(frame_table[mfn]) : 0;
}

static inline bool mfn_is_table(ulong mfn)
{
    return mfn_level(mfn) != 0;
}

/*
 * Other CPUs read page-table entries and descriptors, and set bits in entries.
 * So access them whole, by these functions, never by halves; a write that
 * depends on the old value has to be a compare-and-exchange.
 */
static inline bool cmpxchg_u64(volatile u64 *p, u64 *old, u64 new)
{
#ifdef __x86_64__
    return atomic_compare_exchange_strong(p, old, new);
#else
    bool equal;

    asm volatile("lock; cmpxchg8b %1"
                 : "+A" (*old), "+m" (*p), "=@ccz" (equal)
                 : "b" ((u32)new), "c" ((u32)(new >> 32)) : "memory");
    return equal;
#endif
}

static inline u64 read_u64(volatile u64 *p)
{
#ifdef __x86_64__
    return *p;
#else
    u64 val = 0;

    cmpxchg_u64(p, &val, 0);
    return val;
#endif
}

/*
 * 32-bit code has few registers, too few for 64-bit numbers: fast paths have an
 * entry as two halves. In 64-bit code lo is the entry, and hi is not used.
 */
#ifdef __x86_64__
static inline u64 entry_value(ulong lo, ulong hi)
{
    return lo;
}

static inline ulong mfn_of(ulong lo, ulong hi)
{
    return PTE_MFN(lo);
}

static inline void write_entry(volatile u64 *p, ulong lo, ulong hi)
{
    *p = lo;
}

#define write_u64(p, val)   write_entry(p, val, 0)

#define GET_GUEST_ENTRY(lo, hi, addr, label) \
    do { \
        GET_GUEST(lo, addr, label); \
        (hi) = 0; \
    } while (0)
#define PUT_GUEST_ENTRY(addr, lo, hi, label) PUT_GUEST(addr, lo, label)
#define GET_GUEST_U64(val, addr, label) GET_GUEST(val, addr, label)
#else
static inline u64 entry_value(ulong lo, ulong hi)
{
    return lo | (u64)hi << 32;
}

/* From C code GCC would make two shifts and an OR */
static inline ulong mfn_of(ulong lo, ulong hi)
{
    asm("shrd $12, %1, %0" : "+r" (lo) : "r" (hi) : "cc");
    return lo;
}

/* Guess the old value; if that was wrong, cmpxchg8b loads it, so try again */
#define WRITE_ENTRY "1: mov (%1), %%eax\n\t" \
                    "2: mov 4(%1), %%edx\n\t" \
                    "3: lock; cmpxchg8b (%1)\n\t" \
                    "jnz 3b\n\t"

static inline void write_entry(volatile u64 *p, ulong lo, ulong hi)
{
    u64 old;

    asm volatile(WRITE_ENTRY
                 : "=&A" (old) : "r" (p), "b" (lo), "c" (hi) : "memory", "cc");
}

static inline void write_u64(volatile u64 *p, u64 val)
{
    write_entry(p, val, val >> 32);
}

#define GET_GUEST_ENTRY(lo, hi, addr, label) \
    do { \
        GET_GUEST(lo, addr, label); \
        GET_GUEST(hi, (addr) + 4, label); \
    } while (0)
/* Reads it whole; that takes the right to write there, too */
#define GET_GUEST_U64(val, addr, label) \
    do { \
        u64 val_ = 0; \
        asm volatile goto("1: lock; cmpxchg8b (%1)\n\t" \
                          EX_TABLE(1b, %l[label]) \
                          : "+A" (val_) : "r" (addr), "b" (0), "c" (0) \
                          : "memory", "cc" : label); \
        (val) = val_; \
    } while (0)
/* Goes to the label if that faults */
#define PUT_GUEST_ENTRY(addr, lo, hi, label) \
    do { \
        u64 old_; \
        asm volatile goto(WRITE_ENTRY \
                          EX_TABLE(1b, %l[label]) \
                          EX_TABLE(2b, %l[label]) \
                          EX_TABLE(3b, %l[label]) \
                          : "=&A" (old_) : "r" (addr), "b" (lo), "c" (hi) \
                          : "memory", "cc" : label); \
    } while (0)
#endif

/* The level-1 entry for addr in the tables in use; accessing it may fault */
static inline u64 *linear_entry(ulong addr)
{
#ifdef __x86_64__
    return (u64 *)LINEAR_VIRT + (addr >> 12 & 0xfffffffffUL);
#else
    return (u64 *)(LINEAR_VIRT + (addr >> 9 & ~7UL));
#endif
}

#endif
