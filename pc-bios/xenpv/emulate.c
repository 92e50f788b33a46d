/*
 * Instructions that trap and that the monitor carries out
 *
 * Two kinds: privileged instructions which a PV kernel may still use, and the
 * CPUID with Xen's prefix (ud2, "xen"). The guest kernel's code segment is taken
 * to be flat.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "frame.h"

/* A decoded instruction; only what can trap here is decoded in full */
struct insn {
    u8 bytes[16] __attribute__((aligned(8)));
    u8 len;                 /* bytes used so far */
    u8 avail;               /* bytes that could be read */
    u8 rex;
    u8 op_size;             /* 2, 4 or 8 */
    bool rep, repne, two_byte;
    bool addr_prefix;
    u8 seg;                 /* a segment's prefix, or 0 */
    u8 opcode;
    u8 modrm;
    u32 dr6;                /* breakpoints that it has hit */
};

/* The general registers, by their numbers in instructions */
static inline ulong *reg_ptr(struct regs *regs, unsigned nr)
{
#define AT(name) offsetof(struct regs, name)
    static const u8 offset[] = {
        AT(ax), AT(cx), AT(dx), AT(bx), AT(sp), AT(bp), AT(si), AT(di),
#ifdef __x86_64__
        AT(r8), AT(r9), AT(r10), AT(r11), AT(r12), AT(r13), AT(r14), AT(r15),
#endif
    };
#undef AT

    return (ulong *)((char *)regs + offset[nr]);
}

static inline bool fetch(struct insn *in, struct regs *regs)
{
    ulong *words = (ulong *)in->bytes;

    *in = (struct insn) { .op_size = 4, .avail = 15 };
    GET_GUEST(words[0], regs->ip, end_of_page);
    GET_GUEST(words[1], regs->ip + WORD, end_of_page);
#ifndef __x86_64__
    GET_GUEST(words[2], regs->ip + 2 * WORD, end_of_page);
    GET_GUEST(words[3], regs->ip + 3 * WORD, end_of_page);
#endif
    return true;
end_of_page:
    for (in->avail = 0; in->avail < 15; in->avail++) {
        if (copy_from_guest(in->bytes + in->avail, regs->ip + in->avail, 1)) {
            break;
        }
    }
    return in->avail;
}

/* Beyond what could be read are zeroes; that it went there is checked last */
static inline u8 next(struct insn *in)
{
    return in->bytes[in->len++ & 15];
}

static bool decode_prefixes(struct insn *in, struct regs *regs)
{
    if (!fetch(in, regs)) {
        return false;
    }
    /* An instruction has 15 bytes at most: the #GP that this was is right */
    while (in->len < in->avail) {
        u8 b = next(in);

        switch (b) {
        case 0x66:
            in->op_size = 2;
            continue;
        case 0x67:
            in->addr_prefix = true;
            continue;
        case 0xf0:              /* a lock, which none of them takes */
            continue;
        case 0xf2:
            in->repne = true;
            continue;
        case 0xf3:
            in->rep = true;
            continue;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
            in->seg = b;
            continue;
#ifdef __x86_64__
        case 0x40 ... 0x4f:
            in->rex = b;
            b = next(in);
            break;
#endif
        }
        if (in->rex & 8) {
            in->op_size = 8;
        }
        if (b == 0x0f) {
            in->two_byte = true;
            b = next(in);
        }
        in->opcode = b;
        return in->len <= in->avail;
    }
    return false;
}

static inline unsigned modrm_reg(struct insn *in)
{
    return (in->modrm >> 3 & 7) | (in->rex & 4 ? 8 : 0);
}

static inline unsigned modrm_rm(struct insn *in)
{
    return (in->modrm & 7) | (in->rex & 1 ? 8 : 0);
}

static void set_reg32(struct regs *regs, unsigned nr, u32 val)
{
    *reg_ptr(regs, nr) = val;
}

