/*
 * I/O ports, the I/O privilege level, and the hypercall for both
 *
 * The domain has no ports: whoever has the right reads ones, and writes go
 * nowhere. privileged.c calls this for the kernel, traps.c for programs, to
 * which the kernel may have given the right. The rest of physdev_op is for
 * domains with devices. INS and OUTS remain a #GP: no driver uses them on a
 * port that reads as ones.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "emulate.h"
#include "hw/xen/interface/physdev.h"

#define IOBITMAP_BYTES  8192

/*
 * The guest sets its I/O privilege level by hypercall, with the kernel as ring
 * 1. The CPU's is always 0, so that every access traps.
 */
static bool iopl_ok(struct vcpu *v, bool kernel)
{
    return v->iopl >= (kernel ? 1 : 3);
}

/* May the code that trapped use these ports, by what the guest has set? */
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

static bool emulate_in_out(struct vcpu *v, struct regs *regs, struct insn *in)
{
    unsigned size = !(in->opcode & 1) ? 1 : in->op_size == 2 ? 2 : 4;
    u16 port = in->opcode < 0xe8 ? next(in) : regs->dx;

    if (in->len > in->avail || !io_allowed(v, regs, port, size)) {
        return false;
    }
    if (in->opcode & 2) {
        return true;            /* out */
    }
    if (size == 4) {
        regs->ax = 0xffffffff;
    } else {
        regs->ax |= size == 1 ? 0xff : 0xffff;
    }
    return true;
}

bool emulate_io(struct vcpu *v, struct regs *regs, struct insn *in)
{
    switch (in->opcode) {
    case 0xe4 ... 0xe7:
    case 0xec ... 0xef:
        return emulate_in_out(v, regs, in);
    case 0xfa:
    case 0xfb:
        /* cli and sti: with the right they do nothing, as events have a mask */
        return iopl_ok(v, in_kernel(v, regs));
    }
    return false;
}

/* I/O that the kernel has allowed its programs, and CPUID, if that faults */
bool emulate_program(struct vcpu *v, struct regs *regs)
{
    struct insn in;

    if (likely(v->iopl < 3 && !v->nr_ports && !cpuid_faults) ||
        !decode_prefixes(&in, regs)) {
        return false;
    }
    if (!in.two_byte ? !emulate_io(v, regs, &in) : in.opcode != 0xa2) {
        return false;
    }
    if (in.len > in.avail) {
        return false;
    }
    if (in.two_byte) {
        emulate_cpuid(v, regs);
    }
    instruction_done(v, regs, regs->ip + in.len);
    return true;
}

/* Accesses to these ports do not fault, though none belongs to the domain */
static long set_iobitmap(struct vcpu *v, ulong arg)
{
    struct physdev_set_iobitmap map;
    ulong bitmap;

    if (copy_from_guest(&map, arg, sizeof(map))) {
        return -EFAULT;
    }
    bitmap = *(ulong *)&map.bitmap;
    if (!access_ok(bitmap, IOBITMAP_BYTES) || map.nr_ports > 65536) {
        return -EINVAL;
    }
    v->iobitmap = bitmap;
    v->nr_ports = map.nr_ports;
    return 0;
}

HYPERCALL(do_physdev_op)
{
    struct physdev_set_iopl set;

    switch ((u32)a1) {
    case PHYSDEVOP_set_iopl:
        if (copy_from_guest(&set, a2, sizeof(set))) {
            return -EFAULT;
        }
        if (set.iopl > 3) {
            return -EINVAL;
        }
        current_vcpu()->iopl = set.iopl;
        return 0;
    case PHYSDEVOP_set_iobitmap:
        return set_iobitmap(current_vcpu(), a2);
    }
    return refuse(__HYPERVISOR_physdev_op, a1);
}

/* The form before Xen 3.2.2: one structure with the command in it */
HYPERCALL(do_physdev_op_compat)
{
    struct physdev_op op;

    if (copy_from_guest(&op, a1, sizeof(op))) {
        return -EFAULT;
    }
    return do_physdev_op(op.cmd, a1 + offsetof(struct physdev_op, u), 0, 0, 0);
}
