/*
 * SHUTDOWN_suspend returns 0 when the domain is woken up, and the kernel finds
 * what it would find in the new domain that Xen's tools restore a saved one into:
 * start_info with the two rings' frames and ports, where it had left pfns; no other
 * event channel, the 2-level ABI and none of its masks open; a grant table of one
 * frame; and nothing registered of vcpu_info and of the area for runstates. Its
 * vCPUs are as they were: another one, which ran all the time, can be put down and
 * up around the hypercalls that are for a vCPU that is down, as Linux does it. One
 * that is down is as new, since Xen's tools save none: it takes a new context and
 * starts with that, on other tables than those that it had, which are then free; and
 * so are those, and the GDT, of a context with which it has never been up.
 *
 * If the monitor kept a vcpu_info, it could not be registered anew, and the kernel
 * would have no events; if it kept a list of the FIFO ABI, an event would be linked
 * to a port that is none; if it wrote runstates where they were, to memory that is
 * something else by now. If it kept the vCPU that was down, Linux would stop with a
 * BUG where it brings that up (RHEL 5's, which puts all down to suspend; later ones,
 * where an administrator had). If it took it for one that still polls, each event of
 * any vCPU would interrupt it, for good.
 *
 * monitor: system_wakeup
 * machine: counters=on
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define SHUTDOWN_suspend    2
#define ROUNDS              4       /* every other one by the FIFO ABI */
#define WAIT_NS             5000000000ULL
#define NR_TIMES            30

/* The hypervisor's: struct xenpv_counters of vCPU 1, .interrupts */
#define INTERRUPTS_OF_1     (*(volatile uint64_t *)((IS_64BIT ? \
                             (ulong)0xffff808000000000ULL : 0xf7800000UL) + \
                             0x70000 + 1024 + 96 * 8))

static struct vcpu_guest_context context;
static uint8_t stack[4 * PAGE_SIZE] __attribute__((aligned(4096)));
static volatile ulong count, renewed_count, poll_count;
static evtchn_port_t polled_port;

static struct vcpu_runstate_info area;
static unsigned nr_events;

static long vcpu_op(unsigned cmd, unsigned cpu, void *arg)
{
    return HYPERCALL(vcpu_op, cmd, cpu, arg);
}

static void __attribute__((noreturn, used)) other_vcpu(void)
{
    for (;;) {
        count++;
        vcpu_op(VCPUOP_is_up, 0, NULL);
    }
}

static void __attribute__((noreturn, used)) renewed_vcpu(void)
{
    for (;;) {
        renewed_count++;
        vcpu_op(VCPUOP_is_up, 0, NULL);
    }
}

static void __attribute__((noreturn, used)) polling_vcpu(void)
{
    evtchn_port_t port = polled_port;
    struct sched_poll poll = { .ports = &port, .nr_ports = 1 };

    for (;;) {
        check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &poll), 0, "poll");
        clear_port(port);
        poll_count++;
    }
}

extern char other_entry[], renewed_entry[], polling_entry[];
asm(".pushsection .text\n"
    "other_entry:\n"
    "push $0\n"
    "jmp other_vcpu\n"
    "renewed_entry:\n"
    "push $0\n"
    "jmp renewed_vcpu\n"
    "polling_entry:\n"
    "push $0\n"
    "jmp polling_vcpu\n"
    ".popsection\n");

static void check_counts_on(const volatile ulong *n, ulong before, const char *when)
{
    uint64_t end = system_time() + WAIT_NS;

    while (*n == before && system_time() < end) {
        asm volatile("pause");
    }
    check(*n != before, "%s: vCPU 1 does not run", when);
}

static void check_counts(const volatile ulong *n, const char *when)
{
    check_counts_on(n, *n, when);
}

static void event(evtchn_port_t port)
{
    nr_events++;
}

static unsigned status_of(evtchn_port_t port)
{
    struct evtchn_status op = { .dom = DOMID_SELF, .port = port };

    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_status, &op), 0,
              "status of port %u", port);
    return op.status;
}

static unsigned grant_frames(void)
{
    struct gnttab_query_size op = { .dom = DOMID_SELF };

    check_ret(HYPERCALL(grant_table_op, GNTTABOP_query_size, &op, 1), 0,
              "query_size");
    return op.nr_frames;
}

static void place_vcpu_info(unsigned cpu, void *page)
{
    /* struct vcpu_register_vcpu_info */
    struct {
        uint64_t mfn;
        uint32_t offset, rsvd;
    } op = { virt_to_mfn(page) };

    check_ret(vcpu_op(VCPUOP_register_vcpu_info, cpu, &op), 0,
              "register_vcpu_info of vCPU %u", cpu);
    if (!cpu) {
        the_vcpu_info = page;
    }
}

