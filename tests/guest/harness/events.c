/*
 * Event channels, the event callback, and time
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define BITS    (8 * sizeof(ulong))

volatile unsigned nr_upcalls;
struct trap last_upcall;
static event_handler *port_handlers[1024];

static void set_bit(ulong *words, unsigned bit)
{
    asm volatile("lock bts %1, %0"
                 : "+m" (words[bit / BITS]) : "r" ((ulong)(bit % BITS))
                 : "memory", "cc");
}

static bool clear_bit(ulong *words, unsigned bit)
{
    bool was;

    asm volatile("lock btr %2, %0; setc %1"
                 : "+m" (words[bit / BITS]), "=q" (was)
                 : "r" ((ulong)(bit % BITS)) : "memory", "cc");
    return was;
}

static bool test_bit(const ulong *words, unsigned bit)
{
    return *(const volatile ulong *)&words[bit / BITS] >> bit % BITS & 1;
}

bool port_pending(evtchn_port_t port)
{
    return test_bit(shared_info->evtchn_pending, port);
}

bool port_masked(evtchn_port_t port)
{
    return test_bit(shared_info->evtchn_mask, port);
}

void clear_port(evtchn_port_t port)
{
    clear_bit(shared_info->evtchn_pending, port);
}

void mask_port(evtchn_port_t port)
{
    set_bit(shared_info->evtchn_mask, port);
}

/* Level by level as every PV kernel does it */
static bool event_callback(struct trap *trap)
{
    struct vcpu_info *v = vcpu_info();

    last_upcall = *trap;
    nr_upcalls++;
    do {
        ulong sel;

        *(volatile uint8_t *)&v->evtchn_upcall_pending = 0;
        sel = __atomic_exchange_n(&v->evtchn_pending_sel, 0,
                                  __ATOMIC_SEQ_CST);
        for (unsigned i = 0; i < BITS; i++) {
            if (!(sel >> i & 1)) {
                continue;
            }
            for (unsigned j = 0; j < BITS; j++) {
                evtchn_port_t port = i * BITS + j;

                if (port_pending(port) && !port_masked(port)) {
                    clear_port(port);
                    if (port < ARRAY_SIZE(port_handlers) &&
                        port_handlers[port]) {
                        port_handlers[port](port);
                    }
                }
            }
        }
    } while (*(volatile uint8_t *)&v->evtchn_upcall_pending);
    return true;
}

void unmask_upcalls(void)
{
    struct vcpu_info *v = vcpu_info();

    barrier();
    *(volatile uint8_t *)&v->evtchn_upcall_mask = 0;
    barrier();
    /* Nothing tells the hypervisor, so any hypercall will have to do */
    if (*(volatile uint8_t *)&v->evtchn_upcall_pending) {
        HYPERCALL(xen_version, XENVER_version);
    }
}

long register_callback(unsigned type, unsigned flags, ulong address)
{
    struct callback_register r = {
        .type = type,
        .flags = flags,
#ifdef __x86_64__
        .address = address,
#else
        .address = { FLAT_KERNEL_CS, address },
#endif
    };

    return HYPERCALL(callback_op, CALLBACKOP_register, &r);
}

void events_init(void)
{
    long ret;

    /* Every port is masked until somebody binds it */
    for (unsigned i = 0; i < BITS; i++) {
        shared_info->evtchn_mask[i] = ~0UL;
    }
    set_handler(VECTOR_EVENT, event_callback);
#ifdef __x86_64__
    ret = HYPERCALL(set_callbacks, trap_stub(VECTOR_EVENT),
                    trap_stub(VECTOR_FAILSAFE), trap_stub(VECTOR_SYSCALL));
#else
    ret = HYPERCALL(set_callbacks, FLAT_KERNEL_CS, trap_stub(VECTOR_EVENT),
                    FLAT_KERNEL_CS, trap_stub(VECTOR_FAILSAFE));
#endif
    if (ret) {
        error("set_callbacks returned %ld", ret);
    }
}

void set_event_handler(evtchn_port_t port, event_handler *handler)
{
    port_handlers[port] = handler;
}

evtchn_port_t bind_ipi(event_handler *handler)
{
    struct evtchn_bind_ipi op = { .vcpu = 0 };
    long ret = HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &op);

    if (ret) {
        error("EVTCHNOP_bind_ipi returned %ld", ret);
    }
    set_event_handler(op.port, handler);
    return op.port;
}

evtchn_port_t bind_virq(unsigned virq, event_handler *handler)
{
    struct evtchn_bind_virq op = { .virq = virq, .vcpu = 0 };
    long ret = HYPERCALL(event_channel_op, EVTCHNOP_bind_virq, &op);

    if (ret) {
        error("EVTCHNOP_bind_virq of %u returned %ld", virq, ret);
    }
    set_event_handler(op.port, handler);
    return op.port;
}

void close_port(evtchn_port_t port)
{
    struct evtchn_port op = { port };
    long ret;

    mask_port(port);
    ret = HYPERCALL(event_channel_op, EVTCHNOP_close, &op);
    if (ret) {
        error("EVTCHNOP_close of %u returned %ld", port, ret);
    }
    port_handlers[port] = NULL;
    clear_port(port);
}

long send_event(evtchn_port_t port)
{
    struct evtchn_port op = { port };

    return HYPERCALL(event_channel_op, EVTCHNOP_send, &op);
}

long unmask_port(evtchn_port_t port)
{
    struct evtchn_port op = { port };

    return HYPERCALL(event_channel_op, EVTCHNOP_unmask, &op);
}

/* --- Time --- */

uint64_t mul_shift32(uint64_t a, uint32_t mul)
{
    return ((a >> 32) * mul) + (((a & 0xffffffff) * mul) >> 32);
}

uint64_t system_time(void)
{
    volatile struct vcpu_time_info *t = &vcpu_info()->time;
    uint32_t version;
    uint64_t ns;

    do {
        uint64_t delta;

        version = t->version;
        barrier();
        delta = rdtsc() - t->tsc_timestamp;
        delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift :
                                   delta << t->tsc_shift;
        ns = t->system_time + mul_shift32(delta, t->tsc_to_system_mul);
        barrier();
    } while (version & 1 || version != t->version);
    return ns;
}

void busy_wait(uint64_t ns)
{
    uint64_t end = system_time() + ns;

    while (system_time() < end) {
        asm volatile("pause");
    }
}
