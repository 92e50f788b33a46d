/*
 * HYPERVISOR_memory_op: giving memory back, taking it again, asking about it
 *
 * dispatch.S calls it on the vCPU that asks. A frame is released, or taken
 * again, with tables_lock held, and only while nothing uses it. Frame numbers
 * are guest-physical, and no device needs contiguous frames or frames below
 * some address: so extents have order 0, and there is no exchange of frames.
 * refused.c has the operations that are for other kinds of domains.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"
#include "hw/xen/interface/memory.h"

/*
 * Frames that the domain does not have are marked as released, both those that
 * it has given back and those that it may still grow by. The machine is told
 * which ones the domain gives back, and returns their memory to the host.
 */
static ulong pool_next, nr_released;

/*
 * What the machine has not been told yet; protected by tables_lock, like
 * nr_released. The machine is told before any frame is taken again, so that the
 * host does not discard a frame in use.
 */
static struct xenpv_reservation change;
static ulong told_released;

static ulong nr_held(void)
{
    return boot_info->nr_pages - nr_released;
}

/* The machine may change it at any time; lowering it takes no frame away */
static ulong max_pages(void)
{
    return *(volatile ulong *)&boot_info->max_pages;
}

static void tell_machine(void)
{
    if (change.nr_frames || told_released != nr_released) {
        change.nr_pages = nr_held();
        told_released = nr_released;
        machine_call(XENPV_CALL_MEMORY, 0, &change,
                     offsetof(struct xenpv_reservation,
                              frames[change.nr_frames]));
        change.nr_frames = 0;
    }
}

/* A released frame as page pfn, or NO_FRAME. Called with tables_lock held. */
static ulong take_frame(ulong pfn)
{
    ulong end = high_pages ? FOUR_GIB_MFN + high_pages : low_end;

    if (change.nr_frames) {
        tell_machine();
    }
    for (ulong tried = 0; nr_released && tried < end; tried++) {
        ulong mfn = pool_next < end ? pool_next : 0;

        pool_next = mfn + 1;
        if (mfn_level(mfn) == FI_RELEASED) {
            frame_table[mfn] = 0;
            nr_released--;
            set_m2p(mfn, pfn == NO_FRAME ? mfn : pfn);
            memset(frame(mfn), 0, PAGE_SIZE);
            return mfn;
        }
    }
    return NO_FRAME;
}

static void release_frame(ulong mfn)
{
    set_m2p(mfn, NO_FRAME);
    frame_table[mfn] = (u32)FI_RELEASED << FI_TYPE_SHIFT;
    nr_released++;
    if (change.nr_frames == ARRAY_SIZE(change.frames)) {
        tell_machine();
    }
    change.frames[change.nr_frames++] = mfn;
}

/* The use of a given-back frame has ended. Called with tables_lock held. */
void release_unused_frame(ulong mfn)
{
    release_frame(mfn);
    tell_machine();
}

/*
 * Release a frame; if it is a table or part of a GDT, only when it ceases to be
 * one: GNU Mach gives tables back from the bottom up. False: there is no such.
 */
static bool give_back(ulong mfn)
{
    frame_info_t info;
    bool held;

    spin_lock(&tables_lock);
    info = mfn_is_ram(mfn) ? frame_table[mfn] : FI_GIVEN_BACK;
    held = FI_TYPE(info) != FI_RELEASED && !(info & FI_GIVEN_BACK);
    if (held && info) {
        set_info(mfn, FI_GIVEN_BACK);
        set_m2p(mfn, NO_FRAME);
    } else if (held) {
        release_frame(mfn);
    }
    spin_unlock(&tables_lock);
    return held;
}

