/*
 * What the files about page tables share
 *
 * The CPU walks the guest's own tables (with 32 bits, from copies of the upper
 * ones: base_tables-32.c). The guest kernel runs in ring 1, which is supervisor
 * mode for paging, and every frame number is a guest-physical one, so entries
 * need no translation and no rewriting. The monitor only adds its own mappings,
 * and enforces the rules of Xen's direct paging that a guest can observe.
 *
 * Some of these files call each other in a circle, as their work does. A table
 * is referenced by entries and has entries itself (frames.c, entries.c). When a
 * frame becomes a table, writable mappings of it are closed (table_writes.c);
 * when it ceases to be one, it may be due for release (memory.c). Each such
 * change flushes other vCPUs, which look at their base tables when they answer
 * (requests.c, base_tables.c). All but top_table_changed() holds tables_lock.
 *
 * Functions that only one width has are declared here for both. They are called
 * under "if (WORD == 8)" or 4, and the compiler drops the call in the other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_PAGE_TABLES_H
#define XENPV_PAGE_TABLES_H

#include "monitor.h"
#include "frame.h"

#define TABLES_2M   (1ULL << 21)

/*
 * The monitor's entries, counted from HV_SLOT: in each top-level table (64-bit)
 * or in copies of the table below its last entry (32-bit).
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
/* mappings-*.c. data: the bits of a read-only superpage's entry */
void init_own_mappings(u64 data);
extern u64 hv_user_core;            /* 64-bit */

/* frames.c. Functions named _locked are called with tables_lock held */
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

/* base_tables-32.c. Called with tables_lock held */
void begin_upper_table(ulong mfn);
void set_upper_version(ulong mfn, bool changing);
void update_copies(ulong mfn);

/* base_tables-64.c */
void begin_base_table(ulong mfn);
u64 hidden_entry(u64 *l4, unsigned i, u64 val);
void top_table_changed(ulong mfn);

/* base_tables-*.c, called by base_tables.c */
void use_top_table(struct vcpu *v, ulong mfn, bool user, bool changed);

/* entries.c */

/* What Xen refuses in level-1 entries: cache attributes. Above: disallowed() */
#define L1_DISALLOWED       (PTE_PWT | PTE_PCD | PTE_PAT)
/* 32-bit: bits of the upper half that are neither NX nor of a 32-bit mfn */
#define L1_UNUSABLE_HI      (WORD == 4 ? 0x7ffff000 : 0)

int check_l1(u64 *entry);
int write_unusual_entry(u64 ptr, u64 val, u64 keep);

/* Is it an entry that check_l1() need not look at? Nearly all are */
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

/* The index of addr's entry in a table of this level */
static inline unsigned slot(ulong addr, unsigned level)
{
    return addr >> (12 + 9 * (level - 1)) & 511;
}

#endif
