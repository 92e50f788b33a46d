/*
 * Privileged instructions of the guest kernel work as far as Xen emulates
 * them, and are refused beyond that.
 *
 * Old and small kernels still read control registers, clear TS, ask for CPUID
 * by the forced-emulation prefix, and read and write MSRs, relying on the
 * hypervisor to emulate that; each instruction that is emulated must continue
 * behind itself, and each that is not must be a #GP at itself, so that a
 * kernel which probes for a feature can recover.
 *
 * All features that there are, so that there are some to hide:
 * CPU: check=off
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define X86_CR0_TS      0x8

static noinline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    asm volatile("ud2; .ascii \"xen\"; cpuid"
                 : "=a" (r[0]), "=b" (r[1]), "=c" (r[2]), "=d" (r[3])
                 : "0" (leaf), "2" (subleaf));
}

static void do_cpuid(void *unused)
{
    uint32_t r[4];
    char vendor[13];

    cpuid(0x40000000, 0, r);
    check(r[1] == 0x566e6558 && r[2] == 0x65584d4d && r[3] == 0x4d4d566e,
          "CPUID leaf 0x40000000 is not XenVMMXenVMM");
    check(r[0] >= 0x40000001, "the last Xen leaf is %x", r[0]);
    cpuid(0x40000001, 0, r);
    check_eq(r[0], HYPERCALL(xen_version, XENVER_version),
             "the version by CPUID");
    cpuid(0, 0, r);
    memcpy(vendor, &r[1], 4);
    memcpy(vendor + 4, &r[3], 4);
    memcpy(vendor + 8, &r[2], 4);
    vendor[12] = 0;
    check(r[0] >= 1, "the last leaf is %x (\"%s\")", r[0], vendor);
    cpuid(1, 0, r);
    check(r[3] & 1, "CPUID: no FPU");
    check(r[3] & 1 << 4, "CPUID: no TSC");
    check(r[3] & 1 << 5, "CPUID: no MSRs");
    check(r[3] & 1 << 6, "CPUID: no PAE");
    check(r[2] & 1u << 31, "CPUID: no hypervisor");
    if (!is_initdomain()) {
        /* Domain 0 gets some of these, as old kernels of it need them */
        check(!(r[3] & 1 << 12), "CPUID: MTRR");
    }
    if (IS_64BIT && strcmp(vendor, "AuthenticAMD") == 0) {
        check(!(r[3] & CPUID1_SEP), "CPUID: SYSENTER on AMD in long mode");
    }
    check(!(r[3] & 1 << 1), "CPUID: VME");
    check(!(r[3] & 1 << 3), "CPUID: PSE");
    check(!(r[3] & 1 << 13), "CPUID: PGE");
    check(!(r[3] & 1 << 17), "CPUID: PSE36");
    check(!(r[2] & 1 << 5), "CPUID: VMX");
    check(!(r[2] & 1 << 17), "CPUID: PCID");
    cpuid(7, 0, r);
    check(!(r[1] & 1 << 7), "CPUID: SMEP");
    check(!(r[1] & 1 << 20), "CPUID: SMAP");
    check(!(r[1] & 1 << 10), "CPUID: INVPCID");
    cpuid(0x80000001, 0, r);
    check_eq(r[3] >> 29 & 1, IS_64BIT, "CPUID: long mode");
    check(r[3] & 1 << 20, "CPUID: no NX");
    check(!(r[2] & 1 << 2), "CPUID: SVM");
    if (IS_64BIT) {
        check(r[3] & 1 << 11, "CPUID: no SYSCALL");
    }
}

/*
 * XSAVE saves what goes with the features that there are, and no more may be
 * switched on: else a kernel would save, and leave to the next program, state
 * that it does not know, or think its buffers too small.
 */
#define XSTATE_YMM      (1u << 2)
#define XSTATE_AVX512   (7u << 5)

