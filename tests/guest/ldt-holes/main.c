/*
 * An LDT with holes, which the CPU meets in ring 0, when the hypervisor returns
 * to a program; and a program that looks for the LDT itself.
 *
 * An LDT need not be there but where it is used. If a hypervisor took a fault
 * at a return for an invalid selector, a program would die that its kernel
 * could have helped; and if it took a program's own access to the LDT's
 * addresses for one of the CPU's, the program would try it for ever. With page
 * tables of their own for programs (xpti) it has no view of the kernel's while
 * it returns. What the LDT's pages hold is the kernel's: if the hypervisor could run
 * it, an error of its own would be worth much more to a program.
 *
 * machine: xpti=on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static uint64_t ldt[512] __attribute__((aligned(4096)));

#define SEL_DATA    0x47        /* entry 8 */
#define LDT_DATA    0x00cff3000000ffffULL   /* flat, ring 3, writable */
/* Where xenpv-kvm has the first vCPU's LDT: not the guest's to know, nor use */
#define LDT_AREA    (IS_64BIT ? 0xffff808040010000UL : 0xf8010000UL)

static void set_hole(void)
{
    check_ret(mmuext_op(MMUEXT_SET_LDT, 0, 0), 0, "SET_LDT to none");
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
    update_va_mapping(TEST_VA + PAGE_SIZE, 0, UVMF_INVLPG);
    check_ret(mmuext_op(MMUEXT_SET_LDT, TEST_VA, 1024), 0, "SET_LDT nowhere");
}

static void fill_hole(void)
{
    map_page(TEST_VA, make_pte(virt_to_mfn(ldt), PAGE_KERNEL_RO));
}

/* Its entry, in the tables in use, is a page that nobody executes */
static void is_no_code(void)
{
#ifdef __x86_64__
    ulong entry = 0xffff818000000000UL + (LDT_AREA >> 9 & 0x7ffffffff8UL);
#else
    ulong entry = 0xfe000000 + (LDT_AREA >> 12) * 8;
#endif
    uint64_t val;

    fill_hole();
    check_ret(mmuext_op(MMUEXT_SET_LDT, 0, 0), 0, "SET_LDT to none");
    check_ret(mmuext_op(MMUEXT_SET_LDT, TEST_VA, 512), 0, "SET_LDT");
    val = *(volatile uint64_t *)entry;
    check_eq(PTE_MFN(val), virt_to_mfn(ldt), "the frame at the LDT's place");
    check(val >> 63, "the LDT can be executed: %llx", (unsigned long long)val);
}

/* --- A return to a program whose stack segment is in the LDT --- */

static __user ulong read_ss(ulong unused, ulong unused2)
{
    ulong ss;

    asm volatile("mov %%ss, %0" : "=r" (ss));
    return ss;
}

static struct iret_frame frame;

static void enter(void *arg)
{
    extern void enter_user(const struct iret_frame *frame, ulong a, ulong b);

    enter_user(&frame, 0, 0);
}

static void returns(void)
{
    struct trap t = { 0 };

    set_hole();
    fill_hole();
    frame = (struct iret_frame) {
        user_address(read_ss), FLAT_USER_CS, X86_EFLAGS_IF, USER_STACK - 64,
        SEL_DATA
    };
    /* It ends with a fault of the program's, which has no return address */
    check(catch_exception(&t, enter, NULL) && t.from_user &&
          t.vector == X86_PF && (t.regs->ax & 0xffff) == SEL_DATA,
          "a stack segment in a hole that is none: %s at %lx",
          trap_name(t.vector), t.ip);
    set_hole();
    check(catch_exception(&t, enter, NULL) && t.vector == VECTOR_FAILSAFE,
          "a stack segment in a hole: %s", trap_name(t.vector));
}

/* --- A program that reads the LDT's area --- */

static __user ulong read_byte(ulong addr, ulong unused)
{
    return *(volatile uint8_t *)addr;
}

static __user ulong write_byte(ulong addr, ulong unused)
{
    *(volatile uint8_t *)addr = 0;
    return 0;
}

static void accesses(void)
{
    for (unsigned i = 0; i < 4; i++) {
        ulong addr = LDT_AREA + (i & 1 ? PAGE_SIZE : 0);
        struct trap t;

        set_hole();
        if (i < 2) {
            fill_hole();
        }
        check(call_user(read_byte, addr, 0, NULL, &t) && t.vector == X86_PF &&
              t.from_user && (t.error_code & 4), "reading %lx: %s(%x)", addr,
              trap_name(t.vector), t.error_code);
        check(call_user(write_byte, addr, 0, NULL, &t) && t.vector == X86_PF &&
              t.from_user && (t.error_code & 4), "writing %lx: %s(%x)", addr,
              trap_name(t.vector), t.error_code);
    }
}

void test_main(void)
{
    user_init();
    unmask_upcalls();
    ldt[8] = LDT_DATA;
    make_readonly(ldt);
    make_tables(TEST_VA, 1);
    is_no_code();
    returns();
    accesses();
    check_ret(mmuext_op(MMUEXT_SET_LDT, 0, 0), 0, "SET_LDT to none");
}
