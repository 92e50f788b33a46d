/*
 * The monitor's own mappings, 64-bit: entries of every level-4 table
 *
 * The monitor has all guest memory mapped. User mode's tables have a much
 * smaller set of entries.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"

frame_info_t *frame_table;
static u64 *area_l2;

/*
 * User mode's tables have this instead of HV_CORE: only what the CPU needs to
 * enter and leave ring 0. So a program that uses Meltdown can read no memory of
 * the guest kernel there, but for its descriptor tables.
 */
u64 hv_user_core;
static u64 *user_area_l2;

/* The descriptor tables, the stub, the stacks, struct vcpu, TSS and IDT */
static bool in_user_tables(int page)
{
    return page < AREA_VCPU_INFO || (page >= AREA_STUB && page < AREA_PDPT);
}

void map_area_page(struct vcpu *v, int page, u64 pte)
{
    v->area_l1[page] = pte;
    if (in_user_tables(page)) {
        v->user_area_l1[page] = pte;
    }
    invlpg((ulong)v - VCPU_OFFSET + page * PAGE_SIZE);
}

/* l1: the vCPU's L1 table */
void map_vcpu_area(u32 id, u64 *l1)
{
    struct vcpu *v = (struct vcpu *)(VCPU_VIRT + (ulong)id * VCPU_AREA_SIZE +
                                     VCPU_OFFSET);
    u64 *user_l1 = new_table(&user_area_l2[id]);

    area_l2[id] = core_gpa(l1) | PTE_P | PTE_RW | PTE_A;
    for (int page = 0; page < 512; page++) {
        if (in_user_tables(page)) {
            user_l1[page] = l1[page];
        }
    }
    v->user_area_l1 = user_l1;
}

/* Code and constants alone */
static void map_code(u64 *l1)
{
    for (ulong virt = CORE_VIRT; virt < (ulong)rodata_end; virt += PAGE_SIZE) {
        l1[(virt - CORE_VIRT) / PAGE_SIZE] = core_pte(virt);
    }
}

void init_own_mappings(u64 data)
{
    u64 tables = boot_info->tables_gpa;
    u64 end = tables + boot_info->m2p_size + boot_info->frame_table_size;
    u64 *l3, *l2 = NULL;

    /* The core region and the vCPU areas, a GiB each */
    l3 = new_table(&hv_entries[HV_CORE]);
    map_core(new_table(&l3[0]));
    area_l2 = new_table(&l3[1]);

    l3 = new_table(&hv_user_core);
    l2 = new_table(&l3[0]);
    map_code(new_table(&l2[0]));
    user_area_l2 = new_table(&l3[1]);

    l3 = new_table(&hv_entries[HV_M2P]);
    for (u64 off = 0; off < boot_info->m2p_size; off += TABLES_2M) {
        if (!(off & 0x3fffffff)) {
            l2 = new_table(&l3[off >> 30]);
        }
        /* Read-only for the guest; the monitor writes through HV_DIRECT */
        l2[off >> 21 & 511] = (tables + off) | data;
    }

    l3 = new_table(&hv_entries[HV_DIRECT]);
    for (u64 gpa = 0; gpa < end; gpa += TABLES_2M) {
        if (!(gpa & 0x3fffffff)) {
            l2 = new_table(&l3[gpa >> 30]);
        }
        if (gpa < XENPV_HOLE_START + XENPV_CORE_SIZE ||
            gpa >= XENPV_HOLE_END) {
            l2[gpa >> 21 & 511] = gpa | data | PTE_RW;
        }
    }
    frame_table = (frame_info_t *)(XENPV_DIRECT_VIRT_64 + tables +
                                   boot_info->m2p_size);
    for (unsigned i = 0; i < ARRAY_SIZE(hv_entries); i++) {
        boot_l4[HV_SLOT + i] = hv_entries[i];
    }
}
