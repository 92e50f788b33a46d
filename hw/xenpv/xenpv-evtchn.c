/*
 * Event channels: the interrupt controller of Xen guests
 *
 * Two domains have ports: the guest, and domain 0, where QEMU's back ends are.
 * The device owns both tables. It keeps the guest's in memory of its own,
 * because the guest can write all memory that it sees; the monitor sends by a
 * copy in its core region. The same holds for the frames that the guest
 * registers for the FIFO ABI.
 *
 * The guest sends to a back end by writing the port's number to XENPV_IO_SEND.
 * That triggers an ioeventfd, whose file descriptor the back end waits for. A
 * back end sends to the guest by a bit in struct xenpv_incoming, and a vector
 * if the vCPU has not been told yet. The monitor handles masks, pending bits
 * and the choice between them, and also IPIs, VIRQs and what the guest sends to
 * itself.
 *
 * Threads. Whoever changes the tables holds the BQL and .lock, so either is
 * enough to read them. The guest's operations run with the BQL held, on any
 * vCPU. A back end calls open, bind, unbind and close with the BQL held. One
 * thread at a time uses its handle, maybe an IOThread: it calls notify and
 * pending, and nobody unbinds or closes the handle until it has stopped doing
 * so (xenpv-block.c says how). The guest may close its end meanwhile, and even
 * bind it again. That changes only the handle's .guest_port, with .lock held,
 * as notify has it when it reads .guest_port; it never changes the handle's
 * file descriptor.
 *
 * The files: this one has the table of the guest's ports, and calls none of the
 * others. xenpv-evtchn-guest.c has what the guest calls, xenpv-evtchn-backend.c
 * what back ends do, xenpv-evtchn-state.c what QMP shows and migration moves,
 * and xenpv-evtchn-device.c the device.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "hw/xenpv/xenpv-compat.h"
#include "xenpv-evtchn.h"
#include "hw/xen/interface/event_channel.h"
#include "trace.h"

XenPVEvtchnState *xenpv_evtchn;

/* ------------------------------------------------------------------------- */
/* The table of ports                                                         */

void xenpv_evtchn_publish(XenPVEvtchnState *s, uint32_t port)
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
    /* The monitor reads the state before the rest, so it is written last */
    smp_wmb();
    qatomic_set(&shared->state, p->state);
    xenpv_memory_written(shared, sizeof(*shared));
    trace_xenpv_evtchn_port(port, p->state, p->vcpu, p->arg);
}

static struct xenpv_incoming *incoming(XenPVEvtchnState *s)
{
    return xenpv_core_ptr(s->core, XENPV_CORE_INCOMING);
}

bool xenpv_evtchn_set_incoming(XenPVEvtchnState *s, uint32_t port)
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

void xenpv_evtchn_raise(XenPVEvtchnState *s, uint32_t port)
{
    uint32_t vcpu = s->ports[port].vcpu;

    if (xenpv_evtchn_set_incoming(s, port)) {
        xenpv_accel_send_vector(vcpu, XENPV_UPCALL_VECTOR);
    }
}

void xenpv_evtchn_set_eventfd(XenPVEvtchnState *s, xenevtchn_handle *xc,
                              bool on)
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

bool xenpv_evtchn_port_valid(XenPVEvtchnState *s, uint32_t port)
{
    return port < s->valid_ports;
}

uint32_t *xenpv_evtchn_event_word(XenPVEvtchnState *s, uint32_t port)
{
    if (port >= s->fifo_ports) {
        return NULL;
    }
    return s->array[port / XENPV_FIFO_WORDS] + port % XENPV_FIFO_WORDS;
}

bool xenpv_evtchn_find_2l_bits(XenPVEvtchnState *s, uint32_t port,
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
    uint32_t *word = xenpv_evtchn_event_word(s, port);
    uint8_t *pending, *mask;

    if (word) {
        qatomic_and(word, ~cpu_to_le32(BIT(EVTCHN_FIFO_PENDING)));
        xenpv_memory_written(word, sizeof(*word));
    } else if (!s->fifo && xenpv_evtchn_find_2l_bits(s, port, &pending,
                                                     &mask)) {
        qatomic_and(pending, (uint8_t)~BIT(port % 8));
        xenpv_memory_written(pending, 1);
    }
    qatomic_and(&incoming(s)->ports[port / 64],
                ~cpu_to_le64(BIT_ULL(port % 64)));
    xenpv_memory_written(&incoming(s)->ports[port / 64], 8);
}

/* A port that was closed while it was in a queue cannot be used again yet */
static bool is_busy(XenPVEvtchnState *s, uint32_t port)
{
    uint32_t *word = xenpv_evtchn_event_word(s, port);

    return word && (le32_to_cpu(qatomic_read(word)) & BIT(EVTCHN_FIFO_LINKED));
}

/* The lowest one, as guests have come to expect */
int xenpv_evtchn_find_free_port(XenPVEvtchnState *s)
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

/* Make the ports below @end valid; the new ones are free */
static void add_ports(XenPVEvtchnState *s, uint32_t end)
{
    for (; s->valid_ports < end; s->valid_ports++) {
        xenpv_evtchn_publish(s, s->valid_ports);
    }
}

void xenpv_evtchn_set_port(XenPVEvtchnState *s, uint32_t port, uint8_t state,
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
    xenpv_evtchn_publish(s, port);
}

