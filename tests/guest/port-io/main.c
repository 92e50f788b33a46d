/*
 * I/O instructions of a kernel and of programs that may use ports.
 *
 * A domain has no ports, but a kernel that grants them to a program, as X and
 * hwclock want it, expects what Xen makes of that: reads give ones, writes go
 * nowhere, and two registers that choose others can be read back. INS and OUTS
 * access memory, too, and do so here for a program: a hypervisor that does it
 * with rights of its own gives away the kernel's memory, one that forgets the
 * dirty bit loses the page, and one that is wrong about the counts corrupts it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define PORT        0x80
#define BUFFER      0x30000UL       /* within reach of 16-bit addresses */
#define END         (BUFFER + PAGE_SIZE)
#define BUFFER_16   0xf000UL

/*
 * Each sequence of instructions for the kernel and for programs: with EDI and ESI
 * = a, ECX = b and EDX = c; ends in an exception or in int $0x81.
 */
typedef void io_fn(ulong a, ulong b);
#define IO_FN(name, port, insns) \
    static __attribute__((always_inline)) inline void asm_##name(ulong a, \
                                                                 ulong b) \
    { \
        ulong di = a, si = a, cx = b; \
        asm volatile(insns "; int $0x81" \
                     : "+D" (di), "+S" (si), "+c" (cx) : "d" (port), "a" (0) \
                     : "memory", "cc"); \
    } \
    static noinline void kernel_##name(ulong a, ulong b) \
    { \
        asm_##name(a, b); \
    } \
    static __user ulong user_##name(ulong a, ulong b) \
    { \
        asm_##name(a, b); \
        return 0; \
    }
IO_FN(insb, PORT, "insb")
IO_FN(insw, PORT, "insw")
IO_FN(insl, PORT, "insl")
IO_FN(rep_insb, PORT, "rep insb")
IO_FN(rep_insw, PORT, "rep insw")
IO_FN(rep_insl, PORT, "rep insl")
IO_FN(repne_insw, PORT, "repne insw")
IO_FN(down_insw, PORT, "std; rep insw")
IO_FN(outsb, PORT, "outsb")
IO_FN(rep_outsb, PORT, "rep outsb")
IO_FN(rep_outsw, PORT, "rep outsw")
IO_FN(rep_outsl, PORT, "rep outsl")
/* The addresses' other size */
IO_FN(other_insb, PORT, ".byte 0x67; rep insb")
IO_FN(other_outsb, PORT, ".byte 0x67; rep outsb")
/* Registers that are read back: PCI's address, and the CMOS's index */
IO_FN(pci_outsl, 0xcf8, "outsl; mov $0x123, %%eax; in %%dx, %%eax")
IO_FN(pci_insl, 0xcf8, "mov %%ecx, %%eax; out %%eax, %%dx; insl")
IO_FN(pci_outb, 0xcf8, "mov $0x80001234, %%eax; out %%eax, %%dx; mov $0, %%al;"
      "out %%al, %%dx; in %%dx, %%al; mov %%al, %%cl; in %%dx, %%eax")
IO_FN(cmos, 0x6e, "mov $0x5a, %%al; out %%al, $0x70; mov $0, %%eax; in $0x70, %%al;"
      "mov %%al, %%cl; in %%dx, %%eax")
IO_FN(cmos_wide, 0x6f, "mov $0x12345678, %%eax; out %%eax, %%dx; in $0x70, %%al")
#ifdef __x86_64__
IO_FN(fs_outsl, 0xcf8, "fs outsl; in %%dx, %%eax")
IO_FN(gs_outsl, 0xcf8, "gs outsl; in %%dx, %%eax")
#else
IO_FN(small_es, PORT, "mov $7, %%eax; mov %%eax, %%es; rep insb")
IO_FN(small_fs, PORT, "mov $7, %%eax; mov %%eax, %%fs; rep fs outsb")
IO_FN(down_es, PORT, "mov $15, %%eax; mov %%eax, %%es; rep insb")
IO_FN(readonly_es, PORT, "mov $23, %%eax; mov %%eax, %%es; rep insb")
#endif

static bool user;       /* who does it */
static const char *who;
static uint8_t *buffer;

struct call_kernel {
    io_fn *fn;
    ulong a, b;
};

static void call_kernel(void *arg)
{
    struct call_kernel *c = arg;

    c->fn(c->a, c->b);
}

