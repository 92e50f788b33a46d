/*
 * xenstore among its own files, which xenpv-xenstore.c lists
 *
 * All of it runs with the BQL, and so needs no lock. Functions that return an
 * int return a positive errno, as xenstore_impl.h's do.
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
/* Nodes that can be changed in a transaction of the guest, as with xenstored */
#define TX_CHANGES_MAX      1024
/*
 * Nodes of whose change a guest can be told later: twice what it can change in
 * a transaction. If it lets more come up, it is told to look again at all that
 * it watches (see xenpv-watch.h).
 */
#define GUEST_CHANGES_MAX   (2 * TX_CHANGES_MAX)
/* Transactions that one of domain 0's programs may have open, as a guest */
#define TXS_MAX             10
/* Permissions in a request: more than the store takes for a node */
#define PERMS_MAX           15

/*
 * How long the guest's requests and events, or those of the back ends, are
 * worked on before others get their turn. One request, or one event, is begun
 * within that time; none takes more than a few milliseconds.
 */
#define RUN_US_MAX          1000

#define HEADER_SIZE         sizeof(struct xsd_sockmsg)

/* What is opaque to back ends */
struct qemu_xs_handle {
    XenPVXenstoreState *store;
};

/* A transaction, of the guest or of a back end */
typedef struct Tx {
    unsigned domid;
    /* Whose it is: the guest's, one program's of domain 0; NULL: a back end's */
    const XenPVWatches *owner;
    /*
     * It was open when the domain was saved: what it changes goes nowhere, what
     * it reads is the store, and it fails at its end, as one does that has met
     * with another's change: the guest begins it once more.
     */
    bool doomed;
    XenPVChanges changes;
} Tx;

/* A node that domain 0 has written below the guest's home */
typedef struct Node {
    GByteArray *value;
    GList *perms;           /* NULL: those of its parent */
} Node;

/* A program of domain 0's, on a socket */
typedef struct XenPVConnection {
    QTAILQ_ENTRY(XenPVConnection) next;
    XenPVWatches watches;
    QEMUBH *bh;             /* there may be something to do for it */
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
    /* What a transaction has changed, and is still to be noted as changed */
    XenPVChanges committed;
    XenPVWatches be_watches;
    QEMUBH *be_bh;
    bool delivering;
    bool ring_waits;        /* or another, until the back ends have been told */
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
    /* What is on its way in and out */
    uint8_t in[HEADER_SIZE + XENSTORE_PAYLOAD_MAX + 1];
    uint32_t in_len;
    uint8_t out[HEADER_SIZE + XENSTORE_PAYLOAD_MAX];
    uint32_t out_len, out_sent;

    Notifier powerdown;

    /* Only while it is saved or loaded: see xenpv-xenstore-state.c */
    uint8_t *saved;
    uint32_t saved_len;
};

