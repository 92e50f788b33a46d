/*
 * Segments: the GDT, the LDT, the TSS, and what goes with a stack or a
 * segment base; the FPU's task-switched flag and the debug registers, which
 * are CPU state of the same kind, are here too.
 *
 * The guest's GDT frames are mapped where the CPU looks for them, followed by
 * two pages of ours. As under Xen the guest's descriptors are corrected in
 * place: none gives ring 0, and of system descriptors there are call gates only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "frame.h"

struct tss {
#ifdef __x86_64__
    u32 reserved0;
    u64 rsp0, rsp1, rsp2;
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, iopb;
#else
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
    u16 trap, iopb;
#endif
} __attribute__((packed));

struct desc_ptr {
    u16 limit;
    ulong base;
} __attribute__((packed));

#define DESC_P          (1ULL << 47)
#define DESC_S          (1ULL << 44)
#define DESC_DPL_SHIFT  45
#define DESC_FLAT       0x00cf000000000000ULL   /* 4 GiB, 32-bit */
#define DESC_FLAT64     0x00af000000000000ULL
#define DESC_TYPE(t)    ((u64)(t) << 40)

static inline u64 flat(u64 size, unsigned type, unsigned dpl)
{
    return size | 0xffff | DESC_P | DESC_S | DESC_TYPE(type) |
           (u64)dpl << DESC_DPL_SHIFT;
}

static void set_system_desc(u64 *desc, ulong base, u32 limit, unsigned type)
{
    desc[0] = DESC_P | DESC_TYPE(type) | (limit & 0xffff) |
              (u64)(base & 0xffffff) << 16 |
              (u64)(limit >> 16 & 0xf) << 48 | (u64)(base >> 24 & 0xff) << 56;
#ifdef __x86_64__
    desc[1] = base >> 32;
#endif
}

static inline ulong area_of(struct vcpu *v)
{
    return (ulong)v - VCPU_OFFSET;
}

static inline u64 *gdt_entry(struct vcpu *v, unsigned selector)
{
    return (u64 *)(area_of(v) + AREA_GDT * PAGE_SIZE + (selector & ~7));
}

static void load_ldt(struct vcpu *v)
{
    u16 sel = v->ldt_ents ? SEL_LDT : 0;

    if (sel) {
        set_system_desc(gdt_entry(v, SEL_LDT), area_of(v) + AREA_LDT * PAGE_SIZE,
                        v->ldt_ents * 8 - 1, 0x2);
    }
    asm volatile("lldt %0" : : "r" (sel));
}

