/*
 * A program that runs with its kernel's own base table.
 *
 * Xen adds the User bit to each entry of a 64-bit guest's page tables, so a kernel
 * whose two base pointers are the same has its own pages open to its programs, and
 * small kernels count on it: to them, a fault there is a bug of theirs. What an entry
 * forbids for another reason stays forbidden, page tables to write above all: a
 * program that can change these is its kernel's master. A 32-bit guest's entries
 * mean what they say, and it keeps its programs out by them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static char page[PAGE_SIZE] __attribute__((aligned(4096)));
#define READ_ONLY   (TEST_VA + PAGE_SIZE)
#define CODE        (TEST_VA + 2 * PAGE_SIZE)
#define NO_CODE     (TEST_VA + 3 * PAGE_SIZE)
#define TABLE       (TEST_VA + 4 * PAGE_SIZE)

static __user ulong read(ulong p, ulong unused)
{
    return *(volatile ulong *)p;
}

static __user ulong write(ulong p, ulong val)
{
    return *(volatile ulong *)p = val;
}

static __user ulong run(ulong p, ulong arg)
{
    return ((user_fn *)p)(arg, 0);
}

static __user ulong twice(ulong arg, ulong unused)
{
    return arg * 2;
}

/* With 64-bit guests it works, with 32-bit ones it is a fault */
static void may(const char *name, user_fn *fn, ulong va, ulong arg, ulong expected)
{
    ulong result;
    struct trap t;

    if (call_user(fn, va, arg, &result, &t)) {
        check(!IS_64BIT && t.vector == X86_PF && t.cr2 == va,
              "%s: %s, error %x, cr2 %lx", name, trap_name(t.vector),
              t.error_code, t.cr2);
    } else {
        check(IS_64BIT, "%s: a 32-bit guest's program may", name);
        check_eq(result, expected, "%s", name);
    }
}

static void may_not(const char *name, user_fn *fn, ulong va, uint32_t error)
{
    struct trap t;

    if (!call_user(fn, va, 1, NULL, &t)) {
        failure("%s: a program may", name);
        return;
    }
    check(t.vector == X86_PF && t.cr2 == va, "%s: %s, cr2 %lx", name,
          trap_name(t.vector), t.cr2);
    check_eq(t.error_code, PFEC_present | PFEC_user | error, "%s: error", name);
}

/* The tables for TEST_VA are the kernel's, too, at each level that can say so */
static void take_user_bits(void)
{
    for (unsigned level = 2; level <= PAGE_LEVELS; level++) {
        if (IS_64BIT || level < 3) {
            check_ret(mmu_update(pte_maddr(TEST_VA, level),
                                 *pte_of(TEST_VA, level) & ~_PAGE_USER), 0,
                      "level %u without the User bit", level);
        }
    }
}

void test_main(void)
{
    ulong mfn = virt_to_mfn(page), l1, code;
    volatile uint64_t *entry;

    user_init();
    code = (ulong)twice & (PAGE_SIZE - 1);
    map_page(TEST_VA, make_pte(mfn, PAGE_KERNEL));
    map_page(READ_ONLY, make_pte(mfn, PAGE_KERNEL_RO));
    map_page(CODE, make_pte(virt_to_mfn((void *)((ulong)twice - code)),
                            PAGE_KERNEL_RO));
    map_page(NO_CODE, make_pte(virt_to_mfn((void *)((ulong)twice - code)),
                               PAGE_KERNEL_RO | _PAGE_NX));
    l1 = pte_maddr(TEST_VA, 1) >> PAGE_SHIFT;
    map_page(TABLE, make_pte(l1, PAGE_KERNEL_RO));
    take_user_bits();
    if (IS_64BIT) {
        ulong base = pte_maddr(TEST_VA, PAGE_LEVELS) >> PAGE_SHIFT;

        check_ret(mmuext_op(MMUEXT_NEW_USER_BASEPTR, base, 0), 0,
                  "the kernel's base table for its programs");
    }

    *(volatile ulong *)page = 0x1234;
    may("reading", read, TEST_VA, 0, 0x1234);
    may("writing", write, TEST_VA, 0x4321, 0x4321);
    check_eq(*(volatile ulong *)page, IS_64BIT ? 0x4321 : 0x1234, "the page");
    may("code", run, CODE + code, 21, 42);
    may("the kernel's own page", read, (ulong)page, 0, *(volatile ulong *)page);
    may("a page table", read, TABLE, 0, *(volatile ulong *)TABLE);
    may_not("writing what is read-only", write, READ_ONLY, PFEC_write);
    may_not("code that is none", run, NO_CODE + code, PFEC_insn);
    may_not("writing to a page table", write, TABLE, PFEC_write);

    /* Also where the kernel has written to it directly, and goes on to */
    HYPERCALL(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables);
    entry = (volatile uint64_t *)TABLE + (TEST_VA >> PAGE_SHIFT & 511);
    take_user_bits();
    for (unsigned i = 0; i < 3; i++) {
        *(volatile uint32_t *)entry = *entry;
        may_not("writing to what the kernel writes to", write, TABLE, PFEC_write);
        may("reading what the kernel writes to", read, TABLE, 0,
            *(volatile ulong *)TABLE);
        may_not("writing to what was read", write, TABLE, PFEC_write);
    }
}
