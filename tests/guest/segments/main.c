/*
 * The guest's own segments: GDT, LDT, and what happens to bad ones.
 *
 * Descriptors are the guest's, in frames that it may no longer write; they
 * work by selector in the kernel and in user mode, through every trap and
 * return, and a return to a selector that has become invalid enters the
 * failsafe callback instead of killing the guest (or the hypervisor). Thread
 * libraries of 32-bit guests keep their data behind such segments.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static uint64_t gdt[512] __attribute__((aligned(4096)));
static uint64_t ldt[512] __attribute__((aligned(4096)));
static ulong data[4] = { 0x1111, 0x2222, 0x3333, 0x4444 };

static uint64_t descriptor(ulong base, uint32_t limit, unsigned access,
                           unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 0xf) << 48 |
           (uint64_t)flags << 52 | (uint64_t)(base >> 24 & 0xff) << 56;
}
/* Present, ring 3, data, writable, accessed; 32-bit, bytes */
#define DATA    0xf3
#define BYTES   4

static uint64_t maddr(uint64_t *entry)
{
    return ((uint64_t)virt_to_mfn((void *)((ulong)entry & ~4095UL))
            << PAGE_SHIFT) + ((ulong)entry & 4095);
}

static noinline ulong read_fs(ulong selector, ulong offset)
{
    ulong val;

    asm volatile("mov %1, %%fs; mov %%fs:(%2), %0"
                 : "=&r" (val) : "r" (selector), "r" (offset));
    return val;
}

static void do_read_fs(void *arg)
{
    ulong *a = arg;

    a[2] = read_fs(a[0], a[1]);
}

static void drop_fs(void)
{
    asm volatile("mov %0, %%fs" : : "r" (FLAT_KERNEL_DS));
}

static void set_gdt(void)
{
    ulong frame = virt_to_mfn(gdt);
    struct trap t;
    ulong a[3] = { 0x43, 0, 0 };

    make_readonly(gdt);
    check_ret(HYPERCALL(set_gdt, &frame, 512), 0, "set_gdt");
    check_ret(update_va_mapping((ulong)gdt, make_pte(frame, PAGE_KERNEL),
                                UVMF_INVLPG), -EBUSY,
              "mapping a GDT frame writable");
    /* 64-bit segments have 32-bit bases: use a low address */
    user_init();
    memcpy(user_data, data, sizeof(data));
    check_ret(update_descriptor(maddr(&gdt[8]),
                                descriptor(USER_DATA, 2 * sizeof(ulong) - 1,
                                           DATA, BYTES)), 0,
              "update_descriptor");
    check_eq(read_fs(0x43, 0), 0x1111, "by a GDT selector");
    check_eq(read_fs(0x43, sizeof(ulong)), 0x2222, "by a GDT selector");
    drop_fs();
    check_ret(update_descriptor(maddr(&gdt[8]), 0), 0, "update_descriptor");
    check(catch_exception(&t, do_read_fs, a) && t.vector == X86_GP &&
          t.error_code == 0x40, "no #GP by an empty descriptor");
    drop_fs();
    check_ret(update_descriptor(maddr(&gdt[8]) | 4, 0), -EINVAL,
              "update_descriptor, not aligned");
    /* A frame that is neither a GDT nor an LDT is written as it is */
    check_ret(update_descriptor(maddr((uint64_t *)(user_data + 64)),
                                descriptor(0, 0xfffff, DATA, 12)), 0,
              "update_descriptor in a data page");
    check_eq(*(uint64_t *)(user_data + 64), descriptor(0, 0xfffff, DATA, 12),
             "the data page");
}

static void set_ldt(void)
{
    struct trap t;
    ulong a[3] = { 0x47, 0, 0 };

    make_readonly(ldt);
    check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt, 512), 0, "SET_LDT");
    check_ret(update_descriptor(maddr(&ldt[8]),
                                descriptor(USER_DATA + sizeof(ulong), 4095,
                                           DATA, BYTES)), 0,
              "update_descriptor in an LDT");
    if (!catch_exception(&t, do_read_fs, a)) {
        check_eq(a[2], 0x2222, "by an LDT selector");
    } else {
        failure("an LDT selector: %s, error code %x", trap_name(t.vector),
                t.error_code);
    }
    check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt, 8193), -EINVAL,
              "SET_LDT of 8193 entries");
    check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt + 8, 16), -EINVAL,
              "SET_LDT, not aligned");
    drop_fs();
    check_ret(mmuext_op(MMUEXT_SET_LDT, 0, 0), 0, "SET_LDT to none");
    check(catch_exception(&t, do_read_fs, a) && t.vector == X86_GP &&
          t.error_code == 0x44, "no #GP without an LDT: %s(%x)",
          trap_name(t.vector), t.error_code);
    drop_fs();
    check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt, 512), 0, "SET_LDT");
}

/* --- Through traps and user mode --- */

