/*
 * vCPUs that come and go while the guest runs
 *
 * As under Xen, a domain has from the start all vCPUs that it may ever have,
 * and cpu/N/availability in xenstore tells it which of them to use: a kernel
 * that finds others as it boots brings these up and puts them down again. So
 * all of -smp's maxcpus= are CPUs of the machine for good, each a thread that
 * sleeps. For one beyond -smp, device_add makes only a device, of the type that
 * query-hotpluggable-cpus names. Without such a device for a CPU, QMP does not
 * show the CPU (its property "shown-as", see scripts/qemu/70-cpus-as-shown).
 *
 * device_del asks the guest by availability, and removes the device when the
 * monitor reports the vCPU as down. A guest that keeps it for too long has
 * refused: DEVICE_UNPLUG_GUEST_ERROR, and the vCPU is available as before.
 *
 * Availability is advice. A guest that uses a vCPU against it is not stopped,
 * but never has more host threads than maxcpus=.
 *
 * All of it runs with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/bswap.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-events-qdev.h"
#include "hw/core/cpu.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-messages.h"
#include "migration/vmstate.h"
#include "xenpv-platform.h"
#include "hw/xen/interface/vcpu.h"
#include "trace.h"

OBJECT_DECLARE_SIMPLE_TYPE(XenPVVcpuDevice, XENPV_VCPU)

/* How long a guest may take to put a vCPU down, ms */
#define UNPLUG_TIMEOUT_MS   20000

/* What device_add makes: the CPU itself is there already */
struct XenPVVcpuDevice {
    DeviceState parent_obj;

    int32_t socket_id, die_id, module_id, core_id, thread_id;
    uint32_t unplug_timeout;    /* ms */

    unsigned vcpu;
    QEMUTimer *timer;           /* runs while the guest is asked for it */
};

struct XenPVVcpusState {
    SysBusDevice parent_obj;

    XenPVCallState *call;
    XenPVXenstoreState *xenstore;
    uint32_t nr_vcpus;          /* that the domain may have */
    uint32_t nr_fixed;          /* the first of them, which are not devices */

    XenPVVcpuDevice *devices[XENPV_MAX_VCPUS];

    /* A bit for each vCPU: up, as the monitor says; plugged; being unplugged */
    uint64_t up, plugged, asked;
    /* The same, as a stream has them */
    struct {
        uint64_t up, plugged, asked;
    } saved;
    bool loaded;                /* a stream had this section */
};

static XenPVVcpusState *the_vcpus(void)
{
    return XENPV_VCPUS(object_resolve_path_type("", TYPE_XENPV_VCPUS, NULL));
}

static void set_available(XenPVVcpusState *s, unsigned vcpu, bool available)
{
    g_autofree char *path = g_strdup_printf("cpu/%u/availability", vcpu);

    trace_xenpv_vcpu_available(vcpu, available);
    xenpv_xenstore_printf(s->xenstore, path, "%s",
                          available ? "online" : "offline");
}

static void forget_request(XenPVVcpusState *s, XenPVVcpuDevice *dev)
{
    s->asked &= ~BIT_ULL(dev->vcpu);
    timer_del(dev->timer);
    DEVICE(dev)->pending_deleted_event = false;
}

/* The guest has put it down, or never had it up */
static void remove_device(XenPVVcpusState *s, XenPVVcpuDevice *dev)
{
    bool asked = DEVICE(dev)->pending_deleted_event;

    forget_request(s, dev);
    /* Unless this is set, qdev does not send DEVICE_DELETED */
    DEVICE(dev)->pending_deleted_event = asked;
    hotplug_handler_unplug(qdev_get_hotplug_handler(DEVICE(dev)), DEVICE(dev),
                           &error_abort);
    object_unparent(OBJECT(dev));
}

