/*
 * Physical devices and their interrupts, of which the domain has none: its own
 * I/O privilege is all that it can set here, and the rest is refused with what
 * Xen says to a domain that nothing was passed through to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "hw/xen/interface/physdev.h"

/* Refused when their argument has been read */
static const struct {
    u8 size, error;
} refused[] = {
    [PHYSDEVOP_apic_read] = { sizeof(struct physdev_apic), EPERM },
    [PHYSDEVOP_apic_write] = { sizeof(struct physdev_apic), EPERM },
    [PHYSDEVOP_alloc_irq_vector] = { sizeof(struct physdev_irq), EPERM },
    [PHYSDEVOP_eoi] = { sizeof(struct physdev_eoi), EINVAL },
    [PHYSDEVOP_manage_pci_add] = { sizeof(struct physdev_manage_pci), EPERM },
    [PHYSDEVOP_manage_pci_remove] = { sizeof(struct physdev_manage_pci),
                                      EPERM },
    [PHYSDEVOP_restore_msi] = { sizeof(struct physdev_restore_msi), ENODEV },
    [PHYSDEVOP_get_free_pirq] = { sizeof(struct physdev_get_free_pirq),
                                  ENOSPC },
    [PHYSDEVOP_pci_device_add] = { sizeof(struct physdev_pci_device_add),
                                   EPERM },
    [PHYSDEVOP_pci_device_remove] = { sizeof(struct physdev_pci_device),
                                      EPERM },
    [PHYSDEVOP_restore_msi_ext] = { sizeof(struct physdev_pci_device),
                                    ENODEV },
    [PHYSDEVOP_prepare_msix] = { sizeof(struct physdev_pci_device), EPERM },
    [PHYSDEVOP_release_msix] = { sizeof(struct physdev_pci_device), EPERM },
};

#define IOBITMAP_BYTES  8192
#define NR_GSIS         24      /* of the one I/O APIC that the host may have */

/*
 * The guest's own I/O privilege level, by a hypercall or as the flags' (with
 * VMASST_TYPE_architectural_iopl). The CPU's is 0: no port is the guest's.
 */
void set_iopl(struct vcpu *v, unsigned iopl)
{
    v->iopl = iopl;
    v->frame_flags = architectural_iopl() ? iopl << 12 : 0;
}

/* The flags' IOPL knows the kernel as ring 0 */
bool iopl_ok(struct vcpu *v, bool kernel)
{
    return v->iopl >= (!kernel ? 3 : architectural_iopl() ? 0 : 1);
}

static long set_iobitmap(struct vcpu *v, ulong arg)
{
    struct physdev_set_iobitmap map;
    ulong bitmap;

    if (copy_from_guest(&map, arg, sizeof(map))) {
        return -EFAULT;
    }
    bitmap = *(ulong *)&map.bitmap;
    if (!access_ok(bitmap, IOBITMAP_BYTES) || map.nr_ports > 65536) {
        return -EINVAL;
    }
    /* No port belongs to the domain, but accesses to these do not fault */
    v->iobitmap = bitmap;
    v->nr_ports = map.nr_ports;
    return 0;
}

/* A bitmap of the interrupts that need an EOI, of which the domain has none */
static long pirq_eoi_gmfn(ulong arg)
{
    static ulong registered;
    ulong none = 0, mfn;

    if (copy_from_guest(&mfn, arg, sizeof(mfn))) {
        return -EFAULT;
    }
    if (!guest_mfn_valid(mfn) || mfn_is_table(mfn)) {
        return -EINVAL;
    }
    return __atomic_compare_exchange_n(&registered, &none, mfn, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ?
           0 : -EBUSY;
}

static long irq_status_query(ulong arg)
{
    struct physdev_irq_status_query q;

    if (copy_from_guest(&q, arg, sizeof(q))) {
        return -EFAULT;
    }
    if (q.irq >= XENPV_NR_PIRQS) {
        return -EINVAL;
    }
    q.flags = XENIRQSTAT_needs_eoi;
    return copy_to_guest(arg, &q, sizeof(q));
}

HYPERCALL(do_physdev_op)
{
    struct vcpu *v = current_vcpu();
    union {
        struct physdev_set_iopl iopl;
        struct physdev_setup_gsi gsi;
        struct physdev_map_pirq map;
        struct physdev_unmap_pirq unmap;
        struct physdev_manage_pci_ext pci;
    } u;
    u32 cmd = a1;

    if (cmd < ARRAY_SIZE(refused) && refused[cmd].size) {
        return guest_readable(a2, refused[cmd].size) ?
               -(long)refused[cmd].error : -EFAULT;
    }
    switch (cmd) {
    case PHYSDEVOP_IRQ_UNMASK_NOTIFY:
        return 0;
    case PHYSDEVOP_irq_status_query:
        return irq_status_query(a2);
    case PHYSDEVOP_set_iopl:
        if (copy_from_guest(&u.iopl, a2, sizeof(u.iopl))) {
            return -EFAULT;
        }
        if (u.iopl.iopl > 3) {
            return -EINVAL;
        }
        set_iopl(v, u.iopl.iopl);
        return 0;
    case PHYSDEVOP_set_iobitmap:
        return set_iobitmap(v, a2);
    case PHYSDEVOP_map_pirq:
        if (copy_from_guest(&u.map, a2, sizeof(u.map))) {
            return -EFAULT;
        }
        return u.map.domid && !domid_is_own(u.map.domid) ? -ESRCH : -EPERM;
    case PHYSDEVOP_unmap_pirq:
        if (copy_from_guest(&u.unmap, a2, sizeof(u.unmap))) {
            return -EFAULT;
        }
        return u.unmap.domid && !domid_is_own(u.unmap.domid) ? -ESRCH : -EPERM;
    case PHYSDEVOP_pirq_eoi_gmfn_v1:
    case PHYSDEVOP_pirq_eoi_gmfn_v2:
        return pirq_eoi_gmfn(a2);
    case PHYSDEVOP_manage_pci_add_ext:
        if (copy_from_guest(&u.pci, a2, sizeof(u.pci))) {
            return -EFAULT;
        }
        return u.pci.is_extfn > 1 || u.pci.is_virtfn > 1 ? -EINVAL : -EPERM;
    case PHYSDEVOP_setup_gsi:
        if (copy_from_guest(&u.gsi, a2, sizeof(u.gsi))) {
            return -EFAULT;
        }
        return (u32)u.gsi.gsi >= NR_GSIS ? -EINVAL : -EPERM;
    case PHYSDEVOP_pci_mmcfg_reserved:
    case PHYSDEVOP_dbgp_op:
        return -EPERM;
    }
    return -ENOSYS;
}

/* The form before 3.2.2: one structure with the command in it */
HYPERCALL(do_physdev_op_compat)
{
    struct physdev_op op;

    if (copy_from_guest(&op, a1, sizeof(op))) {
        return -EFAULT;
    }
    return do_physdev_op(op.cmd, a1 + offsetof(struct physdev_op, u), 0, 0, 0);
}
