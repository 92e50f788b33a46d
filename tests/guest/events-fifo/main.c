/*
 * The FIFO event-channel ABI: events are on the list of their vCPU and
 * priority, in the order in which they came, exactly once.
 *
 * The hypervisor appends to lists from which the guest takes at the same time,
 * so each of the few rules counts: an event that is linked twice makes a list
 * a loop, one that is linked behind a tail which the guest has taken, or which
 * has gone to another list, is never seen. What was pending before the guest
 * changed to this ABI, or before the port had an event word, must not be lost
 * either. The errors are those by which a kernel decides to use the 2-level
 * ABI, to which EVTCHNOP_reset goes back.
 *
 * An event whose port goes to a vCPU without lists, while it is sent, is lost, but
 * must not be written to some other frame of the guest's.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define DEFAULT     EVTCHN_FIFO_PRIORITY_DEFAULT
#define NR_WORDS    1024
#define NR_FRAMES   128

static struct evtchn_fifo_control_block *control;
static volatile uint32_t *words;

static long evtchn_op(unsigned cmd, void *arg)
{
    return HYPERCALL(event_channel_op, cmd, arg);
}

static long init_control(uint64_t gfn, uint32_t offset, uint32_t vcpu)
{
    struct evtchn_init_control op = {
        .control_gfn = gfn, .offset = offset, .vcpu = vcpu
    };
    long ret = evtchn_op(EVTCHNOP_init_control, &op);

    if (!ret) {
        check_eq(op.link_bits, 17, "link_bits");
    }
    return ret;
}

static long expand_array(uint64_t gfn)
{
    struct evtchn_expand_array op = { gfn };

    return evtchn_op(EVTCHNOP_expand_array, &op);
}

static long set_priority(evtchn_port_t port, uint32_t priority)
{
    struct evtchn_set_priority op = { port, priority };

    return evtchn_op(EVTCHNOP_set_priority, &op);
}

static long bind_vcpu(evtchn_port_t port, uint32_t vcpu)
{
    struct evtchn_bind_vcpu op = { port, vcpu };

    return evtchn_op(EVTCHNOP_bind_vcpu, &op);
}

static long close(evtchn_port_t port)
{
    struct evtchn_port op = { port };

    return evtchn_op(EVTCHNOP_close, &op);
}

static evtchn_port_t new_ipi(void)
{
    struct evtchn_bind_ipi op = { .vcpu = 0 };
    long ret = evtchn_op(EVTCHNOP_bind_ipi, &op);

    if (ret) {
        error("EVTCHNOP_bind_ipi returned %ld", ret);
    }
    return op.port;
}

/* --- The guest's side --- */

static void set_bits(evtchn_port_t port, uint32_t bits)
{
    __atomic_fetch_or(&words[port], bits, __ATOMIC_SEQ_CST);
}

static void clear_bits(evtchn_port_t port, uint32_t bits)
{
    __atomic_fetch_and(&words[port], ~bits, __ATOMIC_SEQ_CST);
}

static volatile uint32_t *head(unsigned priority)
{
    return &control->head[priority];
}

static uint32_t ready(void)
{
    return *(volatile uint32_t *)&control->ready;
}

static uint32_t take_ready(void)
{
    return __atomic_exchange_n(&control->ready, 0, __ATOMIC_SEQ_CST);
}

/* Take the first port off a list, as a kernel does; 0: there is none */
static evtchn_port_t take(unsigned priority)
{
    evtchn_port_t port = *head(priority);
    uint32_t word;

    if (!port) {
        return 0;
    }
    word = __atomic_fetch_and(&words[port],
                              ~(EVTCHN_FIFO_LINKED | EVTCHN_FIFO_LINK_MASK),
                              __ATOMIC_SEQ_CST);
    *head(priority) = word & EVTCHN_FIFO_LINK_MASK;
    clear_bits(port, EVTCHN_FIFO_PENDING);
    return port;
}

/* The whole list is these ports; it is then empty */
static void check_list(unsigned priority, const char *what, evtchn_port_t a,
                       evtchn_port_t b, evtchn_port_t c)
{
    const evtchn_port_t expected[] = { a, b, c, 0 };

    check_eq(ready() >> priority & 1, a != 0, "ready bit %u, %s", priority,
             what);
    __atomic_fetch_and(&control->ready, ~(1U << priority), __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
        evtchn_port_t port = take(priority);

        check_eq(port, expected[i], "list %u, %s: port number %u", priority,
                 what, i);
        if (!port) {
            break;
        }
    }
    vcpu_info()->evtchn_upcall_pending = 0;
}

