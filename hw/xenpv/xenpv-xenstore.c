/*
 * xenstore: the store
 *
 * The store itself is QEMU's xenstore_impl.c, a data structure without watches.
 * Around it are
 *
 *  - xenpv-xenstore.c, this file, which all of the others call and which calls
 *    none of them. Whoever changes the store does so by xenpv_xenstore_write()
 *    and its like, which queue the change in xenpv-watch.c. This file also
 *    remembers what domain 0 writes below the guest's home, because a reset
 *    goes back to that;
 *  - xenpv-xenstore-tree.c: makes what a toolstack makes for a new domain, and
 *    restores it at a reset;
 *  - xenpv-xenstore-requests.c and xenpv-xenstore-ring.c: the wire protocol of
 *    xenstored on the guest's shared page, whose content they do not trust:
 *    docs/misc/xenstore.txt and xenstore-ring.txt of Xen;
 *  - xenpv-xenstore-backend.c: the operations by which QEMU's back ends use the
 *    store, as domain 0;
 *  - xenpv-xenstore-socket.c: the same for the host's programs, by the wire
 *    protocol on a UNIX socket;
 *  - xenpv-xenstore-state.c: saving and loading;
 *  - xenpv-xenstore-device.c: the device, which initialises all of these.
 *
 * Nothing that a guest does makes this grow without bound or take long. The
 * guest gets what xenstore_impl.c allows (XS_MAX_DOMAIN_NODES,
 * XS_MAX_NODE_SIZE, XS_MAX_TRANSACTIONS) and the limits in xenpv-xenstore.h. A
 * request is looked at only when the answer to the one before it is out, and
 * the back ends have been told of what that one changed: so a guest that does
 * not read is not heard, and the back ends' queue holds the changes of one
 * request. Work that takes longer than RUN_US_MAX goes on in a bottom half.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "xenpv-xenstore.h"
#include "trace.h"

#define VALID_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
                    "0123456789-/_@"

/* ------------------------------------------------------------------------- */
/* Paths                                                                      */

/*
 * Returns a path's absolute form, or NULL if it is not valid. Only watches may
 * be on the special ones, which begin with an @.
 */
char *xenpv_xenstore_path(unsigned domid, const char *path, bool special)
{
    size_t len = strlen(path);

    if (!len || len > XENSTORE_ABS_PATH_MAX ||
        strspn(path, VALID_CHARS) != len ||
        (len > 1 && path[len - 1] == '/') || strstr(path, "//")) {
        return NULL;
    }
    if (path[0] == '@') {
        return special ? g_strdup(path) : NULL;
    }
    if (strchr(path, '@')) {
        return NULL;
    }
    if (path[0] == '/') {
        return g_strdup(path);
    }
    if (len > XENSTORE_REL_PATH_MAX) {
        return NULL;
    }
    return g_strdup_printf("/local/domain/%u/%s", domid, path);
}

bool xenpv_xenstore_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

/* ------------------------------------------------------------------------- */
/* Watches                                                                    */

/*
 * Queue a change of a node. The back ends' queue has no limit, and domain 0 may
 * change much at once, so it only gets what a back end watches.
 */
static void changed(XenPVXenstoreState *s, const char *path, bool removed)
{
    XenPVConnection *c;

    if (!s->hushed) {
        xenpv_watches_changed(&s->guest_watches, path, removed);
    }
    QTAILQ_FOREACH(c, &s->connections, next) {
        xenpv_watches_changed(&c->watches, path, removed);
        if (xenpv_watches_pending(&c->watches)) {
            qemu_bh_schedule(c->bh);
        }
    }
    if (xenpv_watches_pending(&s->guest_watches)) {
        qemu_bh_schedule(s->ring_bh);
    }
    if (xenpv_watches_match(&s->be_watches, path, removed)) {
        xenpv_watches_changed(&s->be_watches, path, removed);
        qemu_bh_schedule(s->be_bh);
    }
}

void xenpv_xenstore_hush(XenPVXenstoreState *s, bool on)
{
    s->hushed = on;
}

/* A change in a transaction is kept with it until it is committed */
static void changed_in(XenPVXenstoreState *s, xs_transaction_t t,
                       const char *path, bool removed)
{
    Tx *tx;

    if (t == XBT_NULL) {
        changed(s, path, removed);
        return;
    }
    tx = g_hash_table_lookup(s->txs, GUINT_TO_POINTER(t));
    if (tx) {
        xenpv_changes_add(&tx->changes, path, removed, 0);
    }
}

bool xenpv_xenstore_note_committed(XenPVXenstoreState *s)
{
    g_autofree XenPVChange *change = xenpv_changes_pop(&s->committed);

    if (change) {
        changed(s, change->path, change->removed);
    }
    return change;
}

