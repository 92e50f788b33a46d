/*
 * Event channels, as far as they never leave the VM: the monitor makes ports
 * pending, sends IPIs and loopback events, unmasks, and takes what the machine
 * has sent. To allocate, bind or close ports is a call to the machine. So is
 * registering frames for the FIFO ABI; the events in them are handled here.
 *
 * A port may be closed on one vCPU while it becomes pending on another. The
 * machine first marks it free and then clears its pending bit; the monitor
 * first sets the bit, and clears it again if the port is free.
 *
 * dispatch.S calls this for event_channel_op, traps.c for XENPV_UPCALL_VECTOR,
 * others to raise a VIRQ, on any vCPU. Whatever the guest writes to shared
 * memory meanwhile, ports stay below XENPV_NR_PORTS, and frames are RAM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"

#define BITS_PER_LONG   (8 * sizeof(ulong))
#define NR_2L_PORTS     (BITS_PER_LONG * BITS_PER_LONG)

static inline bool test_and_set_bit(unsigned nr, volatile ulong *addr)
{
    ulong bit = 1UL << (nr % BITS_PER_LONG);

    return atomic_fetch_or(&addr[nr / BITS_PER_LONG], bit) & bit;
}

static inline bool test_and_clear_bit(unsigned nr, volatile ulong *addr)
{
    ulong bit = 1UL << (nr % BITS_PER_LONG);

    return atomic_fetch_and(&addr[nr / BITS_PER_LONG], ~bit) & bit;
}

static inline bool test_bit(unsigned nr, volatile ulong *addr)
{
    return addr[nr / BITS_PER_LONG] >> (nr % BITS_PER_LONG) & 1;
}

static noinline void mark_upcall_on_other(struct vcpu *v)
{
    if (!atomic_exchange(&v->vcpu_info->evtchn_upcall_pending, 1)) {
        kick_vcpu(v);
    }
}

static __always_inline void mark_upcall(struct vcpu *v)
{
    if (likely(((ulong)v ^ area_base()) < VCPU_AREA_SIZE)) {
        v->vcpu_info->evtchn_upcall_pending = 1;
        return;
    }
    mark_upcall_on_other(v);
}

u32 nr_polling;

/* Wake up all vCPUs in SCHEDOP_poll: each then looks at its own ports */
static noinline void wake_pollers(void)
{
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        if (vcpus[i]->polling && vcpus[i] != current_vcpu()) {
            kick_vcpu(vcpus[i]);
        }
    }
}

/* The machine writes only numbers of existing vCPUs there */
static inline struct vcpu *vcpu_of_port(u32 port)
{
    return vcpus[evtchns[port].vcpu];
}

/* The 2-level ABI: the port's bit, then the word's, then the upcall */

static __always_inline void select_2l(u32 port)
{
    struct vcpu *v;

    if (!test_bit(port, shared->evtchn_mask)) {
        v = vcpu_of_port(port);
        if (!test_and_set_bit(port / BITS_PER_LONG,
                              &v->vcpu_info->evtchn_pending_sel)) {
            mark_upcall(v);
        }
    }
}

/* The port is free by now, or some vCPU is in SCHEDOP_poll */
static noinline void set_pending_2l_slow(u32 port)
{
    if (evtchns[port].state == XENPV_EVTCHN_FREE) {
        test_and_clear_bit(port, shared->evtchn_pending);
        return;
    }
    select_2l(port);
    if (nr_polling) {
        wake_pollers();
    }
}

/* All calls are tail calls, so that no register has to be saved for them */
static __always_inline void set_pending_2l(u32 port)
{
    if (test_and_set_bit(port, shared->evtchn_pending)) {
        return;
    }
    if (unlikely(evtchns[port].state == XENPV_EVTCHN_FREE || nr_polling)) {
        set_pending_2l_slow(port);
        return;
    }
    select_2l(port);
}

static inline void unmask_2l(u32 port)
{
    if (test_and_clear_bit(port, shared->evtchn_mask) &&
        test_bit(port, shared->evtchn_pending)) {
        select_2l(port);
    }
}

/*
 * The FIFO ABI: for each vCPU and priority there is a list of ports, by the
 * links in their event words. The guest takes ports off the head; the monitor
 * appends them to the tail. It writes a link only to the tail that it
 * remembers, and follows none of the guest's links. It calls frame() for each
 * access, as a pointer is good only until the next call.
 */