static void unplug_timeout(void *opaque)
{
    XenPVVcpuDevice *dev = opaque;
    XenPVVcpusState *s = the_vcpus();
    g_autofree char *path = object_get_canonical_path(OBJECT(dev));

    forget_request(s, dev);
    set_available(s, dev->vcpu, true);
    qapi_event_send_device_unplug_guest_error(DEVICE(dev)->id, path);
}

static void start_timer(XenPVVcpuDevice *dev)
{
    timer_mod(dev->timer, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) +
                          dev->unplug_timeout);
}

static int64_t call_vcpu(void *opaque, unsigned vcpu, uint32_t cmd,
                         void *data, uint32_t *size)
{
    XenPVVcpusState *s = opaque;
    uint32_t which = *size >= sizeof(uint32_t) ? ldl_le_p(data) : UINT32_MAX;

    *size = 0;
    if ((cmd != VCPUOP_up && cmd != VCPUOP_down) || which >= s->nr_vcpus) {
        xenpv_guest_log("xenpv: vCPU %u that does not exist", which);
        return -XEN_EINVAL;
    }
    trace_xenpv_vcpu_state(which, cmd == VCPUOP_up);
    if (cmd == VCPUOP_up) {
        s->up |= BIT_ULL(which);
    } else {
        s->up &= ~BIT_ULL(which);
        if (s->asked & BIT_ULL(which)) {
            remove_device(s, s->devices[which]);
        }
    }
    return 0;
}

/* A new domain has its first vCPU up, and no other */
void xenpv_vcpus_start(XenPVVcpusState *s)
{
    s->up = 1;
    for (unsigned i = 1; i < s->nr_vcpus; i++) {
        if (s->asked & BIT_ULL(i)) {
            remove_device(s, s->devices[i]);
        }
    }
}

/* Plugging: called by the machine's hotplug handler */

static bool same_id(bool has, int64_t there, int32_t wanted)
{
    return has ? there == wanted : wanted <= 0;
}

static int find_vcpu(const XenPVVcpuDevice *dev)
{
    MachineState *ms = MACHINE(qdev_get_machine());
    const CPUArchIdList *list =
        MACHINE_GET_CLASS(ms)->possible_cpu_arch_ids(ms);

    for (int i = 0; i < list->len; i++) {
        const CpuInstanceProperties *p = &list->cpus[i].props;

        if (same_id(p->has_socket_id, p->socket_id, dev->socket_id) &&
            same_id(p->has_die_id, p->die_id, dev->die_id) &&
            same_id(p->has_module_id, p->module_id, dev->module_id) &&
            same_id(p->has_core_id, p->core_id, dev->core_id) &&
            same_id(p->has_thread_id, p->thread_id, dev->thread_id)) {
            return i;
        }
    }
    return -1;
}

void xenpv_vcpu_pre_plug(DeviceState *device, Error **errp)
{
    XenPVVcpuDevice *dev = XENPV_VCPU(device);
    XenPVVcpusState *s = the_vcpus();
    int vcpu = find_vcpu(dev);

    if (vcpu < 0) {
        error_setg(errp, TYPE_XENPV_VCPU ": there is no such socket-id, core-id "
                   "and thread-id: query-hotpluggable-cpus has those that there "
                   "are");
    } else if (vcpu < s->nr_fixed || s->devices[vcpu]) {
        error_setg(errp, TYPE_XENPV_VCPU ": CPU %d is there already", vcpu);
    } else {
        dev->vcpu = vcpu;
    }
}

void xenpv_vcpu_plug(DeviceState *device, Error **errp)
{
    XenPVVcpuDevice *dev = XENPV_VCPU(device);
    XenPVVcpusState *s = the_vcpus();

    s->devices[dev->vcpu] = dev;
    s->plugged |= BIT_ULL(dev->vcpu);
    set_available(s, dev->vcpu, true);
}

