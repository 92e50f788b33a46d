/*
 * xenstore: the requests of the guest, and of domain 0's programs
 *
 * A function for each request of docs/misc/xenstore.txt of Xen. Each gets a
 * copy of the request, with a 0 behind it, and trusts nothing of its text. It
 * appends the answer to .reply and returns 0, or returns a positive errno. None
 * of them waits, or takes more than a few milliseconds.
 *
 * Called for the guest's ring and domain 0's sockets, with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "xenpv-xenstore.h"
#include "trace.h"

/* The engine's transaction through which a request reads */
static xs_transaction_t reads_by(XenPVXenstoreState *s, Request *req)
{
    return xenpv_xenstore_reads_by(s, req->tx_id);
}

static void reply_data(Request *req, const void *data, size_t len)
{
    g_byte_array_append(req->reply, data, len);
}

/* With its final 0 */
static void reply_string(Request *req, const char *str)
{
    reply_data(req, str, strlen(str) + 1);
}

static int reply_ok(Request *req)
{
    reply_string(req, "OK");
    return 0;
}

/* Remember what domain 0 changes below the guest's home: a reset keeps it */
static int changed(XenPVXenstoreState *s, Request *req, const char *path,
                   int err)
{
    if (!err && req->domid == XENPV_BACKEND_DOMID && req->tx_id == XBT_NULL) {
        xenpv_xenstore_remember_now(s, path);
    }
    return err ?: reply_ok(req);
}

/* Store up to max strings of a request; returns how many it has, 0: invalid */
static unsigned get_strings(Request *req, const char **strings, unsigned max)
{
    unsigned n = 0;
    uint32_t pos = 0;

    while (pos < req->len) {
        size_t len = strlen(req->data + pos);

        if (pos + len >= req->len) {
            return 0;       /* the last one has no end */
        }
        if (n < max) {
            strings[n] = req->data + pos;
        }
        n++;
        pos += len + 1;
    }
    return n;
}

/* The path that is all of a request; NULL: there is more, or it is invalid */
static char *only_path(XenPVXenstoreState *s, Request *req)
{
    const char *path;

    if (get_strings(req, &path, 1) != 1) {
        return NULL;
    }
    return xenpv_xenstore_path(req->domid, path, false);
}

/*
 * Only those who may read the nearest existing node above it may know that a
 * node does not exist. Bisection finds that node: a path may have more than a
 * thousand levels.
 */
static int hide_missing(XenPVXenstoreState *s, Request *req, const char *path,
                        int err)
{
    g_autofree char *parent = g_strdup(path);
    g_autoptr(GArray) ends = g_array_new(false, false, sizeof(size_t));
    guint exists = 0, missing;
    size_t end = 1;

    if (err != ENOENT) {
        return err;
    }
    /* Where the path of each node above it ends: "/", "/local", ... */
    g_array_append_val(ends, end);
    for (const char *p = path + 1; (p = strchr(p, '/')); p++) {
        end = p - path;
        g_array_append_val(ends, end);
    }
    missing = ends->len;
    while (exists < missing) {
        g_autoptr(GByteArray) value = g_byte_array_new();
        guint i = (exists + missing) / 2;
        int parent_err;

        end = g_array_index(ends, size_t, i);
        memcpy(parent, path, end);
        parent[end] = '\0';
        parent_err = xs_impl_read(s->impl, req->domid, reads_by(s, req), parent,
                                  value);
        if (parent_err == ENOENT) {
            missing = i;
        } else {
            err = parent_err == EACCES ? EACCES : ENOENT;
            exists = i + 1;
        }
    }
    return err;
}

static int list_names(XenPVXenstoreState *s, Request *req, const char *path,
                      uint64_t *gencnt, GByteArray *names)
{
    GList *items = NULL;
    int err = xs_impl_directory(s->impl, req->domid, reads_by(s, req), path,
                                gencnt, &items);

    for (GList *l = items; l && !err; l = l->next) {
        g_byte_array_append(names, l->data, strlen(l->data) + 1);
    }
    g_list_free_full(items, g_free);
    return hide_missing(s, req, path, err);
}

static int do_directory(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = only_path(s, req);
    int err;

    if (!path) {
        return EINVAL;
    }
    err = list_names(s, req, path, NULL, req->reply);
    if (!err && req->reply->len > XENSTORE_PAYLOAD_MAX) {
        return E2BIG;
    }
    return err;
}

