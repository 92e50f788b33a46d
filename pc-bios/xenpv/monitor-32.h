/*
 * The part of monitor.h that differs by width: 32-bit
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define STACK_POINTER   "esp"
#define WORD_DIRECTIVE  ".long"
#define MOVE_WORDS      "rep movsl"

/* The state of the interrupted code, as entry-32.S saves it */
struct regs {
    ulong bx, cx, dx, si, di, bp, ax, ds, es;
    u16 error_code, vector;
    ulong ip, cs, flags, sp, ss;
};

/* Data segments of the interrupted code */
#define guest_ds(regs)  ((u16)(regs)->ds)
#define guest_es(regs)  ((u16)(regs)->es)

struct gate {
    u16 offset_lo, selector;
    u8 reserved, type;
    u16 offset_hi;
};

struct tss {
    u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    u32 eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
    u16 trap, iopb;
} __attribute__((packed));

/* See monitor.h. Without sums, so that limits are constant if size is */
static inline bool access_ok(ulong addr, ulong size)
{
    return size <= XENPV_M2P_VIRT_32 && addr <= XENPV_M2P_VIRT_32 - size;
}

static inline bool access_ok_long(ulong addr)
{
    return addr <= XENPV_M2P_VIRT_32 - sizeof(ulong);
}

/* A callback's address */
static inline ulong callback_ip(const xen_callback_t *address)
{
    return address->eip;
}

static inline u16 callback_cs(const xen_callback_t *address)
{
    return address->cs;
}
