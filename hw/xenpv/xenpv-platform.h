/*
 * Xen's platform devices of the xenpv-kvm machine, among themselves
 *
 * Each device finds the monitor's core region by its property "core", and
 * registers with xenpv-call what it does for the guest. All of it runs under
 * the BQL, except for what back ends do in their IOThreads: notify() and
 * pending() of event channels, and mapping and copying of grants.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_PLATFORM_H
#define HW_XENPV_PLATFORM_H

#include "hw/xen/xen.h"
#include "hw/xen/xen_backend_ops.h"
#include "hw/xenpv/xenpv-compat.h"
#include "hw/xenpv/xenpv-devices.h"
#include "hw/xenpv/xenpv-memory.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "qom/object.h"

#define TYPE_XENPV_CALL     "xenpv-call"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVCallState, XENPV_CALL)
#define TYPE_XENPV_EVTCHN   "xenpv-evtchn"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVEvtchnState, XENPV_EVTCHN)
#define TYPE_XENPV_GNTTAB   "xenpv-gnttab"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVGnttabState, XENPV_GNTTAB)
#define TYPE_XENPV_XENSTORE "xenpv-xenstore"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVXenstoreState, XENPV_XENSTORE)
#define TYPE_XENPV_BALLOON  "xenpv-balloon"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVBalloonState, XENPV_BALLOON)
#define TYPE_XENPV_VCPUS    "xenpv-vcpus"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVVcpusState, XENPV_VCPUS)
#define TYPE_XENPV_CONSOLE  "xenpv-console"
OBJECT_DECLARE_SIMPLE_TYPE(XenPVConsoleState, XENPV_CONSOLE)

/* The domain of the back ends, QEMU's */
#define XENPV_BACKEND_DOMID 0

/*
 * Xen's error numbers, which are those of Linux on x86 whatever the host's
 * are. Only xenstore uses names (see xsd_errors) and so the host's numbers.
 */
#define XEN_EPERM       1
#define XEN_ENOENT      2
#define XEN_ESRCH       3
#define XEN_E2BIG       7
#define XEN_EAGAIN      11
#define XEN_EACCES      13
#define XEN_EFAULT      14
#define XEN_EBUSY       16
#define XEN_EEXIST      17
#define XEN_EINVAL      22
#define XEN_ENOSPC      28
#define XEN_ERANGE      34
#define XEN_ENOSYS      38
#define XEN_EOPNOTSUPP  95

static inline void *xenpv_core_ptr(MemoryRegion *core, uint64_t offset)
{
    return (uint8_t *)memory_region_get_ram_ptr(core) + offset;
}

/*
 * Calls. The handler of an op gets a copy of the mailbox's data, made once,
 * with what is beyond its *size bytes zeroed; what it leaves in its first
 * *size bytes is copied back. It returns the mailbox's .ret.
 */
#define XENPV_CALL_DATA_SIZE    sizeof_field(struct xenpv_mailbox, data)

typedef int64_t XenPVCallFn(void *opaque, unsigned vcpu, uint32_t cmd,
                            void *data, uint32_t *size);
void xenpv_call_register(XenPVCallState *s, uint32_t op, XenPVCallFn *fn,
                         void *opaque);
/* SHUTDOWN_suspend, of all that XENPV_CALL_SHUTDOWN asks for, is not QEMU's alone */
void xenpv_call_register_suspend(XenPVCallState *s, XenPVCallFn *fn,
                                 void *opaque);
/* The region with XENPV_IO_SEND, where ioeventfds are put */
MemoryRegion *xenpv_call_io(XenPVCallState *s);

/* Once, at the machine's init */
void xenpv_counters_init(const XenPVDevicesConfig *cfg);
/* After a load: whether the domain is counted has come with it */
void xenpv_counters_resume(void);

/* What the host may ask for: see xenpv-info.c */
void xenpv_info_init(XenPVXenstoreState *xenstore, XenPVConsoleState *console);

