/*
 * User mode gains nothing: not the kernel's rights, not the hypervisor's.
 *
 * User code may execute any instruction and load any selector. Whatever it
 * tries here must end as an exception (or system call) of its own in the guest
 * kernel: hypercall gates, privileged instructions, the hypervisor's memory
 * and the kernel's, code and stack segments of inner rings, gates of the
 * kernel, and flags that only the kernel may set. Where the guest kernel runs
 * in ring 1, as here, a single wrong descriptor privilege is enough to fail.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define UNUSED ulong a, ulong b
#define USER_INSN(name, ...) \
    static __user ulong name(UNUSED) \
    { \
        asm volatile(__VA_ARGS__); \
        return 0x5a5a; \
    }

/* Must raise vector, with the error code unless that is negative */
static void denied(const char *what, user_fn *fn, ulong a, ulong b,
                   unsigned vector, long error)
{
    struct trap t;
    ulong result;

    if (!call_user(fn, a, b, &result, &t)) {
        failure("%s: works in user mode (result %lx)", what, result);
        return;
    }
    check(t.from_user, "%s: %s not from user mode", what, trap_name(t.vector));
    check(t.vector == vector, "%s: %s(%x), cr2 %lx, expected %s", what,
          trap_name(t.vector), t.error_code, t.cr2, trap_name(vector));
    if (t.vector == vector && error >= 0) {
        check_eq(t.error_code, error, "%s: error code", what);
    }
}

/* --- Hypercalls --- */

USER_INSN(int_82, "int $0x82" : : "a" (__HYPERVISOR_sched_op) : "memory")

static void hypercalls(void)
{
    denied("int $0x82", int_82, 0, 0, X86_GP, 0x82 * 8 + 2);
}

#ifdef __x86_64__
extern char after_syscall[];
static __user ulong do_syscall(ulong nr, ulong arg)
{
    asm volatile("mov %0, %%rax; syscall\n"
                 ".globl after_syscall\nafter_syscall:"
                 : : "r" (nr), "D" (arg) : "rax", "rcx", "r11", "memory");
    return 0;
}

/* A system call is the kernel's affair, whatever its number */
static void system_calls(void)
{
    struct trap t;

    for (unsigned nr = 0; nr < 64; nr += 3) {
        if (!call_user(do_syscall, nr, 0x77, NULL, &t)) {
            failure("syscall returns to user mode");
            return;
        }
        check_eq(t.vector, VECTOR_SYSCALL, "syscall: the vector");
        check_eq(t.regs->ax, nr, "syscall: RAX");
        check_eq(t.regs->di, 0x77, "syscall: RDI");
        check_eq(t.ip, user_address(after_syscall), "syscall: RIP");
        check_eq(t.rcx_slot, t.ip, "syscall: RCX");
        check_eq(t.cs, FLAT_USER_CS, "syscall: CS");
        check_eq(t.ss, FLAT_USER_SS, "syscall: SS");
        check_eq(t.flags & X86_EFLAGS_IF, X86_EFLAGS_IF, "syscall: IF");
    }
}

static __user ulong stepped_syscall(UNUSED)
{
    asm volatile("pushf; orl $0x100, (%%rsp); popf; syscall"
                 : : "a" (1) : "rcx", "r11", "memory");
    return 0;
}

/* With whatever a program has in its stack pointer and its flags */
static __user ulong hostile_syscall(ulong flags, ulong junk)
{
    asm volatile("push %0; popf; mov %1, %%rsp; mov %1, %%rcx; mov %1, %%r11\n"
                 "mov %1, %%rax; syscall"
                 : : "r" (flags), "r" (junk) : "memory", "cc");
    return 0;
}

