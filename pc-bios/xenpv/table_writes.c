/*
 * Direct writes to level-1 tables (VMASST_TYPE_writable_pagetables)
 *
 * A kernel with this assist maps its page tables read-only, as Xen demands, and
 * writes to those of level 1 nevertheless. Xen carries out each such write. Here
 * the page-fault handler makes the mapping that the write went through a writable
 * one, and the kernel tries again: the write is the CPU's own, as atomic as it is
 * on hardware, and the next one does not trap.
 *
 * This gives the kernel nothing that it has not got: the entries of a level-1
 * table are not checked when it becomes one, nor are the writable mappings of a
 * frame counted (see frames.c). Nor does it give a program anything: a
 * mapping that is opened loses its User bit, which the kernel does not need in
 * ring 1. Level 2 and up is checked entry by entry, and so is a GDT: a write to
 * one of these stays the page fault that it is. When an opened mapping's frame
 * becomes one of them, the mapping is made read-only again, and all TLBs forget
 * it, before what is in the frame is checked. For this each opened mapping is
 * remembered. If there is no room for one, an older one is closed, and the next
 * write there traps and opens it anew.
 *
 * All of this is under tables_lock, but for the look whether it is a level-1
 * table that the kernel writes to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"

ulong vm_assists;

/*
 * A page that maps a level-1 table: where its entry is, in another one. A record
 * may be out of date, because the kernel changes entries: what is found there
 * decides. But the TLBs may know the mapping as long as there is a record.
 */
static struct opened {
    u32 mfn;                    /* of the table that can be written */
    u32 table;                  /* the level-1 table that has the entry */
    u16 slot;
    bool used;
} opened[1024][4];              /* by the lower bits of .mfn */

static struct opened *records_of(ulong mfn)
{
    return opened[mfn % ARRAY_SIZE(opened)];
}

static void close_mapping(struct opened *o)
{
    o->used = false;
    /* Else the entry is not one any more: forget_openings() has closed it */
    if (mfn_level(o->table) == 1) {
        volatile u64 *entry = (u64 *)frame(o->table) + o->slot;
        u64 old = read_u64(entry);

        while ((old & PTE_P) && (old & PTE_RW) && PTE_MFN(old) == o->mfn &&
               !cmpxchg_u64(entry, &old, old & ~PTE_RW)) {
        }
    }
}

static void flush_all_tlbs(void)
{
    flush_tlb();
    flush_others(~0ULL, FLUSH_ALL);
}

/* The frame, plain memory now, will be what may not be written directly */
void close_mappings(ulong mfn)
{
    struct opened *o = records_of(mfn);
    bool any = false;

    for (unsigned i = 0; i < ARRAY_SIZE(opened[0]); i++) {
        if (unlikely(o[i].used && o[i].mfn == mfn)) {
            close_mapping(&o[i]);
            any = true;
        }
    }
    if (any) {
        flush_all_tlbs();
    }
}

/*
 * The record goes. A frame that is a table no more may have been mapped writable by
 * the kernel itself since then: that mapping stays as it is.
 */
static void drop_record(struct opened *o)
{
    if (mfn_level(o->mfn) == 1) {
        close_mapping(o);
    } else {
        o->used = false;
    }
}

/* A level-1 table ceases to be one, or (NO_FRAME) the assist is switched off */
void forget_openings(ulong table)
{
    struct opened *o = opened[0];

    for (unsigned i = 0; i < sizeof(opened) / sizeof(*o); i++) {
        if (o[i].used && (table == NO_FRAME || o[i].table == table)) {
            drop_record(&o[i]);
        }
    }
    flush_all_tlbs();
}

/* Is a mapping of the frame writable that the kernel knows as read-only? */
bool is_opened(ulong mfn)
{
    struct opened *o = records_of(mfn);
    bool any = false;

    spin_lock(&tables_lock);
    for (unsigned i = 0; i < ARRAY_SIZE(opened[0]); i++) {
        any = any || (o[i].used && o[i].mfn == mfn);
    }
    spin_unlock(&tables_lock);
    return any;
}

