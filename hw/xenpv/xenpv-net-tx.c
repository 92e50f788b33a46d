/*
 * xen-net-device: frames from the front end
 *
 * A frame takes one or more slots of the ring. Each slot names a part of the
 * frame in a granted page; extra slots after the first say more about it. The
 * slots are copied once, and checked. The parts are sent from the front end's
 * memory, except for the beginning with all the headers, which is copied before
 * anything looks at it: if the front end writes to the frame later, it changes
 * what others on the network get, but nothing here.
 *
 * A front end can leave segmentation and checksums to the back end. The peer
 * does them if it takes QEMU's vnet header. Otherwise QEMU's net_tx_pkt.c does,
 * and the whole frame is copied first. How long the peer takes to send a
 * segment is not known. So the segments, at most MAX_SEGMENTS with at most
 * HEAD_SIZE bytes of headers each, are kept, and each pass sends as many as it
 * has time for; the queue takes no other frame until the last one is sent.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "system/dma.h"           /* net_tx_pkt.h needs it */
#include "hw/net/net_tx_pkt.h"
#include "net/checksum.h"
#include "standard-headers/linux/virtio_net.h"
#include "system/runstate.h"
#include "trace.h"
#include "xenpv-net.h"
#include "xenpv-platform.h"

/* Slots with data that a frame may have: as many as Xen's netback takes */
#define MAX_PARTS       XEN_NETIF_NR_SLOTS_MIN
/*
 * The longest headers that a frame with offloads may have: Ethernet, IP and TCP
 * with all their options, except for IPv6's. Of a frame that a peer takes as it
 * is, only so much is copied; and net_tx_pkt.c, which copies the headers for
 * each segment and has 16 bits for their length, never gets longer ones.
 */
#define HEAD_SIZE       256
/* Segments of a frame: the largest frame gives so many of 64 bytes each */
#define MAX_SEGMENTS    1024

typedef struct TxFrame {
    unsigned nr_slots;              /* of the ring */
    unsigned nr_extras;             /* of these, from the second on */
    uint16_t ids[XENPV_NET_RING_SLOTS];
    uint16_t flags;                 /* the first slot's */
    uint16_t size;
    unsigned nr_parts;
    netif_tx_request_t parts[MAX_PARTS];
    netif_extra_info_t extras[XEN_NETIF_EXTRA_TYPE_MAX];    /* by their types */
} TxFrame;

static bool has_extra(const TxFrame *f, unsigned type)
{
    return f->extras[type].type;
}

/* ------------------------------------------------------------------------- */
/* The ring                                                                   */

/*
 * Copy a frame's slots out of the ring. Returns NULL, or what is wrong with
 * them. In either case the caller consumes and answers f->nr_slots slots.
 */
static const char *get_slots(XenPVNetQueue *q, unsigned available, TxFrame *f)
{
    RING_IDX cons = q->tx.req_cons;
    const char *why = NULL;
    netif_tx_request_t req;
    bool more;

    RING_COPY_REQUEST(&q->tx, cons, &req);
    f->ids[0] = req.id;
    f->nr_slots = 1;
    f->nr_extras = 0;
    f->flags = req.flags;
    f->size = req.size;
    f->parts[0] = req;
    f->nr_parts = 1;
    memset(f->extras, 0, sizeof(f->extras));

    more = req.flags & NETTXF_extra_info;
    while (more) {
        netif_extra_info_t extra;

        if (f->nr_slots == available) {
            return "an extra slot is missing";
        }
        memcpy(&extra, RING_GET_REQUEST(&q->tx, cons + f->nr_slots),
               sizeof(extra));
        /* Look only at the copy: the front end may change the ring */
        barrier();
        f->nr_slots++;
        f->nr_extras++;
        if (extra.type == XEN_NETIF_EXTRA_TYPE_NONE ||
            extra.type >= XEN_NETIF_EXTRA_TYPE_MAX) {
            why = "type of an extra slot";
        } else if (has_extra(f, extra.type)) {
            why = "two extra slots of a type";
        } else {
            f->extras[extra.type] = extra;
        }
        more = extra.flags & XEN_NETIF_EXTRA_FLAG_MORE;
    }
    while (req.flags & NETTXF_more_data) {
        if (f->nr_slots == available) {
            return "a slot is missing";
        }
        RING_COPY_REQUEST(&q->tx, cons + f->nr_slots, &req);
        f->ids[f->nr_slots++] = req.id;
        if (f->nr_parts == MAX_PARTS) {
            why = "too many slots";
        } else {
            f->parts[f->nr_parts++] = req;
        }
    }
    return why;
}

