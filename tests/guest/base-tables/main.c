/*
 * A program sees what the base table for it says, at once and on every vCPU.
 *
 * A 64-bit kernel has two base tables, and a hypervisor may find it faster to
 * let programs run with the kernel's. It may not be seen to: an entry that only
 * one of them has, or that differs, must be what the table in question says,
 * also when it is changed while another vCPU's program is using it, and in the
 * upper half, where the kernel's own memory is. If it were seen, a program
 * could read what its kernel has not given to it, or not read what it has. A
 * 32-bit kernel has one table for both: there, the change must be seen.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

void enter_user(const struct iret_frame *frame, ulong arg1, ulong arg2);

/* An entry of the base table of its own: something to read for programs */
#define FAR     (IS_64BIT ? (ulong)0x18000000000ULL : 0x50000000UL)
#define COUNT   (USER_DATA + 64)
static ulong kernel_top, user_top;      /* mfns; the same in 32-bit */
static char page_a[PAGE_SIZE] __attribute__((aligned(4096)));
static char page_b[PAGE_SIZE] __attribute__((aligned(4096)));
#define VALUE_A 0xaaaaUL
#define VALUE_B 0xbbbbUL
#define NOTHING 0UL

static __user ulong read(ulong va, ulong unused)
{
    return *(volatile ulong *)va;
}

static void sees(const char *when, ulong va, ulong expected)
{
    struct trap t;
    ulong value = 0;

    if (!call_user(read, va, 0, &value, &t)) {
        check_eq(value, expected, "%s: what a program reads at %lx", when, va);
        return;
    }
    check(expected == NOTHING, "%s: a program cannot read %lx: %s(%x)", when, va,
          trap_name(t.vector), t.error_code);
    check(t.vector == X86_PF && t.cr2 == va, "%s: %s, cr2 %lx", when,
          trap_name(t.vector), t.cr2);
    check_eq(t.error_code, PFEC_user, "%s: the error code for %lx", when, va);
}

static void kernel_reads(void *va)
{
    *(volatile ulong *)va;
}

static void kernel_sees(const char *when, ulong va, ulong expected)
{
    struct trap t;

    if (catch_exception(&t, kernel_reads, (void *)va)) {
        check_eq(NOTHING, expected, "%s: what the kernel reads at %lx", when, va);
    } else {
        check_eq(*(volatile ulong *)va, expected,
                 "%s: what the kernel reads at %lx", when, va);
    }
}

static void set_top_entry(ulong top, ulong va, uint64_t val)
{
    unsigned i = IS_64BIT ? va >> 39 & 511 : va >> 30;

    check_ret(mmu_update(((uint64_t)top << PAGE_SHIFT) + i * 8, val), 0,
              "mmu_update of the base table's entry for %lx", va);
    check_ret(mmuext_op(MMUEXT_INVLPG_ALL, va, 0), 0, "INVLPG_ALL");
}

#ifdef __x86_64__
#define OTHER   0x20000000000UL
#define UPPER   0xffffff0000000000UL

static void use_for_programs(ulong mfn)
{
    check_ret(mmuext_op(MMUEXT_NEW_USER_BASEPTR, mfn, 0), 0, "NEW_USER_BASEPTR");
}

static void make_user_top(void)
{
    uint64_t *l4 = alloc_page();

    l4[0] = *pte_of(USER_BASE, 4);
    make_readonly(l4);
    user_top = virt_to_mfn(l4);
    check_ret(mmuext_op(MMUEXT_PIN_L4_TABLE, user_top, 0), 0, "PIN_L4_TABLE");
    use_for_programs(user_top);
}

