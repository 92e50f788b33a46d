/*
 * The part of monitor.h that differs by width: 64-bit
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define STACK_POINTER   "rsp"
#define WORD_DIRECTIVE  ".quad"
#define MOVE_WORDS      "rep movsq"

/* The state of the interrupted code, as entry-64.S saves it */
struct regs {
    ulong r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
    u32 error_code, vector;
    ulong ip, cs, flags, sp, ss;
};

/* Data segments of the interrupted code: the monitor leaves them loaded */
#define guest_ds(regs)  SELECTOR("ds")
#define guest_es(regs)  SELECTOR("es")

struct gate {
    u16 offset_lo, selector;
    u8 ist, type;
    u16 offset_mid;
    u32 offset_hi, reserved;
};

struct tss {
    u32 reserved0;
    u64 rsp0, rsp1, rsp2;
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, iopb;
} __attribute__((packed));

/* See monitor.h. Without sums, so that limits are constant if size is */
static inline bool access_ok(ulong addr, ulong size)
{
    return size <= XENPV_M2P_VIRT_64 &&
           (addr <= XENPV_M2P_VIRT_64 - size ||
            (addr >= XENPV_HV_VIRT_END_64 && addr <= (size ? -size : ~0UL)));
}

static inline bool access_ok_long(ulong addr)
{
    /* The hypervisor's range is one aligned range of 2^43 bytes */
    return addr >> 43 != XENPV_M2P_VIRT_64 >> 43;
}

/* A callback's address; the guest cannot choose its CS */
static inline ulong callback_ip(const xen_callback_t *address)
{
    return *address;
}

static inline u16 callback_cs(const xen_callback_t *address)
{
    return RING1_CS;
}

_Static_assert(offsetof(struct vcpu_info, arch.cr2) == VCPU_INFO_CR2, "");
_Static_assert(XENPV_M2P_VIRT_64 >> 43 == HV_BITS &&
               XENPV_HV_VIRT_END_64 >> 43 == HV_BITS + 1, "");
