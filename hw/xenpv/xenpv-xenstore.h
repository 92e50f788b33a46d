/*
 * xenstore: what its own files share; xenpv-xenstore.c lists them
 *
 * All of it runs with the BQL held, and so needs no lock of its own. Functions
 * that return an int return 0 or a positive errno, as xenstore_impl.h's do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_XENSTORE_H
#define HW_XENPV_XENSTORE_H

#include "qemu/uuid.h"
#include "hw/i386/kvm/xenstore_impl.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "xenpv-platform.h"
#include "xenpv-watch.h"

/* Watches that a guest may have */
#define GUEST_WATCHES_MAX   128
/* Nodes that a transaction of the guest may change, as with xenstored */
#define TX_CHANGES_MAX      1024
/*
 * Changed nodes that are queued for a guest's watches at most: twice what it
 * can change in a transaction. If more pile up, the guest is told to look again
 * at all that it watches (see xenpv-watch.h).
 */
#define GUEST_CHANGES_MAX   (2 * TX_CHANGES_MAX)
/* Open transactions of one program of domain 0: as many as a guest may have */
#define TXS_MAX             10
/* Permissions that a request may have: more than the store takes for a node */
#define PERMS_MAX           15

/*
 * How long one turn works on the guest's requests and events, or on the back
 * ends' events, before others get their turn. The last one of a turn begins
 * within that time; none takes more than a few milliseconds.
 */
#define RUN_US_MAX          1000

#define HEADER_SIZE         sizeof(struct xsd_sockmsg)

/* Back ends know this only as an opaque handle */
struct qemu_xs_handle {
    XenPVXenstoreState *store;
};

/* A transaction, of the guest, of a program of domain 0, or of a back end */
typedef struct Tx {
    unsigned domid;
    /* The watches of the guest or program that began it; NULL: a back end */
    const XenPVWatches *owner;
    /*
     * It was open when the domain was saved: its writes are dropped, its reads
     * see the store itself, and committing it fails with EAGAIN, as after a
     * conflict with another's change, so that the guest begins it again.
     */
    bool doomed;
    XenPVChanges changes;
} Tx;

/* A node that domain 0 has written below the guest's home */
typedef struct Node {
    GByteArray *value;
    GList *perms;           /* NULL: those of its parent */
} Node;

/* A program of domain 0, connected by a socket */
typedef struct XenPVConnection {
    QTAILQ_ENTRY(XenPVConnection) next;
    XenPVWatches watches;
    QEMUBH *bh;             /* runs when there may be work for it */
} XenPVConnection;

struct XenPVXenstoreState {
    SysBusDevice parent_obj;

    uint16_t domid;
    uint32_t nr_vcpus;
    char *name;
    QemuUUID uuid;
    uint64_t ram_size, max_ram_size;

    XenstoreImplState *impl;
    char *home;             /* /local/domain/DOMID */
    GHashTable *toolstack;  /* path: Node */
    GHashTable *txs;        /* xs_transaction_t: Tx */
    /* Changes of a committed transaction that are not yet queued for watches */
    XenPVChanges committed;
    XenPVWatches be_watches;
    QEMUBH *be_bh;
    bool delivering;
    bool ring_waits;        /* ring or connections wait: see back_ends_know() */
    QTAILQ_HEAD(, XenPVConnection) connections;
    bool hushed;            /* see xenpv_xenstore_hush() */

    /* The guest */
    struct xenstore_domain_interface *ring;     /* NULL: not connected */
    uint64_t ring_mfn;
    uint32_t guest_port;
    struct xenevtchn_handle *eh;
    int port;
    QEMUBH *ring_bh;
    QEMUTimer *ring_timer;  /* see LOOK_AGAIN_MS */
    bool ignored;           /* it has violated the protocol */
    XenPVWatches guest_watches;
    /* The message that is coming in, and the one that is going out */
    uint8_t in[HEADER_SIZE + XENSTORE_PAYLOAD_MAX + 1];
    uint32_t in_len;
    uint8_t out[HEADER_SIZE + XENSTORE_PAYLOAD_MAX];
    uint32_t out_len, out_sent;

    Notifier powerdown;

    /* The stream, while saving or loading: see xenpv-xenstore-state.c */
    uint8_t *saved;
    uint32_t saved_len;
};

/* A request, and the answer to it */
typedef struct Request {
    unsigned domid;
    XenPVWatches *watches;  /* those of the guest or program that asks */
    uint32_t type;
    uint32_t req_id;
    xs_transaction_t tx_id;
    uint32_t len;
    const char *data;       /* len bytes, and a 0 after them */
    GByteArray *reply;
} Request;

static inline int64_t xenpv_xenstore_run_until(void)
{
    return g_get_monotonic_time() + RUN_US_MAX;
}

static inline bool xenpv_xenstore_is_late(int64_t until)
{
    return g_get_monotonic_time() >= until;
}

/* --- xenpv-xenstore.c: the store, which calls none of the others */

/* Called once, by realize */
void xenpv_xenstore_init_store(XenPVXenstoreState *s);

/* A path's absolute form, NULL if invalid; @special: "@..." is valid, too */
char *xenpv_xenstore_path(unsigned domid, const char *path, bool special);
/* Is path dir, or a node below it? */
bool xenpv_xenstore_below(const char *path, const char *dir);

/*
 * Change the store, and queue the change for whoever watches the node. ENOSPC
 * in a transaction, not a back end's, that has changed TX_CHANGES_MAX nodes.
 */
int xenpv_xenstore_write(XenPVXenstoreState *s, unsigned domid,
                         xs_transaction_t tx, const char *path,
                         GByteArray *value);
