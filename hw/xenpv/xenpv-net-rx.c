/*
 * xen-net-device: frames to the front end
 *
 * The front end puts granted pages into the ring. A frame is copied into as
 * many of them as it needs, from the beginning of each. With segmentation
 * offload, the slot after the first says how to segment the frame, and that
 * slot's page is not used. A frame for which there are too few slots waits in
 * the net layer, which then takes no more from the peer. QEMU's net layer and
 * xenpv-net.c call this, in the main loop.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/main-loop.h"
#include "qemu/xxhash.h"
#include "net/checksum.h"
#include "standard-headers/linux/virtio_net.h"
#include "system/runstate.h"
#include "trace.h"
#include "xenpv-net.h"
#include "xenpv-platform.h"

/* How often to look for new buffers if the front end sends no event for them */
#define RX_POLL_MS      30

typedef struct RxFrame {
    const uint8_t *data;
    size_t size;
    uint16_t flags;             /* NETRXF_* */
    uint8_t gso_type;           /* XEN_NETIF_GSO_TYPE_* */
    uint16_t gso_size;
} RxFrame;

/* ------------------------------------------------------------------------- */
/* Which frames, and for which queue                                          */

static bool is_wanted(XenPVNet *net, const uint8_t *dest)
{
    if (!net->mcast_control || !is_multicast_ether_addr(dest) ||
        is_broadcast_ether_addr(dest)) {
        return true;
    }
    for (unsigned i = 0; i < net->nr_mcast; i++) {
        if (!memcmp(net->mcast[i], dest, ETH_ALEN)) {
            return true;
        }
    }
    return false;
}

/* The same for all frames of a connection, so that they stay in order */
static uint32_t hash_of(const uint8_t *frame, size_t size)
{
    size_t l2_len = sizeof(struct eth_header);
    uint64_t addrs[2] = { 0 };
    uint32_t ports = 0;
    const uint8_t *l3, *l4 = NULL;
    uint8_t proto;

    if (size < l2_len + sizeof(struct ip6_header)) {
        return 0;
    }
    l3 = frame + l2_len;
    switch (lduw_be_p(frame + l2_len - 2)) {
    case ETH_P_IP:
        addrs[0] = ldq_he_p(l3 + offsetof(struct ip_header, ip_src));
        proto = IP_HDR_GET_P(l3);
        if (!(lduw_be_p(l3 + offsetof(struct ip_header, ip_off)) &
              (IP_OFFMASK | IP_MF))) {
            l4 = l3 + IP_HDR_GET_LEN(l3);
        }
        break;
    case ETH_P_IPV6:
        l4 = l3 + sizeof(struct ip6_header);
        addrs[0] = ldq_he_p(l4 - 32) ^ ldq_he_p(l4 - 24);
        addrs[1] = ldq_he_p(l4 - 16) ^ ldq_he_p(l4 - 8);
        proto = l3[offsetof(struct ip6_header, ip6_nxt)];
        break;
    default:
        return 0;
    }
    if (l4 && l4 + sizeof(ports) <= frame + size &&
        (proto == IP_PROTO_TCP || proto == IP_PROTO_UDP)) {
        ports = ldl_he_p(l4);
    }
    return qemu_xxhash5(addrs[0], addrs[1], ports);
}

static XenPVNetQueue *queue_for(XenPVNet *net, NetClientState *nc,
                                const RxFrame *f)
{
    unsigned i = 0;

    if (net->nr_peers > 1) {
        /* The tap device has chosen one of its queues already */
        i = nc->queue_index;
    } else if (net->nr_queues > 1) {
        i = hash_of(f->data, f->size);
    }
    return &net->queues[i % net->nr_queues];
}

/* ------------------------------------------------------------------------- */
/* Checksums and segmentation that the peer has left to be done               */

/* Returns a copy with its checksum filled in; NULL if it has no room for one */
static uint8_t *fill_checksum(const RxFrame *f,
                              const struct virtio_net_hdr *hdr)
{
    size_t start = hdr->csum_start;
    size_t at = start + hdr->csum_offset;
    uint8_t *copy;

    if (at + 2 > f->size || start >= f->size) {
        return NULL;
    }
    copy = g_memdup2(f->data, f->size);
    /* The pseudo header's checksum is in the field already, and is summed up */
    stw_be_p(copy + at, net_checksum_finish_nozero(
                 net_checksum_add(f->size - start, copy + start)));
    return copy;
}