static void hostile_syscalls(void)
{
    static const ulong flags[] = { 2, 0x4002, 0x402, 0x40002, 0x44cd7 };
    static const ulong junk[] = {
        0, ~0UL, 1, HV_POINTER, VIRT_BASE, 0x800000000000UL,
        0xffff7fffffffffffUL, 0xffff808000000000UL, 0xffff808040028000UL,
        0xffff87fffffffff8UL,
    };
    const ulong mask = X86_EFLAGS_DF | X86_EFLAGS_AC | 0x4000;

    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(junk); j++) {
            struct trap t;
            ulong now;

            check(call_user(hostile_syscall, flags[i], junk[j], NULL, &t) &&
                  t.from_user && t.vector == VECTOR_SYSCALL,
                  "syscall with %lx and flags %lx: %s", junk[j], flags[i],
                  trap_name(t.vector));
            asm volatile("pushf; pop %0" : "=r" (now));
            check_eq(now & mask, 0, "flags of the kernel after it");
            check_eq(t.flags & mask, flags[i] & mask, "flags of the program");
            check_eq(t.sp, junk[j], "the stack pointer of the program");
            check_eq(t.regs->ax, junk[j], "RAX of the program");
        }
    }
}

/* A kernel that is entered by one must not be stepped itself */
static void stepped(void)
{
    struct trap t;
    ulong flags;

    check(call_user(stepped_syscall, 0, 0, NULL, &t) && t.from_user,
          "a stepped syscall");
    check(t.vector == VECTOR_SYSCALL || t.vector == X86_DB,
          "a stepped syscall: %s", trap_name(t.vector));
    asm volatile("pushf; pop %0" : "=r" (flags));
    check_eq(flags & X86_EFLAGS_TF, 0, "TF in the kernel");
}
#endif

/* --- Privileged instructions --- */

USER_INSN(cli, "cli")
USER_INSN(sti, "sti")
USER_INSN(hlt, "hlt")
USER_INSN(write_cr3, "mov %0, %%cr3" : : "r" (0UL))
USER_INSN(read_cr3, "mov %%cr3, %0" : "=r" (a))
USER_INSN(read_cr0, "mov %%cr0, %0" : "=r" (a))
USER_INSN(write_cr4, "mov %0, %%cr4" : : "r" (0UL))
USER_INSN(clts, "clts")
USER_INSN(invlpg, "invlpg (%0)" : : "r" (USER_DATA))
USER_INSN(rdmsr, "rdmsr" : : "c" (0xc0000080) : "eax", "edx")
USER_INSN(wrmsr, "wrmsr" : : "c" (0xc0000082), "a" (0), "d" (0))
USER_INSN(inb, "in $0x80, %%al" : : : "eax")
USER_INSN(outb, "out %%al, $0x80" : : "a" (0))
USER_INSN(outl_doorbell, "outl %0, %1" : : "a" (0), "d" (0x1904))
USER_INSN(lgdt, "lgdt (%0)" : : "r" (USER_DATA))
USER_INSN(lidt, "lidt (%0)" : : "r" (USER_DATA))
USER_INSN(lldt, "lldt %w0" : : "r" (0))
USER_INSN(ltr, "ltr %w0" : : "r" (0xe040))
USER_INSN(read_dr7, "mov %%dr7, %0" : "=r" (a))
USER_INSN(write_dr7, "mov %0, %%dr7" : : "r" (0UL))
USER_INSN(sysexit, ".byte 0x0f, 0x35" : : "c" (USER_STACK), "d" (USER_BASE))
#ifdef __x86_64__
USER_INSN(sysret, "sysretq" : : "c" (USER_BASE), "a" (0) : "r11")
USER_INSN(sysret32, "sysretl" : : "c" (USER_BASE), "a" (0) : "r11")
USER_INSN(swapgs, "swapgs")
#endif

static void privileged(void)
{
    struct trap t;

#define DENIED(fn) denied(#fn, fn, 0, 0, X86_GP, 0)
    DENIED(cli);
    DENIED(sti);
    DENIED(hlt);
    DENIED(write_cr3);
    DENIED(read_cr3);
    DENIED(read_cr0);
    DENIED(write_cr4);
    DENIED(clts);
    DENIED(invlpg);
    DENIED(rdmsr);
    DENIED(wrmsr);
    DENIED(inb);
    DENIED(outb);
    DENIED(outl_doorbell);
    DENIED(lgdt);
    DENIED(lidt);
    DENIED(lldt);
    DENIED(ltr);
    DENIED(read_dr7);
    DENIED(write_dr7);
    /* AMD's CPUs do not have it in long mode */
    check(call_user(sysexit, 0, 0, NULL, &t) && t.from_user &&
          (t.vector == X86_GP || (IS_64BIT && t.vector == X86_UD)),
          "sysexit: %s", trap_name(t.vector));
#ifdef __x86_64__
    DENIED(sysret);
    DENIED(sysret32);
    DENIED(swapgs);
#endif
}

