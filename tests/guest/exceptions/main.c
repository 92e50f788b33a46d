/*
 * Each exception reaches the guest with hardware's vector, error code and
 * frame, and with Xen's additions to the frame.
 *
 * The additions: RCX and R11 below the frame of a 64-bit guest, the upcall
 * mask in the slot of CS, IF in the flags as the opposite of that mask, and
 * CS and SS of a 64-bit guest kernel as Xen names them. A handler restarts or
 * skips what faulted by this, and decides by it whether user code is to blame;
 * a kernel with a wrong frame dies in its first page fault. An instruction at the
 * very end of what is mapped is told of like any other, though whoever looks what
 * it is cannot read on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

/* Instructions under test have a label before and after them */
#define INSN(name, ...) \
    asm volatile(".globl " #name ", " #name "_end\n" \
                 #name ": " __VA_ARGS__); \
    asm volatile(#name "_end:" : : : "memory")
#define LABELS(name) extern char name[], name##_end[]
#define CASE(name, ...) \
    LABELS(name); \
    static noinline void do_##name(void *arg) \
    { \
        INSN(name, __VA_ARGS__); \
    }

#define NO_CODE     (-1)

static uint64_t gdt[512] __attribute__((aligned(4096)));
/* Selectors of descriptors in there */
#define SEL_ABSENT  0x10
#define SEL_ABSENT_CODE 0x18
#define SEL_LIMITED 0x20

CASE(divide_error, "divl %0" : : "r" (0), "a" (1), "d" (0))
CASE(breakpoint, "int3")
CASE(int_3, "int $3")
CASE(overflow, "int $4")
CASE(ud2, "ud2")
CASE(fnop, "fnop")
CASE(absent_es, "mov %0, %%es" : : "r" (SEL_ABSENT))
CASE(beyond_gdt, "mov %0, %%es" : : "r" (0xfff8))
CASE(empty_es, "mov %0, %%es" : : "r" (0x100))
CASE(int_50, "int $0x50")
CASE(int_80, "int $0x80")
CASE(int_0d, "int $0x0d")
#ifdef __x86_64__
CASE(non_canonical, "mov %%eax, (%0)" : : "r" (0x800000000000UL))
#else
CASE(null_ss, "mov %0, %%ss" : : "r" (0))
CASE(into, "cmpb $0x80, %%al; jno 1f; into; 1:" : : "a" (0x7f) : "cc")
CASE(bound, "bound %0, %1" : : "r" (5), "m" (*(uint64_t *)gdt))
#endif

static uint8_t masked;

/* What every frame must have. ip NULL: do not compare. */
static void check_frame(const char *name, struct trap *t, unsigned vector,
                        long error, const void *ip, bool user)
{
    check(t->vector == vector, "%s: %s, expected %s", name,
          trap_name(t->vector), trap_name(vector));
    if (t->vector != vector) {
        return;
    }
    if (error != NO_CODE) {
        check_eq(t->error_code, error, "%s: error code", name);
    }
    if (ip) {
        check_eq(t->ip, (ulong)ip, "%s: IP", name);
    }
    check_eq(t->cs, user ? FLAT_USER_CS : FLAT_KERNEL_CS, "%s: CS", name);
    check_eq(t->ss, user ? FLAT_USER_SS : FLAT_KERNEL_SS, "%s: SS", name);
    if (!IS_64BIT && vector == 0x80 && masked) {
        /*
         * A gate that leads straight to the kernel, as in the 32-bit Xen of
         * old, knows of no upcall mask. No kernel runs user code with it set.
         */
        return;
    }
    check_eq(t->frame->cs, t->cs | (ulong)masked << (IS_64BIT ? 32 : 16),
             "%s: the slot of CS", name);
    check_eq(t->flags & X86_EFLAGS_IF, masked ? 0 : X86_EFLAGS_IF,
             "%s: IF in the flags", name);
    check_eq(t->flags & ~0x10ad7UL, 0, "%s: other flags", name);
    check_eq(t->upcall_mask, masked, "%s: upcall mask in the handler", name);
    if (IS_64BIT) {
        check_eq(((ulong)t->frame + sizeof(*t->frame)) % 16, 0,
                 "%s: alignment of the frame", name);
    }
}

static void kernel_case(const char *name, void (*fn)(void *), void *arg,
                        unsigned vector, long error, const void *ip)
{
    struct trap t;

    for (masked = 0; masked < 2; masked++) {
        if (masked) {
            mask_upcalls();
        } else {
            unmask_upcalls();
        }
        if (!catch_exception(&t, fn, arg)) {
            failure("%s: no exception", name);
        } else {
            check_frame(name, &t, vector, error, ip, false);
        }
    }
    masked = 1;
}
#define FAULT(name, vector, error) \
    kernel_case(#name, do_##name, NULL, vector, error, name)
#define TRAP(name, vector) \
    kernel_case(#name, do_##name, NULL, vector, NO_CODE, name##_end)

/* --- Page faults --- */

static char page[PAGE_SIZE] __attribute__((aligned(4096))) = "\xc3";

static noinline void do_read(void *p)
{
    *(volatile char *)p;
}

static noinline void do_write(void *p)
{
    *(volatile char *)p = 0xc3;
}

static noinline void do_jump(void *p)
{
    ((void (*)(void))p)();
}

static __user ulong user_read(ulong p, ulong unused)
{
    return *(volatile char *)p;
}

static __user ulong user_write(ulong p, ulong unused)
{
    return *(volatile char *)p = 0xc3;
}

static __user ulong user_jump(ulong p, ulong unused)
{
    ((void (*)(void))p)();
    return 0;
}

static void page_fault(const char *name, void (*kernel)(void *),
                       user_fn *user, ulong va, uint64_t flags, long error)
{
    struct trap t;
    uint64_t pte = flags ? make_pte(virt_to_mfn(page), flags) : 0;

    map_page(va, pte);
    if (kernel) {
        kernel_case(name, kernel, (void *)(va + 0x123), X86_PF, error, NULL);
        check_eq(vcpu_info()->arch.cr2, va + 0x123, "%s: cr2", name);
    } else {
        masked = 0;
        unmask_upcalls();
        if (!call_user(user, va + 0x123, 0, NULL, &t)) {
            failure("%s: no exception", name);
        } else {
            check_frame(name, &t, X86_PF, error, NULL, true);
            check_eq(t.cr2, va + 0x123, "%s: cr2", name);
        }
    }
    map_page(va, 0);
}

static void page_faults(void)
{
    const uint64_t ro = PAGE_KERNEL_RO, rw = PAGE_KERNEL;
    const ulong user = USER_DATA + PAGE_SIZE;

    page[0x123] = 0xc3;
    page_fault("kernel reads no page", do_read, NULL, TEST_VA, 0, 0);
    page_fault("kernel writes no page", do_write, NULL, TEST_VA, 0,
               PFEC_write);
    page_fault("kernel jumps to no page", do_jump, NULL, TEST_VA, 0,
               PFEC_insn);
    page_fault("kernel writes a read-only page", do_write, NULL, TEST_VA, ro,
               PFEC_present | PFEC_write);
    page_fault("kernel jumps to an NX page", do_jump, NULL, TEST_VA,
               rw | _PAGE_NX, PFEC_present | PFEC_insn);

    page_fault("user reads no page", NULL, user_read, user, 0, PFEC_user);
    page_fault("user writes no page", NULL, user_write, user, 0,
               PFEC_user | PFEC_write);
    page_fault("user jumps to no page", NULL, user_jump, user, 0,
               PFEC_user | PFEC_insn);
    page_fault("user writes a read-only page", NULL, user_write, user,
               ro | _PAGE_USER, PFEC_user | PFEC_present | PFEC_write);
    page_fault("user jumps to an NX page", NULL, user_jump, user,
               rw | _PAGE_USER | _PAGE_NX,
               PFEC_user | PFEC_present | PFEC_insn);
    if (!IS_64BIT) {
        /* Xen's 64-bit guests have kernel pages out of user mode's tables */
        page_fault("user reads a kernel page", NULL, user_read, user, rw,
                   PFEC_user | PFEC_present);
        page_fault("user writes a kernel page", NULL, user_write, user, rw,
                   PFEC_user | PFEC_present | PFEC_write);
        page_fault("user jumps to a kernel page", NULL, user_jump, user, rw,
                   PFEC_user | PFEC_present | PFEC_insn);
    }
}

/* --- From user mode --- */

#define USER_CASE(name, ...) \
    LABELS(name); \
    static __user ulong do_##name(ulong a, ulong b) \
    { \
        INSN(name, __VA_ARGS__); \
        return 0; \
    }

USER_CASE(u_divide, "divl %0" : : "r" (0), "a" (1), "d" (0))
USER_CASE(u_int3, "int3")
USER_CASE(u_overflow, "int $4")
USER_CASE(u_ud2, "ud2")
USER_CASE(u_hlt, "hlt")
USER_CASE(u_int_80, "int $0x80")
USER_CASE(u_int_50, "int $0x50")
USER_CASE(u_int_0e, "int $0x0e")
USER_CASE(u_absent, "mov %0, %%es" : : "r" (SEL_ABSENT | 3))
USER_CASE(u_absent_ss, "mov %0, %%ss" : : "r" (SEL_ABSENT | 3))
USER_CASE(u_fnop, "fnop")

static void user_case(const char *name, user_fn *fn, unsigned vector,
                      long error, const void *ip)
{
    struct trap t;

    for (masked = 0; masked < 2; masked++) {
        if (masked) {
            mask_upcalls();
        } else {
            unmask_upcalls();
        }
        if (!call_user(fn, 0, 0, NULL, &t)) {
            failure("%s: no exception", name);
        } else {
            check_frame(name, &t, vector, error, (void *)user_address(ip),
                        true);
            check(t.sp < USER_STACK && t.sp > USER_STACK - 256,
                  "%s: SP is %lx", name, t.sp);
        }
    }
    masked = 1;
}
#define USER_FAULT(name, vector, error) \
    user_case(#name, do_##name, vector, error, name)
#define USER_TRAP(name, vector) \
    user_case(#name, do_##name, vector, NO_CODE, name##_end)

static void from_user(void)
{
    USER_FAULT(u_divide, X86_DE, NO_CODE);
    USER_TRAP(u_int3, X86_BP);
    USER_TRAP(u_overflow, X86_OF);
    USER_FAULT(u_ud2, X86_UD, NO_CODE);
    USER_FAULT(u_hlt, X86_GP, 0);
    USER_TRAP(u_int_80, 0x80);
    USER_FAULT(u_int_50, X86_GP, 0x50 * 8 + 2);
    USER_FAULT(u_int_0e, X86_GP, 0x0e * 8 + 2);
    USER_FAULT(u_absent, X86_NP, SEL_ABSENT);
    USER_FAULT(u_absent_ss, X86_SS, SEL_ABSENT);
    for (int i = 0; i < 2; i++) {
        struct trap t;

        HYPERCALL(fpu_taskswitch, 1);
        check(call_user(do_u_fnop, 0, 0, NULL, &t) && t.vector == X86_NM,
              "no #NM from user mode");
        HYPERCALL(fpu_taskswitch, 0);
        check(!call_user(do_u_fnop, 0, 0, NULL, &t),
              "#NM from user mode without TS");
    }
}

static __user ulong unaligned(ulong p, ulong unused)
{
    ulong val;

#ifdef __x86_64__
    asm volatile("pushf; orl $0x40000, (%%rsp); popf; movl 1(%1), %k0\n"
                 "pushf; andl $~0x40000, (%%rsp); popf"
                 : "=r" (val) : "r" (p) : "memory", "cc");
#else
    asm volatile("pushf; orl $0x40000, (%%esp); popf; movl 1(%1), %0\n"
                 "pushf; andl $~0x40000, (%%esp); popf"
                 : "=r" (val) : "r" (p) : "memory", "cc");
#endif
    return val;
}

static void alignment_check(void)
{
    struct trap t;

    masked = 0;
    unmask_upcalls();
    /* Not every CPU model raises it */
    if (call_user(unaligned, USER_DATA, 0, NULL, &t)) {
        t.flags &= ~(ulong)X86_EFLAGS_AC;
        check_frame("unaligned", &t, X86_AC, 0, NULL, true);
#ifndef __x86_64__
        /*
         * AC stays set in a 32-bit kernel, as under Xen, which clears it for
         * 64-bit ones only.  In ring 1 it does nothing, but the next test's
         * frames would have it.
         */
        asm volatile("pushf; andl $~0x40000, (%%esp); popf" : : : "cc",
                     "memory");
#endif
    } else if (option("verbose")) {
        printk("no #AC\n");
    }
}

/* --- The rest --- */

/* The flags that a single step is taken with */
LABELS(step);
static noinline void do_step(void *arg)
{
    ulong flags;

    asm volatile("pushf; pop %0" : "=r" (flags));
    flags |= X86_EFLAGS_TF;
    asm volatile("push %0; popf\n"
                 ".globl step, step_end\nstep: nop\nstep_end: nop"
                 : : "r" (flags) : "memory", "cc");
}

static void single_step(void)
{
    struct trap t;
    ulong flags;

    masked = vcpu_info()->evtchn_upcall_mask;
    if (!catch_exception(&t, do_step, NULL)) {
        failure("no #DB by TF");
        return;
    }
    check_eq(t.flags & X86_EFLAGS_TF, X86_EFLAGS_TF, "#DB: TF in the flags");
    t.flags &= ~(ulong)X86_EFLAGS_TF;
    check_frame("#DB by TF", &t, X86_DB, NO_CODE, step_end, false);
    check_eq(HYPERCALL(get_debugreg, 6) & 0x4000, 0x4000, "DR6.BS");
    asm volatile("pushf; pop %0" : "=r" (flags));
    check_eq(flags & X86_EFLAGS_TF, 0, "TF in the handler");
}

static bool skip_ud2(struct trap *t)
{
    check_eq(t->upcall_mask, 1, "TI_IF: upcall mask in the handler");
    check_eq(t->saved_upcall_mask, 0, "TI_IF: saved upcall mask");
    t->frame->ip += 2;
    return true;
}

static void trap_flags(void)
{
    set_trap_flags(X86_UD, TI_IF);
    set_handler(X86_UD, skip_ud2);
    unmask_upcalls();
    asm volatile("ud2" : : : "memory");
    check_eq(vcpu_info()->evtchn_upcall_mask, 0, "the mask after iret");
    set_handler(X86_UD, NULL);
    set_trap_flags(X86_UD, 0);

    /* DPL 1 admits the kernel, not user mode */
    set_trap_flags(0x50, 1);
    TRAP(int_50, 0x50);
    USER_FAULT(u_int_50, X86_GP, 0x50 * 8 + 2);
    set_trap_flags(0x50, 3);
    USER_TRAP(u_int_50, 0x50);
    set_trap_flags(0x50, 0);
    FAULT(int_50, X86_GP, 0x50 * 8 + 2);
}

/* A handler that returns leaves everything as it was */
static bool skip_and_look(struct trap *t)
{
    t->frame->ip += 2;
    return true;
}

static void registers_survive(void)
{
    ulong ok;

    set_handler(X86_UD, skip_and_look);
#ifdef __x86_64__
    asm volatile("mov $0x101, %%ebx; mov $0x102, %%ecx; mov $0x103, %%edx\n"
                 "mov $0x104, %%esi; mov $0x105, %%edi; mov $0x108, %%r8d\n"
                 "mov $0x111, %%r11d; mov $0x115, %%r15d\n"
                 "mov %%rsp, %%r14; stc; ud2\n"
                 "setc %%al; movzbl %%al, %%eax\n"
                 "cmp $0x101, %%ebx; jne 1f; cmp $0x102, %%ecx; jne 1f\n"
                 "cmp $0x103, %%edx; jne 1f; cmp $0x104, %%esi; jne 1f\n"
                 "cmp $0x105, %%edi; jne 1f; cmp $0x108, %%r8d; jne 1f\n"
                 "cmp $0x111, %%r11d; jne 1f; cmp $0x115, %%r15d; jne 1f\n"
                 "cmp %%r14, %%rsp; je 2f\n"
                 "1: xor %%eax, %%eax\n2:"
                 : "=a" (ok) : : "rbx", "rcx", "rdx", "rsi", "rdi", "r8",
                 "r11", "r14", "r15", "memory", "cc");
#else
    asm volatile("push %%ebp; mov $0x101, %%ebx; mov $0x102, %%ecx\n"
                 "mov $0x103, %%edx; mov $0x104, %%esi; mov $0x105, %%edi\n"
                 "mov %%esp, %%ebp; stc; ud2\n"
                 "setc %%al; movzbl %%al, %%eax\n"
                 "cmp $0x101, %%ebx; jne 1f; cmp $0x102, %%ecx; jne 1f\n"
                 "cmp $0x103, %%edx; jne 1f; cmp $0x104, %%esi; jne 1f\n"
                 "cmp $0x105, %%edi; jne 1f; cmp %%ebp, %%esp; je 2f\n"
                 "1: xor %%eax, %%eax\n2: pop %%ebp"
                 : "=a" (ok) : : "ebx", "ecx", "edx", "esi", "edi",
                 "memory", "cc");
#endif
    check(ok == 1, "registers or flags change over a trap and iret");
    set_handler(X86_UD, NULL);
}

#ifdef __x86_64__
LABELS(slots);
static noinline void do_slots(void *arg)
{
    asm volatile("slots: ud2" : : "c" (0x1234567890UL), "d" (0) : "r11",
                 "memory");
}

static void rcx_and_r11(void)
{
    register ulong r11 asm("r11") = 0x9876543210UL;
    struct trap t;

    /* Through a user function: nothing can clobber R11 on the way */
    asm volatile("" : "+r" (r11));
    if (catch_exception(&t, do_slots, NULL)) {
        check_eq(t.rcx_slot, 0x1234567890UL, "the slot of RCX");
        check_eq(t.raw[1], t.r11_slot, "the slot of R11");
        check_eq(t.frame_address, (ulong)t.frame - 16,
                 "the frame follows RCX and R11");
    }
}
#endif

/* No exception may come from TS when it is clear, and each only once */
static void fpu(void)
{
    struct trap t;

    check_ret(HYPERCALL(fpu_taskswitch, 1), 0, "fpu_taskswitch(1)");
    masked = vcpu_info()->evtchn_upcall_mask;
    if (catch_exception(&t, do_fnop, NULL)) {
        check_frame("fnop", &t, X86_NM, NO_CODE, fnop, false);
    } else {
        failure("fnop: no exception");
    }
    check(!catch_exception(&t, do_fnop, NULL),
          "#NM does not clear TS for the guest");
    check_ret(HYPERCALL(fpu_taskswitch, 1), 0, "fpu_taskswitch(1)");
    check_ret(HYPERCALL(fpu_taskswitch, 0), 0, "fpu_taskswitch(0)");
    check(!catch_exception(&t, do_fnop, NULL), "#NM after fpu_taskswitch(0)");
}

static void call(void *arg)
{
    ((void (*)(void))arg)();
}

/* As a program may have it, too, at the end of its memory */
static void at_the_end(void)
{
    uint8_t *page = alloc_page();
    ulong at = TEST_VA + PAGE_SIZE - 2;
    struct trap t;

    page[PAGE_SIZE - 2] = 0x0f;
    page[PAGE_SIZE - 1] = 0x0b;         /* ud2 */
    map_page(TEST_VA, make_pte(virt_to_mfn(page), PAGE_KERNEL));
    check(catch_exception(&t, call, (void *)at), "ud2 at the end: nothing");
    check_eq(t.vector, X86_UD, "vector of ud2 at the end");
    check_eq(t.ip, at, "ip of ud2 at the end");
}

void test_main(void)
{
    ulong frame = virt_to_mfn(gdt);

    gdt[SEL_ABSENT / 8] = 0x00cf73000000ffffULL;        /* data, not present */
    gdt[SEL_ABSENT_CODE / 8] = 0x00cf7b000000ffffULL;
    make_readonly(gdt);
    check_ret(HYPERCALL(set_gdt, &frame, 512), 0, "set_gdt");

    FAULT(divide_error, X86_DE, NO_CODE);
    TRAP(breakpoint, X86_BP);
    TRAP(int_3, X86_BP);
    TRAP(overflow, X86_OF);
    FAULT(ud2, X86_UD, NO_CODE);
    FAULT(absent_es, X86_NP, SEL_ABSENT);
    FAULT(beyond_gdt, X86_GP, 0xfff8);
    FAULT(empty_es, X86_GP, 0x100);
    FAULT(int_50, X86_GP, 0x50 * 8 + 2);
    TRAP(int_80, 0x80);
    FAULT(int_0d, X86_GP, 0x0d * 8 + 2);
#ifdef __x86_64__
    FAULT(non_canonical, X86_GP, 0);
    rcx_and_r11();
#else
    FAULT(null_ss, X86_GP, 0);
    TRAP(into, X86_OF);
    FAULT(bound, X86_BR, NO_CODE);
#endif
    fpu();
    single_step();
    registers_survive();
    page_faults();
    from_user();
    alignment_check();
    trap_flags();
    at_the_end();
}
