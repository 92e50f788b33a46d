/*
 * Exceptions, interrupts, and how the guest is told of them
 *
 * Every exception of the guest comes to do_trap. What the monitor does not
 * handle itself it bounces: it builds the frame that hardware would build on
 * the guest kernel's stack, with Xen's additions, and lets the guest continue
 * in the handler that it registered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "monitor.h"
#include "frame.h"

#define NR_EXCEPTIONS   32
#define X86_DB          1
#define X86_NMI         2
#define X86_BP          3
#define X86_OF          4
#define X86_UD          6
#define X86_NM          7
#define X86_DF          8
#define X86_GP          13
#define X86_PF          14
#define X86_MC          18

/* #PF error code */
#define PF_PRESENT      0x01
#define PF_WRITE        0x02
#define PF_USER         0x04
#define PF_RSVD         0x08
#define PF_INSN         0x10

static const u32 has_error_code = 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 |
                                  1 << 13 | 1 << 14 | 1 << 17 | 1 << 21;

struct gate {
#ifdef __x86_64__
    u16 offset_lo, selector;
    u8 ist, type;
    u16 offset_mid;
    u32 offset_hi, reserved;
#else
    u16 offset_lo, selector;
    u8 reserved, type;
    u16 offset_hi;
#endif
};

static void set_gate(struct gate *gate, ulong addr, u16 sel, u8 type,
                     unsigned dpl, unsigned ist)
{
    struct gate g = { 0 };

    g.offset_lo = addr;
    g.selector = sel;
    g.type = 0x80 | dpl << 5 | type;
#ifdef __x86_64__
    g.ist = ist;
    g.offset_mid = addr >> 16;
    g.offset_hi = addr >> 32;
#else
    g.offset_hi = addr >> 16;
#endif
    *gate = g;
}

static void set_own_gate(struct vcpu *v, u8 vector)
{
    extern char trap_stubs[];
    unsigned dpl = vector == X86_BP || vector == X86_OF ? 3 : 0;
    unsigned ist = vector == X86_DF || vector == X86_MC ? 1 :
                   vector == X86_NMI ? 2 : vector == X86_DB ? 3 : 0;

    set_gate(&v->idt[vector], (ulong)trap_stubs + vector * 16, MON_CS, 0xe,
             dpl, ist);
}

/* Vectors that are neither exceptions nor the monitor's own */
static inline bool is_guest_vector(unsigned vector)
{
    return vector >= NR_EXCEPTIONS && vector < XENPV_TIMER_VECTOR;
}

/*
 * The gate of a vector that programs may raise by INT n. It is changed in parts,
 * and so on the vCPU itself, whose programs do not run meanwhile. A 32-bit guest's
 * system call needs no help: its gate leads from ring 3 to ring 1 directly, if
 * the handler does not want events masked.
 */
void set_trap_gate(struct vcpu *v, u8 vector)
{
    struct trap_info *ti = &v->traps[vector];
    bool user = ti->address && TI_GET_DPL(ti) == 3;

    if (!is_guest_vector(vector) || (WORD == 4 && vector == 0x82)) {
        return;
    }
#ifndef __x86_64__
    if (vector == 0x80 && ti->address && !TI_GET_IF(ti) && (ti->cs & 3) == 1 &&
        access_ok(ti->address, 1)) {
        set_gate(&v->idt[vector], ti->address, ti->cs, 0xf, TI_GET_DPL(ti), 0);
        return;
    }
#endif
    set_own_gate(v, vector);
    if (user) {
        v->idt[vector].type |= 3 << 5;
    }
}

/* With holes in the LDT each page fault needs a look */
void set_ldt_holes(struct vcpu *v, bool holes)
{
    v->ldt_holes = holes;
#ifdef __x86_64__
    {
        extern char slow_page_fault[];

        if (holes) {
            set_gate(&v->idt[X86_PF], (ulong)slow_page_fault, MON_CS, 0xe, 0, 0);
        } else {
            set_own_gate(v, X86_PF);
        }
    }
#endif
}

#ifdef __x86_64__
/*
 * Code of entry-64.S that addresses the vCPU's area relative to itself and ends
 * with a jump out of it: the jump's distance is another one here
 */