static bool upcall_pending(void)
{
    return *(volatile uint8_t *)&vcpu_info()->evtchn_upcall_pending;
}

static volatile unsigned nr_events;
static volatile evtchn_port_t last_event;

static bool fifo_callback(struct trap *trap)
{
    uint32_t lists;

    nr_upcalls++;
    *(volatile uint8_t *)&vcpu_info()->evtchn_upcall_pending = 0;
    while ((lists = take_ready())) {
        for (unsigned p = 0; p < 16; p++) {
            evtchn_port_t port;

            while (lists >> p & 1 && (port = take(p))) {
                last_event = port;
                nr_events++;
            }
        }
    }
    return true;
}

/* --- Tests --- */

static evtchn_port_t a, b, c;

static void before(void)
{
    check_ret(expand_array(virt_to_mfn((void *)words)), -EOPNOTSUPP,
              "expand_array with the 2-level ABI");
    check_ret(set_priority(a, 3), -ENOSYS, "set_priority, 2-level ABI");
    check_ret(set_priority(0x7fffffff, 3), -EINVAL,
              "set_priority of an invalid port, 2-level ABI");

    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_init_control, 0x10), -EFAULT,
              "init_control of a bad pointer");
    check_ret(init_control(virt_to_mfn(control), 0, 4096), -ENOENT,
              "init_control of no vCPU");
    check_ret(init_control(virt_to_mfn(control), 4096 - 72 + 8, 0), -EINVAL,
              "init_control across the page's end");
    check_ret(init_control(virt_to_mfn(control), 0xfffffff8, 0), -EINVAL,
              "init_control beyond the page's end");
    check_ret(init_control(virt_to_mfn(control), 4, 0), -EINVAL,
              "init_control, not aligned");
    check_ret(init_control(~0ULL, 0, 0), -EINVAL, "init_control of no frame");
    check_ret(init_control(virt_to_mfn((void *)start_info->pt_base), 0, 0),
              -EINVAL, "init_control of a page table");
    check_ret(set_priority(a, 3), -ENOSYS, "set_priority after such errors");
}

/* What is pending before is not lost, with or without a word for it */
static void change(void)
{
    mask_port(a);
    send_event(a);
    check(port_pending(a), "the port is not pending in the 2-level ABI");
    check_ret(init_control(virt_to_mfn(control), 64, 0), 0, "init_control");
    control = (void *)((char *)control + 64);
    check_ret(init_control(virt_to_mfn(control), 64, 0), -EINVAL,
              "a second control block");
    check_ret(send_event(b), 0, "send before there is a word");
    check_eq(ready(), 0, "ready before there is a word");
    check_ret(expand_array(~0ULL), -EINVAL, "expand_array of no frame");
    check_ret(expand_array(virt_to_mfn((void *)start_info->pt_base)), -EINVAL,
              "expand_array of a page table");
    vcpu_info()->evtchn_upcall_pending = 0;
    check_ret(expand_array(virt_to_mfn((void *)words)), 0, "expand_array");
    check(upcall_pending(), "no upcall for what was pending");
    check_eq(words[a], EVTCHN_FIFO_PENDING | EVTCHN_FIFO_LINKED | b,
             "a's word, then pending");
    check_eq(words[b], EVTCHN_FIFO_PENDING | EVTCHN_FIFO_LINKED,
             "b's word, then pending");
    check_list(DEFAULT, "what was pending before", a, b, 0);
}

static void lists(void)
{
    check_ret(send_event(a), 0, "send");
    check_eq(words[a], EVTCHN_FIFO_PENDING | EVTCHN_FIFO_LINKED, "a's word");
    check(upcall_pending(), "no upcall is pending");
    vcpu_info()->evtchn_upcall_pending = 0;
    send_event(a);
    send_event(b);
    check(!upcall_pending(), "an upcall, though the list was not empty");
    send_event(a);
    send_event(c);
    check_list(DEFAULT, "a b c", a, b, c);

    /* The tail is one that was taken */
    send_event(c);
    check_list(DEFAULT, "c after c", c, 0, 0);
    send_event(a);
    check_list(DEFAULT, "a after c", a, 0, 0);

    /* Taken in part */
    send_event(a);
    send_event(b);
    check_eq(take(DEFAULT), a, "the first of two");
    send_event(a);
    check_eq(*head(DEFAULT), b, "the head");
    check_list(DEFAULT, "b a", b, a, 0);

    /* Linked, and not pending any more: it stays where it is */
    send_event(a);
    send_event(b);
    clear_bits(a, EVTCHN_FIFO_PENDING);
    send_event(a);
    check(words[a] & EVTCHN_FIFO_PENDING, "a is not pending again");
    check_list(DEFAULT, "a b", a, b, 0);
}