static void two_tables(void)
{
    uint64_t far, other;

    sees("in none", FAR, NOTHING);
    map_page(FAR, make_pte(virt_to_mfn(page_a), PAGE_USER));
    map_page(OTHER, make_pte(virt_to_mfn(page_b), PAGE_USER));
    far = *pte_of(FAR, 4);
    other = *pte_of(OTHER, 4);
    sees("in the kernel's", FAR, NOTHING);
    kernel_sees("in the kernel's", FAR, VALUE_A);

    set_top_entry(user_top, OTHER, other);
    set_top_entry(user_top, FAR, far);
    sees("in both", FAR, VALUE_A);
    set_top_entry(kernel_top, FAR, 0);
    sees("in the programs'", FAR, VALUE_A);
    kernel_sees("in the programs'", FAR, NOTHING);
    set_top_entry(kernel_top, FAR, far);
    sees("in both again", FAR, VALUE_A);
    set_top_entry(user_top, FAR, other);
    sees("another one", FAR, VALUE_B);
    kernel_sees("another one", FAR, VALUE_A);
    set_top_entry(user_top, FAR, 0);
    sees("not in the programs'", FAR, NOTHING);
    kernel_sees("not in the programs'", FAR, VALUE_A);
    set_top_entry(user_top, FAR, far & ~(uint64_t)_PAGE_USER);
    /* Xen sets that bit */
    set_top_entry(user_top, FAR, far);
    sees("in both once more", FAR, VALUE_A);
}

/* What a kernel has at its own addresses that might be for programs */
static void upper_half(void)
{
    uint64_t other = *pte_of(OTHER, 4);

    map_page(UPPER, make_pte(virt_to_mfn(page_a), PAGE_USER));
    kernel_sees("in the kernel's upper half", UPPER, VALUE_A);
    sees("in the kernel's upper half", UPPER, NOTHING);
    sees("after that", FAR, VALUE_A);
    use_for_programs(user_top);
    sees("after a switch of tables", UPPER, NOTHING);
    set_top_entry(user_top, UPPER, other);
    sees("in the programs' upper half", UPPER, VALUE_B);
    kernel_sees("another one in the programs'", UPPER, VALUE_A);
    use_for_programs(user_top);
    sees("the same after a switch", UPPER, VALUE_B);
    set_top_entry(user_top, UPPER, 0);
    sees("taken away again", UPPER, NOTHING);
}

/* The kernel changes its table, and leaves the programs theirs */
static void another_kernel_table(void)
{
    uint64_t far = *pte_of(FAR, 4), other = *pte_of(OTHER, 4);
    uint64_t *l4 = copy_base_table();
    ulong mfn = virt_to_mfn(l4);

    check_ret(mmuext_op(MMUEXT_PIN_L4_TABLE, mfn, 0), 0, "PIN_L4_TABLE");
    use_for_programs(user_top);
    sees("the kernel's first table", FAR, VALUE_A);
    check_ret(mmuext_op(MMUEXT_NEW_BASEPTR, mfn, 0), 0, "NEW_BASEPTR");
    sees("the kernel's second table", FAR, VALUE_A);
    set_top_entry(user_top, FAR, other);
    sees("the kernel's second table", FAR, VALUE_B);
    kernel_sees("the kernel's second table", FAR, VALUE_A);
    set_top_entry(user_top, FAR, far);
    sees("the kernel's second table", FAR, VALUE_A);
    check_ret(mmuext_op(MMUEXT_NEW_BASEPTR, kernel_top, 0), 0, "NEW_BASEPTR");
    use_for_programs(user_top);
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, mfn, 0), 0, "UNPIN_TABLE");
    make_writable(l4);
    sees("the kernel's first table again", FAR, VALUE_A);
}

/* A table that is for both: all of it is for programs */
static void one_table(void)
{
    uint64_t other = *pte_of(OTHER, 4);

    set_top_entry(user_top, FAR, *pte_of(FAR, 4));
    use_for_programs(kernel_top);
    sees("one table", UPPER, VALUE_A);
    sees("one table", FAR, VALUE_A);
    set_top_entry(kernel_top, UPPER, other);
    sees("one table, changed", UPPER, VALUE_B);
    use_for_programs(user_top);
    sees("two tables", UPPER, NOTHING);
    sees("two tables", FAR, VALUE_A);
}
#endif

