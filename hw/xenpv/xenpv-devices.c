/*
 * Makes and resets Xen's platform devices for the xenpv-kvm machine
 *
 * These are the devices of xenpv-platform.h, on which QEMU's Xen bus and its
 * back ends rest, then the bus, and the primary console.
 *
 * Only this file knows all of them. The machine calls it, at its init, at each
 * reset, after a load and at wake-up; no device does. All of it runs with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "chardev/char.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xen/xen-block.h"
#include "hw/xen/xen-bus.h"
#include "hw/xen/xen-bus-helper.h"
#include "net/net.h"
#include "system/system.h"
#include "xenpv-blkif.h"
#include "xenpv-net.h"
#include "xenpv-platform.h"

/* libxl's limit of output that a back end keeps. Ours makes the guest wait. */
#define CONSOLE_LIMIT   (1024 * 1024)

struct XenPVDevices {
    XenPVCallState *call;
    XenPVEvtchnState *evtchn;
    XenPVGnttabState *gnttab;
    XenPVXenstoreState *xenstore;
    XenPVBalloonState *balloon;
    XenPVVcpusState *vcpus;
    XenPVConsoleState *console;
    XenPVDevicePorts ports;

    DeviceListener listener;
    Notifier exit;
};

static DeviceState *new_device(const char *type, const char *name)
{
    DeviceState *dev = qdev_new(type);

    object_property_add_child(qdev_get_machine(), name, OBJECT(dev));
    return dev;
}

static void realize(DeviceState *dev)
{
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
}

static void set_link(DeviceState *dev, const char *name, void *target)
{
    object_property_set_link(OBJECT(dev), name, OBJECT(target), &error_abort);
}

static void alloc_ports(XenPVDevices *d)
{
    /* In the order of Xen's own builder: old guests may assume it */
    d->ports.xenstore = xenpv_evtchn_alloc_unbound(d->evtchn);
    d->ports.console = xenpv_evtchn_alloc_unbound(d->evtchn);
}

static void tell_console_tty(XenPVDevices *d, Chardev *chr)
{
    g_autofree char *tty = xenpv_chr_pty_name(chr);

    xenpv_xenstore_printf(d->xenstore, "console/tty", "%s", tty ?: "");
}

static bool attach_console(void *opaque, Chardev *chr, Error **errp)
{
    XenPVDevices *d = opaque;

    if (!xenpv_console_attach(d->console, chr, errp)) {
        return false;
    }
    tell_console_tty(d, chr);
    return true;
}

static void create_console(XenPVDevices *d, uint16_t domid)
{
    DeviceState *dev = new_device(TYPE_XENPV_CONSOLE, "xenpv-console");
    Chardev *chr = serial_hd(0);

    d->console = XENPV_CONSOLE(dev);
    set_link(dev, "call", d->call);
    qdev_prop_set_uint16(dev, "domid", domid);
    if (chr) {
        qdev_prop_set_chr(dev, "chardev", chr);
    }
    realize(dev);

    xenpv_xenstore_printf(d->xenstore, "console/type", "ioemu");
    xenpv_xenstore_printf(d->xenstore, "console/limit", "%d", CONSOLE_LIMIT);
    xenpv_xenstore_printf(d->xenstore, "console/output", "pty");
    tell_console_tty(d, chr);
}

static void forget_peer(NICState *nic, void *opaque)
{
    nic->peer_deleted = false;
}

/*
 * At exit, net_cleanup() cleans up the peer of each NIC, and later the Xen
 * devices' own exit notifiers delete their NICs, which would clean up the peers
 * again. Clearing peer_deleted prevents that. This has to run before those
 * notifiers, so it must be the last one added: see device_realized().
 */
static void forget_peers(Notifier *n, void *opaque)
{
    qemu_foreach_nic(forget_peer, NULL);
}

