/*
 * An instruction with too many prefixes is a #GP, for whoever runs it.
 *
 * That is what the CPU says of more than 15 bytes; and a #GP is when a
 * hypervisor looks whether there is something to emulate. One that reads on
 * until there is no prefix any more never comes back, with interrupts off: and
 * then not only this vCPU is lost, but each other that waits for it to flush
 * its TLB.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

/* IN from a port, with prefixes before it; then the end of the program */
static uint8_t code[PAGE_SIZE] __attribute__((aligned(4096)));
#define CODE_VA     0x700000UL

static const uint8_t prefixes[] = {
    0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3,
#ifdef __x86_64__
    0x48,
#endif
};

static __user ulong jump(ulong to, ulong unused)
{
    asm volatile("jmp *%0" : : "r" (to), "d" (0x1234) : "eax", "memory");
    return 0;
}

static void kernel_jump(void *to)
{
    asm volatile("call *%0" : : "r" (to), "d" (0x1234) : "eax", "memory");
}

static uint8_t *write_code(uint8_t prefix, unsigned n, unsigned at, bool user)
{
    uint8_t *start = code + at, *p = start;

    while (n--) {
        *p++ = prefix;
    }
    *p++ = 0xec;                            /* in %dx, %al */
    if (user) {
        *p++ = 0xcd;                        /* int $0x80 */
        *p++ = 0x80;
    } else {
        *p++ = 0xc3;                        /* ret */
    }
    return start;
}

/* expected: the vector, or 0 for none */
static void run(const char *who, uint8_t prefix, unsigned n, unsigned at,
                bool user, unsigned expected)
{
    struct trap t = { 0 };
    uint8_t *start = write_code(prefix, n, at, user);

    if (user) {
        call_user(jump, CODE_VA + at, 0, NULL, &t);
    } else {
        catch_exception(&t, kernel_jump, start);
    }
    check_eq(t.vector, expected, "%s: %u times %02x at %x", who, n, prefix, at);
    if (expected == X86_GP) {
        check_eq(t.error_code, 0, "%s: %u times %02x: error code", who, n,
                 prefix);
    }
}

static void all(const char *who, bool user, bool allowed)
{
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        static const unsigned counts[] = { 0, 1, 14, 15, 16, 17, 31, 300 };

        for (unsigned j = 0; j < ARRAY_SIZE(counts); j++) {
            unsigned n = counts[j];
            /* Of several REX only the last one counts: not to be emulated */
            bool odd = (prefixes[i] & 0xf0) == 0x40 && n > 1;

            if (odd && n < 15) {
                continue;
            }
            run(who, prefixes[i], n, 0, user,
                n > 14 || !allowed ? X86_GP : user ? 0x80 : 0);
        }
    }
    /* The bytes may also end with the page, behind which there is nothing */
    for (unsigned n = 10; allowed && n < 14; n++) {
        run(who, 0x66, n, PAGE_SIZE - n - (user ? 3 : 2), user, user ? 0x80 : 0);
    }
}

void test_main(void)
{
    uint32_t iopl = 3;

    user_init();
    map_page((ulong)code, make_pte(virt_to_mfn(code), PAGE_KERNEL));
    map_page(CODE_VA, make_pte(virt_to_mfn(code), PAGE_USER));
    all("a program with no right to ports", true, false);
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0, "set_iopl");
    all("a program with IOPL 3", true, true);
    all("the kernel", false, true);
}