XenPVWatch *xenpv_xenstore_add_watch(XenPVXenstoreState *s, XenPVWatches *ws,
                                     unsigned domid, const char *path, int *err)
{
    g_autofree char *abspath = xenpv_xenstore_path(domid, path, true);

    if (!abspath) {
        *err = EINVAL;
        return NULL;
    }
    return xenpv_watches_add(ws, abspath, strlen(abspath) - strlen(path));
}

void xenpv_xenstore_remove_watches(XenPVWatches *ws)
{
    XenPVWatch *w, *next;

    QTAILQ_FOREACH_SAFE(w, &ws->list, next, next) {
        xenpv_watches_remove(ws, w);
    }
    xenpv_watches_forget(ws);
}

bool xenpv_xenstore_back_ends_know(XenPVXenstoreState *s)
{
    if (xenpv_watches_pending(&s->be_watches) || s->delivering) {
        s->ring_waits = true;
        return false;
    }
    return true;
}

/* Tell the back ends until it is late; false: there is more to tell */
static bool deliver(XenPVXenstoreState *s, int64_t until)
{
    bool done = false;

    if (s->delivering) {
        return true;
    }
    s->delivering = true;
    while (!done && !xenpv_xenstore_is_late(until)) {
        g_autofree char *path = NULL;
        XenPVWatch *w;

        if (xenpv_xenstore_note_committed(s)) {
            continue;
        }
        w = xenpv_watches_next(&s->be_watches, &path);
        if (w) {
            trace_xenpv_xenstore_be_event(path + w->prefix);
            /* This may remove this watch, or others, or add some */
            w->fn(w->opaque, path + w->prefix);
        } else {
            done = !xenpv_watches_pending(&s->be_watches);
        }
    }
    s->delivering = false;
    if (done && s->ring_waits) {
        XenPVConnection *c;

        s->ring_waits = false;
        qemu_bh_schedule(s->ring_bh);
        QTAILQ_FOREACH(c, &s->connections, next) {
            qemu_bh_schedule(c->bh);
        }
    }
    return done;
}

void xenpv_xenstore_flush(XenPVXenstoreState *s)
{
    deliver(s, INT64_MAX);
}

static void be_events_bh(void *opaque)
{
    XenPVXenstoreState *s = opaque;

    if (!deliver(s, xenpv_xenstore_run_until())) {
        qemu_bh_schedule(s->be_bh);
    }
}

/* ------------------------------------------------------------------------- */
/* Changing the store: a positive errno                                       */

static bool is_doomed(XenPVXenstoreState *s, xs_transaction_t t)
{
    Tx *tx = g_hash_table_lookup(s->txs, GUINT_TO_POINTER(t));

    return tx && tx->doomed;
}

xs_transaction_t xenpv_xenstore_reads_by(XenPVXenstoreState *s,
                                         xs_transaction_t t)
{
    return is_doomed(s, t) ? XBT_NULL : t;
}

/* May this transaction change another node? A back end's always may. */
static bool tx_has_room(XenPVXenstoreState *s, xs_transaction_t t)
{
    Tx *tx = g_hash_table_lookup(s->txs, GUINT_TO_POINTER(t));

    return !tx || !tx->owner ||
           xenpv_changes_count(&tx->changes) < TX_CHANGES_MAX;
}

int xenpv_xenstore_write(XenPVXenstoreState *s, unsigned domid,
                         xs_transaction_t tx, const char *path,
                         GByteArray *value)
{
    int err;

    if (!tx_has_room(s, tx)) {
        return ENOSPC;
    }
    if (is_doomed(s, tx)) {
        return 0;
    }
    err = xs_impl_write(s->impl, domid, tx, path, value);
    if (!err) {
        changed_in(s, tx, path, false);
    }
    return err;
}

int xenpv_xenstore_rm(XenPVXenstoreState *s, unsigned domid,
                      xs_transaction_t tx, const char *path)
{
    int err;

    if (!tx_has_room(s, tx)) {
        return ENOSPC;
    }
    if (is_doomed(s, tx)) {
        return 0;
    }
    err = xs_impl_rm(s->impl, domid, tx, path);
    if (!err) {
        changed_in(s, tx, path, true);
    }
    return err;
}

int xenpv_xenstore_set_perms(XenPVXenstoreState *s, unsigned domid,
                             xs_transaction_t tx, const char *path,
                             GList *perms)
{
    int err;

    if (!tx_has_room(s, tx)) {
        return ENOSPC;
    }
    if (is_doomed(s, tx)) {
        return 0;
    }
    err = xs_impl_set_perms(s->impl, domid, tx, path, perms);
    if (!err) {
        changed_in(s, tx, path, false);
    }
    return err;
}

