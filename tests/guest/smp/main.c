/*
 * Several vCPUs: they come up with the state that they were given, go down and
 * come back; a change of the page tables that one asks the others to forget is
 * forgotten when the hypercall returns; an event wakes one that polls for it;
 * all see the same time, and it never goes back, and it is written anew while
 * they run; one sees whether another runs or waits; and page tables that several
 * pin and unpin at once are counted right.
 *
 * If a flush were not waited for, a vCPU would still read the old page. If a
 * reference to a table were lost, a page could not become plain memory again,
 * or would become it too soon. If a vCPU that runs were said not to, those that
 * send it an IPI would yield for nothing.
 *
 * vCPUs: 3
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define MAX_VCPUS   4
#define VECTOR_NMI  2
#define WAIT_NS     5000000000ULL

static unsigned nr_vcpus;

/* What a vCPU is to do, and what it has done so far: numbers that grow */
typedef void work_fn(unsigned cpu);
static struct cpu {
    work_fn *volatile work;
    volatile unsigned asked, done;
    volatile ulong argument, stack, flags, count;
} cpus[MAX_VCPUS];

static struct vcpu_guest_context context;
static uint8_t stacks[MAX_VCPUS][4 * PAGE_SIZE] __attribute__((aligned(4096)));

static long vcpu_op(unsigned cmd, unsigned cpu, void *arg)
{
    return HYPERCALL(vcpu_op, cmd, cpu, arg);
}

static void pause(void)
{
    asm volatile("pause" : : : "memory");
}

/* True when it has come to pass; the test fails if it does not in time */
#define wait_until(cond, ...) \
    ({ \
        uint64_t end = system_time() + WAIT_NS; \
        bool ok; \
        while (!(ok = (cond)) && system_time() < end) { \
            pause(); \
        } \
        if (!ok) { \
            error(__VA_ARGS__); \
        } \
        ok; \
    })

/* --- A vCPU's life --- */

static void __attribute__((noreturn, used)) secondary(ulong cpu)
{
    struct cpu *c = &cpus[cpu];
    ulong flags;

    asm volatile("pushf; pop %0" : "=r" (flags));
    c->argument = cpu;
    c->stack = (ulong)__builtin_frame_address(0);
    c->flags = flags;
    for (;;) {
        while (c->done == c->asked) {
            pause();
        }
        c->work(cpu);
        barrier();
        c->done++;
    }
}

/* 32-bit C takes its argument from the stack, and a context gives registers */
extern char secondary_entry[];
asm(".pushsection .text\n"
    "secondary_entry:\n"
#ifndef __x86_64__
    "push %eax\n"
    "push $0\n"
    "jmp secondary\n"
#else
    "mov %rax, %rdi\n"
    "push $0\n"
    "jmp secondary\n"
#endif
    ".popsection\n");

static void ask(unsigned cpu, work_fn *work)
{
    struct cpu *c = &cpus[cpu];

    c->work = work;
    barrier();
    c->asked++;
}

static void ask_all(work_fn *work)
{
    for (unsigned i = 1; i < nr_vcpus; i++) {
        ask(i, work);
    }
}

static void wait_for_all(const char *what)
{
    for (unsigned i = 1; i < nr_vcpus; i++) {
        wait_until(cpus[i].done == cpus[i].asked, "%s: vCPU %u is not done",
                   what, i);
    }
}

static void fill_context(unsigned cpu)
{
    kernel_context(&context, (ulong)secondary_entry,
                   (ulong)stacks[cpu] + sizeof(stacks[cpu]));
    context.user_regs.ax = cpu;
    context.user_regs.flags = 0x1000;
}