/* Event channels */
void xenpv_evtchn_reset(XenPVEvtchnState *s);
/* EVTCHNOP_alloc_unbound for the guest by its builder: the port, or 0 */
uint32_t xenpv_evtchn_alloc_unbound(XenPVEvtchnState *s);

/* Has the guest masked a port of its own? With the BQL */
bool xenpv_evtchn_is_masked(uint32_t port);

/* After a load: wake up those vCPUs that had not been told of their events */
void xenpv_evtchn_resume(XenPVEvtchnState *s);

/* Grant tables */
void xenpv_gnttab_reset(XenPVGnttabState *s);
/* The two grants that a domain's builder makes for its own two rings */
void xenpv_gnttab_seed(XenPVGnttabState *s, uint64_t xencons_mfn,
                       uint64_t xenstore_mfn);
/*
 * A part of a frame that the guest has granted to domain 0, in use until it is
 * released; NULL: it may not be. From any thread.
 */
void *xenpv_gnttab_use(uint32_t ref, uint32_t offset, uint32_t len, bool write);
void xenpv_gnttab_release(uint32_t ref, bool write);
/* It has been written to, and is not released */
void xenpv_gnttab_written(uint32_t ref);

/*
 * xenstore. What domain 0 writes below the guest's home is remembered: that is
 * the tree to which a reset goes back.
 */
void xenpv_xenstore_reset(XenPVXenstoreState *s);
void xenpv_xenstore_start(XenPVXenstoreState *s, uint64_t mfn, uint32_t port);
uint64_t xenpv_xenstore_ring_mfn(XenPVXenstoreState *s);
/*
 * Back ends that resume write what is there already, which is none of the guest's
 * business: while this is on, its watches do not fire.
 */
void xenpv_xenstore_hush(XenPVXenstoreState *s, bool on);
/* Deliver what watches of back ends have fired, now */
void xenpv_xenstore_flush(XenPVXenstoreState *s);
/* Write below the guest's home, as domain 0, with the perms of the parent */
void G_GNUC_PRINTF(3, 4) xenpv_xenstore_printf(XenPVXenstoreState *s,
                                               const char *path,
                                               const char *fmt, ...);

/* Read below the guest's home, as domain 0; NULL: there is no such node */
GByteArray *xenpv_xenstore_get(XenPVXenstoreState *s, const char *path);

/* Where a guest may write its /proc/meminfo, or as much of it as it likes */
#define XENPV_MEMINFO   "memory/meminfo"

/* Memory: the domain is built, with what it has at first */
void xenpv_balloon_start(XenPVBalloonState *s);

/* vCPUs: the domain is built, with one that is up */
void xenpv_vcpus_start(XenPVVcpusState *s);
/* When a stream is at its end: has it what is to be said of this machine's? */
bool xenpv_vcpus_check_load(XenPVVcpusState *s, Error **errp);

/* The primary console */
void xenpv_console_reset(XenPVConsoleState *s);
void xenpv_console_start(XenPVConsoleState *s, uint64_t mfn, uint32_t port);
uint64_t xenpv_console_ring_mfn(XenPVConsoleState *s);
/* Give it a character device, if it has none yet. False: it has one, or errp */
bool xenpv_console_attach(XenPVConsoleState *s, Chardev *chr, Error **errp);

/*
 * Other names for devices. The callback gives the primary console a character
 * device (or NULL, for none) and returns false if it has one already, without
 * setting errp.
 */
typedef bool XenPVConsoleAttachFn(void *opaque, Chardev *chr, Error **errp);
void xenpv_standins_create(XenPVConsoleAttachFn *attach, void *opaque);

/*
 * The framebuffer, and the keyboard with the pointer on it: once, after
 * xen_bus_init()
 */
QemuConsole *xenpv_vfb_create(void);
void xenpv_vkbd_create(QemuConsole *con);

/*
 * Send a vector to a vCPU's local APIC. From any thread. (accel/xenpv)
 */
void xenpv_accel_send_vector(unsigned vcpu, uint8_t vector);

#endif /* HW_XENPV_PLATFORM_H */
