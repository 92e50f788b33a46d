/*
 * xenstore: the guest's ring, the toolstack's tree, and the back ends' view
 *
 * The store itself is QEMU's xenstore_impl.c, a data structure. Around it are
 * here
 *
 *  - the wire protocol of xenstored on the guest's shared page, of which
 *    nothing is trusted: docs/misc/xenstore.txt and xenstore-ring.txt of Xen;
 *  - the operations by which QEMU's back ends use the store, as domain 0;
 *  - watches of both. All that changes the store goes through write_store()
 *    and its like, which note for xenpv-watch.c what has changed; the store
 *    itself has no watches;
 *  - the tree that a toolstack makes for a new domain. All that domain 0
 *    writes below the guest's home is remembered, and a reset goes back to it.
 *
 * Nothing here grows, or takes long, for anything that a guest does. It has
 * what xenstore_impl.c allows (XS_MAX_DOMAIN_NODES, XS_MAX_NODE_SIZE,
 * XS_MAX_TRANSACTIONS) and the limits below. Before a request is looked at,
 * the answer to the one before it is out, and the back ends have been told of
 * what it has changed: so a guest that does not read is not heard, and what is
 * queued for the back ends comes from one request. What takes longer than
 * RUN_US_MAX goes on in a bottom half.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "block/aio.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/xenpv/xenpv-messages.h"
#include "system/runstate.h"
#include "xenpv-xenstore.h"
#include "trace.h"

#define VALID_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
                    "0123456789-/_@"

/*
 * How long the guest's requests and events, or those of the back ends, are
 * worked on before others get their turn. One request, or one event, is begun
 * within that time; none takes more than a few milliseconds.
 */
#define RUN_US_MAX          1000
/*
 * How long after the ring was used it is looked at once more. Linux's
 * xb_write() has no barrier between its store of req_prod and its look at
 * req_cons: it may take the ring for not empty, and send no event, while ours
 * cannot see what it added. xenstored looks at all rings again before it
 * sleeps, which hides that.
 */
#define LOOK_AGAIN_MS       1
/* Where the back ends of all kinds are, a directory for each device */
#define BACKENDS            "/local/domain/0/backend"


/* As the back ends' operations have no argument for it */
static XenPVXenstoreState *xenstore;

/* ------------------------------------------------------------------------- */
/* Paths                                                                      */

/*
 * The absolute form of a path, or NULL if it is not valid. Only watches may
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

static bool below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

/* ------------------------------------------------------------------------- */
/* Watches                                                                    */

static int64_t run_until(void)
{
    return g_get_monotonic_time() + RUN_US_MAX;
}

static bool is_late(int64_t until)
{
    return g_get_monotonic_time() >= until;
}

/*
 * A node of the store has changed. What is noted for the back ends is only
 * what they watch: domain 0 may change much at once, and there is no limit.
 */
static void changed(XenPVXenstoreState *s, const char *path, bool removed)
{
    xenpv_watches_changed(&s->guest_watches, path, removed);
    if (xenpv_watches_pending(&s->guest_watches)) {
        qemu_bh_schedule(s->ring_bh);
    }
    if (xenpv_watches_match(&s->be_watches, path, removed)) {
        xenpv_watches_changed(&s->be_watches, path, removed);
        qemu_bh_schedule(s->be_bh);
    }
}

/* In a transaction: now for it, and for others when it is done */
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

/* A step of what a transaction has changed: is there more? */
static bool note_committed(XenPVXenstoreState *s)
{
    g_autofree XenPVChange *change = xenpv_changes_pop(&s->committed);

    if (change) {
        changed(s, change->path, change->removed);
    }
    return change;
}

/* NULL, and a positive errno in err, if it cannot be */
static XenPVWatch *add_watch(XenPVXenstoreState *s, XenPVWatches *ws,
                             unsigned domid, const char *path, int *err)
{
    g_autofree char *abspath = xenpv_xenstore_path(domid, path, true);

    if (!abspath) {
        *err = EINVAL;
        return NULL;
    }
    return xenpv_watches_add(ws, abspath, strlen(abspath) - strlen(path));
}

static void remove_guest_watches(XenPVXenstoreState *s)
{
    XenPVWatch *w, *next;

    QTAILQ_FOREACH_SAFE(w, &s->guest_watches.list, next, next) {
        xenpv_watches_remove(&s->guest_watches, w);
    }
    xenpv_watches_forget(&s->guest_watches);
}