/* A request, and the answer to it */
typedef struct Request {
    unsigned domid;
    XenPVWatches *watches;  /* of who asks */
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

/* Once, for realize */
void xenpv_xenstore_init_store(XenPVXenstoreState *s);

/* The absolute form of a path, NULL if it is not valid; special: @... */
char *xenpv_xenstore_path(unsigned domid, const char *path, bool special);
/* Is path dir, or a node below it? */
bool xenpv_xenstore_below(const char *path, const char *dir);

/*
 * Change the store, and note it for those who watch. In a transaction of the
 * guest's, ENOSPC if it has changed TX_CHANGES_MAX nodes.
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
 * Change the store as domain 0, and remember it if it is below the guest's
 * home. What is changed in a transaction is not remembered.
 */
int xenpv_xenstore_write_node(XenPVXenstoreState *s, xs_transaction_t tx,
                              const char *path, const void *data, size_t len);
int xenpv_xenstore_set_node_perms(XenPVXenstoreState *s, xs_transaction_t tx,
                                  const char *path, unsigned owner,
                                  unsigned domid, unsigned perms);
int xenpv_xenstore_rm_node(XenPVXenstoreState *s, xs_transaction_t tx,
                           const char *path);
/* Only remember it. Takes @value, @perms. */
void xenpv_xenstore_remember(XenPVXenstoreState *s, const char *path,
                             GByteArray *value, GList *perms);
/* What domain 0 has changed: remember it as it is, or that it is not there */
void xenpv_xenstore_remember_now(XenPVXenstoreState *s, const char *path);
/* As domain 0; NULL: there is no such node */
GByteArray *xenpv_xenstore_read_node(XenPVXenstoreState *s, const char *path);

/* By which transaction of the engine this one reads */
xs_transaction_t xenpv_xenstore_reads_by(XenPVXenstoreState *s,
                                         xs_transaction_t t);
/* @owner: the watches of who has it; NULL: a back end */
int xenpv_xenstore_transaction_start(XenPVXenstoreState *s, unsigned domid,
                                     const XenPVWatches *owner,
                                     xs_transaction_t *t);
bool xenpv_xenstore_owns(XenPVXenstoreState *s, const XenPVWatches *owner,
                         xs_transaction_t t);
/* It is gone then, unless it is not the owner's (ENOENT) */
int xenpv_xenstore_transaction_end(XenPVXenstoreState *s, unsigned domid,
                                   const XenPVWatches *owner,
                                   xs_transaction_t t, bool commit);
void xenpv_xenstore_end_transactions(XenPVXenstoreState *s,
                                     const XenPVWatches *owner);
/* A transaction that was open when the domain was saved */
void xenpv_xenstore_add_doomed(XenPVXenstoreState *s, xs_transaction_t t);
/* A step of noting what a transaction has changed: is there more? */
bool xenpv_xenstore_note_committed(XenPVXenstoreState *s);

/* NULL, and a positive errno in err, if it cannot be */
XenPVWatch *xenpv_xenstore_add_watch(XenPVXenstoreState *s, XenPVWatches *ws,
                                     unsigned domid, const char *path,
                                     int *err);
void xenpv_xenstore_remove_watches(XenPVWatches *ws);

/*
 * Have the back ends been told of what others have done? If not, the ring's and
 * the connections' bottom halves run when they have.
 */
bool xenpv_xenstore_back_ends_know(XenPVXenstoreState *s);

/* --- xenpv-xenstore-tree.c: the toolstack's tree */

/* What libxl makes for a PV guest: once, for realize */
void xenpv_xenstore_make_tree(XenPVXenstoreState *s);
/* Close the front ends, and make the guest's home what the toolstack made */
void xenpv_xenstore_restore_tree(XenPVXenstoreState *s);

/* The names in a directory of what is remembered, sorted; the caller's */
GList *xenpv_xenstore_tree_names(XenPVXenstoreState *s, const char *dir);

/* --- xenpv-xenstore-requests.c */

/*
 * Do what the message at @in asks for, in which there is room for a byte more,
 * and append the answer to @out
 */
void xenpv_xenstore_handle(XenPVXenstoreState *s, unsigned domid,
                           XenPVWatches *watches, uint8_t *in, GByteArray *out);
/*
 * A step of telling who watches, which may append a message: is there more to
 * tell? What is too long for a message is left out.
 */
bool xenpv_xenstore_event(XenPVWatches *watches, GByteArray *out);

/* How much a message that has begun to come in still wants */
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

/* Once, for realize, when .eh is open */
void xenpv_xenstore_init_ring(XenPVXenstoreState *s);
/* Bind the guest's ring; false, if it cannot be */
bool xenpv_xenstore_bind(XenPVXenstoreState *s, uint64_t mfn, uint32_t port);
/* All that the guest has in flight is gone, watches and transactions too */
void xenpv_xenstore_reset_connection(XenPVXenstoreState *s);

/* --- xenpv-xenstore-backend.c */

/* Once, for realize: false, if there is another */
bool xenpv_xenstore_serve_backends(XenPVXenstoreState *s, Error **errp);

/* --- xenpv-xenstore-state.c */

extern const VMStateDescription xenpv_vmstate_xenstore;

#endif /* HW_XENPV_XENSTORE_H */
