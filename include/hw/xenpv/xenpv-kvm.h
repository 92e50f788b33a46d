/*
 * The xenpv-kvm machine: Xen paravirtualised guests without Xen
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_KVM_H
#define HW_XENPV_KVM_H

#include "hw/i386/x86.h"
#include "qemu/uuid.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "hw/xenpv/xenpv-monitor.h"

#define TYPE_XENPV_KVM_MACHINE  MACHINE_TYPE_NAME("xenpv-kvm")
OBJECT_DECLARE_SIMPLE_TYPE(XenPVKVMState, XENPV_KVM_MACHINE)

/* The domid of the one guest; domain 0 is QEMU */
#define XENPV_DOMID             1

/* The most RAM that a guest may have, by its width */
#define XENPV_MAX_RAM_32        (16 * GiB)
#define XENPV_MAX_RAM_64        (512 * GiB)

/*
 * Can KVM run ring-0 code at the CPU's speed? A /dev/kvm without VMX or SVM
 * behind it emulates every instruction of the monitor. (accel/xenpv)
 */
bool xenpv_kvm_usable(void);

/*
 * Does @cpu have what the monitor and a guest of this width need? For CPUs that
 * are realized already: one that is refused while it is plugged in is taken
 * apart again, for which KVM's are not prepared.
 */
bool xenpv_cpu_check(X86CPU *cpu, bool is_64bit, Error **errp);

/*
 * Fill in what the guest's emulated CPUID answers, sorted by leaf and subleaf:
 * what @cpu has, less what a PV kernel of this width may not use, and Xen's own
 * leaves. @index is set to where each of the three ranges begins. Returns the
 * number of entries.
 */
unsigned xenpv_cpuid_table(X86CPU *cpu, bool is_64bit, unsigned xen_major,
                           unsigned xen_minor,
                           struct xenpv_cpuid table[XENPV_CPUID_MAX],
                           uint8_t index[3][XENPV_CPUID_LEAVES]);

/*
 * Is the CPU of the Meltdown class, as far as the host's kernel knows? There a
 * program can read what is mapped without having the right to. (accel/xenpv)
 */
bool xenpv_accel_needs_xpti(void);

#endif