/*
 * Returns NULL, or what is wrong. By the ABI the first slot has the whole
 * frame's size; this replaces it by that of the slot's own part.
 */
static const char *check_frame(TxFrame *f)
{
    unsigned left = f->size;

    if (has_extra(f, XEN_NETIF_EXTRA_TYPE_MCAST_ADD) ||
        has_extra(f, XEN_NETIF_EXTRA_TYPE_MCAST_DEL)) {
        return NULL;                /* a request without a frame */
    }
    for (unsigned i = 1; i < f->nr_parts; i++) {
        if (f->parts[i].size > left) {
            return "the parts are larger than the whole";
        }
        left -= f->parts[i].size;
    }
    f->parts[0].size = left;
    if (left < ETH_HLEN) {
        return "too short";
    }
    for (unsigned i = 0; i < f->nr_parts; i++) {
        if (f->parts[i].offset + f->parts[i].size > XEN_PAGE_SIZE) {
            return "a part is beyond its page";
        }
    }
    if (has_extra(f, XEN_NETIF_EXTRA_TYPE_GSO)) {
        const netif_extra_info_t *extra = &f->extras[XEN_NETIF_EXTRA_TYPE_GSO];

        if (extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV4 &&
            extra->u.gso.type != XEN_NETIF_GSO_TYPE_TCPV6) {
            return "type of segmentation";
        }
        if (!extra->u.gso.size ||
            f->size / extra->u.gso.size >= MAX_SEGMENTS) {
            return "size of segments";
        }
    }
    return NULL;
}

static void answer(XenPVNetQueue *q, const TxFrame *f, int16_t status)
{
    for (unsigned i = 0; i < f->nr_slots; i++) {
        netif_tx_response_t *rsp =
            RING_GET_RESPONSE(&q->tx, q->tx.rsp_prod_pvt + i);

        if (i && i <= f->nr_extras) {
            rsp->status = NETIF_RSP_NULL;
        } else {
            rsp->id = f->ids[i];
            rsp->status = status;
        }
    }
    q->tx.rsp_prod_pvt += f->nr_slots;
}

/* ------------------------------------------------------------------------- */
/* Multicast addresses                                                        */

static int find_mcast(XenPVNet *net, const uint8_t *addr)
{
    for (unsigned i = 0; i < net->nr_mcast; i++) {
        if (!memcmp(net->mcast[i], addr, ETH_ALEN)) {
            return i;
        }
    }
    return -1;
}

