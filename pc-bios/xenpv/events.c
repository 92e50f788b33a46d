/*
 * Event channels, as far as they never leave the VM: making a port pending,
 * sending to oneself, unmasking, and taking what the machine has sent. What
 * allocates, binds or closes ports is the machine's: a call.
 *
 * Also here: grant table operations, all of which are the machine's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "hw/xen/interface/grant_table.h"

#define BITS_PER_LONG   (8 * sizeof(ulong))
#define NR_2L_PORTS     (BITS_PER_LONG * BITS_PER_LONG)

static inline bool test_and_set_bit(unsigned nr, volatile ulong *addr)
{
    ulong bit = 1UL << (nr % BITS_PER_LONG);

    return __atomic_fetch_or(&addr[nr / BITS_PER_LONG], bit, __ATOMIC_SEQ_CST) &
           bit;
}

static inline bool test_and_clear_bit(unsigned nr, volatile ulong *addr)
{
    ulong bit = 1UL << (nr % BITS_PER_LONG);

    return __atomic_fetch_and(&addr[nr / BITS_PER_LONG], ~bit,
                              __ATOMIC_SEQ_CST) & bit;
}

static inline bool test_bit(unsigned nr, volatile ulong *addr)
{
    return addr[nr / BITS_PER_LONG] >> (nr % BITS_PER_LONG) & 1;
}

void mark_upcall_pending(struct vcpu *v)
{
    u8 *pending = &v->vcpu_info->evtchn_upcall_pending;

    if (likely(v == current_vcpu())) {
        *pending = 1;
    } else if (!__atomic_exchange_n(pending, 1, __ATOMIC_SEQ_CST)) {
        kick_vcpu(v);
    }
}

/* Of all that wait for ports, whichever these are: they look for themselves */
static noinline void wake_pollers(void)
{
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        if (vcpus[i]->polling && vcpus[i] != current_vcpu()) {
            kick_vcpu(vcpus[i]);
        }
    }
}

static inline struct vcpu *vcpu_of_port(u32 port)
{
    u32 id = evtchns[port].vcpu;

    return id < boot_info->nr_vcpus ? vcpus[id] : vcpus[0];
}

/* The 2-level ABI: the port's bit, then the word's, then the upcall */
static inline void set_pending(struct vcpu *v, u32 port)
{
    if (test_and_set_bit(port, shared->evtchn_pending)) {
        return;
    }
    if (!test_bit(port, shared->evtchn_mask) &&
        !test_and_set_bit(port / BITS_PER_LONG,
                          &v->vcpu_info->evtchn_pending_sel)) {
        mark_upcall_pending(v);
    }
    if (unlikely(nr_polling)) {
        wake_pollers();
    }
}

void set_port_pending(struct vcpu *v, u32 port)
{
    set_pending(v, port);
}

void raise_virq(struct vcpu *v, u32 virq)
{
    u32 port = v->virq_port[virq];

    if (port) {
        set_pending(vcpu_of_port(port), port);
    }
}

/*
 * The machine's vector has come: see struct xenpv_incoming. The machine sends
 * none while it sees any bit of .summary set, so all of it must be seen to be
 * clear before this ends. 64-bit words are taken by halves, which every CPU of
 * ours can exchange.
 */
void take_incoming(struct vcpu *v)
{
    struct xenpv_incoming *in =
        (struct xenpv_incoming *)(CORE_VIRT + XENPV_CORE_INCOMING) + v->id;
    u32 *summary = (u32 *)&in->summary;
    u32 words, bits;

    do {
        for (unsigned h = 0; h < 2; h++) {
            words = __atomic_exchange_n(&summary[h], 0, __ATOMIC_SEQ_CST);
            for (; words; words &= words - 1) {
                unsigned word = h * 32 + __builtin_ctz(words);

                for (unsigned wh = 0; wh < 2; wh++) {
                    bits = __atomic_exchange_n((u32 *)&in->words[word] + wh, 0,
                                               __ATOMIC_SEQ_CST);
                    for (; bits; bits &= bits - 1) {
                        u32 port = word * 64 + wh * 32 + __builtin_ctz(bits);

                        if (port < NR_2L_PORTS) {
                            set_pending(v, port);
                        }
                    }
                }
            }
        }
    } while (__atomic_load_n(&summary[0], __ATOMIC_SEQ_CST) |
             __atomic_load_n(&summary[1], __ATOMIC_SEQ_CST));
}