#ifdef __x86_64__
/* None of these is one that a CPU could use */
static void bad_addresses(unsigned cpu)
{
    ulong *const fields[] = {
        &context.user_regs.ip, &context.user_regs.sp, &context.kernel_sp,
        &context.ldt_base, &context.event_callback_eip,
        &context.failsafe_callback_eip, &context.syscall_callback_eip,
        &context.fs_base, &context.gs_base_kernel, &context.gs_base_user,
        &context.trap_ctxt[0].address, &context.trap_ctxt[255].address,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        fill_context(cpu);
        *fields[i] = 1UL << 63;
        check_ret(vcpu_op(VCPUOP_initialise, cpu, &context), -EINVAL,
                  "initialise with non-canonical address %u", i);
    }
    fill_context(cpu);
    context.ldt_base = HV_POINTER;
    check_ret(vcpu_op(VCPUOP_initialise, cpu, &context), -EINVAL,
              "initialise with an LDT in the hypervisor");
    fill_context(cpu);
    context.flags = 0;
    check_ret(vcpu_op(VCPUOP_initialise, cpu, &context), -EINVAL,
              "initialise in user mode without a table for it");
}
#endif

static void bring_up(void)
{
    check_ret(vcpu_op(VCPUOP_is_up, 0, NULL), 1, "is_up of vCPU 0");
    check_ret(vcpu_op(VCPUOP_initialise, 0, &context), -EEXIST,
              "initialise of vCPU 0");
    check_ret(vcpu_op(VCPUOP_initialise, 1, (void *)TEST_VA), -EFAULT,
              "initialise from nowhere");
    check_ret(vcpu_op(VCPUOP_up, 64 * 1024, NULL), -ENOENT,
              "up of a vCPU that is not there");

    for (unsigned i = 1; i < nr_vcpus; i++) {
        check_ret(vcpu_op(VCPUOP_is_up, i, NULL), 0, "is_up at start");
        check_ret(vcpu_op(VCPUOP_up, i, NULL), -EINVAL,
                  "up before initialise");
        fill_context(i);
        context.ctrlreg[3] = 0xfff00000;    /* no memory there */
        check_ret(vcpu_op(VCPUOP_initialise, i, &context), -EINVAL,
                  "initialise without page tables");
        fill_context(i);
        context.ldt_ents = 8193;
        check_ret(vcpu_op(VCPUOP_initialise, i, &context), -EINVAL,
                  "initialise with too large an LDT");
        fill_context(i);
        context.ldt_base = TEST_VA + 8;     /* without entries, too */
        check_ret(vcpu_op(VCPUOP_initialise, i, &context), -EINVAL,
                  "initialise with an LDT that is not aligned");
        fill_context(i);
        context.gdt_ents = 7169;
        check_ret(vcpu_op(VCPUOP_initialise, i, &context), -EINVAL,
                  "initialise with too large a GDT");
#ifdef __x86_64__
        bad_addresses(i);
#endif
        fill_context(i);
        /* Bad values of these are not taken, and no error */
        context.debugreg[0] = HV_POINTER;
        context.debugreg[7] = 0x2001;
        check_ret(vcpu_op(VCPUOP_initialise, i, &context), 0, "initialise");
        check_ret(vcpu_op(VCPUOP_initialise, i, &context), -EEXIST,
                  "initialise twice");
        check_ret(vcpu_op(VCPUOP_is_up, i, NULL), 0, "is_up before up");
        check_ret(vcpu_op(VCPUOP_up, i, NULL), 0, "up");
        check_ret(vcpu_op(VCPUOP_is_up, i, NULL), 1, "is_up after up");
        check_ret(vcpu_op(VCPUOP_up, i, NULL), 0, "up twice");
        wait_until(cpus[i].argument == i, "vCPU %u does not start", i);
        check((cpus[i].stack ^ (ulong)stacks[i]) < sizeof(stacks[i]) ||
              cpus[i].stack - (ulong)stacks[i] < sizeof(stacks[i]),
              "vCPU %u starts on another stack: %lx", i, cpus[i].stack);
        check(cpus[i].flags & X86_EFLAGS_IF, "IF is clear in vCPU %u", i);
    }
}

/* --- Down and up again --- */

static volatile bool counting;

static void count(unsigned cpu)
{
    while (counting) {
        cpus[cpu].count++;
    }
}

