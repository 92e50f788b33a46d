/*
 * Disks: nodes in xenstore, and the rings that a front end connects by them
 *
 * The back end writes what it offers when the device is made. It reads what a
 * front end asks for once, when that connects, and checks it; later writes to
 * those nodes have no effect. If a front end asks for something that is not
 * offered, the back end goes to Closing, and the reason is in domain 0's part
 * of xenstore, where Xen's blkback puts it, too.
 *
 * A disk has one ring or several; a front end that can have several has one for
 * each vCPU. With one ring its nodes are in the front end's directory itself;
 * with N they are in its queue-0 to queue-(N-1). A front end may name a grant
 * for two rings, which only confuses itself; it cannot bind an event channel
 * twice.
 *
 * xenpv-block.c calls this, in the main thread, with the BQL held, while the
 * dataplane is IDLE.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xen/interface/io/protocols.h"
#include "hw/xen/xen-block.h"
#include "hw/xen/xen-bus-helper.h"
#include "hw/xen/xen_backend_ops.h"
#include "xenpv-blkif.h"
#include "trace.h"

/*
 * Pages of all rings of a disk. They are all connected in one go. For each of
 * them a node is read; and if guest memory is shared, the guest can choose its
 * pages so that each is a memory mapping by itself, which takes 3 us or more.
 */
#define MAX_RING_PAGES      512

/* ------------------------------------------------------------------------- */
/* What is offered                                                            */

void xenpv_block_write_nodes(XenDevice *xendev, BlockBackend *blk)
{
    XenBlockProperties *props = &XEN_BLOCK_DEVICE(xendev)->props;

    if (!props->num_queues) {
        props->num_queues = MIN(MACHINE(qdev_get_machine())->smp.max_cpus,
                                XEN_BLOCK_MAX_QUEUES);
    }
    /* Assume all queues: front ends read this before they choose a number */
    while (props->num_queues << props->max_ring_page_order > MAX_RING_PAGES) {
        props->max_ring_page_order--;
    }
    if (qemu_xen_gnttab_can_map_multi()) {
        xen_device_backend_printf(xendev, "max-ring-page-order", "%u",
                                  props->max_ring_page_order);
    }
    xenpv_block_write_params(xendev, blk);
    xen_device_backend_printf(xendev, "feature-max-indirect-segments", "%u",
                              XENPV_BLKIF_MAX_SEGS);
    xen_device_backend_printf(xendev, "physical-sector-size", "%u",
                              props->conf.physical_block_size);
    xen_device_backend_printf(xendev, "feature-barrier", "%u", 1);
    xen_device_backend_printf(xendev, "multi-queue-max-queues", "%u",
                              props->num_queues);
    if (props->feature_persistent) {
        xen_device_backend_printf(xendev, "feature-persistent", "%u", 1);
    }
}

/* ------------------------------------------------------------------------- */
/* What a front end asks for                                                  */

static bool front_number(XenBlockDataPlane *dp, const char *dir,
                         const char *node, unsigned *value, Error **errp)
{
    g_autofree char *path = g_strconcat(dir, node, NULL);

    if (xen_device_frontend_scanf(dp->xendev, path, "%u", value) != 1) {
        error_setg(errp, "the front end has no number in '%s'", path);
        return false;
    }
    return true;
}

/* Read and check the nodes that hold for all rings */
static bool read_common(XenBlockDataPlane *dp, unsigned *nr_rings,
                        bool *numbered, Error **errp)
{
    XenBlockProperties *props = &XEN_BLOCK_DEVICE(dp->xendev)->props;
    g_autofree char *protocol = NULL;
    unsigned order = 0, persistent = 0;

    if (!front_number(dp, "", "multi-queue-num-queues", nr_rings, NULL)) {
        *nr_rings = 1;
    }
    if (!*nr_rings || *nr_rings > props->num_queues) {
        error_setg(errp, "the front end asks for %u queues of %u", *nr_rings,
                   props->num_queues);
        return false;
    }
    *numbered = front_number(dp, "", "ring-page-order", &order, NULL);
    if (*numbered && (!qemu_xen_gnttab_can_map_multi() ||
                      order > props->max_ring_page_order)) {
        error_setg(errp, "the front end asks for a ring of order %u of %u",
                   order, qemu_xen_gnttab_can_map_multi()
                          ? props->max_ring_page_order : 0);
        return false;
    }
    dp->nr_ring_refs = 1U << order;

    protocol = xen_device_frontend_read(dp->xendev, "protocol");
    if (!protocol || !strcmp(protocol, XEN_IO_PROTO_ABI_X86_32)) {
        /* Front ends from before there was this node have the 32-bit layout */
        dp->protocol = BLKIF_PROTOCOL_X86_32;
        dp->fields = offsetof(blkif_x86_32_request_t, id);
    } else if (!strcmp(protocol, XEN_IO_PROTO_ABI_X86_64)) {
        dp->protocol = BLKIF_PROTOCOL_X86_64;
        dp->fields = offsetof(blkif_x86_64_request_t, id);
    } else {
        dp->protocol = BLKIF_PROTOCOL_NATIVE;
        dp->fields = offsetof(blkif_request_t, id);
    }
    dp->persistent = props->feature_persistent &&
        front_number(dp, "", "feature-persistent", &persistent, NULL) &&
        persistent;
    return true;
}

