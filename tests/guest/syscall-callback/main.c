/*
 * SYSCALL of a program whose kernel has no handler for it is a #UD.
 *
 * A hypervisor that enters the address that it has, which is 0, runs in ring 1
 * what the program has mapped there: then the program is the kernel. The same
 * goes for a handler that is taken back, for each way to do so, and for
 * programs of 32 bits. (Those of a 32-bit kernel have no such instruction.)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

extern char syscall_insn[], syscall32_insn[];

/* A program's page at address 0: does it see the kernel's memory? */
extern char zero_code[], zero_end[];
asm(".pushsection .user.text, \"ax\"\n"
    ".balign 16\n"
#ifdef __x86_64__
    "zero_code: mov %cs, %eax; mov (%rdi), %rbx; int $0x81; ud2\n"
#else
    "zero_code: mov %cs, %eax; int $0x81; ud2\n"
#endif
    "zero_end:\n"
    ".code32\n"
    "syscall32_insn: .byte 0x0f, 0x05; ud2\n"
#ifdef __x86_64__
    ".code64\n"
#endif
    ".popsection");

static char page0[PAGE_SIZE] __attribute__((aligned(4096)));
static ulong secret = 0x5ec2e7;

static __user ulong do_syscall(ulong arg, ulong unused)
{
    asm volatile(".globl syscall_insn\n"
                 "syscall_insn: .byte 0x0f, 0x05"
#ifdef __x86_64__
                 : : "D" (arg) : "rax", "rbx", "rcx", "r11", "memory");
#else
                 : : "D" (arg) : "eax", "ebx", "ecx", "memory");
#endif
    return 0;
}

#ifdef __x86_64__
static __user ulong from_compat(ulong ip, ulong unused)
{
    asm volatile("push $0xe023; push %0; lretq" : : "r" (ip) : "memory");
    return 0;
}
#endif

static void is_undefined(const char *what)
{
    struct trap t;

    check(call_user(do_syscall, (ulong)&secret, 0, NULL, &t) &&
          t.vector == X86_UD && t.from_user, "%s: %s from %s mode at %lx", what,
          trap_name(t.vector), t.from_user ? "user" : "kernel", t.ip);
    check_eq(t.ip, user_address(syscall_insn), "%s: where", what);
    check_eq(t.cs, FLAT_USER_CS, "%s: CS", what);
#ifdef __x86_64__
    check(call_user(from_compat, user_address(syscall32_insn), 0, NULL, &t) &&
          t.vector == X86_UD && t.from_user, "%s, 32-bit: %s at %lx", what,
          trap_name(t.vector), t.ip);
    /* Intel's CPUs do not have it there, and AMD's come by the other entry */
    check_eq(t.ip, user_address(syscall32_insn), "%s, 32-bit: where", what);
#endif
}

void test_main(void)
{
    user_init();
    memcpy(page0, zero_code, zero_end - zero_code);
    map_page(0, make_pte(virt_to_mfn(page0), PAGE_USER));
    unmask_upcalls();
#ifdef __x86_64__
    for (unsigned masks = 0; masks < 2; masks++) {
        struct trap t;

        /* The harness has registered one */
        check_ret(register_callback(CALLBACKTYPE_syscall, masks,
                                    trap_stub(VECTOR_SYSCALL)), 0,
                  "registering a handler");
        check(call_user(do_syscall, 0, 0, NULL, &t) &&
              t.vector == VECTOR_SYSCALL, "with a handler: %s",
              trap_name(t.vector));
        check_ret(register_callback(CALLBACKTYPE_syscall, masks, 0), 0,
                  "registering none");
        is_undefined("with none by callback_op");
    }
    register_callback(CALLBACKTYPE_syscall, 0, trap_stub(VECTOR_SYSCALL));
    check_ret(HYPERCALL(set_callbacks, trap_stub(VECTOR_EVENT),
                        trap_stub(VECTOR_FAILSAFE), 0), 0, "set_callbacks");
    is_undefined("with none by set_callbacks");
#else
    is_undefined("SYSCALL");
#endif
}
