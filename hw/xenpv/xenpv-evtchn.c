/*
 * Event channels: the interrupt controller of Xen guests
 *
 * Two domains have ports: the guest, and domain 0, where QEMU's back ends are.
 * This device owns both tables. The guest's is private to it, because the
 * guest can write all memory that it sees; the copy in the monitor's core
 * region is what the monitor sends by. So it is with the frames that the guest
 * registers for the FIFO ABI.
 *
 * From the guest to a back end: a write of the port's number to XENPV_IO_SEND
 * is an ioeventfd, whose file descriptor is what the back end waits for. From
 * a back end to the guest: a bit in struct xenpv_incoming, and a vector if the
 * vCPU has not been told yet. Masks, pending bits and the choice between them
 * are the monitor's, as IPIs, VIRQs and sends to oneself are.
 *
 * Threads. The tables are changed with the BQL and .lock, so that either is
 * enough to read them; the guest's operations have the BQL, on any vCPU. Of a
 * back end's operations open, bind, unbind and close want the BQL. Its handle is
 * one thread's at a time, which may be an IOThread: that calls notify and
 * pending, and nobody unbinds or closes the handle until it has stopped to do
 * so (xenpv-block.c says how). What the guest does to its end meanwhile, closing
 * it and binding it anew included, only touches .guest_port of the handle, with
 * .lock, as notify reads it; and it never touches the handle's descriptor.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "hw/qdev-properties.h"
#include "hw/xenpv/xenpv-events.h"
#include "migration/vmstate.h"
#include "xenpv-platform.h"
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/event_channel.h"
#include "trace.h"

/*
 * Xen allocates ports in buckets, and one that no bucket has yet is not valid
 * where a closed one is
 */
#define PORTS_PER_BUCKET    64
/* More than all the guest's ports can be bound to */
#define NR_BACKEND_PORTS    8192

/* The number of ports of the 2-level ABI, by the guest's width */
#define NR_PORTS_32         1024
#define NR_PORTS_64         4096

struct xenevtchn_handle {
    EventNotifier notifier;
    uint32_t port;          /* domain 0's; 0: not bound */
    uint32_t guest_port;    /* 0: unbound, waiting for the guest */
};

typedef struct XenPVPort {
    uint8_t state;          /* XENPV_EVTCHN_* */
    uint16_t vcpu;
    /*
     * UNBOUND: the domain that may bind to it; VIRQ: which; LOOPBACK: the
     * guest's other port
     */
    uint32_t arg;
    xenevtchn_handle *be;   /* INTERDOMAIN */
} XenPVPort;

struct XenPVEvtchnState {
    SysBusDevice parent_obj;

    MemoryRegion *core;
    XenPVCallState *call;
    uint32_t nr_vcpus;
    uint16_t domid;
    bool is_64bit;

    /*
     * Changes of what follows are made with the BQL and the lock, so that it
     * can be read with either
     */
    QemuMutex lock;
    XenPVPort *ports;
    uint32_t max_ports;     /* of the guest's ABI */
    uint32_t first_free;    /* there is none below it */
    uint32_t valid_ports;   /* in buckets */
    uint32_t (*virqs)[NR_VIRQS];    /* port of each VIRQ, by vCPU */
    xenevtchn_handle **be_ports;

    /* The FIFO ABI */
    bool fifo;
    uint32_t fifo_ports;    /* as far as they have an event word */
    uint32_t *array[XENPV_FIFO_FRAMES];     /* guest RAM, of these frames: */
    uint32_t array_mfns[XENPV_FIFO_FRAMES];
    bool *has_control;      /* by vCPU */
};

/* As the back ends' operations have no argument for it */
static XenPVEvtchnState *evtchn;

/* ------------------------------------------------------------------------- */

/* Show the monitor what has become of a port */
static void publish(XenPVEvtchnState *s, uint32_t port)
{
    struct xenpv_evtchn *shared = xenpv_core_ptr(s->core, XENPV_CORE_EVTCHN);
    XenPVPort *p = &s->ports[port];

    shared += port;
    if (p->state == XENPV_EVTCHN_FREE) {
        qatomic_set(&shared->state, XENPV_EVTCHN_FREE);
    } else if (!XENPV_EVTCHN_USABLE(shared->state)) {
        shared->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    }
    shared->vcpu = cpu_to_le16(p->vcpu);
    shared->arg = cpu_to_le32(p->arg);
    /* The monitor looks at the rest by the state */
    smp_wmb();
    qatomic_set(&shared->state, p->state);
    xenpv_memory_written(shared, sizeof(*shared));
    trace_xenpv_evtchn_port(port, p->state, p->vcpu, p->arg);
}

static struct xenpv_incoming *incoming(XenPVEvtchnState *s)
{
    return xenpv_core_ptr(s->core, XENPV_CORE_INCOMING);
}

