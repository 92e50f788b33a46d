/*
 * vCPUs: how they come and go, and what they ask of each other
 *
 * A vCPU is a CPU of the machine, for good: one that is not up waits in
 * vcpu_offline(). What one asks of another it leaves in the other's struct
 * vcpu and, unless that is idle and will look anyway, sends XENPV_IPI_VECTOR.
 * The monitor runs with interrupts off, so a vCPU answers when it goes back to
 * the guest, when it is idle, or when it waits itself: for a lock, or for a
 * flush. So whoever holds a lock may wait for a flush.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "frame.h"

static struct spinlock vcpus_lock;      /* VCPUOP_initialise, up and down */

/* What vCPUs ask of each other */

void kick_vcpu(struct vcpu *v)
{
    apic_send(v->apic_id, XENPV_IPI_VECTOR);
}

void request(struct vcpu *v, u32 bits)
{
    __atomic_fetch_or(&v->requests, bits, __ATOMIC_SEQ_CST);
    kick_vcpu(v);
}

/*
 * The number of requests is read first: what was asked up to then is in .flush
 * when that is read.
 */
static void do_flush(struct vcpu *v)
{
    u32 asked = __atomic_load_n(&v->flush_asked, __ATOMIC_SEQ_CST);
    ulong what = __atomic_exchange_n(&v->flush, FLUSH_NONE, __ATOMIC_SEQ_CST);

    if (what != FLUSH_NONE) {
        flush_for_others(v, what);
    }
    __atomic_store_n(&v->flush_done, asked, __ATOMIC_SEQ_CST);
}

static inline bool flush_is_asked(struct vcpu *v)
{
    return __atomic_load_n(&v->flush_asked, __ATOMIC_SEQ_CST) != v->flush_done;
}

/* On the boot stack there is no vCPU yet, and nobody to wait for */
void spin_wait(void)
{
    struct vcpu *v = current_vcpu();

    asm volatile("pause");
    if (flush_is_asked(v)) {
        do_flush(v);
    }
}

/* Returns the request's number */
static u32 ask_flush(struct vcpu *v, ulong what)
{
    ulong old = __atomic_load_n(&v->flush, __ATOMIC_SEQ_CST), both;

    do {
        both = old == FLUSH_NONE || old == what ? what : FLUSH_ALL;
    } while (!__atomic_compare_exchange_n(&v->flush, &old, both, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return __atomic_add_fetch(&v->flush_asked, 1, __ATOMIC_SEQ_CST);
}

/*
 * Flush what (FLUSH_ALL or a page's address) from the TLBs of the vCPUs in
 * mask, but not of this one; returns when it is done. Idle vCPUs are left to
 * do it before they go on, or when a table goes: see flush_idle().
 */
void flush_others(u64 mask, ulong what)
{
    struct vcpu *self = current_vcpu();
    u32 nr = boot_info->nr_vcpus;
    u32 asked[XENPV_MAX_VCPUS];

    mask &= ~(1ULL << self->id);
    if (nr < 64) {
        mask &= (1ULL << nr) - 1;
    }
    for (u32 i = 0; i < nr; i++) {
        if (mask >> i & 1) {
            asked[i] = ask_flush(vcpus[i], what);
            if (counting()) {
                count_flush();
            }
            if (__atomic_load_n(&vcpus[i]->idle, __ATOMIC_SEQ_CST)) {
                mask &= ~(1ULL << i);
            } else {
                kick_vcpu(vcpus[i]);
            }
        }
    }
    for (u32 i = 0; i < nr; i++) {
        if (mask >> i & 1) {
            while ((int)(__atomic_load_n(&vcpus[i]->flush_done,
                                         __ATOMIC_SEQ_CST) - asked[i]) < 0 &&
                   !__atomic_load_n(&vcpus[i]->idle, __ATOMIC_SEQ_CST)) {
                spin_wait();
            }
        }
    }
}

/*
 * A page table is going to be something else: who has been asked to flush, and was
 * idle, has done it when this returns. The CPU may still be walking its tables.
 */
void flush_idle(void)
{
    struct vcpu *self = current_vcpu();

    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        struct vcpu *v = vcpus[i];
        u32 asked;

        if (!v || v == self || likely(!flush_is_asked(v))) {
            continue;
        }
        asked = __atomic_load_n(&v->flush_asked, __ATOMIC_SEQ_CST);
        kick_vcpu(v);
        while ((int)(__atomic_load_n(&v->flush_done, __ATOMIC_SEQ_CST) -
                     asked) < 0) {
            spin_wait();
        }
    }
}

/*
 * An interrupt in halt(): its handler looks at the guest's memory, and so who
 * asks for a flush from now on has to wait for it.
 */
void wake_up(struct vcpu *v)
{
    __atomic_store_n(&v->idle, false, __ATOMIC_SEQ_CST);
    if (unlikely(flush_is_asked(v))) {
        do_flush(v);
    }
}

/* XENPV_IPI_VECTOR has come, or the vCPU wakes up */
void do_requests(struct vcpu *v)
{
    if (flush_is_asked(v)) {
        do_flush(v);
    }
    if (__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQUEST_PERIODIC) {
        __atomic_fetch_and(&v->requests, ~REQUEST_PERIODIC, __ATOMIC_SEQ_CST);
        set_periodic_timer(v, read_u64(&v->new_periodic_ns));
    }
    if (__atomic_load_n(&v->requests, __ATOMIC_SEQ_CST) & REQUEST_MOVED) {
        __atomic_fetch_and(&v->requests, ~REQUEST_MOVED, __ATOMIC_SEQ_CST);
        vcpu_info_moved(v);
    }
}

/* Is the vCPU, on its way back to the guest, to tell it of an NMI? */
bool take_nmi(struct vcpu *v)
{
    return __atomic_fetch_and(&v->requests, ~REQUEST_NMI, __ATOMIC_SEQ_CST) &
           REQUEST_NMI;
}

void request_nmi(struct vcpu *v)
{
    __atomic_fetch_or(&v->requests, REQUEST_NMI, __ATOMIC_SEQ_CST);
}

/*
 * A back end's answer is often only a few microseconds away. To look for it for
 * a while spares the VM exits of HLT, of the vector and of its end. How long
 * that is follows what it would have taken, as with Linux' haltpoll: a wait that
 * would have been short makes it longer, up to a limit, and a long one ends it.
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

/*
 * An interrupt that was taken here may have been for what only the guest's way
 * through do_trap() does: then there is to be another. An NMI of a vCPU that is
 * not up waits until it is.
 */
static void ask_again(struct vcpu *v)
{
    if (unlikely(v->requests & REQUEST_NMI) && !v->in_nmi && v->up) {
        kick_vcpu(v);
    }
}

void let_interrupts_in(void)
{
    struct vcpu *v = current_vcpu();

    asm volatile("sti; nop; cli" : : : "memory");
    ask_again(v);
    if (unlikely(!v->up)) {
        kick_vcpu(v);       /* it is to go down, but not in the middle of this */
    }
}

/* HLT, or what takes its place */
static void halt(struct vcpu *v)
{
    if (counting()) {
        count_idle(true);
    }
    __atomic_store_n(&v->idle, true, __ATOMIC_SEQ_CST);
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
        count_idle(false);
    }
    ask_again(v);
}

