/*
 * Multicalls: each call has its own result, and an iret ends them all.
 *
 * Kernels batch what they do to page tables and context switches, and look at
 * the results one by one; a call that fails does not keep the next from being
 * made. What an iret in a multicall returns through is on the caller's stack;
 * if the registers that it leaves alone, or what is behind it in the list,
 * were touched, its kernel would go on with wrong ones.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static void results(void)
{
    static char page[PAGE_SIZE] __attribute__((aligned(4096)));
    static struct multicall_entry m[6];
    uint64_t pte = make_pte(virt_to_mfn(page), PAGE_KERNEL);
    long version = HYPERCALL(xen_version, XENVER_version);

    map_page(TEST_VA, 0);
    page[0] = 'P';
    m[0].op = __HYPERVISOR_xen_version;
    m[0].args[0] = XENVER_version;
    m[1].op = 11;
    m[2].op = __HYPERVISOR_xen_version;
    m[2].args[0] = XENVER_extraversion;
    m[2].args[1] = BAD_POINTER;
    m[3].op = __HYPERVISOR_update_va_mapping;
    m[3].args[0] = TEST_VA;
    m[3].args[1] = pte;
    if (IS_64BIT) {
        m[3].args[2] = UVMF_INVLPG;
    } else {
        m[3].args[2] = pte >> 32;
        m[3].args[3] = UVMF_INVLPG;
    }
    m[4].op = 0x1000;
    m[5].op = __HYPERVISOR_xen_version;
    m[5].args[0] = XENVER_version;
    for (unsigned i = 0; i < ARRAY_SIZE(m); i++) {
        m[i].result = 0x5555;
    }
    check_ret(HYPERCALL(multicall, m, ARRAY_SIZE(m)), 0, "multicall");
    check_ret(m[0].result, version, "the first call");
    check_ret(m[1].result, -ENOSYS, "the second call, unknown");
    check_ret(m[2].result, -EFAULT, "the third call, bad pointer");
    check_ret(m[3].result, 0, "the fourth call");
    check_ret(m[4].result, -ENOSYS, "the fifth call, unknown");
    check_ret(m[5].result, version, "the last call");
    check_eq(*(volatile char *)TEST_VA, 'P', "what the fourth has mapped");
    check_ret(HYPERCALL(multicall, m, 0), 0, "multicall of nothing");
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
}

static void refused(void)
{
    static struct multicall_entry
        list[2 * PAGE_SIZE / sizeof(struct multicall_entry)]
        __attribute__((aligned(4096)));
    /* Sizes divide pages: the last one of the first page */
    unsigned last = PAGE_SIZE / sizeof(struct multicall_entry) - 1;
    long version = HYPERCALL(xen_version, XENVER_version);
    struct multicall_entry *m = list + last - 2;

    for (unsigned i = 0; i < 4; i++) {
        m[i] = (struct multicall_entry) { __HYPERVISOR_xen_version, 99 };
    }
    m[0].op = 1000;
    m[1].op = __HYPERVISOR_sched_op;
    m[1].args[0] = 99;
    m[3].op = __HYPERVISOR_multicall;
    check_ret(HYPERCALL(multicall, m, 4), 0, "multicall");
    check_ret(m[0].result, -ENOSYS, "an unknown call of it");
    check_ret(m[1].result, -ENOSYS, "an unknown sub-operation of it");
    check_ret(m[2].result, version, "a good one after bad ones");
    check_ret(m[3].result, -EINVAL, "a multicall of it");
    check_ret(HYPERCALL(multicall, HV_POINTER, 1), -EFAULT,
              "multicall of the hypervisor's memory");
    check_ret(HYPERCALL(multicall, BAD_POINTER, 1), -EFAULT,
              "multicall, bad pointer");
    check_ret(HYPERCALL(multicall, m, 0), 0, "multicall of nothing");

    /* The list ends before it should: what is there is done */
    m[2].result = 99;
    update_va_mapping((ulong)list + PAGE_SIZE, 0, UVMF_INVLPG);
    check_ret(HYPERCALL(multicall, m, 5), -EFAULT,
              "multicall of a list whose end is not there");
    check_ret(m[2].result, version, "the last one that is there");
    make_writable((char *)list + PAGE_SIZE);

    /* Results cannot be written: the first call is done, no other */
    m = list;
    m[0] = (struct multicall_entry) {
        __HYPERVISOR_vm_assist, 99, { VMASST_CMD_enable, 6 }
    };
    m[1] = m[0];
    make_readonly(list);
    check_ret(HYPERCALL(multicall, m, 2), -EFAULT, "multicall, read-only");
    make_writable(list);
}

