/*
 * What the platform devices of the xenpv-kvm machine call of each other
 *
 * Each device finds the monitor's core region by its property "core", and
 * registers the calls that it handles with xenpv-call. All of it runs with the
 * BQL held, except for what back ends do in their IOThreads: notify() and
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
 * Calls by the monitor. An op's handler gets a copy of the mailbox's data, made
 * once, with what is beyond its *size bytes zeroed. The first *size bytes that
 * it leaves in @data are copied back; it returns the mailbox's .ret.
 */
#define XENPV_CALL_DATA_SIZE    sizeof_field(struct xenpv_mailbox, data)

typedef int64_t XenPVCallFn(void *opaque, unsigned vcpu, uint32_t cmd,
                            void *data, uint32_t *size);
void xenpv_call_register(XenPVCallState *s, uint32_t op, XenPVCallFn *fn,
                         void *opaque);
/* Set the handler of XENPV_CALL_SHUTDOWN with SHUTDOWN_suspend */
void xenpv_call_register_suspend(XenPVCallState *s, XenPVCallFn *fn,
                                 void *opaque);
/* The region with XENPV_IO_SEND, to which ioeventfds are added */
MemoryRegion *xenpv_call_io(XenPVCallState *s);

/* Called once, at the machine's init */
void xenpv_counters_init(const XenPVDevicesConfig *cfg);
/* After a load, which has brought along whether the domain is counted */
void xenpv_counters_resume(void);

/* Set up what people on the host may ask for: see xenpv-info.c */
void xenpv_info_init(XenPVXenstoreState *xenstore, XenPVConsoleState *console);

/* Event channels */
void xenpv_evtchn_reset(XenPVEvtchnState *s);
/* EVTCHNOP_alloc_unbound by the guest's builder; returns the port, or 0 */
uint32_t xenpv_evtchn_alloc_unbound(XenPVEvtchnState *s);

/* Has the guest masked this port of its own? Called with the BQL held. */
bool xenpv_evtchn_is_masked(uint32_t port);

/* After a load: wake up the vCPUs that had not been told of their events yet */
void xenpv_evtchn_resume(XenPVEvtchnState *s);

/* Grant tables */
void xenpv_gnttab_reset(XenPVGnttabState *s);
/* Make the two grants that a domain's builder makes for the domain's rings */
void xenpv_gnttab_seed(XenPVGnttabState *s, uint64_t xencons_mfn,
                       uint64_t xenstore_mfn);
/*
 * Use a part of a frame that the guest has granted to domain 0, until it is
 * released. Returns NULL if that is not allowed. Called from any thread.
 */
void *xenpv_gnttab_use(uint32_t ref, uint32_t offset, uint32_t len, bool write);
void xenpv_gnttab_release(uint32_t ref, bool write);
/* Mark a frame that is in use as written to, without releasing it */
void xenpv_gnttab_written(uint32_t ref);

/*
 * xenstore. It remembers what domain 0 writes below the guest's home, because a
 * reset goes back to that.
 */
void xenpv_xenstore_reset(XenPVXenstoreState *s);
void xenpv_xenstore_start(XenPVXenstoreState *s, uint64_t mfn, uint32_t port);
uint64_t xenpv_xenstore_ring_mfn(XenPVXenstoreState *s);
/*
 * Back ends that resume write what is there already, of which the guest need
 * not know: while this is on, the guest's watches do not fire.
 */
void xenpv_xenstore_hush(XenPVXenstoreState *s, bool on);
/* Call the back ends' watches that have fired at once, not in a bottom half */
void xenpv_xenstore_flush(XenPVXenstoreState *s);
/* Write below the guest's home, as domain 0, with the parent's permissions */
void G_GNUC_PRINTF(3, 4) xenpv_xenstore_printf(XenPVXenstoreState *s,
                                               const char *path,
                                               const char *fmt, ...);

/* Read below the guest's home, as domain 0; NULL: there is no such node */
GByteArray *xenpv_xenstore_get(XenPVXenstoreState *s, const char *path);

/* Where a guest may write its /proc/meminfo, or any part of it */
#define XENPV_MEMINFO   "memory/meminfo"

/* The domain has been built, with the memory that it has at first */
void xenpv_balloon_start(XenPVBalloonState *s);

/* The domain has been built, with one vCPU up */
void xenpv_vcpus_start(XenPVVcpusState *s);
/* At a stream's end: did it have the vCPUs' section if, and only if, needed? */
bool xenpv_vcpus_check_load(XenPVVcpusState *s, Error **errp);

/* The primary console */
void xenpv_console_reset(XenPVConsoleState *s);
void xenpv_console_start(XenPVConsoleState *s, uint64_t mfn, uint32_t port);
uint64_t xenpv_console_ring_mfn(XenPVConsoleState *s);
/* Give it a character device; false: it has one already, or errp is set */
bool xenpv_console_attach(XenPVConsoleState *s, Chardev *chr, Error **errp);

/*
 * Devices under other names. The callback gives the primary console a character
 * device (or NULL, for none). If the console has one already, the callback
 * returns false without setting errp.
 */
typedef bool XenPVConsoleAttachFn(void *opaque, Chardev *chr, Error **errp);
void xenpv_standins_create(XenPVConsoleAttachFn *attach, void *opaque);

/*
 * The framebuffer, and the keyboard with the pointer on it. Called once, after
 * xen_bus_init().
 */
QemuConsole *xenpv_vfb_create(void);
void xenpv_vkbd_create(QemuConsole *con);

/*
 * Send a vector to a vCPU's local APIC. Called from any thread. (accel/xenpv)
 */
void xenpv_accel_send_vector(unsigned vcpu, uint8_t vector);

#endif /* HW_XENPV_PLATFORM_H */
