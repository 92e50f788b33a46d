/*
 * vCPUs: how they come up and go down, run, and wait; and VCPUOP_*
 *
 * A vCPU has its CPU from the machine for good: while it is not up, it waits in
 * wait_until_up(). traps.c, time.c and dispatch.S call this file on the vCPU
 * itself. It, time.c and events.c call each other: a timer raises an event, an
 * event ends a vCPU's wait, and a vCPU that waits needs the time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"

struct spinlock vcpus_lock;

/* For vCPUs beyond those in shared_info, until the guest places theirs */
static struct vcpu_info no_vcpu_info;

struct vcpu_info *first_vcpu_info(u32 id)
{
    return id < XEN_LEGACY_MAX_VCPUS ? &shared->vcpu_info[id] : &no_vcpu_info;
}

/* Called for XENPV_IPI_VECTOR; traps.c sees to REQUEST_NMI */
void do_requests(struct vcpu *v)
{
    answer_flush(v);
    if (take_request(v, REQUEST_PERIODIC)) {
        set_periodic_timer(v, read_u64(&v->new_periodic_ns));
    }
    if (take_request(v, REQUEST_MOVED)) {
        vcpu_info_moved(v);
    }
    if (take_request(v, REQUEST_TICKS)) {
        resume_ticks(v, system_time());
    }
}

/*
 * A back end's answer is often only a few microseconds away. Polling for it
 * saves the VM exits of HLT, of the vector and of its EOI. For how long to poll
 * depends on how long the last wait took, as with Linux' haltpoll: twice as
 * long after a short one, up to a limit, and not at all after a long one.
 */
#define FIRST_POLL(max)     ((max) / 4)

static void adjust_poll(struct vcpu *v, u64 waited)
{
    u32 max = boot_info->poll_max_ns;

    if (waited > max) {
        v->poll_ns = 0;
    } else if (!v->poll_ns) {
        v->poll_ns = FIRST_POLL(max);
    } else {
        v->poll_ns = v->poll_ns > max / 2 ? max : v->poll_ns * 2;
    }
}

/* HLT, or polling in its place */
static void halt(struct vcpu *v)
{
    if (counting()) {
        count_leave();
    }
    atomic_store(&v->idle, true);
    if (v->told_backend && boot_info->poll_max_ns) {
        v->told_backend = false;
        v->wait_start = system_time();
        if (poll_incoming(v, v->wait_start + v->poll_ns)) {
            v->wait_start = 0;
        }
    } else {
        asm volatile("sti; hlt; cli" : : : "memory");
        if (v->wait_start) {
            adjust_poll(v, system_time() - v->wait_start);
            v->wait_start = 0;
        }
    }
    wake_up(v);
    if (counting()) {
        count_enter();
    }
    ask_again(v);
}

/* Wait for an interrupt and handle it; may return without one */
void idle(struct vcpu *v)
{
    halt(v);
    if (unlikely(!v->up)) {
        vcpu_offline(v);
    }
}

/* Runstates */

/* Write the half of state_entry_time that has the flag, set or clear */
static void write_updating(struct vcpu *v, bool updating)
{
    const ulong at = offsetof(struct vcpu_runstate_info, state_entry_time) +
                     sizeof(u64) - sizeof(ulong);

    if (vm_assists & 1UL << VMASST_TYPE_runstate_update_flag) {
        barrier();
        v->runstate.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
        v->runstate.state_entry_time |= updating ? XEN_RUNSTATE_UPDATE : 0;
        copy_to_guest(v->runstate_addr + at, (char *)&v->runstate + at,
                      sizeof(ulong));
        barrier();
    }
}

static void write_runstate(struct vcpu *v)
{
    if (v->runstate_addr) {
        write_updating(v, true);
        copy_to_guest(v->runstate_addr, &v->runstate, sizeof(v->runstate));
        write_updating(v, false);
    }
}

void update_runstate(struct vcpu *v, int state)
{
    u64 now = system_time();

    v->runstate.time[v->runstate.state] += now - v->runstate.state_entry_time;
    v->runstate.state_entry_time = now;
    v->runstate.state = state;
    write_runstate(v);
    if (state == RUNSTATE_running) {
        if (!v->time_update) {
            update_time(v, now);
        }
        resume_ticks(v, now);
    }
}