#define CR4_OSXSAVE     0x40000
#define CPUID1_XSAVE    (1u << 26)
#define CPUID1_OSXSAVE  (1u << 27)

/*
 * What XSAVE needs for the components in XCR0, after CPUID's leaf 0xd: where
 * the last one ends or, compacted, all of them together.
 */
static u32 xsave_size(struct xenpv_cpuid *c, struct xenpv_cpuid *end,
                      u64 xcr0, bool compacted)
{
    u32 size = 512 + 64;        /* x87 and SSE, and the header */

    for (; c < end && c->leaf == 0xd; c++) {
        if (c->subleaf < 2 || c->subleaf > 62 || !(xcr0 >> c->subleaf & 1)) {
            continue;
        }
        if (!compacted) {
            if (size < c->ebx + c->eax) {
                size = c->ebx + c->eax;
            }
        } else {
            size = (c->ecx & 2 ? (size + 63) & ~63u : size) + c->eax;
        }
    }
    return size;
}

/* CPUID: the machine's table, made at its start */
void guest_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4])
{
    struct xenpv_boot_info *b = boot_info;
    struct xenpv_cpuid *c, *first = NULL, *end = b->cpuid + b->nr_cpuid;
    /* 0x00000000, 0x40000000, 0x80000000; there is nothing from 0xc0000000 on */
    u32 range = leaf >> 30, nr = leaf & 0x3fffffff;

    if (range < 3 && nr < XENPV_CPUID_LEAVES &&
        b->cpuid_index[range][nr] < XENPV_CPUID_MAX) {
        c = first = &b->cpuid[b->cpuid_index[range][nr]];
        for (; c < end && c->leaf == leaf; c++) {
            if (c->subleaf == XENPV_CPUID_ANY || c->subleaf == subleaf) {
                goto found;
            }
        }
    }
    out[0] = out[1] = out[2] = out[3] = 0;
    return;
found:
    out[0] = c->eax;
    out[1] = c->ebx;
    out[2] = c->ecx;
    out[3] = c->edx;
    if (leaf == 1 && (v->cr4 & CR4_OSXSAVE)) {
        out[2] |= CPUID1_OSXSAVE;
    } else if (leaf == 0xd && subleaf < 2 && out[subleaf]) {
        out[1] = xsave_size(first, end, v->xcr0, subleaf);
    }
}

static void emulate_cpuid(struct vcpu *v, struct regs *regs)
{
    u32 out[4];

    guest_cpuid(v, regs->ax, regs->cx, out);
    regs->ax = out[0];
    regs->bx = out[1];
    regs->cx = out[2];
    regs->dx = out[3];
}

/* An emulated instruction is done: the trap flag has its say, as in the CPU */
static void instruction_done(struct vcpu *v, struct regs *regs, ulong ip,
                             u32 dr6)
{
    if (regs->flags & EFL_TF) {
        dr6 |= 0x4000;
    }
    regs->ip = ip;
    regs->flags &= ~(ulong)EFL_RF;
    if (unlikely(dr6)) {
        debug_exception(v, regs, dr6);
    }
}

/* ud2; .ascii "xen"; cpuid, from the kernel or from a program */
bool emulate_forced_cpuid(struct vcpu *v, struct regs *regs)
{
    const u64 code = 0xa20f6e65780b0fULL;       /* and any eighth byte */
    u64 bytes = 0;
    ulong ip = regs->ip;

    if (unlikely(!access_ok(ip, 8))) {
        return false;
    }
#ifdef __x86_64__
    GET_GUEST(bytes, ip, end_of_page);
#else
    {
        ulong lo, hi;

        GET_GUEST(lo, ip, end_of_page);
        GET_GUEST(hi, ip + 4, end_of_page);
        bytes = lo | (u64)hi << 32;
    }
#endif
compare:
    if (likely((bytes ^ code) << 8)) {
        return false;
    }
    {
        u32 leaf = regs->ax;

        emulate_cpuid(v, regs);
        /*
         * To a PV kernel Xen shows its own CR4.OSXSAVE here, and Linux takes
         * that for leave to use XSAVE.
         */
        if (leaf == 1 && in_kernel(v, regs) && (regs->cx & CPUID1_XSAVE)) {
            regs->cx |= CPUID1_OSXSAVE;
        }
    }
    instruction_done(v, regs, ip + 7, 0);
    return true;
end_of_page:
    if (copy_from_guest(&bytes, ip, 7)) {
        return false;
    }
    goto compare;
}

