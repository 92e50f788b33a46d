/*
 * Time, timers and scheduling on a vCPU
 *
 * The guest reads the time in struct vcpu_time_info. With kvmclock, which has
 * the same layout, KVM writes it; else the monitor does, by the TSC's rate that
 * the machine gives. Timers use the local APIC's timer, one shot at a time.
 *
 * Called on the vCPU whose time it is: by traps.c for the timer's interrupt, by
 * dispatch.S for set_timer_op and sched_op, by vcpu.c and what starts a vCPU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"
#include "msr.h"

#define NS_PER_SEC          1000000000u

#define TIME_TSC_STABLE     1   /* the TSC is the same on all vCPUs */

/* vcpu_info has a new place: write the time there, or have KVM do so */
void vcpu_info_moved(struct vcpu *v)
{
    struct vcpu_time_info *t = &v->vcpu_info->time;

    if (boot_info->flags & XENPV_BOOT_KVM_CLOCK) {
        wrmsr(MSR_KVM_SYSTEM_TIME_NEW,
              (v->vcpu_info_gpa + offsetof(struct vcpu_info, time)) | 1);
        return;
    }
    t->version |= 1;
    barrier();
    t->tsc_timestamp = boot_info->tsc_timestamp;
    t->system_time = boot_info->system_time;
    t->tsc_to_system_mul = boot_info->tsc_to_system_mul;
    t->tsc_shift = boot_info->tsc_shift;
    t->flags = TIME_TSC_STABLE;
    barrier();
    t->version++;
}

/*
 * Update the copy for programs, VCPUOP_register_vcpu_time_memory_area. KVM
 * writes to one place only, so the monitor looks for a change at each
 * interrupt; until then the copy is older, but gives the same time.
 */
void copy_time(struct vcpu *v)
{
    struct vcpu_time_info t;
    u32 version, tries = 0;

    /* The guest may write there at the same time, so give up after a while */
    do {
        if (tries++ == 100) {
            return;
        }
        t = v->vcpu_info->time;
        barrier();
        version = v->vcpu_info->time.version;
    } while (t.version != version || (version & 1));
    v->time_version = version;
    t.version |= 1;
    if (copy_to_guest(v->time_addr, &t, sizeof(t))) {
        return;
    }
    barrier();
    copy_to_guest(v->time_addr, &version, sizeof(version));
}

/* The machine has written the wall clock; KVM, where it can, writes its own */
void init_wall_clock(void)
{
    if (boot_info->flags & XENPV_BOOT_KVM_CLOCK) {
        wrmsr(MSR_KVM_WALL_CLOCK_NEW, core_gpa((void *)&shared->wc_version));
    }
}

void init_time(struct vcpu *v)
{
    vcpu_info_moved(v);
    if (!v->id) {
        init_wall_clock();
    }
}

/* a * mul >> 32, where the product may have 96 bits */
static u64 mul_frac(u64 a, u32 mul)
{
    return (a >> 32) * mul + ((u64)(u32)a * mul >> 32);
}

u64 system_time(void)
{
    volatile struct vcpu_time_info *t = &current_vcpu()->vcpu_info->time;
    u32 version, tries = 0;
    u64 delta, time;

    do {
        version = t->version;
        barrier();
        delta = rdtsc() - t->tsc_timestamp;
        if (t->tsc_shift >= 0) {
            delta <<= t->tsc_shift & 63;
        } else {
            delta >>= -t->tsc_shift & 63;
        }
        time = t->system_time + mul_frac(delta, t->tsc_to_system_mul);
        barrier();
    } while (((version & 1) || version != t->version) && ++tries < 100);
    return time;
}

/*
 * SCHEDOP_watchdog: by a timer of the vCPU that has set it last. The vCPU that had
 * set it before may be looking at it without the lock, so a deadline is written
 * whole, and before .vcpu.
 */
