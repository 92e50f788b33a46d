/*
 * Exceptions and interrupts
 *
 * entry-*.S calls do_trap() for what comes while the guest runs, and
 * do_monitor_trap() for what comes in ring 0. What the monitor does not handle
 * itself, it bounces to the guest: see bounce.c.
 *
 * Both run on the vCPU's own stacks with interrupts off. The registers are the
 * guest's, so nothing in them is used unchecked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "traps.h"

/* #PF error code */
#define PF_PRESENT      0x01
#define PF_WRITE        0x02
#define PF_USER         0x04
#define PF_RSVD         0x08
#define PF_INSN         0x10

/*
 * May it be a hole in the LDT? The CPU reads descriptors with ring 0's rights,
 * whoever runs, so it faults only where no page is mapped. A program's own
 * access to the LDT's area, which it may not make, is another kind of fault.
 */
static inline bool is_ldt_fault(u32 error)
{
    return !(error & (PF_PRESENT | PF_USER | PF_RSVD));
}

/* The fault may be at a hole in the LDT */
static noinline void page_fault_with_holes(struct vcpu *v, struct regs *regs,
                                           ulong cr2, u32 error)
{
    if (!is_ldt_fault(error) || !ldt_fault(v, &cr2)) {
        v->vcpu_info->arch.cr2 = cr2;
        /* The CPU read the descriptor, but for the program */
        bounce_trap_error(v, regs, X86_PF,
                          error | (in_kernel(v, regs) ? 0 : PF_USER));
    }
}

static void do_page_fault(struct vcpu *v, struct regs *regs)
{
    ulong cr2 = read_cr2();
    u32 error = regs->error_code;

    /* The guest kernel may be writing to one of its page tables */
    if ((error & (PF_PRESENT | PF_WRITE | PF_USER | PF_RSVD)) ==
        (PF_PRESENT | PF_WRITE) &&
        in_kernel(v, regs) && allow_table_write(v, cr2)) {
        return;
    }
    if (WORD == 8 && !in_kernel(v, regs) &&
        unlikely(leave_kernel_tables(v, cr2))) {
        return;
    }
    if (WORD == 8 && unlikely(v->one_table) &&
        (error & (PF_PRESENT | PF_USER | PF_RSVD)) == (PF_PRESENT | PF_USER) &&
        give_user_bits(v, cr2, error & PF_WRITE ? PTE_P | PTE_RW : PTE_P,
                       error & PF_INSN ? PTE_NX : 0)) {
        return;
    }
    if (unlikely(v->ldt_holes)) {
        page_fault_with_holes(v, regs, cr2, error);
        return;
    }
    v->vcpu_info->arch.cr2 = cr2;
    bounce_trap_error(v, regs, X86_PF, error);
}

static void do_general_protection(struct vcpu *v, struct regs *regs)
{
    u32 error = regs->error_code;

    /* INT n at a gate with DPL 0: the guest's trap table decides */
    if ((error & 3) == 2) {
        u8 vector = error >> 3;
        struct trap_info *ti = &v->traps[vector];

        if (TI_GET_DPL(ti) >= (in_kernel(v, regs) ? 1 : 3)) {
            regs->ip += 2;
            bounce_trap(v, regs, vector);
            return;
        }
    } else if (!error && (in_kernel(v, regs) ? emulate_privileged(v, regs)
                                             : emulate_program(v, regs))) {
        return;
    } else if (WORD == 8 && in_kernel(v, regs) &&
               emulate_segment_load(v, regs)) {
        return;
    }
    bounce_trap_error(v, regs, X86_GP, error);
}

static void do_debug(struct vcpu *v, struct regs *regs)
{
    ulong dr6;

    asm volatile("mov %%db6, %0" : "=r" (dr6));
    asm volatile("mov %0, %%db6" : : "r" ((ulong)DR6_DEFAULT));
    debug_exception(v, regs, dr6 & 0xe00f);
}

/*
 * A kernel without a handler gets no NMI. One that is still handling an NMI
 * gets the next one afterwards.
 */
static void do_nmi(struct vcpu *v, struct regs *regs)
{
    if (v->in_nmi) {
        request_nmi(v);
    } else if (v->traps[X86_NMI].address) {
        bounce_trap(v, regs, X86_NMI);
        v->in_nmi = true;
    }
}

static void do_interrupt(struct vcpu *v, unsigned vector)
{
    if (unlikely(v->time_addr) &&
        v->vcpu_info->time.version != v->time_version) {
        copy_time(v);
    }
    switch (vector) {
    case XENPV_UPCALL_VECTOR:
        apic_eoi();
        take_incoming(v);
        break;
    case XENPV_TIMER_VECTOR:
        apic_eoi();
        timer_interrupt(v);
        break;
    case XENPV_IPI_VECTOR:
        apic_eoi();
        do_requests(v);
        break;
    case 0xff:      /* spurious: no EOI */
        break;
    default:
        apic_eoi();
    }
}