static void device_realized(DeviceListener *listener, DeviceState *dev)
{
    XenPVDevices *d = container_of(listener, XenPVDevices, listener);

    if (object_dynamic_cast(OBJECT(dev), TYPE_XEN_DEVICE)) {
        qemu_remove_exit_notifier(&d->exit);
        qemu_add_exit_notifier(&d->exit);
    }
}

XenPVDevices *xenpv_devices_create(const XenPVDevicesConfig *cfg)
{
    XenPVDevices *d = g_new0(XenPVDevices, 1);
    g_autofree char *uuid = qemu_uuid_unparse_strdup(&cfg->uuid);
    DeviceState *dev;

    xen_domid = cfg->domid;

    dev = new_device(TYPE_XENPV_CALL, "xenpv-call");
    d->call = XENPV_CALL(dev);
    set_link(dev, "core", cfg->core);
    qdev_prop_set_uint32(dev, "nr-vcpus", cfg->nr_vcpus);
    realize(dev);

    dev = new_device(TYPE_XENPV_EVTCHN, "xenpv-evtchn");
    d->evtchn = XENPV_EVTCHN(dev);
    set_link(dev, "core", cfg->core);
    set_link(dev, "call", d->call);
    qdev_prop_set_uint32(dev, "nr-vcpus", cfg->nr_vcpus);
    qdev_prop_set_uint16(dev, "domid", cfg->domid);
    qdev_prop_set_bit(dev, "guest-64bit", cfg->is_64bit);
    realize(dev);

    dev = new_device(TYPE_XENPV_GNTTAB, "xenpv-gnttab");
    d->gnttab = XENPV_GNTTAB(dev);
    set_link(dev, "core", cfg->core);
    set_link(dev, "call", d->call);
    qdev_prop_set_uint16(dev, "domid", cfg->domid);
    qdev_prop_set_bit(dev, "guest-64bit", cfg->is_64bit);
    realize(dev);

    dev = new_device(TYPE_XENPV_XENSTORE, "xenpv-xenstore");
    d->xenstore = XENPV_XENSTORE(dev);
    qdev_prop_set_uint16(dev, "domid", cfg->domid);
    qdev_prop_set_uint32(dev, "nr-vcpus", cfg->nr_vcpus);
    qdev_prop_set_string(dev, "name", cfg->name);
    qdev_prop_set_string(dev, "uuid", uuid);
    qdev_prop_set_uint64(dev, "ram-size", cfg->ram_size);
    qdev_prop_set_uint64(dev, "max-ram-size", cfg->max_ram_size);
    realize(dev);

    dev = new_device(TYPE_XENPV_BALLOON, "xenpv-balloon");
    d->balloon = XENPV_BALLOON(dev);
    set_link(dev, "core", cfg->core);
    set_link(dev, "call", d->call);
    set_link(dev, "xenstore", d->xenstore);
    qdev_prop_set_uint64(dev, "ram-size", cfg->ram_size);
    qdev_prop_set_uint64(dev, "max-ram-size", cfg->max_ram_size);
    realize(dev);

    dev = new_device(TYPE_XENPV_VCPUS, "xenpv-vcpus");
    d->vcpus = XENPV_VCPUS(dev);
    set_link(dev, "call", d->call);
    set_link(dev, "xenstore", d->xenstore);
    qdev_prop_set_uint32(dev, "nr-vcpus", cfg->nr_vcpus);
    qdev_prop_set_uint32(dev, "nr-fixed", cfg->nr_fixed_vcpus);
    realize(dev);

    d->exit.notify = forget_peers;
    qemu_add_exit_notifier(&d->exit);
    d->listener.realize = device_realized;
    device_listener_register(&d->listener);

    xen_bus_init();
    create_console(d, cfg->domid);
    if (cfg->vfb) {
        xenpv_vkbd_create(xenpv_vfb_create());
    }
    xenpv_standins_create(attach_console, d);
    xenpv_counters_init(cfg);
    xenpv_info_init(d->xenstore, d->console);
    return d;
}

