/*
 * xen-net-device: a network card
 *
 * This replaces QEMU's hw/net/xen_nic.c and keeps its device name. It adds what
 * that one lacks: frames of several pages, segmentation and checksum offload,
 * several queues, multicast filters, and a bound on the work that a front end
 * can cause at a time.
 *
 * This file has the device, its xenstore nodes, and the connection to a front
 * end. QEMU's Xen bus calls it, in the main loop. Each node that the front end
 * can write is read and checked once, when the front end connects, except for
 * request-multicast-control, which is watched. When the front end closes or
 * starts anew, net_disconnect() drops all that belongs to the connection.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xen/xen-backend.h"
#include "hw/xen/xen-bus-helper.h"
#include "standard-headers/linux/virtio_net.h"
#include "system/runstate.h"
#include "trace.h"
#include "xenpv-net.h"
#include "xenpv-platform.h"

/* As many as a guest can have vCPUs */
#define MAX_QUEUES      64
/* Cards without "idx" get a number below this */
#define MAX_AUTO_IDX    100
/* The least that IPv4 allows, and the most that a frame has room for */
#define MIN_MTU         68
#define MAX_MTU         (XEN_NETIF_MAX_TX_SIZE - ETH_HLEN)

/* ------------------------------------------------------------------------- */
/* Work                                                                       */

static int64_t new_deadline(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME) + XENPV_NET_PASS_NS;
}

/*
 * Serve all queues in turn until the deadline. Each turn sends at least one
 * frame or segment if it can, so no turn begins after the deadline.
 */
static void net_bh(void *opaque)
{
    XenPVNet *net = opaque;
    int64_t deadline = new_deadline();

    if (!net->connected || !runstate_is_running()) {
        return;
    }
    for (unsigned i = 0; i < net->nr_queues; i++) {
        xenpv_net_rx_push(&net->queues[i]);
    }
    for (unsigned i = 0; i < net->nr_queues; i++) {
        xenpv_net_tx(&net->queues[net->first_queue], deadline);
        net->first_queue = (net->first_queue + 1) % net->nr_queues;
        if (qemu_clock_get_ns(QEMU_CLOCK_REALTIME) >= deadline) {
            qemu_bh_schedule(net->bh);
            break;
        }
    }
    xenpv_net_rx_kick(net);
}

/*
 * All queues may have an event at once. They share one pass, in the bottom
 * half, as a pass for each of them would keep the main loop for too long.
 */
static bool tx_event(void *opaque)
{
    XenPVNetQueue *q = opaque;

    if (q->net->nr_queues > 1) {
        qemu_bh_schedule(q->net->bh);
        return false;
    }
    return xenpv_net_tx(q, new_deadline());
}

static bool rx_event(void *opaque)
{
    XenPVNetQueue *q = opaque;

    xenpv_net_rx_kick(q->net);
    return false;
}

static bool both_event(void *opaque)
{
    rx_event(opaque);
    return tx_event(opaque);
}

static void rx_timer(void *opaque)
{
    xenpv_net_rx_kick(opaque);
}

static void vm_state_changed(void *opaque, bool running, RunState state)
{
    XenPVNet *net = opaque;

    if (!net->connected) {
        return;
    }
    if (running) {
        qemu_bh_schedule(net->bh);
    } else {
        /* A stopped machine may be saved: its rings have to show all frames */
        for (unsigned i = 0; i < net->nr_queues; i++) {
            xenpv_net_rx_push(&net->queues[i]);
        }
    }
}

/* ------------------------------------------------------------------------- */
/* A front end                                                                */

static bool front_flag(XenPVNet *net, const char *node)
{
    unsigned value;

    return xen_device_frontend_scanf(XEN_DEVICE(net), node, "%u",
                                     &value) == 1 && value;
}

