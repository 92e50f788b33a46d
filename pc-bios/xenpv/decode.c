/*
 * Instructions that trap: reading their bytes, and what each does when it is done
 *
 * The files that carry instructions out call this (emulate.h). What another vCPU
 * writes to the instruction meanwhile has no effect: the bytes are read once.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "emulate.h"

static inline bool fetch(struct insn *in, struct regs *regs)
{
    ulong *words = (ulong *)in->bytes;

    *in = (struct insn) { .op_size = 4, .avail = 15 };
    GET_GUEST(words[0], regs->ip, end_of_page);
    GET_GUEST(words[1], regs->ip + WORD, end_of_page);
    if (WORD == 4) {
        GET_GUEST(words[2], regs->ip + 2 * WORD, end_of_page);
        GET_GUEST(words[3], regs->ip + 3 * WORD, end_of_page);
    }
    return true;
end_of_page:
    for (in->avail = 0; in->avail < 15; in->avail++) {
        if (copy_from_guest(in->bytes + in->avail, regs->ip + in->avail, 1)) {
            break;
        }
    }
    return in->avail;
}

bool decode_prefixes(struct insn *in, struct regs *regs)
{
    if (!fetch(in, regs)) {
        return false;
    }
    /* An instruction has 15 bytes at most: the #GP that this was is right */
    while (in->len < in->avail) {
        u8 b = next(in);

        switch (b) {
        case 0x66:
            in->op_size = 2;
            continue;
        case 0x67:              /* without effect on what is carried out here */
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
