/*
 * Time goes forward, timers fire when they are due, and sleeping vCPUs wake.
 *
 * vcpu_time_info gives a monotonic system time which agrees with the TSC; the
 * wall clock is plausible; each of Xen's timers raises VIRQ_TIMER at its time
 * and not before, also while the vCPU blocks or polls. A guest whose timer is
 * lost hangs in its idle loop.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define MS      1000000ULL
#define S       1000000000ULL

static volatile unsigned nr_ticks;
static uint64_t tick_time;

static void tick(evtchn_port_t port)
{
    nr_ticks++;
    tick_time = system_time();
}

static void clock(void)
{
    struct vcpu_time_info *t = &vcpu_info()->time;
    uint64_t last = system_time(), first = last, tsc = rdtsc();

    check(t->version != 0 && !(t->version & 1), "version is %u", t->version);
    check(t->tsc_to_system_mul != 0, "tsc_to_system_mul is 0");
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t now = system_time();

        if (now < last) {
            failure("system time goes back by %llu ns",
                    (unsigned long long)(last - now));
            break;
        }
        last = now;
    }
    check(last > first, "system time stands still");
    check(rdtsc() > tsc, "the TSC stands still");
    check(first < 3600 * S, "system time is %llu ns after a start",
          (unsigned long long)first);
}

static void wallclock(void)
{
    uint64_t sec = shared_info->wc_sec;

    check(!(shared_info->wc_version & 1), "wc_version is odd");
#ifdef __x86_64__
    sec |= (uint64_t)shared_info->wc_sec_hi << 32;
#else
    sec |= (uint64_t)shared_info->arch.wc_sec_hi << 32;
#endif
    /* 2020 to 2100 */
    check(sec > 1577836800 && sec < 4102444800, "wc_sec is %llu",
          (unsigned long long)sec);
    check(shared_info->wc_nsec < S, "wc_nsec is %u", shared_info->wc_nsec);
}

/* Sleep until a tick, or for some seconds that no timer here needs */
static bool wait_tick(const char *what, uint64_t due)
{
    uint64_t end = due + 5 * S;

    while (!nr_ticks && system_time() < end) {
        asm volatile("pause");
    }
    if (!nr_ticks) {
        failure("%s: no VIRQ_TIMER within 5 s", what);
        return false;
    }
    check(tick_time >= due, "%s: VIRQ_TIMER %llu ns too early", what,
          (unsigned long long)(due - tick_time));
    return true;
}

/*
 * What follows a timer that is to be replaced or stopped comes in time, unless
 * the host kept this vCPU waiting: then try again.
 */
static uint64_t begun;

static bool in_time(unsigned attempt)
{
    return system_time() < begun + 4 * MS || attempt == 20;
}

static void set_timer(void)
{
    uint64_t due = system_time() + 5 * MS;
    unsigned attempt = 0;

    nr_ticks = 0;
    check_ret(set_timer_op(due), 0, "set_timer_op");
    wait_tick("set_timer_op", due);

    /* The later of two replaces the earlier; 0 stops it */
    do {
        nr_ticks = 0;
        begun = system_time();
        due = begun + 20 * MS;
        set_timer_op(begun + 5 * MS);
        set_timer_op(due);
    } while (!in_time(attempt++));
    wait_tick("set_timer_op, replaced", due);
    do {
        nr_ticks = 0;
        begun = system_time();
        set_timer_op(begun + 5 * MS);
        set_timer_op(0);
    } while (!in_time(attempt++));
    busy_wait(15 * MS);
    check_eq(nr_ticks, 0, "ticks of a stopped timer");

    /* One that is due already */
    nr_ticks = 0;
    set_timer_op(system_time() - 1);
    wait_tick("set_timer_op, past", 0);
}

