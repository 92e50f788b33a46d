/*
 * What each frame is: a word per frame (frame_info_t)
 *
 * The word says whether the frame is a page table, of which level, whether it
 * is pinned, and how many references to the table there are. When a frame
 * becomes a table of level 2 or up, its entries are read, and count as
 * references to tables below. Level-1 tables are not read: any content is
 * accepted. As in Xen, a frame is a table until its last reference is dropped.
 *
 * base_tables.c, entries.c and mmu.c take and drop tables by this, and
 * segments.c frames of a GDT. A frame becomes a table, or stops being one, with
 * tables_lock held. References to one that stays a table are counted without
 * it, so that a change of CR3 does not wait for another vCPU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

struct spinlock tables_lock;

static int get_table_locked(ulong mfn, unsigned level, bool top_gib);
static void put_table_locked(ulong mfn);

static bool get_another(ulong mfn, unsigned level)
{
    frame_info_t *fi = &frame_table[mfn], old = *fi;

    while (FI_TYPE(old) == level && !(old & FI_CHECKING) &&
           (old & FI_COUNT_MASK) && (old & FI_COUNT_MASK) != FI_COUNT_MASK) {
        if (atomic_compare_exchange_strong(fi, &old, old + 1)) {
            return true;
        }
    }
    return false;
}

static bool put_one_of_many(ulong mfn)
{
    frame_info_t *fi = &frame_table[mfn], old = *fi;

    while ((old & FI_COUNT_MASK) > 1) {
        if (atomic_compare_exchange_strong(fi, &old, old - 1)) {
            return true;
        }
    }
    return false;
}

void set_info(ulong mfn, frame_info_t bits)
{
    atomic_fetch_or(&frame_table[mfn], bits);
}

static inline void clear_info(ulong mfn, frame_info_t bits)
{
    atomic_fetch_and(&frame_table[mfn], ~bits);
}

int get_table(ulong mfn, unsigned level)
{
    int ret;

    if (!mfn_is_ram(mfn)) {
        return -EINVAL;
    }
    if (likely(get_another(mfn, level))) {
        return 0;
    }
    spin_lock(&tables_lock);
    ret = get_table_locked(mfn, level, false);
    spin_unlock(&tables_lock);
    return ret;
}

void put_table(ulong mfn)
{
    if (unlikely(!put_one_of_many(mfn))) {
        spin_lock(&tables_lock);
        put_table_locked(mfn);
        spin_unlock(&tables_lock);
    }
}

/* Is entry i of a table with this info one of the monitor's? */
bool hv_slot(frame_info_t fi, unsigned i)
{
    return i - HV_SLOT < HV_SLOT_END - HV_SLOT &&
           (WORD == 8 ? FI_TYPE(fi) == 4 : fi & FI_PAE_XEN_L2);
}

/*
 * What Xen refuses in entries from level 2 on: cache attributes, superpages and
 * global pages; in PAE's top level also NX. Bits 52 to 62, which the CPU
 * ignores in long mode, are refused in PAE, where it reserves them.
 */
u64 disallowed(unsigned level)
{
    u64 bits = L1_DISALLOWED | PTE_G;

    if (WORD == 4) {
        bits |= level == 3 ? 0xfffULL << 52 : 0x7ffULL << 52;
    }
    return bits;
}

/* Take the reference that entry i of a table of this level, 2 or up, has */
int get_entry_locked(unsigned level, unsigned i, u64 entry)
{
    ulong mfn = PTE_MFN(entry);
    bool top_gib;
    int ret;

    if (!(entry & PTE_P)) {
        return 0;
    }
    if (entry & disallowed(level)) {
        return -EINVAL;
    }
    if (mfn_level(mfn) == level && (WORD == 8 || level < TOP_LEVEL)) {
        /*
         * A linear page table: a table that is the next level of one of its own
         * level, read-only. PAE's top level has no rights, so it has none.
         */
        return entry & PTE_RW ? -EINVAL : 0;
    }
    top_gib = WORD == 4 && level == 3 && i == 3;
    ret = get_table_locked(mfn, level - 1, top_gib);
    if (WORD == 4 && top_gib && !ret) {
        begin_upper_table(mfn);
    }
    return ret;
}

void put_entry_locked(unsigned level, u64 entry)
{
    ulong mfn = PTE_MFN(entry);

    if ((entry & PTE_P) && mfn_level(mfn) == level - 1) {
        put_table_locked(mfn);
    }
}

/*
 * The rest takes most of the time when a process begins or ends. Its tables
 * have few entries of their own; 32-bit ones also have copies of the kernel's,
 * whose level-1 tables have other references already.
 */

static noinline unsigned skip_zeroes(ulong mfn, unsigned i, unsigned n)
{
    const u64 *first = frame(mfn), *e = first + i, *end = first + n;

    while (e < end && !*e) {
        e++;
        if (!((ulong)e & 63)) {
            while (end - e >= 8 &&
                   !(e[0] | e[1] | e[2] | e[3] | e[4] | e[5] | e[6] | e[7])) {
                e += 8;
            }
        }
    }
    return e - first;
}