static void masks(void)
{
    struct evtchn_port op = { a };

    set_bits(a, EVTCHN_FIFO_MASKED);
    send_event(a);
    check_eq(words[a], EVTCHN_FIFO_PENDING | EVTCHN_FIFO_MASKED,
             "the word of a masked port");
    check_eq(ready(), 0, "ready for a masked port");
    check(!upcall_pending(), "an upcall for a masked port");
    check_ret(evtchn_op(EVTCHNOP_unmask, &op), 0, "unmask");
    check_eq(words[a], EVTCHN_FIFO_PENDING | EVTCHN_FIFO_LINKED,
             "the word after unmask");
    check(upcall_pending(), "no upcall by unmask");
    check_list(DEFAULT, "unmasked", a, 0, 0);

    set_bits(a, EVTCHN_FIFO_MASKED);
    check_ret(evtchn_op(EVTCHNOP_unmask, &op), 0, "unmask");
    check_eq(words[a], 0, "the word after unmask, not pending");

    /* Masked while on a list: it stays there */
    send_event(a);
    set_bits(a, EVTCHN_FIFO_MASKED);
    send_event(b);
    check_ret(evtchn_op(EVTCHNOP_unmask, &op), 0, "unmask of a linked port");
    check_list(DEFAULT, "masked in between", a, b, 0);

    op.port = 0x7fffffff;
    check_ret(evtchn_op(EVTCHNOP_unmask, &op), -EINVAL, "unmask, invalid");
}

static void priorities(void)
{
    evtchn_port_t closed = new_ipi();

    check_ret(set_priority(a, 16), -EINVAL, "priority 16");
    check_ret(set_priority(0x7fffffff, 3), -EINVAL, "priority, invalid port");
    check_ret(close(closed), 0, "close");
    check_ret(set_priority(closed, 3), -EACCES, "priority of a closed port");

    check_ret(set_priority(a, 0), 0, "priority 0");
    check_ret(set_priority(c, 15), 0, "priority 15");
    send_event(c);
    send_event(b);
    send_event(a);
    check_eq(ready(), 1 << 0 | 1 << DEFAULT | 1 << 15, "ready");
    check_list(0, "by priority", a, 0, 0);
    check_list(DEFAULT, "by priority", b, 0, 0);
    check_list(15, "by priority", c, 0, 0);

    /* On a list already, it stays there until it is taken */
    send_event(a);
    check_ret(set_priority(a, 3), 0, "priority of a linked port");
    send_event(a);
    check_list(0, "priority changed", a, 0, 0);
    check_list(3, "priority changed", 0, 0, 0);

    /* It was the tail of list 0 and goes to 3: list 0 begins anew */
    check_ret(set_priority(b, 0), 0, "priority 0");
    send_event(a);
    send_event(b);
    check_eq(words[a], EVTCHN_FIFO_PENDING | EVTCHN_FIFO_LINKED, "a's word");
    check_eq(*head(0), b, "the head of list 0");
    check_list(3, "moved", a, 0, 0);
    check_list(0, "after the move", b, 0, 0);

    /* A new port has the default again */
    set_priority(closed = new_ipi(), 2);
    close(closed);
    check_eq(new_ipi(), closed, "the port");
    send_event(closed);
    check_list(DEFAULT, "a new port", closed, 0, 0);
    close(closed);
    check_ret(set_priority(a, DEFAULT), 0, "priority");
    check_ret(set_priority(b, DEFAULT), 0, "priority");
    check_ret(set_priority(c, DEFAULT), 0, "priority");
}

static void closing(void)
{
    evtchn_port_t port = new_ipi(), other;

    send_event(port);
    check_ret(close(port), 0, "close");
    check_eq(words[port], EVTCHN_FIFO_LINKED, "the word of a closed port");
    check_ret(send_event(port), -EINVAL, "send to a closed port");
    /* It must not be used while a list still has it */
    other = new_ipi();
    check(other != port, "a port that is on a list is used again");
    check_list(DEFAULT, "closed", port, 0, 0);
    check_eq(new_ipi(), port, "the port when no list has it");
    close(port);
    close(other);
}