static __user ulong user_read_fs(ulong selector, ulong offset)
{
    ulong val;

    asm volatile("mov %1, %%fs; int $3; mov %%fs:(%2), %0"
                 : "=&r" (val) : "r" (selector), "r" (offset));
    return val;
}

static bool go_on(struct trap *t)
{
    HYPERCALL(xen_version, XENVER_version);
    return true;
}

static void user_segments(void)
{
    struct trap t;
    ulong val;

    update_descriptor(maddr(&gdt[8]), descriptor(USER_DATA, 4095, DATA,
                                                 BYTES));
    set_handler(X86_BP, go_on);
    check(!call_user(user_read_fs, 0x43, 0, &val, &t) && val == 0x1111,
          "a GDT selector in user mode: %s(%x), %lx", trap_name(t.vector),
          t.error_code, val);
    check(!call_user(user_read_fs, 0x47, 0, &val, &t) && val == 0x2222,
          "an LDT selector in user mode: %s(%x), %lx", trap_name(t.vector),
          t.error_code, val);
    set_handler(X86_BP, NULL);
    drop_fs();
}

/* --- An LDT with holes --- */

static uint64_t late_ldt[512] __attribute__((aligned(4096)));

/*
 * Of an LDT only what is used need be there. An access to the rest is a page
 * fault of the guest's, at the address where it is not, and may be repaired.
 */
static void holes(void)
{
    const uint64_t desc = descriptor(USER_DATA, 4095, DATA, BYTES);
    struct trap t;
    ulong a[3] = { 0x47, 0, 0 }, val;

    make_tables(TEST_VA, 1);
    check_ret(mmuext_op(MMUEXT_SET_LDT, TEST_VA, 1024), 0, "SET_LDT nowhere");
    check(catch_exception(&t, do_read_fs, a) && t.vector == X86_PF &&
          t.error_code == 0, "a hole: %s(%x)", trap_name(t.vector),
          t.error_code);
    check_eq(t.cr2, TEST_VA + 0x40, "where the hole is");

    late_ldt[8] = desc;
    make_readonly(late_ldt);
    map_page(TEST_VA, make_pte(virt_to_mfn(late_ldt), PAGE_KERNEL_RO));
    check(!catch_exception(&t, do_read_fs, a) && a[2] == 0x1111,
          "no hole any more: %s(%x)", trap_name(t.vector), t.error_code);
    drop_fs();

    set_handler(X86_BP, go_on);
    check(call_user(user_read_fs, 0x1047, 0, &val, &t) && t.vector == X86_PF &&
          t.error_code == 4 && t.from_user, "a hole in user mode: %s(%x)",
          trap_name(t.vector), t.error_code);
    check_eq(t.cr2, TEST_VA + 0x1040, "where that hole is");
    map_page(TEST_VA + PAGE_SIZE, make_pte(virt_to_mfn(late_ldt),
                                           PAGE_KERNEL_RO));
    check(!call_user(user_read_fs, 0x1047, 0, &val, &t) && val == 0x1111,
          "no hole in user mode any more: %s(%x)", trap_name(t.vector),
          t.error_code);
    set_handler(X86_BP, NULL);
    drop_fs();
    check_ret(mmuext_op(MMUEXT_SET_LDT, (ulong)ldt, 512), 0, "SET_LDT");
}

/* --- Returns that cannot be --- */

static struct iret_frame bad;

static void do_bad_iret(void *arg)
{
    extern void enter_user(const struct iret_frame *frame, ulong a, ulong b);

    enter_user(&bad, 0, 0);
}

/* Ends in the failsafe callback, or as an exception of user mode */
static ulong more_flags;

static void bad_return(const char *what, ulong ip, ulong cs, ulong sp,
                       ulong ss)
{
    struct trap t;

    bad = (struct iret_frame) { ip, cs, X86_EFLAGS_IF | more_flags, sp, ss };
    if (!catch_exception(&t, do_bad_iret, NULL)) {
        failure("%s: nothing happens", what);
        return;
    }
    check(t.vector == VECTOR_FAILSAFE || t.vector == X86_GP ||
          t.vector == X86_NP || t.vector == X86_SS || t.vector == X86_PF,
          "%s: %s", what, trap_name(t.vector));
    if (option("verbose")) {
        printk("%s: %s(%x) from %s, ip %lx cs %x ss %lx ds %lx\n", what,
               trap_name(t.vector), t.error_code,
               t.from_user ? "user" : "kernel", t.ip, t.cs, t.ss, t.ds);
    }
}