static bool front_number(XenPVNet *net, const char *dir, const char *node,
                         unsigned *value, Error **errp)
{
    g_autofree char *path = g_strconcat(dir, node, NULL);

    if (xen_device_frontend_scanf(XEN_DEVICE(net), path, "%u", value) != 1) {
        error_setg(errp, "the front end has no number in '%s'", path);
        return false;
    }
    return true;
}

static void mcast_control_changed(void *opaque, const char *path)
{
    XenPVNet *net = opaque;

    net->mcast_control = front_flag(net, "request-multicast-control");
}

static void read_features(XenPVNet *net)
{
    net->front.rx_notify = front_flag(net, "feature-rx-notify");
    net->front.sg = front_flag(net, "feature-sg");
    net->front.gso_tcpv4 = net->front.sg &&
                           front_flag(net, "feature-gso-tcpv4");
    net->front.gso_tcpv6 = net->front.sg &&
                           front_flag(net, "feature-gso-tcpv6");
    net->front.csum_ipv4 = !front_flag(net, "feature-no-csum-offload");
    net->front.csum_ipv6 = front_flag(net, "feature-ipv6-csum-offload");
}

/* Tell the peers which offloads they may leave to the front end */
static void set_offload(XenPVNet *net, bool connected)
{
    bool csum = connected && net->front.csum_ipv4;
    NetOffloads offloads = {
        .csum = csum,
        .tso4 = csum && net->front.gso_tcpv4,
        .tso6 = csum && net->front.gso_tcpv6,
    };

    if (!net->vnet_hdr) {
        return;
    }
    for (unsigned i = 0; i < net->nr_peers; i++) {
        xenpv_set_offload(qemu_get_subqueue(net->nic, i)->peer, &offloads);
    }
}

static void disconnect_queue(XenPVNetQueue *q)
{
    XenDevice *xendev = XEN_DEVICE(q->net);

    if (q->rx_channel && q->rx_channel != q->tx_channel) {
        xen_device_unbind_event_channel(xendev, q->rx_channel, NULL);
    }
    if (q->tx_channel) {
        xen_device_unbind_event_channel(xendev, q->tx_channel, NULL);
    }
    if (q->tx.sring) {
        xen_device_unmap_grant_refs(xendev, q->tx.sring, &q->tx_ring_ref, 1,
                                    NULL);
    }
    if (q->rx.sring) {
        xen_device_unmap_grant_refs(xendev, q->rx.sring, &q->rx_ring_ref, 1,
                                    NULL);
    }
}

static bool bind_channels(XenPVNetQueue *q, const char *dir, Error **errp)
{
    XenPVNet *net = q->net;
    unsigned tx, rx;

    if (front_number(net, dir, "event-channel-tx", &tx, NULL) &&
        front_number(net, dir, "event-channel-rx", &rx, NULL)) {
        q->tx_channel = xen_device_bind_event_channel(XEN_DEVICE(net), tx,
                                                      tx_event, q, errp);
        if (q->tx_channel) {
            q->rx_channel = xen_device_bind_event_channel(XEN_DEVICE(net), rx,
                                                          rx_event, q, errp);
        }
    } else if (front_number(net, dir, "event-channel", &tx, errp)) {
        q->tx_channel = xen_device_bind_event_channel(XEN_DEVICE(net), tx,
                                                      both_event, q, errp);
        q->rx_channel = q->tx_channel;
    }
    return q->rx_channel;
}