static struct trap t;
static struct trap_state state;     /* its registers */

static void run_io(io_fn *kernel, user_fn *program, ulong a, ulong b)
{
    if (user) {
        call_user(program, a, b, NULL, &t);
    } else {
        struct call_kernel c = { kernel, a, b };

        if (!catch_exception(&t, call_kernel, &c)) {
            error("no trap from the kernel");
        }
        asm volatile("cld");
    }
    state = *t.regs;
}
#define RUN(name, a, b) run_io(kernel_##name, user_##name, a, b)

static void done(const char *what, ulong cx, ulong di, ulong si)
{
    check_eq(t.vector, 0x81, "%s: %s: vector", who, what);
    check_eq(state.cx, cx, "%s: %s: ECX", who, what);
    check_eq(state.di, di, "%s: %s: EDI", who, what);
    check_eq(state.si, si, "%s: %s: ESI", who, what);
}

/* What is ones in the buffer, of which all else is 0x55 */
static void written(const char *what, unsigned from, unsigned n)
{
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        uint8_t expected = i >= from && i < from + n ? 0xff : 0x55;

        if (buffer[i] != expected) {
            failure("%s: %s: byte %u is %x", who, what, i, buffer[i]);
            break;
        }
    }
    memset(buffer, 0x55, PAGE_SIZE);
}

static void faulted(const char *what, ulong addr, unsigned error, ulong cx,
                    ulong index, bool in)
{
    check_eq(t.vector, X86_PF, "%s: %s: vector", who, what);
    check_eq(t.error_code, error | (user ? 4 : 0), "%s: %s: error code", who,
             what);
    check_eq(t.cr2, addr, "%s: %s: CR2", who, what);
    check_eq(t.from_user, user, "%s: %s: from user mode", who, what);
    check_eq(state.cx, cx, "%s: %s: ECX", who, what);
    check_eq(in ? state.di : state.si, index, "%s: %s: the index", who, what);
}

static void map_buffer(uint64_t flags)
{
    map_page(BUFFER, make_pte(virt_to_mfn(buffer), flags));
}

static void check_flags(const char *what, uint64_t expected)
{
    uint64_t flags = *pte_of(BUFFER, 1) & (_PAGE_ACCESSED | _PAGE_DIRTY);

    check_eq(flags, expected, "%s: A and D after %s", who, what);
}

static void strings(void)
{
    static const struct {
        const char *name;
        io_fn *kernel;
        user_fn *program;
        unsigned size;
    } ins[] = {
#define INS(name, size) { #name, kernel_##name, user_##name, size }
        INS(rep_insb, 1), INS(rep_insw, 2), INS(rep_insl, 4),
        INS(repne_insw, 2),
    };

    RUN(insb, BUFFER + 3, 77);
    done("insb", 77, BUFFER + 4, BUFFER + 3);
    written("insb", 3, 1);
    RUN(insw, BUFFER + 3, 77);
    done("insw", 77, BUFFER + 5, BUFFER + 3);
    written("insw", 3, 2);
    RUN(insl, END - 4, 77);
    done("insl", 77, END, END - 4);
    written("insl", PAGE_SIZE - 4, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(ins); i++) {
        /* More than a hypervisor does at once, maybe */
        for (unsigned n = 0; n * ins[i].size <= PAGE_SIZE; n = n * 5 + 1) {
            run_io(ins[i].kernel, ins[i].program, BUFFER, n);
            done(ins[i].name, 0, BUFFER + n * ins[i].size, BUFFER);
            written(ins[i].name, 0, n * ins[i].size);
        }
        run_io(ins[i].kernel, ins[i].program, END - 4 * ins[i].size, 6);
        faulted(ins[i].name, END, 2, 2, END, true);
        written(ins[i].name, PAGE_SIZE - 4 * ins[i].size, 4 * ins[i].size);
    }
    RUN(down_insw, BUFFER + 64, 4);
    done("insw down", 0, BUFFER + 56, BUFFER + 64);
    written("insw down", 58, 8);
    /* Across the page's end: all of it or nothing */
    RUN(insl, END - 2, 5);
    faulted("insl across", END, 2, 5, END - 2, true);
    written("insl across", 0, 0);

    RUN(outsb, BUFFER, 5);
    done("outsb", 5, BUFFER, BUFFER + 1);
    RUN(rep_outsb, BUFFER + 1, PAGE_SIZE - 1);
    done("rep outsb", 0, BUFFER + 1, END);
    RUN(rep_outsw, END - 6, 4);
    faulted("rep outsw", END, 0, 1, END, false);
    RUN(rep_outsl, END - 6, 4);
    faulted("rep outsl", END, 0, 3, END - 2, false);
    written("outs", 0, 0);
}

