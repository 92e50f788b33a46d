/*
 * Saving and loading xenstore
 *
 * It saves what the guest can see: the tree with its permissions, the part that
 * the toolstack made, the guest's watches and what they have still to be told,
 * and messages that are half read or half sent. Loading uses the store's own
 * operations, as domain 0, with checked paths: a stream is untrusted input.
 *
 * A transaction that was open is doomed from then on (see Tx). Back ends'
 * watches are not saved: back ends look at their front ends when they resume.
 *
 * The stream is a sequence of numbers (big endian), strings (with their final
 * 0) and blocks of bytes (the length, then the bytes), in the order of
 * save_state().
 *
 * Migration calls this with the BQL held, while no vCPU runs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "migration/vmstate.h"
#include "xenpv-xenstore.h"

/* The stream's size: more than the guest's quota and a toolstack's tree make */
#define STATE_MAX           (64 * MiB)
/*
 * Nodes in the tree, and nodes that the toolstack made: a guest can have 1000,
 * and a device has some thirty
 */
#define NODES_MAX           65536
/* Transactions that a guest may have open: the engine's own limit */
#define TRANSACTIONS_MAX    10

/* ------------------------------------------------------------------------- */
/* Saving                                                                     */

static void put_u32(GByteArray *out, uint32_t value)
{
    uint8_t bytes[4];

    stl_be_p(bytes, value);
    g_byte_array_append(out, bytes, sizeof(bytes));
}

static void put_u64(GByteArray *out, uint64_t value)
{
    put_u32(out, value >> 32);
    put_u32(out, value);
}

static void put_string(GByteArray *out, const char *str)
{
    g_byte_array_append(out, (const uint8_t *)str, strlen(str) + 1);
}

static void put_block(GByteArray *out, const uint8_t *data, uint32_t len)
{
    put_u32(out, len);
    if (len) {
        g_byte_array_append(out, data, len);
    }
}

static void put_perms(GByteArray *out, GList *perms)
{
    put_u32(out, g_list_length(perms));
    for (GList *l = perms; l; l = l->next) {
        put_string(out, l->data);
    }
}

/* A node and all below it; an empty path ends the tree */
static void put_tree(XenPVXenstoreState *s, GByteArray *out, const char *path)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    GList *perms = NULL, *names = NULL;

    if (!xs_impl_read(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path, value) &&
        !xs_impl_get_perms(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path,
                           &perms)) {
        put_string(out, path);
        put_block(out, value->data, value->len);
        put_perms(out, perms);
    }
    g_list_free_full(perms, g_free);
    xs_impl_directory(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path, NULL,
                      &names);
    for (GList *l = names; l; l = l->next) {
        g_autofree char *child = g_strdup_printf("%s/%s",
                                                 path[1] ? path : "",
                                                 (char *)l->data);

        put_tree(s, out, child);
    }
    g_list_free_full(names, g_free);
}

static void put_change(GByteArray *out, const XenPVChange *change)
{
    put_string(out, change->path);
    put_u32(out, change->removed);
    put_u64(out, change->number);
}

static void put_watches(GByteArray *out, const XenPVWatches *ws)
{
    XenPVChange *change;
    XenPVWatch *w;

    put_u32(out, ws->nr);
    QTAILQ_FOREACH(w, &ws->list, next) {
        put_string(out, w->path);
        put_u32(out, w->prefix);
        put_string(out, w->token);
        put_u64(out, w->since);
        put_u32(out, w->own);
    }
    put_u64(out, ws->last_number);
    /* If some watches were told of .current, all of them are told again */
    put_u32(out, xenpv_changes_count(&ws->changes) + (ws->current ? 1 : 0));
    if (ws->current) {
        put_change(out, ws->current);
    }
    QSIMPLEQ_FOREACH(change, &ws->changes.queue, next) {
        put_change(out, change);
    }
}

