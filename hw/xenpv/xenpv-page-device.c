/*
 * Back ends that share one page and one event channel with their front end:
 * further consoles, the framebuffer, and keyboard and pointer
 *
 * All these back ends are connected in the same way: the front end writes the
 * page and the port into its directory in xenstore, and then its state. The
 * guest may write anything there, at any time and in any order. So
 *
 *  - a node that is not a decimal number, or not within its bounds, counts as a
 *    node that is missing;
 *  - the class's connect() gets the page and checks all there is to check, and
 *    only then is the port bound: either there are a page, a channel, and all
 *    that connect() has made, or there is nothing of it;
 *  - a front end in any other state than Initialised or Connected is not
 *    connected, and neither its memory nor its port is in use. A reset of the
 *    machine and a guest that starts anew look like this from here.
 *
 * QEMU's Xen bus and the classes call this, with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/ctype.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-messages.h"
#include "xenpv-page-device.h"
#include "trace.h"

bool xenpv_frontend_number(XenDevice *xendev, const char *node, uint64_t max,
                           uint64_t *number)
{
    char *text = xen_device_frontend_read(xendev, node);
    uint64_t n;
    /* qemu_strtou64() would also take a sign and spaces */
    bool ok = text && qemu_isdigit(text[0]) &&
              !qemu_strtou64(text, NULL, 10, &n) && n <= max;

    free(text);
    if (ok) {
        *number = n;
    }
    return ok;
}

static const char *map_page(XenPVPageDevice *s)
{
    XenPVPageDeviceClass *pc = XENPV_PAGE_DEVICE_GET_CLASS(s);
    XenDevice *xendev = XEN_DEVICE(s);

    if (!xenpv_frontend_number(xendev, pc->page_node,
                               pc->page_is_frame ? UINT64_MAX : UINT32_MAX,
                               &s->ref)) {
        return "no number of a page";
    }
    if (pc->page_is_frame) {
        s->page = xenpv_frame_to_host(s->ref);
    } else {
        uint32_t ref = s->ref;

        s->page = xen_device_map_grant_refs(xendev, &ref, 1,
                                            PROT_READ | PROT_WRITE, NULL);
    }
    return s->page ? NULL : "the page is not there, or not granted";
}

static void unmap_page(XenPVPageDevice *s)
{
    if (!XENPV_PAGE_DEVICE_GET_CLASS(s)->page_is_frame) {
        uint32_t ref = s->ref;

        xen_device_unmap_grant_refs(XEN_DEVICE(s), s->page, &ref, 1, NULL);
    }
    s->page = NULL;
}

static bool page_device_event(void *opaque)
{
    XenPVPageDevice *s = opaque;

    return XENPV_PAGE_DEVICE_GET_CLASS(s)->event(s);
}

/* Returns NULL, or what is wrong with what the front end has written */
static const char *connect_front_end(XenPVPageDevice *s)
{
    XenPVPageDeviceClass *pc = XENPV_PAGE_DEVICE_GET_CLASS(s);
    XenDevice *xendev = XEN_DEVICE(s);
    const char *wrong;
    uint64_t port;

    if (!xenpv_frontend_number(xendev, pc->port_node, UINT32_MAX, &port)) {
        return "no number of a port";
    }
    s->port = port;
    wrong = map_page(s);
    if (wrong) {
        return wrong;
    }
    wrong = pc->connect ? pc->connect(s) : NULL;
    if (wrong) {
        unmap_page(s);
        return wrong;
    }
    s->channel = xen_device_bind_event_channel(xendev, port, page_device_event,
                                               s, NULL);
    if (!s->channel) {
        pc->disconnect(s);
        unmap_page(s);
        return "the port is not there, or not for domain 0";
    }
    trace_xenpv_page_device_connect(xendev->frontend_path, s->ref, port);
    return NULL;
}