static __user ulong set_flags(ulong flags, ulong unused)
{
    asm volatile("push %0; popf; pushf; pop %0" : "+r" (flags) : : "cc",
                 "memory");
    return flags;
}

static void flags(void)
{
    struct trap t;
    ulong result;

    check(!call_user(set_flags, 0x3202, 0, &result, &t), "popf: %s",
          trap_name(t.vector));
    check_eq(result & X86_EFLAGS_IOPL, 0, "IOPL after popf");
    check(!call_user(set_flags, 0x2, 0, &result, &t), "popf: %s",
          trap_name(t.vector));
    check_eq(result & X86_EFLAGS_IF, X86_EFLAGS_IF, "IF after popf");
    DENIED(cli);
}

/* --- Memory --- */

static __user ulong read(ulong p, ulong unused)
{
    return *(volatile ulong *)p;
}

static __user ulong write(ulong p, ulong val)
{
    *(volatile ulong *)p = val;
    return 0;
}

static __user ulong jump(ulong p, ulong unused)
{
    ((void (*)(void))p)();
    return 0;
}

static void memory(void)
{
    ulong p;

#ifdef __x86_64__
    /* Once per GiB, and near the ends of what is mapped there */
    static const ulong hv[] = {
        0xffff800000000000, 0xffff808000000000, 0xffff808000001000,
        0xffff808000080000, 0xffff808000090000, 0xffff808040000000,
        0xffff808040026000, 0xffff808040028000, 0xffff80804002e000,
        0xffff810000000000, 0xffff81007e000000, 0xffff82d040200000,
        0xffff87fffffff000
    };

    for (unsigned i = 0; i < ARRAY_SIZE(hv); i++) {
        p = hv[i];
        denied("writing the hypervisor's memory", write, p, 0, X86_PF, -1);
        denied("jumping to the hypervisor's memory", jump, p, 0, X86_PF, -1);
        /* Xen shows its M2P also to user mode, unless m2p_strict */
        if (p != 0xffff800000000000) {
            denied("reading the hypervisor's memory", read, p, 0, X86_PF, -1);
        }
    }
    denied("reading no canonical address", read, 0x800000000000, 0, X86_GP,
           0);
#else
    ulong start = (ulong)machine_to_phys;

    for (p = 0xffe00000; p >= start; p -= 0x200000) {
        denied("writing the hypervisor's memory", write, p, 0, X86_PF, -1);
        denied("jumping to the hypervisor's memory", jump, p, 0, X86_PF, -1);
        if (p >= start + 0x2000000) {
            denied("reading the hypervisor's memory", read, p, 0, X86_PF, -1);
        }
    }
    for (p = 0xf8000000; p < 0xf8040000; p += 0x1000) {
        denied("reading a vCPU's area", read, p, 0, X86_PF, -1);
        denied("writing a vCPU's area", write, p, 0, X86_PF, -1);
    }
#endif
    denied("reading the kernel's memory", read, (ulong)start_info, 0, X86_PF,
           -1);
    denied("writing the kernel's memory", write, (ulong)start_info, 0, X86_PF,
           -1);
    denied("jumping to the kernel's memory", jump, (ulong)hypercall_page, 0,
           X86_PF, -1);
    denied("reading shared_info", read, (ulong)shared_info, 0, X86_PF, -1);
    denied("writing a page table", write, start_info->pt_base, 0, X86_PF, -1);
}

/* --- Segments --- */

static __user ulong load_ds(ulong sel, ulong unused)
{
    asm volatile("mov %0, %%es" : : "r" (sel));
    return 0;
}

static __user ulong load_ss(ulong sel, ulong unused)
{
    asm volatile("mov %0, %%ss" : : "r" (sel));
    return 0;
}