void init_gdt(struct vcpu *v)
{
    struct desc_ptr ptr = { 16 * PAGE_SIZE - 1, area_of(v) };
    u64 *ours = alloc_page(), *zero = alloc_page();
    struct tss *tss = v->tss;
    u64 rw = PTE_P | PTE_RW | PTE_A | PTE_D;

    for (int i = 0; i < FIRST_RESERVED_GDT_PAGE; i++) {
        map_area_page(v, AREA_GDT + i, core_gpa(zero) | rw);
    }
    map_area_page(v, AREA_GDT + 14, core_gpa(ours) | rw);
    map_area_page(v, AREA_GDT + 15, core_gpa(zero) | rw);

#ifdef __x86_64__
    *gdt_entry(v, MON_CS) = flat(DESC_FLAT64, 0xb, 0);
    *gdt_entry(v, MON_DS) = flat(DESC_FLAT, 0x3, 0);
    *gdt_entry(v, RING1_CS) = flat(DESC_FLAT64, 0xb, 1);
    *gdt_entry(v, RING1_SS) = flat(DESC_FLAT, 0x3, 1);
    *gdt_entry(v, FLAT_RING3_CS32) = flat(DESC_FLAT, 0xb, 3);
    *gdt_entry(v, FLAT_RING3_DS32) = flat(DESC_FLAT, 0x3, 3);
    *gdt_entry(v, FLAT_RING3_CS64) = flat(DESC_FLAT64, 0xb, 3);
    tss->rsp0 = area_of(v) + STACK_TOP;
    tss->ist[0] = area_of(v) + (AREA_DF_STACK + 1) * PAGE_SIZE;
    tss->ist[1] = area_of(v) + (AREA_NMI_STACK + 1) * PAGE_SIZE;
    tss->ist[2] = area_of(v) + (AREA_DB_STACK + 1) * PAGE_SIZE;
#else
    *gdt_entry(v, MON_CS) = flat(DESC_FLAT, 0xb, 0);
    *gdt_entry(v, MON_DS) = flat(DESC_FLAT, 0x3, 0);
    *gdt_entry(v, FLAT_RING1_CS) = flat(DESC_FLAT, 0xb, 1);
    *gdt_entry(v, FLAT_RING1_DS) = flat(DESC_FLAT, 0x3, 1);
    *gdt_entry(v, FLAT_RING3_CS) = flat(DESC_FLAT, 0xb, 3);
    *gdt_entry(v, FLAT_RING3_DS) = flat(DESC_FLAT, 0x3, 3);
    tss->esp0 = area_of(v) + STACK_TOP;
    tss->ss0 = MON_DS;
    {
        /* The double-fault task, beside the TSS that it interrupts */
        extern char double_fault_task[];
        struct tss *df = tss + 1;

        df->eip = (ulong)double_fault_task;
        df->cs = MON_CS;
        df->ss = df->ds = df->es = MON_DS;
        df->esp = area_of(v) + (AREA_DF_STACK + 1) * PAGE_SIZE;
        df->eflags = 2;
        df->iopb = sizeof(*df);
        df->cr3 = PTE_MFN(v->area_l1[AREA_PDPT]) << 12;
        set_system_desc(gdt_entry(v, SEL_DF_TSS), (ulong)df, sizeof(*df) - 1,
                        0x9);
    }
#endif
    tss->iopb = sizeof(*tss);
    set_system_desc(gdt_entry(v, SEL_TSS), (ulong)tss, sizeof(*tss) - 1, 0x9);

    asm volatile("lgdt %0" : : "m" (ptr));
#ifdef __x86_64__
    asm volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
                 : : "i" (MON_CS) : "rax", "memory");
#else
    asm volatile("ljmp %0, $1f; 1:" : : "i" (MON_CS));
#endif
    asm volatile("mov %0, %%ss; mov %0, %%ds; mov %0, %%es" : : "r" (MON_DS));
    asm volatile("ltr %w0" : : "r" (SEL_TSS));
    load_ldt(v);
}

/*
 * The DPL that a kernel's own descriptors get at least. A 64-bit kernel knows
 * itself in ring 3, and so has IRET return to itself with RPL 3: by its own
 * code segment too, which needs DPL 3 for that. See kernel_in_ring3.
 */
#ifdef __x86_64__
#define GUEST_KERNEL_DPL    3
#else
#define GUEST_KERNEL_DPL    1
#endif

/* May a call gate name this code segment: the guest's, or its kernel's */
static bool gate_selector_ok(u16 sel)
{
    return sel >> 3 < FIRST_RESERVED_GDT_ENTRY || (sel & 4) ||
           sel == FLAT_KERNEL_CS;
}

/*
 * A call gate leads to one of the guest's code segments, none of which is in
 * ring 0. In a 32-bit guest it is the CPU's own, and the stack in ring 1 is
 * stack_switch's. Long mode has no gate from ring 3 to a 64-bit kernel that
 * knows itself there: as with Xen these get DPL 0, and who tries one a #GP.
 * The guest's DPL then goes where the selector's RPL is.
 */
