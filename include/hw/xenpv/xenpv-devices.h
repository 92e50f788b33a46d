/*
 * Xen's platform devices of the xenpv-kvm machine: what the machine sees
 *
 * The machine makes them all by one call. At each reset it then calls
 *
 *   xenpv_devices_reset()   makes a domain without connections, and allocates
 *                           the two ports that start_info tells the guest
 *   ...                     the domain builder writes the guest's memory
 *   xenpv_devices_start()   takes the rings from where the builder put them
 *
 * hw/xenpv/README says which file has what.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_DEVICES_H
#define HW_XENPV_DEVICES_H

#include "qemu/uuid.h"
#include "hw/xenpv/xenpv-compat.h"

typedef struct XenPVDevices XenPVDevices;

typedef struct XenPVDevicesConfig {
    MemoryRegion *core;     /* RAM of XENPV_CORE_SIZE bytes, which stays */
    unsigned domid;
    bool is_64bit;          /* the guest's width */
    unsigned nr_vcpus;      /* that it may have; their CPUs are made already */
    unsigned nr_fixed_vcpus;    /* the first of them, -smp's */
    const char *name;
    QemuUUID uuid;
    uint64_t ram_size;      /* bytes with which the domain starts */
    uint64_t max_ram_size;  /* bytes to which it may grow */
    bool vfb;               /* a framebuffer, a keyboard and a pointer */
} XenPVDevicesConfig;

/* The guest's ends of the channels of its console and of xenstore */
typedef struct XenPVDevicePorts {
    uint32_t console;
    uint32_t xenstore;
} XenPVDevicePorts;

/*
 * Called at the machine's init, before any -device is made: from here on there
 * is a Xen bus. There can be only one set of devices. Errors are fatal.
 */
XenPVDevices *xenpv_devices_create(const XenPVDevicesConfig *cfg);

/*
 * Close all that the guest had open, and restore xenstore to what a toolstack
 * makes for a new domain. This makes the core region's event channel and grant
 * tables anew: clear the core region before, not after.
 */
void xenpv_devices_reset(XenPVDevices *d, XenPVDevicePorts *ports);

void xenpv_devices_start(XenPVDevices *d, uint64_t xencons_mfn,
                         uint64_t xenstore_mfn);

/* Where a domain has its two rings */
typedef struct XenPVRings {
    uint64_t xencons_mfn, xenstore_mfn;
} XenPVRings;

/*
 * Do the same for a domain that goes on: its rings stay where they are, and so
 * do its memory and its vCPUs.
 */
void xenpv_devices_reconnect(XenPVDevices *d, XenPVDevicePorts *ports,
                             XenPVRings *rings);

/*
 * A domain that suspends itself. _init() is called once at the machine's init,
 * after xenpv_devices_create(); _forget() when a new domain is built.
 */
void xenpv_suspend_init(const XenPVDevicesConfig *cfg, XenPVDevices *d);
void xenpv_suspend_forget(void);

/* Tell the guest the time of day, in its shared_info, as of now */
void xenpv_devices_set_wall_clock(MemoryRegion *core, bool is_64bit);

/*
 * Called when a domain has been loaded from a stream. Connects each back end to
 * the front end that it finds connected, as it was at the source. Returns false
 * with @errp set if the devices are not the domain's, or one cannot connect.
 */
bool xenpv_devices_resume(XenPVDevices *d, Error **errp);

/* A vCPU that can be plugged; the machine's hotplug handler calls these */
#define TYPE_XENPV_VCPU "xenpv-vcpu"
void xenpv_vcpu_pre_plug(DeviceState *dev, Error **errp);
void xenpv_vcpu_plug(DeviceState *dev, Error **errp);
void xenpv_vcpu_unplug_request(DeviceState *dev, Error **errp);
void xenpv_vcpu_unplug(DeviceState *dev, Error **errp);

/* Machine properties that management software sets for what PV guests lack */
void xenpv_standins_add_properties(ObjectClass *machine);

/* What the monitor counts. _reset() is for when image and boot_info are new. */
void xenpv_counters_add_properties(ObjectClass *machine);
void xenpv_counters_reset(void);

#endif /* HW_XENPV_DEVICES_H */
