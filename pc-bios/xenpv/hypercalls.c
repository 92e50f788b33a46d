/*
 * What is refused, and the hypercalls that belong nowhere else
 *
 * dispatch.S knows which handler a number has, and calls refused_hypercall() where
 * it has none. The handlers of other files come to refuse() with operations that
 * they do not know.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"
#include "hw/xen/interface/version.h"
#include "hw/xen/interface/features.h"

#define CONSOLEIO_write     0

/*
 * What a domain without devices and without rights over others does not get, and
 * Xen's errno for that. The argument is not looked at: it would change nothing for
 * the guest. tests/guest/refused makes each of these calls, and has to expect what
 * is changed here.
 */
static const struct {
    u8 nr, first, last, error;      /* sub-operations, but of those with none */
} refused[] = {
    { __HYPERVISOR_platform_op, 0, 255, EPERM },
    { __HYPERVISOR_sysctl, 0, 255, EPERM },
    { __HYPERVISOR_domctl, 0, 255, EPERM },
    { __HYPERVISOR_kexec_op, 0, 255, EPERM },
    { __HYPERVISOR_hypfs_op, 0, 255, EPERM },
    { __HYPERVISOR_arch_0, 0, 255, EPERM },     /* mca */
    { __HYPERVISOR_dm_op, 0, 0, EINVAL },       /* of domain 0, of itself, ... */
    { __HYPERVISOR_dm_op, 1, 1, EPERM },
    { __HYPERVISOR_dm_op, 0, 255, ESRCH },
    { __HYPERVISOR_xenoprof_op, 0, 0, ENODEV }, /* init, on a CPU not known to it */
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

/* For dispatch.S, when none of its numbers was the right one */
BY_REGISTER long refused_hypercall(ulong nr, ulong op)
{
    long ret = nr < 256 ? refuse(nr, op) : -ENOSYS;

    if (ret == -ENOSYS && (boot_info->flags & XENPV_BOOT_TRACE)) {
        printk("unknown hypercall %lu\n", nr);
    }
    return ret;
}

static long put_string(ulong to, const char *s, ulong size)
{
    char buf[1024];
    ulong n = 0;

    memset(buf, 0, size);
    while (n + 1 < size && s[n]) {
        buf[n] = s[n];
        n++;
    }
    return copy_to_guest(to, buf, size);
}

static noinline long xen_version(u32 cmd, ulong a2)
{
    static const char denied[] = "<denied>";    /* what is for domain 0 */
    union {
        struct xen_platform_parameters params;
        struct xen_feature_info features;
        char compile[64 + 16 + 32 + 32];
    } u;

    switch (cmd) {
    case XENVER_extraversion:
        return put_string(a2, boot_info->extraversion, 16);
    case XENVER_compile_info:
        memset(&u, 0, sizeof(u));
        return copy_to_guest(a2, &u, sizeof(u.compile));
    case XENVER_capabilities:
        return put_string(a2, boot_info->capabilities, 1024);
    case XENVER_changeset:
        return put_string(a2, "xenpv-kvm", 64);
    case XENVER_platform_parameters:
        u.params.virt_start = M2P_VIRT;
        return copy_to_guest(a2, &u.params, sizeof(u.params));
    case XENVER_get_features:
        if (copy_from_guest(&u.features, a2, sizeof(u.features))) {
            return -EFAULT;
        }
        if (u.features.submap_idx) {
            return -EINVAL;
        }
        u.features.submap = 1u << XENFEAT_mmu_pt_update_preserve_ad |
                            1u << XENFEAT_highmem_assist |
                            1u << XENFEAT_gnttab_map_avail_bits |
                            1u << XENFEAT_pae_pgdir_above_4gb |
                            1u << XENFEAT_memory_op_vnode_supported |
                            1u << 17;       /* XENFEAT_direct_mapped */
        return copy_to_guest(a2, &u.features, sizeof(u.features));
    case XENVER_pagesize:
        return a2 ? -EINVAL : PAGE_SIZE;
    case XENVER_guest_handle:
        return copy_to_guest(a2, boot_info->uuid, sizeof(boot_info->uuid));
    case XENVER_commandline:
        return put_string(a2, denied, sizeof(denied));
    }
    return refuse(__HYPERVISOR_xen_version, cmd);
}

HYPERCALL(do_xen_version)
{
    /* Linux asks for this when all it wants is its events */
    if (likely((u32)a1 == XENVER_version)) {
        return boot_info->xen_major << 16 | boot_info->xen_minor;
    }
    return xen_version(a1, a2);
}

HYPERCALL(do_console_io)
{
    char buf[1024];

    if ((u32)a1 == CONSOLEIO_write) {
        for (ulong left = (u32)a2; left;) {
            ulong n = left < sizeof(buf) ? left : sizeof(buf);
            long ret;

            if (copy_from_guest(buf, a3, n)) {
                return -EFAULT;
            }
            ret = machine_call(XENPV_CALL_CONSOLE, a1, buf, n);
            if (ret < 0) {
                return ret;
            }
            left -= n;
            a3 += n;
            let_interrupts_in();
        }
        return 0;
    }
    return -EPERM;          /* whatever it is */
}

/* An iret that ends an NMI: one that came meanwhile is due */
void end_nmi(void)
{
    struct vcpu *v = current_vcpu();

    v->in_nmi = false;
    if (v->requests & REQUEST_NMI) {
        kick_vcpu(v);
    }
}

HYPERCALL(do_multicall)
{
    struct multicall_entry *call = (void *)a1;
    u32 nr = a2;

    if (unlikely(nr > ~0UL / sizeof(*call) ||
                 !access_ok(a1, nr * sizeof(*call)))) {
        return -EFAULT;
    }
    for (; nr; nr--, call++) {
        ulong op, b1, b2, b3, b4, b5;
        long ret;

        if (unlikely(nr % PART_OF_BATCH == 0)) {
            let_interrupts_in();
        }
        GET_GUEST(op, &call->op, fault);
        GET_GUEST(b1, &call->args[0], fault);
        GET_GUEST(b2, &call->args[1], fault);
        GET_GUEST(b3, &call->args[2], fault);
        GET_GUEST(b4, &call->args[3], fault);
        GET_GUEST(b5, &call->args[4], fault);
        if (likely(op == __HYPERVISOR_update_va_mapping)) {
            ret = do_update_va_mapping(b1, b2, b3, b4, b5);
        } else if (unlikely(op == __HYPERVISOR_multicall)) {
            ret = -EINVAL;
        } else if (unlikely(op == __HYPERVISOR_iret)) {
            /*
             * The list ends here. The hypercall's return address becomes that of the
             * way to iret, which goes on from the guest's stack.
             */
            *((ulong *)current_vcpu() - HYPERCALL_LONGS - 1) =
                (ulong)iret_of_multicall;
            return 1;
        } else {
            ret = call_hypercall(b1, b2, b3, b4, b5, op);
        }
        PUT_GUEST(&call->result, ret, fault);
    }
    return 0;
fault:
    return -EFAULT;
}

ulong vm_assists;

/* Always so here; of 32-bit guests there is none */
#define M2P_STRICT  (WORD == 8 ? 1UL << VMASST_TYPE_m2p_strict : 0)

HYPERCALL(do_vm_assist)
{
    const ulong valid = 1UL << VMASST_TYPE_4gb_segments |
                        1UL << VMASST_TYPE_4gb_segments_notify |
                        1UL << VMASST_TYPE_writable_pagetables |
                        1UL << VMASST_TYPE_pae_extended_cr3 |
                        1UL << VMASST_TYPE_runstate_update_flag |
                        M2P_STRICT;
    u32 type = a2;

    if (type >= 8 * sizeof(ulong) || !(valid & 1UL << type)) {
        return -EINVAL;
    }
    switch ((u32)a1) {
    case VMASST_CMD_enable:
        __atomic_fetch_or(&vm_assists, 1UL << type, __ATOMIC_SEQ_CST);
        break;
    case VMASST_CMD_disable:
        __atomic_fetch_and(&vm_assists, ~(1UL << type), __ATOMIC_SEQ_CST);
        if (type == VMASST_TYPE_writable_pagetables) {
            spin_lock(&tables_lock);
            forget_openings(NO_FRAME);
            spin_unlock(&tables_lock);
        }
        break;
    default:
        return -ENOSYS;
    }
    return 0;
}