void xenpv_devices_reset(XenPVDevices *d, XenPVDevicePorts *ports)
{
    xenpv_console_reset(d->console);
    xenpv_xenstore_reset(d->xenstore);
    xenpv_evtchn_reset(d->evtchn);
    xenpv_gnttab_reset(d->gnttab);
    alloc_ports(d);
    *ports = d->ports;
}

static void connect_rings(XenPVDevices *d, uint64_t xencons_mfn,
                          uint64_t xenstore_mfn)
{
    xenpv_gnttab_seed(d->gnttab, xencons_mfn, xenstore_mfn);
    xenpv_xenstore_start(d->xenstore, xenstore_mfn, d->ports.xenstore);
    xenpv_console_start(d->console, xencons_mfn, d->ports.console);
    xenpv_xenstore_printf(d->xenstore, "console/ring-ref", "%" PRIu64,
                          xencons_mfn);
    xenpv_xenstore_printf(d->xenstore, "console/port", "%u", d->ports.console);
}

void xenpv_devices_start(XenPVDevices *d, uint64_t xencons_mfn,
                         uint64_t xenstore_mfn)
{
    xenpv_balloon_start(d->balloon);
    xenpv_vcpus_start(d->vcpus);
    connect_rings(d, xencons_mfn, xenstore_mfn);
}

static XenBus *the_bus(void)
{
    return XEN_BUS(object_resolve_path_type("", TYPE_XEN_BUS, NULL));
}

/*
 * A front end can close before its disk's requests have ended, but the grants
 * and ports that they need to end are about to go: so wait for them here. In a
 * reset of the machine the disks do that themselves.
 */
static void stop_disks(void)
{
    BusChild *kid;

    QTAILQ_FOREACH(kid, &BUS(the_bus())->children, sibling) {
        Object *obj = OBJECT(kid->child);

        if (object_dynamic_cast(obj, TYPE_XEN_BLOCK_DEVICE) &&
            XEN_BLOCK_DEVICE(obj)->dataplane) {
            xenpv_block_reset(XEN_BLOCK_DEVICE(obj)->dataplane);
        }
    }
}

void xenpv_devices_reconnect(XenPVDevices *d, XenPVDevicePorts *ports,
                             XenPVRings *rings)
{
    stop_disks();
    /* The domain may have been migrated here, with its rings where they were */
    rings->xencons_mfn = xenpv_console_ring_mfn(d->console);
    rings->xenstore_mfn = xenpv_xenstore_ring_mfn(d->xenstore);
    xenpv_devices_reset(d, ports);
    connect_rings(d, rings->xencons_mfn, rings->xenstore_mfn);
}

void xenpv_devices_set_wall_clock(MemoryRegion *core, bool is_64bit)
{
    /* .wc_version, .wc_sec and .wc_nsec, after 32 vcpu_info and two bitmaps */
    uint8_t *wc = (uint8_t *)xenpv_core_ptr(core, XENPV_CORE_SHARED_INFO) +
                  32 * 64 + 2 * (is_64bit ? 512 : 128);
    uint32_t version = (ldl_le_p(wc) | 1) + 1;
    int64_t ns = g_get_real_time() * 1000 -
                 qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    stl_le_p(wc + 4, ns / NANOSECONDS_PER_SECOND);
    stl_le_p(wc + 8, ns % NANOSECONDS_PER_SECOND);
    stl_le_p(wc, version);
    xenpv_memory_written(wc, 12);
}

/*
 * A front end that is asked to close may stay in Closing and go on using its
 * rings, as Linux does with a mounted disk. A network card's front end does not
 * do so.
 */
static bool is_in_use(XenDevice *xendev, enum xenbus_state front)
{
    return front == XenbusStateConnected ||
           (front == XenbusStateClosing &&
            object_dynamic_cast(OBJECT(xendev), TYPE_XEN_BLOCK_DEVICE));
}

