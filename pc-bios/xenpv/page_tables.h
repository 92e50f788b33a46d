/*
 * Page tables: what the files that are about them share
 *
 * The guest's own tables are the tables that the CPU walks. The guest kernel
 * runs in ring 1, which is supervisor mode for paging, and every frame number
 * is a guest-physical one, so entries need no translation and no rewriting:
 * what the monitor adds is its own mappings in every top-level table, and the
 * rules of Xen's direct paging that a guest can observe.
 *
 * Some of these files call each other in a circle, and that is in what they do: a
 * table is referenced by the entries above it and references those below (frames.c,
 * entries.c); a frame that becomes a table may have a mapping that lets the kernel
 * write to it, or have been given back when it ceases to be one (table_writes.c,
 * memory.c); and each of these changes is told to vCPUs whose answer depends on what
 * their base tables are now (requests.c, base_tables.c). tables_lock is held through
 * all of it.
 *
 * A function that one width has not got is declared here for both, so that it is
 * called under "if (WORD == 8)" or 4: the compiler drops the other width's call.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_PAGE_TABLES_H
#define XENPV_PAGE_TABLES_H

#include "monitor.h"
#include "frame.h"

#define TABLES_2M   (1ULL << 21)

/*
 * The monitor's entries: of each top-level table (64-bit) or of the table
 * below its last entry (32-bit), from HV_SLOT on.
 */
#ifdef __x86_64__
#define TOP_LEVEL   4
#define HV_M2P      0
#define HV_CORE     1
#define HV_DIRECT   2
#define HV_LINEAR   3       /* each table has its own */
#else
#define TOP_LEVEL   3
#define HV_M2P      0
#define HV_CORE     16
#define HV_AREA     20
#define HV_FRAME_TABLE 52
#define HV_LINEAR   68      /* 4 entries; each table has its own */
#define HV_VERSION  83      /* in the guest's table, see base_tables-32.c */
#endif

/* mappings.c */
extern u64 hv_entries[HV_SLOT_END - HV_SLOT];
void set_m2p(ulong mfn, ulong pfn);
u64 *new_table(u64 *entry);
void map_core(u64 *l2);
u64 core_pte(ulong virt);
/* mappings-*.c: data has the bits of a superpage without the right to write */
void init_own_mappings(u64 data);
extern u64 hv_user_core;            /* 64-bit */

/* frames.c. The functions named _locked want tables_lock to be held */
int get_table(ulong mfn, unsigned level);
void put_table(ulong mfn);
int get_entry_locked(unsigned level, unsigned i, u64 entry);
void put_entry_locked(unsigned level, u64 entry);
void set_info(ulong mfn, frame_info_t bits);
bool hv_slot(frame_info_t fi, unsigned i);
u64 disallowed(unsigned level);

static inline unsigned nr_entries(unsigned level)
{
    return WORD == 4 && level == TOP_LEVEL ? 4 : 512;
}

#define entry_of(mfn, i) (((volatile u64 *)frame(mfn))[i])

/* base_tables-32.c, with tables_lock held */
void begin_upper_table(ulong mfn);
void set_upper_version(ulong mfn, bool changing);
void update_copies(ulong mfn);

/* base_tables-64.c */
void begin_base_table(ulong mfn);
u64 hidden_entry(u64 *l4, unsigned i, u64 val);
void top_table_changed(ulong mfn);

/* base_tables-*.c: what base_tables.c asks of both */
void use_top_table(struct vcpu *v, ulong mfn, bool user, bool changed);

/* entries.c */

/*
 * What Xen refuses in entries: of level 1, cache attributes; from level 2 on
 * see disallowed().
 */
#define L1_DISALLOWED       (PTE_PWT | PTE_PCD | PTE_PAT)
/* 32-bit: of the upper half, what is neither NX nor part of an mfn as a ulong */
#define L1_UNUSABLE_HI      (WORD == 4 ? 0x7ffff000 : 0)

int check_l1(u64 *entry);
int write_unusual_entry(u64 ptr, u64 val, u64 keep);

/* One that check_l1() has nothing to say about: what all but a few are */
static inline bool usual_l1(ulong lo, ulong hi)
{
    ulong mfn;

    if (!(lo & PTE_P)) {
        return true;
    }
    if (unlikely(lo & L1_DISALLOWED)) {
        return false;
    }
    mfn = mfn_of(lo, hi);
    return likely(!(hi & L1_UNUSABLE_HI) && mfn_is_ram(mfn)) &&
           (likely(!FI_TYPE(frame_table[mfn])) || !(lo & PTE_RW));
}

/* Where in a table of this level the entry for addr is */
static inline unsigned slot(ulong addr, unsigned level)
{
    return addr >> (12 + 9 * (level - 1)) & 511;
}

#endif
