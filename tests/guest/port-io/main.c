/*
 * I/O instructions of a kernel and of programs that may use ports.
 *
 * A domain has no ports, but a kernel that grants them to a program, as X and
 * hwclock want it, expects what Xen makes of that: reads give ones, writes go
 * nowhere, and two registers that choose others can be read back. INS and OUTS are
 * a #GP, whatever the right: a hypervisor that carried them out would have to write
 * to memory with the rights of who runs, and one that did it with its own would give
 * away the kernel's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define PORT        0x80

/*
 * Each sequence of instructions for the kernel and for programs: with EDI and ESI
 * = a, ECX = 2 and EDX = the port; ends in an exception or in int $0x81.
 */
#define IO_FN(name, port, insns) \
    static __attribute__((always_inline)) inline void asm_##name(ulong a) \
    { \
        ulong di = a, si = a, cx = 2; \
        asm volatile(insns "; int $0x81" \
                     : "+D" (di), "+S" (si), "+c" (cx) : "d" (port), "a" (0) \
                     : "memory", "cc"); \
    } \
    static noinline void kernel_##name(void *a) \
    { \
        asm_##name((ulong)a); \
    } \
    static __user ulong user_##name(ulong a, ulong unused) \
    { \
        asm_##name(a); \
        return 0; \
    }
IO_FN(inb, PORT, "in %%dx, %%al")
IO_FN(inw, PORT, "in %%dx, %%ax")
IO_FN(inl, PORT, "in %%dx, %%eax")
IO_FN(insb, PORT, "insb")
IO_FN(rep_insl, PORT, "rep insl")
IO_FN(outsb, PORT, "outsb")
IO_FN(rep_outsw, PORT, "rep outsw")
/* Not as under Xen, which lets PCI's address be read back */
IO_FN(pci, 0xcf8, "mov $0x80001234, %%eax; out %%eax, %%dx; in %%dx, %%eax")

static bool user;       /* who does it */
static const char *who;
static uint8_t *buffer;
static struct trap t;
static struct trap_state state;     /* its registers */

static void run_io(void (*kernel)(void *), user_fn *program)
{
    if (user) {
        call_user(program, (ulong)buffer, 0, NULL, &t);
    } else if (!catch_exception(&t, kernel, buffer)) {
        error("no trap from the kernel");
    }
    state = *t.regs;
}
#define RUN(name)   run_io(kernel_##name, user_##name)

static void done(const char *what, ulong ax)
{
    check_eq(t.vector, 0x81, "%s: %s: vector", who, what);
    check_eq((uint32_t)state.ax, ax, "%s: %s: EAX", who, what);
}

static void refused(const char *what)
{
    check_eq(t.vector, X86_GP, "%s: %s: vector", who, what);
    check_eq(t.error_code, 0, "%s: %s: error code", who, what);
    check_eq(state.cx, 2, "%s: %s: ECX", who, what);
    check_eq(state.di, (ulong)buffer, "%s: %s: EDI", who, what);
    check_eq(state.si, (ulong)buffer, "%s: %s: ESI", who, what);
    check_eq(buffer[0], 0x55, "%s: %s: memory", who, what);
}

static void strings(void)
{
    RUN(insb);
    refused("insb");
    RUN(rep_insl);
    refused("rep insl");
    RUN(outsb);
    refused("outsb");
    RUN(rep_outsw);
    refused("rep outsw");
}

static void ports(void)
{
    RUN(inb);
    done("inb", 0xff);
    RUN(inw);
    done("inw", 0xffff);
    RUN(inl);
    done("inl", 0xffffffff);
    RUN(pci);
    done("out to 0xcf8, in", 0xffffffff);
}

/* By the bitmap, all of whose ports an instruction needs */
static void bitmap(void)
{
    static uint8_t bits[8192];
    struct physdev_set_iobitmap map = { bits, 65536 };
    uint32_t iopl = 0;

    HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl);
    RUN(inb);
    refused("inb, no right");
    memset(bits, 0xff, sizeof(bits));
    bits[PORT / 8] = 0xfe;
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iobitmap, &map), 0,
              "set_iobitmap");
    RUN(inb);
    done("inb, by the bitmap", 0xff);
    RUN(insb);
    refused("insb, by the bitmap");
    RUN(inw);
    refused("inw, half a right");
    map.nr_ports = 0;
    HYPERCALL(physdev_op, PHYSDEVOP_set_iobitmap, &map);
}

void test_main(void)
{
    if (is_initdomain()) {
        skip("domain 0 has ports");
        return;
    }
    user_init();
    buffer = alloc_page();
    memset(buffer, 0x55, PAGE_SIZE);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t iopl = 3;

        user = i;
        who = user ? "program" : "kernel";
        check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0,
                  "set_iopl");
        ports();
        strings();
        bitmap();
    }
}
