/*
 * Segments: the GDT, the LDT, and the FPU's task-switched flag
 *
 * init.c calls init_gdt() at a vCPU's start; segments-32.c and segments-64.c
 * have the descriptors and the TSS of each width, and the hypercalls about
 * stacks and bases. The rest is called for hypercalls, on the vCPU that asks or
 * for one that is not up, and by traps.c for faults on the LDT.
 *
 * The guest's GDT frames are mapped where the CPU looks for them, followed by
 * two pages of ours. As under Xen the guest's descriptors are corrected in
 * place: none gives ring 0, and call gates are the only system descriptors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"
#include "segments.h"

struct desc_ptr {
    u16 limit;
    ulong base;
} __attribute__((packed));

static void load_ldt(struct vcpu *v)
{
    u16 sel = v->ldt_ents ? SEL_LDT : 0;

    if (sel) {
        set_system_desc(gdt_entry(v, SEL_LDT), area_of(v) + AREA_LDT * PAGE_SIZE,
                        v->ldt_ents * 8 - 1, DESC_TYPE_LDT);
    }
    asm volatile("lldt %0" : : "r" (sel));
}

void init_gdt(struct vcpu *v)
{
    struct desc_ptr ptr = { 16 * PAGE_SIZE - 1, area_of(v) };
    u64 *ours = alloc_page(), *zero = alloc_page();

    for (int i = 0; i < FIRST_RESERVED_GDT_PAGE; i++) {
        map_area_page(v, AREA_GDT + i, core_gpa(zero) | AREA_DATA);
    }
    map_area_page(v, AREA_GDT + 14, core_gpa(ours) | AREA_DATA);
    map_area_page(v, AREA_GDT + 15, core_gpa(zero) | AREA_DATA);

    fill_gdt(v);
    v->tss->iopb = sizeof(*v->tss);
    set_system_desc(gdt_entry(v, SEL_TSS), (ulong)v->tss, sizeof(*v->tss) - 1,
                    DESC_TYPE_TSS);

    asm volatile("lgdt %0" : : "m" (ptr));
    load_monitor_cs();
    asm volatile("mov %0, %%ss; mov %0, %%ds; mov %0, %%es" : : "r" (MON_DS));
    asm volatile("ltr %w0" : : "r" (SEL_TSS));
    load_ldt(v);
}

/*
 * The least DPL of a guest's descriptors. A 64-bit kernel takes itself to be in
 * ring 3, and may return to itself by IRET with RPL 3, through its own code
 * segment, too, which needs DPL 3 for that. See kernel_in_ring3 in entry-64.S.
 */
#define GUEST_KERNEL_DPL    (WORD == 8 ? 3 : 1)

/* May a call gate name this code segment? The guest's own, or FLAT_KERNEL_CS */
static bool gate_selector_ok(u16 sel)
{
    return sel >> 3 < FIRST_RESERVED_GDT_ENTRY || (sel & 4) ||
           sel == FLAT_KERNEL_CS;
}

/*
 * A call gate leads to one of the guest's code segments, none of which is in
 * ring 0. In a 32-bit guest the CPU takes it, with stack_switch's stack in ring
 * 1. In long mode no gate leads from ring 3 to a kernel that takes itself to be
 * in ring 3. So, as in Xen, it gets DPL 0, and using it is a #GP; the guest's
 * DPL is kept in the selector's RPL.
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

/*
 * Make a descriptor fit for the guest's tables, as Xen's check_descriptor
 * does. False: Xen refuses it.
 */
bool fix_descriptor(u64 *desc)
{
    u64 d = *desc;
    unsigned dpl = d >> DESC_DPL_SHIFT & 3;

    if (!(d & DESC_P)) {
        return true;        /* it is checked when it becomes present */
    }
    dpl |= dpl < GUEST_KERNEL_DPL ? GUEST_KERNEL_DPL : 0;
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

static int fix_frame(ulong mfn)
{
    volatile u64 *desc = frame(mfn);

    for (unsigned i = 0; i < 512; i++) {
        u64 old = desc[i], fixed;

        /* Check a copy: the CPU and other vCPUs may be changing it */
        do {
            fixed = old;
            if (!fix_descriptor(&fixed)) {
                return -EINVAL;
            }
        } while (fixed != old && !cmpxchg_u64(&desc[i], &old, fixed));
    }
    return 0;
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
        if (fix_frame(frames[i])) {
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
            map_area_page(v, AREA_GDT + i, (u64)frames[i] << 12 | AREA_DATA);
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
 * The LDT is mapped frame by frame, so that it is there in user mode, too,
 * where the guest kernel's tables may not be in use. A page that cannot be
 * mapped yet, or has a descriptor that is refused, is a hole: the CPU faults.
 */
static bool map_ldt_page(struct vcpu *v, ulong i)
{
    u64 e = read_l1_entry(v->ldt_base + i * PAGE_SIZE);

    if (!(e & PTE_P) || !guest_mfn_valid(PTE_MFN(e)) ||
        mfn_is_table(PTE_MFN(e)) || fix_frame(PTE_MFN(e))) {
        return false;
    }
    map_area_page(v, AREA_LDT + i, (u64)PTE_MFN(e) << 12 | AREA_DATA);
    return true;
}

/* A fault on the LDT? True: try again. Else *addr is as the guest knows it */
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

    if (ents > 8192 || (base & (PAGE_SIZE - 1)) ||
        (ents && !access_ok(base, ents * 8))) {
        return -EINVAL;
    }
    v->ldt_base = base;
    v->ldt_ents = ents;
    v->ldt_holes = false;
    for (ulong i = 0; i < 16; i++) {
        if (i >= pages || !map_ldt_page(v, i)) {
            map_area_page(v, AREA_LDT + i, 0);
            v->ldt_holes = v->ldt_holes || i < pages;
        }
    }
    if (WORD == 8) {
        choose_fault_gate(v);
    }
    load_ldt(v);
    return 0;
}

HYPERCALL(do_update_descriptor)
{
    /* In 32-bit code 64-bit arguments are pairs of registers */
    u64 maddr = WORD == 8 ? a1 : a1 | (u64)a2 << 32;
    u64 desc = WORD == 8 ? a2 : a3 | (u64)a4 << 32;
    ulong mfn = maddr >> 12;

    if ((maddr & 7) || !guest_mfn_valid(mfn) ||
        (mfn_is_table(mfn) && mfn_level(mfn) != FI_SEG_DESC) ||
        !fix_descriptor(&desc)) {
        return -EINVAL;
    }
    write_u64((u64 *)frame(mfn) + ((ulong)maddr & (PAGE_SIZE - 1)) / 8, desc);
    return 0;
}

HYPERCALL(do_fpu_taskswitch)
{
    if ((u32)a1) {
        write_cr0(read_cr0() | 8);
    } else {
        asm volatile("clts");
    }
    return 0;
}