static void put_toolstack(GByteArray *out, GHashTable *toolstack)
{
    GHashTableIter iter;
    void *path, *node;

    put_u32(out, g_hash_table_size(toolstack));
    g_hash_table_iter_init(&iter, toolstack);
    while (g_hash_table_iter_next(&iter, &path, &node)) {
        GByteArray *value = ((Node *)node)->value;

        put_string(out, path);
        put_block(out, value->data, value->len);
        put_perms(out, ((Node *)node)->perms);
    }
}

static void put_transactions(XenPVXenstoreState *s, GByteArray *out)
{
    GHashTableIter iter;
    uint32_t nr = 0;
    void *id, *tx;

    g_hash_table_iter_init(&iter, s->txs);
    while (g_hash_table_iter_next(&iter, &id, &tx)) {
        nr += ((Tx *)tx)->domid == s->domid;
    }
    put_u32(out, nr);
    g_hash_table_iter_init(&iter, s->txs);
    while (g_hash_table_iter_next(&iter, &id, &tx)) {
        if (((Tx *)tx)->domid == s->domid) {
            put_u32(out, GPOINTER_TO_UINT(id));
        }
    }
}

static GByteArray *save_state(XenPVXenstoreState *s)
{
    GByteArray *out = g_byte_array_new();

    put_u32(out, s->ring != NULL);
    put_u64(out, s->ring_mfn);
    put_u32(out, s->guest_port);
    put_u32(out, s->ignored);
    put_block(out, s->in, s->in_len);
    put_block(out, s->out + s->out_sent, s->out_len - s->out_sent);
    put_tree(s, out, "/");
    put_string(out, "");
    put_toolstack(out, s->toolstack);
    put_transactions(s, out);
    put_watches(out, &s->guest_watches);
    return out;
}

/* ------------------------------------------------------------------------- */
/* Loading                                                                    */

typedef struct Reader {
    const uint8_t *p;
    size_t left;
    const char *bad;        /* the first thing that is wrong, or NULL */
} Reader;

static bool fail(Reader *r, const char *what)
{
    if (!r->bad) {
        r->bad = what;
    }
    r->left = 0;
    return false;
}

static const uint8_t *get_bytes(Reader *r, size_t len)
{
    const uint8_t *p = r->p;

    if (r->bad || len > r->left) {
        fail(r, "it ends too early");
        return NULL;
    }
    r->p += len;
    r->left -= len;
    return p;
}

static uint32_t get_u32(Reader *r)
{
    const uint8_t *p = get_bytes(r, 4);

    return p ? ldl_be_p(p) : 0;
}

static uint64_t get_u64(Reader *r)
{
    uint64_t high = get_u32(r);

    return high << 32 | get_u32(r);
}

/* Never NULL */
static const char *get_string(Reader *r)
{
    const uint8_t *end = r->left ? memchr(r->p, 0, r->left) : NULL;
    const uint8_t *p = get_bytes(r, end ? end - r->p + 1 : SIZE_MAX);

    return p ? (const char *)p : "";
}

static const uint8_t *get_block(Reader *r, uint32_t *len)
{
    *len = get_u32(r);
    return get_bytes(r, *len);
}

/* Each is a letter and a domain's number, as in the store */
static GList *get_perms(Reader *r)
{
    uint32_t nr = get_u32(r);
    GList *perms = NULL;

    if (nr > PERMS_MAX) {
        fail(r, "the number of permissions");
    }
    for (uint32_t i = 0; i < nr && !r->bad; i++) {
        const char *perm = get_string(r);
        unsigned domid;
        char end;

        if (!perm[0] || !strchr("nrwb", perm[0]) ||
            sscanf(perm + 1, "%u%c", &domid, &end) != 1) {
            fail(r, "a permission");
        }
        perms = g_list_append(perms, g_strdup(perm));
    }
    return perms;
}