/* --- Another vCPU's program --- */

static struct vcpu_guest_context context;
static char stack[PAGE_SIZE] __attribute__((aligned(16)));

static __user void keep_reading(void)
{
    for (;;) {
        *(volatile ulong *)FAR;
        ++*(volatile ulong *)COUNT;
    }
}

static void __attribute__((noreturn, used)) other_vcpu(void)
{
    struct iret_frame frame = {
        user_address(keep_reading), FLAT_USER_CS, X86_EFLAGS_IF,
        USER_STACK - 64, FLAT_USER_SS
    };

#ifdef __x86_64__
    use_for_programs(user_top);
#endif
    enter_user(&frame, 0, 0);
    for (;;) {
    }
}

/* Its handler of page faults, which needs nothing */
extern volatile unsigned nr_faults;
extern char other_vcpus_fault[], other_vcpus_entry[];
asm(".pushsection .text\n"
    "other_vcpus_entry:\n"
    "push $0\n"
    "jmp other_vcpu\n"
    "other_vcpus_fault:\n"
#ifdef __x86_64__
    "incl nr_faults(%rip)\n"
#else
    "incl nr_faults\n"
#endif
    "1: pause\n"
    "jmp 1b\n"
    ".popsection\n"
    ".pushsection .data\n"
    ".align 4\n"
    "nr_faults: .long 0\n"
    ".popsection\n");

static void start_other_vcpu(void)
{
    kernel_context(&context, (ulong)other_vcpus_entry,
                   (ulong)stack + sizeof(stack));
    for (unsigned i = 0; i < ARRAY_SIZE(context.trap_ctxt); i++) {
        context.trap_ctxt[i].vector = i;
    }
    context.trap_ctxt[X86_PF].cs = FLAT_KERNEL_CS;
    context.trap_ctxt[X86_PF].address = (ulong)other_vcpus_fault;
    check_ret(HYPERCALL(vcpu_op, VCPUOP_initialise, 1, &context), 0,
              "VCPUOP_initialise");
    check_ret(HYPERCALL(vcpu_op, VCPUOP_up, 1, 0), 0, "VCPUOP_up");
}

static void another_vcpu(void)
{
    volatile ulong *count = (ulong *)(user_data + (COUNT - USER_DATA));
    uint64_t end;
    ulong then;

    *count = 0;
    start_other_vcpu();
    for (end = system_time() + 10000000000ULL; *count < 1000; ) {
        if (system_time() > end) {
            error("the other vCPU's program does not read, %u faults",
                  nr_faults);
        }
    }
    set_top_entry(user_top, FAR, 0);
    then = *count;
    for (end = system_time() + 5000000000ULL; !nr_faults; ) {
        if (system_time() > end) {
            failure("the other vCPU's program reads what it has no more: "
                    "%lu times", *count - then);
            return;
        }
    }
    check(*count - then <= 1, "it read %lu times after the flush", *count - then);
    check_eq(nr_faults, 1, "its page faults");
}

void test_main(void)
{
    *(ulong *)page_a = VALUE_A;
    *(ulong *)page_b = VALUE_B;
    user_init();
    kernel_top = user_top = virt_to_mfn((void *)start_info->pt_base);
#ifdef __x86_64__
    make_user_top();
    two_tables();
    upper_half();
    another_kernel_table();
#else
    sees("before", FAR, NOTHING);
    map_page(FAR, make_pte(virt_to_mfn(page_a), PAGE_USER));
    sees("mapped", FAR, VALUE_A);
    {
        uint64_t far = *pte_of(FAR, 3);

        set_top_entry(kernel_top, FAR, 0);
        sees("taken away", FAR, NOTHING);
        kernel_sees("taken away", FAR, NOTHING);
        set_top_entry(kernel_top, FAR, far);
        sees("given back", FAR, VALUE_A);
    }
#endif
    another_vcpu();
#ifdef __x86_64__
    one_table();
#endif
}