#define EVENT_PENDING   (1u << EVTCHN_FIFO_PENDING)
#define EVENT_MASKED    (1u << EVTCHN_FIFO_MASKED)
#define EVENT_LINKED    (1u << EVTCHN_FIFO_LINKED)
#define EVENT_BUSY      (1u << EVTCHN_FIFO_BUSY)

/* By list, whose number is vCPU * 16 + priority. 0: the list is empty */
static u32 fifo_tail[XENPV_MAX_VCPUS * EVTCHN_FIFO_MAX_QUEUES];
static struct spinlock fifo_lock[XENPV_MAX_VCPUS];     /* of a vCPU's lists */

/*
 * By port: the list that it was on last, where it may still be the tail; and
 * whether it became pending before it had an event word
 */
#define fifo_queued ((u16 *)(image_start + XENPV_CORE_FIFO_QUEUED))
#define QUEUED_LIST     0x3ff
#define QUEUED_PENDING  0x8000
_Static_assert(XENPV_MAX_VCPUS * EVTCHN_FIFO_MAX_QUEUES == QUEUED_LIST + 1, "");
_Static_assert(XENPV_NR_PORTS * sizeof(u16) <=
               XENPV_CORE_POOL - XENPV_CORE_FIFO_QUEUED, "");
_Static_assert(XENPV_NR_PORTS == EVTCHN_FIFO_NR_CHANNELS, "");

static inline u32 *event_word(u32 port)
{
    return (u32 *)frame(fifo->array[port / XENPV_FIFO_WORDS]) +
           port % XENPV_FIFO_WORDS;
}

/* A vCPU without control block: as with Xen, it has no events */
static inline bool has_control(u32 vcpu)
{
    return *(volatile u32 *)&fifo->control[vcpu] & XENPV_FIFO_CONTROL;
}

static inline struct evtchn_fifo_control_block *control_block(u32 vcpu)
{
    u64 control = fifo->control[vcpu];
    u32 offset = control & (PAGE_SIZE - 1) & ~XENPV_FIFO_CONTROL;

    return (void *)((char *)frame(control >> 12) + offset);
}

/* The first 32 bits of the port's entry, from which list_of() has its list */
static inline u32 event_head(u32 port)
{
    return *(volatile u32 *)&evtchns[port];
}

static inline u32 list_of(u32 head)
{
    return head >> 16 << 4 | (head >> 8 & 0xf);
}

/* nr: less than 32 */
static inline bool test_and_set_bit32(u32 nr, u32 *word)
{
    bool was;

    asm volatile("lock btsl %2, %0"
                 : "+m" (*word), "=@ccc" (was) : "r" (nr) : "memory");
    return was;
}

/*
 * Link the tail to a port; false if the guest has taken the tail off the list.
 * Until then the guest may change bits of the tail's word; while BUSY is set,
 * it does not clear MASKED, and so can make only a few changes more.
 */
static bool link_tail(u32 tail, u32 port)
{
    u32 *word = event_word(tail);
    u32 old = atomic_load(word);

    for (int try = 0; try < 5; try++) {
        u32 new = (old & ~(EVENT_BUSY | EVTCHN_FIFO_LINK_MASK)) | port;

        if (!(old & EVENT_LINKED)) {
            if (try) {
                atomic_fetch_and(word, ~EVENT_BUSY);
            }
            return false;
        }
        if (atomic_compare_exchange_strong(word, &old, new)) {
            return true;
        }
        if (!try) {
            old = atomic_fetch_or(word, EVENT_BUSY) | EVENT_BUSY;
        }
    }
    /* The guest breaks the rules: as under Xen, it has lost the port */
    atomic_fetch_and(word, ~EVENT_BUSY);
    return true;
}

/* Lock the lists of two vCPUs, which may be the same vCPU */
static void lock_lists(u32 a, u32 b)
{
    spin_lock(&fifo_lock[a < b ? a : b]);
    if (a != b) {
        spin_lock(&fifo_lock[a < b ? b : a]);
    }
}

static void unlock_lists(u32 a, u32 b)
{
    if (a != b) {
        spin_unlock(&fifo_lock[b]);
    }
    spin_unlock(&fifo_lock[a]);
}

