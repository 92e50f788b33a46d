/*
 * The state of xenstore, for its own files: xenpv-xenstore.c, and
 * xenpv-xenstore-state.c, which saves and loads it
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
/* Permissions in a request: more than the store takes for a node */
#define PERMS_MAX           15

#define HEADER_SIZE         sizeof(struct xsd_sockmsg)

/* What is opaque to back ends */
struct qemu_xs_handle {
    XenPVXenstoreState *store;
};

/* A transaction, of the guest or of a back end */
typedef struct Tx {
    unsigned domid;
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

struct XenPVXenstoreState {
    SysBusDevice parent_obj;

    uint16_t domid;
    uint32_t nr_vcpus;
    char *name;
    QemuUUID uuid;
    uint64_t ram_size;

    XenstoreImplState *impl;
    char *home;             /* /local/domain/DOMID */
    GHashTable *toolstack;  /* path: Node */
    GHashTable *txs;        /* xs_transaction_t: Tx */
    /* What a transaction has changed, and is still to be noted as changed */
    XenPVChanges committed;
    XenPVWatches be_watches;
    QEMUBH *be_bh;
    bool delivering;
    bool ring_waits;        /* until the back ends have been told */

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

/* A node of the toolstack's: see xenpv_xenstore_reset(). Takes @value, @perms. */
void xenpv_xenstore_remember(XenPVXenstoreState *s, const char *path,
                             GByteArray *value, GList *perms);
/* All that the guest has in flight is gone, watches and transactions too */
void xenpv_xenstore_reset_connection(XenPVXenstoreState *s);
/* The absolute form of a path, NULL if it is not valid; special: @... */
char *xenpv_xenstore_path(unsigned domid, const char *path, bool special);
/* A transaction that was open when the domain was saved */
void xenpv_xenstore_add_doomed(XenPVXenstoreState *s, xs_transaction_t t);
/* Bind the guest's ring; false, if it cannot be */
bool xenpv_xenstore_bind(XenPVXenstoreState *s, uint64_t mfn, uint32_t port);

extern const VMStateDescription xenpv_vmstate_xenstore;

#endif /* HW_XENPV_XENSTORE_H */