/* Connect one back end, if it was connected when the domain was saved */
static bool resume_backend(XenDevice *xendev, Error **errp)
{
    XenDeviceClass *klass = XEN_DEVICE_GET_CLASS(xendev);
    XenBus *bus = XEN_BUS(qdev_get_parent_bus(DEVICE(xendev)));
    enum xenbus_state front, back;
    Error *err = NULL;
    unsigned online;

    if (xs_node_scanf(bus->xsh, XBT_NULL, xendev->frontend_path, "state", NULL,
                      "%u", &front) != 1 ||
        xs_node_scanf(bus->xsh, XBT_NULL, xendev->backend_path, "state", NULL,
                      "%u", &back) != 1 ||
        xs_node_scanf(bus->xsh, XBT_NULL, xendev->backend_path, "online", NULL,
                      "%u", &online) != 1) {
        error_setg(errp, "the domain that comes in has no device '%s'",
                   xendev->frontend_path);
        return false;
    }
    xendev->frontend_state = front;
    xendev->backend_state = back;
    if (object_dynamic_cast(OBJECT(xendev), TYPE_XENPV_NET)) {
        xenpv_net_take_link(XENPV_NET(xendev));
    }
    /* Here it may have been asked to go, after the domain was saved */
    xendev->backend_online = true;
    if (back == XenbusStateConnected) {
        xendev->backend_state = XenbusStateInitWait;
        klass->frontend_changed(xendev, front, &err);
        if (!err && front == XenbusStateConnected &&
            xendev->backend_state != XenbusStateConnected) {
            error_setg(&err, "its back end did not connect");
        }
    } else if (back == XenbusStateClosing && !online &&
               is_in_use(xendev, front)) {
        Error *gone = NULL;

        xendev->backend_state = XenbusStateInitWait;
        klass->frontend_changed(xendev, XenbusStateConnected, &gone);
        /* If its rings cannot be mapped, the front end has let go of them */
        error_free(gone);
        xen_device_backend_set_state(xendev, XenbusStateClosing);
    }
    xendev->backend_online = online;
    if (err) {
        error_propagate_prepend(errp, err, "device '%s': ",
                                xendev->frontend_path);
        return false;
    }
    return true;
}

/* Does each back end that the domain knows have a device here? */
static bool check_backends(XenBus *bus, Error **errp)
{
    unsigned nr_types = 0;
    char **types = qemu_xen_xs_directory(bus->xsh, XBT_NULL, "backend",
                                         &nr_types);

    for (unsigned i = 0; types && i < nr_types; i++) {
        g_autofree char *dir = g_strdup_printf("backend/%s/%u", types[i],
                                               xen_domid);
        unsigned nr = 0;
        char **names = qemu_xen_xs_directory(bus->xsh, XBT_NULL, dir, &nr);

        for (unsigned j = 0; names && j < nr; j++) {
            g_autofree char *path = g_strdup_printf("%s/%s", dir, names[j]);
            bool found = false;
            BusChild *kid;

            QTAILQ_FOREACH(kid, &BUS(bus)->children, sibling) {
                XenDevice *xendev = XEN_DEVICE(kid->child);

                found |= g_str_has_suffix(xendev->backend_path, path);
            }
            if (!found) {
                error_setg(errp, "the domain that comes in has a device '%s', "
                           "and this machine has not: give it the same -device "
                           "options", path);
                free(names);
                free(types);
                return false;
            }
        }
        free(names);
    }
    free(types);
    return true;
}

bool xenpv_devices_resume(XenPVDevices *d, Error **errp)
{
    XenBus *bus = the_bus();
    BusChild *kid;
    bool ok = true;

    if (!xenpv_vcpus_check_load(d->vcpus, errp) || !check_backends(bus, errp)) {
        return false;
    }
    xenpv_xenstore_hush(d->xenstore, true);
    QTAILQ_FOREACH(kid, &BUS(bus)->children, sibling) {
        ok = ok && resume_backend(XEN_DEVICE(kid->child), errp);
    }
    xenpv_xenstore_hush(d->xenstore, false);
    xenpv_evtchn_resume(d->evtchn);
    xenpv_counters_resume();
    return ok;
}