/* Tell the back ends, until a time; false: there is more */
static bool deliver(XenPVXenstoreState *s, int64_t until)
{
    bool done = false;

    if (s->delivering) {
        return true;
    }
    s->delivering = true;
    while (!done && !is_late(until)) {
        g_autofree char *path = NULL;
        XenPVWatch *w;

        if (note_committed(s)) {
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
        s->ring_waits = false;
        qemu_bh_schedule(s->ring_bh);
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

    if (!deliver(s, run_until())) {
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

/* By which transaction of the engine this one reads */
static xs_transaction_t reads_by(XenPVXenstoreState *s, xs_transaction_t t)
{
    return is_doomed(s, t) ? XBT_NULL : t;
}

/* May another node be changed in a transaction of the guest? */
static bool tx_has_room(XenPVXenstoreState *s, unsigned domid,
                        xs_transaction_t t)
{
    Tx *tx = g_hash_table_lookup(s->txs, GUINT_TO_POINTER(t));

    return domid == XENPV_BACKEND_DOMID || !tx ||
           xenpv_changes_count(&tx->changes) < TX_CHANGES_MAX;
}

static int write_store(XenPVXenstoreState *s, unsigned domid,
                       xs_transaction_t tx, const char *path,
                       GByteArray *value)
{
    int err;

    if (!tx_has_room(s, domid, tx)) {
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

static int remove_from_store(XenPVXenstoreState *s, unsigned domid,
                             xs_transaction_t tx, const char *path)
{
    int err;

    if (!tx_has_room(s, domid, tx)) {
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

static int set_perms_in_store(XenPVXenstoreState *s, unsigned domid,
                              xs_transaction_t tx, const char *path,
                              GList *perms)
{
    int err;

    if (!tx_has_room(s, domid, tx)) {
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

static void free_tx(void *opaque)
{
    Tx *tx = opaque;

    xenpv_changes_destroy(&tx->changes);
    g_free(tx);
}

static Tx *add_tx(XenPVXenstoreState *s, unsigned domid, xs_transaction_t t)
{
    Tx *tx = g_new0(Tx, 1);

    tx->domid = domid;
    xenpv_changes_init(&tx->changes);
    g_hash_table_insert(s->txs, GUINT_TO_POINTER(t), tx);
    return tx;
}

static int start_transaction(XenPVXenstoreState *s, unsigned domid,
                             xs_transaction_t *t)
{
    int err;

    do {
        *t = XBT_NULL;
        err = xs_impl_transaction_start(s->impl, domid, t);
        if (err) {
            return err;
        }
        if (!is_doomed(s, *t)) {
            add_tx(s, domid, *t);
            return 0;
        }
        /* The engine does not know of those: it has given one's number anew */
        xs_impl_transaction_end(s->impl, domid, *t, false);
    } while (true);
}

void xenpv_xenstore_add_doomed(XenPVXenstoreState *s, xs_transaction_t t)
{
    add_tx(s, s->domid, t)->doomed = true;
}

/* It is gone then, unless it is not the domain's (ENOENT) */
static int end_transaction(XenPVXenstoreState *s, unsigned domid,
                           xs_transaction_t t, bool commit)
{
    Tx *tx = g_hash_table_lookup(s->txs, GUINT_TO_POINTER(t));
    int err;

    if (!tx || tx->domid != domid) {
        return ENOENT;
    }
    if (tx->doomed) {
        g_hash_table_remove(s->txs, GUINT_TO_POINTER(t));
        return commit ? EAGAIN : 0;
    }
    err = xs_impl_transaction_end(s->impl, domid, t, commit);
    if (commit && !err) {
        /* The guest's come one by one, but domain 0 does not wait */
        while (note_committed(s)) {
        }
        xenpv_changes_move(&s->committed, &tx->changes);
        qemu_bh_schedule(s->be_bh);
    }
    g_hash_table_remove(s->txs, GUINT_TO_POINTER(t));
    return err;
}

static void end_guest_transactions(XenPVXenstoreState *s)
{
    GHashTableIter iter;
    void *id, *tx;

    g_hash_table_iter_init(&iter, s->txs);
    while (g_hash_table_iter_next(&iter, &id, &tx)) {
        if (((Tx *)tx)->domid == s->domid) {
            if (!((Tx *)tx)->doomed) {
                xs_impl_transaction_end(s->impl, s->domid,
                                        GPOINTER_TO_UINT(id), false);
            }
            g_hash_table_iter_remove(&iter);
        }
    }
}

/* ------------------------------------------------------------------------- */
/* The toolstack's tree                                                       */

static void free_node(void *opaque)
{
    Node *node = opaque;

    g_byte_array_unref(node->value);
    g_list_free_full(node->perms, g_free);
    g_free(node);
}

static Node *remember(XenPVXenstoreState *s, const char *path)
{
    Node *node;

    if (!below(path, s->home)) {
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

/* As domain 0: a positive errno */
static int write_node(XenPVXenstoreState *s, xs_transaction_t tx,
                      const char *path, const void *data, size_t len)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    Node *node;
    int err;

    g_byte_array_append(value, data, len);
    err = write_store(s, XENPV_BACKEND_DOMID, tx, path, value);
    if (!err && tx == XBT_NULL) {
        node = remember(s, path);
        if (node) {
            g_byte_array_unref(node->value);
            node->value = g_byte_array_ref(value);
        }
    }
    return err;
}

static int set_node_perms(XenPVXenstoreState *s, xs_transaction_t tx,
                          const char *path, unsigned owner, unsigned domid,
                          unsigned perms)
{
    GList *list = NULL;
    Node *node;
    int err;

    list = g_list_append(list, xs_perm_as_string(XS_PERM_NONE, owner));
    if (domid != owner) {
        list = g_list_append(list, xs_perm_as_string(perms, domid));
    }
    err = set_perms_in_store(s, XENPV_BACKEND_DOMID, tx, path, list);
    node = !err && tx == XBT_NULL ? remember(s, path) : NULL;
    if (node) {
        g_list_free_full(node->perms, g_free);
        node->perms = list;
    } else {
        g_list_free_full(list, g_free);
    }
    return err;
}

static int remove_node(XenPVXenstoreState *s, xs_transaction_t tx,
                       const char *path)
{
    int err = remove_from_store(s, XENPV_BACKEND_DOMID, tx, path);
    GHashTableIter iter;
    void *key;

    if (!err && tx == XBT_NULL && below(path, s->home)) {
        g_hash_table_iter_init(&iter, s->toolstack);
        while (g_hash_table_iter_next(&iter, &key, NULL)) {
            if (below(key, path)) {
                g_hash_table_iter_remove(&iter);
            }
        }
    }
    return err;
}

void xenpv_xenstore_printf(XenPVXenstoreState *s, const char *path,
                           const char *fmt, ...)
{
    g_autofree char *abspath = g_strdup_printf("%s/%s", s->home, path);
    g_autofree char *value = NULL;
    va_list ap;
    int err;

    va_start(ap, fmt);
    value = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    err = write_node(s, XBT_NULL, abspath, value, strlen(value));
    assert(!err);
}

/* A node that the guest may read, or that is its own */
static void G_GNUC_PRINTF(4, 5) make_node(XenPVXenstoreState *s,
                                          const char *path, bool writable,
                                          const char *fmt, ...)
{
    g_autofree char *abspath = path[0] == '/' ? g_strdup(path) :
                               path[0] ? g_strdup_printf("%s/%s", s->home, path)
                                       : g_strdup(s->home);
    g_autofree char *value = NULL;
    va_list ap;
    int err;

    va_start(ap, fmt);
    value = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    err = write_node(s, XBT_NULL, abspath, value, strlen(value));
    assert(!err);
    err = set_node_perms(s, XBT_NULL, abspath,
                         writable ? s->domid : XENPV_BACKEND_DOMID, s->domid,
                         XS_PERM_READ);
    assert(!err);
}

/* What libxl makes for a PV guest */
static void make_tree(XenPVXenstoreState *s)
{
    static const char *const own[] = {
        "device/suspend/event-channel", "control/shutdown",
        "control/feature-suspend", "control/feature-poweroff",
        "control/feature-reboot", "control/sysrq", "data", "drivers",
        "feature", "attr", "error",
    };
    g_autofree char *uuid = qemu_uuid_unparse_strdup(&s->uuid);
    g_autofree char *vm = g_strdup_printf("/vm/%s", uuid);
    g_autofree char *vm_name = g_strdup_printf("%s/name", vm);
    g_autofree char *vm_uuid = g_strdup_printf("%s/uuid", vm);
    static const char dom0_name[] = "Domain-0";

    write_node(s, XBT_NULL, "/tool/xenstored", "", 0);
    write_node(s, XBT_NULL, "/local/domain/0/domid", "0", 1);
    write_node(s, XBT_NULL, "/local/domain/0/name", dom0_name,
               strlen(dom0_name));

    make_node(s, vm, false, "%s", "");
    make_node(s, vm_name, false, "%s", s->name);
    make_node(s, vm_uuid, false, "%s", uuid);

    make_node(s, "", false, "%s", "");
    make_node(s, "vm", false, "%s", vm);
    make_node(s, "name", false, "%s", s->name);
    make_node(s, "domid", false, "%u", s->domid);
    make_node(s, "cpu", false, "%s", "");
    for (uint32_t i = 0; i < s->nr_vcpus; i++) {
        g_autofree char *path = g_strdup_printf("cpu/%u/availability", i);

        make_node(s, path, false, "online");
    }
    make_node(s, "memory", false, "%s", "");
    make_node(s, "memory/static-max", false, "%" PRIu64, s->ram_size / KiB);
    make_node(s, "memory/target", false, "%" PRIu64, s->ram_size / KiB);
    make_node(s, "memory/videomem", false, "0");
    make_node(s, "device", false, "%s", "");
    make_node(s, "control", false, "%s", "");
    make_node(s, "control/platform-feature-multiprocessor-suspend", false,
              "1");
    make_node(s, "control/platform-feature-xs_reset_watches", false, "1");
    make_node(s, "store", false, "%s", "");
    make_node(s, "console", false, "%s", "");
    for (int i = 0; i < ARRAY_SIZE(own); i++) {
        make_node(s, own[i], true, "%s", "");
    }
}

/* ------------------------------------------------------------------------- */
/* Back to it: reset                                                          */

static GByteArray *read_node(XenPVXenstoreState *s, const char *path)
{
    GByteArray *value = g_byte_array_new();

    if (xs_impl_read(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path, value)) {
        g_byte_array_unref(value);
        return NULL;
    }
    return value;
}

/* The nodes of the toolstack, and the directories in which they are */
static GHashTable *toolstacks_paths(XenPVXenstoreState *s)
{
    GHashTable *paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                              NULL);
    GHashTableIter iter;
    void *key;

    g_hash_table_iter_init(&iter, s->toolstack);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        char *path = g_strdup(key);

        while (!g_hash_table_contains(paths, path)) {
            char *parent = g_path_get_dirname(path);

            g_hash_table_add(paths, path);
            path = parent;
        }
        g_free(path);
    }
    return paths;
}

static void remove_guests_nodes(XenPVXenstoreState *s, GHashTable *keep,
                                const char *dir)
{
    GList *names = NULL;

    xs_impl_directory(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, dir, NULL,
                      &names);
    for (GList *l = names; l; l = l->next) {
        g_autofree char *path = g_strdup_printf("%s/%s", dir, (char *)l->data);

        if (g_hash_table_contains(keep, path)) {
            remove_guests_nodes(s, keep, path);
        } else {
            remove_from_store(s, XENPV_BACKEND_DOMID, XBT_NULL, path);
        }
    }
    g_list_free_full(names, g_free);
}

static bool node_is(XenPVXenstoreState *s, const char *path,
                    enum xenbus_state state)
{
    g_autoptr(GByteArray) value = read_node(s, path);

    return value && value->len == 1 && value->data[0] == '0' + state;
}

/*
 * Is what a front end with this state node has told to its back end nothing
 * yet? That is a question to the back end. The front end may have written
 * anything since, or have removed its directory.
 */
static bool is_new(XenPVXenstoreState *s, const char *front_state)
{
    g_autofree char *dir = g_path_get_dirname(front_state);
    g_autofree char *backend = g_strdup_printf("%s/backend", dir);
    g_autofree char *back_state = NULL;
    Node *node = g_hash_table_lookup(s->toolstack, backend);

    if (!node) {
        return false;
    }
    back_state = g_strdup_printf("%.*s/state", (int)node->value->len,
                                 node->value->data);
    return node_is(s, front_state, XenbusStateInitialising) &&
           (node_is(s, back_state, XenbusStateInitialising) ||
            node_is(s, back_state, XenbusStateInitWait));
}

/* The front ends are gone, without having said so */
static void close_front_ends(XenPVXenstoreState *s)
{
    g_autofree char *devices = g_strdup_printf("%s/device", s->home);
    g_autoptr(GByteArray) closed = g_byte_array_new();
    g_autoptr(GPtrArray) states = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    void *key;

    g_byte_array_append(closed, (const uint8_t *)"6", 1);
    g_hash_table_iter_init(&iter, s->toolstack);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (below(key, devices) && g_str_has_suffix(key, "/state")) {
            g_ptr_array_add(states, g_strdup(key));
        }
    }
    for (guint i = 0; i < states->len; i++) {
        const char *path = g_ptr_array_index(states, i);

        if (!is_new(s, path)) {
            write_store(s, XENPV_BACKEND_DOMID, XBT_NULL, path, closed);
        }
    }
    xenpv_xenstore_flush(s);
}

/* Those that it was given, or those of its parent, which has its own again */
static void restore_perms(XenPVXenstoreState *s, const char *path, Node *node)
{
    g_autofree char *parent = g_path_get_dirname(path);
    GList *inherited = NULL;

    if (!node->perms) {
        xs_impl_get_perms(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, parent,
                          &inherited);
    }
    set_perms_in_store(s, XENPV_BACKEND_DOMID, XBT_NULL, path,
                       node->perms ?: inherited);
    g_list_free_full(inherited, g_free);
}

static void restore_tree(XenPVXenstoreState *s)
{
    g_autoptr(GHashTable) keep = toolstacks_paths(s);
    GList *paths = g_hash_table_get_keys(s->toolstack);

    remove_guests_nodes(s, keep, s->home);
    /* A directory comes before what is in it */
    paths = g_list_sort(paths, (GCompareFunc)strcmp);
    for (GList *l = paths; l; l = l->next) {
        Node *node = g_hash_table_lookup(s->toolstack, l->data);
        g_autoptr(GByteArray) value = read_node(s, l->data);

        if (!value || value->len != node->value->len ||
            (value->len && memcmp(value->data, node->value->data,
                                  value->len))) {
            write_store(s, XENPV_BACKEND_DOMID, XBT_NULL, l->data,
                        node->value);
        }
        restore_perms(s, l->data, node);
    }
    g_list_free(paths);
    xenpv_xenstore_flush(s);
}

void xenpv_xenstore_reset_connection(XenPVXenstoreState *s)
{
    end_guest_transactions(s);
    remove_guest_watches(s);
    s->ignored = false;
    s->in_len = 0;
    s->out_len = 0;
    s->out_sent = 0;
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
    close_front_ends(s);
    restore_tree(s);
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
    }
}

/* ------------------------------------------------------------------------- */
/* Requests                                                                   */

typedef struct Request {
    uint32_t type;
    uint32_t req_id;
    xs_transaction_t tx_id;
    uint32_t len;
    const char *data;       /* len bytes, and a 0 after them */

    /* The answer's */
    GByteArray *reply;
    xs_transaction_t reply_tx_id;
} Request;

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

/* The strings of a request, each of which ends with a 0, if there are max */
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

/* The one path that is all of a request; NULL: there is another */
static char *only_path(XenPVXenstoreState *s, Request *req)
{
    const char *path;

    if (get_strings(req, &path, 1) != 1) {
        return NULL;
    }
    return xenpv_xenstore_path(s->domid, path, false);
}

/*
 * That a node does not exist is only for those to know who may read what is
 * next above it. Where that is, is found by halving: a path may have more than
 * a thousand levels.
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
    /* Where what is above it ends: "/", "/local", ... */
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
        parent_err = xs_impl_read(s->impl, s->domid, reads_by(s, req->tx_id), parent, value);
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
    int err = xs_impl_directory(s->impl, s->domid, reads_by(s, req->tx_id), path, gencnt,
                                &items);

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
    path = xenpv_xenstore_path(s->domid, args[0], false);
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
    err = xs_impl_read(s->impl, s->domid, reads_by(s, req->tx_id), path, req->reply);
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
    path = xenpv_xenstore_path(s->domid, req->data, false);
    if (!path) {
        return EINVAL;
    }
    g_byte_array_append(value, (const uint8_t *)req->data + len,
                        req->len - len);
    err = write_store(s, s->domid, req->tx_id, path, value);
    return err ?: reply_ok(req);
}

static int do_mkdir(XenPVXenstoreState *s, Request *req)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_autofree char *path = only_path(s, req);
    int err;

    if (!path) {
        return EINVAL;
    }
    err = xs_impl_read(s->impl, s->domid, reads_by(s, req->tx_id), path, value);
    if (err == ENOENT) {
        err = write_store(s, s->domid, req->tx_id, path, value);
    }
    return err ?: reply_ok(req);
}

static int do_rm(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = only_path(s, req);
    int err;

    if (!path || !strcmp(path, "/")) {
        return EINVAL;
    }
    err = remove_from_store(s, s->domid, req->tx_id, path);
    if (err == ENOENT) {
        /* No error if only the node itself is missing */
        g_autoptr(GByteArray) value = g_byte_array_new();
        g_autofree char *parent = g_path_get_dirname(path);

        if (!xs_impl_read(s->impl, XENPV_BACKEND_DOMID, reads_by(s, req->tx_id), parent,
                          value)) {
            err = 0;
        }
    }
    return err ?: reply_ok(req);
}

static int do_get_perms(XenPVXenstoreState *s, Request *req)
{
    g_autofree char *path = only_path(s, req);
    GList *perms = NULL;
    int err;

    if (!path) {
        return EINVAL;
    }
    err = xs_impl_get_perms(s->impl, s->domid, reads_by(s, req->tx_id), path, &perms);
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
    path = xenpv_xenstore_path(s->domid, args[0], false);
    if (!path) {
        return EINVAL;
    }
    /* As the store writes them itself: not what a guest puts behind a number */
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
        err = set_perms_in_store(s, s->domid, req->tx_id, path, perms);
    }
    g_list_free_full(perms, g_free);
    return err ?: reply_ok(req);
}

static XenPVWatch *find_guest_watch(XenPVXenstoreState *s, const char *path,
                                    const char *token)
{
    XenPVWatch *w;

    QTAILQ_FOREACH(w, &s->guest_watches.list, next) {
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
    path = xenpv_xenstore_path(s->domid, args[0], true);
    if (!path) {
        return EINVAL;
    }
    if (find_guest_watch(s, path, args[1])) {
        return EEXIST;
    }
    if (s->guest_watches.nr >= GUEST_WATCHES_MAX) {
        return E2BIG;
    }
    w = add_watch(s, &s->guest_watches, s->domid, args[0], &err);
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
    path = xenpv_xenstore_path(s->domid, args[0], true);
    if (!path) {
        return EINVAL;
    }
    w = find_guest_watch(s, path, args[1]);
    if (!w) {
        return ENOENT;
    }
    xenpv_watches_remove(&s->guest_watches, w);
    return reply_ok(req);
}

static int do_reset_watches(XenPVXenstoreState *s, Request *req)
{
    end_guest_transactions(s);
    remove_guest_watches(s);
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
    err = start_transaction(s, s->domid, &tx);
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
    err = end_transaction(s, s->domid, req->tx_id, arg[0] == 'T');
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

/* For the toolstack's domain alone */
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

/* ------------------------------------------------------------------------- */
/* The ring                                                                   */

static void put_message(XenPVXenstoreState *s, uint32_t type, uint32_t req_id,
                        xs_transaction_t tx_id, const void *data, size_t len)
{
    struct xsd_sockmsg hdr = {
        .type = cpu_to_le32(type),
        .req_id = cpu_to_le32(req_id),
        .tx_id = cpu_to_le32(tx_id),
        .len = cpu_to_le32(len),
    };

    assert(len <= XENSTORE_PAYLOAD_MAX);
    memcpy(s->out, &hdr, HEADER_SIZE);
    if (len) {
        memcpy(s->out + HEADER_SIZE, data, len);
    }
    s->out_len = HEADER_SIZE + len;
    s->out_sent = 0;
    trace_xenpv_xenstore_reply(type, req_id, len);
}

static void handle_request(XenPVXenstoreState *s)
{
    g_autoptr(GByteArray) reply = g_byte_array_new();
    struct xsd_sockmsg hdr;
    Request req = { .reply = reply };
    int err = ENOSYS;

    memcpy(&hdr, s->in, HEADER_SIZE);
    req.type = le32_to_cpu(hdr.type);
    req.req_id = le32_to_cpu(hdr.req_id);
    req.tx_id = le32_to_cpu(hdr.tx_id);
    req.len = le32_to_cpu(hdr.len);
    req.data = (const char *)s->in + HEADER_SIZE;
    s->in[HEADER_SIZE + req.len] = 0;
    trace_xenpv_xenstore_request(req.type, req.req_id, req.tx_id, req.len,
                                 req.data);

    if (req.type < ARRAY_SIZE(handlers) && handlers[req.type]) {
        err = handlers[req.type](s, &req);
    }
    s->in_len = 0;
    if (err) {
        const char *name = xsd_errors[0].errstring;     /* EINVAL */

        for (int i = 0; i < ARRAY_SIZE(xsd_errors); i++) {
            if (xsd_errors[i].errnum == err) {
                name = xsd_errors[i].errstring;
            }
        }
        trace_xenpv_xenstore_error(req.req_id, name);
        put_message(s, XS_ERROR, req.req_id, req.tx_id, name,
                    strlen(name) + 1);
    } else {
        put_message(s, req.type, req.req_id, req.tx_id, reply->data,
                    reply->len);
    }
}

/*
 * A step of telling the guest, out of which a message may come: is there more
 * to tell? What is too long for a message is left out.
 */
static bool put_event(XenPVXenstoreState *s)
{
    g_autofree char *path = NULL;
    XenPVWatch *w = xenpv_watches_next(&s->guest_watches, &path);

    if (w) {
        const char *name = path + w->prefix;
        size_t name_size = strlen(name) + 1;
        size_t token_size = strlen(w->token) + 1;

        if (name_size + token_size <= XENSTORE_PAYLOAD_MAX) {
            g_autofree char *data = g_malloc(name_size + token_size);

            memcpy(data, name, name_size);
            memcpy(data + name_size, w->token, token_size);
            put_message(s, XS_WATCH_EVENT, 0, 0, data,
                        name_size + token_size);
            trace_xenpv_xenstore_event(name, w->token);
        }
        return true;
    }
    return xenpv_watches_pending(&s->guest_watches);
}

static void violation(XenPVXenstoreState *s, uint32_t error)
{
    trace_xenpv_xenstore_fatal(error);
    s->ignored = true;
    qatomic_set(&s->ring->error, cpu_to_le32(error));
}

/*
 * Copy to the ring what fits of what is waiting: the number of bytes.
 *
 * A guest only says that it has taken something if it saw the ring full; and
 * likewise in the other direction, if it saw the ring empty when it added
 * something. So the other index is read once more after ours is visible, and
 * by run_ring() yet again a little later.
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
        /* The bytes before their index */
        smp_wmb();
        prod += len;
        qatomic_set(&s->ring->rsp_prod, cpu_to_le32(prod));
        /* Our index before the guest's is read again */
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

/* How much a message that has begun to come in still wants */
static uint32_t wanted(XenPVXenstoreState *s)
{
    struct xsd_sockmsg hdr;

    if (s->in_len < HEADER_SIZE) {
        return HEADER_SIZE - s->in_len;
    }
    memcpy(&hdr, s->in, HEADER_SIZE);
    return HEADER_SIZE + le32_to_cpu(hdr.len) - s->in_len;
}

/*
 * Take from the ring what is there of one message: the number of bytes. See
 * ring_put() for why the guest's index is read again.
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
        /* The bytes were there before the index said so */
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
            /* Our index before the guest's is read again */
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
    /* The new indexes before the word that they are */
    smp_wmb();
    qatomic_set(&s->ring->connection, cpu_to_le32(XENSTORE_CONNECTED));
}

/* Have the back ends been told of what the guest has done? */
static bool back_ends_know(XenPVXenstoreState *s)
{
    s->ring_waits = xenpv_watches_pending(&s->be_watches) || s->delivering;
    return !s->ring_waits;
}

/*
 * An answer has to go before the next request is looked at, which bounds what
 * a guest that never reads can have waiting for it. Events come after answers:
 * some guests expect none between a request and its answer.
 */
static void run_ring(XenPVXenstoreState *s)
{
    int64_t until = run_until();
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
        if (is_late(until)) {
            qemu_bh_schedule(s->ring_bh);
            break;
        }
        if (note_committed(s)) {
            continue;
        }
        if (back_ends_know(s)) {
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
    /* What was read has moved an index, too */
    xenpv_memory_written(s->ring, sizeof(*s->ring));
    if (notify) {
        timer_mod(s->ring_timer,
                  qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + LOOK_AGAIN_MS);
        if (s->port) {
            qemu_xen_evtchn_notify(s->eh, s->port);
        }
    }
}

/* Also the timer's */
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

/* ------------------------------------------------------------------------- */
/* For the back ends                                                          */

static bool set_errno(int err)
{
    if (err) {
        errno = err;
    }
    return !err;
}

static struct qemu_xs_handle *be_open(void)
{
    struct qemu_xs_handle *h = g_new0(struct qemu_xs_handle, 1);

    h->store = xenstore;
    return h;
}

static void be_close(struct qemu_xs_handle *h)
{
    XenPVWatch *w, *next;

    QTAILQ_FOREACH_SAFE(w, &h->store->be_watches.list, next, next) {
        if (w->h == h) {
            xenpv_watches_remove(&h->store->be_watches, w);
        }
    }
    g_free(h);
}

static char *be_get_domain_path(struct qemu_xs_handle *h, unsigned int domid)
{
    return g_strdup_printf("/local/domain/%u", domid);
}

static char *be_path(const char *path)
{
    char *abspath = xenpv_xenstore_path(XENPV_BACKEND_DOMID, path, false);

    if (!abspath) {
        errno = EINVAL;
    }
    return abspath;
}

/* The names in a directory of the toolstack's tree */
static GList *toolstacks_names(XenPVXenstoreState *s, const char *dir)
{
    size_t len = strlen(dir) + 1;
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal,
                                                        g_free, NULL);
    GHashTableIter iter;
    GList *list = NULL;
    void *key;

    g_hash_table_iter_init(&iter, s->toolstack);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const char *path = key;

        if (below(path, dir) && path[len - 1]) {
            g_hash_table_add(names, g_strndup(path + len,
                                              strcspn(path + len, "/")));
        }
    }
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        list = g_list_prepend(list, g_strdup(key));
    }
    return g_list_sort(list, (GCompareFunc)strcmp);
}

/*
 * Of the guest's tree a back end sees what domain 0 has made: by that it tells
 * which numbers of devices are free, and the guest may have removed some.
 *
 * As libxenstore's, the list has its names behind it, in the one block that the
 * caller frees.
 */
static char **be_directory(struct qemu_xs_handle *h, xs_transaction_t t,
                           const char *path, unsigned int *num)
{
    g_autofree char *abspath = be_path(path);
    GList *items = NULL;
    unsigned n = 0;
    int err = 0;
    size_t size = 0;
    char **list, *at;

    if (!abspath) {
        return NULL;
    }
    if (below(abspath, h->store->home)) {
        items = toolstacks_names(h->store, abspath);
        err = items ? 0 : ENOENT;
    } else {
        err = xs_impl_directory(h->store->impl, XENPV_BACKEND_DOMID, t, abspath,
                                NULL, &items);
    }
    if (!set_errno(err)) {
        return NULL;
    }
    for (GList *l = items; l; l = l->next) {
        size += sizeof(char *) + strlen(l->data) + 1;
        n++;
    }
    /* Not NULL, which is an error, if there are none */
    list = g_malloc(size + 1);
    at = (char *)(list + n);
    *num = n;
    n = 0;
    for (GList *l = items; l; l = l->next) {
        list[n++] = at;
        at = stpcpy(at, l->data) + 1;
    }
    g_list_free_full(items, g_free);
    return list;
}

/* There is a 0 after the value, which the caller frees */
static void *be_read(struct qemu_xs_handle *h, xs_transaction_t t,
                     const char *path, unsigned int *len)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_autofree char *abspath = be_path(path);

    if (!abspath ||
        !set_errno(xs_impl_read(xenstore->impl, XENPV_BACKEND_DOMID, t,
                                abspath, value))) {
        return NULL;
    }
    if (len) {
        *len = value->len;
    }
    g_byte_array_append(value, (const uint8_t *)"", 1);
    return g_memdup2(value->data, value->len);
}

static bool be_write(struct qemu_xs_handle *h, xs_transaction_t t,
                     const char *path, const void *data, unsigned int len)
{
    g_autofree char *abspath = be_path(path);

    return abspath && set_errno(write_node(xenstore, t, abspath, data, len));
}

static bool be_create(struct qemu_xs_handle *h, xs_transaction_t t,
                      unsigned int owner, unsigned int domid,
                      unsigned int perms, const char *path)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    g_autofree char *abspath = be_path(path);
    int err;

    if (!abspath) {
        return false;
    }
    err = xs_impl_read(xenstore->impl, XENPV_BACKEND_DOMID, t, abspath, value);
    if (err == ENOENT) {
        err = write_node(xenstore, t, abspath, "", 0);
    } else if (!err && below(abspath, BACKENDS)) {
        /* Another device has it */
        err = EEXIST;
    }
    if (!err) {
        err = set_node_perms(xenstore, t, abspath, owner, domid, perms);
    }
    return set_errno(err);
}

static bool be_destroy(struct qemu_xs_handle *h, xs_transaction_t t,
                       const char *path)
{
    g_autofree char *abspath = be_path(path);
    int err;

    if (!abspath) {
        return false;
    }
    err = remove_node(xenstore, t, abspath);
    /* The guest may have removed it: xs_rm() does not mind either */
    return set_errno(err == ENOENT ? 0 : err);
}

static struct qemu_xs_watch *be_watch(struct qemu_xs_handle *h,
                                      const char *path, xs_watch_fn fn,
                                      void *opaque)
{
    XenPVWatch *w;
    int err;

    w = add_watch(xenstore, &xenstore->be_watches, XENPV_BACKEND_DOMID, path,
                  &err);
    if (!w) {
        errno = err;
        return NULL;
    }
    w->h = h;
    w->fn = fn;
    w->opaque = opaque;
    qemu_bh_schedule(xenstore->be_bh);
    return (struct qemu_xs_watch *)w;
}

static void be_unwatch(struct qemu_xs_handle *h, struct qemu_xs_watch *w)
{
    xenpv_watches_remove(&h->store->be_watches, (XenPVWatch *)w);
}

static xs_transaction_t be_transaction_start(struct qemu_xs_handle *h)
{
    xs_transaction_t tx;

    return set_errno(start_transaction(xenstore, XENPV_BACKEND_DOMID, &tx)) ?
           tx : XBT_NULL;
}

static bool be_transaction_end(struct qemu_xs_handle *h, xs_transaction_t t,
                               bool abort)
{
    return set_errno(end_transaction(xenstore, XENPV_BACKEND_DOMID, t,
                                     !abort));
}

static struct xenstore_backend_ops xenstore_ops = {
    .open = be_open,
    .close = be_close,
    .get_domain_path = be_get_domain_path,
    .directory = be_directory,
    .read = be_read,
    .write = be_write,
    .create = be_create,
    .destroy = be_destroy,
    .watch = be_watch,
    .unwatch = be_unwatch,
    .transaction_start = be_transaction_start,
    .transaction_end = be_transaction_end,
};

/* ------------------------------------------------------------------------- */

/* QMP's system_powerdown: what a toolstack's "shutdown" does */
static void powerdown(Notifier *n, void *opaque)
{
    XenPVXenstoreState *s = container_of(n, XenPVXenstoreState, powerdown);
    g_autofree char *path = g_strdup_printf("%s/control/shutdown", s->home);
    g_autoptr(GByteArray) value = g_byte_array_new();
    static const char poweroff[] = "poweroff";

    g_byte_array_append(value, (const uint8_t *)poweroff, strlen(poweroff));
    write_store(s, XENPV_BACKEND_DOMID, XBT_NULL, path, value);
}

static void xenpv_xenstore_realize(DeviceState *dev, Error **errp)
{
    XenPVXenstoreState *s = XENPV_XENSTORE(dev);

    if (xenstore) {
        error_setg(errp, "there can be only one " TYPE_XENPV_XENSTORE);
        return;
    }
    s->eh = qemu_xen_evtchn_open();
    if (!s->eh) {
        error_setg(errp, "no event channel for xenstore");
        return;
    }
    s->impl = xs_impl_create(s->domid);
    s->home = g_strdup_printf("/local/domain/%u", s->domid);
    s->toolstack = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                         free_node);
    s->txs = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                   free_tx);
    xenpv_changes_init(&s->committed);
    xenpv_watches_init(&s->be_watches, 0);
    xenpv_watches_init(&s->guest_watches, GUEST_CHANGES_MAX);
    /*
     * Not in the block layer's context: what back ends do when a front end
     * changes may wait there, and must not be entered again
     */
    s->be_bh = aio_bh_new(iohandler_get_aio_context(), be_events_bh, s);
    s->ring_bh = aio_bh_new(iohandler_get_aio_context(), ring_bh, s);
    s->ring_timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, ring_bh, s);
    qemu_set_fd_handler(qemu_xen_evtchn_fd(s->eh), ring_event, NULL, s);
    make_tree(s);

    s->powerdown.notify = powerdown;
    qemu_register_powerdown_notifier(&s->powerdown);
    xenstore = s;
    xen_xenstore_ops = &xenstore_ops;
}

static const Property xenpv_xenstore_properties[] = {
    DEFINE_PROP_UINT16("domid", XenPVXenstoreState, domid, 1),
    DEFINE_PROP_UINT32("nr-vcpus", XenPVXenstoreState, nr_vcpus, 1),
    DEFINE_PROP_STRING("name", XenPVXenstoreState, name),
    DEFINE_PROP_UUID_NODEFAULT("uuid", XenPVXenstoreState, uuid),
    DEFINE_PROP_UINT64("ram-size", XenPVXenstoreState, ram_size, 0),
};

static void xenpv_xenstore_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "xenstore of the xenpv-kvm machine";
    dc->realize = xenpv_xenstore_realize;
    dc->vmsd = &xenpv_vmstate_xenstore;
    device_class_set_props(dc, xenpv_xenstore_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_xenstore_info = {
    .name = TYPE_XENPV_XENSTORE,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(XenPVXenstoreState),
    .class_init = xenpv_xenstore_class_init,
};

static void xenpv_xenstore_register_types(void)
{
    type_register_static(&xenpv_xenstore_info);
}

type_init(xenpv_xenstore_register_types)
