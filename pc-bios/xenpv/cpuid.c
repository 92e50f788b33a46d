/*
 * CPUID: with Xen's prefix, and without it where it faults
 *
 * The answers come from a table that QEMU makes before the guest starts and
 * nobody changes, and by the guest's CR4 and XCR0. traps.c calls this for #UD,
 * privileged.c and port_io.c for #GP; others ask guest_cpuid() what is offered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "emulate.h"

#define CPUID1_OSXSAVE  (1u << 27)

bool cpuid_faults;

/*
 * How many bytes XSAVE needs for the components in XCR0, by CPUID's leaf 0xd:
 * to the end of the last one or, compacted, for all of them together.
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

void guest_cpuid(struct vcpu *v, u32 leaf, u32 subleaf, u32 out[4])
{
    struct xenpv_boot_info *b = boot_info;
    struct xenpv_cpuid *c, *first = NULL, *end = b->cpuid + b->nr_cpuid;
    /* From 0, 0x40000000 and 0x80000000 on; nothing is at 0xc0000000 */
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

void emulate_cpuid(struct vcpu *v, struct regs *regs)
{
    u32 out[4];

    guest_cpuid(v, regs->ax, regs->cx, out);
    regs->ax = out[0];
    regs->bx = out[1];
    regs->cx = out[2];
    regs->dx = out[3];
}

/* ud2; .ascii "xen"; cpuid, from the kernel or from a program */
bool emulate_forced_cpuid(struct vcpu *v, struct regs *regs)
{
    ulong ip = regs->ip;
    u32 first, last, leaf = regs->ax;

    if (unlikely(!access_ok(ip, 7))) {
        return false;
    }
    GET_GUEST32(first, ip, other);
    if (likely(first != 0x65780b0f)) {
        return false;
    }
    GET_GUEST32(last, ip + 3, other);
    if (last != 0xa20f6e65) {
        return false;
    }
    emulate_cpuid(v, regs);
    /*
     * Xen shows its own CR4.OSXSAVE to a PV kernel here, and Linux takes it as
     * permission to use XSAVE.
     */
    if (leaf == 1 && in_kernel(v, regs) && (regs->cx & CPUID1_XSAVE)) {
        regs->cx |= CPUID1_OSXSAVE;
    }
    instruction_done(v, regs, ip + 7);
    return true;
other:
    return false;
}