static const char *change_mcast(XenPVNet *net, const TxFrame *f)
{
    const netif_extra_info_t *add = &f->extras[XEN_NETIF_EXTRA_TYPE_MCAST_ADD];
    const netif_extra_info_t *del = &f->extras[XEN_NETIF_EXTRA_TYPE_MCAST_DEL];
    int i;

    if (add->type && find_mcast(net, add->u.mcast.addr) < 0) {
        if (net->nr_mcast == XENPV_NET_MAX_MCAST) {
            return "too many multicast addresses";
        }
        memcpy(net->mcast[net->nr_mcast++], add->u.mcast.addr, ETH_ALEN);
    }
    if (del->type) {
        i = find_mcast(net, del->u.mcast.addr);
        if (i >= 0) {
            memcpy(net->mcast[i], net->mcast[--net->nr_mcast], ETH_ALEN);
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------- */
/* To the peer                                                                */

static void peer_has_taken(NetClientState *nc, ssize_t len)
{
    XenPVNet *net = qemu_get_nic_opaque(nc);

    if (net->pending[nc->queue_index] && !--net->pending[nc->queue_index] &&
        net->connected) {
        qemu_bh_schedule(net->bh);
    }
}

/*
 * If the peer cannot take a frame now, the net layer keeps a copy for it. The
 * queue waits until the peer has taken that, so that no more copies pile up.
 */
static void give(XenPVNetQueue *q, const struct iovec *iov, int cnt)
{
    NetClientState *nc = qemu_get_subqueue(q->net->nic, q->peer);

    if (!qemu_sendv_packet_async(nc, iov, cnt, peer_has_taken)) {
        q->net->pending[q->peer]++;
    }
}

/* For net_tx_pkt.c: keep a segment, after its size, for send_segments() */
static void keep_segment(void *opaque, const struct iovec *iov, int cnt,
                         const struct iovec *vnet_iov, int vnet_cnt)
{
    XenPVNetQueue *q = opaque;
    uint32_t size = iov_size(iov, cnt);
    guint at;

    if (!q->segments) {
        q->segments = g_byte_array_new();
        q->segments_sent = 0;
    }
    g_byte_array_append(q->segments, (uint8_t *)&size, sizeof(size));
    at = q->segments->len;
    g_byte_array_set_size(q->segments, at + size);
    iov_to_buf(iov, cnt, 0, q->segments->data + at, size);
}

void xenpv_net_tx_drop(XenPVNetQueue *q)
{
    if (q->segments) {
        g_byte_array_unref(q->segments);
        q->segments = NULL;
    }
}

/*
 * Send segments until the deadline, but at least one if the peer takes it.
 * Returns false if some are left; peer_has_taken() or this schedules net->bh
 * for them.
 */
static bool send_segments(XenPVNetQueue *q, int64_t deadline)
{
    while (q->segments && !q->net->pending[q->peer]) {
        uint8_t *data = q->segments->data + q->segments_sent;
        uint32_t size = ldl_he_p(data);
        struct iovec iov = {
            .iov_base = data + sizeof(size), .iov_len = size,
        };

        q->segments_sent += sizeof(size) + size;
        give(q, &iov, 1);
        if (q->segments_sent == q->segments->len) {
            xenpv_net_tx_drop(q);
        } else if (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= deadline) {
            qemu_bh_schedule(q->net->bh);
            return false;
        }
    }
    return !q->segments;
}

static void give_packet(void *opaque, const struct iovec *iov, int cnt,
                        const struct iovec *vnet_iov, int vnet_cnt)
{
    XenPVNetQueue *q = opaque;

    if (q->net->vnet_hdr) {
        give(q, vnet_iov, vnet_cnt);
    } else {
        give(q, iov, cnt);
    }
}

/*
 * Whoever fills in a blank checksum expects that of the pseudo header in its
 * place. Front ends put it there, but the ABI does not ask them to, so do it
 * here. In a frame that is to be segmented, net_tx_pkt.c does it.
 */
static void put_pseudo_checksum(uint8_t *frame, size_t size,
                                const struct virtio_net_hdr *hdr)
{
    size_t l2_len = eth_get_l2_hdr_length(frame);
    uint16_t len = size - hdr->csum_start;
    struct iovec l2 = { .iov_base = frame, .iov_len = l2_len };
    struct ip6_header ip6;
    struct ip_header ip4;
    uint32_t sum, unused;

    if (eth_get_l3_proto(&l2, 1, l2_len) == ETH_P_IP) {
        memcpy(&ip4, frame + l2_len, sizeof(ip4));
        sum = eth_calc_ip4_pseudo_hdr_csum(&ip4, len, &unused);
    } else {
        memcpy(&ip6, frame + l2_len, sizeof(ip6));
        sum = eth_calc_ip6_pseudo_hdr_csum(
            &ip6, len,
            hdr->csum_offset == offsetof(struct udp_hdr, uh_sum) ? IP_PROTO_UDP
                                                                 : IP_PROTO_TCP,
            &unused);
    }
    stw_be_p(frame + hdr->csum_start + hdr->csum_offset,
             ~net_checksum_finish(sum));
}

static void nothing_to_free(void *opaque, void *base, size_t len)
{
}

/* Send a frame that has a blank checksum or is to be segmented */
static const char *offload(XenPVNetQueue *q, const TxFrame *f,
                           const struct iovec *iov, unsigned cnt)
{
    struct NetTxPkt *pkt = q->net->tx_pkt;
    const netif_extra_info_t *extra = &f->extras[XEN_NETIF_EXTRA_TYPE_GSO];
    bool gso = has_extra(f, XEN_NETIF_EXTRA_TYPE_GSO);
    struct virtio_net_hdr *hdr = net_tx_pkt_get_vhdr(pkt);
    size_t head = MIN(iov[0].iov_len, HEAD_SIZE);
    const char *why = NULL;

    for (unsigned i = 0; i < cnt; i++) {
        net_tx_pkt_add_raw_fragment(pkt, iov[i].iov_base, iov[i].iov_len);
    }
    if (!net_tx_pkt_parse(pkt) ||
        !net_tx_pkt_build_vheader(pkt, gso, true,
                                  gso ? extra->u.gso.size : 0)) {
        why = "headers";
        goto done;
    }
    /* net_tx_pkt.c sets it for IP's congestion mark, which does not need it */
    hdr->gso_type &= ~VIRTIO_NET_HDR_GSO_ECN;
    if (gso && hdr->gso_type != (extra->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4
                                 ? VIRTIO_NET_HDR_GSO_TCPV4
                                 : VIRTIO_NET_HDR_GSO_TCPV6)) {
        why = "to be segmented, but not what it says";
        goto done;
    }
    /* The headers are written to: they have to be in our copy */
    if (hdr->hdr_len > head ||
        ((hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
         hdr->csum_start + hdr->csum_offset + 2 > head)) {
        why = "headers are too long";
        goto done;
    }
    if (gso) {
        net_tx_pkt_update_ip_checksums(pkt);
    } else if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        put_pseudo_checksum(iov[0].iov_base, f->size, hdr);
    }
    if (!net_tx_pkt_send_custom(pkt, q->net->vnet_hdr,
                                gso && !q->net->vnet_hdr ? keep_segment
                                                         : give_packet, q)) {
        why = "cannot be segmented";
    }
done:
    net_tx_pkt_reset(pkt, nothing_to_free, NULL);
    return why;
}

static const char *send_frame(XenPVNetQueue *q, const TxFrame *f)
{
    XenPVNet *net = q->net;
    struct virtio_net_hdr hdr = { .gso_type = VIRTIO_NET_HDR_GSO_NONE };
    struct iovec parts[MAX_PARTS], iov[2 + MAX_PARTS];
    size_t head = net->vnet_hdr ? MIN(f->size, HEAD_SIZE) : f->size;
    const char *why = NULL;
    unsigned mapped, cnt;

    for (mapped = 0; mapped < f->nr_parts; mapped++) {
        const netif_tx_request_t *part = &f->parts[mapped];

        parts[mapped].iov_len = part->size;
        parts[mapped].iov_base = xenpv_gnttab_use(part->gref, part->offset,
                                                  part->size, false);
        if (!parts[mapped].iov_base) {
            why = "grant";
            goto out;
        }
    }
    iov_to_buf(parts, mapped, 0, net->tx_frame, head);
    /* Look only at the copy: the front end may change its memory */
    barrier();
    iov[0] = (struct iovec) { .iov_base = &hdr, .iov_len = sizeof(hdr) };
    iov[1] = (struct iovec) { .iov_base = net->tx_frame, .iov_len = head };
    cnt = 2 + iov_copy(&iov[2], MAX_PARTS, parts, mapped, head,
                       f->size - head);
    if ((f->flags & NETTXF_csum_blank) ||
        has_extra(f, XEN_NETIF_EXTRA_TYPE_GSO)) {
        why = offload(q, f, &iov[1], cnt - 1);
    } else {
        give_packet(q, &iov[1], cnt - 1, iov, cnt);
    }
out:
    while (mapped--) {
        xenpv_gnttab_release(f->parts[mapped].gref, false);
    }
    return why;
}

/* ------------------------------------------------------------------------- */

/* Take a frame, or a change of multicast addresses; @available is not 0 */
static void tx_frame(XenPVNetQueue *q, unsigned available)
{
    XenPVNet *net = q->net;
    const char *why;
    TxFrame f;

    why = get_slots(q, available, &f);
    q->tx.req_cons += f.nr_slots;
    trace_xenpv_net_tx(net->idx, f.size, f.flags, f.nr_parts, f.nr_extras);
    why = why ?: check_frame(&f);
    if (!why && (has_extra(&f, XEN_NETIF_EXTRA_TYPE_MCAST_ADD) ||
                 has_extra(&f, XEN_NETIF_EXTRA_TYPE_MCAST_DEL))) {
        why = change_mcast(net, &f);
    } else if (!why) {
        why = send_frame(q, &f);
        if (!why) {
            net->counters.tx_frames++;
            net->counters.tx_bytes += f.size;
        }
    }
    if (why) {
        net->counters.tx_errors++;
        trace_xenpv_net_bad_tx(net->idx, f.size, f.flags, why);
    }
    answer(q, &f, why ? NETIF_RSP_ERROR : NETIF_RSP_OKAY);
}

bool xenpv_net_tx(XenPVNetQueue *q, int64_t deadline)
{
    XenPVNet *net = q->net;
    bool any = false, notify = false;
    int more;

    if (!runstate_is_running()) {
        return false;               /* net->bh runs when the machine goes on */
    }
    /* If the peer has frames pending, peer_has_taken() schedules net->bh */
    while (send_segments(q, deadline) && !net->pending[q->peer]) {
        RING_IDX prod = qatomic_read(&q->tx.sring->req_prod);
        unsigned available = prod - q->tx.req_cons;

        /* Read the slots only after the index that covers them */
        xen_rmb();
        if (RING_REQUEST_PROD_OVERFLOW(&q->tx, prod)) {
            trace_xenpv_net_ring_overflow(net->idx, "tx", prod);
            break;
        }
        if (!available) {
            /* Ask the front end for an event when there is more */
            RING_FINAL_CHECK_FOR_REQUESTS(&q->tx, more);
            if (!more) {
                break;
            }
            continue;
        }
        if (any && qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= deadline) {
            qemu_bh_schedule(net->bh);
            break;
        }
        tx_frame(q, available);
        any = true;
        /*
         * Show the answer at once: a front end frees the frames that are
         * answered when it sends the next one, and until then they take up room
         * in its sockets. The event can wait until the pass is over.
         */
        RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(&q->tx, more);
        notify |= more;
    }
    if (notify) {
        /* Fails if the front end has closed its end */
        xen_device_notify_event_channel(XEN_DEVICE(net), q->tx_channel, NULL);
    }
    return any;
}

void xenpv_net_tx_init(XenPVNet *net)
{
    /* A fragment for the copied beginning, and one for each part */
    net_tx_pkt_init(&net->tx_pkt, 1 + MAX_PARTS);
    net->tx_frame = g_malloc(XEN_NETIF_MAX_TX_SIZE);
}

void xenpv_net_tx_uninit(XenPVNet *net)
{
    net_tx_pkt_uninit(net->tx_pkt);
    net->tx_pkt = NULL;
    g_free(net->tx_frame);
    net->tx_frame = NULL;
}