static void xstates(void *unused)
{
    uint32_t one[4], seven[4] = { 0 }, main[4], r[4];
    uint32_t states, size = 576;

    cpuid(0, 0, r);
    cpuid(1, 0, one);
    if (r[0] >= 7) {
        cpuid(7, 0, seven);
    }
    cpuid(0xd, 0, main);
    if (!(one[2] & 1 << 26)) {
        check_eq(main[0] | main[1] | main[2] | main[3], 0, "0xd without XSAVE");
        return;
    }
    states = 3 | (one[2] & 1 << 28 ? XSTATE_YMM : 0) |
             (seven[1] & 1 << 16 ? XSTATE_AVX512 : 0);
    check_eq(main[0], states, "the states that can be saved");
    check_eq(main[3], 0, "their upper half");
    for (unsigned i = 2; i < 63; i++) {
        cpuid(0xd, i, r);
        if (i < 32 && states >> i & 1) {
            check(r[0] && r[1] >= 576, "state %u is at %x, of size %x", i, r[1],
                  r[0]);
            check_eq(r[2] & 1, 0, "state %u is XSAVES's", i);
            size = r[0] + r[1] > size ? r[0] + r[1] : size;
        } else {
            check_eq(r[0] | r[1] | r[2] | r[3], 0, "state %u", i);
        }
    }
    check_eq(main[2], size, "the size of all that can be saved");
    cpuid(0xd, 1, r);
    check_eq(r[0] & ~7u, 0, "XSAVES, or what is new");
    check_eq(r[2] | r[3], 0, "states of XSAVES");
}

#define CR4_OSXSAVE     (1UL << 18)

static void xsetbv(void *val)
{
    asm volatile(".byte 0x0f, 0x01, 0xd1"
                 : : "a" ((uint32_t)(ulong)val), "d" (0), "c" (0));
}

static void xcr0(void)
{
    uint32_t r[4];
    struct trap t;
    ulong cr4;

    cpuid(1, 0, r);
    if (!(r[2] & 1 << 26)) {
        return;
    }
    cpuid(0xd, 0, r);
    asm volatile("mov %%cr4, %0" : "=r" (cr4));
    asm volatile("mov %0, %%cr4" : : "r" (cr4 | CR4_OSXSAVE));
    check(!catch_exception(&t, xsetbv, (void *)(ulong)r[0]),
          "all states that there are: %s", trap_name(t.vector));
    for (unsigned i = 2; i < 32; i++) {
        if (!(r[0] >> i & 1)) {
            check(catch_exception(&t, xsetbv, (void *)(3UL | 1UL << i)) &&
                  t.vector == X86_GP, "state %u can be switched on", i);
        }
    }
    check(!catch_exception(&t, xsetbv, (void *)3), "x87 and SSE: %s",
          trap_name(t.vector));
    check(catch_exception(&t, xsetbv, (void *)2) && t.vector == X86_GP,
          "SSE without x87");
    asm volatile("mov %0, %%cr4" : : "r" (cr4));
}

/* Runs fn; it must not raise anything */
static void works(const char *name, void (*fn)(void *))
{
    struct trap t;

    if (catch_exception(&t, fn, NULL)) {
        failure("%s: %s, error code %x, at %lx", name, trap_name(t.vector),
                t.error_code, t.ip);
    }
}
#define WORKS(fn) works(#fn, fn)