/* The generation count, then names from an offset on; "" after the last one */
static int do_directory_part(XenPVXenstoreState *s, Request *req)
{
    g_autoptr(GByteArray) names = g_byte_array_new();
    g_autofree char *path = NULL, *gen = NULL;
    const char *args[2];
    uint64_t gencnt = 0;
    uint64_t offset;
    size_t room;
    int err;

    if (get_strings(req, args, 2) != 2) {
        return EINVAL;
    }
    path = xenpv_xenstore_path(req->domid, args[0], false);
    if (!path || !args[1][0] ||
        qemu_strtou64(args[1], NULL, 10, &offset)) {
        return EINVAL;
    }
    err = list_names(s, req, path, &gencnt, names);
    if (err) {
        return err;
    }
    gen = g_strdup_printf("%" PRIu64, gencnt);
    reply_string(req, gen);
    room = XENSTORE_PAYLOAD_MAX - req->reply->len - 1;
    while (offset < names->len) {
        size_t len = strnlen((char *)names->data + offset,
                             names->len - offset) + 1;

        if (len > room) {
            return 0;
        }
        reply_data(req, names->data + offset, len);
        offset += len;
        room -= len;
    }
    reply_string(req, "");
    return 0;
}

static int do_read(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = only_path(s, req);
    int err;

    if (!path) {
        return EINVAL;
    }
    err = xs_impl_read(s->impl, req->domid, reads_by(s, req), path, req->reply);
    if (!err && req->reply->len > XENSTORE_PAYLOAD_MAX) {
        return E2BIG;
    }
    return hide_missing(s, req, path, err);
}

static int do_write(XenPVXenstoreState *s, Request *req)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_autofree char *path = NULL;
    size_t len = strlen(req->data) + 1;
    int err;

    /* The value is all that follows the path, and needs no 0 */
    if (len > req->len) {
        return EINVAL;
    }
    path = xenpv_xenstore_path(req->domid, req->data, false);
    if (!path) {
        return EINVAL;
    }
    g_byte_array_append(value, (const uint8_t *)req->data + len,
                        req->len - len);
    err = xenpv_xenstore_write(s, req->domid, req->tx_id, path, value);
    return changed(s, req, path, err);
}

static int do_mkdir(XenPVXenstoreState *s, Request *req)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_autofree char *path = only_path(s, req);
    int err;

    if (!path) {
        return EINVAL;
    }
    err = xs_impl_read(s->impl, req->domid, reads_by(s, req), path, value);
    if (err == ENOENT) {
        err = xenpv_xenstore_write(s, req->domid, req->tx_id, path, value);
    }
    return changed(s, req, path, err);
}

static int do_rm(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = only_path(s, req);
    int err;

    if (!path || !strcmp(path, "/")) {
        return EINVAL;
    }
    err = xenpv_xenstore_rm(s, req->domid, req->tx_id, path);
    if (err == ENOENT) {
        /* No error if only the node itself is missing */
        g_autoptr(GByteArray) value = g_byte_array_new();
        g_autofree char *parent = g_path_get_dirname(path);

        if (!xs_impl_read(s->impl, XENPV_BACKEND_DOMID, reads_by(s, req),
                          parent, value)) {
            err = 0;
        }
    }
    return changed(s, req, path, err);
}

static int do_get_perms(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = only_path(s, req);
    GList *perms = NULL;
    int err;

    if (!path) {
        return EINVAL;
    }
    err = xs_impl_get_perms(s->impl, req->domid, reads_by(s, req), path, &perms);
    for (GList *l = perms; l && !err; l = l->next) {
        reply_string(req, l->data);
    }
    g_list_free_full(perms, g_free);
    return hide_missing(s, req, path, err);
}

static int do_set_perms(XenPVXenstoreState *s, Request *req)
{
    const char *args[1 + PERMS_MAX];
    unsigned n = get_strings(req, args, ARRAY_SIZE(args));
    g_autofree char *path = NULL;
    GList *perms = NULL;
    int err = 0;

    if (n < 2) {
        return EINVAL;
    }
    if (n > ARRAY_SIZE(args)) {
        return ENOSPC;
    }
    path = xenpv_xenstore_path(req->domid, args[0], false);
    if (!path) {
        return EINVAL;
    }
    /* In the store's own form: without what a guest puts after a number */
    for (unsigned i = 1; i < n && !err; i++) {
        unsigned long domid;
        const char *end;

        if (!args[i][0] || !strchr("nrwb", args[i][0]) ||
            qemu_strtoul(args[i] + 1, &end, 10, &domid) ||
            domid > UINT16_MAX) {
            err = EINVAL;
        } else {
            perms = g_list_append(perms, g_strdup_printf("%c%lu", args[i][0],
                                                         domid));
        }
    }
    if (!err) {
        err = xenpv_xenstore_set_perms(s, req->domid, req->tx_id, path, perms);
    }
    g_list_free_full(perms, g_free);
    return changed(s, req, path, err);
}