/* Read one node; false: the list has ended, or .bad says what is wrong */
static bool get_node(Reader *r, char **path, GByteArray **value, GList **perms)
{
    const char *name = get_string(r);
    const uint8_t *data;
    uint32_t len;

    if (r->bad || !name[0]) {
        return false;
    }
    *path = name[0] == '/' ? xenpv_xenstore_path(0, name, false) : NULL;
    data = get_block(r, &len);
    *perms = get_perms(r);
    if (!*path || r->bad || len > XENSTORE_PAYLOAD_MAX) {
        g_free(*path);
        g_list_free_full(*perms, g_free);
        return fail(r, "a node");
    }
    *value = g_byte_array_new();
    g_byte_array_append(*value, data, len);
    return true;
}

static void clear_tree(XenPVXenstoreState *s)
{
    GList *names = NULL;

    xs_impl_directory(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, "/", NULL,
                      &names);
    for (GList *l = names; l; l = l->next) {
        g_autofree char *path = g_strdup_printf("/%s", (char *)l->data);

        xs_impl_rm(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path);
    }
    g_list_free_full(names, g_free);
}

static void load_tree(XenPVXenstoreState *s, Reader *r)
{
    GByteArray *value;
    uint32_t nr = 0;
    GList *perms;
    char *path;

    clear_tree(s);
    while (get_node(r, &path, &value, &perms)) {
        if (nr++ == NODES_MAX || !perms ||
            xs_impl_write(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path,
                          value) ||
            xs_impl_set_perms(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, path,
                              perms)) {
            fail(r, "a node that the store does not take");
        }
        g_free(path);
        g_byte_array_unref(value);
        g_list_free_full(perms, g_free);
    }
}

static void load_toolstack(XenPVXenstoreState *s, Reader *r)
{
    uint32_t nr = get_u32(r);
    GByteArray *value;
    GList *perms;
    char *path;

    if (nr > NODES_MAX) {
        fail(r, "the number of the toolstack's nodes");
    }
    g_hash_table_remove_all(s->toolstack);
    for (uint32_t i = 0; i < nr && !r->bad; i++) {
        if (!get_node(r, &path, &value, &perms)) {
            fail(r, "a node of the toolstack");
            return;
        }
        xenpv_xenstore_remember(s, path, value, perms);
        g_free(path);
    }
}

static void load_transactions(XenPVXenstoreState *s, Reader *r)
{
    uint32_t nr = get_u32(r);

    if (nr > TRANSACTIONS_MAX) {
        fail(r, "the number of transactions");
    }
    for (uint32_t i = 0; i < nr && !r->bad; i++) {
        uint32_t id = get_u32(r);

        if (id == XBT_NULL ||
            g_hash_table_contains(s->txs, GUINT_TO_POINTER(id))) {
            fail(r, "a transaction's number");
        } else {
            xenpv_xenstore_add_doomed(s, id);
        }
    }
}

static void load_watches(XenPVXenstoreState *s, Reader *r)
{
    XenPVWatches *ws = &s->guest_watches;
    uint32_t nr = get_u32(r);

    if (nr > GUEST_WATCHES_MAX) {
        fail(r, "the number of watches");
    }
    for (uint32_t i = 0; i < nr && !r->bad; i++) {
        g_autofree char *path = xenpv_xenstore_path(s->domid, get_string(r),
                                                    true);
        uint32_t prefix = get_u32(r);
        const char *token = get_string(r);
        uint64_t since = get_u64(r);
        bool own = get_u32(r);
        XenPVWatch *w;

        if (r->bad || !path || prefix > strlen(path) ||
            strlen(token) > XENSTORE_PAYLOAD_MAX) {
            fail(r, "a watch");
            return;
        }
        w = xenpv_watches_add(ws, path, prefix);
        w->token = g_strdup(token);
        w->since = since;
        ws->nr_own -= !own;
        w->own = own;
    }
    ws->last_number = get_u64(r);
    nr = get_u32(r);
    if (nr > GUEST_CHANGES_MAX + 1) {
        fail(r, "the number of changes");
    }
    for (uint32_t i = 0; i < nr && !r->bad; i++) {
        g_autofree char *path = xenpv_xenstore_path(s->domid, get_string(r),
                                                    true);
        bool removed = get_u32(r);
        uint64_t number = get_u64(r);

        if (!path) {
            fail(r, "a change");
            return;
        }
        xenpv_changes_add(&ws->changes, path, removed, number);
    }
}

