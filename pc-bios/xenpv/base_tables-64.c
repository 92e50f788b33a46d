/*
 * The tables in use, 64-bit: user mode's, and what it shares with the kernel's
 *
 * A guest has two base tables for each process, the kernel's and user mode's.
 * This decides which of them a vCPU runs its programs with, when the guest
 * loads one or changes either. Called by the page tables' files and traps.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

/*
 * On processors without Meltdown user mode may run with the kernel's tables,
 * where both look the same to it (see choose_user_cr3()): CR3 then need not
 * change between modes. For this the monitor clears the User bit in the upper
 * half of the kernel's table, whatever the guest writes there. This entry of
 * the table, which is not a present one, says that it does.
 */
#define HV_HIDES    8
#define HIDES_USER  2
static u32 top_changes;     /* so far, of what user mode sees of base tables */

/* May user mode use the kernel's tables? Not on processors with Meltdown */
static inline bool sharing(void)
{
    return !(boot_info->flags & XENPV_BOOT_XPTI);
}

static inline bool hides_user_entries(const u64 *l4)
{
    return l4[HV_SLOT + HV_HIDES];
}

/* What to write to entry i when the guest writes val */
u64 hidden_entry(u64 *l4, unsigned i, u64 val)
{
    return i >= HV_SLOT_END && hides_user_entries(l4) ? val & ~(u64)PTE_US : val;
}

/* Atomically: the CPU may be setting A bits in these entries */
static void hide_user_entries(u64 *l4)
{
    l4[HV_SLOT + HV_HIDES] = HIDES_USER;
    for (unsigned i = HV_SLOT_END; i < 512; i++) {
        if (unlikely(l4[i] & PTE_US)) {
            atomic_fetch_and(&l4[i], ~(u64)PTE_US);
        }
    }
}

/* A frame becomes a base table. Called with tables_lock held */
void begin_base_table(ulong mfn)
{
    /* Clear our slots: the guest may have copied another table's there */
    memset(&((u64 *)frame(mfn))[HV_SLOT], 0, sizeof(hv_entries));
    atomic_fetch_add(&top_changes, 1);
}

/* Are the lower halves the same, but for bits that the CPU sets? */
static bool same_lower_half(const u64 *a, const u64 *b)
{
    for (unsigned i = 0; i < HV_SLOT; i += 8) {
        u64 diff = 0;

        for (unsigned j = i; j < i + 8; j++) {
            diff |= a[j] ^ b[j];
        }
        if (diff & ~(u64)(PTE_A | PTE_D)) {
            return false;
        }
    }
    return true;
}

/*
 * Run user mode with the kernel's tables, if their lower half is the same as
 * its own. Their upper half has nothing for user mode, and a fault there ends
 * this (see leave_kernel_tables()). Pairs of tables that were the same are
 * remembered until a base table changes.
 *
 * A vCPU that changes one looks afterwards for vCPUs that use it so, and has
 * them choose again. So here .user_cr3 is set before the tables are compared:
 * one of the two notices.
 */
static void choose_user_cr3(struct vcpu *v)
{
    ulong top = v->top_mfn, user = v->user_top_mfn;
    struct top_pair *p = &v->top_pairs[top % ARRAY_SIZE(v->top_pairs)];
    u32 changes;

    if (!sharing() || top == user) {
        v->user_cr3 = user << 12;
        return;
    }
    atomic_store(&v->user_cr3, v->kernel_cr3);
    changes = atomic_load(&top_changes);
    if (likely(p->top == top && p->user == user && p->changes == changes)) {
        return;
    }
    if (hides_user_entries(frame(top)) &&
        same_lower_half(frame(top), frame(user))) {
        *p = (struct top_pair) { top, user, changes };
    } else {
        v->user_cr3 = user << 12;
    }
}

static inline bool user_on_kernel_tables(const struct vcpu *v)
{
    return atomic_load(&v->user_cr3) == v->kernel_cr3 &&
           v->user_top_mfn && v->user_top_mfn != v->top_mfn;
}

/* A page fault in user mode. True: try again, with user mode's own tables */
bool leave_kernel_tables(struct vcpu *v, ulong addr)
{
    if (addr < XENPV_HV_VIRT_END_64 || !user_on_kernel_tables(v)) {
        return false;
    }
    v->user_cr3 = v->user_top_mfn << 12;
    return true;
}

/*
 * A program that runs with its kernel's own base table has faulted on a present
 * page. Xen sets the User bit in each entry of a 64-bit guest; here the entries
 * that such programs fault on get it, if they allow the access otherwise. As
 * under Xen, no program can write to a page table: a mapping that
 * table_writes.c has opened becomes read-only, and the kernel's next write
 * traps. True: the program tries again, also if another vCPU has changed an
 * entry.
 */