static void singleshot(void)
{
    struct vcpu_set_singleshot_timer t = { system_time() + 5 * MS, 0 };
    unsigned attempt = 0;
    long ret;

    nr_ticks = 0;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t), 0,
              "VCPUOP_set_singleshot_timer");
    wait_tick("singleshot timer", t.timeout_abs_ns);

    nr_ticks = 0;
    t.timeout_abs_ns = system_time() + 50 * MS;
    t.flags = VCPU_SSHOTTMR_future;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t), 0,
              "VCPUOP_set_singleshot_timer, VCPU_SSHOTTMR_future");
    wait_tick("singleshot timer, future", t.timeout_abs_ns);

    nr_ticks = 0;
    t.timeout_abs_ns = system_time() - 1;
    /* Xen refused this up to 4.16; since then the event comes at once */
    ret = HYPERCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t);
    if (ret == -ETIME) {
        busy_wait(2 * MS);
        check_eq(nr_ticks, 0, "ticks of a timer that was refused");
    } else {
        check_ret(ret, 0, "VCPUOP_set_singleshot_timer in the past");
        wait_tick("singleshot timer, past", 0);
    }
    nr_ticks = 0;
    t.flags = 0;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t), 0,
              "VCPUOP_set_singleshot_timer in the past, allowed");
    wait_tick("singleshot timer, past", 0);

    do {
        nr_ticks = 0;
        begun = system_time();
        t.timeout_abs_ns = begun + 5 * MS;
        HYPERCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t);
        check_ret(HYPERCALL(vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0), 0,
                  "VCPUOP_stop_singleshot_timer");
    } while (!in_time(attempt++));
    busy_wait(15 * MS);
    check_eq(nr_ticks, 0, "ticks of a stopped singleshot timer");

    check_ret(HYPERCALL(vcpu_op, VCPUOP_set_singleshot_timer, 1, &t), -ENOENT,
              "VCPUOP_set_singleshot_timer of no vCPU");
}

static void periodic(void)
{
    struct vcpu_set_periodic_timer t = { 999999 };
    uint64_t end;

    check_ret(HYPERCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &t), -EINVAL,
              "VCPUOP_set_periodic_timer of less than 1 ms");
    t.period_ns = 5 * MS;
    nr_ticks = 0;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &t), 0,
              "VCPUOP_set_periodic_timer");
    end = system_time() + 5 * S;
    while (nr_ticks < 4 && system_time() < end) {
        asm volatile("pause");
    }
    check(nr_ticks >= 4, "%u ticks of a periodic timer in 5 s", nr_ticks);
    check_ret(HYPERCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0,
              "VCPUOP_stop_periodic_timer");
    busy_wait(MS);
    nr_ticks = 0;
    busy_wait(15 * MS);
    check_eq(nr_ticks, 0, "ticks of a stopped periodic timer");
}

/* Xen gives a vCPU a periodic timer to begin with: Linux 2.6.18 sets none */
static void first_period(void)
{
    uint64_t end = system_time() + 5 * S;
    unsigned before;

    while (nr_ticks < 20 && system_time() < end) {
        asm volatile("pause");
    }
    check(nr_ticks >= 20, "%u ticks in 5 s, with no timer set", nr_ticks);

    /* Who is blocked is not woken up for it, and is told after that */
    mask_upcalls();
    nr_ticks = 0;
    end = system_time() + S / 2;
    set_timer_op(end);
    HYPERCALL(sched_op, SCHEDOP_block, 0);
    /* A tick may have been due before, and ended it at once */
    if (system_time() < end) {
        mask_upcalls();
        nr_ticks = 0;
        HYPERCALL(sched_op, SCHEDOP_block, 0);
    }
    check(system_time() >= end, "a periodic timer wakes up a blocked vCPU");
    before = nr_ticks;
    end = system_time() + 5 * S;
    while (nr_ticks < before + 3 && system_time() < end) {
        asm volatile("pause");
    }
    check(nr_ticks >= before + 3, "no tick after a block");

    check_ret(HYPERCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0,
              "VCPUOP_stop_periodic_timer");
    nr_ticks = 0;
}

static void block(void)
{
    uint64_t due;

    /* SCHEDOP_block clears the upcall mask, and returns for an event */
    mask_upcalls();
    nr_ticks = 0;
    due = system_time() + 5 * MS;
    set_timer_op(due);
    check_ret(HYPERCALL(sched_op, SCHEDOP_block, 0), 0, "SCHEDOP_block");
    check_eq(vcpu_info()->evtchn_upcall_mask, 0,
             "the upcall mask after SCHEDOP_block");
    check(nr_ticks != 0, "SCHEDOP_block returned before the timer");
    check(nr_ticks == 0 || tick_time >= due, "the timer fired too early");

    /* An event is pending: it does not sleep at all */
    mask_upcalls();
    nr_ticks = 0;
    set_timer_op(system_time() - 1);
    for (due = system_time() + S;
         !*(volatile uint8_t *)&vcpu_info()->evtchn_upcall_pending &&
         system_time() < due; ) {
        HYPERCALL(sched_op, SCHEDOP_yield, 0);
    }
    check_ret(HYPERCALL(sched_op, SCHEDOP_block, 0), 0, "SCHEDOP_block");
    check_eq(nr_ticks, 1, "ticks after SCHEDOP_block with one pending");
    check_ret(HYPERCALL(sched_op, SCHEDOP_yield, 0), 0, "SCHEDOP_yield");
}

