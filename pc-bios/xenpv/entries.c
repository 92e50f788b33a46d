/*
 * One entry of a page table: finding it, checking its new value, writing it
 *
 * mmu.c calls this for all that its fast paths do not settle; table_writes.c,
 * segments.c and traps.c look entries up. A level-1 entry is written whole,
 * without a lock. An upper one is checked and written with tables_lock held,
 * the table below referenced first, so that entries only ever refer to tables.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

/* The level-1 table for addr, if all upper entries give these rights */
ulong find_l1_table(struct vcpu *v, ulong addr, u32 rights)
{
    ulong mfn = v->top_mfn;

    for (unsigned level = TOP_LEVEL; level > 1; level--) {
        u64 entry = read_u64(&entry_of(mfn, slot(addr, level)));

        if (WORD == 4 && level == TOP_LEVEL) {
            entry |= PTE_RW | PTE_US;   /* this level has no rights */
        }
        mfn = PTE_MFN(entry);
        if ((entry & rights) != rights || mfn_level(mfn) != level - 1) {
            return NO_FRAME;
        }
    }
    return mfn;
}

/* The value of the level-1 entry for addr, 0 if there is none */
u64 read_l1_entry(ulong addr)
{
    u64 val;

    GET_GUEST_U64(val, (ulong)linear_entry(addr), none);
    return val;
none:
    return 0;
}

/*
 * Would the CPU allow this access if it walked the tables now? Our linear
 * mapping of them may be stale in the TLB, too, so that is flushed first. The
 * caller retries while this is true, and answers no other vCPU meanwhile: if
 * this read tables that the CPU does not walk, that might never end.
 */
bool access_allowed(ulong addr, bool write)
{
    ulong at[WORD == 8 ? 4 : 2], entry, need = PTE_P | (write ? PTE_RW : 0);
    int level;

    if (!access_ok(addr, 1) || !canonical(addr)) {
        return false;
    }
    for (level = 0; level < (int)ARRAY_SIZE(at); level++) {
        addr = at[level] = (ulong)linear_entry(addr);
        invlpg(addr);
    }
    while (level-- > 0) {
        GET_GUEST(entry, at[level], none);
        if ((entry & need) != need) {
            return false;
        }
    }
    return true;
none:
    return false;
}

/*
 * May a level-1 entry have this value? Returns 0 or -errno. If the kernel has
 * copied an RW bit that allow_table_write() set, this clears it in *entry.
 */
int check_l1(u64 *entry)
{
    u64 val = *entry;
    ulong mfn = PTE_MFN(val);

    if (!(val & PTE_P)) {
        return 0;
    }
    if (val & L1_DISALLOWED) {
        return -EINVAL;
    }
    if ((val >> 32) & L1_UNUSABLE_HI) {
        return (val >> 52 & 0x7ff) || PTE_MFN(val) == PTE_MFN(~0ULL) ? -EINVAL
                                                                     : -EPERM;
    }
    if (mfn_is_ram(mfn)) {
        if (!FI_TYPE(frame_table[mfn]) || !(val & PTE_RW)) {
            return 0;
        }
        if (FI_TYPE(frame_table[mfn]) != 1 || !is_opened(mfn)) {
            return -EBUSY;
        }
        *entry &= ~PTE_RW;
        return 0;
    }
    if (guest_mfn_valid(mfn)) {
        return 0;
    }
    /* As Xen answers for memory that is nobody's */
    return PTE_MFN(val) == PTE_MFN(~0ULL) ? -EINVAL : -EPERM;
}

/* keep: bits to preserve, which the CPU may be setting right now */
static inline void set_entry(volatile u64 *entry, u64 val, u64 keep)
{
    u64 old;

    if (!keep) {
        write_u64(entry, val);
        return;
    }
    old = read_u64(entry);
    while (!cmpxchg_u64(entry, &old, val | (old & keep))) {
    }
}

static void set_upper_entry(ulong mfn, unsigned level, unsigned i, u64 val,
                            u64 keep)
{
    bool upper = WORD == 4 && level == 2 && (frame_table[mfn] & FI_PAE_XEN_L2);

    if (WORD == 8 && level == TOP_LEVEL) {
        val = hidden_entry(frame(mfn), i, val);
    }
    if (upper) {
        set_upper_version(mfn, true);
    }
    set_entry(&entry_of(mfn, i), val, keep);
    if (upper) {
        set_upper_version(mfn, false);
    }
    if (WORD == 4 && (upper || level == TOP_LEVEL)) {
        update_copies(mfn);
    }
}

/*
 * Write an entry of a table of level 2 or up. The new table is referenced
 * before the old one is released, and this vCPU's TLB is flushed.
 */
static int write_upper_entry(ulong mfn, unsigned i, u64 val, u64 keep)
{
    unsigned level;
    int ret = -EINVAL;
    u64 old;

    spin_lock(&tables_lock);
    level = FI_TYPE(frame_table[mfn]);
    if (level < 2 || level > TOP_LEVEL || i >= nr_entries(level)) {
        goto out;
    }
    if (hv_slot(frame_table[mfn], i)) {
        ret = level == 2 ? -EPERM : -EINVAL;
        goto out;
    }
    old = entry_of(mfn, i);
    if ((val & PTE_P) && (val & disallowed(level))) {
        goto out;
    }
    /* A change of RW is checked, too: a linear page table must be read-only */
    if (((old ^ val) & (0x000ffffffffff000ULL | PTE_P | PTE_RW)) ||
        !(old & PTE_P)) {
        ret = get_entry_locked(level, i, val);
        if (ret) {
            goto out;
        }
        set_upper_entry(mfn, level, i, val, keep);
        put_entry_locked(level, old);
    } else {
        set_upper_entry(mfn, level, i, val, keep);
    }
    ret = 0;
    if (old & PTE_P) {
        flush_tlb();
    }
out:
    spin_unlock(&tables_lock);
    if (WORD == 8 && !ret && level == TOP_LEVEL && i < HV_SLOT) {
        top_table_changed(mfn);
    }
    return ret;
}

/* Write the entry at ptr, if mmu.c has not done so in its fast path */
int write_unusual_entry(u64 ptr, u64 val, u64 keep)
{
    unsigned i = ((ulong)ptr & (PAGE_SIZE - 1)) / 8;
    ulong mfn = ptr >> 12;
    unsigned type = FI_TYPE(frame_table[mfn]);
    int ret = 0;

    if (type > 1) {
        return write_upper_entry(mfn, i, val, keep);
    }
    if (type == 1) {
        ret = check_l1(&val);
    }
    /* With type 0 it is plain memory, and there is nothing to check */
    if (!ret) {
        set_entry(&entry_of(mfn, i), val, keep);
    }
    return ret;
}
