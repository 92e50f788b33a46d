/*
 * HYPERVISOR_memory_op: giving back memory, getting it again, asking what there is
 *
 * dispatch.S calls it on the vCPU that asks; frames.c releases frames that the guest
 * has given away. A frame is released, or taken again, with
 * tables_lock held, and only if nothing uses it. Last come the operations that are
 * for domains of other kinds, or for who looks after other domains: what each says
 * to this one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "page_tables.h"
#include "hw/xen/interface/memory.h"

/*
 * The domain has all of its memory from the start and keeps it: frames that it
 * gives back are only remembered as released, and can be had again.
 */
static ulong pool_next, nr_released;

/*
 * 2^order frames in a row, aligned as Xen's allocator does, that the guest has
 * given back, all of them below 2^bits if that is not 0
 */
static ulong released_extent(unsigned order, unsigned bits)
{
    ulong end = high_pages ? FOUR_GIB_MFN + high_pages : low_end;
    ulong size = 1UL << order, mfn, n;

    if (bits && bits - 12 < 8 * sizeof(ulong) && end > 1UL << (bits - 12)) {
        end = 1UL << (bits - 12);
    }
    for (ulong tried = 0; nr_released >= size && tried < end; tried += size) {
        mfn = pool_next & ~(size - 1);
        if (mfn + size > end) {
            pool_next = mfn = 0;
        }
        pool_next = mfn + size;
        for (n = 0; n < size && table_level(mfn + n) == FI_RELEASED; n++) {
        }
        if (n == size) {
            return mfn;
        }
    }
    return NO_FRAME;
}

/* The guest has it again, as these pages */
static void take_extent(ulong mfn, unsigned order, ulong pfn)
{
    for (ulong n = 0; n < 1UL << order; n++) {
        frame_table[mfn + n] = 0;
        nr_released--;
        set_m2p(mfn + n, pfn == NO_FRAME ? mfn + n : pfn + n);
        memset(frame(mfn + n), 0, PAGE_SIZE);
    }
}

/* Frames that the guest has, and that are nothing but memory */
static bool plain_extent(ulong mfn, unsigned order)
{
    for (ulong n = 0; n < 1UL << order; n++) {
        if (!mfn_is_ram(mfn + n) || frame_table[mfn + n]) {
            return false;
        }
    }
    return true;
}

void release_frame(ulong mfn)
{
    set_m2p(mfn, NO_FRAME);
    frame_table[mfn] = (u32)FI_RELEASED << FI_TYPE_SHIFT;
    nr_released++;
}

static void release_extent(ulong mfn, unsigned order)
{
    for (ulong n = 0; n < 1UL << order; n++) {
        release_frame(mfn + n);
    }
}

/* A frame that is in use as a table goes when it is not any more */
static bool give_back(ulong mfn)
{
    if (!mfn_is_ram(mfn) || table_level(mfn) == FI_RELEASED) {
        return false;
    }
    if (frame_table[mfn]) {
        set_info(mfn, FI_LEAVING);
    } else {
        release_frame(mfn);
    }
    return true;
}

/* Both return how many extents were done, counted from the domain's list */
static ulong decrease_reservation(const struct xen_memory_reservation *r,
                                  ulong i)
{
    ulong list = *(ulong *)&r->extent_start;
    ulong mfn;

    for (; i < r->nr_extents; i++) {
        ulong n = 0;

        let_interrupts_in();
        if (copy_from_guest(&mfn, list + i * sizeof(ulong), sizeof(mfn))) {
            break;
        }
        spin_lock(&tables_lock);
        while (n < 1UL << r->extent_order && give_back(mfn + n)) {
            n++;
        }
        spin_unlock(&tables_lock);
        if (n < 1UL << r->extent_order) {
            break;
        }
    }
    return i;
}