static void remember(ulong mfn, ulong table, unsigned slot)
{
    static unsigned next;
    struct opened *o = records_of(mfn), *free = NULL;

    for (unsigned i = 0; i < ARRAY_SIZE(opened[0]); i++) {
        if (!o[i].used) {
            free = &o[i];
        } else if (o[i].mfn == mfn && o[i].table == table &&
                   o[i].slot == slot) {
            return;
        }
    }
    if (!free) {
        free = &o[next++ % ARRAY_SIZE(opened[0])];
        drop_record(free);
        flush_all_tlbs();
    }
    *free = (struct opened) { mfn, table, slot, true };
    atomic_fetch_or(&frame_table[table], FI_OPENS);
}

static bool open_mapping(struct vcpu *v, ulong addr)
{
    /* It must be the level-1 entry that forbids to write, and it alone */
    ulong table = find_l1_table(v, addr, PTE_P | PTE_RW), mfn;
    unsigned slot = addr >> 12 & 511;
    volatile u64 *entry;
    u64 old;

    if (table == NO_FRAME) {
        return false;
    }
    old = read_u64((u64 *)frame(table) + slot);
    mfn = PTE_MFN(old);
    if (!(old & PTE_P) || mfn_level(mfn) != 1) {
        return false;
    }
    remember(mfn, table, slot);
    entry = (u64 *)frame(table) + slot;
    do {
        if (!(old & PTE_P) || PTE_MFN(old) != mfn) {
            break;              /* changed meanwhile: try again, and fault */
        }
    } while (!(old & PTE_RW) &&
             !cmpxchg_u64(entry, &old, (old | PTE_RW) & ~PTE_US));
    /* This vCPU's TLB may have been the only one to say that it is read-only */
    invlpg(addr);
    return true;
}

/*
 * The guest kernel's write to addr, where there is something, has faulted. True:
 * it may try again.
 */
bool allow_table_write(struct vcpu *v, ulong addr)
{
    u64 entry;
    bool opened;

    if (!(vm_assists & 1UL << VMASST_TYPE_writable_pagetables) ||
        !access_ok(addr, 1)) {
        return false;
    }
    entry = read_l1_entry(addr);
    if (!(entry & PTE_P) || mfn_level(PTE_MFN(entry)) != 1) {
        return false;
    }
    spin_lock(&tables_lock);
    opened = open_mapping(v, addr);
    spin_unlock(&tables_lock);
    return opened;
}

/* Always so here; of 32-bit guests there is none */
#define M2P_STRICT  (WORD == 8 ? 1UL << VMASST_TYPE_m2p_strict : 0)

HYPERCALL(do_vm_assist)
{
    const ulong valid = 1UL << VMASST_TYPE_4gb_segments |
                        1UL << VMASST_TYPE_4gb_segments_notify |
                        1UL << VMASST_TYPE_writable_pagetables |
                        1UL << VMASST_TYPE_pae_extended_cr3 |
                        1UL << VMASST_TYPE_runstate_update_flag |
                        M2P_STRICT;
    u32 type = a2;

    if (type >= 8 * sizeof(ulong) || !(valid & 1UL << type)) {
        return -EINVAL;
    }
    switch ((u32)a1) {
    case VMASST_CMD_enable:
        atomic_fetch_or(&vm_assists, 1UL << type);
        break;
    case VMASST_CMD_disable:
        atomic_fetch_and(&vm_assists, ~(1UL << type));
        if (type == VMASST_TYPE_writable_pagetables) {
            spin_lock(&tables_lock);
            forget_openings(NO_FRAME);
            spin_unlock(&tables_lock);
        }
        break;
    default:
        return -ENOSYS;
    }
    return 0;
}
