/*
 * Event channels: what QMP shows of them, and what migration moves
 *
 * The main loop calls this, with the BQL held: for migration, and for QMP's
 * xen-event-list and xen-event-inject, which scripts/qemu/50-xen-events hooks
 * in.
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
#include "hw/xenpv/xenpv-compat.h"
#include XENPV_QAPI_EVTCHN
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

bool xenpv_evtchn_is_masked(uint32_t port)
{
    EvtchnInfo info = { 0 };

    QEMU_LOCK_GUARD(&xenpv_evtchn->lock);
    get_bits(xenpv_evtchn, port, &info);
    return info.masked;
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
 * Migration. The part that the monitor sees is in the core region, and so moves
 * with memory; here is the part that the guest cannot write. A channel to a
 * back end arrives as an unbound one, which the target's back end binds when it
 * connects.
 *
 * A stream may have any content and end anywhere: it is loaded into a copy,
 * which becomes the state only when all of it has been checked. So after a load
 * that fails there is still a table that can be used, and be reset.
 */

typedef struct SavedEvtchn {
    uint32_t nr_vcpus, nr_ports;
    XenPVPort *ports;
    bool fifo;
    uint32_t fifo_ports;
    uint32_t array_mfns[XENPV_FIFO_FRAMES];
    bool *has_control;
} SavedEvtchn;

static void free_saved(XenPVEvtchnState *s)
{
    if (s->saved) {
        g_free(s->saved->ports);
        g_free(s->saved->has_control);
    }
    g_clear_pointer(&s->saved, g_free);
}

static SavedEvtchn *new_saved(XenPVEvtchnState *s)
{
    free_saved(s);
    s->saved = g_new0(SavedEvtchn, 1);
    s->saved->nr_vcpus = s->nr_vcpus;
    s->saved->ports = g_new0(XenPVPort, XENPV_NR_PORTS);
    s->saved->has_control = g_new0(bool, s->nr_vcpus);
    return s->saved;
}

static int evtchn_pre_save(void *opaque)
{
    XenPVEvtchnState *s = opaque;
    SavedEvtchn *saved = new_saved(s);

    QEMU_LOCK_GUARD(&s->lock);
    saved->nr_ports = s->valid_ports;
    memcpy(saved->ports, s->ports, s->valid_ports * sizeof(*s->ports));
    saved->fifo = s->fifo;
    saved->fifo_ports = s->fifo_ports;
    memcpy(saved->array_mfns, s->array_mfns, sizeof(s->array_mfns));
    memcpy(saved->has_control, s->has_control, s->nr_vcpus * sizeof(bool));
    return 0;
}

static XenPVPostSave evtchn_post_save(void *opaque)
{
    free_saved(opaque);
    return XENPV_POST_SAVED;
}

static int evtchn_pre_load(void *opaque)
{
    XenPVEvtchnState *s = opaque;

    /*
     * The domain that was built here goes, so its back ends' channels have no
     * other end. Guest memory has the incoming domain's tables already: do not
     * write to them.
     */
    for (uint32_t port = 0; port < s->valid_ports; port++) {
        xenevtchn_handle *xc = s->ports[port].be;

        if (xc) {
            xenpv_evtchn_set_eventfd(s, xc, false);
            QEMU_LOCK_GUARD(&s->lock);
            s->ports[port].be = NULL;
            s->ports[port].state = XENPV_EVTCHN_UNBOUND;
            s->ports[port].arg = XENPV_BACKEND_DOMID;
            xc->guest_port = 0;
        }
    }
    new_saved(s);
    return 0;
}

