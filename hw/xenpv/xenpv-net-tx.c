/*
 * xen-net-device: frames from the front end
 *
 * A frame is one or more slots of the ring, each with a part of it in a page
 * that is granted; after the first slot there may be extra ones, which say more
 * about it. The slots are copied once, and checked. The parts stay where they
 * are, but for the beginning, with all the headers, which is copied before
 * anything looks at it: what the front end writes to its memory later changes
 * what others on the network get, and nothing here.
 *
 * Segmentation and checksums that the front end leaves to be done are done by
 * whoever gets the frame, if he takes QEMU's vnet header, or else by QEMU's
 * net_tx_pkt.c, to which the whole frame is copied. What a segment costs is up
 * to who gets it. So they are kept, at most MAX_SEGMENTS of at most HEAD_SIZE
 * bytes of headers each, and sent as a pass has time for it; until the last one
 * of them is sent, the queue takes no other frame.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/iov.h"
#include "qemu/main-loop.h"
#include "system/dma.h"           /* for the next one */
#include "hw/net/net_tx_pkt.h"
#include "net/checksum.h"
#include "standard-headers/linux/virtio_net.h"
#include "system/runstate.h"
#include "trace.h"
#include "xenpv-net.h"
#include "xenpv-platform.h"

/* More slots with data than this, Xen's back end does not take either */
#define MAX_PARTS       XEN_NETIF_NR_SLOTS_MIN
/*
 * So long can headers be about which something is to be done: Ethernet's, IP's
 * and TCP's, with all options that they can have but those of IPv6. Of a frame
 * that a peer takes as it is, no more is copied; and net_tx_pkt.c, which copies
 * them for each segment, and has 16 bits for their length, gets no longer ones.
 */
#define HEAD_SIZE       256
/* Those of one frame: of at least 64 bytes each, if it is as large as can be */
#define MAX_SEGMENTS    1024

typedef struct TxFrame {
    unsigned nr_slots;              /* of the ring */
    unsigned nr_extras;             /* of these: the second and following */
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
 * Copy a frame's slots out of the ring. NULL, or what is wrong; as many slots
 * are then taken as seem to be the frame's.
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
        /* The front end may change what is in the ring, but not this */
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

/* The first slot has the size of the whole: make it that of its own part */
static const char *check_frame(TxFrame *f)
{
    unsigned left = f->size;

    if (has_extra(f, XEN_NETIF_EXTRA_TYPE_MCAST_ADD) ||
        has_extra(f, XEN_NETIF_EXTRA_TYPE_MCAST_DEL)) {
        return NULL;                /* no frame at all */
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
 * A peer that cannot take it now gets a copy later. The queue waits for that,
 * so that there is never more than what became of one frame.
 */
static void give(XenPVNetQueue *q, const struct iovec *iov, int cnt)
{
    NetClientState *nc = qemu_get_subqueue(q->net->nic, q->peer);

    if (!qemu_sendv_packet_async(nc, iov, cnt, peer_has_taken)) {
        q->net->pending[q->peer]++;
    }
}

/* Segments of a frame, each after its size, to be sent by send_segments() */
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

/* At least one. False: there are more, for which peer_has_taken() or BH come */
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
 * A checksum that is blank has that of the pseudo header, for whoever gets the
 * frame; front ends do it, but the ABI does not say so. Of a frame that is to
 * be segmented net_tx_pkt.c does it.
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

/* Blank checksums, and segmentation */
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
    /* This is set for a mark that routers make, which has no need of it */
    hdr->gso_type &= ~VIRTIO_NET_HDR_GSO_ECN;
    if (gso && hdr->gso_type != (extra->u.gso.type == XEN_NETIF_GSO_TYPE_TCPV4
                                 ? VIRTIO_NET_HDR_GSO_TCPV4
                                 : VIRTIO_NET_HDR_GSO_TCPV6)) {
        why = "to be segmented, but not what it says";
        goto done;
    }
    /* What is written to must be our copy, not the front end's memory */
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
    /* The front end may change what it has, but not this */
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

/* One frame; available is not 0 */
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
        return false;               /* when it goes on, net->bh comes */
    }
    /* If it has frames to take yet, it says when it has taken them */
    while (send_segments(q, deadline) && !net->pending[q->peer]) {
        RING_IDX prod = qatomic_read(&q->tx.sring->req_prod);
        unsigned available = prod - q->tx.req_cons;

        /* The slots were there before the index said so */
        xen_rmb();
        if (RING_REQUEST_PROD_OVERFLOW(&q->tx, prod)) {
            trace_xenpv_net_ring_overflow(net->idx, "tx", prod);
            break;
        }
        if (!available) {
            /* From here on the front end tells when there is more */
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
         * The answer is shown at once: a front end frees what is answered when
         * it sends the next frame, and until then its sockets' room is used up.
         * The event can wait until the pass is over.
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
    /* The beginning of the frame, and all its parts */
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