/* Turn the vnet header into Xen's flags. False: the front end lacks support */
static bool use_vnet_hdr(XenPVNet *net, RxFrame *f,
                         const struct virtio_net_hdr *hdr, uint8_t **copy)
{
    size_t l2_len = eth_get_l2_hdr_length(f->data);
    bool ipv6 = l2_len <= f->size &&
                lduw_be_p(f->data + l2_len - 2) == ETH_P_IPV6;

    switch (hdr->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_NONE:
        break;
    case VIRTIO_NET_HDR_GSO_TCPV4:
        f->gso_type = XEN_NETIF_GSO_TYPE_TCPV4;
        break;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        f->gso_type = XEN_NETIF_GSO_TYPE_TCPV6;
        break;
    default:
        return false;
    }
    if (f->gso_type) {
        f->gso_size = hdr->gso_size;
        f->flags = NETRXF_csum_blank | NETRXF_data_validated |
                   NETRXF_extra_info;
        return f->gso_size &&
               (f->gso_type == XEN_NETIF_GSO_TYPE_TCPV4 ? net->front.gso_tcpv4
                                                        : net->front.gso_tcpv6);
    }
    if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        if (ipv6 ? net->front.csum_ipv6 : net->front.csum_ipv4) {
            f->flags = NETRXF_csum_blank | NETRXF_data_validated;
        } else {
            *copy = fill_checksum(f, hdr);
            f->data = *copy;
        }
    } else if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        f->flags = NETRXF_data_validated;
    }
    return f->data;
}

/* ------------------------------------------------------------------------- */
/* The ring                                                                   */

/* Are there @wanted slots? If not, ask the front end for an event */
static bool has_slots(XenPVNetQueue *q, unsigned wanted)
{
    RING_IDX cons = q->rx.req_cons;

    for (int i = 0; i < 2; i++) {
        RING_IDX prod = qatomic_read(&q->rx.sring->req_prod);

        /* Read the slots only after the index that covers them */
        xen_rmb();
        if (RING_REQUEST_PROD_OVERFLOW(&q->rx, prod)) {
            trace_xenpv_net_ring_overflow(q->net->idx, "rx", prod);
            return false;
        }
        if (prod - cons >= wanted) {
            return true;
        }
        qatomic_set(&q->rx.sring->req_event, cons + wanted);
        /* The front end may have added slots before it saw that */
        xen_mb();
    }
    return false;
}

/* Fill the next slot's page from offset @done of the frame, and answer it */
static bool put_part(XenPVNetQueue *q, const RxFrame *f, size_t done,
                     uint16_t flags)
{
    size_t len = MIN(f->size - done, XEN_PAGE_SIZE);
    netif_rx_request_t req;
    netif_rx_response_t *rsp;
    uint8_t *page;

    RING_COPY_REQUEST(&q->rx, q->rx.req_cons, &req);
    q->rx.req_cons++;
    page = xenpv_gnttab_use(req.gref, 0, len, true);
    if (page) {
        memcpy(page, f->data + done, len);
        xenpv_gnttab_release(req.gref, true);
    }
    if (done + len < f->size) {
        flags |= NETRXF_more_data;
    }
    rsp = RING_GET_RESPONSE(&q->rx, q->rx.rsp_prod_pvt);
    q->rx.rsp_prod_pvt++;
    *rsp = (netif_rx_response_t) {
        .id = req.id, .offset = 0, .flags = flags,
        .status = page ? len : NETIF_RSP_ERROR,
    };
    return page;
}

static void put_gso(XenPVNetQueue *q, const RxFrame *f)
{
    netif_extra_info_t *extra = (netif_extra_info_t *)
        RING_GET_RESPONSE(&q->rx, q->rx.rsp_prod_pvt);

    QEMU_BUILD_BUG_ON(sizeof(*extra) > sizeof(union netif_rx_sring_entry));
    q->rx.req_cons++;
    q->rx.rsp_prod_pvt++;
    *extra = (netif_extra_info_t) {
        .type = XEN_NETIF_EXTRA_TYPE_GSO,
        .u.gso.size = f->gso_size,
        .u.gso.type = f->gso_type,
    };
}

