/*
 * Loads of SS and CS by a 64-bit kernel that takes itself to be in ring 3
 *
 * NetBSD's loads both with segments of its own that have DPL and RPL 3: SS from
 * a register, CS by a far return. In ring 1 the first is a #GP. So is the
 * second, as the CPU takes whatever the kernel has on its stack for the outer
 * ring's RSP and SS. traps.c calls this for such a #GP. Bases and limits of CS
 * and SS have no effect in 64-bit mode, so the selectors are checked here, but
 * not loaded.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "emulate.h"

/*
 * A segment's access rights, as in its descriptor's second half; 0: there is no
 * such segment, or it is in a hole of the LDT
 */
static u32 access_rights(u16 sel)
{
    u32 rights = 0;

    asm volatile("1: lar %1, %0\n\t"
                 "2:\n\t"
                 EX_TABLE(1b, 2b)
                 : "+r" (rights) : "r" ((u32)sel) : "cc");
    return rights;
}

#define AR_DATA_RW      0x0000f200      /* present, DPL 3, writable data */
#define AR_CODE64       0x00209800      /* present, 64-bit code */
#define AR_CODE_DPL     0x00006000

static bool load_ss(u16 sel)
{
    return (sel & 3) == 3 && (access_rights(sel) & 0xfa00) == AR_DATA_RW;
}

static bool load_cs(u16 sel)
{
    u32 rights = access_rights(sel);

    return (sel & 3) == 3 && (rights & 0x00609800) == AR_CODE64 &&
           ((rights & AR_CODE_DPL) == AR_CODE_DPL || (rights & 0x400));
}

bool emulate_segment_load(struct vcpu *v, struct regs *regs)
{
    struct insn in;
    ulong ip, sp = regs->sp, cs;

    if (!decode_prefixes(&in, regs) || in.two_byte) {
        return false;
    }
    ip = regs->ip + in.len;
    switch (in.opcode) {
    case 0x8e:              /* mov reg, %ss */
        in.modrm = next(&in);
        if (in.modrm >> 6 != 3 || (in.modrm >> 3 & 7) != 2 ||
            !load_ss(*reg_ptr(regs, modrm_rm(&in)))) {
            return false;
        }
        ip++;
        break;
    case 0xcb:              /* lret */
        if (in.op_size != 8 || !access_ok(sp, 16)) {
            return false;
        }
        GET_GUEST(ip, sp, bad);
        GET_GUEST(cs, sp + 8, bad);
        if (!canonical(ip) || !load_cs(cs)) {
            return false;
        }
        sp += 16;
        break;
    default:
        return false;
    }
    if (in.len > in.avail) {
        return false;
    }
    regs->sp = sp;
    instruction_done(v, regs, ip);
    return true;
bad:
    return false;
}
