/*
 * Memory operations that are for domains of other kinds, or for who looks after
 * other domains: what each says to this one. Those that a PV domain has a use
 * for are in page_tables.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "hw/xen/interface/memory.h"

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
#ifdef __x86_64__
    [XENMEM_claim_pages] = SIZE(claim),     /* not in the 32-bit ABI */
#endif
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
long other_memory_op(unsigned op, ulong start, ulong arg)
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
