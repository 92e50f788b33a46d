/*
 * Devices by the names that management software has for them
 *
 * libvirt cannot ask for a Xen disk or a Xen console by name: it asks for
 * virtio-blk-pci, or virtio-blk-device where there is no PCI, and for
 * isa-serial. A PV guest can use none of these. So the machine has buses that
 * these devices seem to fit on, and when one is asked for, this file makes the
 * Xen device that is meant instead, with the same id:
 *
 *   virtio-blk-*         xen-disk; its vdev comes from the id, and "params",
 *                        which the guest can read, from the serial number
 *   virtio-net-*         xen-net-device
 *   netfront             xen-net-device: libvirt's name for Xen's card
 *   virtio-balloon-*     nothing: libvirt asks for one in every domain
 *   virtio-serial-*, ich9-ahci, lsi53c895a, virtio-scsi-*
 *                        buses that are only names, for the next two
 *   virtserialport       xen-console, with events when the guest opens it
 *   ide-cd, scsi-cd      xen-cdrom
 *   pci-bridge           a further bus that is only a name: see below
 *   isa-serial           the primary console, if it has no other character
 *                        device; then xen-console
 *
 * Nothing is ever plugged into these buses: any other device that would fit is
 * refused. Properties that only the requested device has are dropped, and so is
 * its place on the bus. The machine's property "hpet" is here as well, as only
 * management software sets it.
 *
 * The PCI bus is only a name, "pci.0", which QEMU looks up before it calls
 * standins_hide_device(). It has no host bridge, so neither the guest nor
 * query-pci can see it. A pci-bridge adds another name, its id. libvirt needs
 * one in its XML, even if nothing uses it: when it saves a domain, it leaves
 * out a PCI root that is the only PCI controller.
 *
 * All of it runs with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "qobject/qdict.h"
#include "chardev/char.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-devices.h"
#include "hw/ide/ide-bus.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci_bus.h"
#include "hw/scsi/scsi.h"
#include "hw/virtio/virtio-bus.h"
#include "hw/virtio/virtio-serial.h"
#include "monitor/qdev.h"
#include "trace.h"
#include "xenpv-platform.h"

#define TYPE_XENPV_STANDINS     "xenpv-standins"
#define TYPE_STANDIN_ISA_BUS    "xenpv-standin-isa-bus"
#define TYPE_STANDIN_VIRTIO_BUS "xenpv-standin-virtio-bus"
#define TYPE_STANDIN_PCI_BUS    "xenpv-standin-pci-bus"
#define TYPE_STANDIN_SERIAL_BUS "xenpv-standin-serial-bus"
#define TYPE_STANDIN_IDE_BUS    "xenpv-standin-ide-bus"
#define TYPE_STANDIN_SCSI_BUS   "xenpv-standin-scsi-bus"
/* QEMU itself has no device of this name; libvirt asks for one */
#define TYPE_STANDIN_NETFRONT   "netfront"

OBJECT_DECLARE_SIMPLE_TYPE(XenPVStandins, XENPV_STANDINS)

struct XenPVStandins {
    SysBusDevice parent_obj;

    DeviceListener listener;
    XenPVConsoleAttachFn *attach;
    void *opaque;
};

/*
 * What a requested device becomes. A virtio device has one name on the virtio
 * bus and four on PCI; one of those, without a suffix, is an alias that QEMU
 * resolves only after hide_device(). A controller becomes one or more buses.
 */
typedef struct Standin {
    const char *base;       /* its name, without a suffix of virtio's */
    const char *made;       /* the Xen device that it becomes; NULL: none */
    const char *bus;        /* the type of the buses that it becomes, or NULL */
    int numbered;           /* so many buses "ID.N"; 0: one bus "ID" */
    const char *unnamed;    /* the ID without an id; NULL: it needs an id */
} Standin;

static const Standin standins[] = {
    { "virtio-blk", "xen-disk" },
    { "virtio-net", "xen-net-device" },
    { "virtio-balloon", NULL },
    { "virtserialport", "xen-console" },
    { "ide-cd", "xen-cdrom" },
    { "scsi-cd", "xen-cdrom" },
    { "virtio-serial", NULL, TYPE_STANDIN_SERIAL_BUS, 1, "virtio-serial-bus" },
    { "virtio-scsi", NULL, TYPE_STANDIN_SCSI_BUS, 1, "scsi" },
    { "lsi53c895a", NULL, TYPE_STANDIN_SCSI_BUS, 1, "scsi" },
    { "lsi", NULL, TYPE_STANDIN_SCSI_BUS, 1, "scsi" },
    { "ich9-ahci", NULL, TYPE_STANDIN_IDE_BUS, 6, "ide" },
    { "ahci", NULL, TYPE_STANDIN_IDE_BUS, 6, "ide" },
    { "pci-bridge", .bus = TYPE_STANDIN_PCI_BUS },
};