static void load_messages(XenPVXenstoreState *s, Reader *r)
{
    const uint8_t *data;
    uint32_t len;

    data = get_block(r, &len);
    if (data && len < sizeof(s->in)) {
        struct xsd_sockmsg hdr = { };

        memcpy(&hdr, data, MIN(len, HEADER_SIZE));
        if (len >= HEADER_SIZE &&
            (le32_to_cpu(hdr.len) > XENSTORE_PAYLOAD_MAX ||
             len > HEADER_SIZE + le32_to_cpu(hdr.len))) {
            fail(r, "a request's length");
            return;
        }
        memcpy(s->in, data, len);
        s->in_len = len;
    } else {
        fail(r, "a request");
    }
    data = get_block(r, &len);
    if (data && len <= sizeof(s->out)) {
        memcpy(s->out, data, len);
        s->out_len = len;
    } else {
        fail(r, "an answer");
    }
}

static bool load_state(XenPVXenstoreState *s, Reader *r)
{
    bool connected = get_u32(r);
    uint64_t mfn = get_u64(r);
    uint32_t port = get_u32(r);
    bool ignored = get_u32(r);
    XenPVConnection *c;

    xenpv_xenstore_reset_connection(s);
    QTAILQ_FOREACH(c, &s->connections, next) {
        xenpv_xenstore_end_transactions(s, &c->watches);
    }
    s->ignored = ignored;
    load_messages(s, r);
    load_tree(s, r);
    load_toolstack(s, r);
    load_transactions(s, r);
    load_watches(s, r);
    if (!r->bad && connected && !xenpv_xenstore_bind(s, mfn, port)) {
        fail(r, "the ring or its port");
    }
    return !r->bad;
}

/* ------------------------------------------------------------------------- */

static int xenstore_pre_save(void *opaque)
{
    XenPVXenstoreState *s = opaque;
    g_autoptr(GByteArray) out = NULL;

    /* Tell the back ends first: of the queues only the guest's is saved */
    xenpv_xenstore_flush(s);
    out = save_state(s);
    g_free(s->saved);
    s->saved_len = out->len;
    s->saved = g_byte_array_free(g_steal_pointer(&out), false);
    return s->saved_len <= STATE_MAX ? 0 : -E2BIG;
}

static XenPVPostSave xenstore_post_save(void *opaque)
{
    XenPVXenstoreState *s = opaque;

    g_clear_pointer(&s->saved, g_free);
    return XENPV_POST_SAVED;
}

static int xenstore_pre_load(void *opaque)
{
    xenstore_post_save(opaque);
    return 0;
}

static int xenstore_post_load(void *opaque, int version_id)
{
    XenPVXenstoreState *s = opaque;
    Reader r = { .p = s->saved, .left = s->saved_len };
    bool ok = load_state(s, &r);

    if (!ok) {
        error_report("xenstore: the state that comes in is wrong: %s", r.bad);
        /* Nobody is to go on with half of a state */
        xenpv_xenstore_reset(s);
    }
    g_clear_pointer(&s->saved, g_free);
    return ok ? 0 : -EINVAL;
}

static bool saved_fits(void *opaque, int version_id)
{
    XenPVXenstoreState *s = opaque;

    return s->saved_len && s->saved_len <= STATE_MAX;
}

const VMStateDescription xenpv_vmstate_xenstore = {
    .name = TYPE_XENPV_XENSTORE,
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_save = xenstore_pre_save,
    .post_save = xenstore_post_save,
    .pre_load = xenstore_pre_load,
    .post_load = xenstore_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(saved_len, XenPVXenstoreState),
        VMSTATE_VALIDATE("xenstore's size", saved_fits),
        VMSTATE_VARRAY_UINT32_ALLOC(saved, XenPVXenstoreState, saved_len, 1,
                                    vmstate_info_uint8, uint8_t),
        VMSTATE_END_OF_LIST()
    }
};
