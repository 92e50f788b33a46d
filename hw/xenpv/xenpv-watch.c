/*
 * Watches of xenstore, and the changes queued for them: see xenpv-watch.h
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "xenpv-watch.h"

/* ------------------------------------------------------------------------- */
/* Changes                                                                    */

void xenpv_changes_init(XenPVChanges *c)
{
    QSIMPLEQ_INIT(&c->queue);
    c->by_path = g_hash_table_new(g_str_hash, g_str_equal);
}

void xenpv_changes_add(XenPVChanges *c, const char *path, bool removed,
                       uint64_t number)
{
    XenPVChange *change = g_hash_table_lookup(c->by_path, path);

    if (change) {
        change->removed |= removed;
        change->number = number;
        return;
    }
    change = g_malloc(sizeof(*change) + strlen(path) + 1);
    change->number = number;
    change->removed = removed;
    strcpy(change->path, path);
    QSIMPLEQ_INSERT_TAIL(&c->queue, change, next);
    g_hash_table_insert(c->by_path, change->path, change);
}

XenPVChange *xenpv_changes_pop(XenPVChanges *c)
{
    XenPVChange *change = QSIMPLEQ_FIRST(&c->queue);

    if (change) {
        QSIMPLEQ_REMOVE_HEAD(&c->queue, next);
        g_hash_table_remove(c->by_path, change->path);
    }
    return change;
}

void xenpv_changes_move(XenPVChanges *c, XenPVChanges *from)
{
    GHashTable *by_path = c->by_path;

    g_assert(QSIMPLEQ_EMPTY(&c->queue));
    c->by_path = from->by_path;
    from->by_path = by_path;
    QSIMPLEQ_CONCAT(&c->queue, &from->queue);
}

void xenpv_changes_clear(XenPVChanges *c)
{
    XenPVChange *change, *next;

    g_hash_table_remove_all(c->by_path);
    QSIMPLEQ_FOREACH_SAFE(change, &c->queue, next, next) {
        g_free(change);
    }
    QSIMPLEQ_INIT(&c->queue);
}

void xenpv_changes_destroy(XenPVChanges *c)
{
    xenpv_changes_clear(c);
    g_hash_table_destroy(c->by_path);
}

unsigned xenpv_changes_count(const XenPVChanges *c)
{
    return g_hash_table_size(c->by_path);
}

/* ------------------------------------------------------------------------- */
/* Watches                                                                    */

void xenpv_watches_init(XenPVWatches *ws, unsigned max_changes)
{
    memset(ws, 0, sizeof(*ws));
    QTAILQ_INIT(&ws->list);
    ws->max_changes = max_changes;
    xenpv_changes_init(&ws->changes);
}

static void tell_own(XenPVWatches *ws, XenPVWatch *w)
{
    if (!w->own) {
        w->own = true;
        ws->nr_own++;
    }
}

XenPVWatch *xenpv_watches_add(XenPVWatches *ws, const char *path,
                              size_t prefix)
{
    XenPVWatch *w = g_new0(XenPVWatch, 1);

    w->path = g_strdup(path);
    w->prefix = prefix;
    w->since = ws->last_number;
    QTAILQ_INSERT_TAIL(&ws->list, w, next);
    ws->nr++;
    tell_own(ws, w);
    return w;
}

void xenpv_watches_remove(XenPVWatches *ws, XenPVWatch *w)
{
    if (ws->cursor == w) {
        ws->cursor = QTAILQ_NEXT(w, next);
    }
    QTAILQ_REMOVE(&ws->list, w, next);
    ws->nr--;
    ws->nr_own -= w->own;
    g_free(w->token);
    g_free(w->path);
    g_free(w);
}

void xenpv_watches_destroy(XenPVWatches *ws)
{
    XenPVWatch *w, *next;

    QTAILQ_FOREACH_SAFE(w, &ws->list, next, next) {
        xenpv_watches_remove(ws, w);
    }
    xenpv_watches_forget(ws);
    xenpv_changes_destroy(&ws->changes);
}

/* Is path dir itself, or below it? Special paths are below nothing. */
static bool below(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    if (len == 1 && dir[0] == '/') {
        return path[0] == '/';
    }
    return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

/*
 * The path of which a watch is told: the changed node's, if the watch is on it
 * or above it; the watch's own, if that was removed together with the node.
 * NULL: it is not told.
 */
static const char *told(const XenPVWatch *w, const char *path, bool removed)
{
    if (below(path, w->path)) {
        return path;
    }
    if (removed && below(w->path, path)) {
        return w->path;
    }
    return NULL;
}

bool xenpv_watches_match(XenPVWatches *ws, const char *path, bool removed)
{
    XenPVWatch *w;

    QTAILQ_FOREACH(w, &ws->list, next) {
        if (told(w, path, removed)) {
            return true;
        }
    }
    return false;
}

void xenpv_watches_changed(XenPVWatches *ws, const char *path, bool removed)
{
    XenPVWatch *w;

    if (QTAILQ_EMPTY(&ws->list)) {
        return;
    }
    if (ws->max_changes &&
        xenpv_changes_count(&ws->changes) >= ws->max_changes) {
        xenpv_watches_forget(ws);
        QTAILQ_FOREACH(w, &ws->list, next) {
            tell_own(ws, w);
        }
    }
    xenpv_changes_add(&ws->changes, path, removed, ++ws->last_number);
}

bool xenpv_watches_pending(const XenPVWatches *ws)
{
    return ws->nr_own || ws->current || !QSIMPLEQ_EMPTY(&ws->changes.queue);
}

static XenPVWatch *next_own(XenPVWatches *ws, char **path)
{
    XenPVWatch *w;

    QTAILQ_FOREACH(w, &ws->list, next) {
        if (w->own) {
            w->own = false;
            ws->nr_own--;
            *path = g_strdup(w->path);
            return w;
        }
    }
    g_assert_not_reached();
}

XenPVWatch *xenpv_watches_next(XenPVWatches *ws, char **path)
{
    if (ws->nr_own) {
        return next_own(ws, path);
    }
    if (!ws->current) {
        ws->current = xenpv_changes_pop(&ws->changes);
        ws->cursor = QTAILQ_FIRST(&ws->list);
    }
    while (ws->current && ws->cursor) {
        XenPVWatch *w = ws->cursor;
        const char *told_of = NULL;

        ws->cursor = QTAILQ_NEXT(w, next);
        if (ws->current->number > w->since) {
            told_of = told(w, ws->current->path, ws->current->removed);
        }
        if (told_of) {
            *path = g_strdup(told_of);
            return w;
        }
    }
    g_free(ws->current);
    ws->current = NULL;
    return NULL;
}

void xenpv_watches_forget(XenPVWatches *ws)
{
    XenPVWatch *w;

    xenpv_changes_clear(&ws->changes);
    g_free(ws->current);
    ws->current = NULL;
    ws->cursor = NULL;
    QTAILQ_FOREACH(w, &ws->list, next) {
        w->own = false;
    }
    ws->nr_own = 0;
}