void do_trap(struct regs *regs)
{
    struct vcpu *v = current_vcpu();
    unsigned vector = regs->vector;
    struct callback cb;

    if (likely(vector == X86_PF)) {
        do_page_fault(v, regs);
        return;
    }
    if (vector == X86_UD) {
        if (!emulate_forced_cpuid(v, regs)) {
            bounce_trap(v, regs, X86_UD);
        }
        return;
    }
    if (vector == X86_BP) {
        bounce_trap(v, regs, X86_BP);
        return;
    }
    switch (vector) {
    case X86_DB:
        do_debug(v, regs);
        break;
    case X86_NMI:
        do_nmi(v, regs);
        break;
    case X86_NM:
        asm volatile("clts");
        bounce_trap(v, regs, X86_NM);
        break;
    case X86_GP:
        do_general_protection(v, regs);
        break;
    case X86_DF:
    case X86_MC:
        monitor_crash(regs, "machine check");
        break;
    case VECTOR_SYSCALL32:
        /* The stub has put the program's CS and SS into the frame */
        if (v->syscall32.ip) {
            bounce_callback(v, regs, &v->syscall32);
            break;
        }
        /* fall through */
    case VECTOR_SYSCALL:
        regs->ip -= 2;
        bounce_trap(v, regs, X86_UD);
        break;
    case VECTOR_SYSENTER:
        /* Treated as a program's, even if the kernel executed it */
        if (v->sysenter.cs > 3) {
            bounce_callback(v, regs, &v->sysenter);
        } else if (v->sysenter.ip) {
            /* A null selector: use that of #GP's handler, as Xen does */
            cb = v->sysenter;
            cb.cs = v->traps[X86_GP].cs;
            bounce_callback(v, regs, &cb);
        } else {
            bounce_trap_error(v, regs, X86_GP, 0);
        }
        break;
    default:
        if (vector < NR_EXCEPTIONS) {
            if (HAS_ERROR_CODE >> vector & 1) {
                bounce_trap_error(v, regs, vector, regs->error_code);
            } else {
                bounce_trap(v, regs, vector);
            }
        } else if (is_guest_vector(vector)) {
            bounce_trap(v, regs, vector);
        } else {
            do_interrupt(v, vector);
            if (vector == XENPV_IPI_VECTOR) {
                if (unlikely(!v->up)) {
                    vcpu_offline(v);
                }
                if (take_request(v, REQUEST_NMI)) {
                    do_nmi(v, regs);
                }
            }
        }
    }
}

/* 64-bit: the guest kernel trapped while it ran in ring 3, see entry-64.S */
void kernel_trap_in_ring3(struct regs *regs)
{
    if (regs->vector == X86_PF) {
        if (regs->error_code & PF_PRESENT) {
            return;         /* ring 1 may have the right: try again there */
        }
        regs->error_code &= ~PF_USER;
    }
    do_trap(regs);
}

/*
 * The monitor has faulted on an access for the guest. Do the tables allow it,
 * and was the TLB only out of date? A guest that adds rights need not flush, as
 * a CPU walks the tables again when it faults. So the guest is told of a fault
 * here only if it would have been told of it by a CPU.
 */
static bool is_spurious(ulong addr, u32 error)
{
    return !(error & (PF_RSVD | PF_INSN)) &&
           access_allowed(addr, error & PF_WRITE);
}

/* border: it came with user mode's tables in use, which are not now */
static void monitor_trap(struct regs *regs, bool border)
{
    struct vcpu *v = current_vcpu();
    ulong fixup, addr;

    switch (regs->vector) {
    case X86_NMI:
        /*
         * The guest gets it by an interrupt, as soon as it runs again. This is
         * pending from now on, whatever the monitor has already checked for.
         */
        request_nmi(v);
        apic_send_self(XENPV_IPI_VECTOR);
        return;
    case X86_DB:
        /*
         * The guest's breakpoint on data that the monitor accessed for it, or a
         * single step over SYSENTER, whose entry code clears TF
         */
        asm volatile("mov %0, %%db6" : : "r" ((ulong)DR6_DEFAULT));
        return;
    case NR_EXCEPTIONS ... 255:
        wake_up(v);
        do_interrupt(v, regs->vector);
        return;
    }
    addr = read_cr2();
    if (regs->vector == X86_PF && unlikely(v->ldt_holes) &&
        is_ldt_fault(regs->error_code) && ldt_fault(v, &addr)) {
        return;
    }
    fixup = find_fixup(regs->ip);
    if (!fixup) {
        monitor_crash(regs, "unexpected exception");
    }
    if (regs->vector == X86_PF && !border &&
        is_spurious(addr, regs->error_code)) {
        return;
    }
    regs->ip = fixup;
}

/* A trap in ring 0: an interrupt in HLT, an NMI, or an access that may fail */
void do_monitor_trap(struct regs *regs)
{
    struct vcpu *v = current_vcpu();
    ulong cr3 = WORD == 8 ? read_cr3() : 0;

    /*
     * At the border to user mode its tables are in use, which may map nothing
     * but that border. The code that trapped there goes on with them.
     */
    if (WORD == 8 && unlikely(cr3 != v->kernel_cr3 && v->kernel_cr3)) {
        write_cr3(v->kernel_cr3);
        monitor_trap(regs, true);
        write_cr3(cr3);
        return;
    }
    monitor_trap(regs, false);
}