static void upcalls(void)
{
    nr_upcalls = nr_events = 0;
    unmask_upcalls();
    send_event(b);
    check_eq(nr_upcalls, 1, "upcalls when send returns");
    check_eq(nr_events, 1, "events when send returns");
    check_eq(last_event, b, "the event");
    for (unsigned i = 0; i < 1000; i++) {
        send_event(i & 1 ? a : c);
    }
    check_eq(nr_events, 1001, "events");
    mask_upcalls();
    check_eq(ready(), 0, "ready, when all are taken");
}

static void poll(void)
{
    evtchn_port_t port = new_ipi();
    struct sched_poll p = { &port, 1, system_time() + 1000000 };

    set_bits(port, EVTCHN_FIFO_MASKED);
    vcpu_info()->evtchn_upcall_pending = 0;
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), 0, "poll in vain");
    check(system_time() >= p.timeout, "poll returned too early");
    send_event(port);
    p.timeout = 0;
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), 0, "poll when pending");
    close(port);
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), -EINVAL,
              "poll of a closed port");
    words[port] = 0;
}

static void bind_to_self(evtchn_port_t *from, evtchn_port_t *to)
{
    struct evtchn_alloc_unbound u = { DOMID_SELF, DOMID_SELF };
    struct evtchn_bind_interdomain i = { .remote_dom = DOMID_SELF };

    check_ret(evtchn_op(EVTCHNOP_alloc_unbound, &u), 0, "alloc_unbound");
    i.remote_port = *to = u.port;
    check_ret(evtchn_op(EVTCHNOP_bind_interdomain, &i), 0, "bind_interdomain");
    *from = i.local_port;
}

/* --- A port that is bound to a vCPU without control block while it is sent --- */

#define ROUNDS      20000
#define LIMIT_NS    300000000ULL

static evtchn_port_t sender, moving;

static void send_and_take(void)
{
    for (unsigned i = 0; i < 100; i++) {
        send_event(sender);
        while (take(DEFAULT)) {
        }
    }
}

static void bind_elsewhere_and_back(void)
{
    while (racing) {
        bind_vcpu(moving, 1);
        bind_vcpu(moving, 0);
    }
}

static void nothing(void)
{
}

static void rebound(void)
{
    static uint8_t old[PAGE_SIZE];

    if (bind_vcpu(0, 1) == -ENOENT) {
        return;
    }
    /* An address of 0, which is none, leads there */
    map_page(TEST_VA, make_pte(pfn_to_mfn(0), PAGE_KERNEL));
    memcpy(old, (void *)TEST_VA, PAGE_SIZE);
    bind_to_self(&sender, &moving);
    start_races();
    race(ROUNDS, LIMIT_NS, nothing, send_and_take, bind_elsewhere_and_back,
         nothing);
    check(!memcmp(old, (void *)TEST_VA, PAGE_SIZE), "frame 0 has changed");
    close(sender);
    close(moving);
    while (take(DEFAULT)) {
    }
    take_ready();
    vcpu_info()->evtchn_upcall_pending = 0;
}

/* To the lists of another vCPU, which need not run for that */
static void other_vcpu(void)
{
    struct evtchn_fifo_control_block *own = control, *other = alloc_page();
    uint8_t *pending = &shared_info->vcpu_info[1].evtchn_upcall_pending;
    evtchn_port_t from, to;

    if (bind_vcpu(0, 1) == -ENOENT) {
        printk("one vCPU: nothing about others\n");
        return;
    }
    bind_to_self(&from, &to);
    check_list(DEFAULT, "bound", from, 0, 0);

    send_event(from);
    check_list(DEFAULT, "on vCPU 0", to, 0, 0);
    check_ret(bind_vcpu(to, 1), 0, "bind_vcpu");
    send_event(from);
    check_eq(words[to], 0, "the word, for a vCPU without control block");
    check_eq(ready(), 0, "ready of vCPU 0");

    check_ret(init_control(virt_to_mfn(other), 4096 - 72, 1), 0,
              "init_control of vCPU 1");
    send_event(from);
    check_eq(ready(), 0, "ready of vCPU 0");
    check_eq(*(volatile uint8_t *)pending, 1, "upcall pending on vCPU 1");
    control = (void *)((char *)other + 4096 - 72);
    check_list(DEFAULT, "of vCPU 1", to, 0, 0);

    /* It was the tail there, and comes back */
    control = own;
    check_ret(bind_vcpu(to, 0), 0, "bind_vcpu");
    send_event(from);
    check_list(DEFAULT, "back on vCPU 0", to, 0, 0);
    close(from);
    close(to);
}

