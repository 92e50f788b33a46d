/*
 * Unit test of the store of the xenpv-kvm machine, and of its watches
 *
 * Sources needed beside this file: hw/xenpv/xenpv-watch.c.
 *
 * The engine is QEMU's, as this tree changes it. A broken one leaks what a
 * guest removes, or counts its nodes wrong, so that the quota ends nothing.
 * Broken watches lose an event, grow without a bound, or tell one that is gone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "../../hw/xenpv/xenpv-watch.h"

static int nr_xs_nodes;
static GList *xs_node_list;

#define XS_NODE_UNIT_TEST

#include "hw/i386/kvm/xenstore_impl.c"

#define DOMID_QEMU  0
#define DOMID_GUEST 1

/* The guest's own directory, and the nodes that there are then */
#define HOME        "/local/domain/1/data"
#define NR_HOME     5

static XenstoreImplState *create(void)
{
    XenstoreImplState *s;
    g_autoptr(GByteArray) value = g_byte_array_new();
    GList *perms = g_list_append(NULL, xs_perm_as_string(XS_PERM_NONE,
                                                         DOMID_GUEST));

    g_assert_cmpint(nr_xs_nodes, ==, 0);
    s = xs_impl_create(DOMID_GUEST);
    g_assert_cmpint(xs_impl_write(s, DOMID_QEMU, XBT_NULL, HOME, value), ==, 0);
    g_assert_cmpint(xs_impl_set_perms(s, DOMID_QEMU, XBT_NULL, HOME, perms),
                    ==, 0);
    g_list_free_full(perms, g_free);
    g_assert_cmpuint(s->nr_nodes, ==, NR_HOME);
    return s;
}

/* No node is left but those in the tree */
static void destroy(XenstoreImplState *s)
{
    g_assert_cmpint(nr_xs_nodes, ==, s->nr_nodes);
    g_hash_table_unref(s->watches);
    g_hash_table_unref(s->transactions);
    xs_node_unref(s->root);
    g_free(s);
    g_assert_cmpint(nr_xs_nodes, ==, 0);
}

static int write_one(XenstoreImplState *s, unsigned tx, const char *name, int i)
{
    g_autofree char *path = g_strdup_printf(HOME "/%s/%d", name, i);
    g_autoptr(GByteArray) value = g_byte_array_new();

    g_byte_array_append(value, (const uint8_t *)"v", 1);
    return xs_impl_write(s, DOMID_GUEST, tx, path, value);
}

static void write_many(XenstoreImplState *s, unsigned tx, const char *name,
                       int n)
{
    for (int i = 0; i < n; i++) {
        g_assert_cmpint(write_one(s, tx, name, i), ==, 0);
    }
}

static unsigned begin(XenstoreImplState *s)
{
    unsigned tx = XBT_NULL;

    g_assert_cmpint(xs_impl_transaction_start(s, DOMID_GUEST, &tx), ==, 0);
    return tx;
}

static int end(XenstoreImplState *s, unsigned tx, bool commit)
{
    return xs_impl_transaction_end(s, DOMID_GUEST, tx, commit);
}

static int rm(XenstoreImplState *s, unsigned tx, const char *path)
{
    return xs_impl_rm(s, DOMID_GUEST, tx, path);
}

/* The CPU time that it takes to list n nodes: the best of a few */
static int64_t time_to_list(XenstoreImplState *s, int n)
{
    g_autoptr(GByteArray) value = g_byte_array_new();
    int64_t best = INT64_MAX;

    for (int i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("/many%d/%d", n, i);

        g_assert_cmpint(xs_impl_write(s, DOMID_QEMU, XBT_NULL, path, value),
                        ==, 0);
    }
    for (int i = 0; i < 5; i++) {
        g_autofree char *path = g_strdup_printf("/many%d", n);
        GList *items = NULL;
        struct timespec before, after;
        uint64_t gencnt;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
        g_assert_cmpint(xs_impl_directory(s, DOMID_QEMU, XBT_NULL, path,
                                          &gencnt, &items), ==, 0);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
        g_assert_cmpuint(g_list_length(items), ==, n);
        for (GList *l = items; l->next; l = l->next) {
            g_assert_cmpstr(l->data, <, l->next->data);
        }
        g_list_free_full(items, g_free);
        best = MIN(best, (after.tv_sec - before.tv_sec) * 1000000000 +
                         after.tv_nsec - before.tv_nsec);
    }
    return best;
}

/* Eight times the names do not take sixty-four times as long */
static void test_long_directory(void)
{
    XenstoreImplState *s = create();
    int64_t few = time_to_list(s, 1000), many = time_to_list(s, 8000);

    g_test_message("1000 names: %" PRId64 " us, 8000: %" PRId64 " us",
                   few / 1000, many / 1000);
    g_assert_cmpint(many, <, 30 * few);
    destroy(s);
}