static const Standin *find_standin(const char *driver)
{
    static const char *const suffixes[] = {
        "", "-device", "-pci", "-pci-transitional", "-pci-non-transitional",
    };

    for (int i = 0; i < ARRAY_SIZE(standins); i++) {
        const char *suffix = driver;

        if (!strstart(driver, standins[i].base, &suffix)) {
            continue;
        }
        for (int j = 0; j < ARRAY_SIZE(suffixes); j++) {
            if (!strcmp(suffix, suffixes[j])) {
                return &standins[i];
            }
        }
    }
    return NULL;
}

/*
 * Does the requested device have this property? On PCI, a virtio device has
 * those of its part on the virtio bus as well, but only once it is made.
 */
static bool has_property(const Standin *standin, const char *asked,
                         const char *name)
{
    const char *types[] = { asked, NULL, NULL };
    g_autofree char *pci = NULL;
    g_autofree char *device = NULL;

    if (standin) {
        types[1] = pci = g_strconcat(standin->base, "-pci", NULL);
        types[2] = device = g_strconcat(standin->base, "-device", NULL);
    }
    for (int i = 0; i < ARRAY_SIZE(types); i++) {
        ObjectClass *oc = types[i] ? module_object_class_by_name(types[i])
                                   : NULL;

        if (oc && object_class_property_find(oc, name)) {
            return true;
        }
    }
    /* A device has this one, too, only once it is made */
    return !strcmp(name, "bootindex");
}

/*
 * libvirt numbers its disks by the letter of <target dev=>: they become xvda
 * and so on. It takes an <alias> that begins with "ua-" as it is, so that can
 * be any name that Xen has, such as "ua-sda1". It numbers CD drives by their
 * place on the controller: they become xvdp and down, the last names that old
 * kernels know, where no disks are.
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
    if ((sscanf(id, "sata0-0-%u%c", &index, &end) == 1 ||
         sscanf(id, "scsi0-0-%u%c", &index, &end) == 1 ||
         sscanf(id, "scsi0-0-0-%u%c", &index, &end) == 1) && index < 6) {
        return g_strdup_printf("xvd%c", 'p' - index);
    }
    return NULL;
}

/*
 * In the answers of query-blockstats and the like, libvirt knows a virtio disk
 * by the QOM path of its back end, a child of the device. A Xen disk has no
 * such child, but QEMU reports dev->id where there is one: so dev->id is made
 * to look like that path. It is restored before the device goes, for
 * DEVICE_DELETED. The device's QOM name, by which device_del finds it, stays
 * the same.
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

/* Make a @type in place of what @opts asks for; @standin NULL: isa-serial */
static void make_instead(const char *type, const Standin *standin,
                         const QDict *opts, bool from_json, Error **errp)
{
    const char *asked = qdict_get_str(opts, "driver");
    const char *id = qdict_get_try_str(opts, "id");
    g_autofree char *vdev = NULL;
    QDict *wanted = qdict_new();
    ObjectClass *oc = module_object_class_by_name(type);
    const QDictEntry *e;
    DeviceState *dev;

    for (e = qdict_first(opts); e; e = qdict_next(opts, e)) {
        const char *name = qdict_entry_key(e);

        if (!strcmp(name, "driver") || !strcmp(name, "bus")) {
            continue;
        }
        if (!strcmp(name, "serial") && object_class_property_find(oc, "params")) {
            name = "params";
        }
        if (strcmp(name, "id") && !object_class_property_find(oc, name) &&
            has_property(standin, asked, name)) {
            trace_xenpv_standin_dropped(asked, id ?: "", name);
            continue;
        }
        qdict_put_obj(wanted, name, qobject_ref(qdict_entry_value(e)));
    }
    qdict_put_str(wanted, "driver", type);
    if (!strcmp(type, "xen-disk") || !strcmp(type, "xen-cdrom")) {
        vdev = vdev_from_id(id);
        if (vdev) {
            qdict_put_str(wanted, "vdev", vdev);
        }
    }
    if (!strcmp(asked, "virtserialport")) {
        /* From -device and HMP, all values are strings */
        if (from_json) {
            qdict_put_bool(wanted, "tell-open", true);
        } else {
            qdict_put_str(wanted, "tell-open", "on");
        }
    }
    trace_xenpv_standin(asked, id ?: "", type);
    dev = qdev_device_add_from_qdict(wanted, from_json, errp);
    if (dev && dev->id && !strcmp(type, "xen-disk")) {
        g_autofree char *own = dev->id;

        dev->id = g_strconcat(BACKEND_PREFIX, own, BACKEND_SUFFIX, NULL);
    }
    /* The caller drops the reference that qdev_device_add_*() returns */
    object_unref(OBJECT(dev));
    qobject_unref(wanted);
}

