/*
 * Watches of xenstore, and what they have still to be told
 *
 * A list of watches, the guest's or the back ends', has a queue of the nodes
 * that have changed, each of them once. Only when its turn comes is a change
 * compared with the watches, one after the other. So what is queued does not
 * grow with the number of watches, nothing has to be searched for when a watch
 * goes, and each step is short.
 *
 * What is queued for the back ends is bounded by their being told before the
 * guest may ask for anything more. The guest's list has a limit. Beyond it the
 * changes are dropped, and each watch is told of its own path instead, as it is
 * when it is made: "look at it again".
 *
 * Nothing here is for more than one thread, calls back, or is about a ring.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_WATCH_H
#define HW_XENPV_WATCH_H

#include "hw/xen/xen_backend_ops.h"
#include "qemu/queue.h"

/* Nodes that have changed, in order, each of them once */
typedef struct XenPVChange {
    QSIMPLEQ_ENTRY(XenPVChange) next;
    uint64_t number;        /* watches that are younger are not told */
    bool removed;           /* with all that was below it */
    char path[];
} XenPVChange;

typedef struct XenPVChanges {
    QSIMPLEQ_HEAD(, XenPVChange) queue;
    GHashTable *by_path;    /* the same */
} XenPVChanges;

void xenpv_changes_init(XenPVChanges *c);
void xenpv_changes_destroy(XenPVChanges *c);
void xenpv_changes_add(XenPVChanges *c, const char *path, bool removed,
                       uint64_t number);
/* The first one, which the caller frees; NULL: there is none */
XenPVChange *xenpv_changes_pop(XenPVChanges *c);
/* All that is in from goes to c, which is empty */
void xenpv_changes_move(XenPVChanges *c, XenPVChanges *from);
void xenpv_changes_clear(XenPVChanges *c);
unsigned xenpv_changes_count(const XenPVChanges *c);

typedef struct XenPVWatch {
    QTAILQ_ENTRY(XenPVWatch) next;
    char *path;             /* absolute, or a special one (@...) */
    size_t prefix;          /* what a relative path leaves out */
    uint64_t since;         /* changes of before are not for it */
    bool own;               /* it has to be told of its own path */

    /* The guest's */
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
    /* What is being told, and which watch is next to be compared with it */
    XenPVChange *current;
    XenPVWatch *cursor;
} XenPVWatches;

/**
 * xenpv_watches_init: an empty list
 * @max_changes: how many are queued at most; 0: its user sees to it
 */
void xenpv_watches_init(XenPVWatches *ws, unsigned max_changes);

/* With all watches, and what they were to be told */
void xenpv_watches_destroy(XenPVWatches *ws);

/* A watch at the end of the list, which will be told of its own path first */
XenPVWatch *xenpv_watches_add(XenPVWatches *ws, const char *path,
                              size_t prefix);
void xenpv_watches_remove(XenPVWatches *ws, XenPVWatch *w);

/* A node has been written to, or has been removed with all below it */
void xenpv_watches_changed(XenPVWatches *ws, const char *path, bool removed);
/* Would a watch be told of it? */
bool xenpv_watches_match(XenPVWatches *ws, const char *path, bool removed);

/* Is there anything to be told, or to be compared? */
bool xenpv_watches_pending(const XenPVWatches *ws);

/**
 * xenpv_watches_next: one step of telling
 * @path: the node of which it is to be told; the caller frees it
 *
 * A step looks at each watch once at most. NULL: nobody was to be told in this
 * step; there may be more to do, see xenpv_watches_pending().
 */
XenPVWatch *xenpv_watches_next(XenPVWatches *ws, char **path);

/* Nothing of what has happened is told any more */
void xenpv_watches_forget(XenPVWatches *ws);

#endif /* HW_XENPV_WATCH_H */
