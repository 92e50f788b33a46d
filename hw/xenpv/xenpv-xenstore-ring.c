/*
 * xenstore: the guest's ring
 *
 * xenstored's wire protocol on the guest's shared page, whose content it does
 * not trust: docs/misc/xenstore-ring.txt of Xen. Each byte is copied once, and
 * each index is read once for each use. A guest that violates the protocol is
 * told so on the ring, and then ignored until it connects anew.
 *
 * The guest's event, a bottom half and a timer call it, all of them in the main
 * loop, with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/xenpv/xenpv-messages.h"
#include "xenpv-xenstore.h"
#include "trace.h"

/*
 * How long after a use of the ring to look at it once more. Linux's xb_write()
 * has no barrier between its store of req_prod and its load of req_cons: it may
 * see an old req_cons, so that the ring seems not to be empty, and send no
 * event, while run_ring() does not see the new req_prod yet. xenstored looks at
 * all rings again before it sleeps, which hides that.
 */
#define LOOK_AGAIN_MS       1

/* Make a message, or none, the next one to the guest, while .out is empty */
static void put_message(XenPVXenstoreState *s, const GByteArray *message)
{
    memcpy(s->out, message->data, message->len);
    s->out_len = message->len;
    s->out_sent = 0;
}

static void handle_request(XenPVXenstoreState *s)
{
    g_autoptr(GByteArray) answer = g_byte_array_new();

    xenpv_xenstore_handle(s, s->domid, &s->guest_watches, s->in, answer);
    s->in_len = 0;
    put_message(s, answer);
}

/*
 * One step of telling the guest's watches, which may yield a message; is there
 * more to tell?
 */
static bool put_event(XenPVXenstoreState *s)
{
    g_autoptr(GByteArray) event = g_byte_array_new();
    bool more = xenpv_xenstore_event(&s->guest_watches, event);

    if (event->len) {
        put_message(s, event);
    }
    return more;
}

static void violation(XenPVXenstoreState *s, uint32_t error)
{
    trace_xenpv_xenstore_fatal(error);
    s->ignored = true;
    qatomic_set(&s->ring->error, cpu_to_le32(error));
}

/*
 * Copy to the ring what fits of .out; returns the number of bytes.
 *
 * A guest sends an event after it has taken something only if it saw the ring
 * full, and after it has added something only if it saw the ring empty. So the
 * guest's index is read once more after ours is visible, and run_ring() has it
 * read yet again a little later.
 */
static uint32_t ring_put(XenPVXenstoreState *s)
{
    uint32_t prod = le32_to_cpu(qatomic_read(&s->ring->rsp_prod));
    uint32_t len, put = 0;

    do {
        uint32_t cons = le32_to_cpu(qatomic_read(&s->ring->rsp_cons));

        if (prod - cons > XENSTORE_RING_SIZE) {
            violation(s, XENSTORE_ERROR_RINGIDX);
            return put;
        }
        /* The guest has read what we are going to overwrite */
        smp_mb();
        len = MIN(XENSTORE_RING_SIZE - (prod - cons), s->out_len - s->out_sent);
        for (uint32_t i = 0; i < len; i++) {
            s->ring->rsp[MASK_XENSTORE_IDX(prod + i)] = s->out[s->out_sent + i];
        }
        /* The bytes have to be visible before their index */
        smp_wmb();
        prod += len;
        qatomic_set(&s->ring->rsp_prod, cpu_to_le32(prod));
        /* Our index has to be visible before the guest's is read again */
        smp_mb();
        s->out_sent += len;
        put += len;
    } while (len && s->out_sent < s->out_len);
    if (s->out_sent == s->out_len) {
        s->out_len = 0;
        s->out_sent = 0;
    }
    return put;
}

static uint32_t wanted(XenPVXenstoreState *s)
{
    return xenpv_xenstore_wanted(s->in, s->in_len);
}

/*
 * Take from the ring what is there of one message; returns the number of bytes.
 * See ring_put() for why the guest's index is read again.
 */
static uint32_t ring_get(XenPVXenstoreState *s)
{
    uint32_t cons = le32_to_cpu(qatomic_read(&s->ring->req_cons));
    uint32_t got = 0, before;

    do {
        uint32_t prod = le32_to_cpu(qatomic_read(&s->ring->req_prod));

        before = got;
        if (prod - cons > XENSTORE_RING_SIZE) {
            violation(s, XENSTORE_ERROR_RINGIDX);
            return got;
        }
        /* The guest wrote the bytes before the index: read them after it */
        smp_rmb();
        while (prod != cons && wanted(s)) {
            s->in[s->in_len++] = s->ring->req[MASK_XENSTORE_IDX(cons)];
            cons++;
            got++;
            if (s->in_len == HEADER_SIZE) {
                struct xsd_sockmsg hdr;

                memcpy(&hdr, s->in, HEADER_SIZE);
                if (le32_to_cpu(hdr.len) > XENSTORE_PAYLOAD_MAX) {
                    violation(s, XENSTORE_ERROR_PROTO);
                    break;
                }
            }
        }
        if (got != before) {
            /* We have read what the guest may overwrite now */
            smp_mb();
            qatomic_set(&s->ring->req_cons, cpu_to_le32(cons));
            /* Our index has to be visible before the guest's is read again */
            smp_mb();
        }
    } while (got != before && !s->ignored && wanted(s));
    return got;
}

