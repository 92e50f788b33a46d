/*
 * SHUTDOWN_suspend while another vCPU is in the middle of anything: binds, sends and
 * closes events, registers its vcpu_info and runstate area, sets timers, grows the
 * grant table, waits, or suspends the domain itself; or brings a third vCPU down and
 * up, and initialises it anew where it is as new. What it does may be refused, or
 * be in vain; but the domain goes on, and afterwards all works as in a new one.
 *
 * Under Xen the whole domain stands still in between, wherever its vCPUs are. Here the
 * other vCPU is stopped between any two instructions, in the monitor, too: a call that
 * had read what is gone by then would bring it back, write to memory that is
 * something else, or wait for ever. A vCPU that was made anew while its CPU had not
 * left what it did before would go on with that, and one whose tables were counted
 * twice, or not at all, would keep them for ever, or run on what is none.
 *
 * monitor: system_wakeup
 * vCPUs: 3
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define SHUTDOWN_suspend    2
#define ROUNDS              12
#define LIMIT_NS            12000000000ULL
#define WAIT_NS             10000000000ULL
#define NR_PORTS            16

/* What the second vCPU does, and what it does now */
typedef void work_fn(void);
static work_fn *volatile work, *volatile working;
static volatile ulong nr_works;

static struct vcpu_runstate_info areas[2];
static xen_pfn_t grant_list[4];
static void *info_page, *control_page, *words_page;
static unsigned nr_events;
static uint32_t seed = 1;

static uint32_t random(void)
{
    seed = seed * 1103515245 + 12345;
    return seed >> 8;
}

static long evtchn_op(unsigned cmd, void *op)
{
    return HYPERCALL(event_channel_op, cmd, op);
}

static long vcpu_op(unsigned cmd, unsigned cpu, void *arg)
{
    return HYPERCALL(vcpu_op, cmd, cpu, arg);
}

static long suspend(void)
{
    uint32_t reason = SHUTDOWN_suspend;

    return HYPERCALL(sched_op, SCHEDOP_shutdown, &reason,
                     virt_to_mfn(start_info));
}

static void nothing(void)
{
    asm volatile("pause");
}

static void ports(uint32_t r)
{
    union {
        struct evtchn_bind_ipi ipi;
        struct evtchn_bind_virq virq;
        struct evtchn_alloc_unbound unbound;
        struct evtchn_port port;
    } op;

    memset(&op, 0, sizeof(op));
    switch (r % 8) {
    case 0:
        op.ipi.vcpu = 1;
        evtchn_op(EVTCHNOP_bind_ipi, &op);
        break;
    case 1:
        op.virq.virq = VIRQ_TIMER;
        op.virq.vcpu = 1;
        evtchn_op(EVTCHNOP_bind_virq, &op);
        break;
    case 2:
        op.unbound.dom = op.unbound.remote_dom = DOMID_SELF;
        evtchn_op(EVTCHNOP_alloc_unbound, &op);
        break;
    case 3:
        unmask_port(3 + r / 8 % NR_PORTS);
        break;
    case 4:
        op.port.port = 3 + r / 8 % NR_PORTS;
        evtchn_op(EVTCHNOP_close, &op);
        break;
    default:
        send_event(1 + r / 8 % NR_PORTS);
    }
}

static void registrations(uint32_t r)
{
    struct gnttab_setup_table setup = {
        .dom = DOMID_SELF, .nr_frames = 1 + r / 8 % 4, .frame_list = grant_list,
    };
    struct {
        uint64_t mfn;
        uint32_t offset, rsvd;
    } info = { virt_to_mfn(info_page) };
    struct evtchn_init_control control = {
        .control_gfn = virt_to_mfn(control_page), .vcpu = 1,
    };
    struct evtchn_expand_array expand = { virt_to_mfn(words_page) };
    ulong at = (ulong)&areas[1];

    switch (r % 8) {
    case 0:
        HYPERCALL(grant_table_op, GNTTABOP_setup_table, &setup, 1);
        break;
    case 1:
        vcpu_op(VCPUOP_register_vcpu_info, 1, &info);
        break;
    case 2:
        vcpu_op(VCPUOP_register_runstate_memory_area, 1, &at);
        break;
    case 3:
        evtchn_op(EVTCHNOP_init_control, &control);
        break;
    case 4:
        evtchn_op(EVTCHNOP_expand_array, &expand);
        break;
    default:
        set_timer_op(system_time() + r / 8 % 100000);
    }
}

