/*
 * Event channels: what their files share; xenpv-evtchn.c lists these
 *
 * Whoever changes the table of the guest's ports holds the BQL and .lock, so
 * either is enough to read it. The callers of these functions hold the BQL; the
 * comments say what they hold beyond that. A function that returns an int
 * returns 0, a port, or a negative errno of Xen's.
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
 * Xen allocates ports in buckets. A port that is in none of them yet is
 * invalid, while a closed one is not
 */
#define PORTS_PER_BUCKET    64
/* Domain 0's ports: one for each channel that a back end has bound */
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
     * UNBOUND: the domain that may bind to it; VIRQ: its number; LOOPBACK:
     * the guest's port at the other end
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
     * What follows is changed with the BQL and the lock held, so it can be
     * read with either
     */
    QemuMutex lock;
    XenPVPort *ports;
    uint32_t max_ports;     /* the limit of the guest's ABI */
    uint32_t first_free;    /* no port below it is free */
    uint32_t valid_ports;   /* how many are valid, in whole buckets */
    uint32_t (*virqs)[NR_VIRQS];    /* the port of each VIRQ, by vCPU */
    xenevtchn_handle **be_ports;

    /* The FIFO ABI */
    bool fifo;
    uint32_t fifo_ports;    /* how many have an event word */
    uint32_t *array[XENPV_FIFO_FRAMES];     /* guest RAM, of these frames: */
    uint32_t array_mfns[XENPV_FIFO_FRAMES];
    bool *has_control;      /* by vCPU: it has a control block */

    /* Used only while it is saved or loaded: see xenpv-evtchn-state.c */
    struct SavedEvtchn *saved;
};

/* The only instance, as the back ends' operations have no argument for one */
extern XenPVEvtchnState *xenpv_evtchn;
extern struct evtchn_backend_ops xenpv_evtchn_ops;
extern const VMStateDescription xenpv_vmstate_evtchn;

/* --- xenpv-evtchn.c: the table of ports, which calls none of the others */

bool xenpv_evtchn_port_valid(XenPVEvtchnState *s, uint32_t port);
/* False for the VIRQs of which each vCPU has its own, such as the timer's */
bool xenpv_evtchn_virq_is_global(uint32_t virq);
/* The vCPU under which a VIRQ's port is kept in .virqs */
static inline uint32_t xenpv_evtchn_virq_vcpu(const XenPVPort *p)
{
    return xenpv_evtchn_virq_is_global(p->arg) ? 0 : p->vcpu;
}

/* The port's event word of the FIFO ABI, or NULL */
uint32_t *xenpv_evtchn_event_word(XenPVEvtchnState *s, uint32_t port);
/* The port's bits of the 2-level ABI; false: the guest's ABI has none for it */
bool xenpv_evtchn_find_2l_bits(XenPVEvtchnState *s, uint32_t port,
                               uint8_t **pending, uint8_t **mask);
/* The monitor's copy of what the guest has registered for the FIFO ABI */
struct xenpv_fifo *xenpv_evtchn_shared_fifo(XenPVEvtchnState *s);

/* With .lock held: the lowest free port, for the caller to set up; or -errno */
int xenpv_evtchn_find_free_port(XenPVEvtchnState *s);
/* With .lock held: set up a port, or free it, and publish it */
void xenpv_evtchn_set_port(XenPVEvtchnState *s, uint32_t port, uint8_t state,
                           uint16_t vcpu, uint32_t arg, xenevtchn_handle *be);
/* With .lock held: find a free port and set it up */
int xenpv_evtchn_alloc_port(XenPVEvtchnState *s, uint8_t state, uint16_t vcpu,
                            uint32_t arg, xenevtchn_handle *be);
/* With .lock held: copy a port's state to where the monitor reads it */
void xenpv_evtchn_publish(XenPVEvtchnState *s, uint32_t port);
/* With .lock held: set the port of a VIRQ, or 0 for none */
void xenpv_evtchn_set_virq(XenPVEvtchnState *s, uint32_t vcpu, uint32_t virq,
                           uint32_t port);

/* With the BQL or .lock held: set an event; true: the vCPU needs a vector */
bool xenpv_evtchn_set_incoming(XenPVEvtchnState *s, uint32_t port);
/* The same, and send the vector */
void xenpv_evtchn_raise(XenPVEvtchnState *s, uint32_t port);

/* Without .lock, as the memory API wants it: add or remove an eventfd */
void xenpv_evtchn_set_eventfd(XenPVEvtchnState *s, xenevtchn_handle *xc,
                              bool on);
/* Without .lock: close the guest's end of a channel, or of all */
int xenpv_evtchn_close(XenPVEvtchnState *s, uint32_t port);
void xenpv_evtchn_close_all(XenPVEvtchnState *s);

/* --- xenpv-evtchn-guest.c */

/* Handler of XENPV_CALL_EVTCHN. Called without .lock. */
XenPVCallFn xenpv_evtchn_call;

#endif /* HW_XENPV_EVTCHN_H */