static void bad_returns(void)
{
    ulong sp = USER_STACK - 64, code = user_address(user_read_fs);

    update_descriptor(maddr(&gdt[8]), 0);
    bad_return("an empty CS", code, 0x43, sp, FLAT_USER_SS);
    bad_return("an empty SS", code, FLAT_USER_CS, sp, 0x43);
    bad_return("a data segment as CS", code, FLAT_USER_SS, sp, FLAT_USER_SS);
    bad_return("a code segment as SS", code, FLAT_USER_CS, sp, FLAT_USER_CS);
    bad_return("a CS beyond the GDT", code, 0xfffb, sp, FLAT_USER_SS);
    bad_return("the hypervisor's CS", code, 0xe00b, sp, FLAT_USER_SS);
    bad_return("an LDT CS", code, 0x1007, sp, FLAT_USER_SS);
    bad_return("no code", 0x12345, FLAT_USER_CS, sp, FLAT_USER_SS);
#ifdef __x86_64__
    bad_return("no canonical IP", 0x800000000000, FLAT_USER_CS, sp,
               FLAT_USER_SS);
#else
    /* A program may ask its kernel for VM86 mode, with a CS of its choice */
    more_flags = 0x20000;
    bad_return("VM86 mode", 0x100, 0x1000, 0x100, 0x1000);
    bad_return("VM86 mode, the kernel's CS", code, FLAT_KERNEL_CS, sp,
               FLAT_KERNEL_SS);
    more_flags = 0;
#endif
}

#ifndef __x86_64__
/*
 * A data segment that user mode has loaded, and that is gone when the kernel
 * returns there: the failsafe callback gets its selector.
 */
static bool take_away(struct trap *t)
{
    update_descriptor(maddr(&gdt[8]), 0);
    return true;
}

static void segment_vanishes(void)
{
    struct trap t;
    ulong val;

    update_descriptor(maddr(&gdt[8]), descriptor(USER_DATA, 4095, DATA,
                                                 BYTES));
    set_handler(X86_BP, take_away);
    /* FS is in the CPU all the while: what is loaded stays usable */
    check(!call_user(user_read_fs, 0x43, 0, &val, &t) ||
          t.vector == VECTOR_FAILSAFE || t.vector == X86_GP,
          "a segment that vanishes: %s", trap_name(t.vector));
    set_handler(X86_BP, NULL);
    drop_fs();
}
#endif

#ifdef __x86_64__
/*
 * A kernel's own SS and CS, of ring 3, where a 64-bit kernel is as far as it
 * can see: NetBSD loads them like this when it has set its GDT.
 */
static void do_load_ss(void *sel)
{
    asm volatile("mov %0, %%ss" : : "r" (sel) : "memory");
}

static void do_far_return(void *sel)
{
    ulong before, after;

    /* For a ring further out the CPU would take the zeroes for SS and RSP */
    asm volatile("mov %%rsp, %0\n\t"
                 "push $0\n\t"
                 "push $0\n\t"
                 "push %2\n\t"
                 "lea 1f(%%rip), %1\n\t"
                 "push %1\n\t"
                 "lretq\n\t"
                 "1: add $16, %%rsp\n\t"
                 "mov %%rsp, %1"
                 : "=&r" (before), "=&r" (after) : "r" (sel) : "memory");
    check_eq(after, before, "RSP after a far return");
}

static void kernel_segments(void)
{
    static const struct {
        uint64_t desc;
        bool ss, cs;
    } cases[] = {
        { 0x00cff3000000ffff, true, false },    /* data */
        { 0x00cff1000000ffff, false, false },   /* read-only data */
        { 0x00affb000000ffff, false, true },    /* 64-bit code */
        { 0x00cffb000000ffff, false, false },   /* 32-bit code */
        { 0, false, false },
    };
    struct trap t;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (ulong sel = 0x40; sel <= 0x43; sel += 3) {
            bool ring3 = sel == 0x43, ok;

            check_ret(update_descriptor(maddr(&gdt[8]), cases[i].desc), 0,
                      "update_descriptor");
            ok = !catch_exception(&t, do_load_ss, (void *)sel);
            check_eq(ok, cases[i].ss && ring3, "SS %lx, case %u", sel, i);
            check(ok || (t.vector == X86_GP && t.error_code == 0x40),
                  "SS %lx, case %u: %s", sel, i, trap_name(t.vector));
            if (cases[i].desc == 0x00cffb000000ffff) {
                continue;       /* to 32-bit code there is no way back */
            }
            ok = !catch_exception(&t, do_far_return, (void *)sel);
            check_eq(ok, cases[i].cs && ring3, "CS %lx, case %u", sel, i);
            check(ok || t.vector == X86_GP,
                  "CS %lx, case %u: %s", sel, i, trap_name(t.vector));
        }
    }
    check_ret(update_descriptor(maddr(&gdt[8]), 0), 0, "update_descriptor");
    do_load_ss((void *)FLAT_KERNEL_SS);
    do_far_return((void *)FLAT_USER_CS);
}
#endif

void test_main(void)
{
    set_gdt();
    set_ldt();
    user_segments();
    holes();
    bad_returns();
#ifdef __x86_64__
    kernel_segments();
#else
    segment_vanishes();
#endif
}