/* The times up to now; those of another vCPU may be a little out of date */
static long get_runstate(struct vcpu *v, ulong to)
{
    struct vcpu_runstate_info info = v->runstate;
    u64 now = system_time();

    if (now > info.state_entry_time) {
        info.time[info.state] += now - info.state_entry_time;
    }
    return copy_to_guest(to, &info, sizeof(info));
}

/* Off and on */

void wait_until_up(struct vcpu *v)
{
    while (!v->runs) {
        while (!atomic_load(&v->up)) {
            halt(v);
        }
        /* From here on nobody changes .start: see forget_vcpus() */
        spin_lock(&vcpus_lock);
        v->runs = v->up;
        spin_unlock(&vcpus_lock);
    }
    ask_again(v);
}

void vcpu_offline(struct vcpu *v)
{
    int was = v->runstate.state;

    atomic_store(&v->runs, false);
    update_runstate(v, RUNSTATE_offline);
    wait_until_up(v);
    if (v->renewed) {
        start_vcpu_on(area_base() + STACK_TOP);
    }
    update_runstate(v, was);
}

/* Called with vcpus_lock held. An unplug on the machine's side waits for it */
static void set_up(struct vcpu *v, bool up)
{
    u32 id = v->id;

    atomic_store(&v->up, up);
    machine_call(XENPV_CALL_VCPU, up ? VCPUOP_up : VCPUOP_down, &id,
                 sizeof(id));
}

static long vcpu_down(struct vcpu *v)
{
    struct vcpu *self = current_vcpu();
    bool last = true;

    spin_lock(&vcpus_lock);
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        last = last && (vcpus[i] == v || !vcpus[i]->up);
    }
    if (!last && v->up) {
        set_up(v, false);
    }
    spin_unlock(&vcpus_lock);
    if (last) {
        /* A domain without a vCPU has powered itself off */
        return machine_call(XENPV_CALL_SHUTDOWN, SHUTDOWN_poweroff, NULL, 0);
    }
    if (v == self) {
        vcpu_offline(v);
    } else {
        kick_vcpu(v);
    }
    return 0;
}

static long vcpu_up(struct vcpu *v)
{
    long ret = 0;

    spin_lock(&vcpus_lock);
    if (!v->initialised) {
        ret = -EINVAL;
    } else if (!v->up) {
        set_up(v, true);
        kick_vcpu(v);
    }
    spin_unlock(&vcpus_lock);
    return ret;
}

/* Called with vcpus_lock held: a vcpu_info is placed once, by one vCPU */
static long place_vcpu_info(struct vcpu *v,
                            const struct vcpu_register_vcpu_info *info)
{
    struct vcpu_info *old = v->vcpu_info, *new;
    struct vcpu *self = current_vcpu();

    if (v->area_l1[AREA_VCPU_INFO] || (v != self && v->up) ||
        !guest_mfn_valid(info->mfn) || mfn_is_table(info->mfn)) {
        return -EINVAL;
    }
    map_area_page(v, AREA_VCPU_INFO, info->mfn << 12 | AREA_DATA);
    new = (void *)((ulong)v - VCPU_OFFSET + AREA_VCPU_INFO * PAGE_SIZE +
                   info->offset);
    *new = *old;
    v->vcpu_info = new;
    v->vcpu_info_gpa = (info->mfn << 12) + info->offset;
    if (v == self) {
        vcpu_info_moved(v);
    } else if (v->initialised) {
        request(v, REQUEST_MOVED);
    }
    /* No event may be lost in the move, so make everything pending once */
    new->evtchn_pending_sel = ~0UL;
    new->evtchn_upcall_pending = 1;
    return 0;
}

