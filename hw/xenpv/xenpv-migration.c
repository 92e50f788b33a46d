/*
 * Saving and migrating a domain of the xenpv-kvm machine
 *
 * The guest takes no part in it: frame numbers, and so all page tables, stay
 * what they are. QEMU moves memory as RAM: the guest's, the core region (the
 * monitor and its data, shared_info, grant and event tables) and the tables
 * region; it moves vCPUs, in the monitor or not, as CPUs. Each device has a
 * vmstate of its own for what it keeps where the guest cannot write.
 *
 * Back ends have next to none. At the source all requests are completed when
 * the vCPUs stop, so a ring in guest memory says all. At the target the device
 * that -device made finds the front end's nodes in xenstore, maps the ring and
 * binds the channel that they name, and goes on from rsp_prod. This file starts
 * that when all the rest is loaded; an error in it is an error of the
 * migration, so that the source goes on. All of it runs with the BQL held.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/xen/xen-bus.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "hw/xenpv/xenpv-compat.h"
#include "migration/blocker.h"
#include "migration/vmstate.h"
#include "xenpv-migration.h"

static Error *no_cpr_transfer;

/* How much two measurements of the same TSC may differ: one part in this */
#define TSC_TOLERANCE   200

static struct {
    XenPVTraits *traits;
    XenPVMemory *memory;
    XenPVDevices *devices;
    XenPVTraits stream;         /* what a stream says that they are */
    DeviceListener listener;
} state;

static bool same(const char *what, uint64_t stream, uint64_t here)
{
    if (stream != here) {
        error_report("xenpv-kvm: the domain that comes in has %s %" PRIu64
                     ", this machine %" PRIu64, what, stream, here);
    }
    return stream == here;
}

static bool same_flag(const char *what, uint32_t flag)
{
    bool stream = state.stream.flags & flag, here = state.traits->flags & flag;

    if (stream != here) {
        error_report("xenpv-kvm: the domain that comes in runs %s %s, this "
                     "machine runs %s it: use the same accelerator, -cpu and "
                     "properties", stream ? "with" : "without", what,
                     here ? "with" : "without");
    }
    return stream == here;
}

static bool same_tsc(uint64_t stream, uint64_t here)
{
    uint64_t diff = stream > here ? stream - here : here - stream;

    if (diff > here / TSC_TOLERANCE) {
        error_report("xenpv-kvm: the TSC of the domain that comes in runs at %"
                     PRIu64 " Hz, this host's at %" PRIu64 " Hz: TCG has no "
                     "other", stream, here);
        return false;
    }
    return true;
}

static int traits_pre_save(void *opaque)
{
    state.stream = *state.traits;
    return 0;
}

static int traits_post_load(void *opaque, int version_id)
{
    XenPVTraits *stream = opaque, *here = state.traits;
    bool ok = same("version of the monitor's ABI", stream->abi_version,
                   here->abi_version) &&
              same("a guest of bits:", stream->width, here->width) &&
              same("vCPUs:", stream->nr_vcpus, here->nr_vcpus) &&
              same("bytes of memory:", stream->ram_size, here->ram_size) &&
              same("xen-version, major:", stream->xen_major, here->xen_major) &&
              same("xen-version, minor:", stream->xen_minor, here->xen_minor) &&
              same_flag("x2APIC", XENPV_BOOT_X2APIC) &&
              same_flag("KVM's clock", XENPV_BOOT_KVM_CLOCK) &&
              same_flag("KVM's PV EOI", XENPV_BOOT_KVM_PV_EOI) &&
              same_tsc(stream->tsc_hz, here->tsc_hz);

    /* A domain with XPTI may run anywhere, one without it may not */
    if (ok && (here->flags & XENPV_BOOT_XPTI) &&
        !(stream->flags & XENPV_BOOT_XPTI)) {
        error_report("xenpv-kvm: this host's processor needs xpti=on, and the "
                     "domain that comes in was started without it");
        ok = false;
    }
    if (ok) {
        *here = *stream;
    }
    return ok ? 0 : -EINVAL;
}

/*
 * The first section of all, even before memory: if two machines differ, the
 * user reads how, and not what one of QEMU's devices missed because of it.
 */
static const VMStateDescription vmstate_traits = {
    .name = "xenpv-kvm",
    .version_id = 1,
    .minimum_version_id = 1,
    .priority = MIG_PRI_MAX,
    .early_setup = true,
    .pre_save = traits_pre_save,
    .post_load = traits_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT32(abi_version, XenPVTraits),
        VMSTATE_UINT32(width, XenPVTraits),
        VMSTATE_UINT32(nr_vcpus, XenPVTraits),
        VMSTATE_UINT32(flags, XenPVTraits),
        VMSTATE_UINT32(xen_major, XenPVTraits),
        VMSTATE_UINT32(xen_minor, XenPVTraits),
        VMSTATE_UINT64(ram_size, XenPVTraits),
        VMSTATE_UINT64(tsc_hz, XenPVTraits),
        VMSTATE_END_OF_LIST()
    }
};

static int resume_post_load(void *opaque, int version_id)
{
    Error *err = NULL;

    xenpv_memory_discard_released(state.memory);
    if (!xenpv_devices_resume(state.devices, &err)) {
        error_report_err(err);
        return -EINVAL;
    }
    return 0;
}

/*
 * Only its post_load matters, which runs when all else is loaded: sections come
 * in the order in which they were registered
 */
static const VMStateDescription vmstate_resume = {
    .name = "xenpv-kvm/resume",
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = resume_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_END_OF_LIST()
    }
};

/* One more device: register the resume section anew, to have it come last */
static void device_realized(DeviceListener *listener, DeviceState *dev)
{
    if (object_dynamic_cast(OBJECT(dev), TYPE_XEN_DEVICE)) {
        vmstate_unregister(NULL, &vmstate_resume, &state);
        vmstate_register(NULL, 0, &vmstate_resume, &state);
    }
}

void xenpv_migration_init(XenPVTraits *traits, XenPVMemory *memory,
                          XenPVDevices *devices)
{
    state.memory = memory;
    state.traits = traits;
    state.devices = devices;
    /* The target's reset would build a domain in memory that the source uses */
    error_setg(&no_cpr_transfer, "-M xenpv-kvm does not support the migration "
               "mode cpr-transfer; cpr-reboot works");
    xenpv_add_blocker_mode(&no_cpr_transfer, MIG_MODE_CPR_TRANSFER);
    vmstate_register(NULL, 0, &vmstate_traits, &state.stream);
    vmstate_register(NULL, 0, &vmstate_resume, &state);
    state.listener.realize = device_realized;
    device_listener_register(&state.listener);
}