/* physmap: the list says as which pages; else it may be missing */
static ulong populate_physmap(const struct xen_memory_reservation *r, ulong i,
                              bool physmap)
{
    ulong list = *(ulong *)&r->extent_start;
    unsigned bits = r->mem_flags & 0xff;
    ulong pfn = NO_FRAME, mfn;

    for (; i < r->nr_extents; i++) {
        let_interrupts_in();
        if (physmap && copy_from_guest(&pfn, list + i * sizeof(ulong),
                                       sizeof(pfn))) {
            break;
        }
        spin_lock(&tables_lock);
        mfn = released_extent(r->extent_order, bits);
        if (mfn != NO_FRAME) {
            take_extent(mfn, r->extent_order, pfn);
        }
        spin_unlock(&tables_lock);
        if (mfn == NO_FRAME) {
            break;
        }
        if ((physmap || list) &&
            copy_to_guest(list + i * sizeof(ulong), &mfn, sizeof(mfn))) {
            spin_lock(&tables_lock);
            release_extent(mfn, r->extent_order);
            spin_unlock(&tables_lock);
            break;
        }
    }
    return i;
}

#define MAX_ORDER   9           /* of what a domU may ask for in one piece */

static ulong change_reservation(unsigned op, ulong start, ulong arg)
{
    struct xen_memory_reservation r;

    if (copy_from_guest(&r, arg, sizeof(r)) || r.nr_extents > ~0u >> 6 ||
        start >= r.nr_extents || !domid_is_own(r.domid) ||
        r.extent_order > MAX_ORDER ||
        !access_ok(*(ulong *)&r.extent_start, r.nr_extents * sizeof(ulong))) {
        return start;
    }
    return op == XENMEM_decrease_reservation ?
           decrease_reservation(&r, start) :
           populate_physmap(&r, start, op == XENMEM_populate_physmap);
}

/*
 * Exchange. Frame numbers are guest-physical ones, so single frames that have
 * no address limit, or are below it, are what the guest wants already: they
 * keep their numbers. For others there has to be memory that it has given back.
 */
static long exchange_chunk(const struct xen_memory_exchange *x, ulong chunk,
                           unsigned in_order, unsigned out_order)
{
    unsigned order = in_order > out_order ? in_order : out_order;
    ulong nr_in = 1UL << (order - in_order);
    ulong nr_out = 1UL << (order - out_order);
    ulong in = *(ulong *)&x->in.extent_start + chunk * nr_in * sizeof(ulong);
    ulong out = *(ulong *)&x->out.extent_start + chunk * nr_out * sizeof(ulong);
    unsigned bits = x->out.mem_flags & 0xff;
    ulong mfn, pfn, i;
    long ret = 0;

    if (nr_in > 512 || nr_out > 512) {
        return -EINVAL;
    }
    if (!in_order && !out_order) {
        if (copy_from_guest(&mfn, in, sizeof(mfn)) ||
            copy_from_guest(&pfn, out, sizeof(pfn))) {
            return -EFAULT;
        }
        if (!plain_extent(mfn, 0)) {
            return -EINVAL;
        }
        if (!bits || bits >= 52 || (u64)mfn < 1ULL << (bits - 12)) {
            memset(frame(mfn), 0, PAGE_SIZE);
            set_m2p(mfn, pfn);
            return copy_to_guest(out, &mfn, sizeof(mfn));
        }
    }
    /* What is given and where it goes, before anything is changed */
    for (i = 0; i < nr_in; i++) {
        if (copy_from_guest(&mfn, in + i * sizeof(ulong), sizeof(mfn))) {
            return -EFAULT;
        }
        if (!plain_extent(mfn, in_order)) {
            return -EINVAL;
        }
    }
    spin_lock(&tables_lock);
    for (i = 0; i < nr_out && !ret; i++) {
        ulong at = out + i * sizeof(ulong);

        mfn = released_extent(out_order, bits);
        if (mfn == NO_FRAME) {
            ret = -ENOMEM;
        } else if (copy_from_guest(&pfn, at, sizeof(pfn))) {
            ret = -EFAULT;
        } else {
            take_extent(mfn, out_order, pfn);
            if (copy_to_guest(at, &mfn, sizeof(mfn))) {
                release_extent(mfn, out_order);
                ret = -EFAULT;
            }
        }
    }
    if (ret) {
        /* Those before it: the guest has their numbers, and may not keep them */
        while (i-- > 1) {
            if (!copy_from_guest(&mfn, out + (i - 1) * sizeof(ulong),
                                 sizeof(mfn)) &&
                plain_extent(mfn, out_order)) {
                release_extent(mfn, out_order);
            }
        }
    } else {
        for (i = 0; i < nr_in; i++) {
            if (!copy_from_guest(&mfn, in + i * sizeof(ulong), sizeof(mfn)) &&
                plain_extent(mfn, in_order)) {
                release_extent(mfn, in_order);
            }
        }
    }
    spin_unlock(&tables_lock);
    return ret;
}

