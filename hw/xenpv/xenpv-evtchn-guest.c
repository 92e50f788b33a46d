/*
 * Event channels: what the guest calls
 *
 * These are the EVTCHNOP_* of Xen's public/event_channel.h, except for what the
 * monitor does itself. Each gets its own copy of the guest's structure, and
 * returns 0 or one of Xen's errnos, negative. All op_ functions are called with
 * the BQL held, and with the lock held but for op_reset(), op_send() and
 * op_unmask().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "xenpv-evtchn.h"
#include "hw/xen/interface/event_channel.h"
#include "trace.h"

static bool is_guest(XenPVEvtchnState *s, uint16_t dom)
{
    return dom == DOMID_SELF || dom == s->domid;
}

/* Returns 0 if @dom is the guest, which may only ask about itself */
static int check_domain(XenPVEvtchnState *s, uint16_t dom)
{
    if (is_guest(s, dom)) {
        return 0;
    }
    return dom == XENPV_BACKEND_DOMID ? -XEN_EPERM : -XEN_ESRCH;
}

static int op_alloc_unbound(XenPVEvtchnState *s,
                            struct evtchn_alloc_unbound *op)
{
    uint16_t remote = le16_to_cpu(op->remote_dom);
    int ret = check_domain(s, le16_to_cpu(op->dom));

    if (ret) {
        return ret;
    }
    if (remote == DOMID_SELF) {
        remote = s->domid;
    }
    ret = xenpv_evtchn_alloc_port(s, XENPV_EVTCHN_UNBOUND, 0, remote, NULL);
    if (ret < 0) {
        return ret;
    }
    op->port = cpu_to_le32(ret);
    return 0;
}

static int bind_loopback(XenPVEvtchnState *s, uint32_t remote)
{
    int port = xenpv_evtchn_find_free_port(s);

    if (port < 0) {
        return port;
    }
    if (!xenpv_evtchn_port_valid(s, remote) ||
        s->ports[remote].state != XENPV_EVTCHN_UNBOUND ||
        s->ports[remote].arg != s->domid) {
        return -XEN_EINVAL;
    }
    xenpv_evtchn_set_port(s, port, XENPV_EVTCHN_LOOPBACK, 0, remote, NULL);
    xenpv_evtchn_set_port(s, remote, XENPV_EVTCHN_LOOPBACK,
                          s->ports[remote].vcpu, port, NULL);
    return port;
}

/* Bind to a port of a back end whose other end the guest has closed */
static int bind_backend(XenPVEvtchnState *s, uint32_t remote)
{
    xenevtchn_handle *xc;
    int port;

    port = xenpv_evtchn_find_free_port(s);
    if (port < 0) {
        return port;
    }
    xc = remote < NR_BACKEND_PORTS ? s->be_ports[remote] : NULL;
    if (!xc || xc->guest_port) {
        return -XEN_EINVAL;
    }
    xenpv_evtchn_set_port(s, port, XENPV_EVTCHN_INTERDOMAIN, 0, 0, xc);
    xc->guest_port = port;
    return port;
}

static int op_bind_interdomain(XenPVEvtchnState *s,
                               struct evtchn_bind_interdomain *op)
{
    uint16_t dom = le16_to_cpu(op->remote_dom);
    uint32_t remote = le32_to_cpu(op->remote_port);
    int port;

    if (is_guest(s, dom)) {
        port = bind_loopback(s, remote);
    } else if (dom == XENPV_BACKEND_DOMID) {
        port = bind_backend(s, remote);
    } else {
        return -XEN_ESRCH;
    }
    if (port < 0) {
        return port;
    }
    op->local_port = cpu_to_le32(port);
    return 0;
}

static int op_bind_virq(XenPVEvtchnState *s, struct evtchn_bind_virq *op)
{
    uint32_t virq = le32_to_cpu(op->virq);
    uint32_t vcpu = le32_to_cpu(op->vcpu);
    int port;

    if (virq >= NR_VIRQS || (xenpv_evtchn_virq_is_global(virq) && vcpu)) {
        return -XEN_EINVAL;
    }
    if (vcpu >= s->nr_vcpus) {
        return -XEN_ENOENT;
    }
    if (s->virqs[vcpu][virq]) {
        return -XEN_EEXIST;
    }
    port = xenpv_evtchn_alloc_port(s, XENPV_EVTCHN_VIRQ, vcpu, virq, NULL);
    if (port < 0) {
        return port;
    }
    xenpv_evtchn_set_virq(s, vcpu, virq, port);
    op->port = cpu_to_le32(port);
    return 0;
}

