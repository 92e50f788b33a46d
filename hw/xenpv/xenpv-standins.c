/*
 * Devices by the names that management software has for them
 *
 * libvirt can name a Xen network device, but neither a Xen disk nor a Xen
 * console: for a machine without PCI it asks for virtio-blk-device and for
 * isa-serial. No such device can be of use to a PV guest. So the machine has
 * two buses on which they seem to fit, and when one is asked for, makes the
 * Xen device that is meant instead, under the same id:
 *
 *   virtio-blk-device    xen-disk; the id tells the guest's name for it
 *   virtio-net-device    xen-net-device
 *   isa-serial           the primary console, if it has no other character
 *                        device; then xen-console
 *
 * Nothing is ever plugged into the two buses: any other device that would fit
 * is refused here. Properties that only tune what was asked for are dropped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "chardev/char.h"
#include "hw/boards.h"
#include "hw/hotplug.h"
#include "hw/isa/isa.h"
#include "hw/qdev-core.h"
#include "hw/sysbus.h"
#include "hw/virtio/virtio-bus.h"
#include "monitor/qdev.h"
#include "trace.h"
#include "xenpv-platform.h"

#define TYPE_XENPV_STANDINS     "xenpv-standins"
#define TYPE_STANDIN_ISA_BUS    "xenpv-standin-isa-bus"
#define TYPE_STANDIN_VIRTIO_BUS "xenpv-standin-virtio-bus"

OBJECT_DECLARE_SIMPLE_TYPE(XenPVStandins, XENPV_STANDINS)

struct XenPVStandins {
    SysBusDevice parent_obj;

    DeviceListener listener;
    XenPVConsoleAttachFn *attach;
    void *opaque;
};

/*
 * libvirt numbers its disks by the letters of <target dev=>, and takes an
 * <alias> that begins with "ua-" as it is. So the first gives xvda and so on,
 * and the second any name that Xen has, "ua-sda1" for one.
 */
static char *vdev_from_id(const char *id)
{
    unsigned index;
    const char *p;
    char end;

    if (!id) {
        return NULL;
    }
    if (g_str_has_prefix(id, "ua-")) {
        const char *name = id + strlen("ua-");
        const char *letters;

        if (!g_str_has_prefix(name, "xvd") && !g_str_has_prefix(name, "sd") &&
            !g_str_has_prefix(name, "hd")) {
            return NULL;
        }
        letters = strchr(name, 'd') + 1;
        p = letters + strspn(letters, "abcdefghijklmnopqrstuvwxyz");
        return p == letters || p[strspn(p, "0123456789")] ? NULL
                                                          : g_strdup(name);
    }
    if (sscanf(id, "virtio-disk%u%c", &index, &end) == 1 && index < 26) {
        return g_strdup_printf("xvd%c", 'a' + index);
    }
    return NULL;
}

/*
 * Where QEMU tells about disks (query-blockstats, for one), libvirt knows a
 * virtio disk by the QOM path of its back end, a part of the device. A Xen disk
 * has no such part, but what is told is an id, if there is one: so that is
 * made to look like the path. It has its own id again before it goes, for
 * DEVICE_DELETED. The device's QOM name, and with it device_del, is unchanged.
 */
#define BACKEND_PREFIX  "/machine/peripheral/"
#define BACKEND_SUFFIX  "/virtio-backend"

static void standins_unrealize(DeviceListener *listener, DeviceState *dev)
{
    if (dev->id && g_str_has_prefix(dev->id, BACKEND_PREFIX) &&
        g_str_has_suffix(dev->id, BACKEND_SUFFIX)) {
        char *id = g_strndup(dev->id + strlen(BACKEND_PREFIX),
                             strlen(dev->id) - strlen(BACKEND_PREFIX) -
                             strlen(BACKEND_SUFFIX));

        g_free(dev->id);
        dev->id = id;
    }
}