static void go_down(unsigned cpu)
{
    cpus[cpu].count = vcpu_op(VCPUOP_down, cpu, NULL);
}

static int runstate_of(unsigned cpu)
{
    struct vcpu_runstate_info info = { .state = -1 };

    vcpu_op(VCPUOP_get_runstate_info, cpu, &info);
    return info.state;
}

static void down_and_up(void)
{
    ulong before;

    /* By itself */
    cpus[1].count = 1;
    ask(1, go_down);
    wait_until(vcpu_op(VCPUOP_is_up, 1, NULL) == 0, "vCPU 1 stays up");
    busy_wait(1000000);
    check_eq(cpus[1].count, 1, "a vCPU that is down went on");
    check_ret(vcpu_op(VCPUOP_up, 1, NULL), 0, "up again");
    wait_until(cpus[1].done == cpus[1].asked, "vCPU 1 does not come back");
    check_eq(cpus[1].count, 0, "what VCPUOP_down returned");

    /* By another */
    counting = true;
    cpus[1].count = 0;
    ask(1, count);
    wait_until(cpus[1].count, "vCPU 1 does not count");
    check_ret(vcpu_op(VCPUOP_down, 1, NULL), 0, "down of another vCPU");
    check_ret(vcpu_op(VCPUOP_is_up, 1, NULL), 0, "is_up of it");
    /* It may run a little longer than this takes */
    wait_until(runstate_of(1) == RUNSTATE_offline, "vCPU 1 is not offline");
    before = cpus[1].count;
    busy_wait(5000000);
    check_eq(cpus[1].count, before, "count of a vCPU that is down");
    check_ret(vcpu_op(VCPUOP_up, 1, NULL), 0, "up");
    wait_until(cpus[1].count != before, "vCPU 1 does not count on");
    counting = false;
    wait_for_all("counting");
}

/* --- Flushes --- */

static volatile unsigned mapped, seen[MAX_VCPUS];
static volatile bool reading;

/* Keeps the page in its TLB, and looks what is there once that has changed */
static void read_page(unsigned cpu)
{
    volatile ulong *page = (volatile ulong *)TEST_VA;

    while (reading) {
        unsigned round = mapped;
        ulong value;

        barrier();
        value = *page;
        if (round != seen[cpu]) {
            cpus[cpu].count += value != (round & 1);
            seen[cpu] = round;
        }
    }
}

static long flush(unsigned how, ulong mask, uint64_t pte)
{
    switch (how) {
    case 0:
        return update_va_mapping(TEST_VA, pte, UVMF_TLB_FLUSH | UVMF_ALL);
    case 1:
        return update_va_mapping(TEST_VA, pte, UVMF_INVLPG | UVMF_ALL);
    case 2:
        return update_va_mapping(TEST_VA, pte, UVMF_INVLPG | (ulong)&mask);
    case 3:
        return update_va_mapping(TEST_VA, pte, UVMF_TLB_FLUSH | (ulong)&mask);
    }
    if (update_va_mapping(TEST_VA, pte, UVMF_NONE)) {
        return -1;
    }
    switch (how) {
    case 4:
        return mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0);
    case 5:
        return mmuext_op(MMUEXT_TLB_FLUSH_MULTI, 0, (ulong)&mask);
    case 6:
        return mmuext_op(MMUEXT_INVLPG_ALL, TEST_VA, 0);
    default:
        return mmuext_op(MMUEXT_INVLPG_MULTI, TEST_VA, (ulong)&mask);
    }
}