static void poll(evtchn_port_t timer)
{
    evtchn_port_t port = timer;
    struct sched_poll p = { &port, 1, 0 };
    uint64_t due;

    /* Polling needs no upcalls: the port is masked */
    mask_upcalls();
    mask_port(timer);
    due = system_time() + 5 * MS;
    set_timer_op(due);
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), 0, "SCHEDOP_poll");
    check(port_pending(timer), "SCHEDOP_poll returned without an event");
    check(system_time() >= due, "SCHEDOP_poll returned too early");

    /* Pending already */
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), 0,
              "SCHEDOP_poll, pending");
    clear_port(timer);

    due = system_time() + 5 * MS;
    p.timeout = due;
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), 0,
              "SCHEDOP_poll with a timeout");
    check(system_time() >= due, "SCHEDOP_poll returned too early");
    check(!port_pending(timer), "an event out of nowhere");

    /* More than either event-channel ABI has */
    port = 200000;
    p.timeout = system_time() + 5 * MS;
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), -EINVAL,
              "SCHEDOP_poll of no port");
    p.nr_ports = 129;
    check_ret(HYPERCALL(sched_op, SCHEDOP_poll, &p), -EINVAL,
              "SCHEDOP_poll of 129 ports");
}

static struct vcpu_runstate_info area;

static void runstate(void)
{
    struct vcpu_runstate_info r1, r2;
    uint64_t sum1 = 0, sum2 = 0, blocked, due;
    struct {
        union {
            void *v;
            uint64_t p;
        } addr;
    } where = { .addr = { .p = (ulong)&area } };

    check_ret(HYPERCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &r1), 0,
              "VCPUOP_get_runstate_info");
    busy_wait(2 * MS);
    check_ret(HYPERCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &r2), 0,
              "VCPUOP_get_runstate_info");
    for (int i = 0; i < 4; i++) {
        sum1 += r1.time[i];
        sum2 += r2.time[i];
    }
    check_eq(r1.state, 0, "the state is running");
    check(sum2 >= sum1 + 2 * MS, "the times of a vCPU are less than its life");

    /* In memory, and kept there */
    area.state = 99;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0,
                        &where), 0, "VCPUOP_register_runstate_memory_area");
    check_eq(area.state, 0, "the state in memory is running");
    check(area.state_entry_time <= system_time(), "it began in the future");
    for (unsigned attempt = 0; ; attempt++) {
        blocked = area.time[2];
        nr_ticks = 0;
        due = system_time() + 10 * MS;
        set_timer_op(due);
        while (!nr_ticks && system_time() < due + 5 * S) {
            HYPERCALL(sched_op, SCHEDOP_block, 0);
        }
        blocked = area.time[2] - blocked;
        if (blocked >= 5 * MS) {
            break;
        }
        if (attempt == 10) {
            failure("the time that the vCPU was blocked rose by %llu ns",
                    (unsigned long long)blocked);
            break;
        }
    }
    check(area.state == 0, "the state in memory is running again");
}

/*
 * While a vCPU runs, the time is written anew now and then: also when it has
 * timers and when it has slept. NetBSD waits for another version when a CPU
 * starts, and for a later system_time in long delays.
 */
static void updates(void)
{
    volatile struct vcpu_time_info *t = &vcpu_info()->time;
    uint32_t version = t->version;
    uint64_t time = t->system_time, end = system_time() + 15 * S;

    while (t->version == version && system_time() < end) {
        asm volatile("pause");
    }
    check(t->version != version, "the time is not written anew");
    while (t->system_time == time && system_time() < end) {
        asm volatile("pause");
    }
    check(t->system_time != time, "the time that is written is the same");
    check(t->system_time <= system_time(), "it is in the future");
}

static void updates_after_sleep(void)
{
    uint64_t due = system_time() + 5 * S / 2;

    nr_ticks = 0;
    set_timer_op(due);
    while (!nr_ticks && system_time() < due + 5 * S) {
        HYPERCALL(sched_op, SCHEDOP_block, 0);
    }
    updates();
}

void test_main(void)
{
    evtchn_port_t timer;

    updates();
    clock();
    wallclock();

    timer = bind_virq(VIRQ_TIMER, tick);
    unmask_port(timer);
    unmask_upcalls();

    first_period();
    set_timer();
    singleshot();
    periodic();
    block();
    runstate();
    updates_after_sleep();
    clock();
    poll(timer);
}
