/*
 * memory_op for domains of other kinds, and for who looks after others.
 *
 * Tools and drivers that know several kinds of domains ask what they are in, and
 * what there is, by calling these; each has its own way of saying that a PV
 * domain has no use for it, and another error would be taken for a failure, or
 * for a feature.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NOBODY      77

static struct {
    uint64_t target, tot, cache, entries;
    uint16_t domid;
} pod = { .domid = DOMID_SELF }, pod_nobody = { .domid = NOBODY };
static struct {
    uint8_t op, access;
    uint16_t domid;
    uint32_t nr;
    uint64_t pfn;
    ulong list[2];
} access_self = { .domid = DOMID_SELF }, access_nobody = { .domid = NOBODY },
  access_own;
static struct {
    uint16_t domid, space, size, res0;
    ulong idxs, gpfns, errs;
} batch = { DOMID_SELF, 1 }, batch_nobody = { NOBODY, 1 },
  batch_range = { DOMID_SELF, 3 };
static xen_pfn_t frame;
static struct memory_reservation claim_self = { .domid = DOMID_SELF },
    claim_nobody = { .domid = NOBODY },
    claim_list = { .extent_start = &frame, .domid = NOBODY },
    claim_order = { .extent_order = 1, .domid = NOBODY },
    claim_flags = { .mem_flags = 1, .domid = NOBODY }, claim_own;
static struct {
    uint16_t domid, pad;
    uint32_t nr[3];
    uint64_t lists[3];
} vnuma = { DOMID_SELF }, vnuma_nobody = { NOBODY },
  vnuma_pad = { DOMID_SELF, 1 };
static struct {
    uint32_t flags, nr_entries;
    ulong buffer;
    uint32_t device;
} rdm = { 1, 0 }, rdm_flags = { 2, 0 };
static struct {
    uint16_t domid, type;
    uint32_t id, nr_frames, pad;
    uint64_t frame;
    ulong list;
} resource_self = { .domid = DOMID_SELF }, resource_nobody = { .domid = NOBODY },
  resource_pad = { .domid = NOBODY, .pad = 1 },
  resource_far = { .domid = NOBODY, .frame = 1ULL << 32 },
  resource_end = { .domid = NOBODY, .frame = 0xffffffff, .nr_frames = 1 },
  resource_own;
static struct machphys_mfn_list no_mfns = { 0, &frame };

#define CALL(name, op, arg, ret) \
    { name, __HYPERVISOR_memory_op, ret, { op, (ulong)(arg) } }
#define AGAIN       (1 << 6)        /* as after a part */
#define BAD(name, op) \
    CALL(name ", bad pointer", op, BAD_POINTER, -EFAULT), \
    CALL(name ", the hypervisor's memory", op, HV_POINTER, -EFAULT)

/* Not there in the 32-bit ABI */
#define CLAIM(name, arg, ret) CALL(name, 24, arg, IS_64BIT ? ret : -ENOSYS)

static const struct call calls[] = {
    BAD("set_pod_target", 16),
    CALL("set_pod_target", 16, &pod, -EINVAL),
    CALL("set_pod_target of nobody", 16, &pod_nobody, -ESRCH),
    CALL("set_pod_target, again", 16 | AGAIN, &pod, -ENOSYS),
    BAD("get_pod_target", 17),
    CALL("get_pod_target", 17, &pod, -EINVAL),
    CALL("get_pod_target of nobody", 17, &pod_nobody, -ESRCH),
    CALL("get_sharing_freed_pages", 18, 0, 0),
    CALL("get_sharing_freed_pages, again", 18 | AGAIN, 0, -ENOSYS),
    CALL("get_sharing_shared_pages", 19, 0, 0),
    BAD("access_op", 21),
    CALL("access_op of DOMID_SELF", 21, &access_self, -ESRCH),
    CALL("access_op of itself", 21, &access_own, -EPERM),
    CALL("access_op of nobody", 21, &access_nobody, -ESRCH),
    BAD("add_to_physmap_batch", 23),
    CALL("add_to_physmap_batch", 23, &batch, -EACCES),
    CALL("add_to_physmap_batch of nobody", 23, &batch_nobody, -ESRCH),
    CALL("add_to_physmap_batch of a range", 23, &batch_range, -EOPNOTSUPP),
    CALL("add_to_physmap_batch, a long way", 23 | 0x10000 << 6, &batch, -EDOM),
    CALL("add_to_physmap, a long way", 7 | 0x10000 << 6, &batch, -EDOM),
    CLAIM("claim_pages, bad pointer", BAD_POINTER, -EFAULT),
    CLAIM("claim_pages with a list", &claim_list, -EINVAL),
    CLAIM("claim_pages of order 1", &claim_order, -EINVAL),
    CLAIM("claim_pages with flags", &claim_flags, -EINVAL),
    CLAIM("claim_pages of nobody", &claim_nobody, -EINVAL),
    CLAIM("claim_pages of DOMID_SELF", &claim_self, -EINVAL),
    CALL("claim_pages, again", 24 | AGAIN, &claim_self,
         IS_64BIT ? -EINVAL : -ENOSYS),
#ifdef __x86_64__
    CALL("machphys_compat_mfn_list", 25, &no_mfns, -EOPNOTSUPP),
#else
    CALL("machphys_compat_mfn_list", 25, &no_mfns, 0),
#endif
    BAD("get_vnumainfo", 26),
    CALL("get_vnumainfo", 26, &vnuma, -EOPNOTSUPP),
    CALL("get_vnumainfo of nobody", 26, &vnuma_nobody, -ESRCH),
    CALL("get_vnumainfo with padding", 26, &vnuma_pad, -EINVAL),
    CALL("get_vnumainfo, again", 26 | AGAIN, &vnuma, -EINVAL),
    BAD("reserved_device_memory_map", 27),
    CALL("reserved_device_memory_map", 27, &rdm, 0),
    CALL("reserved_device_memory_map with flags", 27, &rdm_flags, -EINVAL),
    BAD("acquire_resource", 28),
    CALL("acquire_resource of DOMID_SELF", 28, &resource_self, -ESRCH),
    CALL("acquire_resource of itself", 28, &resource_own, -EPERM),
    CALL("acquire_resource of nobody", 28, &resource_nobody, -ESRCH),
    CALL("acquire_resource with padding", 28, &resource_pad, -EINVAL),
    CALL("acquire_resource of frame 1 << 32", 28, &resource_far, -EINVAL),
    CALL("acquire_resource up to there", 28, &resource_end, -EINVAL),
    CALL("memory_op 29", 29, &frame, -ENOSYS),
};

static const struct call domu_calls[] = {
    CLAIM("claim_pages of itself", &claim_own, -EPERM),
};

void test_main(void)
{
    access_own.domid = claim_own.domid = resource_own.domid =
        is_initdomain() ? 0 : 1;
    check_calls(calls);
    if (!is_initdomain()) {
        check_calls(domu_calls);
    }
}