static bool connect_queue(XenPVNetQueue *q, const char *dir, Error **errp)
{
    XenDevice *xendev = XEN_DEVICE(q->net);
    netif_tx_sring_t *txs;
    netif_rx_sring_t *rxs;

    if (!front_number(q->net, dir, "tx-ring-ref", &q->tx_ring_ref, errp) ||
        !front_number(q->net, dir, "rx-ring-ref", &q->rx_ring_ref, errp)) {
        return false;
    }
    txs = xen_device_map_grant_refs(xendev, &q->tx_ring_ref, 1,
                                    PROT_READ | PROT_WRITE, errp);
    if (!txs) {
        error_prepend(errp, "%stx-ring-ref: ", dir);
        return false;
    }
    /* Continue where an earlier back end stopped: at 0 in a new ring */
    BACK_RING_ATTACH(&q->tx, txs, qatomic_read(&txs->rsp_prod), XEN_PAGE_SIZE);
    rxs = xen_device_map_grant_refs(xendev, &q->rx_ring_ref, 1,
                                    PROT_READ | PROT_WRITE, errp);
    if (!rxs) {
        error_prepend(errp, "%srx-ring-ref: ", dir);
        return false;
    }
    BACK_RING_ATTACH(&q->rx, rxs, qatomic_read(&rxs->rsp_prod), XEN_PAGE_SIZE);
    QEMU_BUILD_BUG_ON(__CONST_RING_SIZE(netif_tx, XEN_PAGE_SIZE) !=
                      XENPV_NET_RING_SLOTS);
    QEMU_BUILD_BUG_ON(__CONST_RING_SIZE(netif_rx, XEN_PAGE_SIZE) !=
                      XENPV_NET_RING_SLOTS);
    return bind_channels(q, dir, errp);
}

static void net_disconnect(XenPVNet *net)
{
    if (!net->queues) {
        return;
    }
    trace_xenpv_net_disconnect(net->idx);
    net->connected = false;
    qemu_bh_cancel(net->bh);
    timer_del(net->rx_timer);
    if (net->mcast_watch) {
        xs_node_unwatch(XEN_DEVICE(net)->xsh, net->mcast_watch);
        net->mcast_watch = NULL;
    }
    set_offload(net, false);
    for (unsigned i = 0; i < net->nr_peers; i++) {
        NetClientState *nc = qemu_get_subqueue(net->nic, i);

        /* Frames from the front end, then frames for it */
        qemu_purge_queued_packets(nc);
        qemu_flush_or_purge_queued_packets(nc, true);
        net->pending[i] = 0;
    }
    for (unsigned i = 0; i < net->nr_queues; i++) {
        xenpv_net_tx_drop(&net->queues[i]);
        xenpv_net_rx_push(&net->queues[i]);
        disconnect_queue(&net->queues[i]);
    }
    g_free(net->queues);
    net->queues = NULL;
    net->nr_queues = 0;
    net->first_queue = 0;
    net->mcast_control = false;
    net->nr_mcast = 0;
}

static bool net_connect(XenPVNet *net, Error **errp)
{
    XenDevice *xendev = XEN_DEVICE(net);
    unsigned nr;

    if (!front_flag(net, "request-rx-copy")) {
        error_setg(errp, "the front end does not want its data copied "
                   "(request-rx-copy)");
        return false;
    }
    if (xen_device_frontend_scanf(xendev, "multi-queue-num-queues", "%u",
                                  &nr) != 1) {
        nr = 1;
    }
    if (!nr || nr > net->max_queues) {
        error_setg(errp, "the front end asks for %u queues of %u", nr,
                   net->max_queues);
        return false;
    }
    net->queues = g_new0(XenPVNetQueue, nr);
    net->nr_queues = nr;
    for (unsigned i = 0; i < nr; i++) {
        net->queues[i].net = net;
        net->queues[i].peer = i % net->nr_peers;
    }
    for (unsigned i = 0; i < nr; i++) {
        g_autofree char *dir = nr == 1 ? g_strdup("")
                                       : g_strdup_printf("queue-%u/", i);

        if (!connect_queue(&net->queues[i], dir, errp)) {
            return false;
        }
    }
    net->mcast_watch = xs_node_watch(xendev->xsh, xendev->frontend_path,
                                     "request-multicast-control",
                                     mcast_control_changed, net, errp);
    if (!net->mcast_watch) {
        return false;
    }
    read_features(net);
    mcast_control_changed(net, NULL);
    set_offload(net, true);
    net->connected = true;
    trace_xenpv_net_connect(net->idx, nr,
                            net->queues[0].tx_channel !=
                            net->queues[0].rx_channel,
                            net->front.sg, net->front.gso_tcpv4,
                            net->front.gso_tcpv6);
    /* The front end may have sent something already */
    qemu_bh_schedule(net->bh);
    return true;
}

