/*
 * Watches of xenstore, and the changes of which they have still to be told
 *
 * Each list of watches (the guest's, the back ends', one for each program of
 * domain 0) has a queue of changed nodes, each of them once. A change is
 * compared with the watches, one after the other, only when its turn comes. So
 * the queue does not grow with the number of watches, removing a watch needs no
 * search in the queue, and each step is short.
 *
 * The back ends' queue is bounded because they are told before the guest may
 * ask for anything more. The guest's queue has a limit. Beyond it the changes
 * are dropped, and each watch is told of its own path instead, as a new watch
 * is: "look at it again".
 *
 * Called by xenpv-xenstore*.c with the BQL held. Nothing here calls back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_WATCH_H
#define HW_XENPV_WATCH_H

#include "hw/xen/xen_backend_ops.h"
#include "qemu/queue.h"

/* Changed nodes, in order, each of them once */
typedef struct XenPVChange {
    QSIMPLEQ_ENTRY(XenPVChange) next;
    uint64_t number;        /* for watches whose .since is smaller */
    bool removed;           /* with all that was below it */
    char path[];
} XenPVChange;

typedef struct XenPVChanges {
    QSIMPLEQ_HEAD(, XenPVChange) queue;
    GHashTable *by_path;    /* the same changes */
} XenPVChanges;

void xenpv_changes_init(XenPVChanges *c);
void xenpv_changes_destroy(XenPVChanges *c);
void xenpv_changes_add(XenPVChanges *c, const char *path, bool removed,
                       uint64_t number);
/* The first one, which the caller frees; NULL: there is none */
XenPVChange *xenpv_changes_pop(XenPVChanges *c);
/* Move all of @from to @c, which must be empty */
void xenpv_changes_move(XenPVChanges *c, XenPVChanges *from);
void xenpv_changes_clear(XenPVChanges *c);
unsigned xenpv_changes_count(const XenPVChanges *c);

typedef struct XenPVWatch {
    QTAILQ_ENTRY(XenPVWatch) next;
    char *path;             /* absolute, or a special one (@...) */
    size_t prefix;          /* length of what a relative path leaves out */
    uint64_t since;         /* it is not told of changes up to this number */
    bool own;               /* it has to be told of its own path */

    /* The guest's, or a program's */
    char *token;
    /* A back end's */
    struct qemu_xs_handle *h;
    xs_watch_fn fn;
    void *opaque;
} XenPVWatch;

typedef struct XenPVWatches {
    QTAILQ_HEAD(, XenPVWatch) list;
    unsigned nr;
    unsigned nr_own;
    unsigned max_changes;   /* 0: no limit */

    XenPVChanges changes;
    uint64_t last_number;
    /* The change being told, and the next watch to compare with it */
    XenPVChange *current;
    XenPVWatch *cursor;
} XenPVWatches;

/**
 * xenpv_watches_init: make an empty list
 * @max_changes: how many are queued at most; 0: the caller bounds them
 */
void xenpv_watches_init(XenPVWatches *ws, unsigned max_changes);

/* Free all watches, and the changes queued for them */
void xenpv_watches_destroy(XenPVWatches *ws);

/* Append a watch, which will be told of its own path first */
XenPVWatch *xenpv_watches_add(XenPVWatches *ws, const char *path,
                              size_t prefix);
void xenpv_watches_remove(XenPVWatches *ws, XenPVWatch *w);

/* A node has been written to, or has been removed with all below it */
void xenpv_watches_changed(XenPVWatches *ws, const char *path, bool removed);
/* Would any watch be told of this change? */
bool xenpv_watches_match(XenPVWatches *ws, const char *path, bool removed);

/* Is a watch still to be told, or to be compared with a change? */
bool xenpv_watches_pending(const XenPVWatches *ws);

/**
 * xenpv_watches_next: one step of telling the watches
 * @path: the node of which the watch is to be told; the caller frees it
 *
 * A step looks at each watch at most once. Returns NULL if none is to be told
 * in this step; there may be more to do, see xenpv_watches_pending().
 */
XenPVWatch *xenpv_watches_next(XenPVWatches *ws, char **path);

/* Drop all that the watches have not been told yet */
void xenpv_watches_forget(XenPVWatches *ws);

#endif /* HW_XENPV_WATCH_H */
