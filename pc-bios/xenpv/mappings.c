/*
 * The monitor's own mappings, in both widths
 *
 * init.c calls init_page_tables() before any guest runs, with the boot tables
 * of entry-*.S in use. Afterwards only the machine-to-physical table changes:
 * it is the guest's, which may set any entry, so the monitor never relies on
 * it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"
#include "msr.h"

u64 hv_entries[HV_SLOT_END - HV_SLOT];
ulong low_end, high_pages;
u64 nx;

/* May the guest map this frame? It is RAM, or shared with the guest */
bool guest_mfn_valid(ulong mfn)
{
    return likely(mfn_is_ram(mfn)) ||
           mfn == (XENPV_CORE_GPA + XENPV_CORE_SHARED_INFO) >> 12 ||
           mfn - ((XENPV_CORE_GPA + XENPV_CORE_GRANT_TABLE) >> 12) <
               2 * XENPV_CORE_GRANT_PAGES;
}

/* The entry for a page of the core region: the image is W^X, the rest data */
u64 core_pte(ulong virt)
{
    u64 pte = core_gpa((void *)virt) | PTE_P | PTE_A | PTE_D;

    if (virt < (ulong)text_end) {
        return pte;
    }
    return virt < (ulong)rodata_end ? pte | nx : pte | nx | PTE_RW;
}

/* Make a table of the monitor's; the entry leads to it, for supervisors only */
u64 *new_table(u64 *entry)
{
    u64 *table = alloc_page();

    *entry = core_gpa(table) | PTE_P | PTE_RW | PTE_A;
    return table;
}

void map_core(u64 *l2)
{
    u64 *l1 = new_table(&l2[0]);

    for (int i = 0; i < 512; i++) {
        l1[i] = core_pte(CORE_VIRT + i * PAGE_SIZE);
    }
    for (ulong i = 1; i < XENPV_CORE_SIZE / TABLES_2M; i++) {
        l2[i] = (XENPV_CORE_GPA + i * TABLES_2M) | nx | PTE_DATA | PTE_PSE;
    }
}

void init_page_tables(void)
{
    u32 features[4];

    cpuid(0x80000001, features);
    nx = features[3] & 1 << 20 ? PTE_NX : 0;
    low_end = boot_info->nr_pages;
    if (low_end > XENPV_HOLE_START >> 12) {
        low_end = XENPV_HOLE_START >> 12;
    }
    high_pages = boot_info->nr_pages - low_end;
    init_own_mappings(nx | PTE_P | PTE_A | PTE_D | PTE_PSE);
    flush_tlb();
}

/* At M2P_VIRT the M2P is read-only, so write to its frames instead */
void set_m2p(ulong mfn, ulong pfn)
{
    ulong per_frame = PAGE_SIZE / sizeof(ulong);
    ulong m2p_mfn = (boot_info->tables_gpa >> 12) + mfn / per_frame;

    ((ulong *)frame(m2p_mfn))[mfn % per_frame] = pfn;
}
