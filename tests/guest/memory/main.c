/*
 * Frames can be given back and asked for, and lists of them are true.
 *
 * A kernel balloons: it gives frames to the hypervisor, which may then no
 * longer be mapped, and gets others (or the same) back, whose entries in the
 * machine-to-physical table it is told to be its own. A frame that stays
 * usable after it was given back, or that comes without such an entry, breaks
 * the kernel's page-table code, which translates by that table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static long memory_op(unsigned cmd, void *arg)
{
    return HYPERCALL(memory_op, cmd, arg);
}

static void sizes(void)
{
    uint16_t self = DOMID_SELF, nobody = 0x1234;
    struct xen_machphys_mapping m;
    long current = memory_op(XENMEM_current_reservation, &self);
    long maximum = memory_op(XENMEM_maximum_reservation, &self);

    check(current > 0, "current_reservation: %ld", current);
    check(maximum >= current, "maximum_reservation: %ld", maximum);
    check_ret(memory_op(XENMEM_current_reservation, &nobody), -ESRCH,
              "current_reservation of nobody");
    check_ret(memory_op(XENMEM_machphys_mapping, &m), 0, "machphys_mapping");
    check_eq(m.v_start, (ulong)machine_to_phys, "where the M2P begins");
    for (ulong pfn = 0; pfn < start_info->nr_pages; pfn++) {
        if (pfn_to_mfn(pfn) > m.max_mfn) {
            failure("mfn %lx of pfn %lx is beyond the end of the M2P",
                    pfn_to_mfn(pfn), pfn);
            break;
        }
    }
}

static void balloon(void)
{
    ulong pfn = alloc_pfn(), mfn = pfn_to_mfn(pfn);
    ulong *p2m = (ulong *)start_info->mfn_list;
    uint16_t self = DOMID_SELF;
    long before = memory_op(XENMEM_current_reservation, &self);
    xen_pfn_t frame = mfn;
    struct memory_reservation r = { &frame, 1, 0, 0, DOMID_SELF };
    long ret;

    /* Mapped frames stay: this one is, at TEST_VA */
    map_page(TEST_VA, make_pte(mfn, PAGE_KERNEL));
    *(volatile ulong *)TEST_VA = 0x1234;
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);

    /* As Linux does: the M2P entry goes first */
    mmu_update(((uint64_t)mfn << PAGE_SHIFT) | MMU_MACHPHYS_UPDATE, ~0UL);
    p2m[pfn] = ~0UL;
    check_ret(memory_op(XENMEM_decrease_reservation, &r), 1,
              "decrease_reservation");
    check_ret(memory_op(XENMEM_current_reservation, &self), before - 1,
              "current_reservation after it");
    ret = update_va_mapping(TEST_VA, make_pte(mfn, PAGE_KERNEL), UVMF_INVLPG);
    check(ret < 0, "a frame that was given back can be mapped");
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
    frame = mfn;
    check_ret(memory_op(XENMEM_decrease_reservation, &r), 0,
              "decrease_reservation again");

    frame = pfn;
    check_ret(memory_op(XENMEM_populate_physmap, &r), 1, "populate_physmap");
    mfn = frame;
    check_eq(machine_to_phys[mfn], pfn, "the M2P entry of the new frame");
    check_ret(memory_op(XENMEM_current_reservation, &self), before,
              "current_reservation after it");
    p2m[pfn] = mfn;
    map_page(TEST_VA, make_pte(mfn, PAGE_KERNEL));
    *(volatile ulong *)TEST_VA = 0x5678;
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);

    r.extent_start = (void *)(IS_64BIT ? (ulong)0x300000000000ULL :
                                         0x30000000UL);
    check_ret(memory_op(XENMEM_decrease_reservation, &r), 0,
              "decrease_reservation with a bad pointer");
    r.nr_extents = 0;
    check_ret(memory_op(XENMEM_decrease_reservation, &r), 0,
              "decrease_reservation of nothing");
}

/* None for several in a row */
static void extents(void)
{
    xen_pfn_t extent = ((ulong *)start_info->mfn_list)[alloc_pfn()] & ~3UL;
    struct memory_reservation r = { &extent, 1, 2, 0, DOMID_SELF };

    if (is_initdomain()) {
        return;
    }
    check_ret(memory_op(XENMEM_decrease_reservation, &r), 0,
              "decrease_reservation of an extent of 4");
    check_ret(memory_op(XENMEM_populate_physmap, &r), 0,
              "populate_physmap of an extent of 4");
}

void test_main(void)
{
    sizes();
    balloon();
    extents();
}
