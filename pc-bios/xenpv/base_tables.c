/*
 * The tables in use: what CR3 holds, now or when the vCPU runs
 *
 * init.c, mmu.c, privileged.c and vcpu_start.c set a vCPU's base tables on the
 * vCPU itself; what another one is to start with, it sets when it starts. A new
 * table is referenced before it is used, and the old one released after CR3
 * holds the new one, so that a CPU never walks what is not a table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

/* Sets the kernel's or user mode's base table. Returns 0 or -errno */
int set_base_table(struct vcpu *v, ulong mfn, bool user)
{
    ulong *current = user ? &v->user_top_mfn : &v->top_mfn;
    ulong old = *current;

    if (mfn != old) {
        int ret = get_table(mfn, TOP_LEVEL);

        if (ret) {
            return ret;
        }
        /* Before its entries are read: see top_table_changed(), update_copies() */
        atomic_store(current, mfn);
    }
    use_top_table(v, mfn, user, mfn != old);
    if (v == current_vcpu() && !user) {
        write_cr3(v->kernel_cr3);
    }
    /* Only now is the old one no longer in use */
    if (old && old != mfn) {
        put_table(old);
    }
    return 0;
}

void put_next_tables(struct vcpu *v)
{
    if (v->next_top_mfn) {
        put_table(v->next_top_mfn);
    }
    if (v->next_user_top_mfn) {
        put_table(v->next_user_top_mfn);
    }
    v->next_top_mfn = v->next_user_top_mfn = 0;
}

/*
 * What a vCPU will start with; until then its CPU may use the tables from
 * before it went down. user: 0 for none. Called with vcpus_lock held.
 */
int set_next_tables(struct vcpu *v, ulong top, ulong user)
{
    int ret = get_table(top, TOP_LEVEL);

    if (!ret && user) {
        ret = get_table(user, TOP_LEVEL);
        if (ret) {
            put_table(top);
        }
    }
    if (ret) {
        return ret;
    }
    put_next_tables(v);
    v->next_top_mfn = top;
    v->next_user_top_mfn = user;
    return 0;
}

/* set_next_tables() has taken references, so both are still tables */
void use_next_tables(struct vcpu *v)
{
    ulong old = v->user_top_mfn;

    if (old && !v->next_user_top_mfn) {
        atomic_store(&v->user_top_mfn, 0);
        v->user_cr3 = 0;
        put_table(old);
    }
    if (set_base_table(v, v->next_top_mfn, false) ||
        (v->next_user_top_mfn &&
         set_base_table(v, v->next_user_top_mfn, true))) {
        monitor_crash(NULL, "a vCPU's page tables are gone");
    }
    put_next_tables(v);
}

/* Flush for another vCPU, which changed tables that this one may be using */
void flush_for_others(struct vcpu *v, ulong what)
{
    if (what == FLUSH_ALL) {
        reload_base_tables(v);
        flush_tlb();
    } else {
        invlpg(what & ~(PAGE_SIZE - 1));
        /* The level-1 table may be another one, so its linear mapping, too */
        invlpg((ulong)linear_entry(what) & ~(PAGE_SIZE - 1));
    }
}