static void copy_stub(char *to, const char *stub, const char *end)
{
    ulong size = end - stub;
    s32 *distance = (s32 *)(to + size - sizeof(*distance));

    memcpy(to, stub, size);
    *distance -= to - stub;
}
_Static_assert(VCPU_VIRT + XENPV_MAX_VCPUS * VCPU_AREA_SIZE - CORE_VIRT <
               0x7fffffff, "");
#endif

void init_idt(struct vcpu *v)
{
    for (int i = 0; i < 256; i++) {
        set_own_gate(v, i);
    }
#ifdef __x86_64__
    {
        extern char syscall_stub[], syscall_stub_end[];
        extern char syscall32_stub[], syscall32_stub_end[];
        char *stub = (char *)v - VCPU_OFFSET + AREA_STUB * PAGE_SIZE;

        copy_stub(stub, syscall_stub, syscall_stub_end);
        copy_stub(stub + SYSCALL32_STUB, syscall32_stub, syscall32_stub_end);
        map_area_page(v, AREA_STUB, v->area_l1[AREA_STUB] & ~PTE_RW);
    }
#else
    {
        extern char hypercall_entry[];
        struct gate *df = &v->idt[X86_DF];

        set_gate(&v->idt[0x82], (ulong)hypercall_entry, MON_CS, 0xe, 1, 0);
        set_gate(df, 0, SEL_DF_TSS, 0x5, 0, 0);     /* a task gate */
    }
#endif
}

#define MSR_SYSENTER_CS     0x174
#define MSR_SYSENTER_ESP    0x175
#define MSR_SYSENTER_EIP    0x176
#define MSR_PAT         0x277
#define MSR_EFER        0xc0000080
#define MSR_STAR        0xc0000081
#define MSR_LSTAR       0xc0000082
#define MSR_CSTAR       0xc0000083
#define MSR_SFMASK      0xc0000084
#define XEN_MSR_PAT     0x0000050100070406ULL   /* public/arch-x86/xen.h */

/* In long mode AMD's CPUs, and Hygon's, have it not, and short MSRs for it */
static bool has_sysenter(void)
{
    u32 a = 0, b, c, d;

    asm("cpuid" : "+a" (a), "=b" (b), "=c" (c), "=d" (d));
    if (WORD == 8 && (b == 0x68747541 || b == 0x6f677948)) {
        return false;           /* "Auth", "Hygo" */
    }
    a = 1;
    asm("cpuid" : "+a" (a), "=b" (b), "=c" (c), "=d" (d));
    return d & 1 << 11;
}

void load_idt(struct vcpu *v)
{
    struct {
        u16 limit;
        ulong base;
    } __attribute__((packed)) ptr = { 256 * sizeof(struct gate) - 1,
                                      (ulong)v->idt };

    asm volatile("lidt %0" : : "m" (ptr));
    wrmsr(MSR_PAT, XEN_MSR_PAT);
    if (has_sysenter()) {
        extern char sysenter_entry[];

        wrmsr(MSR_SYSENTER_CS, MON_CS);
        wrmsr(MSR_SYSENTER_ESP, (ulong)v);      /* where its stack ends */
        wrmsr(MSR_SYSENTER_EIP, (ulong)sysenter_entry);
    } else {
        wrmsr(MSR_SYSENTER_CS, 0);
    }
#ifdef __x86_64__
    {
        ulong stub = (ulong)v - VCPU_OFFSET + AREA_STUB * PAGE_SIZE;

        /* SYSRET to user mode loads FLAT_RING3_CS64 and FLAT_RING3_SS64 */
        wrmsr(MSR_STAR, (u64)FLAT_RING3_CS32 << 48 | (u64)MON_CS << 32);
        wrmsr(MSR_LSTAR, stub);
        wrmsr(MSR_CSTAR, stub + SYSCALL32_STUB);
        wrmsr(MSR_SFMASK, EFL_TF | EFL_IF | EFL_DF | EFL_IOPL | EFL_NT |
                          EFL_RF | EFL_AC);
    }
#endif
}

/* Frames on the guest kernel's stack */

/* What is on the stack besides the state to return to */
enum frame {
    FRAME_PLAIN,
    FRAME_ERROR,        /* the error code */
    FRAME_FAILSAFE,     /* the data segments */
};

/* IF, which is set whenever a guest runs, shows the guest its upcall mask */
static inline ulong frame_flags(ulong flags, bool mask)
{
    return mask ? flags & ~(ulong)EFL_IF : flags;
}

/*
 * Make the guest continue at ip (and cs, which only 32-bit guests have a say
 * in) with a frame for the state in regs.
 */