bool give_user_bits(struct vcpu *v, ulong addr, u64 need, u64 forbidden)
{
    ulong mfn = v->top_mfn;
    bool may = mfn == v->user_top_mfn && access_ok(addr, 1);

    spin_lock(&tables_lock);
    for (unsigned level = TOP_LEVEL; may && level; level--) {
        volatile u64 *entry = &entry_of(mfn, slot(addr, level));
        u64 old = *entry, new = old | PTE_US;

        if (!(old & PTE_P)) {
            break;              /* gone by now: it faults again, on that */
        }
        mfn = PTE_MFN(old);
        if (level == 1 && mfn_is_table(mfn)) {
            new &= ~(u64)PTE_RW;
        }
        may = (old & need) == need && !(old & forbidden) &&
              (level == 1 ? (new & need) == need
                          : mfn_level(mfn) == level - 1);
        if (may && !(old & PTE_US)) {
            cmpxchg_u64(entry, &old, new);
        }
    }
    spin_unlock(&tables_lock);
    return may;
}

/*
 * What user mode sees of a base table has changed. Called without tables_lock.
 * vCPUs that share its lower half choose again. So does this one, even if its
 * two tables differed: those of a new program get their entries one by one, and
 * are not loaded again before the next process switch. Other vCPUs whose tables
 * differed find out when they load one: interrupting them would cost more.
 */
void top_table_changed(ulong mfn)
{
    struct vcpu *self = current_vcpu();
    u64 mask = 0;

    atomic_fetch_add(&top_changes, 1);
    for (u32 id = 0; id < boot_info->nr_vcpus; id++) {
        struct vcpu *v = vcpus[id];

        if (v && (v->top_mfn == mfn || v->user_top_mfn == mfn) &&
            user_on_kernel_tables(v)) {
            mask |= 1ULL << id;
        }
    }
    if (self->user_top_mfn &&
        (self->top_mfn == mfn || self->user_top_mfn == mfn)) {
        choose_user_cr3(self);
    }
    flush_others(mask, FLUSH_ALL);
}

/* A top-level table is going to be in use: add our entries, if it has none */
static void prepare_top_table(struct vcpu *v, ulong mfn, bool user)
{
    u64 *l4 = frame(mfn);
    bool kernels, shown = false;

    if (likely(user ? l4[HV_SLOT + HV_CORE] == hv_user_core
                    : l4[HV_SLOT + HV_DIRECT] == hv_entries[HV_DIRECT])) {
        return;
    }
    /*
     * Another vCPU may be doing the same, and be using the table already. A
     * table that serves both modes has the kernel's entries.
     */
    spin_lock(&tables_lock);
    kernels = l4[HV_SLOT + HV_CORE] == hv_entries[HV_CORE];
    if (user ? kernels : l4[HV_SLOT + HV_CORE] == hv_user_core) {
        v->one_table = true;
        choose_fault_gate(v);
    }
    if (user && kernels) {
        /* Its upper half is shown to programs now: none may share the table */
        shown = hides_user_entries(l4);
        l4[HV_SLOT + HV_HIDES] = 0;
    } else if (user) {
        l4[HV_SLOT + HV_CORE] = hv_user_core;
    } else if (!kernels) {
        if (sharing() && !l4[HV_SLOT + HV_CORE]) {
            hide_user_entries(l4);
        }
        l4[HV_SLOT + HV_CORE] = hv_entries[HV_CORE];
        l4[HV_SLOT + HV_M2P] = hv_entries[HV_M2P];
        l4[HV_SLOT + HV_LINEAR] = (u64)mfn << 12 | nx | PTE_DATA;
        l4[HV_SLOT + HV_DIRECT] = hv_entries[HV_DIRECT];
    }
    spin_unlock(&tables_lock);
    if (shown) {
        top_table_changed(mfn);
    }
}

void use_top_table(struct vcpu *v, ulong mfn, bool user, bool changed)
{
    prepare_top_table(v, mfn, user);
    if (!user) {
        if (changed) {
            v->kernel_cr3 = mfn << 12;
            v->user_cr3 = v->user_top_mfn << 12;
        }
    } else if (v == current_vcpu()) {
        choose_user_cr3(v);
    } else {
        v->user_cr3 = mfn << 12;
    }
}

/* Another vCPU has changed what this one may be using */
void reload_base_tables(struct vcpu *v)
{
    if (user_on_kernel_tables(v)) {
        choose_user_cr3(v);
    }
}
