/*
 * xenstore: what QEMU's back ends do with it
 *
 * The operations of hw/xen/xen_backend_ops.h, as domain 0: what back ends write
 * below the guest's home is remembered as the toolstack's. As in libxenstore,
 * errno says what was wrong.
 *
 * QEMU's Xen bus and its devices call these with the BQL held. Watches'
 * functions are called by xenpv_xenstore_flush() or the bottom half, not here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "xenpv-xenstore.h"

/* Where the back ends of all kinds are, a directory for each device */
#define BACKENDS            "/local/domain/0/backend"

/* Global because the back ends' open() has no argument for it */
static XenPVXenstoreState *xenstore;

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

/*
 * In the guest's tree a back end sees what domain 0 has made, even if the guest
 * has removed it: the back end finds out by this which device numbers are free.
 *
 * As in libxenstore, the list and its names are one block, which the caller
 * frees.
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
    if (xenpv_xenstore_below(abspath, h->store->home)) {
        items = xenpv_xenstore_tree_names(h->store, abspath);
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
    /* An empty list is not NULL, which would be an error */
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

    return abspath && set_errno(xenpv_xenstore_write_node(xenstore, t, abspath,
                                                          data, len));
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
        err = xenpv_xenstore_write_node(xenstore, t, abspath, "", 0);
    } else if (!err && xenpv_xenstore_below(abspath, BACKENDS)) {
        /* Another device is there */
        err = EEXIST;
    }
    if (!err) {
        err = xenpv_xenstore_set_node_perms(xenstore, t, abspath, owner, domid,
                                            perms);
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
    err = xenpv_xenstore_rm_node(xenstore, t, abspath);
    /* The guest may have removed it; xs_rm() takes that for success, too */
    return set_errno(err == ENOENT ? 0 : err);
}

static struct qemu_xs_watch *be_watch(struct qemu_xs_handle *h,
                                      const char *path, xs_watch_fn fn,
                                      void *opaque)
{
    XenPVWatch *w;
    int err;

    w = xenpv_xenstore_add_watch(xenstore, &xenstore->be_watches,
                                 XENPV_BACKEND_DOMID, path, &err);
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

    return set_errno(xenpv_xenstore_transaction_start(xenstore,
                                                      XENPV_BACKEND_DOMID, NULL,
                                                      &tx)) ?
           tx : XBT_NULL;
}

static bool be_transaction_end(struct qemu_xs_handle *h, xs_transaction_t t,
                               bool abort)
{
    return set_errno(xenpv_xenstore_transaction_end(xenstore,
                                                    XENPV_BACKEND_DOMID, NULL,
                                                    t, !abort));
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

bool xenpv_xenstore_serve_backends(XenPVXenstoreState *s, Error **errp)
{
    if (xenstore) {
        error_setg(errp, "there can be only one " TYPE_XENPV_XENSTORE);
        return false;
    }
    xenstore = s;
    xen_xenstore_ops = &xenstore_ops;
    return true;
}