void xenpv_vcpu_unplug_request(DeviceState *device, Error **errp)
{
    XenPVVcpuDevice *dev = XENPV_VCPU(device);
    XenPVVcpusState *s = the_vcpus();

    set_available(s, dev->vcpu, false);
    device->pending_deleted_event = true;
    if (s->up & BIT_ULL(dev->vcpu)) {
        s->asked |= BIT_ULL(dev->vcpu);
        start_timer(dev);
    } else {
        remove_device(s, dev);
    }
}

void xenpv_vcpu_unplug(DeviceState *device, Error **errp)
{
    XenPVVcpuDevice *dev = XENPV_VCPU(device);
    XenPVVcpusState *s = the_vcpus();

    s->devices[dev->vcpu] = NULL;
    s->plugged &= ~BIT_ULL(dev->vcpu);
    qdev_unrealize(device);
}

/* The device that QMP shows in place of a CPU that is there for good */

static char *get_shown_as(Object *obj, Error **errp)
{
    XenPVVcpuDevice *dev = the_vcpus()->devices[CPU(obj)->cpu_index];

    return dev ? object_get_canonical_path(OBJECT(dev)) : g_strdup("");
}

static void xenpv_vcpus_realize(DeviceState *device, Error **errp)
{
    XenPVVcpusState *s = XENPV_VCPUS(device);
    MachineState *ms = MACHINE(qdev_get_machine());
    CPUState *cs;

    if (!s->call || !s->xenstore || s->nr_fixed > s->nr_vcpus ||
        s->nr_vcpus > XENPV_MAX_VCPUS) {
        error_setg(errp, "properties 'call', 'xenstore', 'nr-vcpus' and "
                   "'nr-fixed' are not set");
        return;
    }
    for (unsigned i = s->nr_fixed; i < s->nr_vcpus; i++) {
        ms->possible_cpus->cpus[i].type = TYPE_XENPV_VCPU;
        set_available(s, i, false);
    }
    CPU_FOREACH(cs) {
        if (cs->cpu_index >= s->nr_fixed) {
            object_property_add_str(OBJECT(cs), "shown-as", get_shown_as, NULL);
        }
    }
    s->up = 1;
    xenpv_call_register(s->call, XENPV_CALL_VCPU, call_vcpu, s);
}

/* A stream without this section says that there are no vCPUs beyond -smp */
static bool vcpus_needed(void *opaque)
{
    XenPVVcpusState *s = opaque;

    return s->nr_vcpus > s->nr_fixed;
}

static int vcpus_pre_save(void *opaque)
{
    XenPVVcpusState *s = opaque;

    s->saved.up = s->up;
    s->saved.plugged = s->plugged;
    s->saved.asked = s->asked;
    return 0;
}

/* Takes nothing from a stream until all of it is there and has been checked */
static int vcpus_post_load(void *opaque, int version_id)
{
    XenPVVcpusState *s = opaque;

    if (s->saved.plugged != s->plugged) {
        unsigned vcpu = ctz64(s->saved.plugged ^ s->plugged);

        error_report("xenpv-kvm: the domain that comes in has vCPU %u %s, and "
                     "this machine has %s: give it the same -device "
                     TYPE_XENPV_VCPU " options", vcpu,
                     s->plugged & BIT_ULL(vcpu) ? "not plugged" : "plugged",
                     s->plugged & BIT_ULL(vcpu) ? "it" : "it not");
        return -EINVAL;
    }
    if (s->saved.asked & ~s->plugged) {
        return -EINVAL;
    }
    s->loaded = true;
    s->up = s->saved.up;
    s->asked = s->saved.asked;
    for (unsigned i = 0; i < s->nr_vcpus; i++) {
        if (s->asked & BIT_ULL(i)) {
            DEVICE(s->devices[i])->pending_deleted_event = true;
            start_timer(s->devices[i]);
        } else if (s->devices[i]) {
            forget_request(s, s->devices[i]);
        }
    }
    return 0;
}

