/*
 * Direct writes to level-1 tables (VMASST_TYPE_writable_pagetables)
 *
 * A kernel with this assist maps its page tables read-only, as Xen demands, but
 * still writes to those of level 1. Xen carries out each such write. Here the
 * page-fault handler (traps.c) opens the mapping that the kernel wrote through:
 * it makes it writable, and the kernel tries again. So the write is the CPU's
 * own, as atomic as on hardware, and the next one does not trap.
 *
 * The kernel gains no right by this: the monitor does not check a level-1
 * table's entries when it becomes one, nor count a frame's writable mappings
 * (see frames.c). Nor does a program: an opened mapping loses its User bit,
 * which the kernel does not need in ring 1. Tables of level 2 and up and GDTs
 * are checked entry by entry, so a write to one of these remains a page fault.
 * When the frame of an opened mapping becomes one of these, the mapping is made
 * read-only again and flushed from all TLBs before the frame is checked. For
 * this each opened mapping is recorded. If there is no room for a record, an
 * older mapping is closed, and the next write through that traps and opens it
 * again.
 *
 * All of this has tables_lock held, but for the first look whether the kernel
 * wrote to a level-1 table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"

ulong vm_assists;

/*
 * A record of an opened mapping: where the entry is that maps a level-1 table.
 * The kernel may have changed the entry since, so look at what is in it now.
 * TLBs may have the mapping as long as there is a record.
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
    /* If .table is no table any more, forget_openings() closed the entry */
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

/* The frame, plain memory now, will be a GDT or a table of level 2 or up */
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
 * Drop a record and close its mapping; but if the frame is no table any more,
 * the kernel itself may have mapped it writable, so leave the mapping as it is.
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

/* Is there an opened mapping of the frame? Takes tables_lock */
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
    /* Only the level-1 entry may be what forbids the write, none above it */
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
            break;              /* changed meanwhile: the kernel tries again */
        }
    } while (!(old & PTE_RW) &&
             !cmpxchg_u64(entry, &old, (old | PTE_RW) & ~PTE_US));
    /* If the entry was writable already, this vCPU's TLB was out of date */
    invlpg(addr);
    return true;
}

/* The guest kernel's write to a present page has faulted. True: try again */
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

/* Has no effect: it is always so here. 32-bit guests do not have it */
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