/* An event for the guest; s->lock is held. True: the vCPU wants the vector */
static bool set_incoming(XenPVEvtchnState *s, uint32_t port)
{
    struct xenpv_incoming *in = incoming(s);
    uint32_t vcpu = s->ports[port].vcpu, word = port / 64;
    bool vector;

    qatomic_or(&in->ports[word], cpu_to_le64(BIT_ULL(port % 64)));
    qatomic_or(&in->vcpu[vcpu].words[word / 64],
               cpu_to_le64(BIT_ULL(word % 64)));
    vector = qatomic_fetch_or(&in->vcpu[vcpu].summary,
                              cpu_to_le32(BIT(word / 64))) == 0;
    xenpv_memory_written(&in->ports[word], sizeof(in->ports[word]));
    xenpv_memory_written(&in->vcpu[vcpu], sizeof(in->vcpu[vcpu]));
    trace_xenpv_evtchn_raise(port, vcpu, vector);
    return vector;
}

static void raise_port(XenPVEvtchnState *s, uint32_t port)
{
    uint32_t vcpu = s->ports[port].vcpu;

    if (set_incoming(s, port)) {
        xenpv_accel_send_vector(vcpu, XENPV_UPCALL_VECTOR);
    }
}

static void set_eventfd(XenPVEvtchnState *s, xenevtchn_handle *xc, bool on)
{
    MemoryRegion *io = xenpv_call_io(s->call);

    if (on) {
        memory_region_add_eventfd(io, XENPV_IO_SEND, 4, true, xc->guest_port,
                                  &xc->notifier);
    } else {
        memory_region_del_eventfd(io, XENPV_IO_SEND, 4, true, xc->guest_port,
                                  &xc->notifier);
    }
}

/* ------------------------------------------------------------------------- */

static bool is_guest(XenPVEvtchnState *s, uint16_t dom)
{
    return dom == DOMID_SELF || dom == s->domid;
}

/* 0 if the guest may ask about this domain, which is only itself */
static int check_domain(XenPVEvtchnState *s, uint16_t dom)
{
    if (is_guest(s, dom)) {
        return 0;
    }
    return dom == XENPV_BACKEND_DOMID ? -XEN_EPERM : -XEN_ESRCH;
}

static bool port_valid(XenPVEvtchnState *s, uint32_t port)
{
    return port < s->valid_ports;
}

/* The port's event word of the FIFO ABI, or NULL */
static uint32_t *event_word(XenPVEvtchnState *s, uint32_t port)
{
    if (port >= s->fifo_ports) {
        return NULL;
    }
    return s->array[port / XENPV_FIFO_WORDS] + port % XENPV_FIFO_WORDS;
}

/* Of the 2-level ABI; false: of the guest's ABI there is no bit for it */
static bool find_2l_bits(XenPVEvtchnState *s, uint32_t port,
                         uint8_t **pending, uint8_t **mask)
{
    /* struct shared_info at the guest's width: 32 vcpu_info, then the bits */
    uint8_t *bits = (uint8_t *)xenpv_core_ptr(s->core,
                                              XENPV_CORE_SHARED_INFO) + 32 * 64;
    uint32_t nr_ports = s->is_64bit ? NR_PORTS_64 : NR_PORTS_32;

    *pending = bits + port / 8;
    *mask = *pending + nr_ports / 8;
    return port < nr_ports;
}

static void clear_pending(XenPVEvtchnState *s, uint32_t port)
{
    uint32_t *word = event_word(s, port);
    uint8_t *pending, *mask;

    if (word) {
        qatomic_and(word, ~cpu_to_le32(BIT(EVTCHN_FIFO_PENDING)));
        xenpv_memory_written(word, sizeof(*word));
    } else if (!s->fifo && find_2l_bits(s, port, &pending, &mask)) {
        qatomic_and(pending, (uint8_t)~BIT(port % 8));
        xenpv_memory_written(pending, 1);
    }
    qatomic_and(&incoming(s)->ports[port / 64],
                ~cpu_to_le64(BIT_ULL(port % 64)));
    xenpv_memory_written(&incoming(s)->ports[port / 64], 8);
}

/* Closed while it is on a list of the guest's: not to be used again */
static bool is_busy(XenPVEvtchnState *s, uint32_t port)
{
    uint32_t *word = event_word(s, port);

    return word && (le32_to_cpu(qatomic_read(word)) & BIT(EVTCHN_FIFO_LINKED));
}

/* Lowest first, as guests have come to expect */
static int find_free_port(XenPVEvtchnState *s)
{
    bool busy = false;

    for (uint32_t port = s->first_free; port < s->max_ports; port++) {
        if (s->ports[port].state == XENPV_EVTCHN_FREE) {
            if (!is_busy(s, port)) {
                return port;
            }
            busy = true;
        } else if (!busy) {
            s->first_free = port + 1;
        }
    }
    return -XEN_ENOSPC;
}

