/*
 * SHUTDOWN_suspend: a domain that sleeps, and goes on as one that was restored
 *
 * A guest suspends itself when xenstore's control/shutdown says so, or when it
 * chooses to. QEMU is in its state "suspended" then, in which the domain can be
 * saved and migrated, until system_wakeup. The hypercall returns 0 then, and
 * the guest finds what it would find in the new domain that Xen's tools make of
 * a saved one:
 *
 *  - its memory, its vCPUs with their registers, tables and callbacks, as they
 *    were;
 *  - no event channels but those of xenstore and the console, 2-level ABI;
 *  - an empty grant table of version 1;
 *  - xenstore's tree as the toolstack makes it: front ends in Initialising, and
 *    back ends that wait for them;
 *  - start_info with the rings' frames, for which the guest had put pfns, and
 *    their ports.
 *
 * The frames are the same ones, though no guest relies on that. The monitor
 * itself forgets what the guest registered with it (pc-bios/xenpv/suspend.c).
 *
 * Called by a vCPU through xenpv-call.c, by QEMU's wakeup notifier and by the
 * machine at a reset, with the BQL held; no vCPU runs when it wakes up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "hw/xenpv/xenpv-messages.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "xenpv-platform.h"
#include "trace.h"

/* Not a frame: the guest has not said where start_info is */
#define NO_FRAME    UINT64_MAX

typedef struct SuspendState {
    XenPVDevices *devices;
    MemoryRegion *core;
    bool is_64bit;
    Notifier wakeup;

    bool suspended;             /* the guest has suspended itself */
    uint64_t start_info_mfn;
} SuspendState;

static SuspendState state;

static void write_start_info(const XenPVDevicePorts *ports,
                             const XenPVRings *rings)
{
    void *page = xenpv_frame_to_host(state.start_info_mfn);
    XenPVConnections conns = {
        .shared_info_mfn = (XENPV_CORE_GPA + XENPV_CORE_SHARED_INFO) >>
                           XENPV_PAGE_SHIFT,
        .xenstore_mfn = rings->xenstore_mfn,
        .xenstore_evtchn = ports->xenstore,
        .xencons_mfn = rings->xencons_mfn,
        .xencons_evtchn = ports->console,
    };

    if (!page) {
        xenpv_guest_log("xenpv: start_info of a domain that was suspended is in "
                        "frame 0x%" PRIx64, state.start_info_mfn);
        return;
    }
    xenpv_start_info_connect(page, state.is_64bit, &conns);
    xenpv_memory_written(page, XENPV_PAGE_SIZE);
}

/* Mask all ports, none pending, as Xen's tools do; 32 vcpu_info come first */
static void clear_events(void)
{
    uint8_t *bits = (uint8_t *)xenpv_core_ptr(state.core,
                                              XENPV_CORE_SHARED_INFO) + 32 * 64;
    size_t size = state.is_64bit ? 512 : 128;

    memset(bits, 0, size);
    memset(bits + size, 0xff, size);
}

static void go_on(void)
{
    XenPVDevicePorts ports;
    XenPVRings rings;

    if (!state.suspended) {
        return;
    }
    state.suspended = false;
    xenpv_devices_reconnect(state.devices, &ports, &rings);
    clear_events();
    write_start_info(&ports, &rings);
    xenpv_devices_set_wall_clock(state.core, state.is_64bit);
    memory_region_set_dirty(state.core, 0, XENPV_CORE_SIZE);
    trace_xenpv_wakeup(state.start_info_mfn);
}

static void wakeup(Notifier *notifier, void *reason)
{
    go_on();
}

/*
 * A domain may have been saved after its hypercall, but before QEMU suspended
 * it. It runs where it is loaded, and nobody wakes it up, so this does. (A
 * domain that was suspended comes with RUN_STATE_SUSPENDED.)
 */
static void vm_state_changed(void *opaque, bool running, RunState vm_state)
{
    if (running && vm_state == RUN_STATE_RUNNING) {
        go_on();
    }
}

/* Its data, if there is any, says in which frame the guest's start_info is */
static int64_t call_suspend(void *opaque, unsigned vcpu, uint32_t cmd,
                            void *data, uint32_t *size)
{
    state.suspended = true;
    state.start_info_mfn = *size == sizeof(uint64_t) ? ldq_le_p(data) : NO_FRAME;
    *size = 0;
    qemu_system_suspend_request();
    return 0;
}

void xenpv_suspend_forget(void)
{
    state.suspended = false;
}

/* A stream without this section says that the domain is not suspended */
static bool suspend_needed(void *opaque)
{
    return state.suspended;
}

static const VMStateDescription vmstate_suspend = {
    .name = "xenpv-suspend",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = suspend_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(suspended, SuspendState),
        VMSTATE_UINT64(start_info_mfn, SuspendState),
        VMSTATE_END_OF_LIST()
    }
};

void xenpv_suspend_init(const XenPVDevicesConfig *cfg, XenPVDevices *d)
{
    state.devices = d;
    state.core = cfg->core;
    state.is_64bit = cfg->is_64bit;
    xenpv_call_register_suspend(
        XENPV_CALL(object_resolve_path_type("", TYPE_XENPV_CALL, NULL)),
        call_suspend, NULL);
    state.wakeup.notify = wakeup;
    qemu_register_wakeup_notifier(&state.wakeup);
    qemu_register_wakeup_support();
    qemu_add_vm_change_state_handler(vm_state_changed, NULL);
    vmstate_register(NULL, 0, &vmstate_suspend, &state);
}
