/*
 * Event channels: the device
 *
 * xenpv-devices.c makes it once, with the BQL held. It allocates the tables of
 * xenpv-evtchn.c, and registers the functions for the guest's calls, the back
 * ends' operations and migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-compat.h"
#include "xenpv-evtchn.h"
#include "hw/xen/interface/event_channel.h"

static void xenpv_evtchn_realize(DeviceState *dev, Error **errp)
{
    XenPVEvtchnState *s = XENPV_EVTCHN(dev);

    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_evtchn) * XENPV_NR_PORTS >
                      XENPV_CORE_FIFO - XENPV_CORE_EVTCHN);
    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_fifo) >
                      XENPV_CORE_VIRQS - XENPV_CORE_FIFO);
    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_virqs) >
                      XENPV_CORE_INCOMING - XENPV_CORE_VIRQS);
    QEMU_BUILD_BUG_ON(sizeof(struct xenpv_incoming) >
                      XENPV_CORE_MAILBOX - XENPV_CORE_INCOMING);
    QEMU_BUILD_BUG_ON(EVTCHN_FIFO_NR_CHANNELS != XENPV_NR_PORTS);
    if (!s->core || !s->call) {
        error_setg(errp, "properties 'core' and 'call' are not set");
        return;
    }
    if (!s->nr_vcpus || s->nr_vcpus > XENPV_MAX_VCPUS) {
        error_setg(errp, "there can be 1 to %u vCPUs", XENPV_MAX_VCPUS);
        return;
    }
    if (xenpv_evtchn) {
        error_setg(errp, "there can be only one " TYPE_XENPV_EVTCHN);
        return;
    }
    qemu_mutex_init(&s->lock);
    s->ports = g_new0(XenPVPort, XENPV_NR_PORTS);
    for (uint32_t port = 0; port < XENPV_NR_PORTS; port++) {
        s->ports[port].state = XENPV_EVTCHN_FREE;
    }
    s->has_control = g_new0(bool, s->nr_vcpus);
    s->virqs = g_malloc0_n(s->nr_vcpus, sizeof(*s->virqs));
    s->be_ports = g_new0(xenevtchn_handle *, NR_BACKEND_PORTS);
    xenpv_evtchn = s;
    xenpv_evtchn_reset(s);
    xenpv_call_register(s->call, XENPV_CALL_EVTCHN, xenpv_evtchn_call, s);
    xen_evtchn_ops = &xenpv_evtchn_ops;
}

static const Property xenpv_evtchn_properties[] = {
    DEFINE_PROP_LINK("core", XenPVEvtchnState, core, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_LINK("call", XenPVEvtchnState, call, TYPE_XENPV_CALL,
                     XenPVCallState *),
    DEFINE_PROP_UINT32("nr-vcpus", XenPVEvtchnState, nr_vcpus, 1),
    DEFINE_PROP_UINT16("domid", XenPVEvtchnState, domid, 1),
    DEFINE_PROP_BOOL("guest-64bit", XenPVEvtchnState, is_64bit, true),
};

static void xenpv_evtchn_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Event channels of the xenpv-kvm machine";
    dc->realize = xenpv_evtchn_realize;
    dc->vmsd = &xenpv_vmstate_evtchn;
    device_class_set_props(dc, xenpv_evtchn_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_evtchn_types[] = {
    {
        .name = TYPE_XENPV_EVTCHN,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVEvtchnState),
        .class_init = xenpv_evtchn_class_init,
    },
};

DEFINE_TYPES(xenpv_evtchn_types)