static bool fix_call_gate(u64 *desc, unsigned dpl)
{
    const u64 reserved = WORD == 8 ? 0xffULL << 32 : 0xe0ULL << 32;
    u16 sel = *desc >> 16;

    if (!gate_selector_ok(sel) || (*desc & reserved)) {
        return false;
    }
    if (WORD == 4) {
        *desc |= (u64)dpl << DESC_DPL_SHIFT;
        return true;
    }
    *desc &= ~(3ULL << DESC_DPL_SHIFT | 3ULL << 16);
    *desc |= (u64)dpl << 16;
    return true;
}

#define DESC_TYPE_CALL_GATE 0xc
#define DESC_L          (1ULL << 53)

/*
 * Make a descriptor fit for the guest's tables, as Xen's check_descriptor
 * does. False: Xen refuses it.
 */
bool fix_descriptor(u64 *desc)
{
    u64 d = *desc;
    unsigned dpl = d >> DESC_DPL_SHIFT & 3;

    if (!(d & DESC_P)) {
        /* A not-present descriptor does no harm if it cannot become present
         * by itself; the type is checked when it does */
        return true;
    }
    if (dpl < GUEST_KERNEL_DPL) {
        dpl |= GUEST_KERNEL_DPL;
    }
    if (!(d & DESC_S)) {
        switch (d >> 40 & 0xf) {
        case 0:             /* the second half of a 64-bit gate */
            return true;
        case DESC_TYPE_CALL_GATE:
            return fix_call_gate(desc, dpl);
        }
        return false;       /* no other gates, no TSS, no LDT */
    }
    if (WORD == 4 && (d & DESC_L)) {
        return false;
    }
    *desc = d | (u64)dpl << DESC_DPL_SHIFT;
    return true;
}

static int fix_frame(ulong mfn, unsigned entries)
{
    volatile u64 *desc = frame(mfn);

    for (unsigned i = 0; i < entries; i++) {
        u64 old = desc[i], fixed;

        /* A copy is looked at: the CPU and other vCPUs may be changing it */
        do {
            fixed = old;
            if (!fix_descriptor(&fixed)) {
                return -EINVAL;
            }
        } while (fixed != old && !cmpxchg_u64(&desc[i], &old, fixed));
    }
    return 0;
}

static void map_descriptor_frame(struct vcpu *v, int page, ulong mfn)
{
    map_area_page(v, page, (u64)mfn << 12 | PTE_P | PTE_RW | PTE_A | PTE_D);
}

int set_gdt_frames(struct vcpu *v, const ulong *frames, ulong ents)
{
    ulong nr = (ents + 511) / 512, i;
    u64 zero = v->area_l1[AREA_GDT + 15];

    if (ents > FIRST_RESERVED_GDT_ENTRY) {
        return -EINVAL;
    }
    for (i = 0; i < nr; i++) {
        if (get_seg_desc(frames[i])) {
            break;
        }
        if (fix_frame(frames[i], 512)) {
            put_seg_desc(frames[i]);
            break;
        }
    }
    if (i < nr) {
        while (i--) {
            put_seg_desc(frames[i]);
        }
        return -EINVAL;
    }
    for (i = 0; i < FIRST_RESERVED_GDT_PAGE; i++) {
        put_seg_desc(PTE_MFN(v->area_l1[AREA_GDT + i]));
        if (i < nr) {
            map_descriptor_frame(v, AREA_GDT + i, frames[i]);
        } else {
            map_area_page(v, AREA_GDT + i, zero);
        }
    }
    v->gdt_ents = ents;
    return 0;
}

HYPERCALL(do_set_gdt)
{
    ulong frames[FIRST_RESERVED_GDT_PAGE];
    u32 ents = a2;

    if (ents > FIRST_RESERVED_GDT_ENTRY) {
        return -EINVAL;
    }
    if (copy_from_guest(frames, a1, (ents + 511) / 512 * sizeof(ulong))) {
        return -EFAULT;
    }
    return set_gdt_frames(current_vcpu(), frames, ents);
}