/* Anything; with its upcalls masked, as it is when it starts */
static void anything(void)
{
    struct sched_poll poll = { .timeout = system_time() + 100000 };
    uint32_t r = random();

    switch (r % 16) {
    case 0 ... 6:
        ports(r / 16);
        break;
    case 7 ... 12:
        registrations(r / 16);
        break;
    case 13:
        HYPERCALL(sched_op, SCHEDOP_poll, &poll);
        break;
    case 14:
        mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0);
        break;
    default:
        update_va_mapping((ulong)words_page,
                          make_pte(virt_to_mfn(words_page), PAGE_KERNEL),
                          UVMF_TLB_FLUSH | UVMF_ALL);
    }
}

/*
 * The third vCPU's lives: which one it was last given, by whom there is to give one,
 * and which one it leads. Every other is on a base table of its own.
 */
static struct vcpu_guest_context context;
static uint8_t stack[PAGE_SIZE] __attribute__((aligned(4096)));
static ulong tops[2];
static ulong last_life, given_life, nr_given;
static volatile ulong led_life;

static void __attribute__((noreturn, used)) third_vcpu(ulong life)
{
    for (;;) {
        led_life = life;
        /* No news; but it may wait for the others there when it is to go down */
        vcpu_op(VCPUOP_up, 0, NULL);
    }
}

extern char third_entry[];
asm(".pushsection .text\n"
    "third_entry:\n"
#ifdef __x86_64__
    "mov %rax, %rdi\n"
#else
    "push %eax\n"
#endif
    "push $0\n"
    "jmp third_vcpu\n"
    ".popsection\n");

static long give_life(ulong top)
{
    long ret;

    kernel_context(&context, (ulong)third_entry, (ulong)stack + sizeof(stack));
    context.user_regs.ax = ++last_life;
    context.ctrlreg[3] = top << PAGE_SHIFT |
                         (IS_64BIT ? 0 : top >> (32 - PAGE_SHIFT));
    ret = vcpu_op(VCPUOP_initialise, 2, &context);
    if (!ret) {
        given_life = last_life;
    }
    return ret;
}

/* Both do: it is one suspend. Without the first it would wake up to be asleep again */
static void suspend_too(void)
{
    if (suspend() == 0) {
        nr_works++;
    }
    work = nothing;
}

static void other_vcpu(void)
{
    HYPERCALL(fpu_taskswitch, 0);
    for (;;) {
        work_fn *fn = work;

        working = fn;
        fn();
        nr_works++;
    }
}

static bool within(uint64_t ns, bool (*fn)(ulong), ulong arg)
{
    uint64_t end = system_time() + ns;

    while (!fn(arg)) {
        if (system_time() > end) {
            return false;
        }
        asm volatile("pause" : : : "memory");
    }
    return true;
}

static bool leads_given_life(ulong unused)
{
    return led_life == given_life;
}

/*
 * Down, anew, up: mostly it has not left its life by then, and so has to keep it,
 * whatever becomes of the domain meanwhile
 */
static void renew(void)
{
    long given, up;

    check_ret(vcpu_op(VCPUOP_down, 2, NULL), 0, "down");
    if (random() % 4 == 0) {
        busy_wait(20000);
    }
    given = give_life(tops[random() % 2]);
    check(!given || given == -EEXIST, "initialise returns %ld", given);
    up = vcpu_op(VCPUOP_up, 2, NULL);
    check(!up || up == -EINVAL, "up returns %ld", up);
    nr_given += !given;
    if (!given && !up) {
        check(within(WAIT_NS / 2, leads_given_life, 0), "the third vCPU leads life "
              "%lu, and was given %lu", led_life, given_life);
    }
}

static bool is_doing(ulong fn)
{
    return (ulong)working == fn;
}

static bool has_done(ulong n)
{
    return nr_works - n < ~0UL / 2;
}

static void let_it(work_fn *fn)
{
    work = fn;
    if (!within(WAIT_NS, is_doing, (ulong)fn) ||
        !within(WAIT_NS, has_done, nr_works + 1)) {
        error("the second vCPU is stuck");
    }
}

static void count_event(evtchn_port_t port)
{
    nr_events++;
}