#define MSR_TSC             0x10
#define MSR_UCODE_REV       0x8b
#define MSR_APIC_BASE       0x1b
#define MSR_MISC_ENABLE     0x1a0
#define MSR_PAT             0x277
#define MSR_PERF_CAPS       0x345
#define MSR_EFER            0xc0000080
#define MSR_FS_BASE         0xc0000100
#define MSR_GS_BASE         0xc0000101
#define MSR_KERNEL_GS_BASE  0xc0000102
#define MSR_TSC_AUX         0xc0000103
#define MSR_PLATFORM_INFO   0xce
#define MSR_MISC_FEATURES   0x140

#ifdef __x86_64__
#define GUEST_EFER          0xd01   /* long mode and system calls */
#else
#define GUEST_EFER          0x800
#endif

#define CPUID7_RDPID        (1u << 22)
#define CPUID81_RDTSCP      (1u << 27)

/* What RDTSCP and RDPID say of a CPU is its kernel's to set */
static bool has_tsc_aux(struct vcpu *v)
{
    u32 seven[4], ext[4];

    guest_cpuid(v, 7, 0, seven);
    guest_cpuid(v, 0x80000001, 0, ext);
    return (seven[2] & CPUID7_RDPID) || (ext[3] & CPUID81_RDTSCP);
}

static bool read_msr(struct vcpu *v, u32 msr, u64 *val)
{
    switch (msr) {
#ifdef __x86_64__
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        *val = rdmsr(msr);
        return true;
#endif
    case MSR_EFER:
        *val = GUEST_EFER;
        return true;
    case MSR_TSC_AUX:
        if (!has_tsc_aux(v)) {
            return false;
        }
        *val = v->tsc_aux;
        return true;
    case MSR_MISC_ENABLE:
        /* Fast strings; no performance counters, and nothing to adjust */
        *val = 0x801801;
        return true;
    case MSR_PAT:
        *val = 0x0000050100070406ULL;
        return true;
    case MSR_APIC_BASE:
        *val = 0xfee00000 | (v->id == 0) << 8;
        return true;
    case MSR_TSC:
        *val = rdtsc();
        return true;
    case MSR_UCODE_REV:
    case MSR_PLATFORM_INFO:
    case MSR_MISC_FEATURES:
    case MSR_PERF_CAPS:
        *val = 0;
        return true;
    }
    if (read_speculation_msr(v, msr, val)) {
        return true;
    }
    if (boot_info->flags & XENPV_BOOT_TRACE) {
        printk("rdmsr %x\n", msr);
    }
    /* A kernel that is not ready for a #GP yet gets something */
    *val = 0;
    return !v->traps[13].address && msr >> 16 != 0x4000;
}

/*
 * What old kernels write without being ready for a #GP they write in vain, as
 * under Xen before 4.15
 */
