/*
 * What a front end needs, for the qtests of the devices on the Xen bus
 *
 * xenstore without watches, grants, and event channels. Each device takes its
 * frames, grants and ports from its own numbers.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_FRONTEND_H
#define XENPV_FRONTEND_H

#include "hw/xen/interface/xen-compat.h"
#include "hw/xen/xen.h"
#include "hw/xen/interface/xen.h"
#include "hw/xen/interface/event_channel.h"
#include "hw/xen/interface/grant_table.h"
#include "hw/xen/interface/io/xenbus.h"
#include "hw/xen/interface/io/xs_wire.h"
#undef DOMID_SELF
#include "xenpv-qtest.h"

#define XS_RING(field)  (XENPV_QTEST_MFN_XENSTORE * XENPV_PAGE + \
                         offsetof(struct xenstore_domain_interface, field))

/* xenstore: move bytes to or from the ring, as room or they come up */
static inline void xs_move(QTestState *qts, bool out, void *buf, uint32_t len)
{
    uint64_t ring = out ? XS_RING(req) : XS_RING(rsp);
    uint64_t index = out ? XS_RING(req_prod) : XS_RING(rsp_cons);
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;
    uint8_t *p = buf;

    while (len) {
        uint32_t prod = qtest_readl(qts, out ? XS_RING(req_prod)
                                             : XS_RING(rsp_prod));
        uint32_t cons = qtest_readl(qts, out ? XS_RING(req_cons)
                                             : XS_RING(rsp_cons));
        uint32_t at = out ? prod : cons;
        uint32_t n = out ? XENSTORE_RING_SIZE - (prod - cons) : prod - cons;

        n = MIN(MIN(n, len), XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(at));
        if (!n) {
            g_assert_cmpint(g_get_monotonic_time(), <, end);
            g_usleep(200);
            continue;
        }
        if (out) {
            qtest_memwrite(qts, ring + MASK_XENSTORE_IDX(at), p, n);
        } else {
            qtest_memread(qts, ring + MASK_XENSTORE_IDX(at), p, n);
        }
        qtest_writel(qts, index, at + n);
        xenpv_send(qts, XENPV_QTEST_PORT_XENSTORE);
        p += n;
        len -= n;
    }
}

/*
 * The answer, with a 0 after it; NULL if it is an error. Events that come
 * before it are dropped.
 */
static inline char *xs_request_in(QTestState *qts, uint32_t type, uint32_t tx,
                                  const void *data, uint32_t len)
{
    struct xsd_sockmsg hdr = {
        .type = type, .req_id = 1, .tx_id = tx, .len = len
    };
    g_autofree char *answer = NULL;

    xs_move(qts, true, &hdr, sizeof(hdr));
    xs_move(qts, true, (void *)data, len);
    do {
        g_free(answer);
        xs_move(qts, false, &hdr, sizeof(hdr));
        g_assert_cmpuint(hdr.len, <=, XENSTORE_PAYLOAD_MAX);
        answer = g_malloc0(hdr.len + 1);
        xs_move(qts, false, answer, hdr.len);
    } while (hdr.type == XS_WATCH_EVENT);
    return hdr.type == XS_ERROR ? NULL : g_steal_pointer(&answer);
}

static inline char *xs_request(QTestState *qts, uint32_t type,
                               const void *data, uint32_t len)
{
    return xs_request_in(qts, type, 0, data, len);
}

static inline char * G_GNUC_PRINTF(2, 3)
xs_read(QTestState *qts, const char *fmt, ...)
{
    g_autofree char *path = NULL;
    va_list ap;

    va_start(ap, fmt);
    path = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return xs_request(qts, XS_READ, path, strlen(path) + 1);
}

static inline void G_GNUC_PRINTF(4, 5)
xs_write(QTestState *qts, const char *dir, const char *node,
         const char *fmt, ...)
{
    g_autoptr(GString) data = g_string_new(dir);
    g_autofree char *answer = NULL;
    va_list ap;

    g_string_append_c(data, '/');
    g_string_append(data, node);
    g_string_append_c(data, 0);
    va_start(ap, fmt);
    g_string_append_vprintf(data, fmt, ap);
    va_end(ap);
    answer = xs_request(qts, XS_WRITE, data->str, data->len);
    g_assert_cmpstr(answer, ==, "OK");
}

/* The lines of a file that have text in them */
static inline unsigned lines(const char *file, const char *text)
{
    g_autofree char *contents = NULL;
    g_auto(GStrv) all = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(file, &contents, NULL, NULL));
    all = g_strsplit(contents, "\n", -1);
    for (char **line = all; *line; line++) {
        n += strstr(*line, text) != NULL;
    }
    return n;
}

static inline void xs_assert(QTestState *qts, const char *dir,
                             const char *node, const char *value)
{
    g_autofree char *is = xs_read(qts, "%s/%s", dir, node);

    g_assert_cmpstr(is, ==, value);
}

/* Grants of version 1 */
static inline void xenpv_grant(QTestState *qts, uint32_t ref, uint16_t flags,
                               uint32_t frame)
{
    grant_entry_v1_t e = { .flags = flags, .domid = 0, .frame = frame };

    qtest_memwrite(qts, xenpv_core(XENPV_CORE_GRANT_TABLE) +
                   ref * sizeof(e), &e, sizeof(e));
}

static inline uint16_t xenpv_grant_flags(QTestState *qts, uint32_t ref)
{
    return qtest_readw(qts, xenpv_core(XENPV_CORE_GRANT_TABLE) +
                       ref * sizeof(grant_entry_v1_t));
}

/* A port for a back end to bind to */
static inline uint32_t xenpv_alloc_unbound(QTestState *qts)
{
    struct evtchn_alloc_unbound a = { .dom = DOMID_SELF, .remote_dom = 0 };

    g_assert_cmpint(xenpv_call(qts, XENPV_CALL_EVTCHN, EVTCHNOP_alloc_unbound,
                               &a, sizeof(a)), ==, 0);
    return a.port;
}

/* A device of the Xen bus */
typedef struct Frontend {
    QTestState *qts;
    char *dir;              /* device/vbd/51712 */
    char *back;
} Frontend;

static inline void frontend_init(Frontend *f, QTestState *qts, const char *dir)
{
    f->qts = qts;
    f->dir = g_strdup(dir);
    f->back = xs_read(qts, "%s/backend", dir);
    g_assert_nonnull(f->back);
}

static inline void frontend_destroy(Frontend *f)
{
    g_free(f->dir);
    g_free(f->back);
}

static inline void frontend_set_state(Frontend *f, enum xenbus_state state)
{
    xs_write(f->qts, f->dir, "state", "%d", state);
}

static inline int frontend_back_state(Frontend *f)
{
    g_autofree char *state = xs_read(f->qts, "%s/state", f->back);

    return state ? atoi(state) : 0;
}

static inline void frontend_wait(Frontend *f, enum xenbus_state state)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (frontend_back_state(f) != state) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

#endif /* XENPV_FRONTEND_H */