/* Append a port, which the caller has just made LINKED, and unlock the list */
static __always_inline void append(u32 list, u32 port)
{
    u32 tail = fifo_tail[list];
    struct evtchn_fifo_control_block *control;

    fifo_tail[list] = port;
    /* The tail may be the port itself, if the guest has taken it off since */
    if (tail && tail != port && link_tail(tail, port)) {
        spin_unlock(&fifo_lock[list >> 4]);
        return;
    }
    control = control_block(list >> 4);
    atomic_store_explicit(&control->head[list & 15], port, memory_order_release);
    spin_unlock(&fifo_lock[list >> 4]);
    if (!test_and_set_bit32(list & 15, &control->ready)) {
        mark_upcall(vcpus[list >> 4]);
    }
}

/*
 * Put a port that is pending and not masked on its list. As under Xen, the port
 * is on it when a send returns, even if another vCPU sends the same event just
 * now; so each takes the lock. The port may still be the tail of another vCPU's
 * list, and either list may be changing; so both are locked.
 */
static noinline void link_event(u32 port)
{
    u32 last, list;
    u16 old;

    for (;;) {
        last = fifo_queued[port] & QUEUED_LIST;
        list = list_of(event_head(port));
        lock_lists(list >> 4, last >> 4);
        if (likely(last == (fifo_queued[port] & QUEUED_LIST) &&
                   list == list_of(event_head(port)))) {
            break;
        }
        unlock_lists(list >> 4, last >> 4);
    }
    /* Another vCPU may have bound the port to one that has no lists */
    if (unlikely(!has_control(list >> 4)) ||
        unlikely(test_and_set_bit32(EVTCHN_FIFO_LINKED, event_word(port)))) {
        unlock_lists(list >> 4, last >> 4);
        return;
    }
    if (unlikely(list != last)) {
        /* As the tail of its last list it would link that one to this one */
        if (fifo_tail[last] == port) {
            fifo_tail[last] = 0;
        }
        old = fifo_queued[port];
        while (!atomic_compare_exchange_strong(&fifo_queued[port], &old,
                                               (old & ~QUEUED_LIST) | list)) {
        }
        if (last >> 4 != list >> 4) {
            spin_unlock(&fifo_lock[last >> 4]);
        }
    }
    append(list, port);
}

static inline bool save_pending(u32 port)
{
    return atomic_fetch_or(&fifo_queued[port], QUEUED_PENDING) & QUEUED_PENDING;
}

static inline bool take_saved_pending(u32 port)
{
    return atomic_fetch_and(&fifo_queued[port], (u16)~QUEUED_PENDING) &
           QUEUED_PENDING;
}

static noinline void set_pending_fifo_slow(u32 port)
{
    if (!(atomic_load(event_word(port)) & EVENT_MASKED)) {
        link_event(port);
    }
    if (evtchns[port].state == XENPV_EVTCHN_FREE) {
        atomic_fetch_and(event_word(port), ~EVENT_PENDING);
    }
    if (nr_polling) {
        wake_pollers();
    }
}

/* The port must have an event word */
static __always_inline void set_pending_in_word(u32 port)
{
    u32 *word;

    if (unlikely(!has_control(evtchns[port].vcpu))) {
        return;
    }
    word = event_word(port);
    atomic_fetch_or(word, EVENT_PENDING);
    if (unlikely(evtchns[port].state == XENPV_EVTCHN_FREE || nr_polling)) {
        set_pending_fifo_slow(port);
    } else if (!(*(volatile u32 *)word & EVENT_MASKED)) {
        link_event(port);
    }
}

static void set_pending_fifo(u32 port)
{
    if (unlikely(port >= fifo->nr_ports)) {
        /* The guest has not registered its word yet: see expand_array() */
        save_pending(port);
        if (likely(port >= fifo->nr_ports) || !take_saved_pending(port)) {
            return;
        }
    }
    set_pending_in_word(port);
}

static void unmask_fifo(u32 port)
{
    if (port < fifo->nr_ports &&
        atomic_fetch_and(event_word(port), ~EVENT_MASKED) & EVENT_PENDING) {
        set_pending_fifo(port);
    }
}

/* Either ABI, as the guest has chosen */

static void set_pending(u32 port)
{
    if (fifo->active) {
        set_pending_fifo(port);
    } else if (likely(port < NR_2L_PORTS)) {
        set_pending_2l(port);
    }
}

