/*
 * The start of a vCPU: VCPUOP_initialise, and what its CPU does when it is up
 *
 * vcpu.c calls initialise_vcpu() on the vCPU that asks, with its lock held: it reads
 * the context, which is larger than the stack, part by part and once, into the vCPU
 * that has none yet. init.c calls run_secondary() on each CPU but the first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vcpu_start.h"
#include "msr.h"

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

/* A vCPU that has never run waits here, and starts with what it was given */
void run_secondary(void)
{
    struct vcpu *v = current_vcpu();
    struct start *st = v->start;
    struct regs regs;

    /* The first vCPU waits for this: from here on interrupts are taken */
    __atomic_store_n(&v->ready, true, __ATOMIC_SEQ_CST);
    wait_until_up(v);
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
    load_data_segments(&regs, st->ds, st->es, st->fs, st->gs);
    if (WORD == 8) {
        wrmsr(MSR_FS_BASE, st->bases[0]);
        wrmsr(MSR_GS_BASE, st->bases[1]);
        wrmsr(MSR_KERNEL_GS_BASE, st->bases[2]);
    }
    enter_guest(&regs);
}

/* 64-bit: as Xen's arch_set_info_guest demands it of addresses */
static bool all_canonical(const struct vcpu *v, const struct cpu_user_regs *user,
                          ulong kernel_sp)
{
    const struct start *st = v->start;

    if (!canonical(user->eip) || !canonical(user->esp) ||
        !canonical(kernel_sp) || !canonical(st->ldt_base)) {
        return false;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (!canonical(st->callbacks[i]) || !canonical(st->bases[i])) {
            return false;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(v->traps); i++) {
        if (!canonical(v->traps[i].address)) {
            return false;
        }
    }
    return true;
}

static int set_tables(struct vcpu *v, const ulong *gdt_frames, ulong gdt_ents,
                      const ulong *cr)
{
    int ret = set_gdt_frames(v, gdt_frames, gdt_ents);

    if (ret) {
        return ret;
    }
    ret = set_base_table(v, xen_cr3_to_pfn(cr[3]), false);
    if (WORD == 8 && !ret && cr[1]) {
        ret = set_base_table(v, xen_cr3_to_pfn(cr[1]), true);
    }
    if (ret) {
        set_gdt_frames(v, NULL, 0);
        return -EINVAL;
    }
    return 0;
}

static void set_debugregs(struct vcpu *v, ulong *dr)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned reg = i;

        if (i != 4 && i != 5 && check_debugreg(v, &reg, &dr[i])) {
            dr[i] = i == 6 ? DR6_DEFAULT : i == 7 ? DR7_DEFAULT : 0;
        }
        v->debugreg[i] = dr[i];
    }
}

static void set_regs(struct vcpu *v, const struct cpu_user_regs *user,
                     ulong flags)
{
    struct start *st = v->start;

    st->fpu_valid = flags & VGCF_I387_VALID;
    st->ds = user->ds;
    st->es = user->es;
    st->fs = user->fs;
    st->gs = user->gs;
    memset(&st->regs, 0, sizeof(st->regs));
    st->regs.ip = user->eip;
    st->regs.sp = user->esp;
    st->regs.flags = (user->eflags & ~(ulong)(EFL_IOPL | EFL_NT | EFL_VM)) |
                     EFL_IF | 2;
    st->regs.ax = user->eax;
    st->regs.bx = user->ebx;
    st->regs.cx = user->ecx;
    st->regs.dx = user->edx;
    st->regs.si = user->esi;
    st->regs.di = user->edi;
    st->regs.bp = user->ebp;
    set_regs_of_width(v, user, flags);
}

long initialise_vcpu(struct vcpu *v, ulong arg)
{
    struct start *st = v->start;
    struct cpu_user_regs user;
    ulong flags, gdt_frames[16], gdt_ents, kernel_stack[2], cr[8], dr[8];
    long ret;

    if (v->initialised) {
        return -EEXIST;
    }
    if (GET_CONTEXT(st->fpu, arg, fpu_ctxt) ||
        GET_CONTEXT(&flags, arg, flags) ||
        GET_CONTEXT(&user, arg, user_regs) ||
        GET_CONTEXT(&st->ldt_base, arg, ldt_base) ||
        GET_CONTEXT(&st->ldt_ents, arg, ldt_ents) ||
        GET_CONTEXT(gdt_frames, arg, gdt_frames) ||
        GET_CONTEXT(&gdt_ents, arg, gdt_ents) ||
        copy_from_guest(kernel_stack, CONTEXT(arg, kernel_ss),
                        sizeof(kernel_stack)) ||
        GET_CONTEXT(cr, arg, ctrlreg) || GET_CONTEXT(dr, arg, debugreg) ||
        !get_context_of_width(st, arg) ||
        GET_CONTEXT(v->traps, arg, trap_ctxt)) {
        return -EFAULT;
    }
    if (st->ldt_ents > 8192 || (st->ldt_base & (PAGE_SIZE - 1)) ||
        (WORD == 8 && (!all_canonical(v, &user, kernel_stack[1]) ||
                       !access_ok(st->ldt_base, 1) ||
                       (!(flags & VGCF_IN_KERNEL) && !cr[1])))) {
        return -EINVAL;
    }
    ret = set_tables(v, gdt_frames, gdt_ents, cr);
    if (ret) {
        return ret;
    }
    set_debugregs(v, dr);
    v->iopl = user.eflags >> 12 & 3;
    set_kernel_stack(v, kernel_stack[0], kernel_stack[1]);
    set_regs(v, &user, flags);
    set_callbacks_of_width(v, flags);
    v->initialised = true;
    return 0;
}