static long send(u32 port)
{
    if (unlikely(port >= NR_2L_PORTS)) {
        return -EINVAL;
    }
    switch (evtchns[port].state) {
    case XENPV_EVTCHN_INTERDOMAIN:
        outl(XENPV_IO_BASE + XENPV_IO_SEND, port);
        return 0;
    case XENPV_EVTCHN_IPI:
        set_pending(vcpu_of_port(port), port);
        return 0;
    case XENPV_EVTCHN_LOOPBACK:
        port = evtchns[port].arg % XENPV_NR_PORTS;
        set_pending(vcpu_of_port(port), port);
        return 0;
    case XENPV_EVTCHN_UNBOUND:
        return 0;       /* dropped: there is nobody to hear it */
    }
    return -EINVAL;
}

static long unmask(u32 port)
{
    struct vcpu *v;

    if (port >= NR_2L_PORTS || evtchns[port].state == XENPV_EVTCHN_FREE) {
        return -EINVAL;
    }
    v = vcpu_of_port(port);
    if (test_and_clear_bit(port, shared->evtchn_mask) &&
        test_bit(port, shared->evtchn_pending) &&
        !test_and_set_bit(port / BITS_PER_LONG,
                          &v->vcpu_info->evtchn_pending_sel)) {
        mark_upcall_pending(v);
    }
    return 0;
}

static void forget_port(u32 port)
{
    if (port >= NR_2L_PORTS) {
        return;
    }
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        for (u32 virq = 0; virq < NR_VIRQS; virq++) {
            if (vcpus[i]->virq_port[virq] == port) {
                vcpus[i]->virq_port[virq] = 0;
            }
        }
    }
    test_and_clear_bit(port, shared->evtchn_pending);
}

static noinline long event_channel_op(ulong a1, ulong a2)
{
    static const u8 size[] = {
        [EVTCHNOP_bind_interdomain] = sizeof(struct evtchn_bind_interdomain),
        [EVTCHNOP_bind_virq] = sizeof(struct evtchn_bind_virq),
        [EVTCHNOP_bind_pirq] = sizeof(struct evtchn_bind_pirq),
        [EVTCHNOP_close] = sizeof(struct evtchn_close),
        [EVTCHNOP_status] = sizeof(struct evtchn_status),
        [EVTCHNOP_alloc_unbound] = sizeof(struct evtchn_alloc_unbound),
        [EVTCHNOP_bind_ipi] = sizeof(struct evtchn_bind_ipi),
        [EVTCHNOP_bind_vcpu] = sizeof(struct evtchn_bind_vcpu),
        [EVTCHNOP_reset] = sizeof(struct evtchn_reset),
        [EVTCHNOP_init_control] = sizeof(struct evtchn_init_control),
        [EVTCHNOP_expand_array] = sizeof(struct evtchn_expand_array),
        [EVTCHNOP_set_priority] = sizeof(struct evtchn_set_priority),
    };
    union {
        struct evtchn_bind_virq bind_virq;
        struct evtchn_close close;
        struct evtchn_status status;
        u8 bytes[64];
    } u;
    u32 port;
    long ret;

    if (a1 >= ARRAY_SIZE(size) || !size[a1]) {
        return -ENOSYS;
    }
    if (copy_from_guest(&u, a2, size[a1])) {
        return -EFAULT;
    }
    ret = machine_call(XENPV_CALL_EVTCHN, a1, &u, size[a1]);
    if (ret) {
        return ret;
    }
    switch (a1) {
    case EVTCHNOP_bind_virq:
        if (u.bind_virq.vcpu < boot_info->nr_vcpus &&
            u.bind_virq.virq < NR_VIRQS) {
            vcpus[u.bind_virq.vcpu]->virq_port[u.bind_virq.virq] =
                u.bind_virq.port;
        }
        break;
    case EVTCHNOP_close:
        forget_port(u.close.port);
        break;
    case EVTCHNOP_reset:
        for (port = 0; port < NR_2L_PORTS; port++) {
            if (evtchns[port].state == XENPV_EVTCHN_FREE) {
                forget_port(port);
            }
        }
        break;
    }
    return copy_to_guest(a2, &u, size[a1]);
}

HYPERCALL(do_event_channel_op)
{
    u32 port;

    if (likely(a1 == EVTCHNOP_send || a1 == EVTCHNOP_unmask)) {
        if (unlikely(!access_ok(a2, sizeof(port)))) {
            return -EFAULT;
        }
        GET_GUEST32(port, a2, fault);
        return a1 == EVTCHNOP_send ? send(port) : unmask(port);
    }
    return event_channel_op(a1, a2);
fault:
    return -EFAULT;
}