bool virq_is_bound(struct vcpu *v, u32 virq)
{
    return virqs->port[v->id][virq];
}

void raise_virq(struct vcpu *v, u32 virq)
{
    u32 port = virqs->port[v->id][virq];

    if (port) {
        set_pending(port % XENPV_NR_PORTS);
    }
}

/* For SCHEDOP_poll. Returns -EINVAL, or whether the port is pending */
long poll_port(u32 port)
{
    if (port >= XENPV_NR_PORTS || !XENPV_EVTCHN_USABLE(evtchns[port].state)) {
        return -EINVAL;
    }
    if (fifo->active) {
        return port < fifo->nr_ports &&
               (atomic_load(event_word(port)) & EVENT_PENDING);
    }
    return port < NR_2L_PORTS && test_bit(port, shared->evtchn_pending);
}

static noinline void take_port(u32 port)
{
    if (XENPV_EVTCHN_USABLE(evtchns[port].state)) {
        set_pending(port);
    }
}

/*
 * Taking the machine's events: see struct xenpv_incoming. The machine sends no
 * vector while a bit of .summary is set, so take_incoming() goes on until it
 * has seen all of them clear. It takes 64-bit words by halves, which 32-bit
 * code can exchange, too.
 */
static inline u32 take_half(uint64_t *word, unsigned half)
{
    return atomic_exchange((u32 *)word + half, 0);
}

static void take_word(u32 word)
{
    for (unsigned half = 0; half < 2; half++) {
        u32 bits = take_half(&incoming->ports[word], half);

        for (; bits; bits &= bits - 1) {
            take_port(word * 64 + half * 32 + __builtin_ctz(bits));
        }
    }
}

void take_incoming(struct vcpu *v)
{
    u32 *summary = &incoming->vcpu[v->id].summary;
    u32 some;

    while ((some = atomic_exchange(summary, 0))) {
        for (; some; some &= some - 1) {
            unsigned s = __builtin_ctz(some);

            for (unsigned half = 0; half < 2; half++) {
                u32 words = take_half(&incoming->vcpu[v->id].words[s], half);

                if (words) {
                    v->told_backend = false;
                }
                for (; words; words &= words - 1) {
                    take_word(s * 64 + half * 32 + __builtin_ctz(words));
                }
            }
        }
    }
}

/*
 * Send to a back end. With a bit of .summary set, an answer that comes before
 * this vCPU goes on takes no vector, which would be three VM exits more.
 */
static void send_to_backend(u32 port)
{
    struct vcpu *v = current_vcpu();

    if (counting()) {
        my_counters()->doorbells++;
    }
    v->told_backend = true;
    atomic_fetch_or(&incoming->vcpu[v->id].summary, 1);
    outl(XENPV_IO_BASE + XENPV_IO_SEND, port);
    take_incoming(v);
}

/*
 * Poll for events, with interrupts on, and take them; meanwhile the machine
 * sends no vector. Returns false if "until", a system time in ns, came first.
 */
bool poll_incoming(struct vcpu *v, u64 until)
{
    volatile u32 *summary = &incoming->vcpu[v->id].summary;
    volatile u32 *words = (volatile u32 *)&incoming->vcpu[v->id].words[0];
    bool some;

    atomic_fetch_or(summary, 1);
    for (;;) {
        /* Bit 0 of .summary is our own: look at the words that it stands for */
        some = *summary != 1 || words[0] || words[1] || v->requests ||
               *(volatile u8 *)&v->vcpu_info->evtchn_upcall_pending;
        if (some || system_time() >= until) {
            break;
        }
        asm volatile("sti; pause; cli" : : : "memory");
    }
    take_incoming(v);
    return some;
}

static noinline long send(u32 port)
{
    u32 state;

    if (unlikely(port >= XENPV_NR_PORTS)) {
        return -EINVAL;
    }
    state = evtchns[port].state;
    if (likely(state == XENPV_EVTCHN_IPI)) {
        set_pending(port);
        return 0;
    }
    if (likely(state == XENPV_EVTCHN_INTERDOMAIN)) {
        send_to_backend(port);
        return 0;
    }
    if (state == XENPV_EVTCHN_LOOPBACK) {
        set_pending(evtchns[port].arg % XENPV_NR_PORTS);
        return 0;
    }
    /* Unbound: there is nobody to notify */
    return state == XENPV_EVTCHN_UNBOUND ? 0 : -EINVAL;
}

