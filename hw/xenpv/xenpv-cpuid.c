/*
 * What a Xen PV guest learns from CPUID
 *
 * The guest sees what the vCPU's CPU model has, less what a PV kernel cannot
 * use because it does not run in ring 0, plus Xen's own leaves. The monitor
 * answers the emulated CPUID (ud2, "xen") from the table that is made here; a
 * program's own CPUID instruction sees the vCPU as it is.
 *
 * xenpv-kvm.c calls this at each reset, before any vCPU runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/xenpv/xenpv-kvm.h"

#define XEN_CPUID_BASE      0x40000000
#define XEN_CPUID_LEAVES    5
#define HYGON_VENDOR_1      0x6f677948      /* "Hygo" */

/* A feature word, and the bits of it that a PV guest may see */
typedef struct {
    uint32_t leaf, subleaf;
    int reg;
    uint32_t mask;
} PVFeatures;

/*
 * The features that Xen's public/arch-x86/cpufeatureset.h grants to all
 * guests, without those that need MSRs the monitor does not have: machine
 * check, thermal control, breakpoint extensions, AMX. Features that limit
 * speculation, or say that this is not needed, are offered if the CPU model has
 * them, on AMD's CPUs, too: see the monitor's speculation.c.
 */
static const PVFeatures pv_features[] = {
    { 0x00000001, 0, R_EDX, 0x1f898975 },
    { 0x00000001, 0, R_ECX, 0xf6d83203 },
    { 0x00000007, 0, R_EBX, 0xf1af0b29 },
    { 0x00000007, 0, R_ECX, 0x02405f42 },
    { 0x00000007, 0, R_EDX, 0xac804410 },
    { 0x00000007, 1, R_EAX, 0x00801c37 },
    { 0x00000007, 2, R_EDX, 0x00000037 },
    { 0x0000000d, 1, R_EAX, 0x00000007 },
    { 0x80000001, 0, R_EDX, 0xea500800 },
    { 0x80000001, 0, R_ECX, 0x002109e3 },
    { 0x80000007, 0, R_EDX, 0x00000100 },   /* the TSC is invariant */
    { 0x80000008, 0, R_EBX, 0x750fd005 },
    { 0x80000021, 0, R_EAX, 0x78000044 },
};

static void add(struct xenpv_cpuid *table, unsigned *n, uint32_t leaf,
                uint32_t subleaf, const uint32_t regs[4])
{
    if (*n < XENPV_CPUID_MAX) {
        table[(*n)++] = (struct xenpv_cpuid) {
            .leaf = cpu_to_le32(leaf),
            .subleaf = cpu_to_le32(subleaf),
            .eax = cpu_to_le32(regs[R_EAX]),
            .ebx = cpu_to_le32(regs[R_EBX]),
            .ecx = cpu_to_le32(regs[R_ECX]),
            .edx = cpu_to_le32(regs[R_EDX]),
        };
    }
}

/* AMD's CPUs, and Hygon's, have SYSENTER in legacy mode only */
static bool sysenter_in_long_mode(X86CPU *cpu)
{
    return cpu->env.cpuid_vendor1 != CPUID_VENDOR_AMD_1 &&
           cpu->env.cpuid_vendor1 != HYGON_VENDOR_1;
}

static void restrict_features(X86CPU *cpu, uint32_t leaf, uint32_t subleaf,
                              bool is_64bit, uint32_t regs[4])
{
    static const int order[4] = { R_EAX, R_EBX, R_ECX, R_EDX };
    bool known = false;

    for (unsigned i = 0; i < ARRAY_SIZE(pv_features); i++) {
        const PVFeatures *f = &pv_features[i];

        if (f->leaf == leaf && f->subleaf == subleaf) {
            regs[f->reg] &= f->mask;
            known = true;
        }
    }
    switch (leaf) {
    case 0x1:
        regs[R_ECX] |= CPUID_EXT_HYPERVISOR;
        regs[R_ECX] &= ~CPUID_EXT_OSXSAVE;      /* the monitor sets it */
        /* For programs of a 32-bit guest int $0x80 is the shorter way */
        if (!is_64bit || !sysenter_in_long_mode(cpu)) {
            regs[R_EDX] &= ~CPUID_SEP;
        }
        break;
    case 0x7:
        if (!known) {
            memset(regs, 0, 4 * sizeof(regs[0]));
        }
        if (subleaf == 1) {
            regs[R_EBX] = regs[R_ECX] = regs[R_EDX] = 0;
        }
        break;
    case 0x5:               /* MWAIT */
    case 0x6:               /* power management */
    case 0xa:               /* performance counters */
    case 0x12:              /* SGX */
    case 0x14:              /* processor trace */
    case 0x8000000a:        /* SVM */
    case 0x8000001f:        /* memory encryption */
        for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
            regs[order[i]] = 0;
        }
        break;
    case 0x80000021:
        regs[R_EBX] = regs[R_ECX] = regs[R_EDX] = 0;
        break;
    case 0x80000008:        /* no 5-level paging */
        regs[R_EAX] = (regs[R_EAX] & ~0xff00) |
                      MIN(regs[R_EAX] & 0xff00, 48 << 8);
        break;
    case 0x80000001:
        if (!is_64bit) {
            regs[R_EDX] &= ~(CPUID_EXT2_LM | CPUID_EXT2_SYSCALL);
            regs[R_ECX] &= ~CPUID_EXT3_LAHF_LM;
        }
        break;
    }
}

