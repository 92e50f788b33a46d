/*
 * SHUTDOWN_suspend: what the monitor forgets of a domain that goes on
 *
 * time.c calls suspend() on the vCPU that asks. The machine returns when the domain
 * is woken up, and has undone all that is its own to undo: event channels, grants,
 * xenstore. The kernel finds here what Xen's tools put into a new domain from a saved
 * one, which is the vCPUs' registers, tables and callbacks; and not what it had
 * registered by other hypercalls. So it registers that anew.
 *
 * The other vCPUs run, in Linux with interrupts off, until they are asked for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

/* All others have done with what they had read before this was called */
static void wait_for_others(void)
{
    flush_others(~0ULL, FLUSH_ALL);
    flush_idle();
}

/* To where it was at first; the page in which it was is still mapped */
static void move_vcpu_info(struct vcpu *v)
{
    struct vcpu_info *old = v->vcpu_info, *new = first_vcpu_info(v->id);

    if (old != new) {
        new->time = old->time;
        new->evtchn_upcall_mask = old->evtchn_upcall_mask;
    }
    new->evtchn_pending_sel = 0;
    new->evtchn_upcall_pending = 0;
    v->vcpu_info_gpa = core_gpa(new);
    atomic_store(&v->vcpu_info, new);
}

/*
 * What Xen's tools save of a domain are the vCPUs that are up. The others are as new:
 * Linux gives VCPUOP_initialise to those that it brings up afterwards, also if they
 * have run. One of them waits on the tables that it had, until it starts.
 */
static void forget_vcpus(void)
{
    struct vcpu *self = current_vcpu();

    /* Another one may just register its own */
    spin_lock(&vcpus_lock);
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        move_vcpu_info(vcpus[i]);
        vcpus[i]->runstate_addr = 0;
        vcpus[i]->time_addr = 0;
        if (!vcpus[i]->up && !atomic_load(&vcpus[i]->runs)) {
            vcpus[i]->initialised = false;
            put_next_tables(vcpus[i]);
            set_gdt_frames(vcpus[i], NULL, 0);
        }
    }
    wait_for_others();
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        map_area_page(vcpus[i], AREA_VCPU_INFO, 0);
    }
    wait_for_others();
    spin_unlock(&vcpus_lock);
    for (u32 i = 0; i < boot_info->nr_vcpus; i++) {
        if (vcpus[i] != self && vcpus[i]->initialised) {
            request(vcpus[i], REQUEST_MOVED);
        }
        set_period(vcpus[i], FIRST_PERIOD);
    }
    vcpu_info_moved(self);
}

/*
 * A domain that two vCPUs suspend at once is suspended once, as with Xen. While the
 * machine sleeps, who waits for this does, too.
 */
static struct spinlock suspend_lock;
static u32 nr_suspends;

long suspend(ulong start_info_mfn)
{
    u64 mfn = start_info_mfn;
    u32 before = atomic_load(&nr_suspends);
    long ret = 0;

    spin_lock(&suspend_lock);
    if (nr_suspends == before) {
        ret = machine_call(XENPV_CALL_SHUTDOWN, SHUTDOWN_suspend, &mfn,
                           sizeof(mfn));
        if (!ret) {
            forget_watchdogs();
            forget_events();
            forget_vcpus();
            init_wall_clock();
            set_timer(current_vcpu(), 0);
            nr_suspends++;
        }
    }
    spin_unlock(&suspend_lock);
    return ret;
}