void xenpv_page_device_disconnect(XenPVPageDevice *s)
{
    XenDevice *xendev = XEN_DEVICE(s);

    if (!s->page) {
        return;
    }
    trace_xenpv_page_device_disconnect(xendev->frontend_path);
    XENPV_PAGE_DEVICE_GET_CLASS(s)->disconnect(s);
    xen_device_unbind_event_channel(xendev, s->channel, NULL);
    s->channel = NULL;
    unmap_page(s);
}

void xenpv_page_device_notify(XenPVPageDevice *s)
{
    xenpv_memory_written(s->page, XEN_PAGE_SIZE);
    /* While connect() runs there is no channel yet */
    if (s->channel) {
        xen_device_notify_event_channel(XEN_DEVICE(s), s->channel, NULL);
    }
}

bool xenpv_page_device_heard(XenPVPageDevice *s)
{
    return s->page && !xenpv_evtchn_is_masked(s->port);
}

static void page_device_frontend_changed(XenDevice *xendev,
                                         enum xenbus_state state, Error **errp)
{
    XenPVPageDevice *s = XENPV_PAGE_DEVICE(xendev);
    XenPVPageDeviceClass *pc = XENPV_PAGE_DEVICE_GET_CLASS(s);
    const char *wrong;

    switch (state) {
    case XenbusStateInitialised:
    case XenbusStateConnected:
        /* A device that is being unplugged does not connect again */
        if (!s->page && xendev->backend_online) {
            wrong = connect_front_end(s);
            if (wrong) {
                trace_xenpv_page_device_refuse(xendev->frontend_path, wrong);
                xenpv_guest_warning("%s is not connected: %s",
                                    xendev->frontend_path, wrong);
                xen_device_backend_set_state(xendev, XenbusStateClosing);
                break;
            }
            xen_device_backend_set_state(xendev, XenbusStateConnected);
        }
        if (s->page && state == XenbusStateConnected && pc->connected) {
            pc->connected(s);
        }
        break;
    case XenbusStateClosing:
        xenpv_page_device_disconnect(s);
        xen_device_backend_set_state(xendev, XenbusStateClosing);
        break;
    case XenbusStateClosed:
    case XenbusStateUnknown:
        xenpv_page_device_disconnect(s);
        xen_device_backend_set_state(xendev, XenbusStateClosed);
        break;
    default:
        /* The front end has started anew, without closing first */
        xenpv_page_device_disconnect(s);
        xen_device_backend_set_state(xendev, xendev->backend_online ?
                                     XenbusStateInitWait : XenbusStateClosed);
        break;
    }
}

DeviceState *xenpv_page_device_create(const char *type)
{
    DeviceState *dev = qdev_new(type);
    Object *bus = object_resolve_path_type("", TYPE_XEN_BUS, NULL);

    object_property_add_child(qdev_get_machine(), type, OBJECT(dev));
    qdev_realize_and_unref(dev, BUS(bus), &error_fatal);
    return dev;
}

static void page_device_unrealize(XenDevice *xendev)
{
    xenpv_page_device_disconnect(XENPV_PAGE_DEVICE(xendev));
}

static char *page_device_get_name(XenDevice *xendev, Error **errp)
{
    return g_strdup("0");
}

/* As vfb and vkbd need it: the machine makes one of each, which stays */
static void page_device_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    XenDeviceClass *xc = XEN_DEVICE_CLASS(klass);
    XenPVPageDeviceClass *pc = XENPV_PAGE_DEVICE_CLASS(klass);

    dc->user_creatable = false;
    dc->hotpluggable = false;
    xc->get_name = page_device_get_name;
    xc->frontend_changed = page_device_frontend_changed;
    xc->unrealize = page_device_unrealize;
    pc->page_node = "page-ref";
    pc->page_is_frame = true;
    pc->port_node = "event-channel";
}

static const TypeInfo page_device_types[] = {
    {
        .name = TYPE_XENPV_PAGE_DEVICE,
        .parent = TYPE_XEN_DEVICE,
        .instance_size = sizeof(XenPVPageDevice),
        .class_size = sizeof(XenPVPageDeviceClass),
        .class_init = page_device_class_init,
        .abstract = true,
    },
};

DEFINE_TYPES(page_device_types)
