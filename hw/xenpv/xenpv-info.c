/*
 * What the host can learn about a domain's devices: the machine's property
 * "xenpv" and HMP's "info xenpv"
 *
 * They show the grants in use, and each back end with its state and its rings'
 * indexes. All of it is read when somebody asks, with the BQL held. A guest or
 * an IOThread may change the indexes meanwhile, so each is read atomically, by
 * itself. How much there is depends only on the machine's devices and their
 * rings, not on what the guest does; and there is no text from the guest.
 *
 * docs/system/i386/xenpv-kvm.rst has the members.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/type-helpers.h"
#include "qapi/visitor.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xen/xen-block.h"
#include "hw/xen/xen-bus.h"
#include "hw/xen/xen-bus-helper.h"
#include "hw/xen/interface/io/console.h"
#include "hw/xen/interface/io/xs_wire.h"
#include "monitor/monitor.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "xenpv-blkif.h"
#include "xenpv-gnttab.h"
#include "xenpv-net.h"
#include "xenpv-page-device.h"

static struct {
    XenPVXenstoreState *xenstore;
    XenPVConsoleState *console;
} state;

static QDict *add_ring(QList *rings, const char *name, unsigned size)
{
    QDict *ring = qdict_new();

    qdict_put_str(ring, "name", name);
    qdict_put_int(ring, "size", size);
    qlist_append(rings, ring);
    return ring;
}

/* An index in memory that is shared with the guest, or with another thread */
static void put_index(QDict *ring, const char *name, const uint32_t *index)
{
    qdict_put_int(ring, name, le32_to_cpu(qatomic_read(index)));
}

/* A ring of Xen's ring.h: any of its types, which have the same members */
#define ADD_RING(rings, name, back)                                         \
    do {                                                                    \
        QDict *ring_ = add_ring(rings, name, (back)->nr_ents);              \
                                                                            \
        put_index(ring_, "req-prod", &(back)->sring->req_prod);             \
        qdict_put_int(ring_, "req-cons", qatomic_read(&(back)->req_cons));  \
        put_index(ring_, "rsp-prod", &(back)->sring->rsp_prod);             \
    } while (0)

static void disk_rings(XenBlockDevice *disk, QList *rings)
{
    XenBlockDataPlane *dp = disk->dataplane;

    for (unsigned i = 0; dp && i < dp->nr_rings; i++) {
        g_autofree char *name = dp->nr_rings == 1
            ? g_strdup("ring") : g_strdup_printf("queue-%u", i);

        /* What is used here is in the same place in all three protocols */
        ADD_RING(rings, name, &dp->rings[i].back.common);
    }
}

static void net_rings(XenPVNet *net, QList *rings)
{
    for (unsigned i = 0; net->connected && i < net->nr_queues; i++) {
        XenPVNetQueue *q = &net->queues[i];
        g_autofree char *tx = g_strdup_printf("queue-%u/tx", i);
        g_autofree char *rx = g_strdup_printf("queue-%u/rx", i);

        ADD_RING(rings, tx, &q->tx);
        ADD_RING(rings, rx, &q->rx);
    }
}

static void console_rings(const struct xencons_interface *page, QList *rings)
{
    QDict *ring = add_ring(rings, "out", sizeof(page->out));

    put_index(ring, "req-prod", &page->out_prod);
    put_index(ring, "req-cons", &page->out_cons);
    ring = add_ring(rings, "in", sizeof(page->in));
    put_index(ring, "rsp-prod", &page->in_prod);
    put_index(ring, "rsp-cons", &page->in_cons);
}

static void xenstore_rings(const struct xenstore_domain_interface *page,
                           QList *rings)
{
    QDict *ring = add_ring(rings, "ring", XENSTORE_RING_SIZE);

    put_index(ring, "req-prod", &page->req_prod);
    put_index(ring, "req-cons", &page->req_cons);
    put_index(ring, "rsp-prod", &page->rsp_prod);
    put_index(ring, "rsp-cons", &page->rsp_cons);
}

static const char *state_name(enum xenbus_state xenbus_state)
{
    const char *name = xs_strstate(xenbus_state);

    /* It is "INVALID" if a front end has written a number that is no state */
    strstart(name, "XenbusState", &name);
    return name;
}

static QDict *back_end(XenDevice *xendev)
{
    QDict *dict = qdict_new();
    QList *rings = qlist_new();
    Object *obj = OBJECT(xendev);
    XenPVPageDevice *page = (XenPVPageDevice *)
        object_dynamic_cast(obj, TYPE_XENPV_PAGE_DEVICE);

    if (object_dynamic_cast(obj, TYPE_XEN_BLOCK_DEVICE)) {
        disk_rings(XEN_BLOCK_DEVICE(obj), rings);
    } else if (object_dynamic_cast(obj, TYPE_XENPV_NET)) {
        net_rings(XENPV_NET(obj), rings);
    } else if (page && page->page && object_dynamic_cast(obj, "xen-console")) {
        console_rings(page->page, rings);
    }
    qdict_put_str(dict, "path", xendev->backend_path);
    qdict_put_str(dict, "type", object_get_typename(obj));
    if (DEVICE(obj)->id) {
        qdict_put_str(dict, "id", DEVICE(obj)->id);
    }
    qdict_put_str(dict, "state", state_name(xendev->backend_state));
    qdict_put_str(dict, "front-end-state", state_name(xendev->frontend_state));
    qdict_put(dict, "rings", rings);
    return dict;
}