/* A far return, as user mode's way to load any CS */
static __user ulong load_cs(ulong sel, ulong unused)
{
#ifdef __x86_64__
    asm volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
                 : : "r" (sel) : "rax", "memory");
#else
    asm volatile("push %0; call 2f; 2: addl $1f - 2b, (%%esp); lret; 1:"
                 : : "r" (sel) : "memory");
#endif
    return 0;
}

/* The same by IRET, with a stack of the same privilege */
static __user ulong iret_to(ulong cs, ulong ss)
{
#ifdef __x86_64__
    asm volatile("mov %%rsp, %%rdx; push %1; push %%rdx; pushf; push %0\n"
                 "lea 1f(%%rip), %%rax; push %%rax; iretq; 1:"
                 : : "r" (cs), "r" (ss) : "rax", "rdx", "memory");
#else
    asm volatile("push %1; push %%esp; pushf; push %0\n"
                 "call 2f; 2: addl $1f - 2b, (%%esp); iret; 1:"
                 : : "r" (cs), "r" (ss) : "memory");
#endif
    return 0;
}

/* With NT, which asks for the task that called this one: there is none */
static __user ulong nested_iret(UNUSED)
{
#ifdef __x86_64__
    asm volatile("pushf; orl $0x4000, (%%rsp); popf; iretq" : : : "memory");
#else
    asm volatile("pushf; orl $0x4000, (%%esp); popf; iret" : : : "memory");
#endif
    return 0;
}

static __user ulong call_gate(ulong sel, ulong unused)
{
    struct {
        uint32_t offset;
        uint16_t sel;
    } __attribute__((packed)) target = { 0, sel };

    asm volatile("lcall *%0" : : "m" (target) : "memory");
    return 0;
}

static void segments(void)
{
    struct trap t;

    check(call_user(nested_iret, 0, 0, NULL, &t) && t.from_user &&
          (t.vector == X86_GP || t.vector == X86_TS),
          "iret with NT: %s(%x)", trap_name(t.vector), t.error_code);

    /* The monitor's and the kernel's selectors, with every RPL */
    for (ulong sel = 0xe008; sel < 0xe080; sel += 8) {
        for (unsigned rpl = 0; rpl < 4; rpl++) {
            ulong s = sel | rpl;
            bool users = sel == (FLAT_USER_CS & ~7) ||
                         sel == (FLAT_USER_SS & ~7) ||
                         /* FLAT_RING3_CS32 */
                         (IS_64BIT && sel == 0xe020);

            if (users) {
                continue;
            }
            denied("loading DS", load_ds, s, 0, X86_GP, s & ~3UL);
            denied("loading SS", load_ss, s, 0, X86_GP, s & ~3UL);
            denied("far return", load_cs, s, 0, X86_GP, s & ~3UL);
            denied("far call", call_gate, s, 0, X86_GP, s & ~3UL);
            if (rpl) {
                denied("iret", iret_to, s, sel + 8 + rpl, X86_GP, s & ~3UL);
            }
        }
    }
}

/* Descriptors that the guest kernel makes, with all privileges and types */
static uint64_t gdt[512] __attribute__((aligned(4096)));
static uint64_t ldt[512] __attribute__((aligned(4096)));