/* What was sent before there are event words is there when there are */
static void start_fifo(void)
{
    volatile uint32_t *words = alloc_page();
    struct evtchn_expand_array expand = { virt_to_mfn((void *)words) };
    struct evtchn_bind_ipi ipi = { .vcpu = 0 };

    for (unsigned i = 0; i < 2; i++) {
        struct evtchn_init_control op = {
            .control_gfn = virt_to_mfn(alloc_page()), .vcpu = i
        };

        check_ret(HYPERCALL(event_channel_op, EVTCHNOP_init_control, &op), 0,
                  "init_control");
    }
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &ipi), 0, "bind");
    check_eq(ipi.port, 3, "the port");
    check_ret(send_event(ipi.port), 0, "send");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_expand_array, &expand), 0,
              "expand_array");
    check(words[ipi.port] & EVTCHN_FIFO_PENDING, "the event is lost");
}

/* As a kernel that has just started, or has been restored */
static void set_up(void *const pages[2], bool fifo)
{
    static xen_pfn_t frames[4];
    struct gnttab_setup_table setup = {
        .dom = DOMID_SELF, .nr_frames = 4, .frame_list = frames,
    };
    ulong at = (ulong)&area;

    /* Else the first event, at once, is looked for where it was */
    mask_upcalls();
    place_vcpu_info(0, pages[0]);
    if (vcpu_op(VCPUOP_is_up, 1, NULL)) {
        check_ret(vcpu_op(VCPUOP_down, 1, NULL), 0, "down");
    }
    place_vcpu_info(1, pages[1]);
    check_ret(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &at), 0,
              "register_runstate_memory_area");
    check_ret(HYPERCALL(grant_table_op, GNTTABOP_setup_table, &setup, 1), 0,
              "setup_table");
    check_eq(grant_frames(), 4, "grant frames");
    if (fifo) {
        start_fifo();
    }
}

static void check_events(void)
{
    evtchn_port_t port = bind_ipi(event);
    unsigned before = nr_events;

    check(port == 3, "the first port after that is %u", port);
    check_ret(unmask_port(port), 0, "unmask");
    unmask_upcalls();
    check_ret(send_event(port), 0, "send");
    check_eq(nr_events, before + 1, "events");
    close_port(port);
}

static void suspend(bool fifo, bool both_up)
{
    ulong store = start_info->store_mfn, cons = start_info->console.domU.mfn;
    uint32_t reason = SHUTDOWN_suspend;
    struct sched_poll poll = { 0 };
    struct evtchn_set_priority priority = { 3, 0 };

    if (!fifo) {
        struct evtchn_bind_ipi op = { .vcpu = 0 };

        check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &op), 0, "bind");
    }
    start_info->store_mfn = 1;
    start_info->console.domU.mfn = 2;
    start_info->store_evtchn = start_info->console.domU.evtchn = 77;
    start_info->shared_info = 0;
    memset(&area, 0, sizeof(area));
    mask_upcalls();

    check_ret(HYPERCALL(sched_op, SCHEDOP_shutdown, &reason,
                        virt_to_mfn(start_info)), 0, "suspend");

    the_vcpu_info = &shared_info->vcpu_info[0];
    check_eq(the_vcpu_info->evtchn_upcall_mask, 1, "upcall mask");
    check_eq(start_info->store_mfn, store, "store_mfn");
    check_eq(start_info->console.domU.mfn, cons, "console.mfn");
    check_eq(start_info->store_evtchn, 1, "store_evtchn");
    check_eq(start_info->console.domU.evtchn, 2, "console.evtchn");
    check(start_info->shared_info, "no shared_info");
    check_eq(status_of(1), EVTCHNSTAT_interdomain, "xenstore's port");
    check_eq(status_of(2), EVTCHNSTAT_interdomain, "the console's port");
    check_eq(status_of(3), EVTCHNSTAT_closed, "port 3");
    check(port_masked(1) && port_masked(100), "ports are not masked");
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_set_priority, &priority),
              -ENOSYS, "set_priority");
    check_eq(grant_frames(), 1, "grant frames");
    if (both_up) {
        check_counts(&count, "after suspend");
    }
    check_ret(vcpu_op(VCPUOP_is_up, 1, NULL), both_up, "is_up");
    /* Its runstate changes, and is written nowhere */
    poll.timeout = system_time() + 1000000;
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &poll), 0, "poll");
    check_eq(area.state_entry_time, 0, "the area for runstates");
}

static void wait_for_state(int state)
{
    struct vcpu_runstate_info info = { .state = -1 };
    uint64_t end = system_time() + WAIT_NS;

    while (info.state != state && system_time() < end) {
        check_ret(vcpu_op(VCPUOP_get_runstate_info, 1, &info), 0, "runstate");
    }
    check_eq(info.state, state, "the runstate of vCPU 1");
}

/* Not just told to go down, but there */
static void put_down(void)
{
    check_ret(vcpu_op(VCPUOP_down, 1, NULL), 0, "down");
    wait_for_state(RUNSTATE_offline);
}