/*
 * The LDT is mapped frame by frame, so that it is there in user mode too,
 * where the guest kernel's tables may not be. What cannot be mapped yet, or
 * has what may not be in it, is a hole: the CPU faults there.
 */
static bool map_ldt_page(struct vcpu *v, ulong i)
{
    u64 e = read_l1_entry(v->ldt_base + i * PAGE_SIZE);

    if (!(e & PTE_P) || !guest_mfn_valid(PTE_MFN(e)) ||
        mfn_is_table(PTE_MFN(e)) || fix_frame(PTE_MFN(e), 512)) {
        return false;
    }
    map_descriptor_frame(v, AREA_LDT + i, PTE_MFN(e));
    return true;
}

/* A fault at this address: true if it may be tried again, else the guest's */
bool ldt_fault(struct vcpu *v, ulong *addr)
{
    ulong offset = *addr - (area_of(v) + AREA_LDT * PAGE_SIZE);

    if (offset >= v->ldt_ents * 8) {
        return false;
    }
    if (map_ldt_page(v, offset / PAGE_SIZE)) {
        return true;
    }
    *addr = v->ldt_base + offset;
    return false;
}

int set_ldt(struct vcpu *v, ulong base, ulong ents)
{
    ulong pages = (ents * 8 + PAGE_SIZE - 1) / PAGE_SIZE;
    bool holes = false;

    if (ents > 8192 || (base & (PAGE_SIZE - 1)) ||
        (ents && !access_ok(base, ents * 8))) {
        return -EINVAL;
    }
    v->ldt_base = base;
    v->ldt_ents = ents;
    for (ulong i = 0; i < 16; i++) {
        if (i >= pages || !map_ldt_page(v, i)) {
            map_area_page(v, AREA_LDT + i, 0);
            holes = holes || i < pages;
        }
    }
    set_ldt_holes(v, holes);
    load_ldt(v);
    return 0;
}

HYPERCALL(do_update_descriptor)
{
#ifdef __x86_64__
    ulong maddr = a1;
    u64 desc = a2;
#else
    /* 64-bit arguments are pairs of registers */
    u64 maddr = a1 | (u64)a2 << 32;
    u64 desc = a3 | (u64)a4 << 32;
#endif
    ulong mfn = maddr >> 12;

    if ((maddr & 7) || !guest_mfn_valid(mfn) ||
        (mfn_is_table(mfn) && mfn_level(mfn) != FI_SEG_DESC) ||
        !fix_descriptor(&desc)) {
        return -EINVAL;
    }
    write_u64((u64 *)frame(mfn) + ((ulong)maddr & (PAGE_SIZE - 1)) / 8, desc);
    return 0;
}

#ifndef __x86_64__
/* In the TSS, too: gates may lead from user mode straight to ring 1 */
void set_kernel_stack(struct vcpu *v, ulong ss, ulong sp)
{
    struct tss *tss = v->tss;

    if (!(ss & 3)) {
        ss |= 1;
    }
    v->kernel_ss = tss->ss1 = ss;
    v->kernel_sp = tss->esp1 = sp;
}
#endif

HYPERCALL(do_stack_switch)
{
    struct vcpu *v = current_vcpu();

#ifdef __x86_64__
    v->kernel_ss = a1;
    v->kernel_sp = a2;
#else
    set_kernel_stack(v, a1, a2);
#endif
    return 0;
}