static void put_frame(XenPVNetQueue *q, const RxFrame *f)
{
    XenPVNet *net = q->net;
    bool ok = put_part(q, f, 0, f->flags);

    if (f->gso_type) {
        put_gso(q, f);
    }
    for (size_t done = XEN_PAGE_SIZE; done < f->size; done += XEN_PAGE_SIZE) {
        ok &= put_part(q, f, done, 0);
    }
    if (ok) {
        net->counters.rx_frames++;
        net->counters.rx_bytes += f->size;
    } else {
        /* The front end drops all of it */
        net->counters.rx_errors++;
        trace_xenpv_net_bad_rx(net->idx, f->size);
    }
    trace_xenpv_net_rx(net->idx, f->size, f->flags, f->gso_type);
}

/* Poll a front end that sends no event for new buffers */
static void look_again(XenPVNet *net)
{
    if (!net->front.rx_notify) {
        timer_mod(net->rx_timer,
                  qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) + RX_POLL_MS);
    }
}

ssize_t xenpv_net_receive(NetClientState *nc, const uint8_t *buf, size_t size)
{
    XenPVNet *net = qemu_get_nic_opaque(nc);
    struct virtio_net_hdr hdr = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
    RxFrame f = { .data = buf, .size = size };
    g_autofree uint8_t *copy = NULL;
    const char *why;
    XenPVNetQueue *q;
    unsigned wanted;

    why = "not connected";
    if (!net->connected) {
        goto drop;
    }
    why = "too short";
    if (net->vnet_hdr) {
        if (size < sizeof(hdr)) {
            goto drop;
        }
        memcpy(&hdr, buf, sizeof(hdr));
        f.data += sizeof(hdr);
        f.size -= sizeof(hdr);
    }
    if (f.size < ETH_HLEN) {
        goto drop;
    }
    why = "multicast";
    if (!is_wanted(net, f.data)) {
        goto drop;
    }
    q = queue_for(net, nc, &f);
    why = "offload that the front end has not";
    if (net->vnet_hdr && !use_vnet_hdr(net, &f, &hdr, &copy)) {
        goto drop;
    }
    wanted = DIV_ROUND_UP(f.size, XEN_PAGE_SIZE);
    why = "too large";
    if (wanted > (net->front.sg ? XEN_NETIF_NR_SLOTS_MIN : 1)) {
        goto drop;
    }
    wanted += f.gso_type ? 1 : 0;
    /*
     * A front end that adds buffers as fast as they are filled must not keep us
     * here: after a ring's worth for one queue, or XENPV_NET_PASS_SLOTS for all
     * of them, frames wait until net->bh has run.
     */
    if (q->rx_unpushed >= XENPV_NET_RING_SLOTS ||
        net->rx_unpushed >= XENPV_NET_PASS_SLOTS || !has_slots(q, wanted)) {
        q->rx_wanted = wanted;
        look_again(net);
        return 0;
    }
    put_frame(q, &f);
    q->rx_unpushed += wanted;
    net->rx_unpushed += wanted;
    if (runstate_is_running()) {
        qemu_bh_schedule(net->bh);
    } else {
        xenpv_net_rx_push(q);
    }
    return size;

drop:
    net->counters.rx_dropped++;
    trace_xenpv_net_rx_dropped(net->idx, size, why);
    return size;
}

void xenpv_net_rx_push(XenPVNetQueue *q)
{
    int notify;

    if (!q->rx_unpushed) {
        return;
    }
    trace_xenpv_net_rx_push(q->net->idx, q->rx_unpushed);
    q->net->rx_unpushed -= q->rx_unpushed;
    q->rx_unpushed = 0;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&q->rx, notify);
    if (notify) {
        /* Fails if the front end has closed its end */
        xen_device_notify_event_channel(XEN_DEVICE(q->net), q->rx_channel,
                                        NULL);
    }
}

void xenpv_net_rx_kick(XenPVNet *net)
{
    bool any = false;

    if (!runstate_is_running()) {
        return;                     /* net->bh runs when the machine goes on */
    }
    for (unsigned i = 0; i < net->nr_queues; i++) {
        XenPVNetQueue *q = &net->queues[i];

        if (!q->rx_wanted) {
            continue;
        }
        if (has_slots(q, q->rx_wanted)) {
            q->rx_wanted = 0;
            any = true;
        } else {
            look_again(net);
        }
    }
    for (unsigned i = 0; any && i < net->nr_peers; i++) {
        qemu_flush_queued_packets(qemu_get_subqueue(net->nic, i));
    }
}
