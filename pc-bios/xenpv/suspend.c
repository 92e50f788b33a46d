/*
 * SHUTDOWN_suspend: what the monitor forgets when a suspended domain goes on
 *
 * time.c calls suspend() on the vCPU that asks. The machine returns when the
 * domain is woken up, and has reset its own part: event channels, grants,
 * xenstore. The monitor leaves the kernel what Xen's tools save and restore,
 * the vCPUs' registers, tables and callbacks; it forgets what the kernel has
 * registered by other hypercalls, as the kernel registers that anew.
 *
 * The other vCPUs run meanwhile; Linux has them wait with interrupts off.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"

/* Wait until the others no longer use anything that they read before this */
static void wait_for_others(void)
{
    flush_others(~0ULL, FLUSH_ALL);
    flush_idle();
}

/* Move it back to its first place; the page that it was in is still mapped */
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
 * Xen's tools save only the vCPUs that are up. The others are as new: Linux
 * calls VCPUOP_initialise for those that it brings up later, even if they have
 * run. Until then they wait on the tables that they had.
 */
static void forget_vcpus(void)
{
    struct vcpu *self = current_vcpu();

    /* Another vCPU may be registering its own at this moment */
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
 * If two vCPUs suspend the domain at once it is suspended once, as under Xen. A
 * vCPU that waits for this lock sleeps with the machine.
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