int xenpv_evtchn_alloc_port(XenPVEvtchnState *s, uint8_t state, uint16_t vcpu,
                            uint32_t arg, xenevtchn_handle *be)
{
    int port = xenpv_evtchn_find_free_port(s);

    if (port > 0) {
        xenpv_evtchn_set_port(s, port, state, vcpu, arg, be);
    }
    return port;
}

bool xenpv_evtchn_virq_is_global(uint32_t virq)
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

void xenpv_evtchn_set_virq(XenPVEvtchnState *s, uint32_t vcpu, uint32_t virq,
                           uint32_t port)
{
    struct xenpv_virqs *shared = xenpv_core_ptr(s->core, XENPV_CORE_VIRQS);

    QEMU_BUILD_BUG_ON(XENPV_NR_VIRQS != NR_VIRQS);
    s->virqs[vcpu][virq] = port;
    qatomic_set(&shared->port[vcpu][virq], cpu_to_le32(port));
    xenpv_memory_written(&shared->port[vcpu][virq], sizeof(uint32_t));
}

/* ------------------------------------------------------------------------- */
/* Closing, and reset                                                         */

/*
 * Close the guest's end of a channel, and forget its pending event. The other
 * end, if there is one, then waits for the guest to bind again. Called with
 * s->lock held.
 */
static int close_port(XenPVEvtchnState *s, uint32_t port)
{
    XenPVPort *p;

    if (!xenpv_evtchn_port_valid(s, port)) {
        return -XEN_EINVAL;
    }
    p = &s->ports[port];
    switch (p->state) {
    case XENPV_EVTCHN_FREE:
    case XENPV_EVTCHN_RESERVED:
        return -XEN_EINVAL;
    case XENPV_EVTCHN_VIRQ:
        xenpv_evtchn_set_virq(s, xenpv_evtchn_virq_vcpu(p), p->arg, 0);
        break;
    case XENPV_EVTCHN_LOOPBACK:
        xenpv_evtchn_set_port(s, p->arg, XENPV_EVTCHN_UNBOUND,
                              s->ports[p->arg].vcpu, s->domid, NULL);
        break;
    }
    xenpv_evtchn_set_port(s, port, XENPV_EVTCHN_FREE, 0, 0, NULL);
    /* The monitor sets the bit, and then looks whether the port is free */
    smp_mb();
    clear_pending(s, port);
    return 0;
}

struct xenpv_fifo *xenpv_evtchn_shared_fifo(XenPVEvtchnState *s)
{
    return xenpv_core_ptr(s->core, XENPV_CORE_FIFO);
}

/*
 * Go back to the 2-level ABI. The addresses stay: another vCPU may be putting
 * an event there, which is lost, but must not go anywhere else.
 */
static void use_2l(XenPVEvtchnState *s)
{
    struct xenpv_fifo *shared = xenpv_evtchn_shared_fifo(s);

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

/* Closes the back end's side as well, before it takes s->lock for the rest */
int xenpv_evtchn_close(XenPVEvtchnState *s, uint32_t port)
{
    xenevtchn_handle *xc = NULL;

    if (xenpv_evtchn_port_valid(s, port)) {
        xc = s->ports[port].be;
    }
    if (xc) {
        xenpv_evtchn_set_eventfd(s, xc, false);
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (xc) {
        xc->guest_port = 0;
    }
    return close_port(s, port);
}

/* Closes all the guest's ends. Back ends keep theirs until they unbind them. */
void xenpv_evtchn_close_all(XenPVEvtchnState *s)
{
    /* First the few with an eventfd, then all others under one lock */
    for (uint32_t port = 1; port < s->valid_ports; port++) {
        if (s->ports[port].be) {
            xenpv_evtchn_close(s, port);
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

uint32_t xenpv_evtchn_alloc_unbound(XenPVEvtchnState *s)
{
    int port;

    QEMU_LOCK_GUARD(&s->lock);
    port = xenpv_evtchn_alloc_port(s, XENPV_EVTCHN_UNBOUND, 0,
                                   XENPV_BACKEND_DOMID, NULL);
    return MAX(port, 0);
}

void xenpv_evtchn_reset(XenPVEvtchnState *s)
{
    trace_xenpv_evtchn_reset();
    xenpv_evtchn_close_all(s);
    QEMU_LOCK_GUARD(&s->lock);
    memset(xenpv_evtchn_shared_fifo(s), 0, sizeof(struct xenpv_fifo));
    memset(incoming(s), 0, sizeof(*incoming(s)));
    memset(xenpv_core_ptr(s->core, XENPV_CORE_VIRQS), 0,
           sizeof(struct xenpv_virqs));
    memset(xenpv_core_ptr(s->core, XENPV_CORE_EVTCHN), 0,
           XENPV_NR_PORTS * sizeof(struct xenpv_evtchn));
    s->valid_ports = 0;
    s->first_free = 1;
    add_ports(s, PORTS_PER_BUCKET);
    xenpv_evtchn_set_port(s, 0, XENPV_EVTCHN_RESERVED, 0, 0, NULL);
}

void xenpv_evtchn_resume(XenPVEvtchnState *s)
{
    /* A vector may have been lost that was on its way when the vCPUs stopped */
    for (uint32_t vcpu = 0; vcpu < s->nr_vcpus; vcpu++) {
        if (qatomic_read(&incoming(s)->vcpu[vcpu].summary)) {
            xenpv_accel_send_vector(vcpu, XENPV_UPCALL_VECTOR);
        }
    }
}
