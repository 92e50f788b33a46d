/*
 * The hypercalls that belong nowhere else: multicall, xen_version, console_io
 *
 * dispatch.S calls them. multicall reads the guest's list once, an element at a
 * time, and has dispatch.S call each handler, as for the guest itself.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "hw/xen/interface/version.h"
#include "hw/xen/interface/features.h"

#define CONSOLEIO_write     0

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
    static const char denied[] = "<denied>";    /* only domain 0 gets it */
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
    /* Linux makes this call only to have pending events delivered */
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
    return -EPERM;          /* for all others, known or not */
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
             * The iret ends the list. Make the multicall return to the code for
             * HYPERVISOR_iret, which goes on from the guest's stack.
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
