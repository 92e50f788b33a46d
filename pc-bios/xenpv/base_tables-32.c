/*
 * The tables in use, 32-bit: copies of the top level and of the top GiB's table
 *
 * CR3 points to a copy of the guest's top-level table, which may lie above 4
 * GiB, where a 32-bit CR3 cannot point. The copy's last entry leads to a copy
 * of the guest's level-2 table of the top GiB, with our entries in our slots.
 * The guest's own table does not have them: the guest may read and follow that,
 * as Linux with CONFIG_DEBUG_WX does at boot, and must not come to frames that
 * are not its own. (Under Xen it finds superpages, which it passes over.)
 *
 * A vCPU keeps copies of the last few level-2 tables, so that going back to one
 * is cheap. The table's version is in one of our slots in it: a number that no
 * other table and no other state of it ever has, and 0 while an entry changes.
 *
 * Each vCPU makes its copies itself. One that changes an entry of a table that
 * others use has them copy it again, and waits for that before it drops what
 * the entry referred to (see flush_idle() for a vCPU that sleeps).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

/*
 * The version is an entry that is not present and not executable, so that a
 * kernel which looks through the table does not complain about it.
 */
void set_upper_version(ulong mfn, bool changing)
{
    static u64 last;

    write_u64(&entry_of(mfn, HV_SLOT + HV_VERSION),
              changing ? 0 : ++last << 12 | PTE_NX);
}

/* A table becomes the top GiB's: clear what the guest has in our slots */
void begin_upper_table(ulong mfn)
{
    for (unsigned i = HV_SLOT; i < HV_SLOT + HV_VERSION; i++) {
        if (entry_of(mfn, i)) {
            write_u64(&entry_of(mfn, i), 0);
        }
    }
    set_upper_version(mfn, false);
}

static u64 *upper_copy(struct vcpu *v, unsigned i)
{
    return (u64 *)((ulong)v - VCPU_OFFSET + (AREA_UPPER + i) * PAGE_SIZE);
}

/* Returns which of the vCPU's copies is of v->upper_mfn as it is now */
static unsigned copy_upper_table(struct vcpu *v)
{
    volatile u64 *l2 = frame(v->upper_mfn);
    unsigned i;
    u64 version;

    do {
        while (!(version = read_u64(&l2[HV_SLOT + HV_VERSION]))) {
            asm volatile("pause");
        }
        for (i = 0; i < AREA_NR_UPPER; i++) {
            if (likely(v->upper_version[i] == version)) {
                return i;
            }
        }
        i = v->next_upper++ % AREA_NR_UPPER;
        memcpy(upper_copy(v, i), (const u64 *)l2, HV_SLOT * sizeof(u64));
        memcpy(upper_copy(v, i) + HV_SLOT, hv_entries, HV_LINEAR * sizeof(u64));
        v->upper_version[i] = version;
    } while (read_u64(&l2[HV_SLOT + HV_VERSION]) != version);
    return i;
}

/* The guest has no table for the top GiB: only our entries */
static unsigned no_upper_table(struct vcpu *v)
{
    unsigned i = v->next_upper++ % AREA_NR_UPPER;

    v->upper_version[i] = 0;
    memset(upper_copy(v, i), 0, HV_SLOT * sizeof(u64));
    memcpy(upper_copy(v, i) + HV_SLOT, hv_entries, HV_LINEAR * sizeof(u64));
    return i;
}

static void copy_tables(struct vcpu *v)
{
    /* The bits that the CPU reserves in these entries, but for the frame's */
    const u64 reserved = PTE_RW | PTE_US | 0x1e0 | ~0xfffffffffULL;
    u64 *top = frame(v->top_mfn), *linear;
    unsigned upper;
    u64 e[4];

    for (int i = 0; i < 4; i++) {
        e[i] = read_u64(&top[i]) & ~reserved;
    }
    /* Before its version is read: see update_copies() */
    atomic_store(&v->upper_mfn, e[3] & PTE_P ? PTE_MFN(e[3]) : 0);
    upper = e[3] & PTE_P ? copy_upper_table(v) : no_upper_table(v);
    e[3] = v->area_l1[AREA_UPPER + upper] & ~reserved;
    linear = upper_copy(v, upper) + HV_SLOT + HV_LINEAR;
    for (int i = 0; i < 4; i++) {
        write_u64(&v->pdpt[i], e[i]);
        write_u64(&linear[i], e[i] & PTE_P ? e[i] | PTE_RW | PTE_A | PTE_D | nx
                                           : 0);
    }
}

/* v is going to use a top-level table; another vCPU copies when it starts */
void use_top_table(struct vcpu *v, ulong mfn, bool user, bool changed)
{
    if (v == current_vcpu()) {
        copy_tables(v);
    }
    v->kernel_cr3 = PTE_MFN(v->area_l1[AREA_PDPT]) << 12;
}

/* Another vCPU has changed what this one may be using */
void reload_base_tables(struct vcpu *v)
{
    if (v->top_mfn) {
        copy_tables(v);
    }
}

/* An entry of this table has changed: whoever uses a copy makes it anew */
void update_copies(ulong mfn)
{
    struct vcpu *self = current_vcpu();
    u64 mask = 0;

    for (u32 id = 0; id < boot_info->nr_vcpus; id++) {
        struct vcpu *v = vcpus[id];

        if (v && (atomic_load(&v->top_mfn) == mfn ||
                  atomic_load(&v->upper_mfn) == mfn)) {
            mask |= 1ULL << id;
        }
    }
    if (mask >> self->id & 1) {
        copy_tables(self);
        flush_tlb();
    }
    flush_others(mask, FLUSH_ALL);
}
