/*
 * What the files that emulate instructions share
 *
 * traps.c calls them for a #GP or a #UD: privileged.c for what a PV kernel may
 * still use, port_io.c for I/O and for programs, cpuid.c for the CPUID with
 * Xen's prefix (ud2, "xen"). The code segment is assumed to be flat. decode.c
 * reads an instruction's bytes from guest memory once; what is done, and the
 * instruction's length, both come from that copy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_EMULATE_H
#define XENPV_EMULATE_H

#include "monitor.h"

/* A decoded instruction; only what can trap here is decoded in full */
struct insn {
    u8 bytes[16] __attribute__((aligned(8)));
    u8 len;                 /* bytes used so far */
    u8 avail;               /* bytes that could be read */
    u8 rex;
    u8 op_size;             /* 2, 4 or 8 */
    bool two_byte;
    u8 opcode;
    u8 modrm;
};

/* The general registers, by their numbers in instructions */
static inline ulong *reg_ptr(struct regs *regs, unsigned nr)
{
#define AT(name) offsetof(struct regs, name)
    static const u8 offset[] = {
        AT(ax), AT(cx), AT(dx), AT(bx), AT(sp), AT(bp), AT(si), AT(di),
#ifdef __x86_64__
        AT(r8), AT(r9), AT(r10), AT(r11), AT(r12), AT(r13), AT(r14), AT(r15),
#endif
    };
#undef AT

    return (ulong *)((char *)regs + offset[nr]);
}

/* Bytes that could not be read are 0; .len is checked against .avail last */
static inline u8 next(struct insn *in)
{
    return in->bytes[in->len++ & 15];
}

static inline unsigned modrm_reg(struct insn *in)
{
    return (in->modrm >> 3 & 7) | (in->rex & 4 ? 8 : 0);
}

static inline unsigned modrm_rm(struct insn *in)
{
    return (in->modrm & 7) | (in->rex & 1 ? 8 : 0);
}

/* decode.c */
bool decode_prefixes(struct insn *in, struct regs *regs);
static inline void instruction_done(struct vcpu *v, struct regs *regs, ulong ip)
{
    bool step = regs->flags & EFL_TF;

    regs->ip = ip;
    regs->flags &= ~(ulong)EFL_RF;
    if (unlikely(step)) {
        debug_exception(v, regs, 0x4000);
    }
}

/* cpuid.c */
void emulate_cpuid(struct vcpu *v, struct regs *regs);
#define CR4_OSXSAVE     0x40000
#define CPUID1_XSAVE    (1u << 26)

/* port_io.c. False: it is a #GP */
bool emulate_io(struct vcpu *v, struct regs *regs, struct insn *in);

#endif