/* ------------------------------------------------------------------------- */
/* Domain 0's nodes, which are remembered                                     */

static void free_node(void *opaque)
{
    Node *node = opaque;

    g_byte_array_unref(node->value);
    g_list_free_full(node->perms, g_free);
    g_free(node);
}

GByteArray *xenpv_xenstore_read_node(XenPVXenstoreState *s, const char *path)
{
    GByteArray *value = g_byte_array_new();

    if (xs_impl_read(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path, value)) {
        g_byte_array_unref(value);
        return NULL;
    }
    return value;
}

static Node *remember(XenPVXenstoreState *s, const char *path)
{
    Node *node;

    if (!xenpv_xenstore_below(path, s->home)) {
        return NULL;
    }
    node = g_hash_table_lookup(s->toolstack, path);
    if (!node) {
        node = g_new0(Node, 1);
        node->value = g_byte_array_new();
        g_hash_table_insert(s->toolstack, g_strdup(path), node);
    }
    return node;
}

void xenpv_xenstore_remember(XenPVXenstoreState *s, const char *path,
                             GByteArray *value, GList *perms)
{
    Node *node = remember(s, path);

    if (!node) {
        g_byte_array_unref(value);
        g_list_free_full(perms, g_free);
        return;
    }
    g_byte_array_unref(node->value);
    node->value = value;
    g_list_free_full(node->perms, g_free);
    node->perms = perms;
}

int xenpv_xenstore_write_node(XenPVXenstoreState *s, xs_transaction_t tx,
                              const char *path, const void *data, size_t len)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    Node *node;
    int err;

    g_byte_array_append(value, data, len);
    err = xenpv_xenstore_write(s, XENPV_BACKEND_DOMID, tx, path, value);
    if (!err && tx == XBT_NULL) {
        node = remember(s, path);
        if (node) {
            g_byte_array_unref(node->value);
            node->value = g_byte_array_ref(value);
        }
    }
    return err;
}

int xenpv_xenstore_set_node_perms(XenPVXenstoreState *s, xs_transaction_t tx,
                                  const char *path, unsigned owner,
                                  unsigned domid, unsigned perms)
{
    GList *list = NULL;
    Node *node;
    int err;

    list = g_list_append(list, xs_perm_as_string(XS_PERM_NONE, owner));
    if (domid != owner) {
        list = g_list_append(list, xs_perm_as_string(perms, domid));
    }
    err = xenpv_xenstore_set_perms(s, XENPV_BACKEND_DOMID, tx, path, list);
    node = !err && tx == XBT_NULL ? remember(s, path) : NULL;
    if (node) {
        g_list_free_full(node->perms, g_free);
        node->perms = list;
    } else {
        g_list_free_full(list, g_free);
    }
    return err;
}

static void forget(XenPVXenstoreState *s, const char *path)
{
    GHashTableIter iter;
    void *key;

    if (xenpv_xenstore_below(path, s->home)) {
        g_hash_table_iter_init(&iter, s->toolstack);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
            if (xenpv_xenstore_below(key, path)) {
                g_hash_table_iter_remove(&iter);
            }
        }
    }
}

int xenpv_xenstore_rm_node(XenPVXenstoreState *s, xs_transaction_t tx,
                           const char *path)
{
    int err = xenpv_xenstore_rm(s, XENPV_BACKEND_DOMID, tx, path);

    if (!err && tx == XBT_NULL) {
        forget(s, path);
    }
    return err;
}

/* Domain 0 asks the guest for something by these once, not at each start */
static bool is_request(XenPVXenstoreState *s, const char *path)
{
    return xenpv_xenstore_below(path, s->home) &&
           (!strcmp(path + strlen(s->home), "/control/shutdown") ||
            !strcmp(path + strlen(s->home), "/control/sysrq"));
}

void xenpv_xenstore_remember_now(XenPVXenstoreState *s, const char *path)
{
    GByteArray *value;
    GList *perms = NULL;

    if (is_request(s, path)) {
        return;
    }
    value = xenpv_xenstore_read_node(s, path);
    if (!value) {
        forget(s, path);
        return;
    }
    xs_impl_get_perms(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path, &perms);
    xenpv_xenstore_remember(s, path, value, perms);
}

/* ------------------------------------------------------------------------- */
/* Transactions                                                               */

static void free_tx(void *opaque)
{
    Tx *tx = opaque;

    xenpv_changes_destroy(&tx->changes);
    g_free(tx);
}

static Tx *add_tx(XenPVXenstoreState *s, unsigned domid,
                  const XenPVWatches *owner, xs_transaction_t t)
{
    Tx *tx = g_new0(Tx, 1);

    tx->domid = domid;
    tx->owner = owner;
    xenpv_changes_init(&tx->changes);
    g_hash_table_insert(s->txs, GUINT_TO_POINTER(t), tx);
    return tx;
}

