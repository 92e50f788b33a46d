/*
 * What a domain without devices and without rights over others does not get.
 *
 * Tools and drivers that know several kinds of domains ask what they are in by
 * calling these, and take one error for "not here" and another for a failure.
 * Xen's errors are what they know. The argument is not looked at, so it may be
 * nowhere: a hypervisor that reads it all the same has code that nobody needs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define ALL(name, expected) \
    { #name, __HYPERVISOR_##name, expected, { 0, BAD_POINTER } }, \
    { #name " 77", __HYPERVISOR_##name, expected, { 77, BAD_POINTER } }
#define OP(name, op, expected) \
    { #name " " #op, __HYPERVISOR_##name, expected, { op, BAD_POINTER } }

static const struct call calls[] = {
    ALL(platform_op, -EPERM), ALL(sysctl, -EPERM), ALL(domctl, -EPERM),
    ALL(kexec_op, -EPERM), ALL(xenpmu_op, -EOPNOTSUPP),
    ALL(xsm_op, -ENOSYS), ALL(argo_op, -ENOSYS),
    ALL(hypfs_op, -EPERM), ALL(mca, -EPERM),
    /* Of domain 0, which is none with a device model; of itself; of nobody */
    OP(dm_op, 0, -EINVAL), OP(dm_op, 1, -EPERM), OP(dm_op, 2, -ESRCH),
    OP(dm_op, DOMID_SELF, -ESRCH),
    OP(xenoprof_op, 0, -ENODEV), OP(xenoprof_op, 1, -EPERM),
    OP(xenoprof_op, 14, -EBUSY), OP(xenoprof_op, 17, -EPERM),
    OP(xenoprof_op, 18, -EINVAL), OP(xenoprof_op, -1UL, -EINVAL),
    OP(hvm_op, 0, -EINVAL), OP(hvm_op, 1, -EINVAL), OP(hvm_op, 2, -ENOSYS),
    OP(hvm_op, 5, -EINVAL), OP(hvm_op, 9, -EINVAL), OP(hvm_op, 10, -ENOSYS),
    OP(hvm_op, 15, -EINVAL), OP(hvm_op, 23, -EINVAL),
    OP(hvm_op, 25, -EOPNOTSUPP), OP(hvm_op, 99, -ENOSYS),
    OP(event_channel_op, EVTCHNOP_reset_cont, -EBUSY),
    OP(event_channel_op, 15, -ENOSYS),
    OP(sched_op, SCHEDOP_remote_shutdown, -EPERM),
    OP(sched_op, 7, -EPERM),                /* pin_override */
    OP(sched_op, SCHEDOP_shutdown_code, -ENOSYS), OP(sched_op, 99, -ENOSYS),
    OP(xen_version, XENVER_build_id, -EPERM),
    OP(memory_op, XENMEM_add_to_physmap, -EACCES),
    OP(memory_op, XENMEM_machine_memory_map, -EPERM),
    OP(memory_op, XENMEM_machphys_mfn_list, -ENOSYS),
    OP(memory_op, XENMEM_exchange, -EPERM),
    OP(memory_op, XENMEM_set_memory_map, -EPERM),
    OP(memory_op, XENMEM_remove_from_physmap, -EACCES),
    OP(memory_op, 16, -EINVAL), OP(memory_op, 17, -EINVAL),
    OP(memory_op, 18, -ENOSYS), OP(memory_op, 19, -ENOSYS),
    OP(memory_op, 21, -EPERM), OP(memory_op, 23, -EACCES),
    OP(memory_op, 24, -EPERM), OP(memory_op, 25, -EOPNOTSUPP),
    OP(memory_op, 26, -EOPNOTSUPP), OP(memory_op, 27, -ENOSYS),
    OP(memory_op, 28, -EPERM), OP(memory_op, 29, -ENOSYS),
    OP(memory_op, 63, -ENOSYS),
    OP(memory_op, 28 | 1 << 6, -ENOSYS),    /* as after a part */
    OP(physdev_op, PHYSDEVOP_IRQ_UNMASK_NOTIFY, -ENOSYS),
    OP(physdev_op, PHYSDEVOP_irq_status_query, -EINVAL),
    OP(physdev_op, PHYSDEVOP_apic_read, -EPERM),
    OP(physdev_op, PHYSDEVOP_apic_write, -EPERM),
    OP(physdev_op, PHYSDEVOP_alloc_irq_vector, -EPERM),
    OP(physdev_op, PHYSDEVOP_eoi, -EINVAL),
    OP(physdev_op, PHYSDEVOP_map_pirq, -EPERM),
    OP(physdev_op, PHYSDEVOP_unmap_pirq, -EPERM),
    OP(physdev_op, PHYSDEVOP_manage_pci_add, -EPERM),
    OP(physdev_op, PHYSDEVOP_manage_pci_remove, -EPERM),
    OP(physdev_op, PHYSDEVOP_manage_pci_add_ext, -EPERM),
    /* For which Linux then looks at each interrupt itself */
    OP(physdev_op, PHYSDEVOP_pirq_eoi_gmfn_v1, -ENOSYS),
    OP(physdev_op, PHYSDEVOP_pirq_eoi_gmfn_v2, -ENOSYS),
    OP(physdev_op, PHYSDEVOP_restore_msi, -ENODEV),
    OP(physdev_op, PHYSDEVOP_restore_msi_ext, -ENODEV),
    OP(physdev_op, PHYSDEVOP_setup_gsi, -EPERM),
    OP(physdev_op, PHYSDEVOP_get_free_pirq, -ENOSPC),
    OP(physdev_op, PHYSDEVOP_pci_mmcfg_reserved, -EPERM),
    OP(physdev_op, PHYSDEVOP_pci_device_add, -EPERM),
    OP(physdev_op, PHYSDEVOP_pci_device_remove, -EPERM),
    OP(physdev_op, PHYSDEVOP_dbgp_op, -EPERM),
    OP(physdev_op, PHYSDEVOP_prepare_msix, -EPERM),
    OP(physdev_op, PHYSDEVOP_release_msix, -EPERM),
    OP(physdev_op, 3, -ENOSYS), OP(physdev_op, 99, -ENOSYS),
    { "vcpu_op get_physid", __HYPERVISOR_vcpu_op, -EINVAL,
      { VCPUOP_get_physid, 0, BAD_POINTER } },
    { "mmu_update of a device's frames", __HYPERVISOR_mmu_update, -EPERM,
      { BAD_POINTER, 1, 0, DOMID_IO } },
};

void test_main(void)
{
    if (is_initdomain()) {
        skip("domain 0 has rights over others");
        return;
    }
    check_calls(calls);
}