static XenPVWatch *find_watch(Request *req, const char *path,
                              const char *token)
{
    XenPVWatch *w;

    QTAILQ_FOREACH(w, &req->watches->list, next) {
        if (!strcmp(w->path, path) && !strcmp(w->token, token)) {
            return w;
        }
    }
    return NULL;
}

static int do_watch(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = NULL;
    const char *args[2];
    XenPVWatch *w;
    int err;

    if (get_strings(req, args, 2) != 2) {
        return EINVAL;
    }
    path = xenpv_xenstore_path(req->domid, args[0], true);
    if (!path) {
        return EINVAL;
    }
    if (find_watch(req, path, args[1])) {
        return EEXIST;
    }
    if (req->watches->nr >= GUEST_WATCHES_MAX) {
        return E2BIG;
    }
    w = xenpv_xenstore_add_watch(s, req->watches, req->domid, args[0], &err);
    if (!w) {
        return err;
    }
    w->token = g_strdup(args[1]);
    return reply_ok(req);
}

static int do_unwatch(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = NULL;
    const char *args[2];
    XenPVWatch *w;

    if (get_strings(req, args, 2) != 2) {
        return EINVAL;
    }
    path = xenpv_xenstore_path(req->domid, args[0], true);
    if (!path) {
        return EINVAL;
    }
    w = find_watch(req, path, args[1]);
    if (!w) {
        return ENOENT;
    }
    xenpv_watches_remove(req->watches, w);
    return reply_ok(req);
}

static int do_reset_watches(XenPVXenstoreState *s, Request *req)
{
    xenpv_xenstore_end_transactions(s, req->watches);
    xenpv_xenstore_remove_watches(req->watches);
    return reply_ok(req);
}

static int do_transaction_start(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *id = NULL;
    xs_transaction_t tx;
    int err;

    if (req->tx_id != XBT_NULL) {
        return EBUSY;
    }
    err = xenpv_xenstore_transaction_start(s, req->domid, req->watches, &tx);
    if (err) {
        return err;
    }
    id = g_strdup_printf("%u", tx);
    reply_string(req, id);
    return 0;
}

static int do_transaction_end(XenPVXenstoreState *s, Request *req)
{
    const char *arg;
    int err;

    if (get_strings(req, &arg, 1) != 1 ||
        (strcmp(arg, "T") && strcmp(arg, "F"))) {
        return EINVAL;
    }
    err = xenpv_xenstore_transaction_end(s, req->domid, req->watches,
                                         req->tx_id, arg[0] == 'T');
    return err ?: reply_ok(req);
}

static bool get_domid(Request *req, uint64_t *domid)
{
    const char *arg;

    return get_strings(req, &arg, 1) == 1 &&
           !qemu_strtou64(arg, NULL, 10, domid) && *domid <= UINT16_MAX;
}

static int do_get_domain_path(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = NULL;
    uint64_t domid;

    if (!get_domid(req, &domid)) {
        return EINVAL;
    }
    path = g_strdup_printf("/local/domain/%" PRIu64, domid);
    reply_string(req, path);
    return 0;
}

static int do_is_domain_introduced(XenPVXenstoreState *s, Request *req)
{
    uint64_t domid;

    if (!get_domid(req, &domid)) {
        return EINVAL;
    }
    reply_string(req, domid == XENPV_BACKEND_DOMID || domid == s->domid ?
                      "T" : "F");
    return 0;
}

/* Xen keeps these for its toolstack's domain; here nobody has them */
static int do_privileged(XenPVXenstoreState *s, Request *req)
{
    return EACCES;
}

