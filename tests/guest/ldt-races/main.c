/*
 * A program uses segments of an LDT that its kernel changes on another vCPU.
 *
 * Threads share an LDT, and modify_ldt() or set_thread_area() of one change it
 * while the others run: any selector that is in a register may have become
 * invalid whenever the hypervisor loads it, at a return to the program, at one
 * to itself, or at that of a trap within a trap. None of them may end the
 * domain: the program gets an exception, or its kernel the failsafe callback.
 *
 * vCPUs: 2
 *
 * CPU: vendor=GenuineIntel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static uint64_t ldt[512] __attribute__((aligned(4096)));

#define SELECTOR    7           /* entry 0, ring 3 */
#define LDT_DATA    0x00cff3000000ffffULL
#define DESC_P      (1ULL << 47)

/* user_data[0]: what the other vCPU is to do, [1]: that it has done it */
enum { WAIT, TAKE_AWAY, CHANGE, CHANGE_RETURN };
static volatile uint32_t *const flags = (void *)user_data;
static volatile uint32_t changes;

/* What a far return pops, at the end of a stack for what it raises */
#define SEL_HOLE    0x1007      /* in a page of the LDT that is not there */
static uint8_t return_stack[16384] __attribute__((aligned(4096)));
static volatile ulong *const far_return =
    (void *)(return_stack + sizeof(return_stack) - 64);

static void set_entry(uint64_t desc)
{
    update_descriptor((uint64_t)virt_to_mfn(ldt) << PAGE_SHIFT, desc);
}

static void secondary(void)
{
    for (unsigned n = 0;; n++) {
        switch (flags[0]) {
        case TAKE_AWAY:
            set_entry(0);
            flags[1] = 1;
            flags[0] = WAIT;
            break;
        case CHANGE:
            set_entry(n & 3 ? LDT_DATA : n & 4 ? LDT_DATA & ~DESC_P : 0);
            changes++;
            break;
        case CHANGE_RETURN:
            far_return[1] = n & 1 ? SEL_HOLE : FLAT_USER_CS;
            break;
        default:
            asm volatile("pause");
        }
    }
}

static bool go_on(struct trap *t)
{
    return t->from_user;
}

/* --- Its last step is into ring 0, where its DS cannot be loaded again --- */

#ifdef __i386__
static __user ulong step_into_ring_0(ulong data, ulong unused)
{
    asm volatile("mov $7, %%eax; mov %%eax, %%ds; mov %%eax, %%es\n"
                 "movl $1, %%ss:(%0)\n"
                 "1: pause; cmpl $1, %%ss:4(%0); jne 1b\n"
                 "push $0x102; popf; sysenter"
                 : : "r" (data) : "eax", "memory");
    return 0;
}

static void taken_away(void)
{
    struct trap t;

    set_entry(LDT_DATA);
    flags[1] = 0;
    set_handler(X86_DB, go_on);
    check(call_user(step_into_ring_0, USER_DATA, 0, NULL, &t) &&
          (t.vector == X86_GP || t.vector == VECTOR_FAILSAFE),
          "a step into ring 0: %s from %s mode", trap_name(t.vector),
          t.from_user ? "user" : "kernel");
    set_handler(X86_DB, NULL);
}
#endif

/* --- All the while --- */

/* kind: how it enters its kernel with the segments loaded */
static __user ulong use_segments(ulong data, ulong kind)
{
    asm volatile("mov $7, %%eax; mov %%eax, %%fs; mov %%eax, %%gs\n"
                 "mov %%eax, %%es; mov %%eax, %%ds\n"
                 "test %%edx, %%edx; jz 1f\n"
                 "cmp $1, %%edx; je 2f\n"
                 "cmp $2, %%edx; je 3f\n"
#ifdef __x86_64__
                 "syscall; jmp 4f\n"
#else
                 "sysenter; jmp 4f\n"
#endif
                 "1: int3; jmp 4f\n"
                 "2: pushf; "
#ifdef __x86_64__
                 "orl $0x100, (%%rsp); "
#else
                 "orl $0x100, (%%esp); "
#endif
                 "popf; nop; nop; nop; jmp 4f\n"
                 "3: int $0x80\n"
                 "4: mov $0, %%eax; mov %%eax, %%fs; mov %%eax, %%gs"
                 : : "d" (kind)
                 : "eax", "ecx", "memory"
#ifdef __x86_64__
                 , "r11"
#endif
                 );
    return 0;
}

static void change(ulong rounds)
{
    ulong seen = 0;

    set_handler(X86_BP, go_on);
    set_handler(X86_DB, go_on);
    set_handler(0x80, go_on);
    flags[0] = CHANGE;
    for (ulong i = 0; i < rounds; i++) {
        struct trap t;

        if (!call_user(use_segments, 0, i & 3, NULL, &t)) {
            continue;
        }
        seen++;
        if (t.vector != X86_GP && t.vector != X86_NP && t.vector != X86_SS &&
            t.vector != VECTOR_FAILSAFE && t.vector != VECTOR_SYSCALL) {
            error("round %lu: %s(%x) at %lx", i, trap_name(t.vector),
                  t.error_code, t.ip);
        }
    }
    flags[0] = WAIT;
    printk("%lu rounds, %lu with exceptions, %u changes\n", rounds, seen,
           changes);
    check(seen, "the program never noticed");
}

/*
 * A 64-bit kernel's far return to ring 3, where it knows itself, is emulated:
 * by a selector that need not be the one any more which the CPU has seen.
 */
#ifdef __x86_64__
static void do_far_return(void *unused)
{
    asm volatile("mov %%rsp, %%rbx\n\t"
                 "lea 1f(%%rip), %%rax\n\t"
                 "mov %%rax, (%0)\n\t"
                 "mov %0, %%rsp\n\t"
                 "lretq\n\t"
                 "1: mov %%rbx, %%rsp"
                 : : "r" (far_return) : "rax", "rbx", "memory");
}

static void far_returns(ulong rounds)
{
    ulong caught = 0;

    flags[0] = CHANGE_RETURN;
    for (ulong i = 0; i < rounds; i++) {
        struct trap t;

        if (catch_exception(&t, do_far_return, NULL)) {
            caught++;
            if (t.vector != X86_PF && t.vector != X86_GP) {
                error("a far return: %s at %lx", trap_name(t.vector), t.ip);
            }
        }
    }
    flags[0] = WAIT;
    printk("%lu far returns, %lu of them to a hole\n", rounds, caught);
}
#endif

void test_main(void)
{
    user_init();
    make_readonly(ldt);
    make_tables(TEST_VA, 1);
    map_page(TEST_VA, make_pte(virt_to_mfn(ldt), PAGE_KERNEL_RO));
    check_ret(mmuext_op(MMUEXT_SET_LDT, TEST_VA, 1024), 0, "SET_LDT");
    start_second(secondary);
    unmask_upcalls();
#ifdef __i386__
    taken_away();
#else
    far_returns(option_number("rounds", 20000));
#endif
    change(option_number("rounds", 20000));
}