/* @virqs: by vCPU, the ports below this one that VIRQs are bound to */
static bool saved_port_ok(const SavedEvtchn *saved, uint32_t port,
                          uint32_t (*virqs)[NR_VIRQS])
{
    const XenPVPort *p = &saved->ports[port], *other;
    uint32_t *virq;

    if (p->vcpu >= saved->nr_vcpus || (port == 0) !=
                                      (p->state == XENPV_EVTCHN_RESERVED)) {
        return false;
    }
    switch (p->state) {
    case XENPV_EVTCHN_VIRQ:
        if (p->arg >= NR_VIRQS) {
            return false;
        }
        virq = &virqs[xenpv_evtchn_virq_vcpu(p)][p->arg];
        if (*virq) {
            return false;
        }
        *virq = port;
        return true;
    case XENPV_EVTCHN_LOOPBACK:
        other = p->arg && p->arg < saved->nr_ports ? &saved->ports[p->arg]
                                                   : NULL;
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

static bool saved_fifo_ok(const SavedEvtchn *saved,
                          uint32_t *array[XENPV_FIFO_FRAMES])
{
    uint32_t frames = saved->fifo_ports / XENPV_FIFO_WORDS;

    if (frames > XENPV_FIFO_FRAMES || saved->fifo_ports % XENPV_FIFO_WORDS ||
        (frames && !saved->fifo)) {
        error_report("event channels: %u ports of the FIFO ABI",
                     saved->fifo_ports);
        return false;
    }
    for (uint32_t i = 0; i < frames; i++) {
        array[i] = xenpv_frame_to_host(saved->array_mfns[i]);
        if (!array[i]) {
            error_report("event channels: frame 0x%x is not RAM",
                         saved->array_mfns[i]);
            return false;
        }
    }
    return true;
}

/* Make the copy the state; it has been checked. Called with s->lock held. */
static void take_saved(XenPVEvtchnState *s)
{
    SavedEvtchn *saved = s->saved;

    s->fifo = saved->fifo;
    s->fifo_ports = saved->fifo_ports;
    memcpy(s->array_mfns, saved->array_mfns, sizeof(s->array_mfns));
    memcpy(s->has_control, saved->has_control, s->nr_vcpus * sizeof(bool));
    s->max_ports = s->fifo ? XENPV_NR_PORTS
                           : s->is_64bit ? NR_PORTS_64 : NR_PORTS_32;
    s->first_free = 1;
    s->valid_ports = saved->nr_ports;
    for (uint32_t port = 0; port < s->valid_ports; port++) {
        XenPVPort *p = &s->ports[port];

        *p = saved->ports[port];
        if (p->state == XENPV_EVTCHN_INTERDOMAIN) {
            p->state = XENPV_EVTCHN_UNBOUND;
            p->arg = XENPV_BACKEND_DOMID;
        }
        xenpv_evtchn_publish(s, port);
    }
    for (uint32_t port = s->valid_ports; port < XENPV_NR_PORTS; port++) {
        s->ports[port] = (XenPVPort) { .state = XENPV_EVTCHN_FREE };
    }
}

static int evtchn_post_load(void *opaque, int version_id)
{
    XenPVEvtchnState *s = opaque;
    SavedEvtchn *saved = s->saved;
    uint32_t *array[XENPV_FIFO_FRAMES] = { NULL };
    size_t virqs_size = s->nr_vcpus * sizeof(*s->virqs);
    g_autofree uint32_t (*virqs)[NR_VIRQS] = g_malloc0(virqs_size);

    if (!saved_fifo_ok(saved, array)) {
        return -EINVAL;
    }
    for (uint32_t port = 0; port < saved->nr_ports; port++) {
        XenPVPort *p = &saved->ports[port];

        if (!saved_port_ok(saved, port, virqs)) {
            error_report("event channels: port %u has state %u, vCPU %u, "
                         "argument %u", port, p->state, p->vcpu, p->arg);
            return -EINVAL;
        }
    }
    QEMU_LOCK_GUARD(&s->lock);
    memcpy(s->array, array, sizeof(array));
    memcpy(s->virqs, virqs, virqs_size);
    take_saved(s);
    free_saved(s);
    return 0;
}

static bool nr_ports_fits(void *opaque, int version_id)
{
    SavedEvtchn *saved = opaque;

    return saved->nr_ports && saved->nr_ports <= XENPV_NR_PORTS &&
           saved->nr_ports % PORTS_PER_BUCKET == 0;
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

static const VMStateDescription vmstate_saved = {
    .name = "xenpv-evtchn/saved",
    .version_id = 1,
    .minimum_version_id = 1,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(nr_ports, SavedEvtchn),
        VMSTATE_VALIDATE("the number of ports", nr_ports_fits),
        VMSTATE_STRUCT_VARRAY_POINTER_UINT32(ports, SavedEvtchn, nr_ports,
                                             vmstate_port, XenPVPort),
        VMSTATE_BOOL(fifo, SavedEvtchn),
        VMSTATE_UINT32(fifo_ports, SavedEvtchn),
        VMSTATE_UINT32_ARRAY(array_mfns, SavedEvtchn, XENPV_FIFO_FRAMES),
        VMSTATE_VARRAY_UINT32(has_control, SavedEvtchn, nr_vcpus, 0,
                              vmstate_info_bool, bool),
        VMSTATE_END_OF_LIST()
    }
};

const VMStateDescription xenpv_vmstate_evtchn = {
    .name = TYPE_XENPV_EVTCHN,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = evtchn_pre_save,
    .post_save = evtchn_post_save,
    .pre_load = evtchn_pre_load,
    .post_load = evtchn_post_load,
    .fields = (const VMStateField[]) {
        XENPV_VMSTATE_UINT32_EQUAL(nr_vcpus, XenPVEvtchnState, "-smp differs"),
        VMSTATE_STRUCT_POINTER(saved, XenPVEvtchnState, vmstate_saved,
                               SavedEvtchn),
        VMSTATE_END_OF_LIST()
    }
};
