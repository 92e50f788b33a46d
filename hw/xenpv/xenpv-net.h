/*
 * xen-net-device: what its three files share
 *
 * xenpv-net.c is the device: its properties, its xenstore nodes, and connecting
 * to the front end. xenpv-net-tx.c takes frames out of the front end's rings,
 * and xenpv-net-rx.c puts frames into them. All of it runs in the main loop,
 * with the BQL held, as QEMU's network clients do.
 *
 * A peer, here, is the QEMU network client that sends and receives the frames.
 * There is one, or one for each queue of a multi-queue tap device. How many
 * queues the front end uses does not depend on that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef XENPV_NET_H
#define XENPV_NET_H

#include "qemu/timer.h"
#include "hw/xen/xen-bus.h"
#include "hw/xen/interface/io/netif.h"
#include "net/eth.h"
#include "net/net.h"
#include "qom/object.h"

#define TYPE_XENPV_NET "xen-net-device"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVNet, XENPV_NET)

/* Slots in each of the two rings, which are one page each */
#define XENPV_NET_RING_SLOTS    256
/*
 * How many rx slots, of all queues together, are filled before the main loop
 * may do other work: the net layer can hold enough frames for all queues' rings
 */
#define XENPV_NET_PASS_SLOTS    1024
/* Multicast addresses that a front end may ask for, as in Xen's netback */
#define XENPV_NET_MAX_MCAST     64
/*
 * How long one pass may take frames from the rings before the main loop may do
 * other work. A frame, or a segment of one, that was begun in time is finished.
 */
#define XENPV_NET_PASS_NS       (1 * SCALE_MS)

/* A ring for each direction, and their event channels */
typedef struct XenPVNetQueue {
    XenPVNet *net;
    unsigned peer;                  /* the index of the peer it sends to */
    uint32_t tx_ring_ref, rx_ring_ref;
    XenEventChannel *tx_channel;
    XenEventChannel *rx_channel;    /* tx_channel if they are not split */
    netif_tx_back_ring_t tx;
    netif_rx_back_ring_t rx;

    /* Segments of the last frame, and the bytes of it already sent; or NULL */
    GByteArray *segments;
    guint segments_sent;

    /* The rx slots that a frame in the net layer waits for; 0: none waits */
    unsigned rx_wanted;
    /* The rx slots that are filled but not yet shown to the front end */
    unsigned rx_unpushed;
} XenPVNetQueue;

struct XenPVNet {
    XenDevice xendev;

    /* Properties */
    NICConf conf;
    int32_t idx;
    uint32_t max_queues;
    uint16_t mtu;

    NICState *nic;
    unsigned nr_peers;
    bool vnet_hdr;                  /* the peers' frames start with one */
    unsigned *pending;              /* by peer: frames it has not taken yet */
    QEMUBH *bh;
    QEMUTimer *rx_timer;
    VMChangeStateEntry *vm_change;

    /* From here on: the state of the connection to the front end */
    bool connected;
    unsigned nr_queues;
    unsigned first_queue;           /* the queue whose turn it is */
    unsigned rx_unpushed;           /* the sum over all queues */
    XenPVNetQueue *queues;
    struct {
        bool rx_notify;             /* it sends an event for new buffers */
        bool sg;                    /* it takes a frame in several slots */
        bool gso_tcpv4, gso_tcpv6;
        bool csum_ipv4, csum_ipv6;  /* it takes frames with blank checksums */
    } front;
    bool mcast_control;
    unsigned nr_mcast;
    uint8_t mcast[XENPV_NET_MAX_MCAST][ETH_ALEN];
    struct qemu_xs_watch *mcast_watch;

    /* Scratch space for the frame that is being sent */
    struct NetTxPkt *tx_pkt;
    uint8_t *tx_frame;              /* XEN_NETIF_MAX_TX_SIZE */

    /* Read-only QOM properties */
    struct {
        uint64_t tx_frames, tx_bytes, tx_errors;
        uint64_t rx_frames, rx_bytes, rx_errors, rx_dropped;
    } counters;
};

/* xenpv-net.c */

/* A domain has come in: its link is as it was there */
void xenpv_net_take_link(XenPVNet *net);

/* xenpv-net-tx.c */

void xenpv_net_tx_init(XenPVNet *net);
void xenpv_net_tx_uninit(XenPVNet *net);
/*
 * Send the queue's frames until @deadline (ns of QEMU_CLOCK_REALTIME), after
 * which net->bh continues. Returns whether any frame was taken from the ring.
 */
bool xenpv_net_tx(XenPVNetQueue *q, int64_t deadline);
/* Forget the segments that are not sent yet */
void xenpv_net_tx_drop(XenPVNetQueue *q);

/* xenpv-net-rx.c */

/* The NetClientInfo.receive callback */
ssize_t xenpv_net_receive(NetClientState *nc, const uint8_t *buf, size_t size);
/* The front end may have new buffers: fetch the frames that wait for them */
void xenpv_net_rx_kick(XenPVNet *net);
/* Show the front end the frames it has got, and notify it if it wants that */
void xenpv_net_rx_push(XenPVNetQueue *q);

#endif /* XENPV_NET_H */