static bool write_msr(struct vcpu *v, u32 msr, u64 val)
{
    switch (msr) {
#ifdef __x86_64__
    case MSR_FS_BASE:
    case MSR_GS_BASE:
    case MSR_KERNEL_GS_BASE:
        if ((s64)val >> 47 != 0 && (s64)val >> 47 != -1) {
            return false;
        }
        wrmsr(msr, val);
        return true;
#endif
    case MSR_PAT:
        return val == 0x0000050100070406ULL;
    case MSR_EFER:
        return val == GUEST_EFER;
    case MSR_UCODE_REV:
    case MSR_MISC_FEATURES:
        return val == 0;
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
    if (write_speculation_msr(v, msr, val)) {
        return true;
    }
    if (boot_info->flags & XENPV_BOOT_TRACE) {
        printk("wrmsr %x\n", msr);
    }
    return false;
}

/* CR4 bits that a guest kernel decides on, for its programs' sake */
#define CR4_GUEST   (0x4 /* TSD */ | CR4_DE | 0x10000 /* FSGSBASE */ | \
                     0x40000 /* OSXSAVE */)

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
            ulong allowed = 0x4 | CR4_DE;

            guest_cpuid(v, 1, 0, features);
            if (features[2] & 1 << 26) {
                allowed |= 0x40000;
            }
            guest_cpuid(v, 7, 0, features);
            if (features[1] & 1) {
                allowed |= 0x10000;
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
    bool bad = false;
    u32 allowed[4];

    guest_cpuid(v, 0xd, 0, allowed);
    if (!(read_cr4() & CR4_OSXSAVE) || (u32)regs->cx ||
        ((u32)regs->ax & ~allowed[0]) || ((u32)regs->dx & ~allowed[3])) {
        return false;
    }
    asm volatile("1: .byte 0x0f, 0x01, 0xd1\n\t"
                 "2:\n\t"
                 ".pushsection .fixup, \"ax\"\n\t"
                 "3: movb $1, %b0\n\t"
                 "jmp 2b\n\t"
                 ".popsection\n\t"
                 EX_TABLE(1b, 3b)
                 : "+q" (bad)
                 : "a" ((u32)regs->ax), "c" ((u32)regs->cx),
                   "d" ((u32)regs->dx));
    if (!bad) {
        v->xcr0 = (u32)regs->ax | (u64)(u32)regs->dx << 32;
    }
    return !bad;
}

/* Does the guest let whoever runs use these ports? */
static bool io_allowed(struct vcpu *v, struct regs *regs, u16 port,
                       unsigned size)
{
    if (iopl_ok(v, in_kernel(v, regs))) {
        return true;
    }
    if (port + size > v->nr_ports) {
        return false;
    }
    for (u32 i = port; i < port + size; i++) {
        u8 bits;

        if (copy_from_guest(&bits, v->iobitmap + i / 8, 1) ||
            (bits >> i % 8 & 1)) {
            return false;
        }
    }
    return true;
}

/*
 * I/O of a domain that has no ports: reads give ones, writes go nowhere. As Xen
 * has it, two registers that say which of others is meant can be read back, that
 * of PCI's configuration space and that of the CMOS.
 */
#define PORT_CMOS       0x70
#define PORT_PCI        0xcf8
static u32 pci_address;
static u8 cmos_index;

static u32 io_read(u16 port, unsigned size)
{
    unsigned cmos = PORT_CMOS - port;
    u32 ones = ~0u >> (32 - 8 * size);

    if (port == PORT_PCI && size == 4) {
        return pci_address;
    }
    return cmos < size ? ones & ~((u32)(u8)~cmos_index << (8 * cmos)) : ones;
}

static void io_write(u16 port, unsigned size, u32 val)
{
    unsigned cmos = PORT_CMOS - port;

    if (port == PORT_PCI && size == 4) {
        pci_address = val;
    } else if (cmos < size) {
        cmos_index = val >> (8 * cmos);
    }
}

/* 16, 32 or 64: the code segment's size of addresses and, with 32, operands */
static unsigned code_size(struct vcpu *v, struct regs *regs)
{
    struct segment cs;

    if (WORD == 8 && in_kernel(v, regs)) {
        return 64;
    }
    if (!read_segment(v, regs->cs, &cs)) {
        return 32;
    }
    return WORD == 8 && (cs.rights & SEG_L) ? 64 : cs.rights & SEG_D ? 32 : 16;
}