/* These are valid from now on, and free */
static void add_ports(XenPVEvtchnState *s, uint32_t end)
{
    for (; s->valid_ports < end; s->valid_ports++) {
        publish(s, s->valid_ports);
    }
}

static void set_port(XenPVEvtchnState *s, uint32_t port, uint8_t state,
                     uint16_t vcpu, uint32_t arg, xenevtchn_handle *be)
{
    XenPVPort *p = &s->ports[port];

    p->state = state;
    p->vcpu = vcpu;
    p->arg = arg;
    p->be = be;
    if (state == XENPV_EVTCHN_FREE) {
        s->first_free = MIN(s->first_free, port);
    } else if (port >= s->valid_ports) {
        add_ports(s, ROUND_UP(port + 1, PORTS_PER_BUCKET));
    }
    publish(s, port);
}

/* The port is to be set up; s->lock is held */
static int alloc_port(XenPVEvtchnState *s, uint8_t state, uint16_t vcpu,
                      uint32_t arg, xenevtchn_handle *be)
{
    int port = find_free_port(s);

    if (port > 0) {
        set_port(s, port, state, vcpu, arg, be);
    }
    return port;
}

static bool virq_is_global(uint32_t virq)
{
    switch (virq) {
    case VIRQ_TIMER:
    case VIRQ_DEBUG:
    case VIRQ_XENOPROF:
    case VIRQ_XENPMU:
        return false;
    }
    return true;
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
    ret = alloc_port(s, XENPV_EVTCHN_UNBOUND, 0, remote, NULL);
    if (ret < 0) {
        return ret;
    }
    op->port = cpu_to_le32(ret);
    return 0;
}

static int bind_loopback(XenPVEvtchnState *s, uint32_t remote)
{
    int port = find_free_port(s);

    if (port < 0) {
        return port;
    }
    if (!port_valid(s, remote) ||
        s->ports[remote].state != XENPV_EVTCHN_UNBOUND ||
        s->ports[remote].arg != s->domid) {
        return -XEN_EINVAL;
    }
    set_port(s, port, XENPV_EVTCHN_LOOPBACK, 0, remote, NULL);
    set_port(s, remote, XENPV_EVTCHN_LOOPBACK, s->ports[remote].vcpu, port,
             NULL);
    return port;
}