/* Without a hotplug handler, QEMU would refuse to hide a device on the bus */
static void make_bus(XenPVStandins *s, const char *type, const char *name)
{
    qbus_set_hotplug_handler(qbus_new(type, DEVICE(s), name),
                             qdev_get_machine());
}

static bool has_bus(XenPVStandins *s, const char *name)
{
    BusState *bus;

    QLIST_FOREACH(bus, &DEVICE(s)->child_bus, sibling) {
        if (!strcmp(bus->name, name)) {
            return true;
        }
    }
    return false;
}

/* Make the buses for devices that are asked for later */
static void make_controller(XenPVStandins *s, const Standin *standin,
                            const QDict *opts, Error **errp)
{
    const char *driver = qdict_get_str(opts, "driver");
    const char *id = qdict_get_try_str(opts, "id") ?: standin->unnamed;
    bool named = qdict_haskey(opts, "id");
    int number = 0;

    if (!id) {
        error_setg(errp, "%s: the bus is named by the id, which is missing",
                   driver);
        return;
    }
    for (int made = 0; made < MAX(standin->numbered, 1); number++) {
        g_autofree char *name = standin->numbered
            ? g_strdup_printf("%s.%d", id, number) : g_strdup(id);

        if (!has_bus(s, name)) {
            trace_xenpv_standin(driver, id, standin->bus);
            make_bus(s, standin->bus, name);
            made++;
        } else if (named) {
            error_setg(errp, "%s: there is a bus '%s' already", driver, name);
            return;
        }
    }
}

static void make_console(XenPVStandins *s, const QDict *opts, bool from_json,
                         Error **errp)
{
    const char *name = qdict_get_try_str(opts, "chardev");
    Chardev *chr = name ? qemu_chr_find(name) : NULL;

    if (name && !chr) {
        error_setg(errp, "isa-serial: there is no chardev '%s'", name);
    } else if (!s->attach(s->opaque, chr, errp) && !*errp) {
        make_instead("xen-console", NULL, opts, from_json, errp);
    }
}

/* The error says what to use instead, for users of libvirt as well */
static void refuse(const char *driver, DeviceClass *dc, Error **errp)
{
    const char *instead = "";

    if (!strcmp(dc->bus_type, TYPE_PCI_BUS)) {
        if (test_bit(DEVICE_CATEGORY_USB, dc->categories)) {
            instead = ": it has no USB (in libvirt's XML: <controller "
                      "type='usb' model='none'/>)";
        } else if (test_bit(DEVICE_CATEGORY_DISPLAY, dc->categories)) {
            instead = ": its display is -machine vfb=on (in libvirt's XML: "
                      "<video><model type='none'/></video> beside that)";
        } else if (test_bit(DEVICE_CATEGORY_NETWORK, dc->categories)) {
            instead = ": its network card is xen-net-device (in libvirt's "
                      "XML: <model type='virtio'/>)";
        } else {
            instead = ": it has no PCI. Its disks are xen-disk (in libvirt's "
                      "XML: bus='virtio'), its cards xen-net-device";
        }
    }
    error_setg(errp, "'%s' is nothing that a Xen PV guest can have%s", driver,
               instead);
}

static bool standins_hide_device(DeviceListener *listener, const QDict *opts,
                                 bool from_json, Error **errp)
{
    ERRP_GUARD();
    static const char *const not_ours[] = {
        TYPE_VIRTIO_BUS, TYPE_PCI_BUS, TYPE_VIRTIO_SERIAL_BUS, TYPE_IDE_BUS,
        TYPE_SCSI_BUS, TYPE_ISA_BUS, NULL
    };
    XenPVStandins *s = container_of(listener, XenPVStandins, listener);
    const char *driver = opts ? qdict_get_try_str(opts, "driver") : NULL;
    const Standin *standin = driver ? find_standin(driver) : NULL;
    ObjectClass *oc = driver ? module_object_class_by_name(driver) : NULL;
    DeviceClass *dc = (DeviceClass *)object_class_dynamic_cast(oc, TYPE_DEVICE);

    if (standin && standin->bus) {
        make_controller(s, standin, opts, errp);
    } else if (standin && standin->made) {
        make_instead(standin->made, standin, opts, from_json, errp);
    } else if (standin) {
        trace_xenpv_standin(driver, qdict_get_try_str(opts, "id") ?: "",
                            "nothing");
    } else if (!dc || !dc->bus_type) {
        return false;
    } else if (!strcmp(driver, TYPE_STANDIN_NETFRONT)) {
        make_instead("xen-net-device", find_standin("virtio-net"), opts,
                     from_json, errp);
    } else if (!strcmp(driver, "isa-serial")) {
        make_console(s, opts, from_json, errp);
    } else if (g_strv_contains(not_ours, dc->bus_type)) {
        refuse(driver, dc, errp);
    } else {
        return false;
    }
    return !*errp;
}