/* Add a frame as page pfn, and write its number to the guest's to, if not 0 */
static bool populate(ulong pfn, ulong to)
{
    ulong mfn;

    spin_lock(&tables_lock);
    mfn = nr_held() < max_pages() ? take_frame(pfn) : NO_FRAME;
    spin_unlock(&tables_lock);
    if (mfn != NO_FRAME && to && copy_to_guest(to, &mfn, sizeof(mfn))) {
        give_back(mfn);
        mfn = NO_FRAME;
    }
    return mfn != NO_FRAME;
}

/* Returns how many of the list's extents have been done */
static ulong change_reservation(unsigned op, ulong arg)
{
    struct xen_memory_reservation r;
    ulong list, i;

    if (copy_from_guest(&r, arg, sizeof(r)) || r.nr_extents > ~0u >> 6 ||
        !domid_is_own(r.domid) || r.extent_order) {
        return 0;
    }
    /* A limit on the frames' addresses, as for devices */
    if (op != XENMEM_decrease_reservation && (r.mem_flags & 0xff)) {
        return 0;
    }
    list = *(ulong *)&r.extent_start;
    if (!access_ok(list, r.nr_extents * sizeof(ulong))) {
        return 0;
    }
    for (i = 0; i < r.nr_extents; i++) {
        ulong at = list + i * sizeof(ulong), nr = NO_FRAME;
        bool done;

        let_interrupts_in();
        if (op != XENMEM_increase_reservation &&
            copy_from_guest(&nr, at, sizeof(nr))) {
            break;
        }
        if (op == XENMEM_decrease_reservation) {
            done = give_back(nr);
        } else {
            /* XENMEM_increase_reservation may come without a list */
            done = populate(nr, list || op == XENMEM_populate_physmap ? at : 0);
        }
        if (!done) {
            break;
        }
    }
    spin_lock(&tables_lock);
    tell_machine();
    spin_unlock(&tables_lock);
    return i;
}

void init_memory(void)
{
    pool_next = boot_info->start_pages;
    if (pool_next >= XENPV_HOLE_START >> 12) {
        pool_next += XENPV_HOLE_PAGES;
    }
    nr_released = told_released = boot_info->nr_pages - boot_info->start_pages;
}

/* The domain's memory map: one range, of all that it may ever have */
static long get_memory_map(ulong arg)
{
    const struct {
        u64 addr, size;
        u32 type;
    } __attribute__((packed)) e820 = {
        0, (u64)boot_info->nr_pages << 12, 1
    };
    struct xen_memory_map map;

    if (copy_from_guest(&map, arg, sizeof(map))) {
        return -EFAULT;
    }
    if (map.nr_entries) {
        map.nr_entries = 1;
        if (copy_to_guest(*(ulong *)&map.buffer, &e820, sizeof(e820))) {
            return -EFAULT;
        }
    }
    return copy_to_guest(arg, &map, sizeof(map));
}

static long reservation(unsigned op, ulong arg)
{
    u16 dom;

    if (copy_from_guest(&dom, arg, sizeof(dom))) {
        return -EFAULT;
    }
    if (!domid_is_own(dom)) {
        return dom ? -ESRCH : -EPERM;
    }
    switch (op) {
    case XENMEM_current_reservation:
        return nr_held();
    case XENMEM_maximum_gpfn:
        return shared->arch.max_pfn ? shared->arch.max_pfn - 1 : 0;
    }
    return max_pages();
}

HYPERCALL(do_memory_op)
{
    struct xen_machphys_mapping mm;

    switch (a1) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return change_reservation(a1, a2);
    case XENMEM_maximum_ram_page:
        return boot_info->max_mfn;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return reservation(a1, a2);
    case XENMEM_machphys_mapping:
        mm.v_start = M2P_VIRT;
        mm.v_end = M2P_VIRT + boot_info->m2p_size;
        mm.max_mfn = boot_info->max_mfn - 1;
        return copy_to_guest(a2, &mm, sizeof(mm));
    case XENMEM_memory_map:
        return get_memory_map(a2);
    }
    return refuse(__HYPERVISOR_memory_op, a1);
}
