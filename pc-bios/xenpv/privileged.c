/*
 * Privileged instructions of the guest kernel: MSRs, control and debug registers, and
 * loading segments
 *
 * traps.c calls this for a #GP that the guest kernel, in ring 1, has raised.
 * What it sets is checked, as in the hypercalls; what is refused stays a #GP.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "emulate.h"
#include "msr.h"

/* Long mode and system calls */
#define GUEST_EFER          (WORD == 8 ? 0xd01 : 0x800)

#define CPUID7_RDPID        (1u << 22)
#define CPUID81_RDTSCP      (1u << 27)

/* Has the guest RDTSCP or RDPID, which read what its kernel writes there? */
static bool has_tsc_aux(struct vcpu *v)
{
    u32 seven[4], ext[4];

    guest_cpuid(v, 7, 0, seven);
    guest_cpuid(v, 0x80000001, 0, ext);
    return (seven[2] & CPUID7_RDPID) || (ext[3] & CPUID81_RDTSCP);
}

/* MSRs that always have one value; writing that same value is allowed */
static const struct fixed_msr {
    u32 msr;
    u64 val;
} fixed_msrs[] = {
    { MSR_EFER, GUEST_EFER },
    { MSR_PAT, XEN_MSR_PAT },
    { MSR_UCODE_REV, 0 },
    { MSR_PLATFORM_INFO, 0 },
    { MSR_MISC_FEATURES, 0 },
    { MSR_PERF_CAPS, 0 },
    /* Fast strings; no performance counters, and nothing to adjust */
    { MSR_MISC_ENABLE, 0x801801 },
};

static const struct fixed_msr *fixed_msr(u32 msr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fixed_msrs); i++) {
        if (fixed_msrs[i].msr == msr) {
            return &fixed_msrs[i];
        }
    }
    return NULL;
}

static bool read_msr(struct vcpu *v, u32 msr, u64 *val)
{
    const struct fixed_msr *fixed = fixed_msr(msr);

    if (fixed) {
        *val = fixed->val;
        return true;
    }
    switch (msr) {
    case MSR_FS_BASE ... MSR_KERNEL_GS_BASE:
        if (WORD == 4) {
            break;
        }
        *val = rdmsr(msr);
        return true;
    case MSR_TSC_AUX:
        *val = v->tsc_aux;
        return has_tsc_aux(v);
    case MSR_APIC_BASE:
        *val = 0xfee00000 | (v->id == 0) << 8;
        return true;
    case MSR_TSC:
        *val = rdtsc();
        return true;
    }
    if (read_speculation_msr(v, msr, val)) {
        return true;
    }
    if (boot_info->flags & XENPV_BOOT_TRACE) {
        printk("rdmsr %x\n", msr);
    }
    /* A kernel that has no handler for #GP yet reads 0 */
    *val = 0;
    return !v->traps[13].address && msr >> 16 != 0x4000;
}

/*
 * Some MSRs old kernels write without a handler for #GP: such writes are
 * ignored, as by Xen before 4.15.
 */
static bool write_msr(struct vcpu *v, u32 msr, u64 val)
{
    const struct fixed_msr *fixed = fixed_msr(msr);

    switch (msr) {
    case MSR_FS_BASE ... MSR_KERNEL_GS_BASE:
        if (WORD == 4 || !canonical(val)) {
            return false;
        }
        wrmsr(msr, val);
        return true;
    case MSR_TSC_AUX:
        if (val >> 32 || !has_tsc_aux(v)) {
            return false;
        }
        v->tsc_aux = val;
        wrmsr(msr, val);
        return true;
    case MSR_APIC_BASE:
    case MSR_TSC:
    case MSR_MISC_ENABLE:
        return true;
    }
    if (fixed ? val == fixed->val : write_speculation_msr(v, msr, val)) {
        return true;
    }
    if (boot_info->flags & XENPV_BOOT_TRACE) {
        printk("wrmsr %x\n", msr);
    }
    return false;
}

/* CR4 bits that the guest kernel may set, for itself and its programs */
#define CR4_TSD         0x4
#define CR4_FSGSBASE    0x10000
#define CR4_GUEST       (CR4_TSD | CR4_DE | CR4_FSGSBASE | CR4_OSXSAVE)

static bool write_guest_cr(struct vcpu *v, unsigned nr, ulong val)
{
    switch (nr) {
    case 0:
        if ((val ^ read_cr0()) & ~8UL) {
            return false;
        }
        do_fpu_taskswitch(!!(val & 8), 0, 0, 0, 0);
        return true;
    case 2:
        v->vcpu_info->arch.cr2 = val;
        return true;
    case 3:
        return !set_base_table(v, xen_cr3_to_pfn(val), false);
    case 4:
        {
            u32 features[4];
            ulong allowed = CR4_TSD | CR4_DE;

            guest_cpuid(v, 1, 0, features);
            if (features[2] & CPUID1_XSAVE) {
                allowed |= CR4_OSXSAVE;
            }
            guest_cpuid(v, 7, 0, features);
            if (features[1] & 1) {
                allowed |= CR4_FSGSBASE;
            }
            v->cr4 = (v->cr4 & ~allowed) | (val & allowed);
            write_cr4((read_cr4() & ~CR4_GUEST) | (v->cr4 & CR4_GUEST));
            return true;
        }
    }
    return false;
}