bool xenpv_vcpus_check_load(XenPVVcpusState *s, Error **errp)
{
    bool loaded = s->loaded;

    s->loaded = false;
    if (loaded != vcpus_needed(s)) {
        error_setg(errp, "of %u vCPUs the domain that comes in has %s from the "
                   "start, and this machine %u: give it the same -smp",
                   s->nr_vcpus, loaded ? "fewer" : "all", s->nr_fixed);
        return false;
    }
    return true;
}

static const VMStateDescription vmstate_vcpus = {
    .name = TYPE_XENPV_VCPUS,
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vcpus_needed,
    .pre_save = vcpus_pre_save,
    .post_load = vcpus_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(saved.up, XenPVVcpusState),
        VMSTATE_UINT64(saved.plugged, XenPVVcpusState),
        VMSTATE_UINT64(saved.asked, XenPVVcpusState),
        VMSTATE_END_OF_LIST()
    }
};

static const Property xenpv_vcpus_properties[] = {
    DEFINE_PROP_LINK("call", XenPVVcpusState, call, TYPE_XENPV_CALL,
                     XenPVCallState *),
    DEFINE_PROP_LINK("xenstore", XenPVVcpusState, xenstore,
                     TYPE_XENPV_XENSTORE, XenPVXenstoreState *),
    DEFINE_PROP_UINT32("nr-vcpus", XenPVVcpusState, nr_vcpus, 1),
    DEFINE_PROP_UINT32("nr-fixed", XenPVVcpusState, nr_fixed, 1),
};

static void xenpv_vcpus_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "The vCPUs of the xenpv-kvm machine";
    dc->realize = xenpv_vcpus_realize;
    dc->vmsd = &vmstate_vcpus;
    device_class_set_props(dc, xenpv_vcpus_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static void xenpv_vcpu_realize(DeviceState *device, Error **errp)
{
    XenPVVcpuDevice *dev = XENPV_VCPU(device);

    if (!the_vcpus()) {
        error_setg(errp, TYPE_XENPV_VCPU ": only -M xenpv-kvm has such vCPUs");
        return;
    }
    dev->timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, unplug_timeout, dev);
}

static void xenpv_vcpu_unrealize(DeviceState *device)
{
    g_clear_pointer(&XENPV_VCPU(device)->timer, timer_free);
}

static const Property xenpv_vcpu_properties[] = {
    DEFINE_PROP_INT32("socket-id", XenPVVcpuDevice, socket_id, -1),
    DEFINE_PROP_INT32("die-id", XenPVVcpuDevice, die_id, -1),
    DEFINE_PROP_INT32("module-id", XenPVVcpuDevice, module_id, -1),
    DEFINE_PROP_INT32("core-id", XenPVVcpuDevice, core_id, -1),
    DEFINE_PROP_INT32("thread-id", XenPVVcpuDevice, thread_id, -1),
    DEFINE_PROP_UINT32("unplug-timeout", XenPVVcpuDevice, unplug_timeout,
                       UNPLUG_TIMEOUT_MS),
};

static void xenpv_vcpu_class_init(ObjectClass *klass, XenPVClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "A vCPU of the xenpv-kvm machine beyond those of -smp";
    dc->realize = xenpv_vcpu_realize;
    dc->unrealize = xenpv_vcpu_unrealize;
    dc->user_creatable = true;
    device_class_set_props(dc, xenpv_vcpu_properties);
    set_bit(DEVICE_CATEGORY_CPU, dc->categories);
}

static const TypeInfo xenpv_vcpu_types[] = {
    {
        .name = TYPE_XENPV_VCPUS,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(XenPVVcpusState),
        .class_init = xenpv_vcpus_class_init,
    }, {
        .name = TYPE_XENPV_VCPU,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(XenPVVcpuDevice),
        .class_init = xenpv_vcpu_class_init,
    },
};

DEFINE_TYPES(xenpv_vcpu_types)