static void flushes(void)
{
    ulong *pages[2] = { alloc_page(), alloc_page() };
    ulong mask = (1UL << nr_vcpus) - 1;

    *pages[1] = 1;
    map_page(TEST_VA, make_pte(virt_to_mfn(pages[0]), PAGE_KERNEL));
    for (unsigned i = 1; i < nr_vcpus; i++) {
        cpus[i].count = 0;
    }
    reading = true;
    ask_all(read_page);
    for (unsigned round = 1; round <= 48; round++) {
        ulong mfn = virt_to_mfn(pages[round & 1]);

        check_ret(flush(round / 2 % 8, mask, make_pte(mfn, PAGE_KERNEL)), 0,
                  "flush %u", round / 2 % 8);
        mapped = round;
        for (unsigned i = 1; i < nr_vcpus; i++) {
            wait_until(seen[i] == round, "vCPU %u does not look", i);
            if (cpus[i].count) {
                failure("vCPU %u reads a page that flush %u has replaced", i,
                        round / 2 % 8);
                round = 1000;
                break;
            }
        }
    }
    reading = false;
    wait_for_all("reading");
    check_ret(mmuext_op(MMUEXT_TLB_FLUSH_MULTI, 0, TEST_VA + PAGE_SIZE),
              -EINVAL, "a flush for vCPUs of a bitmap that is nowhere");
    check_ret(update_va_mapping(TEST_VA, 0, UVMF_INVLPG | (TEST_VA + PAGE_SIZE)),
              -EFAULT, "the same of update_va_mapping");
}

/* --- Polling --- */

static evtchn_port_t ports[MAX_VCPUS];

static void poll(unsigned cpu)
{
    struct sched_poll p = { &ports[cpu], 1, 0 };

    cpus[cpu].count = HYPERCALL(sched_op, SCHEDOP_poll, &p);
    check(port_pending(ports[cpu]), "vCPU %u polled and nothing is there", cpu);
}

static void polling(void)
{
    for (unsigned i = 1; i < nr_vcpus; i++) {
        struct evtchn_bind_ipi op = { .vcpu = i };

        if (HYPERCALL(event_channel_op, EVTCHNOP_bind_ipi, &op)) {
            error("bind_ipi of vCPU %u fails", i);
        }
        ports[i] = op.port;
        mask_port(op.port);
    }
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned i = 1; i < nr_vcpus; i++) {
            clear_port(ports[i]);
            cpus[i].count = 1;
        }
        ask_all(poll);
        /* Sometimes before they wait, and sometimes later */
        busy_wait(round % 5 * 100000);
        for (unsigned i = 1; i < nr_vcpus; i++) {
            if (round > 15) {
                check_eq(cpus[i].count, 1, "poll returned without an event");
            }
            check_ret(send_event(ports[i]), 0, "send to vCPU %u", i);
        }
        wait_for_all("polling");
        for (unsigned i = 1; i < nr_vcpus; i++) {
            check_ret(cpus[i].count, 0, "poll of vCPU %u", i);
        }
    }
}

/* --- Time --- */

static volatile unsigned lock;
static volatile uint64_t last_time;
static volatile ulong nr_backward;

static uint64_t time_of(unsigned cpu)
{
    volatile struct vcpu_time_info *t = &shared_info->vcpu_info[cpu].time;
    uint32_t version;
    uint64_t ns;

    do {
        uint64_t delta;

        version = t->version;
        barrier();
        asm volatile("lfence");
        delta = rdtsc() - t->tsc_timestamp;
        delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift :
                                   delta << t->tsc_shift;
        ns = t->system_time + mul_shift32(delta, t->tsc_to_system_mul);
        barrier();
    } while (version & 1 || version != t->version);
    return ns;
}

static void read_time(unsigned cpu)
{
    for (unsigned i = 0; i < 500; i++) {
        uint64_t now;

        while (__atomic_exchange_n(&lock, 1, __ATOMIC_SEQ_CST)) {
            pause();
        }
        now = time_of(cpu);
        if (now < last_time) {
            nr_backward++;
        }
        last_time = now;
        __atomic_store_n(&lock, 0, __ATOMIC_SEQ_CST);
    }
}

static void times(void)
{
    ask_all(read_time);
    read_time(0);
    wait_for_all("reading the time");
    check_eq(nr_backward, 0, "how often time went back between vCPUs");
}