bool xenpv_xenstore_owns(XenPVXenstoreState *s, const XenPVWatches *owner,
                         xs_transaction_t t)
{
    Tx *tx = g_hash_table_lookup(s->txs, GUINT_TO_POINTER(t));

    return tx && tx->owner == owner;
}

static bool has_too_many(XenPVXenstoreState *s, const XenPVWatches *owner)
{
    GHashTableIter iter;
    unsigned nr = 0;
    void *tx;

    g_hash_table_iter_init(&iter, s->txs);
    while (g_hash_table_iter_next(&iter, NULL, &tx)) {
        nr += ((Tx *)tx)->owner == owner;
    }
    return nr >= TXS_MAX;
}

int xenpv_xenstore_transaction_start(XenPVXenstoreState *s, unsigned domid,
                                     const XenPVWatches *owner,
                                     xs_transaction_t *t)
{
    int err;

    if (owner && domid == XENPV_BACKEND_DOMID && has_too_many(s, owner)) {
        return ENOSPC;
    }
    do {
        *t = XBT_NULL;
        err = xs_impl_transaction_start(s->impl, domid, t);
        if (err) {
            return err;
        }
        if (!is_doomed(s, *t)) {
            add_tx(s, domid, owner, *t);
            return 0;
        }
        /* The engine does not know doomed ones, and reused one's number */
        xs_impl_transaction_end(s->impl, domid, *t, false);
    } while (true);
}

void xenpv_xenstore_add_doomed(XenPVXenstoreState *s, xs_transaction_t t)
{
    add_tx(s, s->domid, &s->guest_watches, t)->doomed = true;
}

/* Remember what a program of domain 0 has changed as the toolstack's */
static void remember_changes(XenPVXenstoreState *s, const XenPVChanges *changes)
{
    XenPVChange *change;

    QSIMPLEQ_FOREACH(change, &changes->queue, next) {
        xenpv_xenstore_remember_now(s, change->path);
    }
}

int xenpv_xenstore_transaction_end(XenPVXenstoreState *s, unsigned domid,
                                   const XenPVWatches *owner,
                                   xs_transaction_t t, bool commit)
{
    Tx *tx = g_hash_table_lookup(s->txs, GUINT_TO_POINTER(t));
    int err;

    if (!tx || tx->domid != domid || tx->owner != owner) {
        return ENOENT;
    }
    if (tx->doomed) {
        g_hash_table_remove(s->txs, GUINT_TO_POINTER(t));
        return commit ? EAGAIN : 0;
    }
    err = xs_impl_transaction_end(s->impl, domid, t, commit);
    if (commit && !err) {
        if (owner && domid == XENPV_BACKEND_DOMID) {
            remember_changes(s, &tx->changes);
        }
        /* One may still be under way: only the guest waits for that */
        while (xenpv_xenstore_note_committed(s)) {
            continue;
        }
        xenpv_changes_move(&s->committed, &tx->changes);
        qemu_bh_schedule(s->be_bh);
    }
    g_hash_table_remove(s->txs, GUINT_TO_POINTER(t));
    return err;
}

void xenpv_xenstore_end_transactions(XenPVXenstoreState *s,
                                     const XenPVWatches *owner)
{
    GHashTableIter iter;
    void *id, *tx;

    g_hash_table_iter_init(&iter, s->txs);
    while (g_hash_table_iter_next(&iter, &id, &tx)) {
        if (((Tx *)tx)->owner == owner) {
            if (!((Tx *)tx)->doomed) {
                xs_impl_transaction_end(s->impl, ((Tx *)tx)->domid,
                                        GPOINTER_TO_UINT(id), false);
            }
            g_hash_table_iter_remove(&iter);
        }
    }
}

/* ------------------------------------------------------------------------- */
/* The beginning                                                              */

void xenpv_xenstore_init_store(XenPVXenstoreState *s)
{
    s->impl = xs_impl_create(s->domid);
    s->home = g_strdup_printf("/local/domain/%u", s->domid);
    s->toolstack = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                         free_node);
    s->txs = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                   free_tx);
    xenpv_changes_init(&s->committed);
    xenpv_watches_init(&s->be_watches, 0);
    xenpv_watches_init(&s->guest_watches, GUEST_CHANGES_MAX);
    QTAILQ_INIT(&s->connections);
    /*
     * Not in the main AioContext: a back end that reacts to its front end may
     * wait there for the block layer, and must not be entered again meanwhile
     */
    s->be_bh = aio_bh_new(iohandler_get_aio_context(), be_events_bh, s);
}