/* Wait for an interrupt, which is taken before this returns; or for less */
void idle(struct vcpu *v)
{
    halt(v);
    if (unlikely(!v->up)) {
        vcpu_offline(v);
    }
}

/* Runstates */

/* The half of state_entry_time that has the flag, with or without it */
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
    if (state == RUNSTATE_running && !v->time_update) {
        update_time(v, now);
    }
}

/* As of now; another vCPU's may be a little late */
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
    while (!__atomic_load_n(&v->up, __ATOMIC_SEQ_CST)) {
        halt(v);
    }
    ask_again(v);
}

void vcpu_offline(struct vcpu *v)
{
    int was = v->runstate.state;

    update_runstate(v, RUNSTATE_offline);
    wait_until_up(v);
    update_runstate(v, was);
}

/* The machine has plugged it, or would like to have it back. With vcpus_lock */
static void set_up(struct vcpu *v, bool up)
{
    u32 id = v->id;

    __atomic_store_n(&v->up, up, __ATOMIC_SEQ_CST);
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

static long register_vcpu_info(struct vcpu *v, ulong arg)
{
    struct vcpu_register_vcpu_info info;
    struct vcpu_info *old = v->vcpu_info, *new;
    struct vcpu *self = current_vcpu();

    if (copy_from_guest(&info, arg, sizeof(info))) {
        return -EFAULT;
    }
    if (info.offset > PAGE_SIZE - sizeof(struct vcpu_info) ||
        (info.offset & (sizeof(ulong) - 1))) {
        return -ENXIO;
    }
    if (v->area_l1[AREA_VCPU_INFO] || (v != self && v->up) ||
        !guest_mfn_valid(info.mfn) || mfn_is_table(info.mfn)) {
        return -EINVAL;
    }
    map_area_page(v, AREA_VCPU_INFO, info.mfn << 12 | PTE_P | PTE_RW | PTE_A |
                                     PTE_D);
    new = (void *)((ulong)v - VCPU_OFFSET + AREA_VCPU_INFO * PAGE_SIZE +
                   info.offset);
    *new = *old;
    v->vcpu_info = new;
    v->vcpu_info_gpa = (info.mfn << 12) + info.offset;
    if (v == self) {
        vcpu_info_moved(v);
    } else if (v->initialised) {
        request(v, REQUEST_MOVED);
    }
    /* Nothing may be lost on the way: everything is pending once */
    new->evtchn_pending_sel = ~0UL;
    new->evtchn_upcall_pending = 1;
    return 0;
}

/* The periodic timer is the vCPU's own to set, and so is asked of another one */
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
    /* VCPU_SSHOTTMR_future is ignored since Xen 4.17: late is at once */
    set_timer(v, single.timeout_abs_ns ? single.timeout_abs_ns : 1);
    return 0;
}

HYPERCALL(do_vcpu_op)
{
    struct vcpu *self = current_vcpu(), *v;
    ulong area;             /* an address: of 32-bit guests no more is read */
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