/* Connect a ring by its nodes in @dir; @numbered: ring-refN, not ring-ref */
static bool connect_ring(BlkifRing *ring, const char *dir, bool numbered,
                         XenEventHandler handler, Error **errp)
{
    XenBlockDataPlane *dp = ring->dp;
    size_t size = (size_t)dp->nr_ring_refs * XEN_PAGE_SIZE;
    unsigned port;
    RING_IDX at;

    ring->refs = g_new0(unsigned, dp->nr_ring_refs);
    for (unsigned i = 0; i < dp->nr_ring_refs; i++) {
        g_autofree char *node = numbered ? g_strdup_printf("ring-ref%u", i)
                                         : g_strdup("ring-ref");

        if (!front_number(dp, dir, node, &ring->refs[i], errp)) {
            return false;
        }
    }
    if (!front_number(dp, dir, "event-channel", &port, errp)) {
        return false;
    }
    ring->sring = xen_device_map_grant_refs(dp->xendev, ring->refs,
                                            dp->nr_ring_refs,
                                            PROT_READ | PROT_WRITE, errp);
    if (!ring->sring) {
        error_prepend(errp, "%sring-ref: ", dir);
        return false;
    }
    /* Continue where an earlier back end stopped: at 0 in a new ring */
    at = qatomic_read(&((blkif_sring_t *)ring->sring)->rsp_prod);
    switch (dp->protocol) {
    case BLKIF_PROTOCOL_X86_32:
        BACK_RING_ATTACH(&ring->back.x86_32_part,
                         (blkif_x86_32_sring_t *)ring->sring, at, size);
        break;
    case BLKIF_PROTOCOL_X86_64:
        BACK_RING_ATTACH(&ring->back.x86_64_part,
                         (blkif_x86_64_sring_t *)ring->sring, at, size);
        break;
    default:
        BACK_RING_ATTACH(&ring->back.native, (blkif_sring_t *)ring->sring, at,
                         size);
        break;
    }
    ring->channel = xen_device_bind_event_channel(dp->xendev, port, handler,
                                                  ring, errp);
    if (!ring->channel) {
        error_prepend(errp, "%sevent-channel: ", dir);
        return false;
    }
    return true;
}

static bool connect_all(XenBlockDataPlane *dp, XenEventHandler handler,
                        Error **errp)
{
    unsigned nr_rings;
    bool numbered;

    if (!read_common(dp, &nr_rings, &numbered, errp)) {
        return false;
    }
    for (int32_t i = 0; dp->all_loaded && i < dp->nr_loaded; i++) {
        if (dp->loaded[i].ring_nr >= nr_rings) {
            error_setg(errp, "a stopped request is of queue %u of %u",
                       dp->loaded[i].ring_nr, nr_rings);
            return false;
        }
    }
    dp->rings = g_new0(BlkifRing, nr_rings);
    dp->nr_rings = nr_rings;
    for (unsigned i = 0; i < nr_rings; i++) {
        g_autofree char *dir = nr_rings == 1 ? g_strdup("")
                                             : g_strdup_printf("queue-%u/", i);

        dp->rings[i].dp = dp;
        dp->rings[i].nr = i;
        if (!connect_ring(&dp->rings[i], dir, numbered, handler, errp)) {
            return false;
        }
    }
    return true;
}

/* The directory for a back end's error, in domain 0's, as with Xen's blkback */
static char *error_dir(XenDevice *xendev)
{
    XenBus *bus = XEN_BUS(qdev_get_parent_bus(DEVICE(xendev)));

    return g_strdup_printf("/local/domain/%u/error/backend/%s/%u/%s",
                           bus->backend_id,
                           XEN_DEVICE_GET_CLASS(xendev)->backend,
                           xendev->frontend_id, xendev->name);
}

void xenpv_block_forget_error(XenBlockDataPlane *dp)
{
    g_autofree char *dir = error_dir(dp->xendev);

    xs_node_destroy(dp->xendev->xsh, XBT_NULL, dir, NULL);
}

bool xenpv_block_connect(XenBlockDataPlane *dp, XenEventHandler handler,
                         Error **errp)
{
    g_autofree char *dir = error_dir(dp->xendev);
    ERRP_GUARD();

    if (!connect_all(dp, handler, errp)) {
        xenpv_block_disconnect(dp);
        xs_node_printf(dp->xendev->xsh, XBT_NULL, dir, "error", NULL, "%s",
                       error_get_pretty(*errp));
        xen_device_backend_set_state(dp->xendev, XenbusStateClosing);
        return false;
    }
    xenpv_block_forget_error(dp);
    trace_xenpv_block_connect(dp->nr_rings, dp->nr_ring_refs, dp->persistent);
    return true;
}

void xenpv_block_disconnect(XenBlockDataPlane *dp)
{
    for (unsigned i = 0; i < dp->nr_rings; i++) {
        BlkifRing *ring = &dp->rings[i];

        if (ring->channel) {
            xen_device_unbind_event_channel(dp->xendev, ring->channel, NULL);
        }
        if (ring->sring) {
            xen_device_unmap_grant_refs(dp->xendev, ring->sring, ring->refs,
                                        dp->nr_ring_refs, NULL);
        }
        g_free(ring->refs);
    }
    g_clear_pointer(&dp->rings, g_free);
    dp->nr_rings = 0;
}
