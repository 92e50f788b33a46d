/*
 * Grant tables: the device
 *
 * xenpv-devices.c makes it once, with the BQL held. It finds the tables in the
 * core region, and registers the functions for the guest's calls, the back
 * ends' operations and migration.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/xenpv/xenpv-compat.h"
#include "xenpv-gnttab.h"

static void xenpv_gnttab_realize(DeviceState *dev, Error **errp)
{
    XenPVGnttabState *s = XENPV_GNTTAB(dev);

    QEMU_BUILD_BUG_ON(2 * MAX_FRAMES * XEN_PAGE_SIZE >
                      XENPV_CORE_EVTCHN - XENPV_CORE_GRANT_TABLE);
    if (!s->core || !s->call) {
        error_setg(errp, "properties 'core' and 'call' are not set");
        return;
    }
    if (xenpv_gnttab) {
        error_setg(errp, "there can be only one " TYPE_XENPV_GNTTAB);
        return;
    }
    qemu_mutex_init(&s->lock);
    s->table.bytes = xenpv_core_ptr(s->core, XENPV_CORE_GRANT_TABLE);
    s->status = xenpv_core_ptr(s->core, XENPV_CORE_GRANT_TABLE +
                                        MAX_FRAMES * XEN_PAGE_SIZE);
    s->pins = g_new0(Pin, MAX_ENTRIES);
    xenpv_gnttab = s;
    xenpv_gnttab_reset(s);
    xenpv_call_register(s->call, XENPV_CALL_GNTTAB, xenpv_gnttab_call, s);
    xenpv_gnttab_serve_backends(s);
}

/* This counts each time, as it is seldom asked for */
static void get_in_use(Object *obj, Visitor *v, const char *name, void *opaque,
                       Error **errp)
{
    XenPVGnttabState *s = XENPV_GNTTAB(obj);
    uint32_t nr = 0;

    WITH_QEMU_LOCK_GUARD(&s->lock) {
        for (uint32_t ref = 0; ref < xenpv_gnttab_nr_entries(s); ref++) {
            nr += s->pins[ref].readers != 0;
        }
    }
    visit_type_uint32(v, name, &nr, errp);
}

static const Property xenpv_gnttab_properties[] = {
    DEFINE_PROP_LINK("core", XenPVGnttabState, core, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_LINK("call", XenPVGnttabState, call, TYPE_XENPV_CALL,
                     XenPVCallState *),
    DEFINE_PROP_UINT16("domid", XenPVGnttabState, domid, 1),
    DEFINE_PROP_BOOL("guest-64bit", XenPVGnttabState, is_64bit, true),
};

static void xenpv_gnttab_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "Grant tables of the xenpv-kvm machine";
    dc->realize = xenpv_gnttab_realize;
    dc->vmsd = &xenpv_vmstate_gnttab;
    device_class_set_props(dc, xenpv_gnttab_properties);
    object_class_property_add(klass, "in-use", "uint32", get_in_use, NULL, NULL,
                              NULL);
    object_class_property_set_description(klass, "in-use",
        "How many grants back ends have mapped, or are using");
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo xenpv_gnttab_types[] = {
    {
        .name = TYPE_XENPV_GNTTAB,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVGnttabState),
        .class_init = xenpv_gnttab_class_init,
    },
};

DEFINE_TYPES(xenpv_gnttab_types)
