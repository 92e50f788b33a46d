/*
 * Speculation, and the MSRs that limit it
 *
 * The monitor has no indirect branches (see dispatch.S), and nothing of its own
 * to hide from the guest kernel; but a program must not be able to steer its
 * returns, or the kernel's branches. If the CPU can be told once to keep the
 * predictions of programs away from rings 0 to 2, init.c has it told on each
 * vCPU. If it would have to be told at each entry, it is not told: that costs
 * too much.
 *
 * The guest's kernel has these MSRs as Xen's PV guests do, as far as its CPUID
 * offers them: its write traps, and is checked and made at once. The predictors
 * do not tell rings 0 and 1 apart, so what the kernel sets holds in the
 * monitor, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "msr.h"

#define SPEC_CTRL_IBRS      (1 << 0)
#define SPEC_CTRL_STIBP     (1 << 1)
#define SPEC_CTRL_SSBD      (1 << 2)
#define SPEC_CTRL_IPRED_DIS (3 << 3)        /* of programs, of supervisors */
#define SPEC_CTRL_RRSBA_DIS (3 << 5)        /* likewise */
#define SPEC_CTRL_PSFD      (1 << 7)
#define SPEC_CTRL_BHI_DIS_S (1 << 10)
#define PRED_CMD_IBPB       (1 << 0)
#define PRED_CMD_SBPB       (1 << 7)
#define ARCH_CAPS_IBRS_ALL  (1 << 1)
#define EFER_AIBRSE         (1 << 21)

/*
 * The bits of MSR_ARCH_CAPS that a guest is shown: all but those that tell of
 * other MSRs, which it does not have
 */
#define ARCH_CAPS_SHOWN     0x1d1ae17fULL

/* The CPU's features, and the bits of an MSR that each lets the guest set */
static const struct feature {
    u32 leaf, subleaf;
    u8 reg, bit;                /* of eax, ebx, ecx, edx */
    u16 allows;
} spec_ctrl_features[] = {
    { 7, 0, 3, 26, SPEC_CTRL_IBRS | SPEC_CTRL_STIBP },
    { 7, 0, 3, 27, SPEC_CTRL_STIBP },
    { 7, 0, 3, 31, SPEC_CTRL_SSBD },
    { 7, 2, 3, 0, SPEC_CTRL_PSFD },
    { 7, 2, 3, 1, SPEC_CTRL_IPRED_DIS },
    { 7, 2, 3, 2, SPEC_CTRL_RRSBA_DIS },
    { 7, 2, 3, 4, SPEC_CTRL_BHI_DIS_S },
    { 0x80000008, 0, 1, 14, SPEC_CTRL_IBRS },
    { 0x80000008, 0, 1, 15, SPEC_CTRL_STIBP },
    { 0x80000008, 0, 1, 24, SPEC_CTRL_SSBD },
    { 0x80000008, 0, 1, 28, SPEC_CTRL_PSFD },
}, pred_cmd_features[] = {
    { 7, 0, 3, 26, PRED_CMD_IBPB },
    { 0x80000008, 0, 1, 12, PRED_CMD_IBPB },
    { 0x80000021, 0, 0, 27, PRED_CMD_SBPB },
}, arch_caps_features[] = {
    { 7, 0, 3, 29, 1 },
};

/* What the guest may set, and what the monitor sets in any case */
static u32 spec_ctrl_allowed, pred_cmd_allowed, own_spec_ctrl;
static bool arch_caps_shown;

static u32 allowed_by(struct vcpu *v, const struct feature *f, unsigned nr)
{
    u32 bits = 0, out[4];

    for (; nr--; f++) {
        guest_cpuid(v, f->leaf, f->subleaf, out);
        bits |= out[f->reg] >> f->bit & 1 ? f->allows : 0;
    }
    return bits;
}

/* The CPU's own features, not what the guest is shown */
static u32 cpuid_reg(u32 leaf, unsigned reg)
{
    u32 out[4];

    cpuid(leaf & 0x80000000, out);
    if (out[0] < leaf) {
        return 0;
    }
    cpuid(leaf, out);
    return out[reg];
}

/* False: the CPU does not have the MSR, whatever CPUID says */
static bool wrmsr_safe(u32 msr, u64 val)
{
    asm goto("1: wrmsr\n\t" EX_TABLE(1b, %l[none])
             : : "c" (msr), "a" ((u32)val), "d" ((u32)(val >> 32))
             : "memory" : none);
    return true;
none:
    return false;
}

/* Returns 0 if the CPU does not have the MSR */
static u64 rdmsr_safe(u32 msr)
{
    u32 lo, hi;

    asm volatile goto("1: rdmsr\n\t" EX_TABLE(1b, %l[none])
                      : "=a" (lo), "=d" (hi) : "c" (msr) : : none);
    return lo | (u64)hi << 32;
none:
    return 0;
}

/* Can IBRS be set once and for all, so that no entry has to set it again? */
static bool ibrs_is_lasting(void)
{
    u32 seven = cpuid_reg(7, 3), amd = cpuid_reg(0x80000008, 1);

    return ((seven & 1 << 26) && (seven & 1 << 29) &&
            (rdmsr_safe(MSR_ARCH_CAPS) & ARCH_CAPS_IBRS_ALL)) ||
           ((amd & 1 << 14) && (amd & 1 << 16));
}

void init_speculation(struct vcpu *v)
{
    spec_ctrl_allowed = allowed_by(v, spec_ctrl_features,
                                   ARRAY_SIZE(spec_ctrl_features));
    pred_cmd_allowed = allowed_by(v, pred_cmd_features,
                                  ARRAY_SIZE(pred_cmd_features));
    arch_caps_shown = allowed_by(v, arch_caps_features,
                                 ARRAY_SIZE(arch_caps_features));
    if (cpuid_reg(0x80000021, 0) & 1 << 8) {
        wrmsr_safe(MSR_EFER, rdmsr(MSR_EFER) | EFER_AIBRSE);
    } else if (ibrs_is_lasting() &&
               wrmsr_safe(MSR_SPEC_CTRL, SPEC_CTRL_IBRS)) {
        own_spec_ctrl = SPEC_CTRL_IBRS;
    }
}

bool read_speculation_msr(struct vcpu *v, u32 msr, u64 *val)
{
    switch (msr) {
    case MSR_SPEC_CTRL:
        *val = v->spec_ctrl;
        return spec_ctrl_allowed;
    case MSR_ARCH_CAPS:
        *val = arch_caps_shown ? rdmsr_safe(msr) & ARCH_CAPS_SHOWN : 0;
        return arch_caps_shown;
    }
    return false;
}

bool write_speculation_msr(struct vcpu *v, u32 msr, u64 val)
{
    switch (msr) {
    case MSR_SPEC_CTRL:
        if (!spec_ctrl_allowed || (val & ~(u64)spec_ctrl_allowed) ||
            !wrmsr_safe(msr, val | own_spec_ctrl)) {
            return false;
        }
        v->spec_ctrl = val;
        return true;
    case MSR_PRED_CMD:
        return pred_cmd_allowed && !(val & ~(u64)pred_cmd_allowed) &&
               wrmsr_safe(msr, val);
    }
    return false;
}
