/*
 * The tables in use, 32-bit: the top GiB's, and the copy of the top level
 *
 * CR3 points to a copy, because the guest's top-level table may lie where a 32-bit
 * CR3 cannot point. The vCPU that uses a table makes its copy itself; who changes
 * an entry of a table that others use has them make it again, and waits for that
 * before what was in the table is let go (see flush_idle() for a vCPU that sleeps).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

/*
 * A table that will be the top GiB's may be a copy of the one in use, with our
 * entries in it, before anything says what it is for.
 */
bool hv_copy(unsigned level, unsigned i, u64 entry)
{
    ulong mfn = PTE_MFN(entry);

    if (level != 2 || i < HV_SLOT) {
        return false;
    }
    if (i >= HV_SLOT + HV_LINEAR && mfn_level(mfn) == 2) {
        return true;
    }
    return !mfn_is_ram(mfn);
}

/* Put the monitor's entries in the table for the top GiB */
void install_hv_entries(ulong mfn)
{
    u64 *l2 = frame(mfn);

    set_info(mfn, FI_PAE_XEN_L2);
    for (unsigned i = 0; i < HV_LINEAR; i++) {
        if (l2[HV_SLOT + i] != hv_entries[i]) {
            write_u64(&l2[HV_SLOT + i], hv_entries[i]);
        }
    }
}

static void copy_pdpt(struct vcpu *v)
{
    /* The bits that are reserved in these entries; the frame's stay */
    const u64 reserved = PTE_RW | PTE_US | 0x1e0 | ~0xfffffffffULL;
    u64 *top = frame(v->top_mfn), *linear;
    u64 e[4];

    for (int i = 0; i < 4; i++) {
        e[i] = read_u64(&top[i]) & ~reserved;
        write_u64(&v->pdpt[i], e[i]);
    }
    if (!(e[3] & PTE_P)) {
        return;
    }
    /* Other vCPUs may be using it, too */
    linear = (u64 *)frame(PTE_MFN(e[3])) + HV_SLOT + HV_LINEAR;
    for (int i = 0; i < 4; i++) {
        write_u64(&linear[i], e[i] & PTE_P ? e[i] | PTE_RW | PTE_A | PTE_D : 0);
    }
}

/*
 * Is what our view of the tables has for addr on the top level what this vCPU's
 * copy has? Another vCPU may have changed it, and not have told this one yet.
 */
bool top_copy_is_new(struct vcpu *v, ulong addr)
{
    ulong view = addr;
    u64 entry;

    for (unsigned level = 0; level < TOP_LEVEL; level++) {
        view = (ulong)linear_entry(view);
    }
    invlpg(view);
    GET_GUEST_U64(entry, view, none);
    return PTE_MFN(entry) == PTE_MFN(v->pdpt[addr >> 30]) &&
           (entry & v->pdpt[addr >> 30] & PTE_P);
none:
    return false;
}

/* A top-level table that is going to be in use */
void prepare_top_table(struct vcpu *v, ulong mfn, bool user)
{
    /* A vCPU that is not up makes its copy, too, when it is asked to flush */
    if (v == current_vcpu()) {
        copy_pdpt(v);
    } else {
        spin_lock(&tables_lock);
        copy_pdpt(v);
        spin_unlock(&tables_lock);
    }
}

void choose_cr3(struct vcpu *v, ulong mfn, bool user, bool changed)
{
    v->kernel_cr3 = PTE_MFN(v->area_l1[AREA_PDPT]) << 12;
}

/* Another vCPU has changed what this one may be using */
void reload_base_tables(struct vcpu *v)
{
    if (v->top_mfn) {
        copy_pdpt(v);
    }
}

/* An entry of this table has changed: its copies are made anew */
void update_copies(ulong mfn)
{
    struct vcpu *self = current_vcpu();
    u64 mask = 0;

    for (u32 id = 0; id < boot_info->nr_vcpus; id++) {
        struct vcpu *v = vcpus[id];

        if (v && __atomic_load_n(&v->top_mfn, __ATOMIC_SEQ_CST) == mfn) {
            mask |= 1ULL << id;
        }
    }
    if (mask >> self->id & 1) {
        copy_pdpt(self);
        flush_tlb();
    }
    flush_others(mask, FLUSH_ALL);
}