#define NR_WATCHDOGS    2
static struct {
    struct vcpu *vcpu;          /* NULL: not in use */
    u64 deadline;
} watchdogs[NR_WATCHDOGS];
static struct spinlock watchdog_lock;

/* The deadline of one that is this vCPU's, else 0 */
static inline u64 watchdog_deadline(struct vcpu *v, unsigned i)
{
    return watchdogs[i].vcpu == v ? read_u64(&watchdogs[i].deadline) : 0;
}

/* Of two deadlines, of which 0 is none */
static inline u64 earlier(u64 a, u64 b)
{
    return !a || (b && b < a) ? b : a;
}

/*
 * Is the periodic timer to tick? As under Xen, a vCPU has one from the start:
 * without it, Linux 2.6.18 of RHEL 5 waits for ever for its second tick. It
 * does not wake up a blocked vCPU, which gets a due tick when it runs again.
 * Without a bound VIRQ_TIMER there is nobody to tick for.
 */
static inline bool ticks(struct vcpu *v)
{
    return v->periodic_ns && v->runstate.state == RUNSTATE_running &&
           virq_is_bound(v, VIRQ_TIMER);
}

static void tick(struct vcpu *v, u64 now)
{
    if (ticks(v) && now >= v->periodic_next) {
        v->periodic_next += v->periodic_ns;
        if (v->periodic_next < now) {
            v->periodic_next = now + v->periodic_ns;
        }
        raise_virq(v, VIRQ_TIMER);
    }
}

/*
 * Set the APIC's timer to the next deadline. Each write to it is a VM exit, and
 * a kernel that its devices wake up sets another deadline at each wakeup. So a
 * timer that is set too early is left alone: timer_interrupt() does what is due
 * by then, and sets it again.
 */
static void program_timer(struct vcpu *v, u64 now)
{
    u64 next = v->timer_deadline, delta, count;

    next = earlier(next, ticks(v) ? v->periodic_next : 0);
    next = earlier(next, v->poll_deadline);
    next = earlier(next, v->time_update);
    for (unsigned i = 0; i < NR_WATCHDOGS; i++) {
        next = earlier(next, watchdog_deadline(v, i));
    }
    if (!next || (v->timer_set && v->timer_set <= next)) {
        return;
    }
    delta = next > now ? next - now : 1;
    if (delta > 2 * (u64)NS_PER_SEC) {
        delta = 2 * (u64)NS_PER_SEC;    /* the counter has 32 bits: in steps */
    }
    v->timer_set = now + delta;
    count = div64(delta * boot_info->apic_timer_mhz, 1000) + 1;
    apic_start_timer(count > 0xffffffff ? 0xffffffff : count);
}

/*
 * Move vcpu_time_info on by whole steps of 2^32 ticks, after tsc_shift, which
 * are tsc_to_system_mul ns, 2 to 4 s. Nothing is rounded, so it gives the same
 * time as before and as on other vCPUs. False: the caller is to write it anew.
 */
static bool advance_time(struct vcpu *v)
{
    struct vcpu_time_info *t = &v->vcpu_info->time;
    u32 version = atomic_fetch_or(&t->version, 1) | 1;
    int shift = t->tsc_shift;
    u64 delta = rdtsc() - t->tsc_timestamp, steps;

    if (!(t->flags & TIME_TSC_STABLE) || shift < -31 || shift > 31 ||
        (s64)delta < 0) {
        return false;
    }
    steps = delta >> (32 - shift);
    t->tsc_timestamp += steps << (32 - shift);
    t->system_time += steps * t->tsc_to_system_mul;
    /* KVM writes here, too, while this vCPU does not run: has it since? */
    return atomic_compare_exchange_strong(&t->version, &version, version + 1);
}

/*
 * Update vcpu_time_info now, and again in a second. Xen does so while a vCPU
 * runs, and kernels wait for it: NetBSD for a new version when a CPU starts,
 * and for a later system_time in long delays. A vCPU that sleeps is not woken
 * up for it; update_runstate() does it when the vCPU runs again.
 */
