/*
 * Segments, 64-bit: our descriptors, and the bases of FS and GS
 *
 * While the monitor runs, the GS base is the guest kernel's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "segments.h"
#include "msr.h"

void fill_gdt(struct vcpu *v)
{
    struct tss *tss = v->tss;

    *gdt_entry(v, MON_CS) = flat(DESC_FLAT64, DESC_TYPE_CODE, 0);
    *gdt_entry(v, MON_DS) = flat(DESC_FLAT, DESC_TYPE_DATA, 0);
    *gdt_entry(v, RING1_CS) = flat(DESC_FLAT64, DESC_TYPE_CODE, 1);
    *gdt_entry(v, RING1_SS) = flat(DESC_FLAT, DESC_TYPE_DATA, 1);
    *gdt_entry(v, FLAT_RING3_CS32) = flat(DESC_FLAT, DESC_TYPE_CODE, 3);
    *gdt_entry(v, FLAT_RING3_DS32) = flat(DESC_FLAT, DESC_TYPE_DATA, 3);
    *gdt_entry(v, FLAT_RING3_CS64) = flat(DESC_FLAT64, DESC_TYPE_CODE, 3);
    tss->rsp0 = area_of(v) + STACK_TOP;
    tss->ist[0] = area_of(v) + (AREA_DF_STACK + 1) * PAGE_SIZE;
    tss->ist[1] = area_of(v) + (AREA_NMI_STACK + 1) * PAGE_SIZE;
    tss->ist[2] = area_of(v) + (AREA_DB_STACK + 1) * PAGE_SIZE;
}

void load_monitor_cs(void)
{
    asm volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
                 : : "i" (MON_CS) : "rax", "memory");
}

void set_kernel_stack(struct vcpu *v, ulong ss, ulong sp)
{
    v->kernel_ss = ss;
    v->kernel_sp = sp;
}

HYPERCALL(do_stack_switch)
{
    set_kernel_stack(current_vcpu(), a1, a2);
    return 0;
}

/*
 * Load GS with the user's base active; the null selector if that fails. As some
 * CPUs keep the base with a null selector, first load one whose base is 0.
 */
static void load_user_gs(u32 sel)
{
    if (sel > 3) {
        sel |= 3;
    }
    asm volatile("swapgs\n\t"
                 "mov %1, %%gs\n\t"
                 "jmp 2f\n\t"
                 "1: xor %0, %0\n\t"
                 "2: mov %0, %%gs\n\t"
                 "swapgs\n\t"
                 EX_TABLE(2b, 1b)
                 : "+r" (sel) : "r" (FLAT_RING3_DS32));
}

HYPERCALL(do_set_segment_base)
{
    static const u32 msr[] = {
        [SEGBASE_FS] = MSR_FS_BASE,
        [SEGBASE_GS_USER] = MSR_KERNEL_GS_BASE,
        [SEGBASE_GS_KERNEL] = MSR_GS_BASE,
    };
    u32 which = a1;

    if (which < ARRAY_SIZE(msr)) {
        if (!canonical(a2)) {
            return -EINVAL;
        }
        wrmsr(msr[which], a2);
        return 0;
    }
    if (which == SEGBASE_GS_USER_SEL) {
        load_user_gs(a2 & 0xffff);
        return 0;
    }
    return -EINVAL;
}