/* The size of an I/O instruction's operand; of its prefixes, op_size knows */
static unsigned io_size(struct insn *in, unsigned code)
{
    unsigned size = !(in->opcode & 1) ? 1 :
                    code != 16 ? in->op_size : in->op_size == 2 ? 4 : 2;

    return size > 4 ? 4 : size;
}

/* Where a string instruction's operand is: in one of these segments */
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS };

static u16 selector_of(struct regs *regs, unsigned seg)
{
    u16 sel = 0;

    switch (seg) {
    case SEG_CS:
        return regs->cs;
    case SEG_SS:
        return regs->ss;
#ifdef __x86_64__
    case SEG_ES:
        asm volatile("mov %%es, %0" : "=r" (sel));
        break;
    case SEG_DS:
        asm volatile("mov %%ds, %0" : "=r" (sel));
        break;
#else
    case SEG_ES:
        return regs->es;
    case SEG_DS:
        return regs->ds;
#endif
    case SEG_FS:
        asm volatile("mov %%fs, %0" : "=r" (sel));
        break;
    case SEG_GS:
        asm volatile("mov %%gs, %0" : "=r" (sel));
        break;
    }
    return sel;
}

/*
 * The linear address of an operand. False: its segment does not admit it, which
 * for the stack's is a #SS and else a #GP.
 */
static bool linear_address(struct vcpu *v, struct regs *regs, unsigned seg,
                           unsigned code, ulong offset, unsigned size,
                           bool write, ulong *addr)
{
    struct segment s;
    u32 last = offset + size - 1;

#ifdef __x86_64__
    if (code == 64) {
        if (seg == SEG_FS) {
            offset += rdmsr(MSR_FS_BASE);
        } else if (seg == SEG_GS) {
            /* The kernel's is the one in use now */
            offset += rdmsr(in_kernel(v, regs) ? MSR_GS_BASE
                                               : MSR_KERNEL_GS_BASE);
        }
        *addr = offset;
        return access_ok(offset, size) && canonical(offset);
    }
#endif
    if (!read_segment(v, selector_of(regs, seg), &s)) {
        return false;
    }
    if (s.rights & SEG_CODE ? write || !(s.rights & SEG_WRITABLE)
                            : write && !(s.rights & SEG_WRITABLE)) {
        return false;
    }
    if (last < (u32)offset) {
        return false;
    }
    if ((s.rights & (SEG_CODE | SEG_DOWN)) == SEG_DOWN
        ? offset <= s.limit || (!(s.rights & SEG_D) && last > 0xffff)
        : last > s.limit) {
        return false;
    }
    *addr = (u32)(s.base + offset);
    return true;
}

/* One element. False: it was not done, but the guest has got an exception */
static bool one_string_io(struct vcpu *v, struct regs *regs, u16 port,
                          unsigned seg, ulong addr, unsigned size, bool out)
{
    bool user = !in_kernel(v, regs);
    volatile u8 *p;
    u32 val = 0, error;

    /* All of it is there, or none of it is written */
    for (unsigned i = 0; i < size; i++) {
        p = operand_byte(v, addr + i, user, !out, &error);
        if (!p) {
            raise_exception(v, regs, 14, error, addr + i);
            return false;
        }
        val |= (u32)*p << (8 * i);
    }
    if (out) {
        io_write(port, size, val);
        return true;
    }
    val = io_read(port, size);
    for (unsigned i = 0; i < size; i++) {
        p = operand_byte(v, addr + i, user, true, &error);
        if (p) {
            *p = val >> (8 * i);
        }
    }
    return true;
}

/* Elements that are done before events and the flags have their say again */
#define MAX_REPEATS     1024

/*
 * INS and OUTS. What is left of a repeated one traps again. True: it was done,
 * so far, or has raised an exception.
 */