/* What is removed while a transaction that sees it is open is freed after it */
static void test_rm_leak(void)
{
    XenstoreImplState *s = create();

    for (int commit = 0; commit < 2; commit++) {
        unsigned tx;

        write_many(s, XBT_NULL, "x", 20);
        tx = begin(s);
        /* A node, one whose parent is shared, and the tree of all */
        g_assert_cmpint(rm(s, XBT_NULL, HOME "/x/7"), ==, 0);
        g_assert_cmpint(rm(s, XBT_NULL, HOME "/x/8"), ==, 0);
        g_assert_cmpint(rm(s, XBT_NULL, HOME "/x"), ==, 0);
        g_assert_cmpuint(s->nr_nodes, ==, NR_HOME);
        g_assert_cmpint(write_one(s, tx, "x", 7), ==, 0);
        g_assert_cmpint(end(s, tx, commit), ==, commit ? EAGAIN : 0);
        g_assert_cmpint(nr_xs_nodes, ==, NR_HOME);
    }
    destroy(s);
}

/* In a transaction: removed means not there, and counts once */
static void test_rm_twice(void)
{
    XenstoreImplState *s = create();
    g_autoptr(GByteArray) value = g_byte_array_new();
    GList *items = NULL;
    uint64_t before, after;
    unsigned tx;

    write_many(s, XBT_NULL, "x", 10);
    tx = begin(s);
    g_assert_cmpint(xs_impl_directory(s, DOMID_GUEST, tx, HOME "/x", &before,
                                      &items), ==, 0);
    g_assert_cmpuint(g_list_length(items), ==, 10);
    g_list_free_full(g_steal_pointer(&items), g_free);

    g_assert_cmpint(rm(s, tx, HOME "/x/3"), ==, 0);
    g_assert_cmpint(rm(s, tx, HOME "/x/3"), ==, ENOENT);
    g_assert_cmpint(xs_impl_read(s, DOMID_GUEST, tx, HOME "/x/3", value), ==,
                    ENOENT);
    g_assert_cmpint(xs_impl_get_perms(s, DOMID_GUEST, tx, HOME "/x/3", &items),
                    ==, ENOENT);
    g_assert_cmpint(xs_impl_directory(s, DOMID_GUEST, tx, HOME "/x", &after,
                                      &items), ==, 0);
    g_assert_cmpuint(g_list_length(items), ==, 9);
    g_assert_cmpuint(before, !=, after);
    g_list_free_full(items, g_free);
    /* What is above it goes with one node less in it */
    g_assert_cmpint(rm(s, tx, HOME "/x"), ==, 0);
    g_assert_cmpint(rm(s, tx, HOME "/x"), ==, ENOENT);
    g_assert_cmpint(rm(s, tx, HOME "/x/4"), ==, ENOENT);
    g_assert_cmpint(end(s, tx, true), ==, 0);
    g_assert_cmpuint(s->nr_nodes, ==, NR_HOME);

    /* Made anew, and removed once more */
    write_many(s, XBT_NULL, "x", 10);
    tx = begin(s);
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(rm(s, tx, HOME "/x"), ==, 0);
        write_many(s, tx, "x", 5);
    }
    g_assert_cmpint(end(s, tx, true), ==, 0);
    g_assert_cmpuint(s->nr_nodes, ==, NR_HOME + 1 + 5);
    destroy(s);
}

/* The quota holds for what is made anew in a transaction, too */
static void test_quota(void)
{
    XenstoreImplState *s = create();
    int n = XS_MAX_DOMAIN_NODES - NR_HOME - 1;

    write_many(s, XBT_NULL, "x", n);
    g_assert_cmpint(write_one(s, XBT_NULL, "x", n), ==, ENOSPC);
    for (int round = 0; round < 3; round++) {
        unsigned tx = begin(s);
        int err = 0;

        g_assert_cmpint(rm(s, tx, HOME "/x"), ==, 0);
        write_many(s, tx, "y", n / 2);
        for (int i = 0; i < n && !err; i++) {
            err = write_one(s, tx, "x", i);
        }
        g_assert_cmpint(err, ==, ENOSPC);
        g_assert_cmpint(end(s, tx, true), ==, 0);
        g_assert_cmpuint(s->nr_nodes, ==, XS_MAX_DOMAIN_NODES);
        g_assert_cmpint(nr_xs_nodes, ==, XS_MAX_DOMAIN_NODES);

        g_assert_cmpint(rm(s, XBT_NULL, HOME "/y"), ==, 0);
        g_assert_cmpint(rm(s, XBT_NULL, HOME "/x"), ==, 0);
        g_assert_cmpuint(s->nr_nodes, ==, NR_HOME);
        write_many(s, XBT_NULL, "x", n);
    }
    destroy(s);
}

