/*
 * Hypercalls that are refused: one table of them, with Xen's errors
 *
 * dispatch.S calls refused_hypercall() for a number without a handler. Handlers
 * in other files call refuse() for operations that they do not know.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

/*
 * What a domain without devices and without rights over others does not get,
 * and Xen's errno for it. The arguments are not looked at, which would change
 * nothing for the guest. tests/guest/refused makes each of these calls, and has
 * to be changed with this table.
 */
static const struct {
    u8 nr, first, last, error;      /* operations; .last = 255: all */
} refused[] = {
    { __HYPERVISOR_platform_op, 0, 255, EPERM },
    { __HYPERVISOR_sysctl, 0, 255, EPERM },
    { __HYPERVISOR_domctl, 0, 255, EPERM },
    { __HYPERVISOR_kexec_op, 0, 255, EPERM },
    { __HYPERVISOR_hypfs_op, 0, 255, EPERM },
    { __HYPERVISOR_arch_0, 0, 255, EPERM },     /* mca */
    { __HYPERVISOR_dm_op, 0, 0, EINVAL },       /* by domain: 0, own, others */
    { __HYPERVISOR_dm_op, 1, 1, EPERM },
    { __HYPERVISOR_dm_op, 0, 255, ESRCH },
    { __HYPERVISOR_xenoprof_op, 0, 0, ENODEV }, /* init, on an unknown CPU */
    { __HYPERVISOR_xenoprof_op, 14, 14, EBUSY },        /* get_buffer */
    { __HYPERVISOR_xenoprof_op, 1, 17, EPERM },
    { __HYPERVISOR_xenoprof_op, 0, 255, EINVAL },
    { __HYPERVISOR_xenpmu_op, 0, 255, EOPNOTSUPP },
    { __HYPERVISOR_hvm_op, 0, 1, EINVAL },      /* set_param, get_param */
    { __HYPERVISOR_hvm_op, 5, 5, EINVAL },      /* flush_tlbs */
    { __HYPERVISOR_hvm_op, 9, 9, EINVAL },      /* pagetable_dying */
    { __HYPERVISOR_hvm_op, 15, 15, EINVAL },    /* get_mem_type */
    { __HYPERVISOR_hvm_op, 23, 23, EINVAL },    /* set_evtchn_upcall_vector */
    { __HYPERVISOR_hvm_op, 25, 25, EOPNOTSUPP },        /* altp2m */
    { __HYPERVISOR_event_channel_op, 14, 14, EBUSY },   /* reset_cont */
    { __HYPERVISOR_sched_op, 4, 4, EPERM },     /* remote_shutdown */
    { __HYPERVISOR_sched_op, 7, 7, EPERM },     /* pin_override */
    { __HYPERVISOR_vcpu_op, 12, 12, EINVAL },   /* get_physid */
    { __HYPERVISOR_xen_version, 10, 10, EPERM },        /* build_id */
    { __HYPERVISOR_mmuext_op, 12, 12, EACCES }, /* FLUSH_CACHE */
    { __HYPERVISOR_mmuext_op, 18, 18, EINVAL }, /* FLUSH_CACHE_GLOBAL */
    { __HYPERVISOR_mmuext_op, 19, 20, EOPNOTSUPP },     /* MARK, UNMARK_SUPER */
    { __HYPERVISOR_memory_op, 7, 7, EACCES },   /* add_to_physmap */
    { __HYPERVISOR_memory_op, 10, 10, EPERM },  /* machine_memory_map */
    { __HYPERVISOR_memory_op, 11, 11, EPERM },  /* exchange */
    { __HYPERVISOR_memory_op, 13, 13, EPERM },  /* set_memory_map */
    { __HYPERVISOR_memory_op, 15, 15, EACCES }, /* remove_from_physmap */
    { __HYPERVISOR_memory_op, 16, 17, EINVAL }, /* set_ and get_pod_target */
    { __HYPERVISOR_memory_op, 21, 21, EPERM },  /* access_op */
    { __HYPERVISOR_memory_op, 23, 23, EACCES }, /* add_to_physmap_batch */
    { __HYPERVISOR_memory_op, 24, 24, EPERM },  /* claim_pages */
    /* machphys_compat_mfn_list, get_vnumainfo */
    { __HYPERVISOR_memory_op, 25, 26, EOPNOTSUPP },
    { __HYPERVISOR_memory_op, 28, 28, EPERM },  /* acquire_resource */
    { __HYPERVISOR_physdev_op, 5, 5, EINVAL },  /* irq_status_query */
    /* apic_read, apic_write, alloc_irq_vector */
    { __HYPERVISOR_physdev_op, 8, 10, EPERM },
    { __HYPERVISOR_physdev_op, 12, 12, EINVAL },        /* eoi */
    /* map_pirq, unmap_pirq, manage_pci_add, manage_pci_remove */
    { __HYPERVISOR_physdev_op, 13, 16, EPERM },
    { __HYPERVISOR_physdev_op, 19, 19, ENODEV },        /* restore_msi */
    /* manage_pci_add_ext, setup_gsi */
    { __HYPERVISOR_physdev_op, 20, 21, EPERM },
    { __HYPERVISOR_physdev_op, 23, 23, ENOSPC },        /* get_free_pirq */
    /* pci_mmcfg_reserved, pci_device_add, pci_device_remove */
    { __HYPERVISOR_physdev_op, 24, 26, EPERM },
    { __HYPERVISOR_physdev_op, 27, 27, ENODEV },        /* restore_msi_ext */
    /* dbgp_op, prepare_msix, release_msix */
    { __HYPERVISOR_physdev_op, 29, 31, EPERM },
};

long refuse(unsigned nr, u32 op)
{
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        if (refused[i].nr == nr && (refused[i].last == 255 ||
                                    (op >= refused[i].first &&
                                     op <= refused[i].last))) {
            return -(long)refused[i].error;
        }
    }
    return -ENOSYS;
}

/* For dispatch.S, when it has no handler for the number */
BY_REGISTER long refused_hypercall(ulong nr, ulong op)
{
    long ret = nr < 256 ? refuse(nr, op) : -ENOSYS;

    if (ret == -ENOSYS && (boot_info->flags & XENPV_BOOT_TRACE)) {
        printk("unknown hypercall %lu\n", nr);
    }
    return ret;
}