static bool emulate_string_io(struct vcpu *v, struct regs *regs,
                              struct insn *in)
{
    static const u8 prefixes[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
    unsigned code = code_size(v, regs), size = io_size(in, code);
    unsigned addr_bits = !in->addr_prefix ? code : code == 32 ? 16 : 32;
    ulong mask = ~0UL >> (8 * WORD - addr_bits), ip = regs->ip + in->len;
    bool out = in->opcode & 2, rep = in->rep || in->repne, allowed = false;
    ulong *index = out ? &regs->si : &regs->di;
    unsigned seg = out ? SEG_DS : SEG_ES;
    struct vcpu_info *info = v->vcpu_info;
    u16 port = regs->dx;
    u32 dr6 = 0;

    if (in->len > in->avail) {
        return false;
    }
    for (unsigned i = 0; out && i < ARRAY_SIZE(prefixes); i++) {
        seg = in->seg == prefixes[i] ? i : seg;
    }
    for (unsigned n = 0; !rep || (regs->cx & mask); n++) {
        ulong addr, next_index;

        if (!allowed && !io_allowed(v, regs, port, size)) {
            return false;
        }
        allowed = true;
        if (rep && n && (n == MAX_REPEATS || dr6 || (regs->flags & EFL_TF) ||
                         (info->evtchn_upcall_pending &&
                          !info->evtchn_upcall_mask))) {
            ip = regs->ip;
            break;
        }
        if (!linear_address(v, regs, seg, code, *index & mask, size, !out,
                            &addr)) {
            raise_exception(v, regs, seg == SEG_SS ? 12 : 13, 0, 0);
            return true;
        }
        if (!one_string_io(v, regs, port, seg, addr, size, out)) {
            return true;
        }
        dr6 = io_breakpoints(v, port, size);
        next_index = regs->flags & EFL_DF ? *index - size : *index + size;
        *index = addr_bits == 16 ? (*index & ~mask) | (next_index & mask)
                                 : next_index & mask;
        if (!rep) {
            break;
        }
        next_index = regs->cx - 1;
        regs->cx = addr_bits == 16 ? (regs->cx & ~mask) | (next_index & mask)
                                   : next_index & mask;
    }
    instruction_done(v, regs, ip, dr6);
    return true;
}

static bool emulate_io(struct vcpu *v, struct regs *regs, struct insn *in)
{
    unsigned size = io_size(in, code_size(v, regs));
    u16 port;
    u32 val;

    switch (in->opcode) {
    case 0xe4 ... 0xe7:
        port = next(in);
        break;
    case 0xec ... 0xef:
        port = regs->dx;
        break;
    default:
        return false;
    }
    if (in->len > in->avail || !io_allowed(v, regs, port, size)) {
        return false;
    }
    in->dr6 = io_breakpoints(v, port, size);
    if (in->opcode & 2) {
        io_write(port, size, regs->ax);
        return true;
    }
    val = io_read(port, size);
    if (size == 4) {
        regs->ax = val;
    } else {
        ulong mask = size == 1 ? 0xff : 0xffff;

        regs->ax = (regs->ax & ~mask) | val;
    }
    return true;
}

/* Events have a mask of their own: with the right to it, these do nothing */
static bool emulate_cli_sti(struct vcpu *v, struct regs *regs, struct insn *in)
{
    return (in->opcode == 0xfa || in->opcode == 0xfb) &&
           iopl_ok(v, in_kernel(v, regs));
}

/* What a program's kernel may have allowed it */
bool emulate_program(struct vcpu *v, struct regs *regs)
{
    struct insn in;

    if (likely(v->iopl < 3 && !v->nr_ports) ||
        !decode_prefixes(&in, regs) || in.two_byte) {
        return false;
    }
    if (in.opcode >= 0x6c && in.opcode <= 0x6f) {
        return emulate_string_io(v, regs, &in);
    }
    if (!(emulate_cli_sti(v, regs, &in) || emulate_io(v, regs, &in)) ||
        in.len > in.avail) {
        return false;
    }
    instruction_done(v, regs, regs->ip + in.len, in.dr6);
    return true;
}

/* In the kernel, which has set CR4.TSD */
static void emulate_rdtsc(struct regs *regs)
{
    u64 tsc = rdtsc();

    set_reg32(regs, 0, tsc);
    set_reg32(regs, 2, tsc >> 32);
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
        if (in.opcode >= 0x6c && in.opcode <= 0x6f) {
            return emulate_string_io(v, regs, &in);
        }
        if (!emulate_cli_sti(v, regs, &in) && !emulate_io(v, regs, &in)) {
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
            return false;       /* invlpg, too: a PV kernel has a hypercall */
        }
        emulate_rdtsc(regs);    /* rdtscp */
        set_reg32(regs, 1, v->tsc_aux);
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
            return false;           /* DR4 and DR5 are others' names no more */
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
        set_reg32(regs, 0, msr);
        set_reg32(regs, 2, msr >> 32);
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
    instruction_done(v, regs, regs->ip + in.len, in.dr6);
    return true;
}

#ifdef __x86_64__
/*
 * A segment's access rights, as in its descriptor's second half; 0: none, or one
 * in a hole of the LDT
 */
static u32 access_rights(u16 sel)
{
    u32 rights = 0;

    asm volatile("1: lar %1, %0\n\t"
                 "2:\n\t"
                 EX_TABLE(1b, 2b)
                 : "+r" (rights) : "r" ((u32)sel) : "cc");
    return rights;
}

#define AR_DATA_RW      0x0000f200      /* present, DPL 3, writable data */
#define AR_CODE64       0x00209800      /* present, 64-bit code */
#define AR_CODE_DPL     0x00006000

static bool load_ss(u16 sel)
{
    return (sel & 3) == 3 && (access_rights(sel) & 0xfa00) == AR_DATA_RW;
}

static bool load_cs(u16 sel)
{
    u32 rights = access_rights(sel);

    return (sel & 3) == 3 && (rights & 0x00609800) == AR_CODE64 &&
           ((rights & AR_CODE_DPL) == AR_CODE_DPL || (rights & 0x400));
}

/*
 * A 64-bit kernel knows itself in ring 3, and some load SS and CS with segments
 * of their own that have DPL and RPL 3: SS from a register, CS by a far return.
 * In ring 1 the first is a #GP. So is the other, because what the CPU takes for
 * the outer ring's stack pointer and SS is whatever the kernel has on its stack.
 * Bases and limits of both are without effect in 64-bit mode: what is checked
 * here need not be loaded.
 */
bool emulate_segment_load(struct vcpu *v, struct regs *regs)
{
    struct insn in;
    ulong ip, sp = regs->sp, cs;

    if (!decode_prefixes(&in, regs) || in.two_byte) {
        return false;
    }
    ip = regs->ip + in.len;
    switch (in.opcode) {
    case 0x8e:              /* mov reg, %ss */
        in.modrm = next(&in);
        if (in.modrm >> 6 != 3 || (in.modrm >> 3 & 7) != 2 ||
            !load_ss(*reg_ptr(regs, modrm_rm(&in)))) {
            return false;
        }
        ip++;
        break;
    case 0xcb:              /* lret */
        if (in.op_size != 8 || !access_ok(sp, 16)) {
            return false;
        }
        GET_GUEST(ip, sp, bad);
        GET_GUEST(cs, sp + 8, bad);
        if (!canonical(ip) || !load_cs(cs)) {
            return false;
        }
        sp += 16;
        break;
    default:
        return false;
    }
    if (in.len > in.avail) {
        return false;
    }
    regs->sp = sp;
    instruction_done(v, regs, ip, 0);
    return true;
bad:
    return false;
}
#endif