/* To a port that a back end has, and that the guest's end has been closed of */
static int bind_backend(XenPVEvtchnState *s, uint32_t remote)
{
    xenevtchn_handle *xc;
    int port;

    port = find_free_port(s);
    if (port < 0) {
        return port;
    }
    xc = remote < NR_BACKEND_PORTS ? s->be_ports[remote] : NULL;
    if (!xc || xc->guest_port) {
        return -XEN_EINVAL;
    }
    set_port(s, port, XENPV_EVTCHN_INTERDOMAIN, 0, 0, xc);
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

static void set_virq(XenPVEvtchnState *s, uint32_t vcpu, uint32_t virq,
                     uint32_t port)
{
    struct xenpv_virqs *shared = xenpv_core_ptr(s->core, XENPV_CORE_VIRQS);

    QEMU_BUILD_BUG_ON(XENPV_NR_VIRQS != NR_VIRQS);
    s->virqs[vcpu][virq] = port;
    qatomic_set(&shared->port[vcpu][virq], cpu_to_le32(port));
}

static int op_bind_virq(XenPVEvtchnState *s, struct evtchn_bind_virq *op)
{
    uint32_t virq = le32_to_cpu(op->virq);
    uint32_t vcpu = le32_to_cpu(op->vcpu);
    int port;

    if (virq >= NR_VIRQS || (virq_is_global(virq) && vcpu)) {
        return -XEN_EINVAL;
    }
    if (vcpu >= s->nr_vcpus) {
        return -XEN_ENOENT;
    }
    if (s->virqs[vcpu][virq]) {
        return -XEN_EEXIST;
    }
    port = alloc_port(s, XENPV_EVTCHN_VIRQ, vcpu, virq, NULL);
    if (port < 0) {
        return port;
    }
    set_virq(s, vcpu, virq, port);
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
    port = alloc_port(s, XENPV_EVTCHN_IPI, vcpu, 0, NULL);
    if (port < 0) {
        return port;
    }
    op->port = cpu_to_le32(port);
    return 0;
}

/* No domU without devices passed through has a physical interrupt */
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
    if (!port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    p = &s->ports[port];
    switch (p->state) {
    case XENPV_EVTCHN_VIRQ:
        if (!virq_is_global(p->arg)) {
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
    publish(s, port);
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
    if (!port_valid(s, port)) {
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

/*
 * The guest's end of a channel is closed. What was pending is forgotten; the
 * other end, if there is one, waits for the guest to bind again.
 */
static int close_port(XenPVEvtchnState *s, uint32_t port)
{
    XenPVPort *p;

    if (!port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    p = &s->ports[port];
    switch (p->state) {
    case XENPV_EVTCHN_FREE:
    case XENPV_EVTCHN_RESERVED:
        return -XEN_EINVAL;
    case XENPV_EVTCHN_VIRQ:
        set_virq(s, virq_is_global(p->arg) ? 0 : p->vcpu, p->arg, 0);
        break;
    case XENPV_EVTCHN_LOOPBACK:
        set_port(s, p->arg, XENPV_EVTCHN_UNBOUND, s->ports[p->arg].vcpu,
                 s->domid, NULL);
        break;
    }
    set_port(s, port, XENPV_EVTCHN_FREE, 0, 0, NULL);
    /* The monitor sets the bit, and then looks whether the port is free */
    smp_mb();
    clear_pending(s, port);
    return 0;
}

/* What the guest has registered for the FIFO ABI */

static struct xenpv_fifo *shared_fifo(XenPVEvtchnState *s)
{
    return xenpv_core_ptr(s->core, XENPV_CORE_FIFO);
}

/*
 * The addresses stay: another vCPU may just be putting an event there, which
 * is lost, but must not go anywhere else
 */
static void use_2l(XenPVEvtchnState *s)
{
    struct xenpv_fifo *shared = shared_fifo(s);

    qatomic_set(&shared->active, 0);
    qatomic_set(&shared->nr_ports, 0);
    for (uint32_t vcpu = 0; vcpu < s->nr_vcpus; vcpu++) {
        qatomic_and(&shared->control[vcpu], ~cpu_to_le64(XENPV_FIFO_CONTROL));
    }
    xenpv_memory_written(shared, sizeof(*shared));
    s->fifo = false;
    s->fifo_ports = 0;
    memset(s->has_control, 0, s->nr_vcpus * sizeof(*s->has_control));
    s->max_ports = s->is_64bit ? NR_PORTS_64 : NR_PORTS_32;
}

static int op_init_control(XenPVEvtchnState *s, struct evtchn_init_control *op)
{
    struct xenpv_fifo *shared = shared_fifo(s);
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
    /* The monitor looks for the control block when the ABI is in use */
    smp_wmb();
    qatomic_set(&shared->active, cpu_to_le32(1));
    xenpv_memory_written(shared, sizeof(*shared));
    op->link_bits = EVTCHN_FIFO_LINK_BITS;
    trace_xenpv_evtchn_init_control(vcpu, mfn, offset);
    return 0;
}

static int op_expand_array(XenPVEvtchnState *s, struct evtchn_expand_array *op)
{
    struct xenpv_fifo *shared = shared_fifo(s);
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
    /* The monitor looks for the frame when the port is below .nr_ports */
    smp_wmb();
    qatomic_set(&shared->nr_ports, cpu_to_le32(s->fifo_ports));
    xenpv_memory_written(shared, sizeof(*shared));
    trace_xenpv_evtchn_expand_array(mfn, s->fifo_ports);
    return 0;
}

/* The monitor does this itself; here it is complete, for tests */
static int op_set_priority(XenPVEvtchnState *s, struct evtchn_set_priority *op)
{
    struct xenpv_evtchn *shared = xenpv_core_ptr(s->core, XENPV_CORE_EVTCHN);
    uint32_t port = le32_to_cpu(op->port);
    uint32_t priority = le32_to_cpu(op->priority);

    if (!port_valid(s, port)) {
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

/* How the public structures are called by the compiler, for each operation */
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

/* Close, with the back end's side of it: eventfds need s->lock released */
static int guest_close(XenPVEvtchnState *s, uint32_t port)
{
    xenevtchn_handle *xc = port_valid(s, port) ? s->ports[port].be : NULL;

    if (xc) {
        set_eventfd(s, xc, false);
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (xc) {
        xc->guest_port = 0;
    }
    return close_port(s, port);
}

/* All of the guest's ends. The back ends keep theirs until they unbind them */
static void close_all_ports(XenPVEvtchnState *s)
{
    /* The few that have an eventfd, and then the many, without a lock for each */
    for (uint32_t port = 1; port < s->valid_ports; port++) {
        if (s->ports[port].be) {
            guest_close(s, port);
        }
    }
    QEMU_LOCK_GUARD(&s->lock);
    for (uint32_t port = 1; port < s->valid_ports; port++) {
        if (s->ports[port].state != XENPV_EVTCHN_FREE) {
            close_port(s, port);
        }
    }
    use_2l(s);
}

static int op_reset(XenPVEvtchnState *s, struct evtchn_reset *op)
{
    int ret = check_domain(s, le16_to_cpu(op->dom));

    if (!ret) {
        close_all_ports(s);
    }
    return ret;
}

/* As set_priority */
static int op_send(XenPVEvtchnState *s, uint32_t port)
{
    if (!port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    switch (s->ports[port].state) {
    case XENPV_EVTCHN_INTERDOMAIN:
        event_notifier_set(&s->ports[port].be->notifier);
        return 0;
    case XENPV_EVTCHN_LOOPBACK:
        raise_port(s, s->ports[port].arg);
        return 0;
    case XENPV_EVTCHN_IPI:
        raise_port(s, port);
        return 0;
    case XENPV_EVTCHN_UNBOUND:
        return 0;
    }
    return -XEN_EINVAL;
}

/* Likewise */
static int op_unmask(XenPVEvtchnState *s, uint32_t port)
{
    uint8_t *pending, *mask, bit = BIT(port % 8);
    uint32_t *word;

    if (!port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    if (!XENPV_EVTCHN_USABLE(s->ports[port].state)) {
        return 0;
    }
    word = event_word(s, port);
    if (word) {
        if (qatomic_fetch_and(word, ~cpu_to_le32(BIT(EVTCHN_FIFO_MASKED))) &
            cpu_to_le32(BIT(EVTCHN_FIFO_PENDING))) {
            raise_port(s, port);
        }
        xenpv_memory_written(word, sizeof(*word));
    } else if (!s->fifo && find_2l_bits(s, port, &pending, &mask) &&
               (qatomic_fetch_and(mask, (uint8_t)~bit) & bit) &&
               (qatomic_fetch_and(pending, (uint8_t)~bit) & bit)) {
        raise_port(s, port);
    }
    return 0;
}

static int64_t evtchn_call(void *opaque, unsigned vcpu, uint32_t cmd,
                           void *data, uint32_t *size)
{
    XenPVEvtchnState *s = opaque;
    EvtchnOp *op = data;
    int ret = -XEN_ENOSYS;

    /* The operations that change the table hold its lock */
    switch (cmd) {
    case EVTCHNOP_close:
        ret = guest_close(s, le32_to_cpu(op->close.port));
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
            set_eventfd(s, s->ports[port].be, true);
        }
        /* Xen: what was sent before may be lost, so there is always one */
        raise_port(s, port);
    }
out:
    trace_xenpv_evtchn_op(cmd, ret);
    return ret;
}

uint32_t xenpv_evtchn_alloc_unbound(XenPVEvtchnState *s)
{
    int port;

    QEMU_LOCK_GUARD(&s->lock);
    port = alloc_port(s, XENPV_EVTCHN_UNBOUND, 0, XENPV_BACKEND_DOMID, NULL);
    return MAX(port, 0);
}

void xenpv_evtchn_reset(XenPVEvtchnState *s)
{
    trace_xenpv_evtchn_reset();
    close_all_ports(s);
    QEMU_LOCK_GUARD(&s->lock);
    memset(shared_fifo(s), 0, sizeof(*shared_fifo(s)));
    memset(incoming(s), 0, sizeof(*incoming(s)));
    memset(xenpv_core_ptr(s->core, XENPV_CORE_VIRQS), 0,
           sizeof(struct xenpv_virqs));
    memset(xenpv_core_ptr(s->core, XENPV_CORE_EVTCHN), 0,
           XENPV_NR_PORTS * sizeof(struct xenpv_evtchn));
    s->valid_ports = 0;
    s->first_free = 1;
    add_ports(s, PORTS_PER_BUCKET);
    set_port(s, 0, XENPV_EVTCHN_RESERVED, 0, 0, NULL);
}

/* ------------------------------------------------------------------------- */
/* For the back ends. A handle has one port at most, as they all need.        */

static xenevtchn_handle *be_open(void)
{
    xenevtchn_handle *xc = g_new0(xenevtchn_handle, 1);

    if (event_notifier_init(&xc->notifier, 0) < 0) {
        g_free(xc);
        return NULL;
    }
    return xc;
}

static int be_bind_interdomain(xenevtchn_handle *xc, uint32_t domid,
                               evtchn_port_t guest_port)
{
    XenPVEvtchnState *s = evtchn;
    int err = 0;

    assert(bql_locked());
    if (xc->port) {
        errno = EBUSY;
        return -1;
    }
    if (domid != s->domid) {
        errno = ESRCH;
        return -1;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        XenPVPort *p = port_valid(s, guest_port) ? &s->ports[guest_port]
                                                 : NULL;
        uint32_t port = 1;

        if (!p || p->state != XENPV_EVTCHN_UNBOUND ||
            p->arg != XENPV_BACKEND_DOMID) {
            err = EINVAL;
            break;
        }
        while (port < NR_BACKEND_PORTS && s->be_ports[port]) {
            port++;
        }
        if (port == NR_BACKEND_PORTS) {
            err = ENOSPC;
            break;
        }
        s->be_ports[port] = xc;
        xc->port = port;
        xc->guest_port = guest_port;
        set_port(s, guest_port, XENPV_EVTCHN_INTERDOMAIN, p->vcpu, 0, xc);
    }
    if (err) {
        errno = err;
        return -1;
    }
    set_eventfd(s, xc, true);
    /* As for the guest: what it sent before may be lost */
    event_notifier_set(&xc->notifier);
    trace_xenpv_evtchn_be_bind(guest_port, xc->port);
    return xc->port;
}

static int be_unbind(xenevtchn_handle *xc, evtchn_port_t port)
{
    XenPVEvtchnState *s = evtchn;
    uint32_t guest_port = xc->guest_port;

    assert(bql_locked());
    if (!port || xc->port != port) {
        errno = EINVAL;
        return -1;
    }
    trace_xenpv_evtchn_be_unbind(guest_port, port);
    if (guest_port) {
        set_eventfd(s, xc, false);
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (guest_port) {
        set_port(s, guest_port, XENPV_EVTCHN_UNBOUND,
                 s->ports[guest_port].vcpu, XENPV_BACKEND_DOMID, NULL);
    }
    s->be_ports[port] = NULL;
    xc->port = 0;
    xc->guest_port = 0;
    return 0;
}

static int be_close(xenevtchn_handle *xc)
{
    if (xc->port) {
        be_unbind(xc, xc->port);
    }
    event_notifier_cleanup(&xc->notifier);
    g_free(xc);
    return 0;
}

static int be_get_fd(xenevtchn_handle *xc)
{
    return event_notifier_get_fd(&xc->notifier);
}

/* From any thread */
static int be_notify(xenevtchn_handle *xc, evtchn_port_t port)
{
    XenPVEvtchnState *s = evtchn;
    bool vector = false;
    uint32_t vcpu = 0;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!port || xc->port != port) {
            errno = EINVAL;
            return -1;
        }
        /* Dropped in silence if the guest has closed its end */
        if (xc->guest_port) {
            vcpu = s->ports[xc->guest_port].vcpu;
            vector = set_incoming(s, xc->guest_port);
        }
    }
    if (vector) {
        xenpv_accel_send_vector(vcpu, XENPV_UPCALL_VECTOR);
    }
    return 0;
}

static int be_unmask(xenevtchn_handle *xc, evtchn_port_t port)
{
    if (!port || xc->port != port) {
        errno = EINVAL;
        return -1;
    }
    return 0;
}

static int be_pending(xenevtchn_handle *xc)
{
    if (!xc->port || !event_notifier_test_and_clear(&xc->notifier)) {
        errno = EAGAIN;
        return -1;
    }
    return xc->port;
}

static struct evtchn_backend_ops evtchn_ops = {
    .open = be_open,
    .bind_interdomain = be_bind_interdomain,
    .unbind = be_unbind,
    .close = be_close,
    .get_fd = be_get_fd,
    .notify = be_notify,
    .unmask = be_unmask,
    .pending = be_pending,
};

/* ------------------------------------------------------------------------- */
/* xen-event-list and xen-event-inject: see scripts/overlay                   */

bool xenpv_events(void)
{
    return evtchn;
}

static void get_bits(XenPVEvtchnState *s, uint32_t port, EvtchnInfo *info)
{
    uint32_t *word = event_word(s, port);
    uint8_t *pending, *mask;

    if (word) {
        uint32_t bits = le32_to_cpu(qatomic_read(word));

        info->pending = bits & BIT(EVTCHN_FIFO_PENDING);
        info->masked = bits & BIT(EVTCHN_FIFO_MASKED);
    } else if (!s->fifo && find_2l_bits(s, port, &pending, &mask)) {
        info->pending = qatomic_read(pending) & BIT(port % 8);
        info->masked = qatomic_read(mask) & BIT(port % 8);
    }
}

EvtchnInfoList *xenpv_event_list(void)
{
    static const EvtchnPortType types[] = {
        [XENPV_EVTCHN_UNBOUND] = EVTCHN_PORT_TYPE_UNBOUND,
        [XENPV_EVTCHN_INTERDOMAIN] = EVTCHN_PORT_TYPE_INTERDOMAIN,
        [XENPV_EVTCHN_VIRQ] = EVTCHN_PORT_TYPE_VIRQ,
        [XENPV_EVTCHN_IPI] = EVTCHN_PORT_TYPE_IPI,
        [XENPV_EVTCHN_LOOPBACK] = EVTCHN_PORT_TYPE_INTERDOMAIN,
    };
    XenPVEvtchnState *s = evtchn;
    EvtchnInfoList *head = NULL, **tail = &head;
    EvtchnInfo *info;

    QEMU_LOCK_GUARD(&s->lock);
    /* EvtchnInfo has 16 bits for a port; guests with more are rare */
    for (uint32_t port = 1; port < MIN(s->valid_ports, 0x10000); port++) {
        XenPVPort *p = &s->ports[port];

        if (!XENPV_EVTCHN_USABLE(p->state)) {
            continue;
        }
        info = g_new0(EvtchnInfo, 1);
        info->port = port;
        info->vcpu = p->vcpu;
        info->type = types[p->state];
        info->target = p->arg;
        if (p->state == XENPV_EVTCHN_INTERDOMAIN) {
            info->target = p->be->port;
            info->remote_domain = g_strdup("qemu");
        } else if (p->state == XENPV_EVTCHN_LOOPBACK) {
            info->remote_domain = g_strdup("loopback");
        }
        get_bits(s, port, info);
        QAPI_LIST_APPEND(tail, info);
    }
    return head;
}

void xenpv_event_inject(uint32_t port, Error **errp)
{
    XenPVEvtchnState *s = evtchn;

    QEMU_LOCK_GUARD(&s->lock);
    if (!port_valid(s, port)) {
        error_setg(errp, "Invalid port %u", port);
    } else if (!XENPV_EVTCHN_USABLE(s->ports[port].state)) {
        error_setg(errp, "Port %u is closed", port);
    } else {
        raise_port(s, port);
    }
}

/* ------------------------------------------------------------------------- */
/*
 * Migration. What the monitor sees of this is in the core region, and so moves
 * with memory; here is what the guest cannot write. A channel to a back end
 * arrives as one whose other end is still to be bound: the back end, which is
 * another one then, does so when it connects.
 */

static bool loaded_port_ok(XenPVEvtchnState *s, uint32_t port)
{
    XenPVPort *p = &s->ports[port], *other;

    if (p->vcpu >= s->nr_vcpus || (port == 0) !=
                                  (p->state == XENPV_EVTCHN_RESERVED)) {
        return false;
    }
    switch (p->state) {
    case XENPV_EVTCHN_VIRQ:
        return p->arg < NR_VIRQS &&
               !s->virqs[virq_is_global(p->arg) ? 0 : p->vcpu][p->arg];
    case XENPV_EVTCHN_LOOPBACK:
        other = p->arg && p->arg < s->valid_ports ? &s->ports[p->arg] : NULL;
        return other && other->state == XENPV_EVTCHN_LOOPBACK &&
               other->arg == port;
    case XENPV_EVTCHN_UNBOUND:
    case XENPV_EVTCHN_INTERDOMAIN:
    case XENPV_EVTCHN_IPI:
    case XENPV_EVTCHN_FREE:
    case XENPV_EVTCHN_RESERVED:
        return true;
    }
    return false;
}

static int evtchn_pre_load(void *opaque)
{
    XenPVEvtchnState *s = opaque;

    /* The back ends of the domain that was built here have nobody there */
    close_all_ports(s);
    return 0;
}

static int evtchn_post_load(void *opaque, int version_id)
{
    XenPVEvtchnState *s = opaque;
    uint32_t frames = s->fifo_ports / XENPV_FIFO_WORDS;

    QEMU_LOCK_GUARD(&s->lock);
    if (frames > XENPV_FIFO_FRAMES || s->fifo_ports % XENPV_FIFO_WORDS ||
        (frames && !s->fifo)) {
        error_report("event channels: %u ports of the FIFO ABI", s->fifo_ports);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < frames; i++) {
        s->array[i] = xenpv_frame_to_host(s->array_mfns[i]);
        if (!s->array[i]) {
            error_report("event channels: frame 0x%x is not RAM",
                         s->array_mfns[i]);
            return -EINVAL;
        }
    }
    s->max_ports = s->fifo ? XENPV_NR_PORTS
                           : s->is_64bit ? NR_PORTS_64 : NR_PORTS_32;
    s->first_free = 1;
    memset(s->virqs, 0, s->nr_vcpus * sizeof(*s->virqs));
    for (uint32_t port = 0; port < s->valid_ports; port++) {
        XenPVPort *p = &s->ports[port];

        if (!loaded_port_ok(s, port)) {
            error_report("event channels: port %u has state %u, vCPU %u, "
                         "argument %u", port, p->state, p->vcpu, p->arg);
            return -EINVAL;
        }
        p->be = NULL;
        if (p->state == XENPV_EVTCHN_VIRQ) {
            s->virqs[virq_is_global(p->arg) ? 0 : p->vcpu][p->arg] = port;
        } else if (p->state == XENPV_EVTCHN_INTERDOMAIN) {
            p->state = XENPV_EVTCHN_UNBOUND;
            p->arg = XENPV_BACKEND_DOMID;
        }
        publish(s, port);
    }
    for (uint32_t port = s->valid_ports; port < XENPV_NR_PORTS; port++) {
        s->ports[port] = (XenPVPort) { .state = XENPV_EVTCHN_FREE };
    }
    return 0;
}

static bool valid_ports_fit(void *opaque, int version_id)
{
    XenPVEvtchnState *s = opaque;

    return s->valid_ports && s->valid_ports <= XENPV_NR_PORTS &&
           s->valid_ports % PORTS_PER_BUCKET == 0;
}

static const VMStateDescription vmstate_port = {
    .name = "xenpv-evtchn/port",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(state, XenPVPort),
        VMSTATE_UINT16(vcpu, XenPVPort),
        VMSTATE_UINT32(arg, XenPVPort),
        VMSTATE_END_OF_LIST()
    }
};

static const VMStateDescription vmstate_evtchn = {
    .name = TYPE_XENPV_EVTCHN,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = evtchn_pre_load,
    .post_load = evtchn_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32_EQUAL(nr_vcpus, XenPVEvtchnState, "-smp differs"),
        VMSTATE_UINT32(valid_ports, XenPVEvtchnState),
        VMSTATE_VALIDATE("the number of ports", valid_ports_fit),
        VMSTATE_STRUCT_VARRAY_POINTER_UINT32(ports, XenPVEvtchnState,
                                             valid_ports, vmstate_port,
                                             XenPVPort),
        VMSTATE_BOOL(fifo, XenPVEvtchnState),
        VMSTATE_UINT32(fifo_ports, XenPVEvtchnState),
        VMSTATE_UINT32_ARRAY(array_mfns, XenPVEvtchnState, XENPV_FIFO_FRAMES),
        VMSTATE_VARRAY_UINT32(has_control, XenPVEvtchnState, nr_vcpus, 0,
                              vmstate_info_bool, bool),
        VMSTATE_END_OF_LIST()
    }
};

void xenpv_evtchn_resume(XenPVEvtchnState *s)
{
    /* A vector may have been on its way when the vCPUs were stopped */
    for (uint32_t vcpu = 0; vcpu < s->nr_vcpus; vcpu++) {
        if (qatomic_read(&incoming(s)->vcpu[vcpu].summary)) {
            xenpv_accel_send_vector(vcpu, XENPV_UPCALL_VECTOR);
        }
    }
}

/* ------------------------------------------------------------------------- */

static void xenpv_evtchn_realize(DeviceState *dev, Error **errp)
{
    XenPVEvtchnState *s = XENPV_EVTCHN(dev);

    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_evtchn) * XENPV_NR_PORTS >
                      XENPV_CORE_FIFO - XENPV_CORE_EVTCHN);
    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_fifo) >
                      XENPV_CORE_VIRQS - XENPV_CORE_FIFO);
    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_virqs) >
                      XENPV_CORE_INCOMING - XENPV_CORE_VIRQS);
    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_incoming) >
                      XENPV_CORE_MAILBOX - XENPV_CORE_INCOMING);
    QEMU_BUILD_BUG_ON(EVTCHN_FIFO_NR_CHANNELS != XENPV_NR_PORTS);
    QEMU_BUILD_BUG_ON(sizeof(EvtchnOp) > XENPV_CALL_DATA_SIZE);
    if (!s->core || !s->call) {
        error_setg(errp, "properties 'core' and 'call' are not set");
        return;
    }
    if (!s->nr_vcpus || s->nr_vcpus > XENPV_MAX_VCPUS) {
        error_setg(errp, "there can be 1 to %u vCPUs", XENPV_MAX_VCPUS);
        return;
    }
    if (evtchn) {
        error_setg(errp, "there can be only one " TYPE_XENPV_EVTCHN);
        return;
    }
    qemu_mutex_init(&s->lock);
    s->ports = g_new0(XenPVPort, XENPV_NR_PORTS);
    for (uint32_t port = 0; port < XENPV_NR_PORTS; port++) {
        s->ports[port].state = XENPV_EVTCHN_FREE;
    }
    s->has_control = g_new0(bool, s->nr_vcpus);
    s->virqs = g_malloc0_n(s->nr_vcpus, sizeof(*s->virqs));
    s->be_ports = g_new0(xenevtchn_handle *, NR_BACKEND_PORTS);
    evtchn = s;
    xenpv_evtchn_reset(s);
    xenpv_call_register(s->call, XENPV_CALL_EVTCHN, evtchn_call, s);
    xen_evtchn_ops = &evtchn_ops;
}

static const Property xenpv_evtchn_properties[] = {
    DEFINE_PROP_LINK("core", XenPVEvtchnState, core, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_LINK("call", XenPVEvtchnState, call, TYPE_XENPV_CALL,
                     XenPVCallState *),
    DEFINE_PROP_UINT32("nr-vcpus", XenPVEvtchnState, nr_vcpus, 1),
    DEFINE_PROP_UINT16("domid", XenPVEvtchnState, domid, 1),
    DEFINE_PROP_BOOL("guest-64bit", XenPVEvtchnState, is_64bit, true),
};

static void xenpv_evtchn_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Event channels of the xenpv-kvm machine";
    dc->realize = xenpv_evtchn_realize;
    dc->vmsd = &vmstate_evtchn;
    device_class_set_props(dc, xenpv_evtchn_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_evtchn_info = {
    .name = TYPE_XENPV_EVTCHN,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(XenPVEvtchnState),
    .class_init = xenpv_evtchn_class_init,
};

static void xenpv_evtchn_register_types(void)
{
    type_register_static(&xenpv_evtchn_info);
}

type_init(xenpv_evtchn_register_types)
