/*
 * The hypercalls by which the guest names its handlers: of traps, events, failures
 * and system calls
 *
 * dispatch.S calls them on the vCPU that the handlers are for; traps.c and entry-*.S
 * then read them there. An address that is not the guest's is found out when a
 * handler starts: as the guest's fault, and with its rights.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "traps.h"

/* .traps was filled in from VCPUOP_initialise, where the index is the vector */
void set_own_trap_table(struct vcpu *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->traps); i++) {
        v->traps[i].cs = fix_selector(v->traps[i].cs);
        set_trap_gate(v, i);
    }
}

HYPERCALL(do_set_trap_table)
{
    struct vcpu *v = current_vcpu();
    struct trap_info ti;

    if (!a1) {
        memset(v->traps, 0, sizeof(v->traps));
        for (unsigned i = 0; i < ARRAY_SIZE(v->traps); i++) {
            set_trap_gate(v, i);
        }
        return 0;
    }
    for (ulong n = 1;; n++, a1 += sizeof(ti)) {
        if (n % ARRAY_SIZE(v->traps) == 0) {
            let_interrupts_in();
        }
        if (copy_from_guest(&ti, a1, sizeof(ti))) {
            return -EFAULT;
        }
        if (!ti.address) {
            return 0;
        }
        if (!canonical(ti.address)) {
            return -EINVAL;
        }
        ti.cs = fix_selector(ti.cs);
        v->traps[ti.vector] = ti;
        set_trap_gate(v, ti.vector);
    }
}

static void set_callback(struct callback *cb, u16 cs, ulong ip)
{
    cb->cs = fix_selector(cs);
    cb->ip = ip;
}

HYPERCALL(do_set_callbacks)
{
    struct vcpu *v = current_vcpu();

    if (WORD == 4) {
        set_callback(&v->event, a1, a2);
        set_callback(&v->failsafe, a3, a4);
        v->failsafe.masks = false;
        return 0;
    }
    /* What is refused is left as it was, without a word */
    if (canonical(a1)) {
        set_callback(&v->event, RING1_CS, a1);
    }
    if (canonical(a2)) {
        set_callback(&v->failsafe, RING1_CS, a2);
        v->failsafe.masks = false;
    }
    if (canonical(a3)) {
        v->syscall_cb = a3;
        v->syscall_masks = 0;
    }
    return 0;
}

/* public/callback.h, which QEMU has no copy of */
#define CALLBACKOP_register         0
#define CALLBACKOP_unregister       1
#define CALLBACKTYPE_event          0
#define CALLBACKTYPE_failsafe       1
#define CALLBACKTYPE_syscall        2
#define CALLBACKTYPE_nmi            4
#define CALLBACKTYPE_sysenter       5
#define CALLBACKTYPE_syscall32      7
#define CALLBACKF_mask_events       1
struct callback_register {
    u16 type, flags;
    xen_callback_t address;
};

/* As if it were in the trap table: with events masked, by the usual CS */
static void set_nmi_handler(struct vcpu *v, ulong ip)
{
    struct trap_info *ti = &v->traps[X86_NMI];

    memset(ti, 0, sizeof(*ti));
    ti->vector = X86_NMI;
    ti->cs = ip ? RING1_CS : 0;
    ti->address = ip;
    TI_SET_IF(ti, ip != 0);
}

static long register_callback(struct vcpu *v, const struct callback_register *r)
{
    bool masks = r->flags & CALLBACKF_mask_events;
    ulong ip = callback_ip(&r->address);
    u16 cs = callback_cs(&r->address);

    if (!canonical(ip)) {
        return -EINVAL;
    }
    switch (r->type) {
    case CALLBACKTYPE_event:
        set_callback(&v->event, cs, ip);
        return 0;
    case CALLBACKTYPE_failsafe:
        set_callback(&v->failsafe, cs, ip);
        v->failsafe.masks = masks;
        return 0;
    case CALLBACKTYPE_nmi:
        set_nmi_handler(v, ip);
        return 0;
    case CALLBACKTYPE_sysenter:
        set_callback(&v->sysenter, cs, ip);
        v->sysenter.cs = ip ? v->sysenter.cs : 0;
        v->sysenter.masks = masks;
        return 0;
    case CALLBACKTYPE_syscall32:
        /* Without effect on 32-bit, where SYSCALL is not enabled */
        set_callback(&v->syscall32, cs, ip);
        v->syscall32.masks = masks;
        return 0;
    case CALLBACKTYPE_syscall:
        if (WORD == 4) {
            break;
        }
        v->syscall_cb = ip;
        v->syscall_masks = masks;
        return 0;
    }
    return -ENOSYS;
}

HYPERCALL(do_callback_op)
{
    struct vcpu *v = current_vcpu();
    struct callback_register r;

    switch ((u32)a1) {
    case CALLBACKOP_register:
        if (copy_from_guest(&r, a2, sizeof(r))) {
            return -EFAULT;
        }
        return register_callback(v, &r);
    case CALLBACKOP_unregister:
        if (copy_from_guest(&r, a2, 4)) {
            return -EFAULT;
        }
        switch (r.type) {
        case CALLBACKTYPE_event:
        case CALLBACKTYPE_failsafe:
        case CALLBACKTYPE_sysenter:
        case CALLBACKTYPE_syscall32:
            return -EINVAL;
        case CALLBACKTYPE_syscall:
            return WORD == 8 ? -EINVAL : -ENOSYS;
        case CALLBACKTYPE_nmi:
            set_nmi_handler(v, 0);
            return 0;
        }
        return -ENOSYS;
    }
    return WORD == 8 ? -ENOSYS : -EINVAL;
}

#define XENNMI_register_callback    0
#define XENNMI_unregister_callback  1

HYPERCALL(do_nmi_op)
{
    struct vcpu *v = current_vcpu();
    ulong handler;

    switch ((u32)a1) {
    case XENNMI_register_callback:
        if (copy_from_guest(&handler, a2, sizeof(handler))) {
            return -EFAULT;
        }
        if (!canonical(handler)) {
            return -EINVAL;
        }
        set_nmi_handler(v, handler);
        return 0;
    case XENNMI_unregister_callback:
        set_nmi_handler(v, 0);
        return 0;
    }
    return -ENOSYS;
}
