/*
 * Event channels: what QMP shows of them, and what migration moves
 *
 * xen-event-list and xen-event-inject, hooked in by scripts/qemu/50-xen-events,
 * come from the main loop, with the BQL; and so does migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "hw/xenpv/xenpv-events.h"
#include "migration/vmstate.h"
#include "xenpv-evtchn.h"
#include "hw/xen/interface/event_channel.h"

/* ------------------------------------------------------------------------- */
/* xen-event-list and xen-event-inject                                        */

bool xenpv_events(void)
{
    return xenpv_evtchn;
}

static void get_bits(XenPVEvtchnState *s, uint32_t port, EvtchnInfo *info)
{
    uint32_t *word = xenpv_evtchn_event_word(s, port);
    uint8_t *pending, *mask;

    if (word) {
        uint32_t bits = le32_to_cpu(qatomic_read(word));

        info->pending = bits & BIT(EVTCHN_FIFO_PENDING);
        info->masked = bits & BIT(EVTCHN_FIFO_MASKED);
    } else if (!s->fifo && xenpv_evtchn_find_2l_bits(s, port, &pending,
                                                     &mask)) {
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
    XenPVEvtchnState *s = xenpv_evtchn;
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
    XenPVEvtchnState *s = xenpv_evtchn;

    QEMU_LOCK_GUARD(&s->lock);
    if (!xenpv_evtchn_port_valid(s, port)) {
        error_setg(errp, "Invalid port %u", port);
    } else if (!XENPV_EVTCHN_USABLE(s->ports[port].state)) {
        error_setg(errp, "Port %u is closed", port);
    } else {
        xenpv_evtchn_raise(s, port);
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
               !s->virqs[xenpv_evtchn_virq_vcpu(p)][p->arg];
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

    /*
     * The back ends of the domain that was built here have nobody there. In
     * memory it is the other domain's tables that are there already: not a word
     * of them is written.
     */
    for (uint32_t port = 0; port < s->valid_ports; port++) {
        xenevtchn_handle *xc = s->ports[port].be;

        if (xc) {
            xenpv_evtchn_set_eventfd(s, xc, false);
            QEMU_LOCK_GUARD(&s->lock);
            s->ports[port].be = NULL;
            xc->guest_port = 0;
        }
    }
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
            s->virqs[xenpv_evtchn_virq_vcpu(p)][p->arg] = port;
        } else if (p->state == XENPV_EVTCHN_INTERDOMAIN) {
            p->state = XENPV_EVTCHN_UNBOUND;
            p->arg = XENPV_BACKEND_DOMID;
        }
        xenpv_evtchn_publish(s, port);
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

const VMStateDescription xenpv_vmstate_evtchn = {
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