/* The first entry from i on that is not 0, or n */
static inline unsigned next_entry(ulong mfn, unsigned i, unsigned n)
{
    return i < n && *(volatile ulong *)&entry_of(mfn, i) ? i
                                                         : skip_zeroes(mfn, i, n);
}

/* Take one more reference to a level-1 table; false: it has none yet */
static inline bool get_another_l1(u64 entry)
{
    return mfn_is_ram(PTE_MFN(entry)) && get_another(PTE_MFN(entry), 1);
}

static inline bool put_one_of_many_l1(u64 entry)
{
    return mfn_level(PTE_MFN(entry)) == 1 && put_one_of_many(PTE_MFN(entry));
}

static void put_entries(ulong mfn, unsigned level, unsigned n)
{
    frame_info_t info = frame_table[mfn];

    for (unsigned i = 0; (i = next_entry(mfn, i, n)) < n; i++) {
        u64 entry = entry_of(mfn, i);

        if ((entry & PTE_P) && !hv_slot(info, i) &&
            !(level == 2 && likely(put_one_of_many_l1(entry)))) {
            put_entry_locked(level, entry);
        }
    }
}

/*
 * Take a reference to a table of this level. top_gib: to the level-2 table in
 * the last slot of a 32-bit top level; the last slots of that table are ours,
 * whatever they contain.
 */
static int get_table_locked(ulong mfn, unsigned level, bool top_gib)
{
    unsigned n = nr_entries(level);
    frame_info_t *fi, info;

    if (!mfn_is_ram(mfn)) {
        return -EINVAL;
    }
    fi = &frame_table[mfn];
    info = *fi;
    if (FI_TYPE(info)) {
        /* As in Xen the top GiB's table is a type of its own, with our slots */
        if (FI_TYPE(info) != level ||
            (WORD == 4 && !(info & FI_PAE_XEN_L2) == top_gib)) {
            return -EINVAL;
        }
        if ((info & FI_COUNT_MASK) == FI_COUNT_MASK) {
            return -EBUSY;
        }
        atomic_fetch_add(fi, 1);
        return 0;
    }
    info = level << FI_TYPE_SHIFT | 1;
    if (level == 1) {
        *fi = info;
        return 0;
    }
    close_mappings(mfn);
    if (WORD == 8 && level == TOP_LEVEL) {
        begin_base_table(mfn);
    }
    if (top_gib) {
        info |= FI_PAE_XEN_L2;
    }
    *fi = info | FI_CHECKING;
    for (unsigned i = 0; (i = next_entry(mfn, i, n)) < n; i++) {
        u64 entry = entry_of(mfn, i);
        int ret;

        if (!(entry & PTE_P) || hv_slot(info, i) ||
            (level == 2 && !(entry & disallowed(2)) &&
             likely(get_another_l1(entry)))) {
            continue;
        }
        ret = get_entry_locked(level, i, entry);
        if (ret) {
            put_entries(mfn, level, i);
            *fi = 0;
            return ret;
        }
    }
    clear_info(mfn, FI_CHECKING);
    return 0;
}

static void put_table_locked(ulong mfn)
{
    frame_info_t *fi = &frame_table[mfn];
    frame_info_t info = atomic_fetch_sub(fi, 1) - 1;
    unsigned level = FI_TYPE(info);

    if ((info & FI_COUNT_MASK) == 0) {
        if (unlikely(level == 1 && (info & FI_OPENS))) {
            forget_openings(mfn);
        }
        if (level > 1 && level <= TOP_LEVEL) {
            put_entries(mfn, level, nr_entries(level));
        }
        /* An idle CPU may still walk it as a table: have it flush first */
        flush_idle();
        if (unlikely(info & FI_GIVEN_BACK)) {
            release_unused_frame(mfn);
        } else {
            *fi = 0;
        }
    }
}

/* For the frames of a GDT, which like tables may not be mapped writable */
int get_seg_desc(ulong mfn)
{
    frame_info_t *fi;
    int ret = 0;

    if (!mfn_is_ram(mfn)) {
        return -EINVAL;
    }
    fi = &frame_table[mfn];
    spin_lock(&tables_lock);
    if (!*fi) {
        close_mappings(mfn);
        *fi = (u32)FI_SEG_DESC << FI_TYPE_SHIFT | 1;
    } else if (FI_TYPE(*fi) == FI_SEG_DESC) {
        atomic_fetch_add(fi, 1);
    } else {
        ret = -EINVAL;
    }
    spin_unlock(&tables_lock);
    return ret;
}

void put_seg_desc(ulong mfn)
{
    if (mfn_level(mfn) == FI_SEG_DESC) {
        put_table(mfn);
    }
}

/* The boot table counts as pinned, as Xen's domain builder leaves it */
void pin_boot_table(ulong mfn)
{
    atomic_fetch_add(&frame_table[mfn], 1);
    set_info(mfn, FI_PINNED);
}