/* --- An iret --- */

#define STR(x)  STR_(x)
#define STR_(x) #x

/* The registers after it; what is not on the stack is as it was at the call */
extern struct {
#ifdef __x86_64__
    ulong ax, bx, cx, dx, si, di, bp, r8, r9, r10, r11, r12, r13, r14, r15;
#else
    ulong ax, bx, cx, dx, si, di, bp;
#endif
} after;
typeof(after) after;

/* A multicall whose iret returns to the kernel with these flags, and here */
extern void iret_to_kernel(struct multicall_entry *calls, ulong n, ulong flags);
/* ... or through this frame, to user mode */
struct user_entry {
    struct iret_frame frame;
    struct multicall_entry *calls;
    ulong n;
};
extern void iret_to_user(void *user_entry);

#ifdef __x86_64__
asm("iret_to_kernel:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rsp, %rax\n"
    "push $" STR(FLAT_KERNEL_SS) "; push %rax; push %rdx\n"
    "push $" STR(FLAT_KERNEL_CS) "; push $1f\n"
    "push $0; push $0x101; push $0x102; push $0x103\n"
    "mov $0x104, %ebx; mov $0x105, %ebp; mov $0x106, %r12d\n"
    "mov $0x107, %r13d; mov $0x108, %r14d; mov $0x109, %r15d\n"
    "mov $0x10a, %edx; mov $0x10b, %r8d; mov $0x10c, %r9d; mov $0x10d, %r10d\n"
    "mov $" STR(__HYPERVISOR_multicall) ", %eax; syscall; ud2\n"
    "1: mov %rax, after; mov %rbx, after + 8; mov %rcx, after + 16\n"
    "mov %rdx, after + 24; mov %rsi, after + 32; mov %rdi, after + 40\n"
    "mov %rbp, after + 48; mov %r8, after + 56; mov %r9, after + 64\n"
    "mov %r10, after + 72; mov %r11, after + 80; mov %r12, after + 88\n"
    "mov %r13, after + 96; mov %r14, after + 104; mov %r15, after + 112\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
    "iret_to_user:\n"
    "push 32(%rdi); push 24(%rdi); push 16(%rdi); push 8(%rdi); push (%rdi)\n"
    "push $0; push $0; push $0; push $0x103\n"
    "mov 48(%rdi), %rsi; mov 40(%rdi), %rdi\n"
    "mov $" STR(__HYPERVISOR_multicall) ", %eax; syscall; ud2\n");
#else
asm("iret_to_kernel:\n"
    "push %ebx; push %ebp; push %esi; push %edi\n"
    "mov 20(%esp), %ebx; mov 24(%esp), %ecx; mov 28(%esp), %eax\n"
    "push %eax; push $" STR(FLAT_KERNEL_CS) "; push $1f; push $0x103\n"
    "mov $0x10a, %edx; mov $0x104, %esi; mov $0x106, %edi; mov $0x105, %ebp\n"
    "mov $" STR(__HYPERVISOR_multicall) ", %eax; int $0x82; ud2\n"
    "1: mov %eax, after; mov %ebx, after + 4; mov %ecx, after + 8\n"
    "mov %edx, after + 12; mov %esi, after + 16; mov %edi, after + 20\n"
    "mov %ebp, after + 24\n"
    "pop %edi; pop %esi; pop %ebp; pop %ebx; ret\n"
    "iret_to_user:\n"
    "mov 4(%esp), %edx\n"
    "push 16(%edx); push 12(%edx); push 8(%edx); push 4(%edx); push (%edx)\n"
    "push $0x103\n"
    "mov 20(%edx), %ebx; mov 24(%edx), %ecx\n"
    "mov $" STR(__HYPERVISOR_multicall) ", %eax; int $0x82; ud2\n");