static void add_xen_leaves(struct xenpv_cpuid *table, unsigned *n,
                           unsigned xen_major, unsigned xen_minor)
{
    /* public/arch-x86/cpuid.h */
    const uint32_t leaves[][4] = {
        [0] = { [R_EAX] = XEN_CPUID_BASE + XEN_CPUID_LEAVES,
                [R_EBX] = 0x566e6558, [R_ECX] = 0x65584d4d,
                [R_EDX] = 0x4d4d566e },     /* "XenVMMXenVMM" */
        [1] = { [R_EAX] = xen_major << 16 | xen_minor },
        [2] = { 0 },        /* no hypercall-page MSRs for a PV guest */
        [3] = { 0 },        /* the TSC is not emulated */
        [4] = { 0 },
        [5] = { [R_EBX] = 40 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        add(table, n, XEN_CPUID_BASE + i, XENPV_CPUID_ANY, leaves[i]);
    }
}

static void add_leaf(X86CPU *cpu, bool is_64bit, uint32_t leaf,
                     uint32_t subleaf, bool any, struct xenpv_cpuid *table,
                     unsigned *n)
{
    uint32_t regs[4] = { 0 };

    cpu_x86_cpuid(&cpu->env, leaf, subleaf, &regs[R_EAX], &regs[R_EBX],
                  &regs[R_ECX], &regs[R_EDX]);
    restrict_features(cpu, leaf, subleaf, is_64bit, regs);
    add(table, n, leaf, any ? XENPV_CPUID_ANY : subleaf, regs);
}

/* The XSAVE state components of the features that the guest has */
static uint64_t xstates(X86CPU *cpu, bool is_64bit)
{
    const uint64_t avx512 = XSTATE_OPMASK_MASK | XSTATE_ZMM_Hi256_MASK |
                            XSTATE_Hi16_ZMM_MASK;
    uint32_t one[4], seven[4] = { 0 };
    uint64_t states = XSTATE_FP_MASK | XSTATE_SSE_MASK;

    cpu_x86_cpuid(&cpu->env, 1, 0, &one[R_EAX], &one[R_EBX], &one[R_ECX],
                  &one[R_EDX]);
    restrict_features(cpu, 1, 0, is_64bit, one);
    if (!(one[R_ECX] & CPUID_EXT_XSAVE)) {
        return 0;
    }
    if (cpu->env.cpuid_level >= 7) {
        cpu_x86_cpuid(&cpu->env, 7, 0, &seven[R_EAX], &seven[R_EBX],
                      &seven[R_ECX], &seven[R_EDX]);
        restrict_features(cpu, 7, 0, is_64bit, seven);
    }
    states |= one[R_ECX] & CPUID_EXT_AVX ? XSTATE_YMM_MASK : 0;
    states |= seven[R_EBX] & CPUID_7_0_EBX_AVX512F ? avx512 : 0;
    return states;
}

/* Leaf 0xd; the monitor fills in .ebx of the first two subleaves */
static void add_xstate_leaves(X86CPU *cpu, bool is_64bit,
                              struct xenpv_cpuid *table, unsigned *n)
{
    const uint64_t states = xstates(cpu, is_64bit);
    uint32_t regs[4], size = sizeof(X86LegacyXSaveArea) + sizeof(X86XSaveHeader);

    if (!states) {
        return;
    }
    for (unsigned i = 2; i < XSAVE_STATE_AREA_COUNT; i++) {
        if (states & BIT_ULL(i)) {
            cpu_x86_cpuid(&cpu->env, 0xd, i, &regs[R_EAX], &regs[R_EBX],
                          &regs[R_ECX], &regs[R_EDX]);
            size = MAX(size, regs[R_EBX] + regs[R_EAX]);
        }
    }
    for (unsigned i = 0; i < XSAVE_STATE_AREA_COUNT; i++) {
        memset(regs, 0, sizeof(regs));
        if (i == 0) {
            regs[R_EAX] = states;
            regs[R_EDX] = states >> 32;
            regs[R_ECX] = size;
        } else if (i == 1 || states & BIT_ULL(i)) {
            cpu_x86_cpuid(&cpu->env, 0xd, i, &regs[R_EAX], &regs[R_EBX],
                          &regs[R_ECX], &regs[R_EDX]);
            restrict_features(cpu, 0xd, i, is_64bit, regs);
            if (i == 1) {
                regs[R_ECX] = regs[R_EDX] = 0;      /* no state of XSAVES */
            }
        } else {
            continue;
        }
        add(table, n, 0xd, i, regs);
    }
}

unsigned xenpv_cpuid_table(X86CPU *cpu, bool is_64bit, unsigned xen_major,
                           unsigned xen_minor,
                           struct xenpv_cpuid table[XENPV_CPUID_MAX],
                           uint8_t index[3][XENPV_CPUID_LEAVES])
{
    CPUX86State *env = &cpu->env;
    unsigned n = 0;
    uint32_t leaf, sub;

    for (leaf = 0; leaf <= MIN(env->cpuid_level, 0x1f); leaf++) {
        switch (leaf) {
        case 0x4:
            for (sub = 0; sub < 6; sub++) {
                add_leaf(cpu, is_64bit, leaf, sub, false, table, &n);
            }
            break;
        case 0x7:
            for (sub = 0; sub < 3; sub++) {
                add_leaf(cpu, is_64bit, leaf, sub, false, table, &n);
            }
            break;
        case 0xb:
        case 0x1f:
            for (sub = 0; sub < 4; sub++) {
                add_leaf(cpu, is_64bit, leaf, sub, false, table, &n);
            }
            break;
        case 0xd:
            add_xstate_leaves(cpu, is_64bit, table, &n);
            break;
        default:
            add_leaf(cpu, is_64bit, leaf, 0, true, table, &n);
        }
    }
    add_xen_leaves(table, &n, xen_major, xen_minor);
    for (leaf = 0x80000000; leaf <= MIN(env->cpuid_xlevel, 0x80000021); leaf++) {
        if (leaf == 0x8000001d) {
            for (sub = 0; sub < 5; sub++) {
                add_leaf(cpu, is_64bit, leaf, sub, false, table, &n);
            }
        } else {
            add_leaf(cpu, is_64bit, leaf, 0, true, table, &n);
        }
    }
    QEMU_BUILD_BUG_ON(XENPV_CPUID_MAX > XENPV_CPUID_NONE);
    memset(index, XENPV_CPUID_NONE, 3 * XENPV_CPUID_LEAVES);
    for (unsigned i = n; i-- > 0;) {
        leaf = le32_to_cpu(table[i].leaf);
        index[leaf >> 30][leaf % XENPV_CPUID_LEAVES] = i;
    }
    return n;
}

/* The monitor uses CMOV (-march=i686), and CMPXCHG8B for PAE's entries */
static const struct {
    uint32_t feature;
    const char *name;
} needed_features[] = {
    { CPUID_APIC, "apic" },
    { CPUID_PAE, "pae" },
    { CPUID_CX8, "cx8" },
    { CPUID_CMOV, "cmov" },
};

bool xenpv_cpu_check(X86CPU *cpu, bool is_64bit, Error **errp)
{
    if (is_64bit && !(cpu->env.features[FEAT_8000_0001_EDX] & CPUID_EXT2_LM)) {
        error_setg(errp, "-cpu: a 64-bit guest needs a CPU with lm");
        return false;
    }
    for (size_t i = 0; i < ARRAY_SIZE(needed_features); i++) {
        if (!(cpu->env.features[FEAT_1_EDX] & needed_features[i].feature)) {
            error_setg(errp, "-cpu: this machine needs a CPU with %s",
                       needed_features[i].name);
            return false;
        }
    }
    return true;
}