static __always_inline void bounce(struct vcpu *v, struct regs *regs, ulong ip,
                                   u16 cs, bool masks, enum frame frame,
                                   ulong error)
{
    volatile u8 *upcall_mask = &v->vcpu_info->evtchn_upcall_mask;
    u8 mask = *upcall_mask;
    bool kernel = in_kernel(v, regs);
    ulong sp = kernel ? regs->sp : v->kernel_sp;
    u16 ds, es, fs, gs;

    if (unlikely(!ip)) {
        domain_crash(regs, "the guest has no handler for this");
    }
    if (frame == FRAME_FAILSAFE) {
        asm volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
                     : "=r" (ds), "=r" (es), "=r" (fs), "=r" (gs));
    }
#define PUSH(val) \
    do { \
        sp -= sizeof(ulong); \
        PUT_GUEST(sp, (ulong)(val), bad_stack); \
    } while (0)
#ifdef __x86_64__
    sp &= ~15UL;
    if (unlikely(!access_ok(sp - 128, 128))) {
        goto bad_stack;
    }
    PUSH(kernel ? KERNEL_FRAME_SS : regs->ss);
    PUSH(regs->sp);
    PUSH(frame_flags(regs->flags, mask));
    PUSH((kernel ? KERNEL_FRAME_CS : (u16)regs->cs) | (ulong)mask << 32);
    PUSH(regs->ip);
    if (frame == FRAME_FAILSAFE) {
        PUSH(gs);
        PUSH(fs);
        PUSH(es);
        PUSH(ds);
    } else if (frame == FRAME_ERROR) {
        PUSH(error);
    }
    PUSH(regs->r11);
    PUSH(regs->cx);
    regs->cs = RING1_CS;
    regs->ss = RING1_SS;
    v->mode = V_MODE_KERNEL;
    regs->flags &= ~(ulong)(EFL_AC | EFL_VM | EFL_RF | EFL_NT | EFL_TF);
#else
    if (unlikely(!access_ok(sp - 128, 128))) {
        goto bad_stack;
    }
    if (!kernel) {
        PUSH((u16)regs->ss);
        PUSH(regs->sp);
        regs->ss = v->kernel_ss;
    }
    PUSH(frame_flags(regs->flags, mask));
    PUSH((u16)regs->cs | (ulong)mask << 16);
    PUSH(regs->ip);
    if (frame == FRAME_FAILSAFE) {
        PUSH(gs);
        PUSH(fs);
        PUSH((u16)regs->es);
        PUSH((u16)regs->ds);
        regs->ds = regs->es = 0;
    } else if (frame == FRAME_ERROR) {
        PUSH(error);
    }
    regs->cs = cs;
    regs->flags &= ~(ulong)(EFL_RF | EFL_NT | EFL_TF);
#endif
#undef PUSH
    if (masks) {
        *upcall_mask = 1;
    }
    regs->ip = ip;
    regs->sp = sp;
    return;
bad_stack:
    domain_crash(regs, "the guest kernel's stack cannot take a frame");
}

static void bounce_trap(struct vcpu *v, struct regs *regs, u8 vector)
{
    struct trap_info *ti = &v->traps[vector];

    bounce(v, regs, ti->address, ti->cs, TI_GET_IF(ti), FRAME_PLAIN, 0);
}

static void bounce_trap_error(struct vcpu *v, struct regs *regs, u8 vector,
                              u32 error)
{
    struct trap_info *ti = &v->traps[vector];

    bounce(v, regs, ti->address, ti->cs, TI_GET_IF(ti), FRAME_ERROR, error);
}

static void bounce_callback(struct vcpu *v, struct regs *regs,
                            const struct callback *cb)
{
    bounce(v, regs, cb->ip, cb->cs, cb->masks, FRAME_PLAIN, 0);
}

/* An event is pending and not masked: the upcall */
void deliver_events(struct regs *regs)
{
    struct vcpu *v = current_vcpu();

    if (likely(v->event.ip)) {
        bounce(v, regs, v->event.ip, v->event.cs, true, FRAME_PLAIN, 0);
    }
}

/* The CPU cannot load the state that the guest is to continue with */
void do_bad_iret(struct regs *regs)
{
    struct vcpu *v = current_vcpu();

    if (!v->failsafe.ip) {
        domain_crash(regs, "bad guest state and no failsafe callback");
    }
    bounce(v, regs, v->failsafe.ip, v->failsafe.cs, v->failsafe.masks,
           FRAME_FAILSAFE, 0);
}

