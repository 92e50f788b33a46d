/*
 * xen-net-device: what its three files share
 *
 * xenpv-net.c is the device: its properties, xenstore, and who is connected to
 * whom. xenpv-net-tx.c takes frames out of the front end's rings, and
 * xenpv-net-rx.c puts frames into them. All of it runs in the main loop, with
 * the BQL held, as QEMU's network clients do.
 *
 * A network client of QEMU's that the frames go to and come from is called a
 * peer here: there is one, or with several queues (of a tap device) one for
 * each. The front end's queues are as many as it wants, whatever the peers are.
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

/* Of either ring, which is one page */
#define XENPV_NET_RING_SLOTS    256
/*
 * Slots of rx that are answered, of all queues, until the main loop looks after
 * others: what waits in the net layer would be enough for all their rings at once
 */
#define XENPV_NET_PASS_SLOTS    1024
/* Multicast addresses that a front end may ask for, as Xen's back end has it */
#define XENPV_NET_MAX_MCAST     64
/*
 * How long frames are taken from the rings at a stretch, until the main loop
 * looks after others. What has been begun then is finished: a frame, or one of
 * the segments that it has become.
 */
#define XENPV_NET_PASS_NS       (1 * SCALE_MS)

/* A ring for each way, and the event channels for them */
typedef struct XenPVNetQueue {
    XenPVNet *net;
    unsigned peer;                  /* the index of the one it sends to */
    uint32_t tx_ring_ref, rx_ring_ref;
    XenEventChannel *tx_channel;
    XenEventChannel *rx_channel;    /* the same one if they are not split */
    netif_tx_back_ring_t tx;
    netif_rx_back_ring_t rx;

    /* What the last frame has become, and how much of it is sent; or NULL */
    GByteArray *segments;
    guint segments_sent;

    /* A frame waits in the net layer for so many slots of rx; 0: none does */
    unsigned rx_wanted;
    /* Slots of rx that are answered, but the front end is not told yet */
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
    bool vnet_hdr;                  /* frames of the peers have one */
    unsigned *pending;              /* frames that a peer has not taken yet */
    QEMUBH *bh;
    QEMUTimer *rx_timer;
    VMChangeStateEntry *vm_change;

    /* From here on: of the front end that is connected */
    bool connected;
    unsigned nr_queues;
    unsigned first_queue;           /* whose turn it is */
    unsigned rx_unpushed;           /* of all queues */
    XenPVNetQueue *queues;
    struct {
        bool rx_notify;             /* it tells of new buffers */
        bool sg;                    /* a frame may be in several slots */
        bool gso_tcpv4, gso_tcpv6;
        bool csum_ipv4, csum_ipv6;  /* it takes frames with blank checksums */
    } front;
    bool mcast_control;
    unsigned nr_mcast;
    uint8_t mcast[XENPV_NET_MAX_MCAST][ETH_ALEN];
    struct qemu_xs_watch *mcast_watch;

    /* Of the frame that is being sent */
    struct NetTxPkt *tx_pkt;
    uint8_t *tx_frame;              /* XEN_NETIF_MAX_TX_SIZE */

    /* QOM properties, to read */
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
 * Send what is in the queue, until the clock (QEMU_CLOCK_REALTIME) says so:
 * then net->bh goes on. Was there anything?
 */
bool xenpv_net_tx(XenPVNetQueue *q, int64_t deadline);
/* Forget what is left of a frame */
void xenpv_net_tx_drop(XenPVNetQueue *q);

/* xenpv-net-rx.c */

/* NetClientInfo's */
ssize_t xenpv_net_receive(NetClientState *nc, const uint8_t *buf, size_t size);
/* The front end may have new buffers: take frames that wait for them */
void xenpv_net_rx_kick(XenPVNet *net);
/* Tell the front end what it has got */
void xenpv_net_rx_push(XenPVNetQueue *q);

#endif /* XENPV_NET_H */
