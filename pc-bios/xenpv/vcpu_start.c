/*
 * How a vCPU starts: VCPUOP_initialise, and what its CPU does when it comes up
 *
 * vcpu.c calls initialise_vcpu() with vcpus_lock held, on the vCPU that makes
 * the hypercall. It reads the context once, into the other's .start, where it
 * stays. init.c calls run_secondary() on each CPU but the first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "vcpu_start.h"

static void load_fpu(const struct vcpu_guest_context *c)
{
    asm volatile("clts");
    if (c->flags & VGCF_I387_VALID) {
        asm volatile("1: fxrstor %0\n\t"
                     "2:\n\t"
                     EX_TABLE(1b, 2b)
                     : : "m" (c->fpu_ctxt));
    } else {
        asm volatile("fninit");
    }
}

static void load_regs(const struct cpu_user_regs *user, struct regs *regs)
{
    memset(regs, 0, sizeof(*regs));
    regs->ip = user->eip;
    regs->sp = user->esp;
    regs->flags = (user->eflags & ~(ulong)(EFL_IOPL | EFL_NT | EFL_VM)) |
                  EFL_IF | 2;
    regs->ax = user->eax;
    regs->bx = user->ebx;
    regs->cx = user->ecx;
    regs->dx = user->edx;
    regs->si = user->esi;
    regs->di = user->edi;
    regs->bp = user->ebp;
}

/* Enter the guest with VCPUOP_initialise's context; called on an empty stack */
void start_vcpu(void)
{
    struct vcpu *v = current_vcpu();
    struct regs regs;

    v->renewed = false;
    /* The vCPU may have gone down in the middle of SCHEDOP_poll */
    end_poll(v);
    use_next_tables(v);
    /* Flush its area, too: it may have run before, with another GDT */
    flush_tlb();
    init_time(v);
    if (v->time_addr) {
        copy_time(v);
    }
    update_runstate(v, RUNSTATE_running);
    set_ldt(v, v->start.ldt_base, v->start.ldt_ents);
    load_debugregs(v);
    set_own_trap_table(v);
    load_fpu(&v->start);
    load_regs(&v->start.user_regs, &regs);
    load_start_of_width(v, &regs);
    enter_guest(&regs);
}

/* A vCPU that has never been up waits here */
void run_secondary(void)
{
    struct vcpu *v = current_vcpu();

    /* The first vCPU waits for this: from here on this one takes interrupts */
    atomic_store(&v->ready, true);
    wait_until_up(v);
    start_vcpu();
}

static int set_tables(struct vcpu *v)
{
    const struct vcpu_guest_context *c = &v->start;
    ulong top = xen_cr3_to_pfn(c->ctrlreg[3]), user = 0;
    int ret = set_gdt_frames(v, c->gdt_frames, c->gdt_ents);

    if (ret) {
        return ret;
    }
    if (WORD == 8 && c->ctrlreg[1]) {
        user = xen_cr3_to_pfn(c->ctrlreg[1]);
    }
    if (set_next_tables(v, top, user)) {
        set_gdt_frames(v, NULL, 0);
        return -EINVAL;
    }
    return 0;
}

/* Reset what an earlier start may have left and no context sets */
static void forget_context(struct vcpu *v)
{
    memset(&v->sysenter, 0, sizeof(v->sysenter));
    memset(&v->syscall32, 0, sizeof(v->syscall32));
    v->nr_ports = 0;
    v->in_nmi = false;
}

static void set_debugregs(struct vcpu *v)
{
    for (unsigned i = 0; i < 8; i++) {
        ulong val = v->start.debugreg[i];
        unsigned reg = i;

        if (i != 4 && i != 5 && check_debugreg(v, &reg, &val)) {
            val = i == 6 ? DR6_DEFAULT : i == 7 ? DR7_DEFAULT : 0;
        }
        v->debugreg[i] = val;
    }
}

long initialise_vcpu(struct vcpu *v, ulong arg)
{
    const struct vcpu_guest_context *c = &v->start;
    long ret;

    if (v->initialised) {
        return -EEXIST;
    }
    if (copy_from_guest(&v->start, arg, sizeof(v->start))) {
        return -EFAULT;
    }
    if (c->ldt_ents > 8192 || (c->ldt_base & (PAGE_SIZE - 1)) ||
        (WORD == 8 && !context_is_valid(c))) {
        return -EINVAL;
    }
    ret = set_tables(v);
    if (ret) {
        return ret;
    }
    forget_context(v);
    memcpy(v->traps, c->trap_ctxt, sizeof(v->traps));
    set_debugregs(v);
    v->iopl = c->user_regs.eflags >> 12 & 3;
    set_kernel_stack(v, c->kernel_ss, c->kernel_sp);
    set_start_callbacks(v);
    v->initialised = v->renewed = true;
    return 0;
}