/* ------------------------------------------------------------------------- */

/* "TOKEN:path TOKEN:path", of all that is to be told */
static char *tell(XenPVWatches *ws)
{
    GString *all = g_string_new(NULL);

    while (xenpv_watches_pending(ws)) {
        g_autofree char *path = NULL;
        XenPVWatch *w = xenpv_watches_next(ws, &path);

        if (w) {
            g_string_append_printf(all, "%s%s:%s", all->len ? " " : "",
                                   w->token, path + w->prefix);
        }
    }
    return g_string_free(all, false);
}

static void assert_told(XenPVWatches *ws, const char *expected)
{
    g_autofree char *is = tell(ws);

    g_assert_cmpstr(is, ==, expected);
}

static XenPVWatch *watch(XenPVWatches *ws, const char *path, size_t prefix,
                         const char *token)
{
    XenPVWatch *w = xenpv_watches_add(ws, path, prefix);

    w->token = g_strdup(token);
    return w;
}

static void destroy_watches(XenPVWatches *ws)
{
    XenPVWatch *w;

    while ((w = QTAILQ_FIRST(&ws->list))) {
        xenpv_watches_remove(ws, w);
    }
    xenpv_watches_forget(ws);
    xenpv_changes_destroy(&ws->changes);
}

static void test_watches(void)
{
    g_autofree char *path = NULL;
    XenPVWatch *a, *ab, *root, *special, *w;
    XenPVWatches ws;

    xenpv_watches_init(&ws, 0);
    /* Nobody to be told */
    xenpv_watches_changed(&ws, "/a", false);
    g_assert_false(xenpv_watches_pending(&ws));

    a = watch(&ws, "/a", 0, "A");
    ab = watch(&ws, "/a/b", 3, "B");
    special = watch(&ws, "@releaseDomain", 0, "S");
    assert_told(&ws, "A:/a B:b S:@releaseDomain");

    xenpv_watches_changed(&ws, "/a/b", false);
    xenpv_watches_changed(&ws, "/a", false);
    xenpv_watches_changed(&ws, "/ab", false);
    xenpv_watches_changed(&ws, "/a/b", false);
    /* It did not see what was before it */
    root = watch(&ws, "/", 0, "R");
    assert_told(&ws, "R:/ A:/a/b B:b A:/a");

    /* With what is above them, and only then */
    xenpv_watches_changed(&ws, "/a", true);
    xenpv_watches_changed(&ws, "/ab", true);
    assert_told(&ws, "A:/a B:b R:/a R:/ab");
    g_assert_true(xenpv_watches_match(&ws, "/x", false));
    xenpv_watches_remove(&ws, root);
    g_assert_false(xenpv_watches_match(&ws, "/x", true));
    g_assert_true(xenpv_watches_match(&ws, "/a/b/c", false));

    /* One that is told of goes, as do the one after it and one with an own */
    xenpv_watches_changed(&ws, "/a/b/c", false);
    w = xenpv_watches_next(&ws, &path);
    g_assert_true(w == a);
    xenpv_watches_remove(&ws, a);
    xenpv_watches_remove(&ws, ab);
    xenpv_watches_remove(&ws, special);
    xenpv_watches_remove(&ws, watch(&ws, "/a", 0, "A"));
    assert_told(&ws, "");
    destroy_watches(&ws);
}

/* Beyond the limit: all look again, and none misses what is there then */
static void test_watch_limit(void)
{
    XenPVWatches ws;

    xenpv_watches_init(&ws, 100);
    watch(&ws, "/a", 0, "A");
    watch(&ws, "/b", 0, "B");
    assert_told(&ws, "A:/a B:/b");
    for (int i = 0; i < 1000000; i++) {
        g_autofree char *path = g_strdup_printf("/a/%d", i);

        xenpv_watches_changed(&ws, path, i & 1);
        g_assert_cmpuint(xenpv_changes_count(&ws.changes), <=, 100);
    }
    xenpv_watches_forget(&ws);
    assert_told(&ws, "");
    for (int i = 0; i < 101; i++) {
        g_autofree char *path = g_strdup_printf("/a/%d", i);

        xenpv_watches_changed(&ws, path, false);
    }
    assert_told(&ws, "A:/a B:/b A:/a/100");
    destroy_watches(&ws);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/xenstore/rm-leak", test_rm_leak);
    g_test_add_func("/xenpv/xenstore/rm-twice", test_rm_twice);
    g_test_add_func("/xenpv/xenstore/quota", test_quota);
    g_test_add_func("/xenpv/xenstore/long-directory", test_long_directory);
    g_test_add_func("/xenpv/xenstore/watches", test_watches);
    g_test_add_func("/xenpv/xenstore/watch-limit", test_watch_limit);
    return g_test_run();
}