#endif

/* Of some length, which the iret may be anywhere in */
#define LIST_LENGTH 600

static struct multicall_entry *list_with_iret(unsigned at)
{
    static struct multicall_entry m[LIST_LENGTH];

    for (unsigned i = 0; i < LIST_LENGTH; i++) {
        m[i].op = i == at ? __HYPERVISOR_iret : __HYPERVISOR_xen_version;
        m[i].result = 0x5555;
    }
    return m;
}

static void iret_in_kernel(unsigned at, ulong length)
{
    struct multicall_entry *m = list_with_iret(at);

    for (unsigned masked = 0; masked < 2; masked++) {
        memset(&after, 0, sizeof(after));
        iret_to_kernel(m, length, masked ? 2 : X86_EFLAGS_IF | 2);
        check_eq(vcpu_info()->evtchn_upcall_mask, masked, "the upcall mask");
        check_eq(after.ax, 0x103, "AX");
        check_eq(after.bx, IS_64BIT ? 0x104 : (ulong)m, "BX");
        check_eq(after.dx, 0x10a, "DX");
        check_eq(after.bp, 0x105, "BP");
#ifdef __x86_64__
        check_eq(after.cx, 0x101, "RCX");
        check_eq(after.r11, 0x102, "R11");
        check_eq(after.di, (ulong)m, "RDI");
        check_eq(after.si, length, "RSI");
        check_eq(after.r8, 0x10b, "R8");
        check_eq(after.r9, 0x10c, "R9");
        check_eq(after.r10, 0x10d, "R10");
        check_eq(after.r12, 0x106, "R12");
        check_eq(after.r13, 0x107, "R13");
        check_eq(after.r14, 0x108, "R14");
        check_eq(after.r15, 0x109, "R15");
#else
        check_eq(after.cx, length, "ECX");
        check_eq(after.si, 0x104, "ESI");
        check_eq(after.di, 0x106, "EDI");
#endif
        check(m[at - 1].result > 0 && m[at - 1].result != 0x5555,
              "the call before the iret returned %ld", m[at - 1].result);
        check_eq(m[at].result, 0x103, "the iret's result");
        check_eq(m[at + 1].result, 0x5555, "the result of what is behind it");
        check_eq(m[LIST_LENGTH - 1].result, 0x5555, "the last result");
    }
    check_ret(HYPERCALL(multicall, m, 1), 0, "a multicall after that");
    mask_upcalls();
}

static __user ulong user_int(ulong a, ulong b)
{
    asm volatile("int $0x80");
    return 0;
}

static void iret_in_user(void)
{
    struct user_entry entry = {
        { user_address(user_int), FLAT_USER_CS, X86_EFLAGS_IF, USER_STACK - 64,
          FLAT_USER_SS }, list_with_iret(1), 3
    };
    struct trap t;

    check(catch_exception(&t, iret_to_user, &entry) && t.vector == 0x80 &&
          t.from_user, "no way to user mode: %s(%x)", trap_name(t.vector),
          t.error_code);
    check_eq(t.sp, USER_STACK - 64, "the program's stack pointer");
    check_eq(t.regs->ax, 0x103, "the program's AX");
    check_eq(entry.calls[2].result, 0x5555, "what is behind the iret");
}

void test_main(void)
{
    user_init();
    results();
    refused();
    iret_in_kernel(1, 3);
    /* The hypervisor may do long ones in parts */
    for (unsigned at = 1; at < LIST_LENGTH - 1; at++) {
        iret_in_kernel(at, LIST_LENGTH);
    }
    iret_in_user();
}