HYPERCALL(do_set_segment_base)
{
#ifdef __x86_64__
    switch ((u32)a1) {
    case SEGBASE_FS:
        if (!canonical(a2)) {
            return -EINVAL;
        }
        wrmsr(MSR_FS_BASE, a2);
        return 0;
    case SEGBASE_GS_USER:
        if (!canonical(a2)) {
            return -EINVAL;
        }
        wrmsr(MSR_KERNEL_GS_BASE, a2);
        return 0;
    case SEGBASE_GS_KERNEL:
        if (!canonical(a2)) {
            return -EINVAL;
        }
        wrmsr(MSR_GS_BASE, a2);
        return 0;
    case SEGBASE_GS_USER_SEL:
        {
            u32 sel = a2 & 0xffff;

            if (sel > 3) {
                sel |= 3;
            }
            /*
             * Loaded with the user's GS base active; 0 if it cannot be. With
             * the null selector some CPUs leave the base as it was: so by way
             * of one whose base is 0.
             */
            asm volatile("swapgs\n\t"
                         "mov %1, %%gs\n\t"
                         "1: mov %0, %%gs\n\t"
                         "swapgs\n\t"
                         ".pushsection .fixup, \"ax\"\n\t"
                         "2: xor %0, %0\n\t"
                         "jmp 1b\n\t"
                         ".popsection\n\t"
                         EX_TABLE(1b, 2b)
                         : "+r" (sel) : "r" (FLAT_RING3_DS32));
            return 0;
        }
    }
    return -EINVAL;
#else
    return -ENOSYS;
#endif
}

HYPERCALL(do_fpu_taskswitch)
{
    struct vcpu *v = current_vcpu();

    if ((u32)a1) {
        v->ts = true;
        write_cr0(read_cr0() | 8);
    } else {
        v->ts = false;
        asm volatile("clts");
    }
    return 0;
}

static void load_debugreg(unsigned reg, ulong val)
{
    switch (reg) {
    case 0:
        asm volatile("mov %0, %%db0" : : "r" (val));
        break;
    case 1:
        asm volatile("mov %0, %%db1" : : "r" (val));
        break;
    case 2:
        asm volatile("mov %0, %%db2" : : "r" (val));
        break;
    case 3:
        asm volatile("mov %0, %%db3" : : "r" (val));
        break;
    case 6:
        asm volatile("mov %0, %%db6" : : "r" (val));
        break;
    case 7:
        asm volatile("mov %0, %%db7" : : "r" (val));
        break;
    }
}

/* What the guest wants in a debug register, as it may have it */
int check_debugreg(struct vcpu *v, unsigned *reg, ulong *val)
{
    ulong io;

    switch (*reg) {
    case 0 ... 3:
        if (!access_ok(*val, 0) || !canonical(*val)) {
            return -EPERM;
        }
        return 0;
    case 4:
    case 5:
        if (v->cr4 & CR4_DE) {
            return -ENODEV;
        }
        *reg += 2;
        break;
    case 6:
    case 7:
        break;
    default:
        return -ENODEV;
    }
    if (*val != (u32)*val) {
        return -EINVAL;
    }
    if (*reg == 6) {
        *val = (*val & 0xe00f) | 0xffff0ff0;
        return 0;
    }
    *val = (*val & ~0xd800UL) | 0x400;
    /* General detect is ours, and no port to break on is the guest's */
    io = *val >> 17 & ~(*val >> 16) & 0x1111;
    return (*val & 0x2000) || ((*val & 0xff) && io) ? -EPERM : 0;
}

void load_debugregs(struct vcpu *v)
{
    for (unsigned i = 0; i < 8; i++) {
        load_debugreg(i, v->debugreg[i]);
    }
}

HYPERCALL(do_set_debugreg)
{
    struct vcpu *v = current_vcpu();
    unsigned reg = a1;
    ulong val = a2;
    int ret = check_debugreg(v, &reg, &val);

    if (!ret) {
        v->debugreg[reg] = val;
        load_debugreg(reg, val);
    }
    return ret;
}

HYPERCALL(do_get_debugreg)
{
    struct vcpu *v = current_vcpu();

    switch ((u32)a1) {
    case 4:
    case 5:
        return v->cr4 & CR4_DE ? -ENODEV : (long)v->debugreg[(u32)a1 + 2];
    case 0 ... 3:
    case 6:
    case 7:
        return v->debugreg[(u32)a1];
    }
    return -ENODEV;
}