static void net_frontend_changed(XenDevice *xendev, enum xenbus_state state,
                                 Error **errp)
{
    XenPVNet *net = XENPV_NET(xendev);
    enum xenbus_state own = xen_device_backend_get_state(xendev);

    switch (state) {
    case XenbusStateInitialising:
        /* A new front end started before the old one closed */
        if (net->connected && xendev->backend_online) {
            net_disconnect(net);
            xen_device_backend_set_state(xendev, XenbusStateInitWait);
        }
        break;
    case XenbusStateConnected:
        if (own == XenbusStateConnected || !xendev->backend_online) {
            break;
        }
        if (net_connect(net, errp)) {
            xen_device_backend_set_state(xendev, XenbusStateConnected);
        } else {
            net_disconnect(net);
            xen_device_backend_set_state(xendev, XenbusStateClosing);
        }
        break;
    case XenbusStateClosing:
        net_disconnect(net);
        xen_device_backend_set_state(xendev, XenbusStateClosing);
        break;
    case XenbusStateClosed:
    case XenbusStateUnknown:
        net_disconnect(net);
        xen_device_backend_set_state(xendev, XenbusStateClosed);
        break;
    default:
        break;
    }
}

/* ------------------------------------------------------------------------- */
/* The device                                                                 */

static void link_status_changed(NetClientState *nc)
{
    XenPVNet *net = qemu_get_nic_opaque(nc);
    bool up = !qemu_get_queue(net->nic)->link_down;

    if (!up) {
        for (unsigned i = 0; i < net->nr_peers; i++) {
            qemu_purge_queued_packets(qemu_get_subqueue(net->nic, i));
        }
    }
    xen_device_backend_printf(XEN_DEVICE(net), "carrier", "%u", up);
}

void xenpv_net_take_link(XenPVNet *net)
{
    XenDevice *xendev = XEN_DEVICE(net);
    unsigned up;

    if (xs_node_scanf(xendev->xsh, XBT_NULL, xendev->backend_path, "carrier",
                      NULL, "%u", &up) != 1) {
        return;
    }
    /* Without its peer it is down for good */
    up = up && !net->nic->peer_deleted;
    for (unsigned i = 0; i < net->nr_peers; i++) {
        qemu_get_subqueue(net->nic, i)->link_down = !up;
    }
    xen_device_backend_printf(xendev, "carrier", "%u", up);
}

static NetClientInfo net_info = {
    .type = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NICState),
    .receive = xenpv_net_receive,
    .link_status_changed = link_status_changed,
};

/*
 * Is there a card of this number? This looks at the back end's directory, since
 * a guest can remove the front end's.
 */
static bool idx_in_use(XenPVNet *net, int32_t idx)
{
    XenDevice *xendev = XEN_DEVICE(net);
    XenBus *xenbus = XEN_BUS(qdev_get_parent_bus(DEVICE(net)));
    char *value = xs_node_read(xenbus->xsh, XBT_NULL, NULL, NULL,
                               "/local/domain/%u/backend/%s/%u/%d",
                               xenbus->backend_id,
                               XEN_DEVICE_GET_CLASS(xendev)->backend,
                               xendev->frontend_id, idx);
    bool taken = value;

    free(value);
    return taken;
}

