/*
 * xenstore: the toolstack's tree, and the way back to it
 *
 * When the device is realized, this makes what a toolstack makes for a new
 * domain. xenpv-xenstore.c remembers it, and all else that domain 0 (QEMU's
 * back ends, the machine, the host's programs) writes below the guest's home; a
 * reset restores the guest's home to that, whatever the guest has changed.
 *
 * Called by the device, by a reset, and by the machine's other devices for what
 * they tell the guest; always with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "hw/xenpv/xenpv-messages.h"
#include "xenpv-xenstore.h"

static void G_GNUC_PRINTF(3, 0) write_text(XenPVXenstoreState *s,
                                           const char *abspath,
                                           const char *fmt, va_list ap)
{
    g_autofree char *value = g_strdup_vprintf(fmt, ap);
    int err = xenpv_xenstore_write_node(s, XBT_NULL, abspath, value,
                                        strlen(value));

    if (err) {
        /* Domain 0's quota is used up, by one of the host's programs */
        xenpv_guest_warning("xenstore: %s cannot be written: %s", abspath,
                            strerror(err));
    }
}

void xenpv_xenstore_printf(XenPVXenstoreState *s, const char *path,
                           const char *fmt, ...)
{
    g_autofree char *abspath = g_strdup_printf("%s/%s", s->home, path);
    va_list ap;

    va_start(ap, fmt);
    write_text(s, abspath, fmt, ap);
    va_end(ap);
}

GByteArray *xenpv_xenstore_get(XenPVXenstoreState *s, const char *path)
{
    g_autofree char *abspath = g_strdup_printf("%s/%s", s->home, path);

    return xenpv_xenstore_read_node(s, abspath);
}

/* Make a node: the guest's own if @writable, else one that it may read */
static void G_GNUC_PRINTF(4, 5) make_node(XenPVXenstoreState *s,
                                          const char *path, bool writable,
                                          const char *fmt, ...)
{
    g_autofree char *abspath = path[0] == '/' ? g_strdup(path) :
                               path[0] ? g_strdup_printf("%s/%s", s->home, path)
                                       : g_strdup(s->home);
    va_list ap;
    int err;

    va_start(ap, fmt);
    write_text(s, abspath, fmt, ap);
    va_end(ap);
    err = xenpv_xenstore_set_node_perms(s, XBT_NULL, abspath,
                                        writable ? s->domid
                                                 : XENPV_BACKEND_DOMID,
                                        s->domid, XS_PERM_READ);
    assert(!err);
}

void xenpv_xenstore_make_tree(XenPVXenstoreState *s)
{
    static const char *const own[] = {
        "device/suspend/event-channel", "control/shutdown",
        "control/feature-suspend", "control/feature-poweroff",
        "control/feature-reboot", "control/sysrq", "data", "drivers",
        "feature", "attr", "error", XENPV_MEMINFO,
    };
    g_autofree char *uuid = qemu_uuid_unparse_strdup(&s->uuid);
    g_autofree char *vm = g_strdup_printf("/vm/%s", uuid);
    g_autofree char *vm_name = g_strdup_printf("%s/name", vm);
    g_autofree char *vm_uuid = g_strdup_printf("%s/uuid", vm);
    static const char dom0_name[] = "Domain-0";

    xenpv_xenstore_write_node(s, XBT_NULL, "/tool/xenstored", "", 0);
    xenpv_xenstore_write_node(s, XBT_NULL, "/local/domain/0/domid", "0", 1);
    xenpv_xenstore_write_node(s, XBT_NULL, "/local/domain/0/name", dom0_name,
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
    make_node(s, "memory/static-max", false, "%" PRIu64,
              s->max_ram_size / KiB);
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

static gint compare_names(gconstpointer a, gconstpointer b, gpointer data)
{
    return strcmp(a, b);
}

GList *xenpv_xenstore_tree_names(XenPVXenstoreState *s, const char *dir)
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

        if (xenpv_xenstore_below(path, dir) && path[len - 1]) {
            g_hash_table_add(names, g_strndup(path + len,
                                              strcspn(path + len, "/")));
        }
    }
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        list = g_list_prepend(list, g_strdup(key));
    }
    return g_list_sort_with_data(list, compare_names, NULL);
}

/* ------------------------------------------------------------------------- */
/* Back to it: reset                                                          */

/* The toolstack's nodes, and the directories above them */
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
            xenpv_xenstore_rm(s, XENPV_BACKEND_DOMID, XBT_NULL, path);
        }
    }
    g_list_free_full(names, g_free);
}

static bool node_is(XenPVXenstoreState *s, const char *path,
                    enum xenbus_state state)
{
    g_autoptr(GByteArray) value = xenpv_xenstore_read_node(s, path);

    return value && value->len == 1 && value->data[0] == '0' + state;
}

/*
 * Has the front end of this state node told its back end nothing yet? Only the
 * back end's state can tell: the front end may have written anything since, or
 * have removed its directory.
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

/* A reset has ended the front ends, which could not say so themselves */
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
        if (xenpv_xenstore_below(key, devices) &&
            g_str_has_suffix(key, "/state")) {
            g_ptr_array_add(states, g_strdup(key));
        }
    }
    for (guint i = 0; i < states->len; i++) {
        const char *path = g_ptr_array_index(states, i);

        if (!is_new(s, path)) {
            xenpv_xenstore_write(s, XENPV_BACKEND_DOMID, XBT_NULL, path,
                                 closed);
        }
    }
    xenpv_xenstore_flush(s);
}

/* The node's own permissions, or its parent's, which are restored already */
static void restore_perms(XenPVXenstoreState *s, const char *path, Node *node)
{
    g_autofree char *parent = g_path_get_dirname(path);
    GList *inherited = NULL;

    if (!node->perms) {
        xs_impl_get_perms(s->impl, XENPV_BACKEND_DOMID, XBT_NULL, parent,
                          &inherited);
    }
    xenpv_xenstore_set_perms(s, XENPV_BACKEND_DOMID, XBT_NULL, path,
                             node->perms ?: inherited);
    g_list_free_full(inherited, g_free);
}

static void restore_nodes(XenPVXenstoreState *s)
{
    g_autoptr(GHashTable) keep = toolstacks_paths(s);
    GList *paths = g_hash_table_get_keys(s->toolstack);

    remove_guests_nodes(s, keep, s->home);
    /* Sorted, so that a directory comes before what is in it */
    paths = g_list_sort_with_data(paths, compare_names, NULL);
    for (GList *l = paths; l; l = l->next) {
        Node *node = g_hash_table_lookup(s->toolstack, l->data);
        g_autoptr(GByteArray) value = xenpv_xenstore_read_node(s, l->data);

        if (!value || value->len != node->value->len ||
            (value->len && memcmp(value->data, node->value->data,
                                  value->len))) {
            xenpv_xenstore_write(s, XENPV_BACKEND_DOMID, XBT_NULL, l->data,
                                 node->value);
        }
        restore_perms(s, l->data, node);
    }
    g_list_free(paths);
    xenpv_xenstore_flush(s);
}

void xenpv_xenstore_restore_tree(XenPVXenstoreState *s)
{
    close_front_ends(s);
    restore_nodes(s);
}