static void addresses(void)
{
    ulong other = IS_64BIT ? 0x12300000000UL : 0xabc0000UL;
    ulong base = IS_64BIT ? BUFFER : BUFFER_16;
    ulong rest = IS_64BIT ? 0 : other;

    RUN(other_insb, other + base + 7, other + 9);
    done("insb, the other size", rest, rest + base + 16, other + base + 7);
    written("insb, the other size", 7, 9);
    RUN(other_outsb, other + base + 7, other + 9);
    done("outsb, the other size", rest, other + base + 7, rest + base + 16);
}

static void rights(void)
{
    static uint8_t secret[PAGE_SIZE] __attribute__((aligned(4096)));

    map_buffer(PAGE_USER & ~(_PAGE_ACCESSED | _PAGE_DIRTY));
    RUN(rep_outsb, BUFFER, 2);
    check_flags("outsb", _PAGE_ACCESSED);
    RUN(insb, BUFFER, 2);
    check_flags("insb", _PAGE_ACCESSED | _PAGE_DIRTY);
    written("insb", 0, 1);
    map_buffer(PAGE_USER & ~_PAGE_RW & ~_PAGE_DIRTY);
    RUN(rep_insb, BUFFER + 1, 2);
    faulted("insb, read-only", BUFFER + 1, 3, 2, BUFFER + 1, true);
    RUN(rep_outsb, BUFFER + 1, 2);
    done("outsb, read-only", 0, BUFFER + 1, BUFFER + 3);
    check_flags("insb and outsb, read-only", _PAGE_ACCESSED);
    written("insb, read-only", 0, 0);
    map_buffer(PAGE_KERNEL);
    RUN(insb, BUFFER, 1);
    if (user) {
        faulted("insb to the kernel's page", BUFFER, 3, 1, BUFFER, true);
        written("insb to the kernel's page", 0, 0);
        RUN(outsb, BUFFER, 1);
        faulted("outsb from the kernel's page", BUFFER, 1, 1, BUFFER, false);
        RUN(insb, (ulong)secret, 1);
        check(t.vector == X86_PF && !secret[0], "insb to the kernel's memory: "
              "%s", trap_name(t.vector));
    } else {
        done("insb to the kernel's page", 1, BUFFER + 1, BUFFER);
        written("insb to the kernel's page", 0, 1);
    }
    map_buffer(PAGE_USER);
    for (unsigned i = 0; i < 3; i++) {
        static const ulong bad[] = { HV_POINTER, ~0UL, ~0UL - 3 };

        RUN(insl, bad[i], 1);
        check(t.vector == X86_PF || t.vector == X86_GP,
              "%s: insl to %lx: %s", who, bad[i], trap_name(t.vector));
        RUN(rep_outsl, bad[i], 1);
        check(t.vector == X86_PF || t.vector == X86_GP,
              "%s: outsl from %lx: %s", who, bad[i], trap_name(t.vector));
        check_eq(state.cx, 1, "%s: outsl from %lx: ECX", who, bad[i]);
    }
}

static void registers(void)
{
    *(uint32_t *)(buffer + 8) = 0x80004321;
    RUN(pci_outsl, BUFFER + 8, 0);
    check_eq((uint32_t)state.ax, 0x80004321, "%s: outsl to 0xcf8, in", who);
    RUN(pci_insl, BUFFER + 8, 0x80005678);
    check_eq(*(uint32_t *)(buffer + 8), 0x80005678, "%s: out to 0xcf8, insl",
             who);
    RUN(pci_outb, 0, 0);
    check_eq((uint32_t)state.ax, 0x80001234, "%s: 0xcf8 after a byte", who);
    check_eq((uint8_t)state.cx, 0xff, "%s: a byte of 0xcf8", who);
    RUN(cmos, 0, 0);
    check_eq((uint8_t)state.cx, 0x5a, "%s: 0x70", who);
    check_eq((uint32_t)state.ax, 0xff5affff, "%s: 0x6e to 0x71", who);
    RUN(cmos_wide, 0, 0);
    check_eq((uint8_t)state.ax, 0x56, "%s: 0x70, written wide",
             who);
    memset(buffer, 0x55, PAGE_SIZE);
}