static char *net_get_name(XenDevice *xendev, Error **errp)
{
    XenPVNet *net = XENPV_NET(xendev);

    if (net->idx == -1) {
        int32_t idx = 0;

        while (idx_in_use(net, idx)) {
            if (++idx == MAX_AUTO_IDX) {
                error_setg(errp, "there are %d network cards already: "
                           "give this one a number by 'idx='", MAX_AUTO_IDX);
                return NULL;
            }
        }
        net->idx = idx;
    } else if (net->idx < 0) {
        error_setg(errp, "idx=%d is no number of a network card: "
                   "they begin with 0", net->idx);
        return NULL;
    } else if (idx_in_use(net, net->idx)) {
        error_setg(errp, "idx=%d is in use: leave it out, or give each "
                   "network card a number of its own", net->idx);
        return NULL;
    }
    return g_strdup_printf("%d", net->idx);
}

/* Do all peers take QEMU's vnet header? */
static bool peers_take_vnet_hdr(XenPVNet *net)
{
    for (unsigned i = 0; i < net->nr_peers; i++) {
        NetClientState *peer = qemu_get_subqueue(net->nic, i)->peer;

        if (!qemu_has_vnet_hdr(peer) ||
            !qemu_has_vnet_hdr_len(peer, sizeof(struct virtio_net_hdr))) {
            return false;
        }
    }
    return true;
}

static bool check_properties(XenPVNet *net, Error **errp)
{
    unsigned nr_vcpus = MACHINE(qdev_get_machine())->smp.max_cpus;

    if (!object_resolve_path_type("", TYPE_XENPV_GNTTAB, NULL)) {
        error_setg(errp, TYPE_XENPV_NET " needs the machine xenpv-kvm");
        return false;
    }
    if (!net->max_queues) {
        net->max_queues = MIN(nr_vcpus, MAX_QUEUES);
    }
    if (net->max_queues > MAX_QUEUES) {
        error_setg(errp, "multi-queue-max-queues=%u is too many: "
                   "give at most %u", net->max_queues, MAX_QUEUES);
        return false;
    }
    if (net->mtu && (net->mtu < MIN_MTU || net->mtu > MAX_MTU)) {
        error_setg(errp, "mtu=%u is not possible: give %u to %u", net->mtu,
                   MIN_MTU, MAX_MTU);
        return false;
    }
    return true;
}

static void write_nodes(XenPVNet *net)
{
    static const char * const features[] = {
        "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6",
        "feature-ipv6-csum-offload", "feature-rx-copy",
        "feature-multicast-control", "feature-dynamic-multicast-control",
        "feature-split-event-channels",
    };
    XenDevice *xendev = XEN_DEVICE(net);
    const uint8_t *a = net->conf.macaddr.a;

    for (int i = 0; i < ARRAY_SIZE(features); i++) {
        xen_device_backend_printf(xendev, features[i], "1");
    }
    xen_device_backend_printf(xendev, "feature-rx-flip", "0");
    xen_device_backend_printf(xendev, "multi-queue-max-queues", "%u",
                              net->max_queues);
    xen_device_backend_printf(xendev, "carrier", "1");
    xen_device_frontend_printf(xendev, "mac",
                               "%02x:%02x:%02x:%02x:%02x:%02x",
                               a[0], a[1], a[2], a[3], a[4], a[5]);
    if (net->mtu) {
        xen_device_frontend_printf(xendev, "mtu", "%u", net->mtu);
    }
}

static void net_realize(XenDevice *xendev, Error **errp)
{
    XenPVNet *net = XENPV_NET(xendev);

    if (!check_properties(net, errp)) {
        return;
    }
    qemu_macaddr_default_if_unset(&net->conf.macaddr);
    net->nr_peers = MAX(net->conf.peers.queues, 1);
    net->pending = g_new0(unsigned, net->nr_peers);
    net->nic = qemu_new_nic(&net_info, &net->conf,
                            object_get_typename(OBJECT(xendev)),
                            DEVICE(xendev)->id,
                            &DEVICE(xendev)->mem_reentrancy_guard, net);
    qemu_format_nic_info_str(qemu_get_queue(net->nic), net->conf.macaddr.a);
    net->vnet_hdr = peers_take_vnet_hdr(net);
    if (net->vnet_hdr) {
        for (unsigned i = 0; i < net->nr_peers; i++) {
            qemu_set_vnet_hdr_len(qemu_get_subqueue(net->nic, i)->peer,
                                  sizeof(struct virtio_net_hdr));
        }
    }
    xenpv_net_tx_init(net);
    net->bh = qemu_bh_new_guarded(net_bh, net,
                                  &DEVICE(xendev)->mem_reentrancy_guard);
    net->rx_timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, rx_timer, net);
    net->vm_change = xenpv_add_vm_change_state_handler(DEVICE(xendev),
                                                       vm_state_changed, net);
    write_nodes(net);
    trace_xenpv_net_realize(net->idx, net->nr_peers, net->vnet_hdr);
}