static unsigned grant_frames(void)
{
    struct gnttab_query_size op = { .dom = DOMID_SELF };

    check_ret(HYPERCALL(grant_table_op, GNTTABOP_query_size, &op, 1), 0,
              "query_size");
    return op.nr_frames;
}

/* Nobody has done anything since: a new domain's */
static void check_new(void)
{
    struct gnttab_setup_table setup = {
        .dom = DOMID_SELF, .nr_frames = 4, .frame_list = grant_list,
    };
    struct evtchn_set_priority priority = { 1, 0 };
    ulong at = (ulong)&areas[0];
    unsigned before = nr_events;
    evtchn_port_t port;

    check_eq(grant_frames(), 1, "grant frames");
    check_ret(evtchn_op(EVTCHNOP_set_priority, &priority), -ENOSYS,
              "set_priority without the FIFO ABI");
    port = bind_ipi(count_event);
    check_eq(port, 3, "the first port");
    check_ret(unmask_port(port), 0, "unmask");
    unmask_upcalls();
    check_ret(send_event(port), 0, "send");
    check_eq(nr_events, before + 1, "events");
    close_port(port);
    check_ret(HYPERCALL(grant_table_op, GNTTABOP_setup_table, &setup, 1), 0,
              "setup_table");
    check_ret(setup.status, 0, "its status");
    check_eq(grant_frames(), 4, "grant frames then");
    areas[0].state_entry_time = 0;
    check_ret(vcpu_op(VCPUOP_register_runstate_memory_area, 0, &at), 0,
              "register_runstate_memory_area");
    check(areas[0].state_entry_time, "the area for runstates is not written");
    mask_upcalls();
}

static bool is_offline(ulong unused)
{
    struct vcpu_runstate_info info = { };

    check_ret(vcpu_op(VCPUOP_get_runstate_info, 2, &info), 0, "runstate");
    return info.state == RUNSTATE_offline;
}

/* Nobody else does anything: the life that it was given last is the one it leads */
static void check_third(void)
{
    long ret = vcpu_op(VCPUOP_up, 2, NULL);

    if (ret == -EINVAL) {
        check_ret(give_life(tops[0]), 0, "initialise one that is as new");
        ret = vcpu_op(VCPUOP_up, 2, NULL);
    }
    check_ret(ret, 0, "up");
    led_life = 0;
    check(within(WAIT_NS, leads_given_life, 0),
          "the third vCPU leads life %lu, and was given %lu", led_life, given_life);
}

/* Of the lives it has had, none has kept a base table */
static void check_third_is_new(uint64_t *own)
{
    check_ret(vcpu_op(VCPUOP_down, 2, NULL), 0, "down");
    if (!within(WAIT_NS, is_offline, 0)) {
        error("the third vCPU does not go down");
    }
    check_ret(suspend(), 0, "one suspend more");
    check_ret(give_life(tops[1]), 0, "initialise the third vCPU anew");
    check_ret(suspend(), 0, "the last suspend");
    check_ret(give_life(tops[0]), 0, "initialise it before it has been up");
    check_third();
    make_writable(own);
    own[0] = 0;
}

void test_main(void)
{
    uint64_t end = system_time() + LIMIT_NS;
    uint64_t *own = copy_base_table();
    unsigned n;

    tops[0] = virt_to_mfn((void *)start_info->pt_base);
    tops[1] = virt_to_mfn(own);
    info_page = alloc_page();
    control_page = alloc_page();
    words_page = alloc_page();
    work = nothing;
    start_second(other_vcpu);
    mask_upcalls();
    for (n = 0; n < ROUNDS && system_time() < end && !failed(); n++) {
        let_it(n % 3 == 2 ? suspend_too : n % 3 == 1 ? renew : anything);
        for (unsigned i = 0; i < (n % 3 == 1 ? 3 : 1); i++) {
            check_ret(suspend(), 0, "suspend, round %u", n);
            the_vcpu_info = &shared_info->vcpu_info[0];
        }
        let_it(nothing);
        check_third();
        /* What it has done since the domain is awake goes as well */
        check_ret(suspend(), 0, "the second suspend, round %u", n);
        check_new();
    }
    if (!failed()) {
        check_third_is_new(own);
    }
    printk("%u rounds, %lu calls, %lu lives\n", n, nr_works, nr_given);
    check(n > 1, "too few rounds");
    check(ring_write("the ring works\n", 15), "the console's ring is stuck");
}