/* The form before 3.2.2: one structure with the command in it */
HYPERCALL(do_event_channel_op_compat)
{
    u32 cmd;

    if (copy_from_guest(&cmd, a1, sizeof(cmd))) {
        return -EFAULT;
    }
    return cmd > EVTCHNOP_unmask ? -ENOSYS :
           do_event_channel_op(cmd, a1 + 4, 0, 0, 0, 0);
}

static long setup_frames(ulong cmd, ulong uop)
{
    /* gnttab_setup_table and gnttab_get_status_frames differ in their order */
    struct xenpv_gnttab_setup s = { .dom = DOMID_SELF };
    struct gnttab_setup_table setup;
    struct gnttab_get_status_frames status;
    ulong list;
    u32 n;
    long ret;

    if (cmd == GNTTABOP_setup_table) {
        if (copy_from_guest(&setup, uop, sizeof(setup))) {
            return -EFAULT;
        }
        s.dom = setup.dom;
        s.nr_frames = setup.nr_frames;
        list = *(ulong *)&setup.frame_list;
    } else {
        if (copy_from_guest(&status, uop, sizeof(status))) {
            return -EFAULT;
        }
        s.dom = status.dom;
        s.nr_frames = status.nr_frames;
        list = *(ulong *)&status.frame_list;
    }
    n = s.nr_frames;
    ret = machine_call(XENPV_CALL_GNTTAB, cmd, &s, sizeof(s));
    if (ret) {
        return ret;
    }
    if (s.status == GNTST_okay) {
        for (u32 i = 0; i < n && i < XENPV_CORE_GRANT_PAGES; i++) {
            /* The one list is of longs, the other of 64-bit numbers */
            u64 mfn = s.frames[i];
            u32 size = cmd == GNTTABOP_setup_table ? sizeof(ulong) : 8;

            if (copy_to_guest(list + i * size, &mfn, size)) {
                return -EFAULT;
            }
        }
    }
    if (cmd == GNTTABOP_setup_table) {
        setup.status = s.status;
        return copy_to_guest(uop, &setup, sizeof(setup));
    }
    status.status = s.status;
    return copy_to_guest(uop, &status, sizeof(status));
}

HYPERCALL(do_grant_table_op)
{
    static const u8 size[] = {
        [GNTTABOP_map_grant_ref] = sizeof(struct gnttab_map_grant_ref),
        [GNTTABOP_unmap_grant_ref] = sizeof(struct gnttab_unmap_grant_ref),
        [GNTTABOP_setup_table] = sizeof(struct gnttab_setup_table),
        [GNTTABOP_copy] = sizeof(struct gnttab_copy),
        [GNTTABOP_query_size] = sizeof(struct gnttab_query_size),
        [GNTTABOP_unmap_and_replace] = sizeof(struct gnttab_unmap_and_replace),
        [GNTTABOP_set_version] = sizeof(struct gnttab_set_version),
        [GNTTABOP_get_status_frames] = sizeof(struct gnttab_get_status_frames),
        [GNTTABOP_get_version] = sizeof(struct gnttab_get_version),
        [GNTTABOP_swap_grant_ref] = sizeof(struct gnttab_swap_grant_ref),
    };
    ulong count = (u32)a3;
    u64 element[16];
    long ret = 0;

    if (a1 >= ARRAY_SIZE(size) || !size[a1]) {
        return -ENOSYS;
    }
    if (!access_ok(a2, count * size[a1])) {
        return -EFAULT;
    }
    switch (a1) {
    case GNTTABOP_setup_table:
    case GNTTABOP_get_status_frames:
        return count != 1 ? -EINVAL : setup_frames(a1, a2);
    case GNTTABOP_query_size:
    case GNTTABOP_set_version:
    case GNTTABOP_get_version:
        if (count != 1) {
            return -EINVAL;
        }
    }
    for (ulong i = 0; i < count && !ret; i++, a2 += size[a1]) {
        if (copy_from_guest(element, a2, size[a1])) {
            return -EFAULT;
        }
        ret = machine_call(XENPV_CALL_GNTTAB, a1, element, size[a1]);
        if (copy_to_guest(a2, element, size[a1])) {
            return -EFAULT;
        }
    }
    return ret;
}
