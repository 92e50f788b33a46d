/*
 * I/O ports, and what else the IOPL admits
 *
 * The domain has no ports: what is here is who may try, and what there is to read.
 * privileged.c calls it for the kernel, traps.c for programs, whose kernel may have
 * given them the right. Memory operands are checked as the CPU would check them, with
 * the rights of who runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "emulate.h"
#include "frame.h"

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
bool emulate_string_io(struct vcpu *v, struct regs *regs, struct insn *in)
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

bool emulate_io(struct vcpu *v, struct regs *regs, struct insn *in)
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
bool emulate_cli_sti(struct vcpu *v, struct regs *regs, struct insn *in)
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