/* More than the 2-level ABI has, and all that there can be */
static void many(void)
{
    evtchn_port_t port = 0, first = 0;
    volatile uint32_t *more = alloc_page();

    while (port < NR_WORDS + 2) {
        port = new_ipi();
        first = first ?: port;
    }
    check_ret(send_event(port), 0, "send beyond the array");
    check_eq(ready(), 0, "ready for an event beyond the array");
    check_ret(expand_array(virt_to_mfn((void *)more)), 0, "expand_array");
    check_eq(more[port - NR_WORDS], EVTCHN_FIFO_PENDING | EVTCHN_FIFO_LINKED,
             "the word of a port of the second frame");
    check_eq(*head(DEFAULT), port, "head");
    more[port - NR_WORDS] = *head(DEFAULT) = 0;
    take_ready();
    while (port < 4200) {
        port = new_ipi();
    }
    for (unsigned i = 2; i < NR_FRAMES; i++) {
        check_ret(expand_array(pfn_to_mfn(alloc_pfn())), 0, "frame %u", i);
    }
    check_ret(expand_array(virt_to_mfn((void *)more)), -ENOSPC,
              "more frames than there can be");
    for (; port >= first; port--) {
        if (close(port)) {
            failure("close of %u fails", port);
            break;
        }
    }
}

/* How the guest's end of its console or xenstore is bound, to do it again */
static uint32_t remote_port(evtchn_port_t port)
{
    struct evtchn_status s = { .dom = DOMID_SELF, .port = port };

    check_ret(evtchn_op(EVTCHNOP_status, &s), 0, "status of %u", port);
    check_eq(s.status, EVTCHNSTAT_interdomain, "status of %u", port);
    return s.u.interdomain.port;
}

static void back_to_2l(void)
{
    struct evtchn_reset r = { DOMID_SELF };
    struct evtchn_bind_interdomain old[2] = { { 0 } };
    evtchn_port_t port;

    if (!is_initdomain()) {
        old[0].remote_port = remote_port(start_info->store_evtchn);
        old[1].remote_port = remote_port(start_info->console.domU.evtchn);
    }
    set_bits(a, EVTCHN_FIFO_MASKED);
    send_event(a);
    check(words[a] & EVTCHN_FIFO_PENDING, "a is not pending");
    check_ret(evtchn_op(EVTCHNOP_reset, &r), 0, "reset");
    check(!(words[a] & EVTCHN_FIFO_PENDING), "reset leaves a pending");
    if (!is_initdomain()) {
        for (unsigned i = 0; i < 2; i++) {
            check_ret(evtchn_op(EVTCHNOP_bind_interdomain, &old[i]), 0,
                      "bind_interdomain after reset");
        }
        check_eq(old[0].local_port, start_info->store_evtchn, "xenstore");
        check_eq(old[1].local_port, start_info->console.domU.evtchn, "console");
    }
    check_ret(expand_array(virt_to_mfn((void *)words)), -EOPNOTSUPP,
              "expand_array after reset");
    port = new_ipi();
    clear_port(port);
    mask_port(port);
    check_ret(send_event(port), 0, "send after reset");
    check(port_pending(port), "the 2-level ABI does not work after reset");
    clear_port(port);

    /* And once more */
    memset((void *)words, 0, PAGE_SIZE);
    memset(control, 0, sizeof(*control));
    check_ret(init_control(virt_to_mfn(control), 64, 0), 0,
              "init_control after reset");
    check_ret(expand_array(virt_to_mfn((void *)words)), 0,
              "expand_array after reset");
    /* For us: a domU's console is bound, and had an event for that */
    take_ready();
    while (take(DEFAULT)) {
    }
    send_event(port);
    check_list(DEFAULT, "after reset", port, 0, 0);
}

void test_main(void)
{
    control = alloc_page();
    words = alloc_page();
    mask_upcalls();
    a = new_ipi();
    b = new_ipi();
    c = new_ipi();
    before();
    set_handler(VECTOR_EVENT, fifo_callback);
    change();
    lists();
    masks();
    priorities();
    closing();
    upcalls();
    poll();
    rebound();
    other_vcpu();
    many();
    back_to_2l();
}