/* gdt: NULL for none */
static void initialise_anew(const char *entry, ulong top, const void *gdt)
{
    kernel_context(&context, (ulong)entry, (ulong)stack + sizeof(stack));
    if (gdt) {
        context.gdt_frames[0] = virt_to_mfn(gdt);
        context.gdt_ents = 8;
    }
#ifdef __x86_64__
    context.ctrlreg[3] = top << PAGE_SHIFT;
#else
    context.ctrlreg[3] = top << PAGE_SHIFT | top >> (32 - PAGE_SHIFT);
#endif
    check_ret(vcpu_op(VCPUOP_initialise, 1, &context), 0, "initialise it anew");
    check_ret(vcpu_op(VCPUOP_initialise, 1, &context), -EEXIST, "and again");
}

static void start_anew(const char *entry, ulong top)
{
    initialise_anew(entry, top, NULL);
    check_ret(vcpu_op(VCPUOP_up, 1, NULL), 0, "up");
}

static void check_renewed(ulong top)
{
    put_down();
    suspend(false, false);
    check_ret(vcpu_op(VCPUOP_up, 1, NULL), -EINVAL, "up of one that is as new");
    start_anew(renewed_entry, top);
    check_counts(&renewed_count, "initialised anew");
    check_events();
}

/* It is as new again, and what it was to start with is free */
static void check_never_up(void)
{
    uint64_t *own = copy_base_table(), *gdt = alloc_page();

    put_down();
    suspend(false, false);
    make_readonly(gdt);
    initialise_anew(renewed_entry, virt_to_mfn(own), gdt);
    suspend(false, false);
    make_writable(own);
    make_writable(gdt);
    own[0] = gdt[0] = 0;
    start_anew(renewed_entry, virt_to_mfn((void *)start_info->pt_base));
    check_counts(&renewed_count, "initialised and up");
}

static unsigned nr_interrupts(void (*fn)(evtchn_port_t port), evtchn_port_t port)
{
    uint64_t before = INTERRUPTS_OF_1;

    for (unsigned i = 0; i < NR_TIMES; i++) {
        fn(port);
        /* It has taken the interrupt, if there was one */
        check_counts(&renewed_count, "for a moment");
        check_counts(&renewed_count, "for a moment");
    }
    return INTERRUPTS_OF_1 - before;
}

static void flush_all(evtchn_port_t unused)
{
    check_ret(mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0, "TLB_FLUSH_ALL");
}

static void send_masked(evtchn_port_t port)
{
    check_ret(send_event(port), 0, "send");
    clear_port(port);
}

/* vCPU 1 runs: it has to do with the first, and not with the second */
static void check_interrupts(void)
{
    evtchn_port_t port = bind_ipi(event);
    unsigned n = nr_interrupts(flush_all, 0);

    check(n > NR_TIMES / 2, "%u interrupts for %u flushes", n, NR_TIMES);
    mask_port(port);
    n = nr_interrupts(send_masked, port);
    check(n < NR_TIMES / 2, "vCPU 1 does not poll any more, and is interrupted %u "
          "times for %u events of vCPU 0", n, NR_TIMES);
    close_port(port);
}

static void check_poll(void)
{
    ulong top = virt_to_mfn((void *)start_info->pt_base);
    struct evtchn_bind_ipi op = { .vcpu = 1 };

    put_down();
    suspend(false, false);
    check_ret(HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &op), 0, "bind");
    polled_port = op.port;
    mask_port(op.port);
    start_anew(polling_entry, top);
    wait_for_state(RUNSTATE_blocked);
    put_down();
    check_ret(vcpu_op(VCPUOP_up, 1, NULL), 0, "up");
    wait_for_state(RUNSTATE_blocked);
    check_eq(poll_count, 0, "polls that have ended without an event");
    check_ret(send_event(polled_port), 0, "send");
    check_counts_on(&poll_count, 0, "its event has come");
    wait_for_state(RUNSTATE_blocked);
    check_renewed(top);
    check_interrupts();
}

void test_main(void)
{
    void *pages[2] = { alloc_page(), alloc_page() };
    void *others[2] = { alloc_page(), alloc_page() };

    kernel_context(&context, (ulong)other_entry, (ulong)stack + sizeof(stack));
    check_ret(vcpu_op(VCPUOP_initialise, 1, &context), 0, "initialise");
    for (unsigned i = 0; i < ROUNDS && !failed(); i++) {
        bool fifo = i % 2;

        set_up(fifo ? others : pages, fifo);
        check_ret(vcpu_op(VCPUOP_up, 1, NULL), 0, "up");
        check_counts(&count, "before");
        if (!fifo) {
            check_events();
        }
        suspend(fifo, true);
        check_events();
    }
    if (!failed()) {
        uint64_t *own = copy_base_table();

        check_renewed(virt_to_mfn(own));
        check_renewed(virt_to_mfn((void *)start_info->pt_base));
        /* It is a page like any other: else this fails */
        make_writable(own);
        own[0] = 0;
        check_never_up();
        check_poll();
    }
    check(ring_write("the ring works\n", 15), "the console's ring is stuck");
}