static void control_registers(void *unused)
{
    ulong val;

    HYPERCALL(fpu_taskswitch, 1);
    asm volatile("mov %%cr0, %0" : "=r" (val));
    check_eq(val, 0x80050033 | X86_CR0_TS, "PG, AM, WP, NE, TS and PE in CR0");
    asm volatile("clts");
    asm volatile("mov %%cr0, %0" : "=r" (val));
    check_eq(val & X86_CR0_TS, 0, "TS after clts");
    asm volatile("fnop");
    asm volatile("mov %0, %%cr0" : : "r" (val | X86_CR0_TS));
    asm volatile("mov %%cr0, %0" : "=r" (val));
    check_eq(val & X86_CR0_TS, X86_CR0_TS, "TS after writing CR0");
    asm volatile("mov %0, %%cr0" : : "r" (val & ~(ulong)X86_CR0_TS));
    asm volatile("fnop");

    asm volatile("mov %%cr3, %0" : "=r" (val));
#ifdef __x86_64__
    check_eq(val >> PAGE_SHIFT, virt_to_mfn((void *)start_info->pt_base),
             "the frame in CR3");
#else
    /* Bits above 4 GiB are rotated into the low ones */
    val = val >> 12 | val << 20;
    check_eq(val, virt_to_mfn((void *)start_info->pt_base),
             "the frame in CR3");
#endif
    asm volatile("mov %0, %%cr3"
                 : : "r" (({ ulong v; asm volatile("mov %%cr3, %0"
                                                   : "=r" (v)); v; }))
                 : "memory");
    asm volatile("mov %%cr4, %0" : "=r" (val));
    check(val & 0x20, "PAE in CR4: %lx", val);
    vcpu_info()->arch.cr2 = 0x12345;
    asm volatile("mov %%cr2, %0" : "=r" (val));
}

static void msrs(void *unused)
{
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (0xc0000080));
#ifdef __x86_64__
    check_eq(lo & 0x501, 0x501, "EFER.LMA, LME and SCE");
    {
        static ulong x = 0x1234;
        ulong val, p = (ulong)&x;

        asm volatile("wrmsr" : : "c" (0xc0000100), "a" ((uint32_t)p),
                     "d" ((uint32_t)(p >> 32)));
        asm volatile("mov %%fs:0, %0" : "=r" (val));
        check_eq(val, 0x1234, "by MSR_FS_BASE");
        asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (0xc0000100));
        check_eq(((ulong)hi << 32) | lo, p, "MSR_FS_BASE");
        asm volatile("wrmsr" : : "c" (0xc0000101), "a" ((uint32_t)p),
                     "d" ((uint32_t)(p >> 32)));
        asm volatile("mov %%gs:0, %0" : "=r" (val));
        check_eq(val, 0x1234, "by MSR_GS_BASE");
        asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (0xc0000101));
        check_eq(((ulong)hi << 32) | lo, p, "MSR_GS_BASE");
        asm volatile("wrmsr" : : "c" (0xc0000102), "a" (0x5000), "d" (0x7f));
        asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (0xc0000102));
        check_eq(((ulong)hi << 32) | lo, 0x7f00005000, "MSR_SHADOW_GS_BASE");
    }
#endif
}

static uint64_t rdmsr64(uint32_t msr)
{
    uint32_t lo, hi;

    asm volatile("rdmsr" : "=a" (lo), "=d" (hi) : "c" (msr));
    return (uint64_t)hi << 32 | lo;
}

static ulong rdmsr(uint32_t msr)
{
    return (uint32_t)rdmsr64(msr);
}

/* The way memory is cached is for the whole machine: no guest may change it */
static void write_pat(void *unused)
{
    asm volatile("wrmsr" : : "c" (0x277), "a" (0x00070406), "d" (0x00070106));
}

/* Unguarded accesses of many a kernel */
static void usual_msrs(void *unused)
{
    uint32_t efer = rdmsr(0xc0000080);

    asm volatile("wrmsr" : : "c" (0xc0000080), "a" (efer), "d" (0));
    check_eq(rdmsr(0x1a0) & (1 << 7 | 1 << 11 | 1 << 12 | 1 << 18 | 1 << 23),
             1 << 11 | 1 << 12 | 1 << 23, "MSR_IA32_MISC_ENABLE");
    check_eq(rdmsr(0x345), 0, "MSR_IA32_PERF_CAPABILITIES");
    check_eq(rdmsr(0x140), 0, "MSR_MISC_FEATURES_ENABLES");
    asm volatile("wrmsr" : : "c" (0x140), "a" (0), "d" (0));
    rdmsr(0x8b);                        /* the microcode's revision */
    /* Linux takes from it which bits of an entry mean which way of caching */
    check_eq(rdmsr64(0x277), 0x0000050100070406ULL, "MSR_IA32_CR_PAT");
    check_eq(rdmsr(0x1b) >> 12, 0xfee00, "MSR_APIC_BASE");
    asm volatile("wbinvd");
}