/* Traps */

/*
 * The CPU reads descriptors with the rights of ring 0, whoever runs, and a page of
 * the LDT that is there has all of these: so what a program itself reads of the
 * LDT's area, which it may not, is not to be tried again.
 */
static inline bool is_ldt_fault(u32 error)
{
    return !(error & (PF_PRESENT | PF_USER | PF_RSVD));
}

/* Maybe it is the LDT that is not there */
static noinline void page_fault_with_holes(struct vcpu *v, struct regs *regs,
                                           ulong cr2, u32 error)
{
    if (!is_ldt_fault(error) || !ldt_fault(v, &cr2)) {
        v->vcpu_info->arch.cr2 = cr2;
        /* It is the CPU that reads descriptors, but for the program */
        bounce_trap_error(v, regs, X86_PF,
                          error | (in_kernel(v, regs) ? 0 : PF_USER));
    }
}

static void do_page_fault(struct vcpu *v, struct regs *regs)
{
    ulong cr2 = read_cr2();
    u32 error = regs->error_code;

    /* The guest kernel writes to one of its page tables */
    if ((error & (PF_PRESENT | PF_WRITE | PF_USER | PF_RSVD)) ==
        (PF_PRESENT | PF_WRITE) &&
        in_kernel(v, regs) && allow_table_write(v, cr2)) {
        return;
    }
    if (WORD == 8 && !in_kernel(v, regs) &&
        unlikely(leave_kernel_tables(v, cr2))) {
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

    /* INT n: our gates admit no one, the guest's table decides */
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
#ifdef __x86_64__
    } else if (in_kernel(v, regs) && emulate_segment_load(v, regs)) {
        return;
#endif
    }
    bounce_trap_error(v, regs, X86_GP, error);
}

/* What is in DR6 stays there until the guest takes it out */
void debug_exception(struct vcpu *v, struct regs *regs, u32 dr6)
{
    v->debugreg[6] |= 0xffff0ff0 | dr6;
    bounce_trap(v, regs, X86_DB);
}

static void do_debug(struct vcpu *v, struct regs *regs)
{
    ulong dr6;

    asm volatile("mov %%db6, %0" : "=r" (dr6));
    asm volatile("mov %0, %%db6" : : "r" (0xffff0ff0UL));
    debug_exception(v, regs, dr6 & 0xe00f);
}

/* Who has no handler for it does not get it; who is in it, when it is done */
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
        v->ts = false;
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
#ifdef __x86_64__
    case VECTOR_SYSCALL32:
        /* The frame's CS and SS are already those of the program */
        if (v->syscall32.ip) {
            bounce_callback(v, regs, &v->syscall32);
            break;
        }
        /* fall through */
    case VECTOR_SYSCALL:
        regs->ip -= 2;
        bounce_trap(v, regs, X86_UD);
        break;
#endif
    case VECTOR_SYSENTER:
        /* From a program: a kernel that does this gets it as one's, too */
        if (v->sysenter.cs > 3) {
            bounce_callback(v, regs, &v->sysenter);
        } else if (v->sysenter.ip) {
            /* A null selector: Xen takes that of #GP's handler */
            bounce(v, regs, v->sysenter.ip, v->traps[X86_GP].cs,
                   v->sysenter.masks, FRAME_PLAIN, 0);
        } else {
            bounce_trap_error(v, regs, X86_GP, 0);
        }
        break;
    default:
        if (vector < NR_EXCEPTIONS) {
            if (has_error_code >> vector & 1) {
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
                if (unlikely(v->requests & REQUEST_NMI) && take_nmi(v)) {
                    do_nmi(v, regs);
                }
            }
        }
    }
}

#ifdef __x86_64__
/* The guest kernel trapped while it ran in ring 3, see entry-64.S */
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
#endif

/*
 * A page that the monitor reads or writes for the guest, and that the tables let
 * it: what the TLB had was older. A guest need not flush that when it gives more
 * rights, as the CPU looks again after a fault; so who is told of one here is
 * the same that would be told of it by the CPU.
 */
static bool is_spurious(ulong addr, u32 error)
{
    return !(error & (PF_RSVD | PF_INSN)) &&
           access_allowed(addr, error & PF_WRITE);
}