static void net_unrealize(XenDevice *xendev)
{
    XenPVNet *net = XENPV_NET(xendev);

    if (!net->nic) {
        return;
    }
    net_disconnect(net);
    qemu_del_vm_change_state_handler(net->vm_change);
    timer_free(net->rx_timer);
    qemu_bh_delete(net->bh);
    qemu_del_nic(net->nic);
    net->nic = NULL;
    xenpv_net_tx_uninit(net);
    g_free(net->pending);
    net->pending = NULL;
}

static void net_instance_init(Object *obj)
{
    XenPVNet *net = XENPV_NET(obj);
    const struct {
        const char *name;
        uint64_t *value;
    } counters[] = {
        { "tx-frames", &net->counters.tx_frames },
        { "tx-bytes", &net->counters.tx_bytes },
        { "tx-errors", &net->counters.tx_errors },
        { "rx-frames", &net->counters.rx_frames },
        { "rx-bytes", &net->counters.rx_bytes },
        { "rx-errors", &net->counters.rx_errors },
        { "rx-dropped", &net->counters.rx_dropped },
    };

    for (int i = 0; i < ARRAY_SIZE(counters); i++) {
        object_property_add_uint64_ptr(obj, counters[i].name, counters[i].value,
                                       OBJ_PROP_FLAG_READ);
    }
}

static const Property net_properties[] = {
    DEFINE_NIC_PROPERTIES(XenPVNet, conf),
    DEFINE_PROP_INT32("idx", XenPVNet, idx, -1),
    DEFINE_PROP_UINT32("multi-queue-max-queues", XenPVNet, max_queues, 0),
    DEFINE_PROP_UINT16("mtu", XenPVNet, mtu, 0),
};

static void net_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    XenDeviceClass *xdc = XEN_DEVICE_CLASS(klass);

    dc->desc = "Network card of the xenpv-kvm machine";
    dc->user_creatable = true;
    xdc->backend = "qnic";
    xdc->device = "vif";
    xdc->get_name = net_get_name;
    xdc->realize = net_realize;
    xdc->frontend_changed = net_frontend_changed;
    xdc->unrealize = net_unrealize;
    set_bit(DEVICE_CATEGORY_NETWORK, dc->categories);
    device_class_set_props(dc, net_properties);
}

static const TypeInfo net_types[] = {
    {
        .name = TYPE_XENPV_NET,
        .parent = TYPE_XEN_DEVICE,
        .instance_size = sizeof(XenPVNet),
        .instance_init = net_instance_init,
        .class_init = net_class_init,
    },
};

DEFINE_TYPES(net_types)

/*
 * The bus watches the directories of the back end types that are registered,
 * and so notices that a card is to be unplugged. It would also call this for a
 * directory that a toolstack makes there; nothing here makes one.
 */
static void net_backend_create(XenBackendInstance *backend, QDict *opts,
                               Error **errp)
{
    error_setg(errp, "a network card is made by -device " TYPE_XENPV_NET);
}

static const XenBackendInfo net_backend_info = {
    .type = "qnic",
    .create = net_backend_create,
};

static void net_register_backend(void)
{
    xen_backend_register(&net_backend_info);
}

xen_backend_init(net_register_backend);