int xenpv_xenstore_rm(XenPVXenstoreState *s, unsigned domid,
                      xs_transaction_t tx, const char *path);
int xenpv_xenstore_set_perms(XenPVXenstoreState *s, unsigned domid,
                             xs_transaction_t tx, const char *path,
                             GList *perms);

/*
 * Change the store as domain 0, and remember the change if it is below the
 * guest's home. Changes in a transaction are not remembered.
 */
int xenpv_xenstore_write_node(XenPVXenstoreState *s, xs_transaction_t tx,
                              const char *path, const void *data, size_t len);
int xenpv_xenstore_set_node_perms(XenPVXenstoreState *s, xs_transaction_t tx,
                                  const char *path, unsigned owner,
                                  unsigned domid, unsigned perms);
int xenpv_xenstore_rm_node(XenPVXenstoreState *s, xs_transaction_t tx,
                           const char *path);
/* Remember a node without changing the store. Takes over @value and @perms. */
void xenpv_xenstore_remember(XenPVXenstoreState *s, const char *path,
                             GByteArray *value, GList *perms);
/* Remember a changed node of domain 0 as it is now; forget it if it is gone */
void xenpv_xenstore_remember_now(XenPVXenstoreState *s, const char *path);
/* Read a node as domain 0; NULL: there is none */
GByteArray *xenpv_xenstore_read_node(XenPVXenstoreState *s, const char *path);

/* The engine's transaction through which this one reads; XBT_NULL if doomed */
xs_transaction_t xenpv_xenstore_reads_by(XenPVXenstoreState *s,
                                         xs_transaction_t t);
/* @owner: the watches of whoever starts it; NULL: a back end */
int xenpv_xenstore_transaction_start(XenPVXenstoreState *s, unsigned domid,
                                     const XenPVWatches *owner,
                                     xs_transaction_t *t);
bool xenpv_xenstore_owns(XenPVXenstoreState *s, const XenPVWatches *owner,
                         xs_transaction_t t);
/* Ends it even if it fails, unless @owner does not have it (ENOENT) */
int xenpv_xenstore_transaction_end(XenPVXenstoreState *s, unsigned domid,
                                   const XenPVWatches *owner,
                                   xs_transaction_t t, bool commit);
void xenpv_xenstore_end_transactions(XenPVXenstoreState *s,
                                     const XenPVWatches *owner);
/* Add a transaction that was open when the domain was saved */
void xenpv_xenstore_add_doomed(XenPVXenstoreState *s, xs_transaction_t t);
/* Queue a committed transaction's next change for the watches; false: none */
bool xenpv_xenstore_note_committed(XenPVXenstoreState *s);

/* Returns NULL, and a positive errno in @err, on failure */
XenPVWatch *xenpv_xenstore_add_watch(XenPVXenstoreState *s, XenPVWatches *ws,
                                     unsigned domid, const char *path,
                                     int *err);
void xenpv_xenstore_remove_watches(XenPVWatches *ws);

/*
 * Have the back ends been told of all changes? If not, the bottom halves of the
 * ring and of the connections run as soon as they have been.
 */
bool xenpv_xenstore_back_ends_know(XenPVXenstoreState *s);

/* --- xenpv-xenstore-tree.c: the toolstack's tree */

/* Make the nodes that libxl makes for a PV guest. Called once, by realize. */
void xenpv_xenstore_make_tree(XenPVXenstoreState *s);
/* Close the front ends, and restore the guest's home to the toolstack's tree */
void xenpv_xenstore_restore_tree(XenPVXenstoreState *s);

/* Sorted names of the remembered nodes in a directory; the caller frees them */
GList *xenpv_xenstore_tree_names(XenPVXenstoreState *s, const char *dir);

/* --- xenpv-xenstore-requests.c */

/*
 * Do what the message at @in asks for, and append the answer to @out. @in has
 * room for one byte more than the message.
 */
void xenpv_xenstore_handle(XenPVXenstoreState *s, unsigned domid,
                           XenPVWatches *watches, uint8_t *in, GByteArray *out);
/*
 * One step of telling watches, which may append an event to @out; is there more
 * to tell? An event that is too long for a message is left out.
 */
bool xenpv_xenstore_event(XenPVWatches *watches, GByteArray *out);

/* How many bytes are still to come of a message of which @in_len are there */
static inline uint32_t xenpv_xenstore_wanted(const uint8_t *in, uint32_t in_len)
{
    struct xsd_sockmsg hdr;

    if (in_len < HEADER_SIZE) {
        return HEADER_SIZE - in_len;
    }
    memcpy(&hdr, in, HEADER_SIZE);
    return HEADER_SIZE + le32_to_cpu(hdr.len) - in_len;
}

/* --- xenpv-xenstore-ring.c */

/* Called once, by realize, when .eh is open */
void xenpv_xenstore_init_ring(XenPVXenstoreState *s);
/* Map and bind the guest's ring; returns false on failure */
bool xenpv_xenstore_bind(XenPVXenstoreState *s, uint64_t mfn, uint32_t port);
/* Drop all that the guest has in flight, and its watches and transactions */
void xenpv_xenstore_reset_connection(XenPVXenstoreState *s);

/* --- xenpv-xenstore-backend.c */

/* Called once, by realize; fails if there is another xenstore */
bool xenpv_xenstore_serve_backends(XenPVXenstoreState *s, Error **errp);

/* --- xenpv-xenstore-state.c */

extern const VMStateDescription xenpv_vmstate_xenstore;

#endif /* HW_XENPV_XENSTORE_H */
