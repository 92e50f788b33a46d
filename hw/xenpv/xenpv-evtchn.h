/*
 * Event channels among their own files, which xenpv-evtchn.c lists
 *
 * The table of the guest's ports is changed with the BQL and .lock, so that
 * either is enough to read it. What follows says for each function what its
 * caller has to hold beyond the BQL; an int is 0, a port, or Xen's errno,
 * negative.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_EVTCHN_H
#define HW_XENPV_EVTCHN_H

#include "qemu/event_notifier.h"
#include "qemu/thread.h"
#include "hw/xen/interface/xen.h"
#include "xenpv-platform.h"

/*
 * Xen allocates ports in buckets, and one that no bucket has yet is not valid
 * where a closed one is
 */
#define PORTS_PER_BUCKET    64
/* More than all the guest's ports can be bound to */
#define NR_BACKEND_PORTS    8192

/* The number of ports of the 2-level ABI, by the guest's width */
#define NR_PORTS_32         1024
#define NR_PORTS_64         4096

struct xenevtchn_handle {
    EventNotifier notifier;
    uint32_t port;          /* domain 0's; 0: not bound */
    uint32_t guest_port;    /* 0: unbound, waiting for the guest */
};

typedef struct XenPVPort {
    uint8_t state;          /* XENPV_EVTCHN_* */
    uint16_t vcpu;
    /*
     * UNBOUND: the domain that may bind to it; VIRQ: which; LOOPBACK: the
     * guest's other port
     */
    uint32_t arg;
    xenevtchn_handle *be;   /* INTERDOMAIN */
} XenPVPort;

struct XenPVEvtchnState {
    SysBusDevice parent_obj;

    MemoryRegion *core;
    XenPVCallState *call;
    uint32_t nr_vcpus;
    uint16_t domid;
    bool is_64bit;

    /*
     * Changes of what follows are made with the BQL and the lock, so that it
     * can be read with either
     */
    QemuMutex lock;
    XenPVPort *ports;
    uint32_t max_ports;     /* of the guest's ABI */
    uint32_t first_free;    /* there is none below it */
    uint32_t valid_ports;   /* in buckets */
    uint32_t (*virqs)[NR_VIRQS];    /* port of each VIRQ, by vCPU */
    xenevtchn_handle **be_ports;

    /* The FIFO ABI */
    bool fifo;
    uint32_t fifo_ports;    /* as far as they have an event word */
    uint32_t *array[XENPV_FIFO_FRAMES];     /* guest RAM, of these frames: */
    uint32_t array_mfns[XENPV_FIFO_FRAMES];
    bool *has_control;      /* by vCPU */

    /* Only while it is saved or loaded: see xenpv-evtchn-state.c */
    struct SavedEvtchn *saved;
};

/* The one there is: the back ends' operations have no argument for it */
extern XenPVEvtchnState *xenpv_evtchn;
extern struct evtchn_backend_ops xenpv_evtchn_ops;
extern const VMStateDescription xenpv_vmstate_evtchn;

/* --- xenpv-evtchn.c: the table of ports, which calls none of the others */

bool xenpv_evtchn_port_valid(XenPVEvtchnState *s, uint32_t port);
/* Events of a timer, of debugging and the like are each vCPU's own */
bool xenpv_evtchn_virq_is_global(uint32_t virq);
/* The vCPU under which a VIRQ's port is kept in .virqs */
static inline uint32_t xenpv_evtchn_virq_vcpu(const XenPVPort *p)
{
    return xenpv_evtchn_virq_is_global(p->arg) ? 0 : p->vcpu;
}

/* The port's event word of the FIFO ABI, or NULL */
uint32_t *xenpv_evtchn_event_word(XenPVEvtchnState *s, uint32_t port);
/* Of the 2-level ABI; false: of the guest's ABI there is no bit for it */
bool xenpv_evtchn_find_2l_bits(XenPVEvtchnState *s, uint32_t port,
                               uint8_t **pending, uint8_t **mask);
/* What the guest has registered for the FIFO ABI, as the monitor sees it */
struct xenpv_fifo *xenpv_evtchn_shared_fifo(XenPVEvtchnState *s);

/* The lock is held: the lowest free port, to be set up, or -XEN_ENOSPC */
int xenpv_evtchn_find_free_port(XenPVEvtchnState *s);
/* The lock is held: what a port is from now on; the monitor sees it, too */
void xenpv_evtchn_set_port(XenPVEvtchnState *s, uint32_t port, uint8_t state,
                           uint16_t vcpu, uint32_t arg, xenevtchn_handle *be);
/* The lock is held: both in one */
int xenpv_evtchn_alloc_port(XenPVEvtchnState *s, uint8_t state, uint16_t vcpu,
                            uint32_t arg, xenevtchn_handle *be);
/* The lock is held: show the monitor what has become of a port */
void xenpv_evtchn_publish(XenPVEvtchnState *s, uint32_t port);
/* The lock is held: the port of a VIRQ; 0: it has none */
void xenpv_evtchn_set_virq(XenPVEvtchnState *s, uint32_t vcpu, uint32_t virq,
                           uint32_t port);

/* Either is held. An event for the guest; true: the vCPU wants the vector */
bool xenpv_evtchn_set_incoming(XenPVEvtchnState *s, uint32_t port);
/* Either is held. The same, and the vector */
void xenpv_evtchn_raise(XenPVEvtchnState *s, uint32_t port);

/* The lock is not held, as the memory API wants it: a channel's eventfd */
void xenpv_evtchn_set_eventfd(XenPVEvtchnState *s, xenevtchn_handle *xc,
                              bool on);
/* The lock is not held: close the guest's end of a channel, or of all */
int xenpv_evtchn_close(XenPVEvtchnState *s, uint32_t port);
void xenpv_evtchn_close_all(XenPVEvtchnState *s);

/* --- xenpv-evtchn-guest.c */

/* XENPV_CALL_EVTCHN; the lock is not held */
XenPVCallFn xenpv_evtchn_call;

#endif /* HW_XENPV_EVTCHN_H */