/* The usual case of send(), an IPI */
static noinline long send_fifo(u32 port)
{
    if (likely(port < fifo->nr_ports &&
               evtchns[port].state == XENPV_EVTCHN_IPI)) {
        set_pending_in_word(port);
        return 0;
    }
    return send(port);
}

static noinline long unmask(u32 port)
{
    u32 state;

    if (unlikely(port >= XENPV_NR_PORTS)) {
        return -EINVAL;
    }
    state = evtchns[port].state;
    if (unlikely(!XENPV_EVTCHN_USABLE(state))) {
        return state == XENPV_EVTCHN_INVALID ? -EINVAL : 0;
    }
    if (fifo->active) {
        unmask_fifo(port);
    } else if (likely(port < NR_2L_PORTS)) {
        unmask_2l(port);
    }
    return 0;
}

/* May the monitor write events to this frame? The machine checks the rest */
static bool frame_is_writable(u64 mfn)
{
    return mfn == (ulong)mfn && guest_mfn_valid(mfn) && !mfn_level(mfn);
}

static long init_control(struct evtchn_init_control *op)
{
    bool was_active = fifo->active;
    long ret;

    if (op->vcpu < boot_info->nr_vcpus && !frame_is_writable(op->control_gfn)) {
        return -EINVAL;
    }
    ret = machine_call(XENPV_CALL_EVTCHN, EVTCHNOP_init_control, op,
                       sizeof(*op));
    if (!ret && !was_active) {
        /* Pending ports become pending again when they get a word */
        for (u32 port = 1; port < NR_2L_PORTS; port++) {
            if (test_bit(port, shared->evtchn_pending) &&
                XENPV_EVTCHN_USABLE(evtchns[port].state)) {
                save_pending(port);
            }
        }
    }
    return ret;
}

static struct spinlock expand_lock;
static u32 expanded;            /* ports that expand_array() has looked at */

static long expand_array(struct evtchn_expand_array *op)
{
    long ret = fifo->active ? -EINVAL : -EOPNOTSUPP;
    u32 port, end;

    if (fifo->nr_ports == XENPV_NR_PORTS) {
        return -ENOSPC;
    }
    if (!frame_is_writable(op->array_gfn)) {
        return ret;
    }
    ret = machine_call(XENPV_CALL_EVTCHN, EVTCHNOP_expand_array, op,
                       sizeof(*op));
    if (ret) {
        return ret;
    }
    spin_lock(&expand_lock);
    port = expanded;
    end = expanded = fifo->nr_ports;
    spin_unlock(&expand_lock);
    for (; port < end; port++) {
        if (fifo_queued[port] & QUEUED_PENDING && take_saved_pending(port)) {
            take_port(port);
        }
    }
    return 0;
}

static long set_priority(const struct evtchn_set_priority *op)
{
    u32 state;

    if (op->port >= XENPV_NR_PORTS) {
        return -EINVAL;
    }
    state = evtchns[op->port].state;
    if (state == XENPV_EVTCHN_INVALID) {
        return -EINVAL;
    }
    if (!fifo->active) {
        return -ENOSYS;
    }
    if (!XENPV_EVTCHN_USABLE(state)) {
        return -EACCES;
    }
    if (op->priority > EVTCHN_FIFO_PRIORITY_MIN) {
        return -EINVAL;
    }
    /* It counts from the next event on: a port on a list stays there */
    evtchns[op->port].priority = op->priority;
    return 0;
}

/* Called when all ports are closed, and the ABI is the 2-level one again */
static void forget_lists(void)
{
    for (u32 list = 0; list < ARRAY_SIZE(fifo_tail); list++) {
        spin_lock(&fifo_lock[list >> 4]);
        fifo_tail[list] = 0;
        spin_unlock(&fifo_lock[list >> 4]);
    }
    spin_lock(&expand_lock);
    expanded = 0;
    spin_unlock(&expand_lock);
}

/* After EVTCHNOP_reset. Another vCPU may have allocated a port since */
static void after_reset(void)
{
    for (u32 port = 1; port < XENPV_NR_PORTS &&
                       evtchns[port].state != XENPV_EVTCHN_INVALID; port++) {
        if (evtchns[port].state == XENPV_EVTCHN_FREE) {
            fifo_queued[port] = 0;
        }
    }
    forget_lists();
}