void xenpv_standins_create(XenPVConsoleAttachFn *attach, void *opaque)
{
    DeviceState *dev = qdev_new(TYPE_XENPV_STANDINS);
    XenPVStandins *s = XENPV_STANDINS(dev);

    s->attach = attach;
    s->opaque = opaque;
    object_property_add_child(qdev_get_machine(), "xenpv-standins",
                              OBJECT(dev));
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
    make_bus(s, TYPE_STANDIN_ISA_BUS, NULL);
    make_bus(s, TYPE_STANDIN_VIRTIO_BUS, NULL);
    make_bus(s, TYPE_STANDIN_PCI_BUS, "pci.0");
    s->listener.hide_device = standins_hide_device;
    s->listener.unrealize = standins_unrealize;
    device_listener_register(&s->listener);
}

static void standins_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Names that management software has for Xen devices";
    /* The machine makes the only one */
    dc->user_creatable = false;
}

/* Refuses a device that was asked for by a name that is not known here */
static bool standin_bus_check_address(BusState *bus, DeviceState *dev,
                                      Error **errp)
{
    refuse(object_get_typename(OBJECT(dev)), DEVICE_GET_CLASS(dev), errp);
    return false;
}

static void standin_bus_class_init(ObjectClass *klass, XenPVClassData *data)
{
    BusClass *bc = BUS_CLASS(klass);

    bc->check_address = standin_bus_check_address;
    /* Do not register the parent's migration state: an empty bus has none */
    bc->realize = NULL;
    bc->unrealize = NULL;
}

/* This one is never made, as standins_hide_device() makes another instead */
static void standin_netfront_class_init(ObjectClass *klass,
                                        XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Xen network card, by libvirt's name";
    dc->bus_type = TYPE_STANDIN_PCI_BUS;
    set_bit(DEVICE_CATEGORY_NETWORK, dc->categories);
}

/*
 * virt-install and virt-manager write <timer name='hpet' present='no'/> into
 * each domain, and libvirt passes that to any machine as a property.
 */
static bool get_hpet(Object *obj, Error **errp)
{
    return false;
}

static void set_hpet(Object *obj, bool value, Error **errp)
{
    if (value) {
        error_setg(errp, "hpet: a PV guest has none, so it can only be off");
    }
}

void xenpv_standins_add_properties(ObjectClass *machine)
{
    object_class_property_add_bool(machine, "hpet", get_hpet, set_hpet);
    object_class_property_set_description(machine, "hpet",
        "For management software: a PV guest has none (default and only "
        "value: off)");
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
        .class_init = standin_bus_class_init,
    }, {
        .name = TYPE_STANDIN_VIRTIO_BUS,
        .parent = TYPE_VIRTIO_BUS,
        .instance_size = sizeof(VirtioBusState),
        .class_init = standin_bus_class_init,
    }, {
        .name = TYPE_STANDIN_PCI_BUS,
        .parent = TYPE_PCI_BUS,
        .instance_size = sizeof(PCIBus),
        .class_init = standin_bus_class_init,
    }, {
        /* The size is the parent's, whose structure is private */
        .name = TYPE_STANDIN_SERIAL_BUS,
        .parent = TYPE_VIRTIO_SERIAL_BUS,
        .class_init = standin_bus_class_init,
    }, {
        .name = TYPE_STANDIN_IDE_BUS,
        .parent = TYPE_IDE_BUS,
        .instance_size = sizeof(IDEBus),
        .class_init = standin_bus_class_init,
    }, {
        .name = TYPE_STANDIN_SCSI_BUS,
        .parent = TYPE_SCSI_BUS,
        .instance_size = sizeof(SCSIBus),
        .class_init = standin_bus_class_init,
    }, {
        .name = TYPE_STANDIN_NETFRONT,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(DeviceState),
        .class_init = standin_netfront_class_init,
    },
};

DEFINE_TYPES(standins_types)