static long memory_exchange(ulong arg)
{
    struct xen_memory_exchange x;
    unsigned in_order, out_order, order;
    ulong chunks, done;
    long ret = 0;

    if (copy_from_guest(&x, arg, sizeof(x))) {
        return -EFAULT;
    }
    in_order = x.in.extent_order;
    out_order = x.out.extent_order;
    order = in_order > out_order ? in_order : out_order;
    if (order > MAX_ORDER) {
        return -EPERM;
    }
    if (x.nr_exchanged > x.in.nr_extents || x.in.domid != x.out.domid ||
        x.in.nr_extents > ~0UL >> in_order ||
        x.out.nr_extents > ~0UL >> out_order ||
        x.in.nr_extents << in_order != x.out.nr_extents << out_order) {
        return -EINVAL;
    }
    if (x.nr_exchanged == x.in.nr_extents) {
        return 0;
    }
    if (!access_ok(*(ulong *)&x.in.extent_start,
                   x.in.nr_extents * sizeof(ulong)) ||
        !access_ok(*(ulong *)&x.out.extent_start,
                   x.out.nr_extents * sizeof(ulong))) {
        return -EFAULT;
    }
    if (!domid_is_own(x.in.domid)) {
        return x.in.domid ? -ESRCH : -EPERM;
    }
    chunks = x.in.nr_extents >> (order - in_order);
    done = x.nr_exchanged >> (order - in_order);
    for (; done < chunks && !ret; done += !ret) {
        let_interrupts_in();
        ret = exchange_chunk(&x, done, in_order, out_order);
    }
    x.nr_exchanged = done << (order - in_order);
    if (copy_to_guest(arg, &x, sizeof(x))) {
        return -EFAULT;
    }
    return ret;
}

/* The domain's memory map: one range, until it sets its own, which we keep */
#define E820_MAX            200     /* entries: as many as a page has room for */
#define XEN_E820_MAX        1024
struct e820 {
    u64 addr, size;
    u32 type;
} __attribute__((packed));
static struct e820 *e820;
static u32 nr_e820 = 1;
_Static_assert(E820_MAX * sizeof(struct e820) <= PAGE_SIZE, "");

void init_memory_map(void)
{
    e820 = alloc_page();
    e820[0] = (struct e820) { 0, (u64)boot_info->nr_pages << 12, 1 };
}

/* Not a lock for who reads it: a domain has no use for two at once */
static long set_memory_map(ulong arg)
{
    struct {
        u16 domid;
        struct xen_memory_map map;
    } fmap;
    ulong size;

    if (copy_from_guest(&fmap, arg, sizeof(fmap))) {
        return -EFAULT;
    }
    if (fmap.map.nr_entries > XEN_E820_MAX) {
        return -EINVAL;
    }
    if (!domid_is_own(fmap.domid)) {
        return fmap.domid ? -ESRCH : -EPERM;
    }
    if (fmap.map.nr_entries > E820_MAX) {
        return -ENOMEM;
    }
    size = fmap.map.nr_entries * sizeof(struct e820);
    if (!guest_readable(*(ulong *)&fmap.map.buffer, size) ||
        copy_from_guest(e820, *(ulong *)&fmap.map.buffer, size)) {
        return -EFAULT;
    }
    nr_e820 = fmap.map.nr_entries;
    return 0;
}

static long get_memory_map(ulong arg)
{
    struct xen_memory_map map;

    if (copy_from_guest(&map, arg, sizeof(map))) {
        return -EFAULT;
    }
    if (!nr_e820) {
        return -ENOSYS;
    }
    if (map.nr_entries > nr_e820) {
        map.nr_entries = nr_e820;
    }
    return copy_to_guest(*(ulong *)&map.buffer, e820,
                         map.nr_entries * sizeof(struct e820)) ||
           copy_to_guest(arg, &map, sizeof(map)) ? -EFAULT : 0;
}