/* border: it came with user mode's tables, which are not in use now */
static void monitor_trap(struct regs *regs, bool border)
{
    struct vcpu *v = current_vcpu();
    ulong fixup, addr;

    switch (regs->vector) {
    case X86_NMI:
        /*
         * The guest's, by way of an interrupt as soon as it runs again. That is
         * pending from now on, whatever the monitor has looked at already.
         */
        request_nmi(v);
        apic_send_self(XENPV_IPI_VECTOR);
        return;
    case X86_DB:
        /*
         * A guest's breakpoint on data that the monitor touched for it, or a
         * step that began in SYSENTER: its entry clears the flag
         */
        asm volatile("mov %0, %%db6" : : "r" (0xffff0ff0UL));
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
#ifdef __x86_64__
    struct vcpu *v = current_vcpu();
    ulong cr3 = read_cr3();

    /*
     * At the border to user mode its tables are in use, which may have nothing
     * but that border. Whoever trapped there goes on with them.
     */
    if (unlikely(cr3 != v->kernel_cr3 && v->kernel_cr3)) {
        write_cr3(v->kernel_cr3);
        monitor_trap(regs, true);
        write_cr3(cr3);
        return;
    }
#endif
    monitor_trap(regs, false);
}

/* Hypercalls */

/* A code segment of the guest kernel's is not one of ring 0 */
static u16 fix_selector(u16 sel)
{
    return sel & 3 ? sel : sel | 1;
}

/* .traps was filled in from VCPUOP_initialise, where the index is the vector */
void set_own_trap_table(struct vcpu *v)
{
    for (unsigned i = 0; i < ARRAY_SIZE(v->traps); i++) {
        v->traps[i].cs = fix_selector(v->traps[i].cs);
        set_trap_gate(v, i);
    }
}

HYPERCALL(do_set_trap_table)
{
    struct vcpu *v = current_vcpu();
    struct trap_info ti;

    if (!a1) {
        memset(v->traps, 0, sizeof(v->traps));
        for (unsigned i = 0; i < ARRAY_SIZE(v->traps); i++) {
            set_trap_gate(v, i);
        }
        return 0;
    }
    for (ulong n = 1;; n++, a1 += sizeof(ti)) {
        if (n % ARRAY_SIZE(v->traps) == 0) {
            let_interrupts_in();
        }
        if (copy_from_guest(&ti, a1, sizeof(ti))) {
            return -EFAULT;
        }
        if (!ti.address) {
            return 0;
        }
        if (!canonical(ti.address)) {
            return -EINVAL;
        }
        ti.cs = fix_selector(ti.cs);
        v->traps[ti.vector] = ti;
        set_trap_gate(v, ti.vector);
    }
}

static void set_callback(struct callback *cb, u16 cs, ulong ip)
{
    cb->cs = fix_selector(cs);
    cb->ip = ip;
}

HYPERCALL(do_set_callbacks)
{
    struct vcpu *v = current_vcpu();

    /* What is refused is left as it was, without a word */
#ifdef __x86_64__
    if (canonical(a1)) {
        set_callback(&v->event, RING1_CS, a1);
    }
    if (canonical(a2)) {
        set_callback(&v->failsafe, RING1_CS, a2);
        v->failsafe.masks = false;
    }
    if (canonical(a3)) {
        v->syscall_cb = a3;
        v->syscall_masks = 0;
    }
#else
    set_callback(&v->event, a1, a2);
    set_callback(&v->failsafe, a3, a4);
    v->failsafe.masks = false;
#endif
    return 0;
}

/* public/callback.h, which QEMU has no copy of */
#define CALLBACKOP_register         0
#define CALLBACKOP_unregister       1
#define CALLBACKTYPE_event          0
#define CALLBACKTYPE_failsafe       1
#define CALLBACKTYPE_syscall        2
#define CALLBACKTYPE_nmi            4
#define CALLBACKTYPE_sysenter       5
#define CALLBACKTYPE_syscall32      7
#define CALLBACKF_mask_events       1
struct callback_register {
    u16 type, flags;
    xen_callback_t address;
};

/* As if it were in the trap table: with events masked, by the usual CS */
static void set_nmi_handler(struct vcpu *v, ulong ip)
{
    struct trap_info *ti = &v->traps[X86_NMI];

    memset(ti, 0, sizeof(*ti));
    ti->vector = X86_NMI;
    ti->cs = ip ? RING1_CS : 0;
    ti->address = ip;
    TI_SET_IF(ti, ip != 0);
}

static long register_callback(struct vcpu *v, const struct callback_register *r)
{
    bool masks = r->flags & CALLBACKF_mask_events;
#ifdef __x86_64__
    ulong ip = r->address;
    u16 cs = RING1_CS;

    if (!canonical(ip)) {
        return -EINVAL;
    }
#else
    ulong ip = r->address.eip;
    u16 cs = r->address.cs;
#endif

    switch (r->type) {
    case CALLBACKTYPE_event:
        set_callback(&v->event, cs, ip);
        return 0;
    case CALLBACKTYPE_failsafe:
        set_callback(&v->failsafe, cs, ip);
        v->failsafe.masks = masks;
        return 0;
    case CALLBACKTYPE_nmi:
        set_nmi_handler(v, ip);
        return 0;
    case CALLBACKTYPE_sysenter:
        set_callback(&v->sysenter, cs, ip);
        v->sysenter.cs = ip ? v->sysenter.cs : 0;
        v->sysenter.masks = masks;
        return 0;
    case CALLBACKTYPE_syscall32:
        /* Without effect on 32-bit, where SYSCALL is not enabled */
        set_callback(&v->syscall32, cs, ip);
        v->syscall32.masks = masks;
        return 0;
#ifdef __x86_64__
    case CALLBACKTYPE_syscall:
        v->syscall_cb = ip;
        v->syscall_masks = masks;
        return 0;
#endif
    }
    return -ENOSYS;
}

HYPERCALL(do_callback_op)
{
    struct vcpu *v = current_vcpu();
    struct callback_register r;

    switch ((u32)a1) {
    case CALLBACKOP_register:
        if (copy_from_guest(&r, a2, sizeof(r))) {
            return -EFAULT;
        }
        return register_callback(v, &r);
    case CALLBACKOP_unregister:
        if (copy_from_guest(&r, a2, 4)) {
            return -EFAULT;
        }
        switch (r.type) {
        case CALLBACKTYPE_event:
        case CALLBACKTYPE_failsafe:
        case CALLBACKTYPE_sysenter:
        case CALLBACKTYPE_syscall32:
            return -EINVAL;
        case CALLBACKTYPE_syscall:
            return WORD == 8 ? -EINVAL : -ENOSYS;
        case CALLBACKTYPE_nmi:
            set_nmi_handler(v, 0);
            return 0;
        }
        return -ENOSYS;
    }
    return WORD == 8 ? -ENOSYS : -EINVAL;
}

#define XENNMI_register_callback    0
#define XENNMI_unregister_callback  1

HYPERCALL(do_nmi_op)
{
    struct vcpu *v = current_vcpu();
    ulong handler;

    switch ((u32)a1) {
    case XENNMI_register_callback:
        if (copy_from_guest(&handler, a2, sizeof(handler))) {
            return -EFAULT;
        }
        if (!canonical(handler)) {
            return -EINVAL;
        }
        set_nmi_handler(v, handler);
        return 0;
    case XENNMI_unregister_callback:
        set_nmi_handler(v, 0);
        return 0;
    }
    return -ENOSYS;
}

#ifndef __x86_64__
/*
 * HYPERVISOR_iret to VM86 mode, with eax set already. Under a 64-bit Xen there
 * is no such mode, either, and the guest gets a #GP at the first instruction
 * there: the frame for it is the one that it wanted to return through.
 */
void do_iret_to_vm86(struct regs *regs)
{
    struct vcpu *v = current_vcpu();
    struct trap_info *ti = &v->traps[X86_GP];
    u32 frame[10];          /* error code, eip, cs, eflags, esp, ss, es to gs */

    frame[0] = 0;
    if (!ti->address ||
        copy_from_guest(&frame[1], regs->sp + 4, sizeof(frame) - 4) ||
        copy_to_guest(v->kernel_sp - sizeof(frame), frame, sizeof(frame))) {
        domain_crash(regs, "HYPERVISOR_iret to VM86 mode");
    }
    if (TI_GET_IF(ti)) {
        v->vcpu_info->evtchn_upcall_mask = 1;
    }
    regs->ip = ti->address;
    regs->cs = ti->cs;
    regs->sp = v->kernel_sp - sizeof(frame);
    regs->ss = v->kernel_ss;
    regs->flags = EFL_IF | 2;
}
#endif