static long register_vcpu_info(struct vcpu *v, ulong arg)
{
    struct vcpu_register_vcpu_info info;
    long ret;

    if (copy_from_guest(&info, arg, sizeof(info))) {
        return -EFAULT;
    }
    if (info.offset > PAGE_SIZE - sizeof(struct vcpu_info) ||
        (info.offset & (sizeof(ulong) - 1))) {
        return -ENXIO;
    }
    spin_lock(&vcpus_lock);
    ret = place_vcpu_info(v, &info);
    spin_unlock(&vcpus_lock);
    return ret;
}

/*
 * The periodic timer, which xenlinux and HaLVM set. Only the vCPU itself can do
 * that, so another one sends it a request.
 */
void set_period(struct vcpu *v, u64 ns)
{
    if (v == current_vcpu()) {
        set_periodic_timer(v, ns);
    } else {
        write_u64(&v->new_periodic_ns, ns);
        request(v, REQUEST_PERIODIC);
    }
}

static long timer_op(struct vcpu *v, u32 cmd, ulong arg)
{
    struct vcpu_set_periodic_timer periodic = { 0 };
    struct vcpu_set_singleshot_timer single = { 0 };

    switch (cmd) {
    case VCPUOP_set_periodic_timer:
        if (copy_from_guest(&periodic, arg, sizeof(periodic))) {
            return -EFAULT;
        }
        if (periodic.period_ns < 1000000 || periodic.period_ns >> 62) {
            return -EINVAL;
        }
        set_period(v, periodic.period_ns);
        return 0;
    case VCPUOP_stop_periodic_timer:
        set_period(v, 0);
        return 0;
    }
    if (v != current_vcpu()) {
        return -EINVAL;
    }
    if (cmd == VCPUOP_stop_singleshot_timer) {
        set_timer(v, 0);
        return 0;
    }
    if (copy_from_guest(&single, arg, sizeof(single))) {
        return -EFAULT;
    }
    /* VCPU_SSHOTTMR_future is ignored since Xen 4.17: late means at once */
    set_timer(v, single.timeout_abs_ns ? single.timeout_abs_ns : 1);
    return 0;
}

HYPERCALL(do_vcpu_op)
{
    struct vcpu *self = current_vcpu(), *v;
    ulong area;             /* its address, as wide as the guest's pointers */
    long ret;

    if ((u32)a2 >= boot_info->nr_vcpus) {
        return -ENOENT;
    }
    v = vcpus[(u32)a2];
    switch ((u32)a1) {
    case VCPUOP_initialise:
        if (v->id >= XEN_LEGACY_MAX_VCPUS && !v->area_l1[AREA_VCPU_INFO]) {
            return -EINVAL;
        }
        spin_lock(&vcpus_lock);
        ret = initialise_vcpu(v, a3);
        spin_unlock(&vcpus_lock);
        return ret;
    case VCPUOP_up:
        return vcpu_up(v);
    case VCPUOP_down:
        return vcpu_down(v);
    case VCPUOP_is_up:
        return v->up;
    case VCPUOP_get_runstate_info:
        return get_runstate(v, a3);
    case VCPUOP_register_runstate_memory_area:
        if (copy_from_guest(&area, a3, sizeof(area)) ||
            !access_ok(area, sizeof(v->runstate))) {
            return -EFAULT;
        }
        v->runstate_addr = area;
        if (v == self) {
            update_runstate(v, v->runstate.state);
        } else {
            get_runstate(v, v->runstate_addr);
        }
        return 0;
    case VCPUOP_set_periodic_timer:
    case VCPUOP_stop_periodic_timer:
    case VCPUOP_set_singleshot_timer:
    case VCPUOP_stop_singleshot_timer:
        return timer_op(v, a1, a3);
    case VCPUOP_register_vcpu_info:
        return register_vcpu_info(v, a3);
    case VCPUOP_send_nmi:
        if (a3) {
            return -EINVAL;
        }
        request(v, REQUEST_NMI);
        return 0;
    case VCPUOP_register_vcpu_time_memory_area:
        if (copy_from_guest(&area, a3, sizeof(area)) ||
            !access_ok(area, sizeof(struct vcpu_time_info))) {
            return -EFAULT;
        }
        v->time_addr = area;
        if (v == self) {
            copy_time(v);
        }
        return 0;
    }
    return refuse(__HYPERVISOR_vcpu_op, a1);
}