static bool read_guest_cr(struct vcpu *v, unsigned nr, ulong *val)
{
    switch (nr) {
    case 0:
        *val = read_cr0();
        return true;
    case 2:
        *val = v->vcpu_info->arch.cr2;
        return true;
    case 3:
        *val = xen_pfn_to_cr3(v->top_mfn);
        return true;
    case 4:
        *val = v->cr4;
        return true;
    }
    return false;
}

static bool emulate_xsetbv(struct vcpu *v, struct regs *regs)
{
    u32 allowed[4];

    guest_cpuid(v, 0xd, 0, allowed);
    if (!(read_cr4() & CR4_OSXSAVE) || (u32)regs->cx ||
        ((u32)regs->ax & ~allowed[0]) || ((u32)regs->dx & ~allowed[3])) {
        return false;
    }
    asm goto("1: .byte 0x0f, 0x01, 0xd1\n\t" EX_TABLE(1b, %l[bad])
             : : "a" ((u32)regs->ax), "c" ((u32)regs->cx),
                 "d" ((u32)regs->dx) : : bad);
    v->xcr0 = (u32)regs->ax | (u64)(u32)regs->dx << 32;
    return true;
bad:
    return false;
}

/* RDTSC of a kernel that has set CR4.TSD, for which it is a #GP in ring 1 */
static void emulate_rdtsc(struct regs *regs)
{
    u64 tsc = rdtsc();

    regs->ax = (u32)tsc;
    regs->dx = tsc >> 32;
}

bool emulate_privileged(struct vcpu *v, struct regs *regs)
{
    struct insn in;
    ulong val;
    u64 msr;

    if (!decode_prefixes(&in, regs)) {
        return false;
    }
    if (!in.two_byte) {
        if (!emulate_io(v, regs, &in)) {
            return false;
        }
        goto done;
    }
    switch (in.opcode) {
    case 0x01:
        in.modrm = next(&in);
        if (in.modrm == 0xd1) {
            if (!emulate_xsetbv(v, regs)) {
                return false;
            }
            break;
        }
        if (in.modrm != 0xf9 || !has_tsc_aux(v)) {
            return false;       /* nor invlpg: a PV kernel has a hypercall */
        }
        emulate_rdtsc(regs);    /* rdtscp */
        regs->cx = v->tsc_aux;
        break;
    case 0x06:              /* clts */
        do_fpu_taskswitch(0, 0, 0, 0, 0);
        break;
    case 0x09:              /* wbinvd */
        break;
    case 0x20:              /* mov %crN, reg */
        in.modrm = next(&in);
        if (!read_guest_cr(v, modrm_reg(&in), &val)) {
            return false;
        }
        *reg_ptr(regs, modrm_rm(&in)) = val;
        break;
    case 0x22:              /* mov reg, %crN */
        in.modrm = next(&in);
        if (!write_guest_cr(v, modrm_reg(&in), *reg_ptr(regs, modrm_rm(&in)))) {
            return false;
        }
        break;
    case 0x21:              /* mov %dbN, reg */
        in.modrm = next(&in);
        if ((v->cr4 & CR4_DE) && modrm_reg(&in) / 2 == 2) {
            return false;           /* with CR4.DE there are no DR4 and DR5 */
        }
        *reg_ptr(regs, modrm_rm(&in)) =
            do_get_debugreg(modrm_reg(&in), 0, 0, 0, 0);
        break;
    case 0x23:              /* mov reg, %dbN */
        in.modrm = next(&in);
        if (do_set_debugreg(modrm_reg(&in), *reg_ptr(regs, modrm_rm(&in)),
                            0, 0, 0)) {
            return false;
        }
        break;
    case 0x30:              /* wrmsr */
        if (!write_msr(v, regs->cx, (u32)regs->ax | (u64)regs->dx << 32)) {
            return false;
        }
        break;
    case 0x31:              /* rdtsc */
        emulate_rdtsc(regs);
        break;
    case 0x32:              /* rdmsr */
        if (!read_msr(v, regs->cx, &msr)) {
            return false;
        }
        regs->ax = (u32)msr;
        regs->dx = msr >> 32;
        break;
    case 0xa2:
        emulate_cpuid(v, regs);
        break;
    default:
        return false;
    }
done:
    if (in.len > in.avail) {
        return false;
    }
    instruction_done(v, regs, regs->ip + in.len);
    return true;
}