/* With segments of other bases */
static void segments(void)
{
    *(uint32_t *)(buffer + 24) = 0x80000c0c;
#ifdef __x86_64__
    HYPERCALL(set_segment_base, SEGBASE_FS, BUFFER + 16);
    HYPERCALL(set_segment_base, SEGBASE_GS_USER, BUFFER + (user ? 8 : 4096));
    HYPERCALL(set_segment_base, SEGBASE_GS_KERNEL, BUFFER + (user ? 4096 : 8));
    RUN(fs_outsl, 8, 0);
    check_eq((uint32_t)state.ax, 0x80000c0c, "%s: by FS", who);
    RUN(gs_outsl, 16, 0);
    check_eq((uint32_t)state.ax, 0x80000c0c, "%s: by GS", who);
    HYPERCALL(set_segment_base, SEGBASE_FS, 0);
    HYPERCALL(set_segment_base, SEGBASE_GS_KERNEL, 0);
    memset(buffer, 0x55, PAGE_SIZE);
#else
    static uint64_t *ldt;
    /* Data from BUFFER on, 0 to 0x1f; not 0 to 0xf; read-only */
    static const uint64_t kinds[] = {
        0x0040f2000000001fULL, 0x0040f6000000000fULL, 0x0040f0000000001fULL,
    };

    if (!ldt) {
        ldt = alloc_page();
        for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
            ldt[i] = kinds[i] | (uint64_t)BUFFER << 16;
        }
        make_readonly(ldt);
        check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt, 512), 0, "SET_LDT");
    }
    memset(buffer, 0x55, PAGE_SIZE);
    RUN(small_es, 0x1d, 6);
    check_eq(t.vector, X86_GP, "%s: beyond ES's limit", who);
    check_eq(t.error_code, 0, "%s: beyond ES's limit: error code", who);
    check_eq(state.cx, 3, "%s: beyond ES's limit: ECX", who);
    check_eq(state.di, 0x20, "%s: beyond ES's limit: EDI", who);
    written("beyond ES's limit", 0x1d, 3);
    RUN(small_fs, 0x1e, 6);
    check_eq(t.vector, X86_GP, "%s: beyond FS's limit", who);
    check_eq(state.cx, 4, "%s: beyond FS's limit: ECX", who);
    RUN(down_es, 0x10, 2);
    check_eq(t.vector, 0x81, "%s: an expand-down ES: %s", who,
             trap_name(t.vector));
    written("an expand-down ES", 0x10, 2);
    RUN(down_es, 0xf, 2);
    check_eq(t.vector, X86_GP, "%s: below an expand-down ES", who);
    RUN(readonly_es, 0, 1);
    check_eq(t.vector, X86_GP, "%s: a read-only ES", who);
    written("a read-only ES", 0, 0);
#endif
}

/* Who may not use a port may not by these, either */
static void refused(void)
{
    static uint8_t bits[8192];
    struct physdev_set_iobitmap map = { bits, 65536 };
    uint32_t iopl = 0;

    HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl);
    RUN(rep_insb, BUFFER, 2);
    check_eq(t.vector, X86_GP, "%s: rep insb, no right", who);
    check_eq(state.cx, 2, "%s: rep insb, no right: ECX", who);
    RUN(outsb, BUFFER, 2);
    check_eq(t.vector, X86_GP, "%s: outsb, no right", who);
    written("no right", 0, 0);
    memset(bits, 0xff, sizeof(bits));
    bits[PORT / 8] = 0xfe;
    check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iobitmap, &map), 0,
              "set_iobitmap");
    RUN(rep_insb, BUFFER, 2);
    done("rep insb, by the bitmap", 0, BUFFER + 2, BUFFER);
    written("rep insb, by the bitmap", 0, 2);
    RUN(insw, BUFFER, 2);
    check_eq(t.vector, X86_GP, "%s: insw, half a right", who);
    written("insw, half a right", 0, 0);
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
    map_page(BUFFER_16, make_pte(virt_to_mfn(buffer), PAGE_USER));
    map_page(END, 0);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t iopl = 3;

        user = i;
        who = user ? "program" : "kernel";
        map_buffer(PAGE_USER);
        check_ret(HYPERCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0,
                  "set_iopl");
        strings();
        addresses();
        registers();
        segments();
        rights();
        refused();
    }
}
