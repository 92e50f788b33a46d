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

#include "monitor.h"
#include "frame.h"

#define REQUEST_PERIODIC    2       /* .new_periodic_ns is to be set */

/* With what a vCPU starts: struct vcpu_guest_context, as far as it is not
 * in struct vcpu at once */
struct start {
    u8 fpu[512] __attribute__((aligned(16)));
    struct regs regs;
    bool fpu_valid;
    u16 ds, es, fs, gs;
    ulong ldt_base, ldt_ents;
#ifdef __x86_64__
    u64 fs_base, gs_base_kernel, gs_base_user;
#endif
};
_Static_assert(sizeof(struct start) <= PAGE_SIZE, "");

void *new_start(void)
{
    return alloc_page();
}

static struct spinlock vcpus_lock;      /* VCPUOP_initialise, up and down */

/* What vCPUs ask of each other */

void kick_vcpu(struct vcpu *v)
{
    apic_send(v->apic_id, XENPV_IPI_VECTOR);
}

static void request(struct vcpu *v, u32 bits)
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

static void wait_a_little(void)
{
    struct vcpu *v = current_vcpu();

    asm volatile("pause");
    if (flush_is_asked(v)) {
        do_flush(v);
    }
}

void spin_wait(void)
{
    /* On the boot stack there is no vCPU yet, and nobody to wait for */
    wait_a_little();
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
                wait_a_little();
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
            wait_a_little();
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
        set_periodic_timer(v, v->new_periodic_ns);
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

/* With the flag that says that it is being written, if the guest wants that */
static void write_runstate(struct vcpu *v)
{
    const u64 updating = 1ULL << 63;        /* XEN_RUNSTATE_UPDATE */
    ulong entry_time = v->runstate_addr +
                       offsetof(struct vcpu_runstate_info, state_entry_time);
    ulong top = entry_time + 8 - sizeof(ulong);
    bool flag = vm_assists & 1UL << VMASST_TYPE_runstate_update_flag;

    if (!v->runstate_addr) {
        return;
    }
    if (flag) {
        ulong high = (v->runstate.state_entry_time | updating) >>
                     (64 - 8 * sizeof(ulong));

        copy_to_guest(top, &high, sizeof(high));
        v->runstate.state_entry_time |= updating;
        barrier();
    }
    copy_to_guest(v->runstate_addr, &v->runstate, sizeof(v->runstate));
    if (flag) {
        ulong high;

        v->runstate.state_entry_time &= ~updating;
        high = v->runstate.state_entry_time >> (64 - 8 * sizeof(ulong));
        barrier();
        copy_to_guest(top, &high, sizeof(high));
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

void vcpu_offline(struct vcpu *v)
{
    int was = v->runstate.state;

    update_runstate(v, RUNSTATE_offline);
    while (!__atomic_load_n(&v->up, __ATOMIC_SEQ_CST)) {
        halt(v);
    }
    ask_again(v);
    update_runstate(v, was);
}

static void load_fpu(const struct start *st)
{
    asm volatile("clts");
    if (st->fpu_valid) {
        asm volatile("1: fxrstor %0\n\t"
                     "2:\n\t"
                     EX_TABLE(1b, 2b)
                     : : "m" (st->fpu));
    }
}

/* A selector that cannot be loaded is null */
#define LOAD_SEGMENT(name, sel) \
    asm volatile("1: mov %0, %%" name "\n\t" \
                 "2:\n\t" \
                 ".pushsection .fixup, \"ax\"\n\t" \
                 "3: mov %1, %%" name "\n\t" \
                 "jmp 2b\n\t" \
                 ".popsection\n\t" \
                 EX_TABLE(1b, 3b) \
                 : : "r" ((ulong)(sel)), "r" (0UL))

/* A vCPU that has never run waits here, and starts with what it was given */
void run_secondary(void)
{
    struct vcpu *v = current_vcpu();
    struct start *st;
    struct regs regs;

    /* The first vCPU waits for this: from here on interrupts are taken */
    __atomic_store_n(&v->ready, true, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&v->up, __ATOMIC_SEQ_CST)) {
        halt(v);
    }
    ask_again(v);
    st = v->start;
    write_cr3(v->kernel_cr3);
    init_time(v);
    if (v->time_addr) {
        copy_time(v);
    }
    update_runstate(v, RUNSTATE_running);
    set_ldt(v, st->ldt_base, st->ldt_ents);
    load_debugregs(v);
    set_own_trap_table(v);
    load_fpu(st);
    regs = st->regs;
#ifdef __x86_64__
    LOAD_SEGMENT("ds", st->ds);
    LOAD_SEGMENT("es", st->es);
    LOAD_SEGMENT("fs", st->fs);
    LOAD_SEGMENT("gs", st->gs);
    wrmsr(MSR_FS_BASE, st->fs_base);
    wrmsr(MSR_GS_BASE, st->gs_base_kernel);
    wrmsr(MSR_KERNEL_GS_BASE, st->gs_base_user);
#else
    LOAD_SEGMENT("fs", st->fs);
    LOAD_SEGMENT("gs", st->gs);
#endif
    enter_guest(&regs);
}

#define CONTEXT(field) \
    (arg + offsetof(struct vcpu_guest_context, field))
#define GET_CONTEXT(to, field) \
    copy_from_guest(to, CONTEXT(field), \
                    sizeof(((struct vcpu_guest_context *)0)->field))

/*
 * VCPUOP_initialise. The context is larger than the stack, so it is read part
 * by part, into the vCPU that has none yet.
 */
static long initialise(struct vcpu *v, ulong arg)
{
    struct start *st = v->start;
    struct cpu_user_regs user;
    ulong flags, gdt_frames[16], gdt_ents, kernel_stack[2], cr[8], dr[8];
    ulong callbacks[WORD == 8 ? 3 : 4];
    long ret;

    if (v->initialised) {
        return -EEXIST;
    }
    if (GET_CONTEXT(st->fpu, fpu_ctxt) || GET_CONTEXT(&flags, flags) ||
        GET_CONTEXT(&user, user_regs) ||
        GET_CONTEXT(&st->ldt_base, ldt_base) ||
        GET_CONTEXT(&st->ldt_ents, ldt_ents) ||
        GET_CONTEXT(gdt_frames, gdt_frames) ||
        GET_CONTEXT(&gdt_ents, gdt_ents) ||
        copy_from_guest(kernel_stack, CONTEXT(kernel_ss),
                        sizeof(kernel_stack)) ||
        GET_CONTEXT(cr, ctrlreg) || GET_CONTEXT(dr, debugreg) ||
#ifdef __x86_64__
        copy_from_guest(callbacks, CONTEXT(event_callback_eip),
                        sizeof(callbacks)) ||
        copy_from_guest(&st->fs_base, CONTEXT(fs_base), 24) ||
#else
        copy_from_guest(callbacks, CONTEXT(event_callback_cs),
                        sizeof(callbacks)) ||
#endif
        copy_from_guest(v->traps, CONTEXT(trap_ctxt), sizeof(v->traps))) {
        return -EFAULT;
    }

    /* As Xen's arch_set_info_guest */
    if (st->ldt_ents > 8192 || (st->ldt_base & (PAGE_SIZE - 1))) {
        return -EINVAL;
    }
#ifdef __x86_64__
    if (!canonical(user.rip) || !canonical(user.rsp) ||
        !canonical(kernel_stack[1]) || !canonical(callbacks[0]) ||
        !canonical(callbacks[1]) || !canonical(callbacks[2]) ||
        !canonical(st->fs_base) || !canonical(st->gs_base_kernel) ||
        !canonical(st->gs_base_user) || !canonical(st->ldt_base) ||
        !access_ok(st->ldt_base, 1) ||
        (!(flags & VGCF_IN_KERNEL) && !cr[1])) {
        return -EINVAL;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(v->traps); i++) {
        if (!canonical(v->traps[i].address)) {
            return -EINVAL;
        }
    }
#endif
    for (unsigned i = 0; i < 8; i++) {
        unsigned reg = i;

        if (i == 4 || i == 5) {
            continue;
        }
        if (check_debugreg(v, &reg, &dr[i])) {
            dr[i] = i == 6 ? 0xffff0ff0 : i == 7 ? 0x400 : 0;
        }
    }
    ret = set_gdt_frames(v, gdt_frames, gdt_ents);
    if (ret) {
        return ret;
    }
    ret = set_base_table(v, xen_cr3_to_pfn(cr[3]), false);
#ifdef __x86_64__
    if (!ret && cr[1]) {
        ret = set_base_table(v, xen_cr3_to_pfn(cr[1]), true);
    }
#endif
    if (ret) {
        set_gdt_frames(v, NULL, 0);
        return -EINVAL;
    }
    for (unsigned i = 0; i < 8; i++) {
        v->debugreg[i] = dr[i];
    }
    v->kernel_ss = kernel_stack[0];
    v->kernel_sp = kernel_stack[1];
    v->iopl = user.eflags >> 12 & 3;
    st->fpu_valid = flags & VGCF_I387_VALID;
    st->ds = user.ds;
    st->es = user.es;
    st->fs = user.fs;
    st->gs = user.gs;

    memset(&st->regs, 0, sizeof(st->regs));
    st->regs.ip = user.eip;
    st->regs.sp = user.esp;
    st->regs.flags = (user.eflags & ~(ulong)(EFL_IOPL | EFL_NT | EFL_VM)) |
                     EFL_IF | 2;
    st->regs.ax = user.eax;
    st->regs.bx = user.ebx;
    st->regs.cx = user.ecx;
    st->regs.dx = user.edx;
    st->regs.si = user.esi;
    st->regs.di = user.edi;
    st->regs.bp = user.ebp;
#ifdef __x86_64__
    st->regs.r8 = user.r8;
    st->regs.r9 = user.r9;
    st->regs.r10 = user.r10;
    st->regs.r11 = user.r11;
    st->regs.r12 = user.r12;
    st->regs.r13 = user.r13;
    st->regs.r14 = user.r14;
    st->regs.r15 = user.r15;
    if (flags & VGCF_IN_KERNEL) {
        v->mode = V_MODE_KERNEL;
        st->regs.cs = RING1_CS;
        st->regs.ss = RING1_SS;
    } else {
        v->mode = 0;
        st->regs.cs = user.cs | 3;
        st->regs.ss = user.ss | 3;
    }
    v->event.cs = v->failsafe.cs = RING1_CS;
    v->event.ip = callbacks[0];
    v->failsafe.ip = callbacks[1];
    v->syscall_cb = callbacks[2];
    v->failsafe.masks = flags & VGCF_failsafe_disables_events;
    v->syscall_masks = flags & VGCF_syscall_disables_events ? 1 : 0;
#else
    st->regs.ds = user.ds;
    st->regs.es = user.es;
    st->regs.cs = user.cs & 3 ? user.cs : user.cs | 1;
    st->regs.ss = user.ss & 3 ? user.ss : user.ss | 1;
    set_kernel_stack(v, kernel_stack[0], kernel_stack[1]);
    v->event.cs = callbacks[0] & 3 ? callbacks[0] : callbacks[0] | 1;
    v->event.ip = callbacks[1];
    v->failsafe.cs = callbacks[2] & 3 ? callbacks[2] : callbacks[2] | 1;
    v->failsafe.ip = callbacks[3];
    v->failsafe.masks = flags & VGCF_failsafe_disables_events;
#endif
    v->initialised = true;
    return 0;
}

static long vcpu_down(struct vcpu *v)
{
    struct vcpu *self = current_vcpu();
    bool last = true;

    spin_lock(&vcpus_lock);
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        last = last && (vcpus[i] == v || !vcpus[i]->up);
    }
    if (!last) {
        __atomic_store_n(&v->up, false, __ATOMIC_SEQ_CST);
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
        __atomic_store_n(&v->up, true, __ATOMIC_SEQ_CST);
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
        vcpu_info_moved(v);     /* else when the vCPU starts */
    }
    /* Nothing may be lost on the way: everything is pending once */
    new->evtchn_pending_sel = ~0UL;
    new->evtchn_upcall_pending = 1;
    return 0;
}

HYPERCALL(do_vcpu_op)
{
    struct vcpu *self = current_vcpu(), *v;
    union {
        struct vcpu_set_periodic_timer periodic;
        struct vcpu_set_singleshot_timer single;
        ulong area;         /* an address: of 32-bit guests no more is read */
    } u;
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
        ret = initialise(v, a3);
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
        if (copy_from_guest(&u.area, a3, sizeof(u.area)) ||
            !access_ok(u.area, sizeof(v->runstate))) {
            return -EFAULT;
        }
        v->runstate_addr = u.area;
        if (v == self) {
            update_runstate(v, v->runstate.state);
        } else {
            get_runstate(v, v->runstate_addr);
        }
        return 0;
    case VCPUOP_set_periodic_timer:
        if (copy_from_guest(&u.periodic, a3, sizeof(u.periodic))) {
            return -EFAULT;
        }
        if (u.periodic.period_ns < 1000000 || u.periodic.period_ns >> 62) {
            return -EINVAL;
        }
        if (v == self) {
            set_periodic_timer(v, u.periodic.period_ns);
        } else {
            v->new_periodic_ns = u.periodic.period_ns;
            request(v, REQUEST_PERIODIC);
        }
        return 0;
    case VCPUOP_stop_periodic_timer:
        if (v == self) {
            set_periodic_timer(v, 0);
        } else {
            v->new_periodic_ns = 0;
            request(v, REQUEST_PERIODIC);
        }
        return 0;
    case VCPUOP_set_singleshot_timer:
        if (v != self) {
            return -EINVAL;
        }
        if (copy_from_guest(&u.single, a3, sizeof(u.single))) {
            return -EFAULT;
        }
        /* VCPU_SSHOTTMR_future is ignored since Xen 4.17: late is at once */
        set_timer(v, u.single.timeout_abs_ns ? u.single.timeout_abs_ns : 1);
        return 0;
    case VCPUOP_stop_singleshot_timer:
        if (v != self) {
            return -EINVAL;
        }
        set_timer(v, 0);
        return 0;
    case VCPUOP_register_vcpu_info:
        return register_vcpu_info(v, a3);
    case VCPUOP_send_nmi:
        if (a3) {
            return -EINVAL;
        }
        request(v, REQUEST_NMI);
        return 0;
    case VCPUOP_register_vcpu_time_memory_area:
        if (copy_from_guest(&u.area, a3, sizeof(u.area)) ||
            !access_ok(u.area, sizeof(struct vcpu_time_info))) {
            return -EFAULT;
        }
        v->time_addr = u.area;
        if (v == self) {
            copy_time(v);
        }
        return 0;
    }
    return refuse(__HYPERVISOR_vcpu_op, a1);
}