/* After a suspend: the machine has started a new table of ports */
void forget_events(void)
{
    memset(fifo_queued, 0, XENPV_NR_PORTS * sizeof(*fifo_queued));
    forget_lists();
}

static noinline long event_channel_op(u32 cmd, ulong arg)
{
    static const u8 size[] = {
        [EVTCHNOP_bind_interdomain] = sizeof(struct evtchn_bind_interdomain),
        [EVTCHNOP_bind_virq] = sizeof(struct evtchn_bind_virq),
        [EVTCHNOP_bind_pirq] = sizeof(struct evtchn_bind_pirq),
        [EVTCHNOP_close] = sizeof(struct evtchn_close),
        [EVTCHNOP_status] = sizeof(struct evtchn_status),
        [EVTCHNOP_alloc_unbound] = sizeof(struct evtchn_alloc_unbound),
        [EVTCHNOP_bind_ipi] = sizeof(struct evtchn_bind_ipi),
        [EVTCHNOP_bind_vcpu] = sizeof(struct evtchn_bind_vcpu),
        [EVTCHNOP_reset] = sizeof(struct evtchn_reset),
        [EVTCHNOP_init_control] = sizeof(struct evtchn_init_control),
        [EVTCHNOP_expand_array] = sizeof(struct evtchn_expand_array),
        [EVTCHNOP_set_priority] = sizeof(struct evtchn_set_priority),
    };
    union {
        struct evtchn_bind_virq bind_virq;
        struct evtchn_init_control init_control;
        struct evtchn_expand_array expand_array;
        struct evtchn_set_priority set_priority;
        u8 bytes[64];
    } u;
    long ret;

    if (cmd >= ARRAY_SIZE(size) || !size[cmd]) {
        return refuse(__HYPERVISOR_event_channel_op, cmd);
    }
    if (copy_from_guest(&u, arg, size[cmd])) {
        return -EFAULT;
    }
    switch (cmd) {
    case EVTCHNOP_init_control:
        ret = init_control(&u.init_control);
        break;
    case EVTCHNOP_expand_array:
        return expand_array(&u.expand_array);
    case EVTCHNOP_set_priority:
        return set_priority(&u.set_priority);
    default:
        ret = machine_call(XENPV_CALL_EVTCHN, cmd, &u, size[cmd]);
    }
    if (ret) {
        return ret;
    }
    /* The other operations return their results in the guest's structure */
    switch (cmd) {
    case EVTCHNOP_bind_vcpu:
    case EVTCHNOP_close:
        return 0;
    case EVTCHNOP_reset:
        after_reset();
        return 0;
    case EVTCHNOP_bind_virq:
        if (u.bind_virq.virq == VIRQ_TIMER) {
            request(vcpus[u.bind_virq.vcpu], REQUEST_TICKS);
        }
        break;
    }
    return copy_to_guest(arg, &u, size[cmd]);
}

HYPERCALL(do_event_channel_op)
{
    u32 port;

    if (likely((u32)a1 == EVTCHNOP_send)) {
        if (unlikely(!access_ok_long(a2))) {
            return -EFAULT;
        }
        GET_GUEST32(port, a2, fault);
        if (fifo->active) {
            return send_fifo(port);
        }
        if (likely(port < NR_2L_PORTS &&
                   evtchns[port].state == XENPV_EVTCHN_IPI)) {
            set_pending_2l(port);
            return 0;
        }
        return send(port);
    }
    if (likely((u32)a1 == EVTCHNOP_unmask)) {
        if (unlikely(!access_ok_long(a2))) {
            return -EFAULT;
        }
        GET_GUEST32(port, a2, fault);
        return unmask(port);
    }
    return event_channel_op(a1, a2);
fault:
    return -EFAULT;
}

/* The form before Xen 3.2.2: one structure with the command in it */
HYPERCALL(do_event_channel_op_compat)
{
    struct evtchn_op op;

    if (copy_from_guest(&op, a1, sizeof(op))) {
        return -EFAULT;
    }
    return op.cmd > EVTCHNOP_unmask ? -ENOSYS :
           do_event_channel_op(op.cmd, a1 + offsetof(struct evtchn_op, u),
                               0, 0, 0);
}
