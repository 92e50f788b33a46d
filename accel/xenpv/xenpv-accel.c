/*
 * What differs between KVM and TCG: whether KVM is of use here, what is known
 * of the processor, and upcalls: how a vector gets to a vCPU
 *
 * A back end may send a notification from any thread, and must never take the
 * BQL for it: the main thread may hold the BQL while it waits for that thread.
 * KVM takes an MSI from any thread. QEMU's own local APIC may only be touched
 * with the BQL held, so the vCPU's thread is asked to do that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/core/cpu.h"
#include "hw/i386/apic-msidef.h"
#include "hw/pci/msi.h"
#include "system/kvm.h"
#include "cpu.h"
#include "kvm/kvm_i386.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-kvm.h"
#include "hw/xenpv/xenpv-platform.h"

bool xenpv_kvm_usable(void)
{
    /* On a host that is not x86, KVM is there for other guests */
#if defined(__x86_64__) || defined(__i386__)
    uint32_t ecx = 0, max;

    if (access("/dev/kvm", R_OK | W_OK)) {
        return false;
    }
    host_cpuid(1, 0, NULL, NULL, &ecx, NULL);
    if (ecx & CPUID_EXT_VMX) {
        return true;
    }
    host_cpuid(0x80000000, 0, &max, NULL, NULL, NULL);
    if (max >= 0x80000001) {
        host_cpuid(0x80000001, 0, NULL, NULL, &ecx, NULL);
        return ecx & CPUID_EXT3_SVM;
    }
#endif
    return false;
}

static MSIMessage vector_msi(CPUState *cs, uint8_t vector)
{
    return (MSIMessage) {
        .address = APIC_DEFAULT_ADDRESS |
                   (X86_CPU(cs)->apic_id << MSI_ADDR_DEST_ID_SHIFT),
        .data = vector,
    };
}

static void send_locked(CPUState *cs, uint8_t vector)
{
    MSIMessage msi = vector_msi(cs, vector);

    address_space_stl_le(&address_space_memory, msi.address, msi.data,
                         MEMTXATTRS_UNSPECIFIED, NULL);
}

static void send_on_cpu(CPUState *cs, run_on_cpu_data data)
{
    send_locked(cs, data.host_int);
}

void xenpv_accel_send_vector(unsigned vcpu, uint8_t vector)
{
    CPUState *cs = qemu_get_cpu(vcpu);

    if (!cs) {
        return;
    }
    if (kvm_enabled()) {
        kvm_irqchip_send_msi(kvm_state, vector_msi(cs, vector));
    } else if (bql_locked()) {
        send_locked(cs, vector);
    } else {
        async_run_on_cpu(cs, send_on_cpu, RUN_ON_CPU_HOST_INT(vector));
    }
}

bool xenpv_accel_needs_xpti(void)
{
    /* An emulated processor does not speculate past access rights */
    return kvm_enabled() &&
           !(kvm_arch_get_supported_msr_feature(kvm_state,
                                                MSR_IA32_ARCH_CAPABILITIES) &
             MSR_ARCH_CAP_RDCL_NO);
}