/* As a CPU of NetBSD does at its start: with its timer set, and no upcalls */
static void wait_for_update(unsigned cpu)
{
    volatile struct vcpu_time_info *t = &shared_info->vcpu_info[cpu].time;
    uint64_t now = time_of(cpu), end = now + WAIT_NS - 500000000;
    uint32_t version;

    set_timer_op(now + 10000000);
    version = t->version;
    while (t->version == version && time_of(cpu) < end) {
        pause();
    }
    cpus[cpu].count = t->version != version;
}

static void time_updates(void)
{
    ask_all(wait_for_update);
    wait_for_all("waiting for another time");
    for (unsigned i = 1; i < nr_vcpus; i++) {
        check_eq(cpus[i].count, 1, "the time of a vCPU is written anew");
    }
}

/* --- NMIs --- */

static volatile unsigned nr_nmis, mask_in_nmi, nmis_in_nmi;

static bool on_nmi(struct trap *trap)
{
    mask_in_nmi = trap->upcall_mask;
    if (nmis_in_nmi) {
        unsigned before = nr_nmis;

        /* Another one waits for this one's return */
        nmis_in_nmi--;
        check_ret(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0, "send_nmi in an NMI");
        check_eq(nr_nmis, before, "NMIs in an NMI");
    }
    nr_nmis++;
    return true;
}

static void poll_in_vain(unsigned cpu)
{
    struct sched_poll p = { NULL, 0, system_time() + 20000000000 };

    cpus[cpu].count = 1 + HYPERCALL(sched_op, SCHEDOP_poll, &p);
}

static void register_nmi(unsigned cpu)
{
    cpus[cpu].count = register_callback(CALLBACKTYPE_nmi, 0,
                                        trap_stub(VECTOR_NMI));
}

static void nmis(void)
{
    unmask_upcalls();
    set_handler(2, on_nmi);
    check_ret(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0, "send_nmi to oneself");
    check_eq(nr_nmis, 1, "NMIs by the trap table");
    check_eq(mask_in_nmi, 0, "the upcall mask, as the trap table has it");
    nmis_in_nmi = 3;
    check_ret(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0, "send_nmi to oneself");
    check_eq(nr_nmis, 5, "NMIs, one after the other");
    nr_nmis = 0;

    set_handler(VECTOR_NMI, on_nmi);
    register_nmi(0);
    check_ret(cpus[0].count, 0, "registering the NMI callback");
    check_ret(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0, "send_nmi to oneself");
    check_eq(nr_nmis, 1, "NMIs when that returns");
    check_eq(mask_in_nmi, 1, "the upcall mask in the callback");
    check_ret(HYPERCALL(nmi_op, 1, 0), 0, "unregistering it");
    check_ret(vcpu_op(VCPUOP_send_nmi, 0, NULL), 0, "send_nmi to oneself");
    check_eq(nr_nmis, 1, "NMIs without a handler");
    register_nmi(0);

    ask(1, register_nmi);
    wait_for_all("registering");
    counting = true;
    cpus[1].count = 0;
    ask(1, count);
    wait_until(cpus[1].count, "vCPU 1 does not count");
    check_ret(vcpu_op(VCPUOP_send_nmi, 1, NULL), 0, "send_nmi to another");
    wait_until(nr_nmis == 2, "vCPU 1 gets no NMI");
    counting = false;
    wait_for_all("counting");

    cpus[1].count = 0;
    ask(1, poll_in_vain);
    wait_until(runstate_of(1) == RUNSTATE_blocked, "vCPU 1 does not wait");
    check_ret(vcpu_op(VCPUOP_send_nmi, 1, NULL), 0, "send_nmi to who waits");
    wait_until(nr_nmis == 3, "vCPU 1 gets no NMI while it waits");
    wait_for_all("waiting");
    check_eq(cpus[1].count, 1, "what the wait returned, and 1");
}

/* --- Runstates --- */

/* vCPU 1's, in which other vCPUs look before they wait for it */
static volatile struct vcpu_runstate_info runstate_area;

