/*
 * The IDT: which way each vector goes
 *
 * Each vCPU has its own, in its area. init.c makes and loads it at the vCPU's
 * start, callbacks.c changes gates with the guest's trap table, on the vCPU
 * itself. All gates but set_direct_gate()'s lead to entry-*.S. By INT n a
 * program can raise what the guest's table allows, and none of our vectors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "traps.h"
#include "msr.h"

void set_own_gate(struct vcpu *v, u8 vector)
{
    unsigned dpl = vector == X86_BP || vector == X86_OF ? 3 : 0;
    unsigned ist = vector == X86_DF || vector == X86_MC ? 1 :
                   vector == X86_NMI ? 2 : vector == X86_DB ? 3 : 0;

    set_gate(&v->idt[vector], (ulong)trap_stubs + vector * 16, MON_CS,
             GATE_INTERRUPT, dpl, ist);
}

/*
 * The gate of a vector that programs may raise by INT n. The write is not
 * atomic, so the vCPU itself makes it, whose programs do not run meanwhile.
 */
void set_trap_gate(struct vcpu *v, u8 vector)
{
    struct trap_info *ti = &v->traps[vector];

    if (!is_guest_vector(vector) || (WORD == 4 && vector == 0x82) ||
        (WORD == 4 && vector == 0x80 && set_direct_gate(v, ti))) {
        return;
    }
    set_own_gate(v, vector);
    if (ti->address && TI_GET_DPL(ti) == 3) {
        v->idt[vector].type |= 3 << 5;
    }
}

void init_idt(struct vcpu *v)
{
    for (int i = 0; i < 256; i++) {
        set_own_gate(v, i);
    }
    init_gates_of_width(v);
}

/* AMD's and Hygon's CPUs lack it in long mode, and its MSRs have but 32 bits */
static bool has_sysenter(void)
{
    u32 out[4];

    cpuid(0, out);
    if (WORD == 8 && (out[1] == 0x68747541 || out[1] == 0x6f677948)) {
        return false;           /* "Auth", "Hygo" */
    }
    cpuid(1, out);
    return out[3] & 1 << 11;
}

void load_idt(struct vcpu *v)
{
    struct {
        u16 limit;
        ulong base;
    } __attribute__((packed)) ptr = { 256 * sizeof(struct gate) - 1,
                                      (ulong)v->idt };
    bool sysenter = has_sysenter();

    asm volatile("lidt %0" : : "m" (ptr));
    wrmsr(MSR_PAT, XEN_MSR_PAT);
    wrmsr(MSR_SYSENTER_CS, sysenter ? MON_CS : 0);
    if (sysenter) {
        wrmsr(MSR_SYSENTER_ESP, (ulong)v);      /* where its stack ends */
        wrmsr(MSR_SYSENTER_EIP, (ulong)sysenter_entry);
    }
    if (WORD == 8) {
        load_syscall_msrs(v);
    }
}