void update_time(struct vcpu *v, u64 now)
{
    if (!advance_time(v)) {
        vcpu_info_moved(v);
    }
    if (v->time_addr) {
        copy_time(v);
    }
    v->time_update = now + NS_PER_SEC;
    program_timer(v, now);
}

/* a3: for SHUTDOWN_suspend, the mfn of start_info */
static long shutdown(u32 reason, ulong a3)
{
    long ret;

    if ((u8)reason == SHUTDOWN_suspend) {
        return suspend(a3);
    }
    ret = machine_call(XENPV_CALL_SHUTDOWN, (u8)reason, NULL, 0);
    if (ret) {
        return ret;
    }
    for (;;) {
        asm volatile("cli; hlt");
    }
}

void timer_interrupt(struct vcpu *v)
{
    u64 now = system_time();

    v->timer_set = 0;
    if (v->timer_deadline && now >= v->timer_deadline) {
        v->timer_deadline = 0;
        raise_virq(v, VIRQ_TIMER);
    }
    tick(v, now);
    if (v->poll_deadline && now >= v->poll_deadline) {
        v->poll_deadline = 0;
    }
    if (v->time_update && now >= v->time_update) {
        v->time_update = 0;
        if (v->runstate.state == RUNSTATE_running) {
            update_time(v, now);
        }
    }
    for (unsigned i = 0; i < NR_WATCHDOGS; i++) {
        u64 deadline = watchdog_deadline(v, i);

        if (unlikely(deadline && now >= deadline)) {
            shutdown(SHUTDOWN_watchdog, 0);
        }
    }
    program_timer(v, now);
}

/* The vCPU runs again, or its VIRQ_TIMER is bound now */
void resume_ticks(struct vcpu *v, u64 now)
{
    if (ticks(v)) {
        tick(v, now);
        program_timer(v, now);
    }
}

/* VCPUOP_set_periodic_timer, on the vCPU itself; the period in ns, 0: none */
void set_periodic_timer(struct vcpu *v, u64 ns)
{
    u64 now = system_time();

    v->periodic_ns = ns;
    v->periodic_next = now + ns;
    program_timer(v, now);
}

/* A deadline in system time, ns; 0: none */
void set_timer(struct vcpu *v, u64 deadline)
{
    u64 now = system_time();

    v->timer_deadline = deadline;
    if (deadline && deadline <= now) {
        v->timer_deadline = 0;
        raise_virq(v, VIRQ_TIMER);
        return;
    }
    program_timer(v, now);
}

HYPERCALL(do_set_timer_op)
{
    u64 deadline = WORD == 8 ? a1 : a1 | (u64)a2 << 32;

    /*
     * A deadline far ahead or "negative" comes of a wrapped tick counter of an
     * old Linux: as under Xen, make it look again in 100 ms.
     */
    if (deadline && ((s64)deadline < 0 ||
                     (s64)(deadline - system_time()) >> 50 > 0)) {
        deadline = system_time() + NS_PER_SEC / 10;
    }
    set_timer(current_vcpu(), deadline);
    return 0;
}

/* Scheduling */

static inline bool event_deliverable(struct vcpu *v)
{
    return v->vcpu_info->evtchn_upcall_pending &&
           !v->vcpu_info->evtchn_upcall_mask;
}

/* Is an NMI to be delivered? It ends a wait */
static inline bool nmi_due(struct vcpu *v)
{
    return (v->requests & REQUEST_NMI) && !v->in_nmi;
}

static long block(struct vcpu *v)
{
    v->vcpu_info->evtchn_upcall_mask = 0;
    if (!event_deliverable(v)) {
        update_runstate(v, RUNSTATE_blocked);
        do {
            idle(v);
        } while (!event_deliverable(v) && !nmi_due(v));
        update_runstate(v, RUNSTATE_running);
    }
    return 0;
}

void end_poll(struct vcpu *v)
{
    if (v->polling) {
        atomic_fetch_sub(&nr_polling, 1);
        v->polling = false;
        v->poll_deadline = 0;
    }
}

