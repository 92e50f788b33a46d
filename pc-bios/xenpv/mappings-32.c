/*
 * The monitor's own mappings, 32-bit: entries of the top GiB's level-2 table
 *
 * Half a level-1 table maps each vCPU's area. Only the vCPU itself changes its
 * windows onto guest frames (frame.h), so no other TLB has to be flushed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

void map_area_page(struct vcpu *v, int page, u64 pte)
{
    v->area_l1[page] = pte;
    invlpg((ulong)v - VCPU_OFFSET + page * PAGE_SIZE);
}

/* Map a frame where mapped_frame() looks for it */
void map_window(ulong mfn)
{
    struct vcpu *v = current_vcpu();
    unsigned i = mfn % AREA_WINDOW_PAGES;

    v->window[i] = mfn;
    map_area_page(v, AREA_WINDOW + i, (u64)mfn << 12 | PTE_DATA);
}

/* l1: the vCPU's entries in an L1 table, which has another vCPU's, too */
void map_vcpu_area(u32 id, u64 *l1)
{
    u64 entry = (core_gpa(l1) & ~(PAGE_SIZE - 1)) | PTE_P | PTE_RW | PTE_A;
    unsigned i = id / VCPU_AREAS_PER_L1;

    /* The tables in use now are the boot tables of entry-32.S */
    hv_entries[HV_AREA + i] = entry;
    boot_hv_l2[HV_SLOT + HV_AREA + i] = entry;
}

void init_own_mappings(u64 data)
{
    u64 tables = boot_info->tables_gpa;
    u64 off;

    for (off = 0; off < boot_info->m2p_size; off += TABLES_2M) {
        hv_entries[HV_M2P + (off >> 21)] = (tables + off) | data;
    }
    map_core(&hv_entries[HV_CORE]);
    tables += boot_info->m2p_size;
    for (off = 0; off < boot_info->frame_table_size; off += TABLES_2M) {
        hv_entries[HV_FRAME_TABLE + (off >> 21)] = (tables + off) | data |
                                                   PTE_RW;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(hv_entries); i++) {
        boot_hv_l2[HV_SLOT + i] = hv_entries[i];
    }
}
