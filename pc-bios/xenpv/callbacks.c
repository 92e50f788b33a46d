/*
 * The hypercalls by which the guest names its handlers: of traps, events, failures
 * and system calls
 *
 * dispatch.S calls them on the vCPU that the handlers are for; bounce.c and
 * entry-*.S read the addresses there. These are only checked to be canonical: a
 * handler starts with the guest's rights, so a bad one harms the guest alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "traps.h"

/* .traps has VCPUOP_initialise's trap table, where the index is the vector */
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

/* Set the trap table's entry, with events masked and the kernel's usual CS */
static void set_nmi_handler(struct vcpu *v, ulong ip)
{
    struct trap_info *ti = &v->traps[X86_NMI];

    memset(ti, 0, sizeof(*ti));
    ti->vector = X86_NMI;
    ti->cs = ip ? RING1_CS : 0;
    ti->address = ip;
    TI_SET_IF(ti, ip != 0);
}

long set_callback(struct vcpu *v, unsigned type, u16 cs, ulong ip, bool masks)
{
    const struct callback cb = { ip, fix_selector(cs), masks };

    if (!canonical(ip)) {
        return -EINVAL;
    }
    switch (type) {
    case CALLBACKTYPE_event:
        v->event = cb;
        return 0;
    case CALLBACKTYPE_failsafe:
        v->failsafe = cb;
        return 0;
    case CALLBACKTYPE_nmi:
        set_nmi_handler(v, ip);
        return 0;
    case CALLBACKTYPE_sysenter:
        v->sysenter = cb;
        v->sysenter.cs = ip ? cb.cs : 0;
        return 0;
    case CALLBACKTYPE_syscall32:
        /* Without effect on 32-bit, where SYSCALL is not enabled */
        v->syscall32 = cb;
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

HYPERCALL(do_set_callbacks)
{
    struct vcpu *v = current_vcpu();

    /* A bad address leaves the old handler, and the guest is not told */
    if (WORD == 4) {
        set_callback(v, CALLBACKTYPE_event, a1, a2, false);
        set_callback(v, CALLBACKTYPE_failsafe, a3, a4, false);
    } else {
        set_callback(v, CALLBACKTYPE_event, RING1_CS, a1, false);
        set_callback(v, CALLBACKTYPE_failsafe, RING1_CS, a2, false);
        set_callback(v, CALLBACKTYPE_syscall, RING1_CS, a3, false);
    }
    return 0;
}

/* public/callback.h */
#define CALLBACKOP_register         0
#define CALLBACKOP_unregister       1
#define CALLBACKF_mask_events       1
struct callback_register {
    u16 type, flags;
    xen_callback_t address;
};

HYPERCALL(do_callback_op)
{
    struct vcpu *v = current_vcpu();
    struct callback_register r;

    switch ((u32)a1) {
    case CALLBACKOP_register:
        if (copy_from_guest(&r, a2, sizeof(r))) {
            return -EFAULT;
        }
        return set_callback(v, r.type, callback_cs(&r.address),
                            callback_ip(&r.address),
                            r.flags & CALLBACKF_mask_events);
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
        return set_callback(v, CALLBACKTYPE_nmi, 0, handler, true);
    case XENNMI_unregister_callback:
        set_nmi_handler(v, 0);
        return 0;
    }
    return -ENOSYS;
}
