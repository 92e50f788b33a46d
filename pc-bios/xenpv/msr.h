/*
 * MSRs by number, the monitor's own and those that a guest may use; and CPUID
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_MSR_H
#define XENPV_MSR_H

#include "monitor.h"

#define MSR_TSC             0x10
#define MSR_APIC_BASE       0x1b
#define MSR_SPEC_CTRL       0x48
#define MSR_PRED_CMD        0x49
#define MSR_UCODE_REV       0x8b
#define MSR_PLATFORM_INFO   0xce
#define PLATFORM_CPUID_FAULTING (1u << 31)
#define MSR_ARCH_CAPS       0x10a
#define MSR_MISC_FEATURES   0x140
#define MISC_CPUID_FAULTS   1           /* outside of ring 0 */
#define MSR_SYSENTER_CS     0x174
#define MSR_SYSENTER_ESP    0x175
#define MSR_SYSENTER_EIP    0x176
#define MSR_MISC_ENABLE     0x1a0
#define MSR_PAT             0x277
#define XEN_MSR_PAT         0x0000050100070406ULL   /* public/arch-x86/xen.h */
#define MSR_PERF_CAPS       0x345
#define MSR_EFER            0xc0000080
#define MSR_STAR            0xc0000081
#define MSR_LSTAR           0xc0000082
#define MSR_CSTAR           0xc0000083
#define MSR_SFMASK          0xc0000084
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103
#define MSR_KVM_WALL_CLOCK_NEW  0x4b564d00
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01
#define MSR_KVM_PV_EOI_EN   0x4b564d04

static inline u64 rdmsr(u32 msr)
{
    u32 lo, hi;

    asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (msr));
    return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 val)
{
    asm volatile("wrmsr" : : "c" (msr), "a" ((u32)val), "d" ((u32)(val >> 32))
                 : "memory");
}

/* The CPU's own CPUID, not what the guest is shown: out[] is eax to edx */
static inline void cpuid(u32 leaf, u32 out[4])
{
    asm("cpuid" : "=a" (out[0]), "=b" (out[1]), "=c" (out[2]), "=d" (out[3])
                : "0" (leaf), "2" (0));
}

#endif