/* Make a @type of what @opts says about another type of device */
static void make_instead(const char *type, const QDict *opts, bool from_json,
                         Error **errp)
{
    const char *asked = qdict_get_str(opts, "driver");
    const char *id = qdict_get_try_str(opts, "id");
    g_autofree char *vdev = NULL;
    QDict *wanted = qdict_new();
    ObjectClass *oc = module_object_class_by_name(type);
    ObjectClass *asked_oc = module_object_class_by_name(asked);
    const QDictEntry *e;
    DeviceState *dev;

    for (e = qdict_first(opts); e; e = qdict_next(opts, e)) {
        const char *name = qdict_entry_key(e);

        if (!strcmp(name, "driver") || !strcmp(name, "bus")) {
            continue;
        }
        if (strcmp(name, "id") && !object_class_property_find(oc, name) &&
            (object_class_property_find(asked_oc, name) ||
             !strcmp(name, "bootindex"))) {
            trace_xenpv_standin_dropped(asked, id ?: "", name);
            continue;
        }
        qdict_put_obj(wanted, name, qobject_ref(qdict_entry_value(e)));
    }
    qdict_put_str(wanted, "driver", type);
    if (!strcmp(type, "xen-disk")) {
        vdev = vdev_from_id(id);
        if (vdev) {
            qdict_put_str(wanted, "vdev", vdev);
        }
    }
    trace_xenpv_standin(asked, id ?: "", type);
    dev = qdev_device_add_from_qdict(wanted, from_json, errp);
    if (dev && dev->id && !strcmp(type, "xen-disk")) {
        g_autofree char *own = dev->id;

        dev->id = g_strconcat(BACKEND_PREFIX, own, BACKEND_SUFFIX, NULL);
    }
    /* As the callers of that function do */
    object_unref(OBJECT(dev));
    qobject_unref(wanted);
}

static void make_console(XenPVStandins *s, const QDict *opts, bool from_json,
                         Error **errp)
{
    const char *name = qdict_get_try_str(opts, "chardev");
    Chardev *chr = name ? qemu_chr_find(name) : NULL;

    if (name && !chr) {
        error_setg(errp, "isa-serial: there is no chardev '%s'", name);
    } else if (!s->attach(s->opaque, chr, errp) && !*errp) {
        make_instead("xen-console", opts, from_json, errp);
    }
}

static bool standins_hide_device(DeviceListener *listener, const QDict *opts,
                                 bool from_json, Error **errp)
{
    ERRP_GUARD();
    XenPVStandins *s = container_of(listener, XenPVStandins, listener);
    const char *driver = opts ? qdict_get_try_str(opts, "driver") : NULL;
    ObjectClass *oc = driver ? module_object_class_by_name(driver) : NULL;
    DeviceClass *dc = (DeviceClass *)object_class_dynamic_cast(oc, TYPE_DEVICE);

    if (!dc || !dc->bus_type) {
        return false;
    }
    if (!strcmp(driver, "virtio-blk-device")) {
        make_instead("xen-disk", opts, from_json, errp);
    } else if (!strcmp(driver, "virtio-net-device")) {
        make_instead("xen-net-device", opts, from_json, errp);
    } else if (!strcmp(driver, "isa-serial")) {
        make_console(s, opts, from_json, errp);
    } else if (!strcmp(dc->bus_type, TYPE_VIRTIO_BUS) ||
               !strcmp(dc->bus_type, TYPE_ISA_BUS)) {
        error_setg(errp, "'%s' is nothing that a Xen PV guest can have",
                   driver);
    } else {
        return false;
    }
    return !*errp;
}

void xenpv_standins_create(XenPVConsoleAttachFn *attach, void *opaque)
{
    DeviceState *dev = qdev_new(TYPE_XENPV_STANDINS);
    Object *machine = qdev_get_machine();
    XenPVStandins *s = XENPV_STANDINS(dev);

    s->attach = attach;
    s->opaque = opaque;
    object_property_add_child(machine, "xenpv-standins", OBJECT(dev));
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
    /* Else a device that is hidden counts as one that cannot be plugged */
    qbus_set_hotplug_handler(qbus_new(TYPE_STANDIN_ISA_BUS, dev, NULL),
                             machine);
    qbus_set_hotplug_handler(qbus_new(TYPE_STANDIN_VIRTIO_BUS, dev, NULL),
                             machine);
    s->listener.hide_device = standins_hide_device;
    s->listener.unrealize = standins_unrealize;
    device_listener_register(&s->listener);
}

static void standins_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Names that management software has for Xen devices";
    /* The machine makes the only one */
    dc->user_creatable = false;
}

static const TypeInfo standins_types[] = {
    {
        .name = TYPE_XENPV_STANDINS,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVStandins),
        .class_init = standins_class_init,
    }, {
        .name = TYPE_STANDIN_ISA_BUS,
        .parent = TYPE_ISA_BUS,
        .instance_size = sizeof(ISABus),
    }, {
        .name = TYPE_STANDIN_VIRTIO_BUS,
        .parent = TYPE_VIRTIO_BUS,
        .instance_size = sizeof(VirtioBusState),
    },
};

DEFINE_TYPES(standins_types)