/* In entry 8 of a table, which ti says how to select */
static void descriptors(uint64_t *gdt, unsigned ti)
{
    ulong frame = virt_to_mfn(gdt);
    unsigned accepted = 0;

    for (unsigned type = 0; type < 32; type++) {
        for (unsigned dpl = 0; dpl < 4; dpl++) {
            uint64_t desc = 0x00cf00000000ffffULL | 1ULL << 47 |
                            (uint64_t)dpl << 45 | (uint64_t)type << 40;
            uint64_t seen;
            struct trap t;
            long ret = update_descriptor(((uint64_t)frame << PAGE_SHIFT) +
                                         0x40, desc);

            if (ret) {
                check_ret(ret, -EINVAL, "update_descriptor, type %x, DPL %u",
                          type, dpl);
                continue;
            }
            accepted++;
            seen = gdt[8];
            /*
             * Xen accepts type 0, which is harmless, and call gates, whose
             * selector it changes; this null selector stays without effect.
             */
            if (type != 0 && type != 0xc) {
                check(seen >> 44 & 1, "a system descriptor is accepted: %llx",
                      (unsigned long long)seen);
                check(seen >> 45 & 3, "a descriptor of type %x has DPL 0: %llx",
                      type, (unsigned long long)seen);
            }
            /* What user mode can make of it must not be more than ring 3 */
            for (unsigned rpl = 0; rpl < 4; rpl += 3) {
                ulong sel = 0x40 | ti | rpl;

                if (call_user(load_cs, sel, 0, NULL, &t)) {
                    check(t.from_user, "a far return leaves user mode");
                }
                if (call_user(call_gate, sel, 0, NULL, &t)) {
                    check(t.from_user, "a far call leaves user mode");
                }
                if (call_user(iret_to, sel, FLAT_USER_SS, NULL, &t)) {
                    check(t.from_user, "an iret leaves user mode");
                }
                if (call_user(load_ss, sel, 0, NULL, &t)) {
                    check(t.from_user, "loading SS leaves user mode");
                }
            }
        }
    }
    check(accepted >= 16, "only %u descriptors are accepted", accepted);
}

/*
 * Call gates for user mode, if the hypervisor lets the kernel have them at all:
 * to the hypervisor's code, to what is no code, and to where nothing is
 */
static void call_gates(uint64_t *table, unsigned ti)
{
    static const uint16_t targets[] = {
        0xe008, 0xe00b, 0xe010, 0xe013, 0xe040, 0xe060, 0x0000, 0x0003, 0x0050,
        0x0057, 0xe02b, 0xe033, 0xe021, 0xe068,
    };
    uint64_t maddr = (uint64_t)virt_to_mfn(table) << PAGE_SHIFT;

    update_descriptor(maddr + 0x48, 0);     /* the second half of 64-bit ones */
    for (unsigned i = 0; i < ARRAY_SIZE(targets); i++) {
        uint64_t gate = 1ULL << 47 | 3ULL << 45 | 0xcULL << 40 |
                        (uint64_t)targets[i] << 16 |
                        (user_address(read) & 0xffff) |
                        (uint64_t)(user_address(read) >> 16) << 48;

        if (update_descriptor(maddr + 0x40, gate)) {
            continue;
        }
        for (unsigned rpl = 0; rpl < 4; rpl++) {
            struct trap t;

            /* A 32-bit guest's gate may lead to code that stays in ring 3 */
            if (call_user(call_gate, 0x40 | ti | rpl, 0, NULL, &t)) {
                check(t.from_user, "a gate to %x leaves user mode", targets[i]);
            }
        }
    }
}

static void tables(void)
{
    ulong frame = virt_to_mfn(gdt);

    make_readonly(gdt);
    make_readonly(ldt);
    check_ret(HYPERCALL(set_gdt, &frame, 512), 0, "set_gdt");
    check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt, 512), 0, "SET_LDT");
    descriptors(gdt, 0);
    descriptors(ldt, 4);
    call_gates(gdt, 0);
    call_gates(ldt, 4);
}

/* --- Gates --- */

static __user ulong int_n(ulong n, ulong unused)
{
    /* Code can be written only where the kernel has mapped it so */
    return ((ulong (*)(void))(USER_DATA + n * 4))();
}

static void gates(void)
{
    user_init();
    for (unsigned n = 0; n < 256; n++) {
        /* int $n; ret */
        user_data[n * 4] = 0xcd;
        user_data[n * 4 + 1] = n;
        user_data[n * 4 + 2] = 0xc3;
    }
    for (unsigned n = 0; n < 256; n++) {
        if (n == X86_BP || n == X86_OF) {
            denied("int", int_n, n, 0, n, -1);
        } else if (n == 0x80 || n == 0x81) {
            denied("int", int_n, n, 0, n, -1);
        } else {
            denied("int", int_n, n, 0, X86_GP, n * 8 + 2);
        }
    }
}

void test_main(void)
{
    unmask_upcalls();
    hypercalls();
#ifdef __x86_64__
    system_calls();
    hostile_syscalls();
    stepped();
#endif
    privileged();
    flags();
    memory();
    segments();
    gates();
    tables();
}
