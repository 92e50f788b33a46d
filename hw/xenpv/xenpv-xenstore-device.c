/*
 * xenstore: the device
 *
 * xenpv-devices.c makes it, once, with the BQL held. It sets up the store, the
 * guest's ring, the toolstack's tree, and the back ends' operations. It also
 * turns QMP's system_powerdown into a node.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-compat.h"
#include "system/runstate.h"
#include "xenpv-xenstore.h"

/* QMP's system_powerdown: what a toolstack's "shutdown" does */
static void powerdown(Notifier *n, void *opaque)
{
    XenPVXenstoreState *s = container_of(n, XenPVXenstoreState, powerdown);
    g_autofree char *path = g_strdup_printf("%s/control/shutdown", s->home);
    g_autoptr(GByteArray) value = g_byte_array_new();
    static const char poweroff[] = "poweroff";

    g_byte_array_append(value, (const uint8_t *)poweroff, strlen(poweroff));
    xenpv_xenstore_write(s, XENPV_BACKEND_DOMID, XBT_NULL, path, value);
}

static void xenpv_xenstore_realize(DeviceState *dev, Error **errp)
{
    XenPVXenstoreState *s = XENPV_XENSTORE(dev);

    s->eh = qemu_xen_evtchn_open();
    if (!s->eh) {
        error_setg(errp, "no event channel for xenstore");
        return;
    }
    if (!xenpv_xenstore_serve_backends(s, errp)) {
        qemu_xen_evtchn_close(s->eh);
        return;
    }
    xenpv_xenstore_init_store(s);
    xenpv_xenstore_init_ring(s);
    xenpv_xenstore_make_tree(s);

    s->powerdown.notify = powerdown;
    qemu_register_powerdown_notifier(&s->powerdown);
}

static const Property xenpv_xenstore_properties[] = {
    DEFINE_PROP_UINT16("domid", XenPVXenstoreState, domid, 1),
    DEFINE_PROP_UINT32("nr-vcpus", XenPVXenstoreState, nr_vcpus, 1),
    DEFINE_PROP_STRING("name", XenPVXenstoreState, name),
    DEFINE_PROP_UUID_NODEFAULT("uuid", XenPVXenstoreState, uuid),
    DEFINE_PROP_UINT64("ram-size", XenPVXenstoreState, ram_size, 0),
    DEFINE_PROP_UINT64("max-ram-size", XenPVXenstoreState, max_ram_size, 0),
};

static void xenpv_xenstore_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "xenstore of the xenpv-kvm machine";
    dc->realize = xenpv_xenstore_realize;
    dc->vmsd = &xenpv_vmstate_xenstore;
    device_class_set_props(dc, xenpv_xenstore_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_xenstore_types[] = {
    {
        .name = TYPE_XENPV_XENSTORE,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVXenstoreState),
        .class_init = xenpv_xenstore_class_init,
    },
};

DEFINE_TYPES(xenpv_xenstore_types)
