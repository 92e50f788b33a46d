/*
 * How the monitor delivers exceptions, events and failures to the guest
 *
 * The monitor builds the frame that hardware would build on the guest kernel's
 * stack, with Xen's additions, and lets the guest go on in the handler that it
 * registered. traps.c and the files that emulate instructions call this, and
 * entry-*.S on its way back to the guest. If a frame cannot be written to that
 * stack, the domain crashes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "traps.h"

/* What the frame has besides the state to return to */
enum frame {
    FRAME_PLAIN,
    FRAME_ERROR,        /* the error code */
    FRAME_FAILSAFE,     /* the data segments */
};

/* IF is always set while the guest runs; in a frame it shows the upcall mask */
static inline ulong frame_flags(ulong flags, bool mask)
{
    return mask ? flags & ~(ulong)EFL_IF : flags;
}

/*
 * Make the guest continue at ip (and, if it is a 32-bit one, in cs) with a
 * frame for the state in regs.
 */
static __always_inline void bounce(struct vcpu *v, struct regs *regs, ulong ip,
                                   u16 cs, bool masks, enum frame frame,
                                   ulong error)
{
    volatile u8 *upcall_mask = &v->vcpu_info->evtchn_upcall_mask;
    u8 mask = *upcall_mask;
    bool kernel = in_kernel(v, regs);
    ulong sp = kernel ? regs->sp : v->kernel_sp;

    if (unlikely(!ip)) {
        domain_crash(regs, "the guest has no handler for this");
    }
#define PUSH(val) \
    do { \
        sp -= sizeof(ulong); \
        PUT_GUEST(sp, (ulong)(val), bad_stack); \
    } while (0)
    sp &= WORD == 8 ? ~15UL : ~0UL;
    if (unlikely(!access_ok(sp - 128, 128))) {
        goto bad_stack;
    }
    if (WORD == 8 || !kernel) {
        PUSH(WORD == 8 && kernel ? KERNEL_FRAME_SS : (u16)regs->ss);
        PUSH(regs->sp);
    }
    PUSH(frame_flags(regs->flags, mask));
    PUSH((WORD == 8 && kernel ? KERNEL_FRAME_CS : (u16)regs->cs) |
         (ulong)mask << (4 * WORD));
    PUSH(regs->ip);
    if (frame == FRAME_FAILSAFE) {
        PUSH(SELECTOR("gs"));
        PUSH(SELECTOR("fs"));
        PUSH(guest_es(regs));
        PUSH(guest_ds(regs));
    } else if (frame == FRAME_ERROR) {
        PUSH(error);
    }
#ifdef __x86_64__
    PUSH(regs->r11);
    PUSH(regs->cx);
    regs->cs = RING1_CS;
    regs->ss = RING1_SS;
    v->mode = V_MODE_KERNEL;
    regs->flags &= ~(ulong)(EFL_AC | EFL_VM);
#else
    regs->cs = cs;
    regs->ss = kernel ? regs->ss : v->kernel_ss;
    if (frame == FRAME_FAILSAFE) {
        regs->ds = regs->es = 0;
    }
#endif
    regs->flags &= ~(ulong)(EFL_RF | EFL_NT | EFL_TF);
#undef PUSH
    if (masks) {
        *upcall_mask = 1;
    }
    regs->ip = ip;
    regs->sp = sp;
    return;
bad_stack:
    domain_crash(regs, "the guest kernel's stack cannot take a frame");
}

void bounce_trap(struct vcpu *v, struct regs *regs, u8 vector)
{
    struct trap_info *ti = &v->traps[vector];

    bounce(v, regs, ti->address, ti->cs, TI_GET_IF(ti), FRAME_PLAIN, 0);
}

void bounce_trap_error(struct vcpu *v, struct regs *regs, u8 vector, u32 error)
{
    struct trap_info *ti = &v->traps[vector];

    bounce(v, regs, ti->address, ti->cs, TI_GET_IF(ti), FRAME_ERROR, error);
}

void bounce_callback(struct vcpu *v, struct regs *regs,
                     const struct callback *cb)
{
    bounce(v, regs, cb->ip, cb->cs, cb->masks, FRAME_PLAIN, 0);
}

/* Called when an event is pending and not masked: make the upcall */
void deliver_events(struct regs *regs)
{
    struct vcpu *v = current_vcpu();

    if (likely(v->event.ip)) {
        bounce(v, regs, v->event.ip, v->event.cs, true, FRAME_PLAIN, 0);
    }
}

/* The CPU could not load the state that the guest is to continue with */
void do_bad_iret(struct regs *regs)
{
    struct vcpu *v = current_vcpu();

    if (!v->failsafe.ip) {
        domain_crash(regs, "bad guest state and no failsafe callback");
    }
    bounce(v, regs, v->failsafe.ip, v->failsafe.cs, v->failsafe.masks,
           FRAME_FAILSAFE, 0);
}

/* Bits of DR6 stay set until the guest clears them */
void debug_exception(struct vcpu *v, struct regs *regs, u32 dr6)
{
    v->debugreg[6] |= dr6;
    bounce_trap(v, regs, X86_DB);
}
