/*
 * A domain that starts with less memory than it may have knows what it has.
 *
 * With maxmem= the list of frames has those of the start alone, and the memory map
 * goes on to the end. A kernel takes the frames in between for absent until it has
 * asked for them, which it may up to what domain 0 lets it have. If they were
 * usable, or their entries in the machine-to-physical table valid, what it gets
 * later would be somebody's already. And what it gets is clean: not even what it
 * had there itself before it gave it back, because the host's memory may have
 * been another's since.
 *
 * memory: 64M,maxmem=160M
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define START_PAGES (64UL << 8)
#define MAX_PAGES   (160UL << 8)

static long memory_op(unsigned cmd, void *arg)
{
    return HYPERCALL(memory_op, cmd, arg);
}

static void sizes(void)
{
    struct __attribute__((packed)) {
        uint64_t addr, size;
        uint32_t type;
    } entries[4];
    struct {
        unsigned nr_entries;
        void *buffer;
    } map = { ARRAY_SIZE(entries), entries };
    uint16_t self = DOMID_SELF;

    check_eq(start_info->nr_pages, START_PAGES, "start_info->nr_pages");
    check_ret(memory_op(XENMEM_current_reservation, &self), START_PAGES,
              "current_reservation");
    check_ret(memory_op(XENMEM_maximum_reservation, &self), START_PAGES,
              "maximum_reservation");
    check_ret(memory_op(XENMEM_memory_map, &map), 0, "memory_map");
    check_eq(map.nr_entries, 1, "ranges in the memory map");
    check_eq(entries[0].addr, 0, "where it starts");
    check_eq(entries[0].size, MAX_PAGES << PAGE_SHIFT, "its size");
}

/* Frames are numbered as pages here, below the hole */
static void absent(void)
{
    ulong last = START_PAGES - 1;

    check_eq(machine_to_phys[last], last, "the M2P entry of the last frame");
    for (ulong mfn = START_PAGES; mfn < MAX_PAGES; mfn += 1021) {
        xen_pfn_t frame = mfn;
        struct memory_reservation r = { &frame, 1, 0, 0, DOMID_SELF };

        check_eq(machine_to_phys[mfn], ~0UL, "the M2P entry of frame %lx", mfn);
        check(update_va_mapping(TEST_VA, make_pte(mfn, PAGE_KERNEL),
                                UVMF_INVLPG) < 0,
              "frame %lx, which is not there, can be mapped", mfn);
        check_ret(memory_op(XENMEM_decrease_reservation, &r), 0,
                  "decrease_reservation of it");
    }
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
}

/* Up to the maximum and no further; what was given back can be had again */
static void limit(void)
{
    ulong *p2m = (ulong *)start_info->mfn_list;
    xen_pfn_t frames[600];
    ulong pfns[600];
    struct memory_reservation r = { frames, 1, 0, 0, DOMID_SELF };
    uint16_t self = DOMID_SELF;
    unsigned n = ARRAY_SIZE(frames);

    frames[0] = START_PAGES;
    check_ret(memory_op(XENMEM_populate_physmap, &r), 0,
              "populate_physmap beyond the maximum");
    check_ret(memory_op(XENMEM_increase_reservation, &r), 0,
              "increase_reservation beyond it");

    /* More than the machine is told of at a time */
    for (unsigned i = 0; i < n; i++) {
        pfns[i] = alloc_pfn();
        frames[i] = p2m[pfns[i]];
        map_page(TEST_VA, make_pte(frames[i], PAGE_KERNEL));
        *(volatile ulong *)(TEST_VA + 8) = 0xdead0000 + i;
        update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
        p2m[pfns[i]] = ~0UL;
    }
    r.nr_extents = n;
    check_ret(memory_op(XENMEM_decrease_reservation, &r), n,
              "decrease_reservation");
    check_ret(memory_op(XENMEM_current_reservation, &self), START_PAGES - n,
              "current_reservation after it");
    for (unsigned i = 0; i < n; i++) {
        frames[i] = pfns[i];
    }
    check_ret(memory_op(XENMEM_populate_physmap, &r), n, "populate_physmap");
    check_ret(memory_op(XENMEM_current_reservation, &self), START_PAGES,
              "current_reservation after it");
    for (unsigned i = 0; i < n; i++) {
        p2m[pfns[i]] = frames[i];
        check_eq(machine_to_phys[frames[i]], pfns[i], "the M2P entry");
        map_page(TEST_VA, make_pte(frames[i], PAGE_KERNEL));
        if (*(volatile ulong *)(TEST_VA + 8)) {
            failure("frame %lx is not clean", (ulong)frames[i]);
            break;
        }
    }
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
    frames[0] = START_PAGES;
    r.nr_extents = 1;
    check_ret(memory_op(XENMEM_populate_physmap, &r), 0,
              "populate_physmap of one more");
}

void test_main(void)
{
    if (is_initdomain()) {
        skip("domain 0 is not started ballooned");
        return;
    }
    sizes();
    absent();
    limit();
}