static long machphys_mfn_list(ulong arg)
{
    struct xen_machphys_mfn_list mml;
    ulong i;

    if (copy_from_guest(&mml, arg, sizeof(mml))) {
        return -EFAULT;
    }
    for (i = 0; i < mml.max_extents && i < boot_info->m2p_size >> 21; i++) {
        ulong mfn = (boot_info->tables_gpa >> 12) + i * 512;

        if (copy_to_guest(*(ulong *)&mml.extent_start + i * sizeof(ulong), &mfn,
                          sizeof(mfn))) {
            return -EFAULT;
        }
    }
    mml.nr_extents = i;
    return copy_to_guest(arg, &mml, sizeof(mml));
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
        return boot_info->nr_pages - nr_released;
    case XENMEM_maximum_gpfn:
        return shared->arch.max_pfn ? shared->arch.max_pfn - 1 : 0;
    }
    return boot_info->nr_pages;
}

/* Numbers and structures that QEMU's copy of public/memory.h does not have */
#define XENMEM_remove_from_physmap          15
#define XENMEM_set_pod_target               16
#define XENMEM_get_pod_target               17
#define XENMEM_get_sharing_freed_pages      18
#define XENMEM_get_sharing_shared_pages     19
#define XENMEM_access_op                    21
#define XENMEM_add_to_physmap_batch         23
#define XENMEM_claim_pages                  24
#define XENMEM_get_vnumainfo                26
#define XENMEM_reserved_device_memory_map   27
#define XENMEM_RDM_ALL                      1
#define XENMEM_acquire_resource             28

#define XENMAPSPACE_gmfn_range              3
#define XENMAPSPACE_gmfn_foreign            4

union argument {
    struct xen_add_to_physmap add;
    struct {
        u16 domid, space, size, res0;
        ulong idxs, gpfns, errs;
    } batch;
    struct {
        u16 domid;
        ulong gpfn;
    } remove;
    struct {
        u64 target_pages, tot_pages, pod_cache_pages, pod_entries;
        u16 domid;
    } pod_target;
    struct {
        u8 op, access;
        u16 domid;
        u32 nr;
        u64 pfn;
        ulong pfn_list, access_list;
    } access;
    struct xen_memory_reservation claim;
    struct {
        u16 domid, pad;
        u32 nr_vnodes, nr_vcpus, nr_vmemranges;
        u64 vdistance, vcpu_to_vnode, vmemrange;
    } vnuma;
    struct {
        u32 flags, nr_entries;
        ulong buffer;
        u16 seg;
        u8 bus, devfn;
    } rdm;
    struct {
        u16 domid, type;
        u32 id, nr_frames, pad;
        u64 frame;
        ulong frame_list;
    } resource;
};

#define SIZE(member) sizeof(((union argument *)0)->member)
static const u8 size[] = {
    [XENMEM_add_to_physmap] = SIZE(add),
    [XENMEM_remove_from_physmap] = SIZE(remove),
    [XENMEM_set_pod_target] = SIZE(pod_target),
    [XENMEM_get_pod_target] = SIZE(pod_target),
    [XENMEM_access_op] = SIZE(access),
    [XENMEM_add_to_physmap_batch] = SIZE(batch),
    [XENMEM_claim_pages] = WORD == 8 ? SIZE(claim) : 0,     /* 64-bit ABI */
    [XENMEM_get_vnumainfo] = SIZE(vnuma),
    [XENMEM_reserved_device_memory_map] = SIZE(rdm),
    [XENMEM_acquire_resource] = SIZE(resource),
};

/* own for the domain itself, dom0 for domain 0, of which it knows that it is */
static long by_domain(u16 domid, int own, int dom0)
{
    return domid_is_own(domid) ? -own : domid ? -ESRCH : -dom0;
}

/* The same where DOMID_SELF is nobody */
static long by_other_domain(u16 domid, int own, int dom0)
{
    return domid == DOMID_SELF ? -ESRCH : by_domain(domid, own, dom0);
}