static void runstates(void)
{
    struct {
        union {
            volatile void *v;
            uint64_t p;
        } addr;
    } where = { .addr = { .p = (ulong)&runstate_area } };
    unsigned woken = nr_nmis;

    runstate_area.state = 99;
    check_ret(vcpu_op(VCPUOP_register_runstate_memory_area, 1, &where), 0,
              "registering another's runstate area");
    check(runstate_area.state <= RUNSTATE_offline, "nothing is written there");
    for (unsigned round = 0; round < 3; round++) {
        counting = true;
        cpus[1].count = 0;
        ask(1, count);
        wait_until(cpus[1].count, "vCPU 1 does not count");
        wait_until(runstate_area.state == RUNSTATE_running,
                   "vCPU 1 counts, and is %d", runstate_area.state);
        counting = false;
        wait_for_all("counting");
        ask(1, poll_in_vain);
        wait_until(runstate_area.state == RUNSTATE_blocked,
                   "vCPU 1 waits, and is %d", runstate_area.state);
        check_ret(vcpu_op(VCPUOP_send_nmi, 1, NULL), 0, "send_nmi");
        wait_for_all("waiting");
    }
    check_eq(nr_nmis, woken + 3, "NMIs that woke vCPU 1");
}

/* --- Page tables --- */

#define TABLES      4
static void *tables[MAX_VCPUS][TABLES], *shared_table;

/* Each its own level-2 tables, which all have the same level-1 table */
static void pin_tables(unsigned cpu)
{
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < TABLES; i++) {
            long ret = mmuext_op(MMUEXT_PIN_L2_TABLE,
                                 virt_to_mfn(tables[cpu][i]), 0);

            if (ret) {
                cpus[cpu].count++;
            }
        }
        for (unsigned i = 0; i < TABLES; i++) {
            if (mmuext_op(MMUEXT_UNPIN_TABLE, virt_to_mfn(tables[cpu][i]),
                          0)) {
                cpus[cpu].count++;
            }
        }
    }
}

static void page_tables(void)
{
    uint64_t link;
    long ret;

    shared_table = alloc_page();
    make_readonly(shared_table);
    link = make_pte(virt_to_mfn(shared_table), PAGE_TABLE);
    for (unsigned cpu = 0; cpu < nr_vcpus; cpu++) {
        cpus[cpu].count = 0;
        for (unsigned i = 0; i < TABLES; i++) {
            uint64_t *table = alloc_page();

            table[i] = table[100 + cpu] = link;
            make_readonly(table);
            tables[cpu][i] = table;
        }
    }
    /* All have to have forgotten that these were writable */
    mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0);
    ask_all(pin_tables);
    pin_tables(0);
    wait_for_all("pinning");
    for (unsigned cpu = 0; cpu < nr_vcpus; cpu++) {
        check_eq(cpus[cpu].count, 0, "failed operations of vCPU %u", cpu);
    }
    make_writable(shared_table);

    /* And one reference keeps it a table */
    make_readonly(shared_table);
    ret = mmuext_op(MMUEXT_PIN_L2_TABLE, virt_to_mfn(tables[0][0]), 0);
    check_ret(ret, 0, "pin");
    ret = update_va_mapping((ulong)shared_table,
                            make_pte(virt_to_mfn(shared_table), PAGE_KERNEL),
                            UVMF_INVLPG);
    check(ret < 0, "a table in use can be mapped writable");
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, virt_to_mfn(tables[0][0]), 0), 0,
              "unpin");
    make_writable(shared_table);
}

void test_main(void)
{
    while (nr_vcpus < MAX_VCPUS &&
           vcpu_op(VCPUOP_is_up, nr_vcpus, NULL) >= 0) {
        nr_vcpus++;
    }
    if (nr_vcpus < 2) {
        skip("one vCPU");
        return;
    }
    bring_up();
    down_and_up();
    flushes();
    polling();
    time_updates();
    times();
    nmis();
    runstates();
    page_tables();
}
