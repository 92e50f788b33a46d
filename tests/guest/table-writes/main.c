/*
 * A kernel that has VMASST_TYPE_writable_pagetables may write to a level-1 table
 * through a read-only mapping; that is all that it may do so.
 *
 * The monitor makes such a mapping writable and lets the kernel try again. If it
 * stayed so when the frame becomes a table of a higher level or part of a GDT, on
 * this vCPU or in the TLB of another, the kernel could make entries that nobody
 * has checked, where it expects a fault. If the mapping could be one of a program,
 * the program would write its own page tables. And a kernel that copies an entry
 * of its own must not be refused because of a bit that it has not set.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NR_VIEWS    7               /* of one table: more than are remembered */
#define VIEW(i)     (TEST_VA + ((i) + 16) * PAGE_SIZE)
#define TABLE_VA    (TEST_VA + (4UL << 20))     /* what the table maps */
#define WAIT_NS     20000000000ULL

static uint64_t *table;             /* a frame that becomes one */
static ulong mfn;

/* What vCPU 1 is to do: to call fn(arg), and say whether that faulted */
static void (*volatile fn)(void *);
static void *volatile arg;
static volatile unsigned asked, done;
static volatile bool faulted;
static struct trap trap;

static void secondary(void)
{
    set_trap_entry(X86_PF, 0, trap_stub(X86_PF));
    for (;;) {
        while (done == asked) {
            asm volatile("pause" : : : "memory");
        }
        faulted = catch_exception(&trap, fn, arg);
        barrier();
        done++;
    }
}

/* One vCPU at a time: the harness catches exceptions of one */
static bool faults_on_other(void (*f)(void *), ulong va)
{
    uint64_t end = system_time() + WAIT_NS;

    fn = f;
    arg = (void *)va;
    barrier();
    asked++;
    while (done != asked) {
        if (system_time() > end) {
            error("vCPU 1 does not answer");
        }
        asm volatile("pause" : : : "memory");
    }
    return faulted;
}

static bool faults(void (*f)(void *), ulong va)
{
    return catch_exception(&trap, f, (void *)va);
}

static void do_read(void *va)
{
    (void)*(volatile uint64_t *)va;
}

/* Not to what any of the tables has there */
static void do_write(void *va)
{
    *(volatile uint64_t *)((ulong)va + 511 * 8) = 0;
}

static void view(unsigned i, uint64_t flags)
{
    map_page(VIEW(i), make_pte(mfn, flags));
}

static void enable(unsigned cmd)
{
    check_ret(HYPERCALL(vm_assist, cmd, VMASST_TYPE_writable_pagetables), 0,
              "vm_assist");
}

static long pin(unsigned level)
{
    return mmuext_op(MMUEXT_PIN_L1_TABLE + level - 1, mfn, 0);
}

static void unpin(void)
{
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, mfn, 0), 0, "UNPIN_TABLE");
}

/* All views are read-only, on both vCPUs, and the entry is as it was */
static void check_closed(const char *what)
{
    for (unsigned i = 0; i < NR_VIEWS; i++) {
        check(faults(do_write, VIEW(i)), "%s: view %u can be written", what, i);
        check(faults_on_other(do_write, VIEW(i)),
              "%s: view %u can be written by vCPU 1", what, i);
        check(!faults(do_read, VIEW(i)), "%s: view %u cannot be read", what, i);
    }
}

/* Each by both, so that both TLBs know it */
static void open_all(const char *what)
{
    for (unsigned i = 0; i < NR_VIEWS; i++) {
        check(!faults(do_write, VIEW(i)), "%s: a write by view %u faults", what,
              i);
        check(!faults_on_other(do_write, VIEW(i)),
              "%s: a write by view %u faults on vCPU 1", what, i);
    }
}

static void becomes_higher_level(void)
{
    check_closed("without the assist");
    enable(VMASST_CMD_enable);
    check_closed("plain memory");
    for (unsigned level = 2; level <= (IS_64BIT ? 3 : 2); level++) {
        check_ret(pin(1), 0, "PIN_L1_TABLE");
        open_all("level 1");
        unpin();
        check_ret(pin(level), 0, "pinning it with level %u", level);
        check_closed(level == 2 ? "level 2" : "level 3");
        unpin();
    }
    check_ret(pin(1), 0, "PIN_L1_TABLE");
    open_all("level 1 again");
    unpin();
    check_ret(HYPERCALL(set_gdt, &mfn, 8), 0, "set_gdt");
    check_closed("a GDT's frame");
    check_ret(HYPERCALL(set_gdt, NULL, 0), 0, "set_gdt, of none");
    check_ret(pin(1), 0, "PIN_L1_TABLE");
    open_all("level 1, once more");
    enable(VMASST_CMD_disable);
    check_closed("without the assist again");
    enable(VMASST_CMD_enable);
}

/*
 * Memory that was a table, and is mapped writable by the kernel since then, stays
 * so when what has been opened is closed, as here when the assist is switched off
 */