static int (*const handlers[])(XenPVXenstoreState *s, Request *req) = {
    [XS_CONTROL] = do_privileged,
    [XS_DIRECTORY] = do_directory,
    [XS_READ] = do_read,
    [XS_GET_PERMS] = do_get_perms,
    [XS_WATCH] = do_watch,
    [XS_UNWATCH] = do_unwatch,
    [XS_TRANSACTION_START] = do_transaction_start,
    [XS_TRANSACTION_END] = do_transaction_end,
    [XS_INTRODUCE] = do_privileged,
    [XS_RELEASE] = do_privileged,
    [XS_GET_DOMAIN_PATH] = do_get_domain_path,
    [XS_WRITE] = do_write,
    [XS_MKDIR] = do_mkdir,
    [XS_RM] = do_rm,
    [XS_SET_PERMS] = do_set_perms,
    [XS_IS_DOMAIN_INTRODUCED] = do_is_domain_introduced,
    [XS_RESUME] = do_privileged,
    [XS_SET_TARGET] = do_privileged,
    [XS_RESET_WATCHES] = do_reset_watches,
    [XS_DIRECTORY_PART] = do_directory_part,
};

static int request(XenPVXenstoreState *s, Request *req)
{
    if (req->type >= ARRAY_SIZE(handlers) || !handlers[req->type]) {
        return ENOSYS;
    }
    /* The engine would let domain 0's programs use each other's transactions */
    if (req->domid == XENPV_BACKEND_DOMID && req->tx_id != XBT_NULL &&
        !xenpv_xenstore_owns(s, req->watches, req->tx_id)) {
        return ENOENT;
    }
    return handlers[req->type](s, req);
}

static void put_message(GByteArray *out, uint32_t type, uint32_t req_id,
                        xs_transaction_t tx_id, const void *data, size_t len)
{
    struct xsd_sockmsg hdr = {
        .type = cpu_to_le32(type),
        .req_id = cpu_to_le32(req_id),
        .tx_id = cpu_to_le32(tx_id),
        .len = cpu_to_le32(len),
    };

    assert(len <= XENSTORE_PAYLOAD_MAX);
    g_byte_array_append(out, (const uint8_t *)&hdr, HEADER_SIZE);
    g_byte_array_append(out, data, len);
    trace_xenpv_xenstore_reply(type, req_id, len);
}

void xenpv_xenstore_handle(XenPVXenstoreState *s, unsigned domid,
                           XenPVWatches *watches, uint8_t *in, GByteArray *out)
{
    g_autoptr(GByteArray) reply = g_byte_array_new();
    Request req = { .domid = domid, .watches = watches, .reply = reply };
    struct xsd_sockmsg hdr;
    int err;

    memcpy(&hdr, in, HEADER_SIZE);
    req.type = le32_to_cpu(hdr.type);
    req.req_id = le32_to_cpu(hdr.req_id);
    req.tx_id = le32_to_cpu(hdr.tx_id);
    req.len = le32_to_cpu(hdr.len);
    req.data = (const char *)in + HEADER_SIZE;
    in[HEADER_SIZE + req.len] = 0;
    trace_xenpv_xenstore_request(req.type, req.req_id, req.tx_id, req.len,
                                 req.data);

    err = request(s, &req);
    if (err) {
        const char *name = xsd_errors[0].errstring;     /* EINVAL */

        for (int i = 0; i < ARRAY_SIZE(xsd_errors); i++) {
            if (xsd_errors[i].errnum == err) {
                name = xsd_errors[i].errstring;
            }
        }
        trace_xenpv_xenstore_error(req.req_id, name);
        put_message(out, XS_ERROR, req.req_id, req.tx_id, name,
                    strlen(name) + 1);
    } else {
        put_message(out, req.type, req.req_id, req.tx_id, reply->data,
                    reply->len);
    }
}

bool xenpv_xenstore_event(XenPVWatches *watches, GByteArray *out)
{
    g_autofree char *path = NULL;
    XenPVWatch *w = xenpv_watches_next(watches, &path);

    if (w) {
        const char *name = path + w->prefix;
        size_t name_size = strlen(name) + 1;
        size_t token_size = strlen(w->token) + 1;

        if (name_size + token_size <= XENSTORE_PAYLOAD_MAX) {
            g_autofree char *data = g_malloc(name_size + token_size);

            memcpy(data, name, name_size);
            memcpy(data + name_size, w->token, token_size);
            put_message(out, XS_WATCH_EVENT, 0, 0, data,
                        name_size + token_size);
            trace_xenpv_xenstore_event(name, w->token);
        }
        return true;
    }
    return xenpv_watches_pending(watches);
}