/* start: where a call goes on that has been done in part */
static long other_memory_op(unsigned op, ulong start, ulong arg)
{
    union argument u;

    if (op == XENMEM_get_sharing_freed_pages ||
        op == XENMEM_get_sharing_shared_pages) {
        return start ? -ENOSYS : 0;
    }
    if (op >= ARRAY_SIZE(size) || !size[op]) {
        return -ENOSYS;
    }
    switch (op) {
    case XENMEM_add_to_physmap:
    case XENMEM_add_to_physmap_batch:
        if (start >> 16) {
            return -EDOM;
        }
        break;
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
        if (start) {
            return -ENOSYS;
        }
        break;
    case XENMEM_access_op:
    case XENMEM_acquire_resource:
        break;
    default:
        if (start) {
            return -EINVAL;
        }
    }
    if (copy_from_guest(&u, arg, size[op])) {
        return -EFAULT;
    }
    switch (op) {
    case XENMEM_add_to_physmap:
        return u.add.space == XENMAPSPACE_gmfn_foreign ? -ENOSYS :
               by_domain(u.add.domid, EACCES, EACCES);
    case XENMEM_add_to_physmap_batch:
        return u.batch.space == XENMAPSPACE_gmfn_range ? -EOPNOTSUPP :
               by_domain(u.batch.domid, EACCES, EACCES);
    case XENMEM_remove_from_physmap:
        return by_domain(u.remove.domid, EACCES, EACCES);
    case XENMEM_set_pod_target:
    case XENMEM_get_pod_target:
        return by_domain(u.pod_target.domid, EINVAL, EINVAL);
    case XENMEM_access_op:
        return by_other_domain(u.access.domid, EPERM, EINVAL);
    case XENMEM_claim_pages:
        return *(ulong *)&u.claim.extent_start || u.claim.extent_order ||
               u.claim.mem_flags || u.claim.domid == DOMID_SELF ||
               by_domain(u.claim.domid, 0, 0) ? -EINVAL : -EPERM;
    case XENMEM_get_vnumainfo:
        return u.vnuma.pad ? -EINVAL :
               by_domain(u.vnuma.domid, EOPNOTSUPP, EPERM);
    case XENMEM_reserved_device_memory_map:
        if (u.rdm.flags & ~XENMEM_RDM_ALL) {
            return -EINVAL;
        }
        u.rdm.nr_entries = 0;
        return copy_to_guest(arg, &u, size[op]);
    case XENMEM_acquire_resource:
        return u.resource.pad || u.resource.frame >> 32 ||
               (u.resource.frame + u.resource.nr_frames) >> 32 ? -EINVAL :
               by_other_domain(u.resource.domid, EPERM, EPERM);
    }
    return -ENOSYS;
}

HYPERCALL(do_memory_op)
{
    struct xen_machphys_mapping mm;
    /* Where a call goes on that Xen has done in part */
    ulong start = a1 >> 6;
    unsigned op = a1 & 0x3f;

    switch (op) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return change_reservation(op, start, a2);
    case XENMEM_exchange:
        return start ? -EINVAL : memory_exchange(a2);
    case XENMEM_maximum_ram_page:
        return start ? -EINVAL : boot_info->max_mfn;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return start ? -EINVAL : reservation(op, a2);
    }
    /* Of Xen's architecture, which does not know calls done in part */
    switch (start ? -1U : op) {
    case XENMEM_machphys_mapping:
        mm.v_start = M2P_VIRT;
        mm.v_end = M2P_VIRT + boot_info->m2p_size;
        mm.max_mfn = boot_info->max_mfn - 1;
        return copy_to_guest(a2, &mm, sizeof(mm));
    case XENMEM_machphys_compat_mfn_list:
        if (WORD == 8) {
            return -EOPNOTSUPP;     /* a Xen without 32-bit guests */
        }
        /* fall through */
    case XENMEM_machphys_mfn_list:
        return machphys_mfn_list(a2);
    case XENMEM_memory_map:
        return get_memory_map(a2);
    case XENMEM_set_memory_map:
        return set_memory_map(a2);
    case XENMEM_machine_memory_map:
        return -EPERM;
    }
    return other_memory_op(op, start, a2);
}