/* The guest asks for a new start, as after a kexec */
static void reconnect(XenPVXenstoreState *s)
{
    trace_xenpv_xenstore_reconnect();
    xenpv_xenstore_reset_connection(s);
    s->ring->req_cons = s->ring->req_prod = 0;
    s->ring->rsp_cons = s->ring->rsp_prod = 0;
    s->ring->error = cpu_to_le32(XENSTORE_ERROR_NONE);
    /* The guest has to see the new indexes before it sees this */
    smp_wmb();
    qatomic_set(&s->ring->connection, cpu_to_le32(XENSTORE_CONNECTED));
}

/*
 * An answer has to be out before the next request is looked at: so one answer
 * is all that can wait for a guest that never reads. Events come after answers,
 * as some guests expect none between a request and its answer.
 */
static void run_ring(XenPVXenstoreState *s)
{
    int64_t until = xenpv_xenstore_run_until();
    bool notify = false;

    if (!s->ring) {
        return;
    }
    if (le32_to_cpu(qatomic_read(&s->ring->connection)) ==
        XENSTORE_RECONNECT) {
        reconnect(s);
        notify = true;
    }
    while (!s->ignored) {
        if (s->out_len) {
            notify |= ring_put(s) > 0;
            if (s->out_len) {
                break;
            }
        }
        if (xenpv_xenstore_is_late(until)) {
            qemu_bh_schedule(s->ring_bh);
            break;
        }
        if (xenpv_xenstore_note_committed(s)) {
            continue;
        }
        if (xenpv_xenstore_back_ends_know(s)) {
            notify |= ring_get(s) > 0;
            if (s->ignored) {
                notify = true;
                break;
            }
            if (s->in_len >= HEADER_SIZE && !wanted(s)) {
                handle_request(s);
                continue;
            }
        }
        if (!put_event(s)) {
            break;
        }
    }
    /* Even if nothing was sent, an index may have moved */
    xenpv_memory_written(s->ring, sizeof(*s->ring));
    if (notify) {
        timer_mod(s->ring_timer,
                  qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + LOOK_AGAIN_MS);
        if (s->port) {
            qemu_xen_evtchn_notify(s->eh, s->port);
        }
    }
}

/* Also called by the timer */
static void ring_bh(void *opaque)
{
    run_ring(opaque);
}

static void ring_event(void *opaque)
{
    XenPVXenstoreState *s = opaque;

    if (qemu_xen_evtchn_pending(s->eh) == s->port && s->port) {
        qemu_xen_evtchn_unmask(s->eh, s->port);
        run_ring(s);
    }
}

void xenpv_xenstore_init_ring(XenPVXenstoreState *s)
{
    /* In the same context as .be_bh, for the same reason */
    s->ring_bh = aio_bh_new(iohandler_get_aio_context(), ring_bh, s);
    s->ring_timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, ring_bh, s);
    qemu_set_fd_handler(qemu_xen_evtchn_fd(s->eh), ring_event, NULL, s);
}

/* ------------------------------------------------------------------------- */
/* Connections                                                                */

void xenpv_xenstore_reset_connection(XenPVXenstoreState *s)
{
    xenpv_xenstore_end_transactions(s, &s->guest_watches);
    xenpv_xenstore_remove_watches(&s->guest_watches);
    s->ignored = false;
    s->in_len = 0;
    s->out_len = 0;
    s->out_sent = 0;
}

bool xenpv_xenstore_bind(XenPVXenstoreState *s, uint64_t mfn, uint32_t port)
{
    if (s->port > 0) {
        qemu_xen_evtchn_unbind(s->eh, s->port);
    }
    s->ring = xenpv_frame_to_host(mfn);
    s->ring_mfn = mfn;
    s->guest_port = port;
    s->port = s->ring ? qemu_xen_evtchn_bind_interdomain(s->eh, s->domid, port)
                      : -1;
    if (s->port < 0) {
        s->port = 0;
        return false;
    }
    return true;
}

void xenpv_xenstore_start(XenPVXenstoreState *s, uint64_t mfn, uint32_t port)
{
    xenpv_xenstore_printf(s, "store/ring-ref", "%" PRIu64, mfn);
    xenpv_xenstore_printf(s, "store/port", "%u", port);
    if (!xenpv_xenstore_bind(s, mfn, port)) {
        xenpv_guest_warning("xenstore cannot be bound to the guest's port %u",
                            port);
    }
    if (s->ring) {
        s->ring->server_features =
            cpu_to_le32(XENSTORE_SERVER_FEATURE_RECONNECTION |
                        XENSTORE_SERVER_FEATURE_ERROR);
        xenpv_memory_written(s->ring, sizeof(*s->ring));
    }
}

void xenpv_xenstore_reset(XenPVXenstoreState *s)
{
    trace_xenpv_xenstore_reset();
    s->ring = NULL;
    if (s->port > 0) {
        qemu_xen_evtchn_unbind(s->eh, s->port);
        s->port = 0;
    }
    xenpv_xenstore_reset_connection(s);
    xenpv_xenstore_restore_tree(s);
}

uint64_t xenpv_xenstore_ring_mfn(XenPVXenstoreState *s)
{
    return s->ring_mfn;
}
