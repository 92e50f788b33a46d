/*
 * The IDT, 64-bit: gates, and the other ways into ring 0, by SYSCALL
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "traps.h"
#include "msr.h"

void set_gate(struct gate *gate, ulong addr, u16 sel, u8 type, unsigned dpl,
              unsigned ist)
{
    *gate = (struct gate) {
        .offset_lo = addr,
        .selector = sel,
        .ist = ist,
        .type = 0x80 | dpl << 5 | type,
        .offset_mid = addr >> 16,
        .offset_hi = addr >> 32,
    };
}

/* With holes in the LDT, or programs on kernel tables, C sees each fault */
void choose_fault_gate(struct vcpu *v)
{
    if (v->ldt_holes || v->one_table) {
        set_gate(&v->idt[X86_PF], (ulong)slow_page_fault, MON_CS,
                 GATE_INTERRUPT, 0, 0);
    } else {
        set_own_gate(v, X86_PF);
    }
}

/*
 * Copy code of entry-64.S that addresses the vCPU's area relative to itself and
 * ends with a jump out of it: the copy's jump needs another distance
 */
static void copy_stub(char *to, const char *stub, const char *end)
{
    ulong size = end - stub;
    s32 *distance = (s32 *)(to + size - sizeof(*distance));

    memcpy(to, stub, size);
    *distance -= to - stub;
}
_Static_assert(VCPU_VIRT + XENPV_MAX_VCPUS * VCPU_AREA_SIZE - CORE_VIRT <
               0x7fffffff, "");

static char *stub_page(struct vcpu *v)
{
    return (char *)v - VCPU_OFFSET + AREA_STUB * PAGE_SIZE;
}

void init_gates_of_width(struct vcpu *v)
{
    copy_stub(stub_page(v), syscall_stub, syscall_stub_end);
    copy_stub(stub_page(v) + SYSCALL32_STUB, syscall32_stub, syscall32_stub_end);
    map_area_page(v, AREA_STUB, v->area_l1[AREA_STUB] & ~(PTE_RW | PTE_NX));
}

void load_syscall_msrs(struct vcpu *v)
{
    /* SYSRET to user mode loads FLAT_RING3_CS64 and FLAT_RING3_SS64 */
    wrmsr(MSR_STAR, (u64)FLAT_RING3_CS32 << 48 | (u64)MON_CS << 32);
    wrmsr(MSR_LSTAR, (ulong)stub_page(v));
    wrmsr(MSR_CSTAR, (ulong)stub_page(v) + SYSCALL32_STUB);
    wrmsr(MSR_SFMASK, EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_NT | EFL_RF |
                      EFL_AC);
}
