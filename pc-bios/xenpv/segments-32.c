/*
 * Segments, 32-bit: our descriptors, the double fault's task, the kernel's stack
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "segments.h"

void fill_gdt(struct vcpu *v)
{
    struct tss *tss = v->tss, *df = tss + 1;

    *gdt_entry(v, MON_CS) = flat(DESC_FLAT, DESC_TYPE_CODE, 0);
    *gdt_entry(v, MON_DS) = flat(DESC_FLAT, DESC_TYPE_DATA, 0);
    *gdt_entry(v, FLAT_RING1_CS) = flat(DESC_FLAT, DESC_TYPE_CODE, 1);
    *gdt_entry(v, FLAT_RING1_DS) = flat(DESC_FLAT, DESC_TYPE_DATA, 1);
    *gdt_entry(v, FLAT_RING3_CS) = flat(DESC_FLAT, DESC_TYPE_CODE, 3);
    *gdt_entry(v, FLAT_RING3_DS) = flat(DESC_FLAT, DESC_TYPE_DATA, 3);
    tss->esp0 = area_of(v) + STACK_TOP;
    tss->ss0 = MON_DS;

    /* The double-fault task, beside the TSS that it interrupts */
    df->eip = (ulong)double_fault_task;
    df->cs = MON_CS;
    df->ss = df->ds = df->es = MON_DS;
    df->esp = area_of(v) + (AREA_DF_STACK + 1) * PAGE_SIZE;
    df->eflags = 2;
    df->iopb = sizeof(*df);
    df->cr3 = PTE_MFN(v->area_l1[AREA_PDPT]) << 12;
    set_system_desc(gdt_entry(v, SEL_DF_TSS), (ulong)df, sizeof(*df) - 1,
                    DESC_TYPE_TSS);
}

void load_monitor_cs(void)
{
    asm volatile("ljmp %0, $1f; 1:" : : "i" (MON_CS));
}

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

HYPERCALL(do_stack_switch)
{
    set_kernel_stack(current_vcpu(), a1, a2);
    return 0;
}