static void plain_memory_again(void)
{
    view(0, PAGE_KERNEL_RO);
    check(!faults(do_write, VIEW(0)), "a write to a table faults");
    unpin();
    view(0, PAGE_KERNEL);
    check(!faults(do_write, VIEW(0)), "a write to memory faults");
    enable(VMASST_CMD_disable);
    check(!faults(do_write, VIEW(0)), "the assist is off, and the kernel's own "
          "writable mapping of memory is read-only");
    enable(VMASST_CMD_enable);
    view(0, PAGE_KERNEL_RO);
    check_ret(pin(1), 0, "PIN_L1_TABLE");
}

/* The table that has the view's entry ceases to be one, and becomes one again */
static void views_table_goes(void)
{
    uint64_t *l1 = alloc_page();
    ulong va = TEST_VA + (8UL << 20);
    uint64_t link = make_pte(virt_to_mfn(l1), PAGE_TABLE);

    make_tables(va, 2);
    l1[0] = make_pte(mfn, PAGE_KERNEL_RO);
    make_readonly(l1);
    check_ret(mmu_update(pte_maddr(va, 2), link), 0, "a table with a view");
    check(!faults(do_write, va), "a write by the view faults");
    check_ret(mmu_update(pte_maddr(va, 2), 0), 0, "taking it out of use");
    check_eq(l1[0] & (_PAGE_RW | _PAGE_PRESENT), _PAGE_PRESENT,
             "the view's entry, in memory that is no table");
    check_ret(mmu_update(pte_maddr(va, 2), link), 0, "the table again");
    enable(VMASST_CMD_disable);
    check(faults(do_write, va), "the view can be written");
    enable(VMASST_CMD_enable);
    check_ret(mmu_update(pte_maddr(va, 2), 0), 0, "taking it out of use");
    mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0);
    make_writable(l1);
}

/* What a kernel makes of an entry that it has read is not refused */
static void entries_that_are_copied(void)
{
    uint64_t e;

    check(!faults(do_write, VIEW(0)), "a write faults");
    e = *pte_of(VIEW(0), 1);
    check_ret(mmu_update(pte_maddr(VIEW(0), 1), e | _PAGE_AVAIL), 0,
              "mmu_update of an entry to what it was, and a bit");
    check_ret(update_va_mapping(VIEW(0), e, UVMF_INVLPG), 0,
              "update_va_mapping of an entry to what it was");
    check(!faults(do_write, VIEW(0)), "a write faults afterwards");
}

/* --- From user mode --- */

static __user ulong user_write(ulong addr, ulong unused)
{
    *(volatile ulong *)(addr + 511 * 8) = 0;
    return 1;
}

#define USER_VIEW   (USER_DATA + 16 * PAGE_SIZE)

static void programs(void)
{
    struct trap t;
    ulong result;

    map_page(USER_VIEW, make_pte(mfn, PAGE_KERNEL_RO | _PAGE_USER));
    check(call_user(user_write, USER_VIEW, 0, &result, &t) &&
          t.vector == X86_PF, "a program writes to a page table");
    check(!faults(do_write, USER_VIEW), "the kernel's write by a program's page");
    check(call_user(user_write, USER_VIEW, 0, &result, &t) &&
          t.vector == X86_PF,
          "a program writes to a page table where the kernel has");
    map_page(USER_VIEW, 0);
}

/* Directly written entries take effect, and those above them are not written */
static void entries(void)
{
    volatile uint64_t *l1 = (uint64_t *)VIEW(1);
    static uint8_t data[PAGE_SIZE] __attribute__((aligned(4096)));

    data[0] = 42;
    make_tables(TABLE_VA, 2);
    check_ret(mmu_update(pte_maddr(TABLE_VA, 2), make_pte(mfn, PAGE_TABLE)), 0,
              "putting the table into use");
    l1[3] = make_pte(virt_to_mfn(data), PAGE_KERNEL);
    check_eq(*(volatile uint8_t *)(TABLE_VA + 3 * PAGE_SIZE), 42,
             "what a direct write maps");
    l1[3] = 0;
    mmuext_op(MMUEXT_INVLPG_LOCAL, TABLE_VA + 3 * PAGE_SIZE, 0);
    check(faults(do_read, TABLE_VA + 3 * PAGE_SIZE), "it is still mapped");
    check(faults(do_write, (ulong)pte_of(TABLE_VA, 2) & ~4095UL),
          "a level-2 table can be written");
    check(faults(do_write, start_info->pt_base),
          "the base table can be written");
    check_ret(mmu_update(pte_maddr(TABLE_VA, 2), 0), 0, "taking it out of use");
}

void test_main(void)
{
    if (is_initdomain()) {
        skip("with Xen a mapping is read-only for as long as there is an entry");
        return;
    }
    table = alloc_page();
    mfn = virt_to_mfn(table);
    make_readonly(table);
    for (unsigned i = 0; i < NR_VIEWS; i++) {
        view(i, PAGE_KERNEL_RO);
    }
    start_second(secondary);
    becomes_higher_level();
    plain_memory_again();
    views_table_goes();
    entries_that_are_copied();
    programs();
    entries();
    unpin();
}
