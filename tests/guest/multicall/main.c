/*
 * Multicalls: each call has its own result.
 *
 * Kernels batch what they do to page tables and context switches, and look at
 * the results one by one; a call that fails does not keep the next from being
 * made.
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

/* Another list cannot be in one; an iret ends it, and what is behind waits for ever */
static struct multicall_entry ended[600];

extern char user_return[];
void return_by_list(struct iret_frame *frame, ulong list, ulong nr);
asm(".pushsection .text\n"
    "return_by_list:\n"
#ifdef __x86_64__
    "mov %rdi, %rsp\n"
    "mov %rsi, %rdi\n"
    "mov %rdx, %rsi\n"
    "mov $0xb, %ebx\n"
    "mov $0xf, %r15d\n"
    "push $0\n"                /* flags; rcx, r11, rax */
    "push $0xc\n"
    "push $0xd\n"
    "push $0xa\n"
    "mov $13, %eax\n"
    "syscall\n"
#else
    "mov 8(%esp), %ebx\n"
    "mov 12(%esp), %ecx\n"
    "mov 4(%esp), %esp\n"
    "push $0xa\n"
    "mov $13, %eax\n"
    "int $0x82\n"
#endif
    "ud2\n"
    ".popsection\n");

static void go(void *nr)
{
    static struct {
        ulong room[512];
        struct iret_frame frame;
    } stack;

    stack.frame = (struct iret_frame) {
        user_address(user_return), FLAT_USER_CS, X86_EFLAGS_IF, USER_STACK - 64,
        FLAT_USER_SS
    };
    return_by_list(&stack.frame, (ulong)ended, (ulong)nr);
}

static void iret_in_a_list(unsigned at, unsigned nr)
{
    struct trap t;

    for (unsigned i = 0; i < nr; i++) {
        ended[i] = (struct multicall_entry) { __HYPERVISOR_xen_version };
    }
    ended[at].op = __HYPERVISOR_iret;
    ended[0].op = __HYPERVISOR_multicall;
    check(catch_exception(&t, go, (void *)(ulong)nr) && t.vector == 0x81 &&
          t.from_user && t.ip == user_address(user_return) + 2,
          "an iret at %u of %u: %s at %lx", at, nr, trap_name(t.vector), t.ip);
    check_eq(t.regs->ax, 0xa, "an iret at %u of %u: (r|e)ax", at, nr);
#ifdef __x86_64__
    check(t.regs->bx == 0xb && t.regs->r15 == 0xf,
          "an iret at %u of %u: rbx %lx, r15 %lx", at, nr, t.regs->bx,
          t.regs->r15);
#else
    check_eq(t.regs->bx, (ulong)ended, "an iret at %u of %u: ebx", at, nr);
#endif
    check_ret(ended[0].result, -EINVAL, "a multicall in a multicall");
    for (unsigned i = 1; i < nr; i++) {
        if (i != at) {
            check(!ended[i].result == (i > at), "an iret at %u of %u: %lx at %u",
                  at, nr, (ulong)ended[i].result, i);
        }
    }
}

void test_main(void)
{
    user_init();
    results();
    refused();
    iret_in_a_list(1, 3);
    iret_in_a_list(2, 3);
    iret_in_a_list(5, 600);
    iret_in_a_list(300, 600);
}