#define CR4_TSD     0x4

static __user ulong user_rdtscp(ulong a, ulong b)
{
    ulong aux;

    asm volatile("rdtscp" : "=c" (aux) : : "eax", "edx");
    return aux;
}

/* The number of a CPU, by which programs know where they are */
static void tsc_aux(void *unused)
{
    uint32_t r[4], aux;
    struct trap t;
    ulong cr4, val;

    cpuid(0x80000001, 0, r);
    if (!(r[3] & 1 << 27)) {
        return;
    }
    asm volatile("wrmsr" : : "c" (0xc0000103), "a" (0x1234), "d" (0));
    check_eq(rdmsr(0xc0000103), 0x1234, "MSR_TSC_AUX");
    asm volatile("rdtscp" : "=c" (aux) : : "eax", "edx");
    check_eq(aux, 0x1234, "RDTSCP's ECX");
    check(!call_user(user_rdtscp, 0, 0, &val, &t) && val == 0x1234,
          "RDTSCP's ECX in user mode is %lx", val);
    asm volatile("mov %%cr4, %0" : "=r" (cr4));
    asm volatile("mov %0, %%cr4" : : "r" (cr4 | CR4_TSD));
    asm volatile("rdtsc" : : : "eax", "edx");
    asm volatile("rdtscp" : "=c" (aux) : : "eax", "edx");
    check_eq(aux, 0x1234, "RDTSCP's ECX with CR4.TSD");
    check(call_user(user_rdtscp, 0, 0, NULL, &t) && t.vector == X86_GP,
          "RDTSCP in user mode with CR4.TSD");
    asm volatile("mov %0, %%cr4" : : "r" (cr4));
}

/*
 * With an IOPL for the kernel these are ignored, as event delivery is governed
 * by the upcall mask. Without it they are refused.
 */
static void cli_and_sti(void *unused)
{
    unmask_upcalls();
    asm volatile("cli");
    check_eq(vcpu_info()->evtchn_upcall_mask, 0, "the upcall mask after cli");
    mask_upcalls();
    asm volatile("sti");
    check_eq(vcpu_info()->evtchn_upcall_mask, 1, "the upcall mask after sti");
}

static void debug_registers(void *unused)
{
    ulong val;

    asm volatile("mov %0, %%dr0" : : "r" (0x1000UL));
    asm volatile("mov %%dr0, %0" : "=r" (val));
    check_eq(val, 0x1000, "DR0");
    check_eq(HYPERCALL(get_debugreg, 0), 0x1000, "get_debugreg(0)");
    asm volatile("mov %%dr7, %0" : "=r" (val));
    check_eq(val & 0xff, 0, "the enables in DR7");
}

