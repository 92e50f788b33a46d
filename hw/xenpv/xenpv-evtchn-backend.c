/*
 * Event channels: what QEMU's back ends do with them
 *
 * These are the operations of hw/xen/xen_backend_ops.h. A handle has at most
 * one port: no back end needs more. The opening of xenpv-evtchn.c says which
 * operations are called with the BQL held, and which may be called by an
 * IOThread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/event_notifier.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "xenpv-evtchn.h"
#include "trace.h"

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
    XenPVEvtchnState *s = xenpv_evtchn;
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
        XenPVPort *p = NULL;
        uint32_t port = 1;

        if (xenpv_evtchn_port_valid(s, guest_port)) {
            p = &s->ports[guest_port];
        }
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
        xenpv_evtchn_set_port(s, guest_port, XENPV_EVTCHN_INTERDOMAIN, p->vcpu,
                              0, xc);
    }
    if (err) {
        errno = err;
        return -1;
    }
    xenpv_evtchn_set_eventfd(s, xc, true);
    /* As for the guest: events from before may be lost, so send one */
    event_notifier_set(&xc->notifier);
    trace_xenpv_evtchn_be_bind(guest_port, xc->port);
    return xc->port;
}

static int be_unbind(xenevtchn_handle *xc, evtchn_port_t port)
{
    XenPVEvtchnState *s = xenpv_evtchn;
    uint32_t guest_port = xc->guest_port;

    assert(bql_locked());
    if (!port || xc->port != port) {
        errno = EINVAL;
        return -1;
    }
    trace_xenpv_evtchn_be_unbind(guest_port, port);
    if (guest_port) {
        xenpv_evtchn_set_eventfd(s, xc, false);
    }
    QEMU_LOCK_GUARD(&s->lock);
    if (guest_port) {
        xenpv_evtchn_set_port(s, guest_port, XENPV_EVTCHN_UNBOUND,
                              s->ports[guest_port].vcpu, XENPV_BACKEND_DOMID,
                              NULL);
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
    XenPVEvtchnState *s = xenpv_evtchn;
    bool vector = false;
    uint32_t vcpu = 0;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        if (!port || xc->port != port) {
            errno = EINVAL;
            return -1;
        }
        /* The event is dropped if the guest has closed its end */
        if (xc->guest_port) {
            vcpu = s->ports[xc->guest_port].vcpu;
            vector = xenpv_evtchn_set_incoming(s, xc->guest_port);
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

struct evtchn_backend_ops xenpv_evtchn_ops = {
    .open = be_open,
    .bind_interdomain = be_bind_interdomain,
    .unbind = be_unbind,
    .close = be_close,
    .get_fd = be_get_fd,
    .notify = be_notify,
    .unmask = be_unmask,
    .pending = be_pending,
};