static QDict *grants(void)
{
    QDict *dict = qdict_new();

    qdict_put_int(dict, "in-use",
                  object_property_get_uint(OBJECT(xenpv_gnttab), "in-use",
                                           &error_abort));
    QEMU_LOCK_GUARD(&xenpv_gnttab->lock);
    qdict_put_int(dict, "version", xenpv_gnttab->version);
    qdict_put_int(dict, "frames", xenpv_gnttab->nr_frames);
    qdict_put_int(dict, "max-frames", MAX_FRAMES);
    return dict;
}

/* The two rings that a domain has from the start; they have no back end */
static QDict *own_rings(uint64_t xenstore_mfn, uint64_t console_mfn)
{
    QDict *dict = qdict_new();
    QList *xenstore = qlist_new(), *console = qlist_new();
    void *page = xenpv_frame_to_host(xenstore_mfn);

    if (page) {
        xenstore_rings(page, xenstore);
    }
    page = xenpv_frame_to_host(console_mfn);
    if (page) {
        console_rings(page, console);
    }
    qdict_put(dict, "xenstore", xenstore);
    qdict_put(dict, "console", console);
    return dict;
}

static QDict *get_info(void)
{
    XenBus *bus = XEN_BUS(object_resolve_path_type("", TYPE_XEN_BUS, NULL));
    QDict *info = own_rings(xenpv_xenstore_ring_mfn(state.xenstore),
                            xenpv_console_ring_mfn(state.console));
    QList *back_ends = qlist_new();
    BusChild *kid;

    QTAILQ_FOREACH(kid, &BUS(bus)->children, sibling) {
        qlist_append(back_ends, back_end(XEN_DEVICE(kid->child)));
    }
    qdict_put(info, "back-ends", back_ends);
    qdict_put(info, "grants", grants());
    return info;
}

static void get_property(Object *obj, Visitor *v, const char *name, void *opaque,
                         Error **errp)
{
    QObject *info = QOBJECT(get_info());

    visit_type_any(v, name, &info, errp);
    qobject_unref(info);
}

/* HMP */

static void print_rings(GString *text, const QList *rings)
{
    static const char *const indexes[] = {
        "req-prod", "req-cons", "rsp-prod", "rsp-cons",
    };
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(rings, entry) {
        QDict *ring = qobject_to(QDict, qlist_entry_obj(entry));

        g_string_append_printf(text, "  %s of %" PRId64 ":",
                               qdict_get_str(ring, "name"),
                               qdict_get_int(ring, "size"));
        for (int i = 0; i < ARRAY_SIZE(indexes); i++) {
            if (qdict_haskey(ring, indexes[i])) {
                g_string_append_printf(text, " %s %" PRIu32, indexes[i],
                                       (uint32_t)qdict_get_int(ring,
                                                               indexes[i]));
            }
        }
        g_string_append_c(text, '\n');
    }
}

static HumanReadableText *info_xenpv(Error **errp)
{
    g_autoptr(QDict) info = get_info();
    g_autoptr(GString) text = g_string_new(NULL);
    QDict *dict = qdict_get_qdict(info, "grants");
    const QListEntry *entry;

    g_string_append_printf(text, "grants: %" PRId64 " in use; version %" PRId64
                           ", %" PRId64 " of %" PRId64 " frames\n",
                           qdict_get_int(dict, "in-use"),
                           qdict_get_int(dict, "version"),
                           qdict_get_int(dict, "frames"),
                           qdict_get_int(dict, "max-frames"));
    g_string_append(text, "xenstore\n");
    print_rings(text, qdict_get_qlist(info, "xenstore"));
    g_string_append(text, "console\n");
    print_rings(text, qdict_get_qlist(info, "console"));
    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "back-ends"), entry) {
        dict = qobject_to(QDict, qlist_entry_obj(entry));
        g_string_append_printf(text, "%s: %s %s, front end %s\n",
                               qdict_get_str(dict, "path"),
                               qdict_get_str(dict, "type"),
                               qdict_get_str(dict, "state"),
                               qdict_get_str(dict, "front-end-state"));
        print_rings(text, qdict_get_qlist(dict, "rings"));
    }
    return human_readable_text_from_str(text);
}

void xenpv_info_init(XenPVXenstoreState *xenstore, XenPVConsoleState *console)
{
    state.xenstore = xenstore;
    state.console = console;
    object_property_add(qdev_get_machine(), "xenpv", "dict", get_property, NULL,
                        NULL, NULL);
    object_property_set_description(qdev_get_machine(), "xenpv",
        "Grants in use, back ends, and the indexes of their rings");
    monitor_register_hmp_info_hrt("xenpv", info_xenpv);
}