#define REFUSED_INSN(name, ...) \
    extern char at_##name[]; \
    static noinline void name(void *arg) \
    { \
        asm volatile("at_" #name ": " __VA_ARGS__); \
    }

REFUSED_INSN(hlt, "hlt")
REFUSED_INSN(cli, "cli")
REFUSED_INSN(sti, "sti")
REFUSED_INSN(invlpg, "invlpg (%0)" : : "r" (VIRT_BASE) : "memory")
REFUSED_INSN(lidt, "lidt (%0)" : : "r" (&entry_state))
REFUSED_INSN(lgdt, "lgdt (%0)" : : "r" (&entry_state))
REFUSED_INSN(ltr, "ltr %w0" : : "r" (0x40))
REFUSED_INSN(rdmsr_none, "rdmsr" : : "c" (0x4321) : "eax", "edx")
REFUSED_INSN(cr0_wp, "mov %0, %%cr0" : : "r" (0x80040033UL))
REFUSED_INSN(efer_other, "wrmsr" : : "c" (0xc0000080), "a" (0), "d" (0))
REFUSED_INSN(aux_wide, "wrmsr" : : "c" (0xc0000103), "a" (0), "d" (1))
REFUSED_INSN(in_80, "in $0x80, %%al" : : : "eax")
REFUSED_INSN(out_80, "out %%al, $0x80" : : "a" (0))
REFUSED_INSN(out_1904, "outl %0, %1" : : "a" (0), "d" (0x1904))
REFUSED_INSN(ins, "insb" : : "d" (0x80), "D" (&entry_state) : "memory")
#ifdef __x86_64__
REFUSED_INSN(fs_bad, "wrmsr" : : "c" (0xc0000100), "a" (0), "d" (0x8000))
#endif

static void refused(const char *name, void (*fn)(void *), const void *at,
                    unsigned vector)
{
    struct trap t;

    if (!catch_exception(&t, fn, NULL)) {
        failure("%s: no exception", name);
        return;
    }
    check(t.vector == vector, "%s: %s, expected %s", name,
          trap_name(t.vector), trap_name(vector));
    if (vector == X86_GP) {
        check_eq(t.error_code, 0, "%s: error code", name);
    }
    check_eq(t.ip, (ulong)at, "%s: IP", name);
}
#define REFUSED(name)   refused(#name, name, at_##name, X86_GP)

static __user ulong user_cpuid(ulong leaf, ulong unused)
{
    uint32_t a = leaf, b, c = 0, d;

    asm volatile("ud2; .ascii \"xen\"; cpuid"
                 : "+a" (a), "=b" (b), "+c" (c), "=d" (d));
    return b;
}

static __user ulong user_plain_cpuid(ulong leaf, ulong unused)
{
    uint32_t a = leaf, b, c = 0, d;

    asm volatile("cpuid" : "+a" (a), "=b" (b), "+c" (c), "=d" (d));
    return b;
}

/*
 * CPUID without the prefix shows a program what the guest is in, where the CPU can
 * be made to fault on it: KVM's always can, TCG's cannot.
 */
static void plain_cpuid(void)
{
    const uint32_t xen = 0x566e6558, tcg = 0x54474354;
    struct trap t;
    ulong b;

    if (call_user(user_plain_cpuid, 0x40000000, 0, &b, &t)) {
        failure("CPUID in user mode: %s", trap_name(t.vector));
        return;
    }
    check(b == xen || b == tcg, "CPUID in user mode: %lx", b);
    if (b == xen) {
        uint32_t r[4];

        cpuid(1, 0, r);
        check(!call_user(user_plain_cpuid, 1, 0, &b, &t) && b == r[1],
              "leaf 1 in user mode: %lx, in the kernel %x", b, r[1]);
    }
}

void test_main(void)
{
    struct trap t;
    uint32_t iopl = 1;
    ulong ebx;

    WORKS(do_cpuid);
    WORKS(xstates);
    xcr0();
    check(!call_user(user_cpuid, 0x40000000, 0, &ebx, &t) &&
          ebx == 0x566e6558, "the CPUID prefix in user mode");
    plain_cpuid();
    WORKS(control_registers);
    WORKS(msrs);
    WORKS(usual_msrs);
    check(catch_exception(&t, write_pat, NULL) && t.vector == X86_GP,
          "MSR_IA32_CR_PAT can be written with another value");
    WORKS(tsc_aux);
    WORKS(debug_registers);

    REFUSED(cli);
    REFUSED(sti);
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0,
              "PHYSDEVOP_set_iopl(1)");
    WORKS(cli_and_sti);
    iopl = 0;
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0,
              "PHYSDEVOP_set_iopl(0)");
    REFUSED(cli);

    REFUSED(hlt);
    REFUSED(invlpg);
    REFUSED(lidt);
    REFUSED(lgdt);
    REFUSED(ltr);
    REFUSED(rdmsr_none);
    REFUSED(cr0_wp);
    REFUSED(efer_other);
    REFUSED(aux_wide);
    if (!is_initdomain()) {
        /* Domain 0 has I/O ports */
        REFUSED(in_80);
        REFUSED(out_80);
        REFUSED(out_1904);
        REFUSED(ins);
    }
#ifdef __x86_64__
    REFUSED(fs_bad);
#endif
}
