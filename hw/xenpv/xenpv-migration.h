/*
 * Saving and migrating a domain of the xenpv-kvm machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_MIGRATION_H
#define HW_XENPV_MIGRATION_H

#include "hw/xenpv/xenpv-devices.h"
#include "hw/xenpv/xenpv-memory.h"

/*
 * What the monitor of a running domain was told once, and relies on. It cannot
 * be told anew, so the machine that the domain comes to must have the same.
 */
typedef struct XenPVTraits {
    uint32_t abi_version;       /* XENPV_ABI_VERSION */
    uint32_t width;             /* of the guest: 32 or 64 */
    uint32_t nr_vcpus;
    uint32_t flags;             /* XENPV_BOOT_* */
    uint32_t xen_major, xen_minor;
    uint64_t ram_size;          /* bytes */
    uint64_t tsc_hz;            /* 0: KVM's clock, whose rate is told anew */
} XenPVTraits;

/*
 * Called at the machine's init. @traits are those of this machine, and change
 * with a reset. A load compares the domain's with them, and then replaces them
 * by the domain's.
 */
void xenpv_migration_init(XenPVTraits *traits, XenPVMemory *memory,
                          XenPVDevices *devices);

#endif /* HW_XENPV_MIGRATION_H */