static int op_bind_ipi(XenPVEvtchnState *s, struct evtchn_bind_ipi *op)
{
    uint32_t vcpu = le32_to_cpu(op->vcpu);
    int port;

    if (vcpu >= s->nr_vcpus) {
        return -XEN_ENOENT;
    }
    port = xenpv_evtchn_alloc_port(s, XENPV_EVTCHN_IPI, vcpu, 0, NULL);
    if (port < 0) {
        return port;
    }
    op->port = cpu_to_le32(port);
    return 0;
}

/* A domU has no physical interrupt unless a device is passed through to it */
static int op_bind_pirq(XenPVEvtchnState *s, struct evtchn_bind_pirq *op)
{
    return le32_to_cpu(op->pirq) < XENPV_NR_PIRQS ? -XEN_EPERM : -XEN_EINVAL;
}

static int op_bind_vcpu(XenPVEvtchnState *s, struct evtchn_bind_vcpu *op)
{
    uint32_t port = le32_to_cpu(op->port);
    uint32_t vcpu = le32_to_cpu(op->vcpu);
    XenPVPort *p;

    if (vcpu >= s->nr_vcpus) {
        return -XEN_ENOENT;
    }
    if (!xenpv_evtchn_port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    p = &s->ports[port];
    switch (p->state) {
    case XENPV_EVTCHN_VIRQ:
        if (!xenpv_evtchn_virq_is_global(p->arg)) {
            return -XEN_EINVAL;
        }
        break;
    case XENPV_EVTCHN_UNBOUND:
    case XENPV_EVTCHN_INTERDOMAIN:
    case XENPV_EVTCHN_LOOPBACK:
        break;
    default:
        return -XEN_EINVAL;
    }
    p->vcpu = vcpu;
    xenpv_evtchn_publish(s, port);
    return 0;
}

static int op_status(XenPVEvtchnState *s, struct evtchn_status *op)
{
    uint32_t port = le32_to_cpu(op->port);
    XenPVPort *p;
    int ret = check_domain(s, le16_to_cpu(op->dom));

    if (ret == -XEN_ESRCH) {
        return ret;
    }
    if (!xenpv_evtchn_port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    if (ret) {
        return ret;
    }
    p = &s->ports[port];
    switch (p->state) {
    case XENPV_EVTCHN_UNBOUND:
        op->status = cpu_to_le32(EVTCHNSTAT_unbound);
        op->u.unbound.dom = cpu_to_le16(p->arg);
        break;
    case XENPV_EVTCHN_INTERDOMAIN:
        op->status = cpu_to_le32(EVTCHNSTAT_interdomain);
        op->u.interdomain.dom = cpu_to_le16(XENPV_BACKEND_DOMID);
        op->u.interdomain.port = cpu_to_le32(p->be->port);
        break;
    case XENPV_EVTCHN_LOOPBACK:
        op->status = cpu_to_le32(EVTCHNSTAT_interdomain);
        op->u.interdomain.dom = cpu_to_le16(s->domid);
        op->u.interdomain.port = cpu_to_le32(p->arg);
        break;
    case XENPV_EVTCHN_VIRQ:
        op->status = cpu_to_le32(EVTCHNSTAT_virq);
        op->u.virq = cpu_to_le32(p->arg);
        break;
    case XENPV_EVTCHN_IPI:
        op->status = cpu_to_le32(EVTCHNSTAT_ipi);
        break;
    default:
        op->status = cpu_to_le32(EVTCHNSTAT_closed);
        break;
    }
    op->vcpu = cpu_to_le32(p->vcpu);
    return 0;
}

static int op_init_control(XenPVEvtchnState *s, struct evtchn_init_control *op)
{
    struct xenpv_fifo *shared = xenpv_evtchn_shared_fifo(s);
    uint32_t vcpu = le32_to_cpu(op->vcpu), offset = le32_to_cpu(op->offset);
    uint64_t mfn = le64_to_cpu(op->control_gfn);

    if (vcpu >= s->nr_vcpus) {
        return -XEN_ENOENT;
    }
    if (offset > XEN_PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) ||
        offset % 8 || s->has_control[vcpu] || !xenpv_frame_to_host(mfn)) {
        return -XEN_EINVAL;
    }
    s->has_control[vcpu] = true;
    shared->control[vcpu] = cpu_to_le64(mfn << XEN_PAGE_SHIFT | offset |
                                        XENPV_FIFO_CONTROL);
    s->fifo = true;
    s->max_ports = XENPV_NR_PORTS;
    /* The monitor reads the control blocks' addresses only after .active */
    smp_wmb();
    qatomic_set(&shared->active, cpu_to_le32(1));
    xenpv_memory_written(shared, sizeof(*shared));
    op->link_bits = EVTCHN_FIFO_LINK_BITS;
    trace_xenpv_evtchn_init_control(vcpu, mfn, offset);
    return 0;
}

static int op_expand_array(XenPVEvtchnState *s, struct evtchn_expand_array *op)
{
    struct xenpv_fifo *shared = xenpv_evtchn_shared_fifo(s);
    uint64_t mfn = le64_to_cpu(op->array_gfn);
    uint32_t *words, nr = s->fifo_ports / XENPV_FIFO_WORDS;

    if (!s->fifo) {
        return -XEN_EOPNOTSUPP;
    }
    if (nr == XENPV_FIFO_FRAMES) {
        return -XEN_ENOSPC;
    }
    words = xenpv_frame_to_host(mfn);
    if (!words) {
        return -XEN_EINVAL;
    }
    s->array[nr] = words;
    s->array_mfns[nr] = mfn;
    s->fifo_ports += XENPV_FIFO_WORDS;
    shared->array[nr] = cpu_to_le32(mfn);
    /* The monitor reads .array only up to .nr_ports */
    smp_wmb();
    qatomic_set(&shared->nr_ports, cpu_to_le32(s->fifo_ports));
    xenpv_memory_written(shared, sizeof(*shared));
    trace_xenpv_evtchn_expand_array(mfn, s->fifo_ports);
    return 0;
}

/* The monitor does this itself; this one is for tests */
static int op_set_priority(XenPVEvtchnState *s, struct evtchn_set_priority *op)
{
    struct xenpv_evtchn *shared = xenpv_core_ptr(s->core, XENPV_CORE_EVTCHN);
    uint32_t port = le32_to_cpu(op->port);
    uint32_t priority = le32_to_cpu(op->priority);

    if (!xenpv_evtchn_port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    if (!s->fifo) {
        return -XEN_ENOSYS;
    }
    if (!XENPV_EVTCHN_USABLE(s->ports[port].state)) {
        return -XEN_EACCES;
    }
    if (priority > EVTCHN_FIFO_PRIORITY_MIN) {
        return -XEN_EINVAL;
    }
    shared[port].priority = priority;
    xenpv_memory_written(&shared[port], sizeof(shared[port]));
    return 0;
}

static int op_reset(XenPVEvtchnState *s, struct evtchn_reset *op)
{
    int ret = check_domain(s, le16_to_cpu(op->dom));

    if (!ret) {
        xenpv_evtchn_close_all(s);
    }
    return ret;
}

/* For tests, as op_set_priority() */
static int op_send(XenPVEvtchnState *s, uint32_t port)
{
    if (!xenpv_evtchn_port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    switch (s->ports[port].state) {
    case XENPV_EVTCHN_INTERDOMAIN:
        event_notifier_set(&s->ports[port].be->notifier);
        return 0;
    case XENPV_EVTCHN_LOOPBACK:
        xenpv_evtchn_raise(s, s->ports[port].arg);
        return 0;
    case XENPV_EVTCHN_IPI:
        xenpv_evtchn_raise(s, port);
        return 0;
    case XENPV_EVTCHN_UNBOUND:
        return 0;
    }
    return -XEN_EINVAL;
}

/* For tests, as op_set_priority() */
static int op_unmask(XenPVEvtchnState *s, uint32_t port)
{
    uint8_t *pending, *mask, bit = BIT(port % 8);
    uint32_t *word;

    if (!xenpv_evtchn_port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    if (!XENPV_EVTCHN_USABLE(s->ports[port].state)) {
        return 0;
    }
    word = xenpv_evtchn_event_word(s, port);
    if (word) {
        if (qatomic_fetch_and(word, ~cpu_to_le32(BIT(EVTCHN_FIFO_MASKED))) &
            cpu_to_le32(BIT(EVTCHN_FIFO_PENDING))) {
            xenpv_evtchn_raise(s, port);
        }
        xenpv_memory_written(word, sizeof(*word));
    } else if (!s->fifo && xenpv_evtchn_find_2l_bits(s, port, &pending,
                                                     &mask) &&
               (qatomic_fetch_and(mask, (uint8_t)~bit) & bit) &&
               (qatomic_fetch_and(pending, (uint8_t)~bit) & bit)) {
        xenpv_evtchn_raise(s, port);
    }
    return 0;
}

/* The public structure of each operation */
typedef union EvtchnOp {
    struct evtchn_alloc_unbound alloc_unbound;
    struct evtchn_bind_interdomain bind_interdomain;
    struct evtchn_bind_virq bind_virq;
    struct evtchn_bind_pirq bind_pirq;
    struct evtchn_bind_ipi bind_ipi;
    struct evtchn_bind_vcpu bind_vcpu;
    struct evtchn_close close;
    struct evtchn_status status;
    struct evtchn_send send;
    struct evtchn_unmask unmask;
    struct evtchn_reset reset;
    struct evtchn_init_control init_control;
    struct evtchn_expand_array expand_array;
    struct evtchn_set_priority set_priority;
} EvtchnOp;

int64_t xenpv_evtchn_call(void *opaque, unsigned vcpu, uint32_t cmd, void *data,
                          uint32_t *size)
{
    XenPVEvtchnState *s = opaque;
    EvtchnOp *op = data;
    int ret = -XEN_ENOSYS;

    QEMU_BUILD_BUG_ON(sizeof(EvtchnOp) > XENPV_CALL_DATA_SIZE);
    /* These take the lock themselves, or do not need it */
    switch (cmd) {
    case EVTCHNOP_close:
        ret = xenpv_evtchn_close(s, le32_to_cpu(op->close.port));
        goto out;
    case EVTCHNOP_reset:
        ret = op_reset(s, &op->reset);
        goto out;
    case EVTCHNOP_send:
        ret = op_send(s, le32_to_cpu(op->send.port));
        goto out;
    case EVTCHNOP_unmask:
        ret = op_unmask(s, le32_to_cpu(op->unmask.port));
        goto out;
    }

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        switch (cmd) {
        case EVTCHNOP_alloc_unbound:
            ret = op_alloc_unbound(s, &op->alloc_unbound);
            break;
        case EVTCHNOP_bind_interdomain:
            ret = op_bind_interdomain(s, &op->bind_interdomain);
            break;
        case EVTCHNOP_bind_virq:
            ret = op_bind_virq(s, &op->bind_virq);
            break;
        case EVTCHNOP_bind_pirq:
            ret = op_bind_pirq(s, &op->bind_pirq);
            break;
        case EVTCHNOP_bind_ipi:
            ret = op_bind_ipi(s, &op->bind_ipi);
            break;
        case EVTCHNOP_bind_vcpu:
            ret = op_bind_vcpu(s, &op->bind_vcpu);
            break;
        case EVTCHNOP_status:
            ret = op_status(s, &op->status);
            break;
        case EVTCHNOP_init_control:
            ret = op_init_control(s, &op->init_control);
            break;
        case EVTCHNOP_expand_array:
            ret = op_expand_array(s, &op->expand_array);
            break;
        case EVTCHNOP_set_priority:
            ret = op_set_priority(s, &op->set_priority);
            break;
        }
    }
    if (cmd == EVTCHNOP_bind_interdomain && !ret) {
        uint32_t port = le32_to_cpu(op->bind_interdomain.local_port);

        if (s->ports[port].be) {
            xenpv_evtchn_set_eventfd(s, s->ports[port].be, true);
        }
        /* As in Xen: events from before may be lost, so send one */
        xenpv_evtchn_raise(s, port);
    }
out:
    trace_xenpv_evtchn_op(cmd, ret);
    return ret;
}