static long poll(struct vcpu *v, ulong arg)
{
    struct sched_poll p;
    ulong ports;
    long ret = 0;

    if (copy_from_guest(&p, arg, sizeof(p))) {
        return -EFAULT;
    }
    ports = *(ulong *)&p.ports;
    if (p.nr_ports > 128) {
        return -EINVAL;
    }
    if (!access_ok(ports, p.nr_ports * 4)) {
        return -EFAULT;
    }
    v->poll_deadline = p.timeout;
    v->polling = true;
    atomic_fetch_add(&nr_polling, 1);
    if (p.timeout) {
        program_timer(v, system_time());
    }
    while (!event_deliverable(v) && !nmi_due(v)) {
        for (u32 i = 0; i < p.nr_ports; i++) {
            u32 port;

            if (copy_from_guest(&port, ports + i * 4, 4)) {
                ret = -EFAULT;
                goto out;
            }
            ret = poll_port(port);
            if (ret) {
                ret = ret < 0 ? ret : 0;
                goto out;
            }
        }
        if (p.timeout && !v->poll_deadline) {
            goto out;
        }
        if (v->runstate.state != RUNSTATE_blocked) {
            update_runstate(v, RUNSTATE_blocked);
        }
        idle(v);
    }
out:
    end_poll(v);
    if (v->runstate.state != RUNSTATE_running) {
        update_runstate(v, RUNSTATE_running);
    }
    return ret;
}

void forget_watchdogs(void)
{
    spin_lock(&watchdog_lock);
    memset(watchdogs, 0, sizeof(watchdogs));
    spin_unlock(&watchdog_lock);
}

static long set_watchdog(struct vcpu *v, u32 id, u32 timeout)
{
    bool new = !id;
    long ret = 0;

    if (id > NR_WATCHDOGS) {
        return -EINVAL;
    }
    spin_lock(&watchdog_lock);
    if (!new) {
        id--;
    } else {
        while (id < NR_WATCHDOGS && watchdogs[id].vcpu) {
            id++;
        }
        ret = id + 1;
    }
    if (id == NR_WATCHDOGS) {
        ret = (u32)-ENOSPC;     /* unsigned, as Xen's is */
    } else if (!new && !watchdogs[id].vcpu) {
        ret = -EINVAL;
    } else if (!new && !timeout) {
        watchdogs[id].vcpu = NULL;
    } else {
        write_u64(&watchdogs[id].deadline,
                  system_time() + (u64)timeout * NS_PER_SEC);
        watchdogs[id].vcpu = v;
    }
    spin_unlock(&watchdog_lock);
    program_timer(v, system_time());
    return ret;
}

HYPERCALL(do_sched_op)
{
    struct vcpu *v = current_vcpu();
    struct {
        u32 id, timeout;
    } watchdog;
    u32 reason;

    switch ((u32)a1) {
    case SCHEDOP_yield:
        asm volatile("pause");
        return 0;
    case SCHEDOP_block:
        return block(v);
    case SCHEDOP_shutdown:
        if (copy_from_guest(&reason, a2, sizeof(reason))) {
            return -EFAULT;
        }
        return shutdown(reason, a3);
    case SCHEDOP_poll:
        return poll(v, a2);
    case SCHEDOP_watchdog:
        if (copy_from_guest(&watchdog, a2, sizeof(watchdog))) {
            return -EFAULT;
        }
        return set_watchdog(v, watchdog.id, watchdog.timeout);
    }
    return refuse(__HYPERVISOR_sched_op, a1);
}

HYPERCALL(do_sched_op_compat)
{
    switch ((u32)a1) {
    case SCHEDOP_yield:
    case SCHEDOP_block:
        return do_sched_op(a1, 0, 0, 0, 0);
    case SCHEDOP_shutdown:
        return shutdown(a2, a3);
    }
    return -ENOSYS;
}
