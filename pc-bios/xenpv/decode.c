/*
 * Instructions that trap: reading their bytes, and decoding up to the opcode
 *
 * The files that emulate instructions call this (emulate.h). What another vCPU
 * writes there meanwhile has no effect, as the bytes are read once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "emulate.h"

/* Read 15 bytes, an instruction's maximum, or those that this page has left */
static bool fetch(struct insn *in, struct regs *regs)
{
    const ulong rest = -regs->ip & (PAGE_SIZE - 1);

    *in = (struct insn) { .op_size = 4, .avail = 15 };
    if (!copy_from_guest(in->bytes, regs->ip, 15)) {
        return true;
    }
    in->avail = rest;
    return rest < 15 && !copy_from_guest(in->bytes, regs->ip, rest);
}

bool decode_prefixes(struct insn *in, struct regs *regs)
{
    if (!fetch(in, regs)) {
        return false;
    }
    /* False without an opcode in 15 bytes: then the #GP is right */
    while (in->len < in->avail) {
        u8 b = next(in);

        switch (b) {
        case 0x66:
            in->op_size = 2;
            continue;
        case 0x67:              /* no effect on what is emulated here */
        case 0xf0:
        case 0xf2 ... 0xf3:
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
            continue;
        case 0x40 ... 0x4f:
            if (WORD == 8) {
                in->rex = b;
                b = next(in);
            }
            break;
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
