/*
 * Two vCPUs at the same entry: what one of them, or its CPU, has written there is
 * never lost by what the other does, and neither sees half of a change.
 *
 * A dirty bit that gets lost is data that a kernel does not write back; an entry
 * that is not present for a moment is a fault that nobody can explain, and half
 * of a new one with half of an old one is somebody else's page. The vCPUs begin
 * each round together, and with another delay, so that in the end every order of
 * things has happened, on a busy machine too.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define ROUNDS      20000
#define LIMIT_NS    1500000000ULL   /* for each race: a busy machine does less */

static uint8_t page[PAGE_SIZE] __attribute__((aligned(4096)));
static uint8_t gdt_page[PAGE_SIZE] __attribute__((aligned(4096)));
/* The entry that they are at, where the kernel sees it, and its address */
static volatile uint64_t *entry;
static uint64_t maddr, pte;

static void delay(void)
{
    for (volatile unsigned i = race_round % 64; i; i--) {
    }
}

static void nothing(void)
{
}

static void run(side_fn *before, side_fn *ours, side_fn *theirs, side_fn *after)
{
    race(ROUNDS, LIMIT_NS, before, ours, theirs, after);
}

static uint32_t low_half(void)
{
    return *(volatile uint32_t *)entry;
}

/* --- A and D that the CPU sets are kept by MMU_PT_UPDATE_PRESERVE_AD --- */

static ulong nr_lost;
static bool found;

static void make_clean(void)
{
    mmu_update(maddr, pte & ~_PAGE_DIRTY);
    found = false;
}

static void write_to_page(void)
{
    mmuext_op(MMUEXT_INVLPG_LOCAL, TEST_VA, 0);
    delay();
    *(volatile uint8_t *)TEST_VA = 1;
}

static void preserve(void)
{
    for (unsigned i = 0; i < 4; i++) {
        mmu_update(maddr | MMU_PT_UPDATE_PRESERVE_AD,
                   (pte & ~_PAGE_DIRTY) | (i & 1 ? _PAGE_AVAIL : 0));
    }
}

static void check_dirty(void)
{
    nr_lost += !found && !(low_half() & _PAGE_DIRTY);
}

static void preserve_ad(void)
{
    nr_lost = 0;
    run(make_clean, preserve, write_to_page, check_dirty);
    check_eq(nr_lost, 0, "dirty bits lost by PRESERVE_AD");
}

/* --- Direct writes are the CPU's own, read and write in one --- */

static ulong nr_set, nr_cleared;

static void set_bit(void)
{
    for (unsigned i = 0; i < 8; i++) {
        bool was;

        asm volatile("lock; btsl $9, %0"
                     : "+m" (*(volatile uint32_t *)entry), "=@ccc" (was)
                     : : "memory");
        nr_set += !was;
    }
}

static void clear_bit(void)
{
    while (racing) {
        bool was;

        asm volatile("lock; btrl $9, %0"
                     : "+m" (*(volatile uint32_t *)entry), "=@ccc" (was)
                     : : "memory");
        nr_cleared += was;
    }
}

/* As a kernel does that looks which pages have been written to */
static void take_dirty(void)
{
    for (unsigned i = 0; i < 4; i++) {
        bool was;

        asm volatile("lock; btrl $6, %0"
                     : "+m" (*(volatile uint32_t *)entry), "=@ccc" (was)
                     : : "memory");
        found = found || was;
    }
}

static void direct_writes(void)
{
    check_ret(HYPERCALL(vm_assist, VMASST_CMD_enable,
                        VMASST_TYPE_writable_pagetables), 0, "vm_assist");
    mmu_update(maddr, pte & ~(uint64_t)0x200);
    run(nothing, set_bit, clear_bit, nothing);
    nr_cleared += low_half() >> 9 & 1;
    check_eq(nr_cleared, nr_set, "how often BTR found the bit that BTS has set");
    nr_lost = 0;
    run(make_clean, take_dirty, write_to_page, check_dirty);
    check_eq(nr_lost, 0, "dirty bits lost by BTR");
    check_ret(HYPERCALL(vm_assist, VMASST_CMD_disable,
                        VMASST_TYPE_writable_pagetables), 0, "vm_assist");
}

/* --- An entry that changes from present to present is always present --- */

static ulong nr_seen, nr_absent;

static void change_by_update(void)
{
    for (unsigned i = 0; i < 16; i++) {
        mmu_update(maddr, pte | (i & 1 ? _PAGE_NX : 0));
    }
}

static void change_by_va(void)
{
    for (unsigned i = 0; i < 16; i++) {
        update_va_mapping(TEST_VA, pte | (i & 1 ? _PAGE_NX : 0), UVMF_NONE);
    }
}

static void change_by_multi(void)
{
    struct mmu_update u[16];

    for (unsigned i = 0; i < ARRAY_SIZE(u); i++) {
        u[i].ptr = maddr;
        u[i].val = pte | (i & 1 ? _PAGE_NX : 0);
    }
    HYPERCALL(mmu_update, u, ARRAY_SIZE(u), 0, DOMID_SELF);
}

static void watch(void)
{
    while (racing) {
        nr_absent += !(low_half() & _PAGE_PRESENT);
        nr_seen++;
    }
}

/* A fault here ends the test */
static void use(void)
{
    while (racing) {
        mmuext_op(MMUEXT_INVLPG_LOCAL, TEST_VA, 0);
        nr_seen += *(volatile uint8_t *)TEST_VA;
    }
}

static void never_absent(void)
{
    static const struct {
        const char *name;
        side_fn *change;
    } changes[] = {
        { "mmu_update", change_by_update },
        { "update_va_mapping", change_by_va },
        { "mmu_update of 16", change_by_multi },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
        mmu_update(maddr, pte);
        nr_absent = nr_seen = 0;
        run(nothing, changes[i].change, watch, nothing);
        check_eq(nr_absent, 0, "%s: the entry is not present", changes[i].name);
        run(nothing, changes[i].change, use, nothing);
    }
    mmu_update(maddr, pte);
}

/* --- A descriptor changes as a whole --- */

#define DESC_A  0x00cf921111111111ULL   /* writable data, of other bases */
#define DESC_B  0x22cf922222222222ULL
static ulong nr_mixed;

static void change_descriptor(void)
{
    uint64_t at = (uint64_t)virt_to_mfn(gdt_page) << PAGE_SHIFT;

    for (unsigned i = 0; i < 16; i++) {
        update_descriptor(at, i & 1 ? DESC_B : DESC_A);
    }
}

static uint64_t fetch_whole(const void *p)
{
    uint64_t val;

#ifdef __x86_64__
    val = *(const volatile uint64_t *)p;
#else
    /* 64 bits at once, all of which the FPU keeps */
    asm volatile("fildll %1; fistpll %0"
                 : "=m" (val) : "m" (*(const volatile uint64_t *)p));
#endif
    return val;
}

static void watch_descriptor(void)
{
    while (racing) {
        uint64_t d = fetch_whole(gdt_page);
        const uint64_t dpl = 3ULL << 45;

        nr_mixed += (d & ~dpl) != (DESC_A & ~dpl) &&
                    (d & ~dpl) != (DESC_B & ~dpl);
    }
}

static void descriptors(void)
{
    ulong frame = virt_to_mfn(gdt_page);

    make_readonly(gdt_page);
    change_descriptor();
    check_ret(HYPERCALL(set_gdt, &frame, 8), 0, "set_gdt");
    nr_mixed = 0;
    run(nothing, change_descriptor, watch_descriptor, nothing);
    check_eq(nr_mixed, 0, "descriptors of two halves that do not belong together");
    check_ret(HYPERCALL(set_gdt, NULL, 0), 0, "set_gdt, of none");
}

/* --- A base table that one pins and unpins, and the other uses --- */

static ulong old_base, new_base;
static ulong nr_bad;

static void pin_and_unpin(void)
{
    nr_bad += mmuext_op(IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE,
                        new_base, 0) != 0;
    nr_bad += mmuext_op(MMUEXT_UNPIN_TABLE, new_base, 0) != 0;
}

static void use_and_leave(void)
{
    while (racing) {
        nr_bad += mmuext_op(MMUEXT_NEW_BASEPTR, new_base, 0) != 0;
        nr_seen += *(volatile uint8_t *)TEST_VA;
        nr_bad += mmuext_op(MMUEXT_NEW_BASEPTR, old_base, 0) != 0;
    }
}

static void base_tables(void)
{
    uint64_t *top = copy_base_table();

    old_base = virt_to_mfn((void *)start_info->pt_base);
    new_base = virt_to_mfn(top);
    run(nothing, pin_and_unpin, use_and_leave, nothing);
    check_eq(nr_bad, 0, "what pin, unpin and NEW_BASEPTR have refused");
    /* Every reference has been counted, and none twice */
    check_ret(update_va_mapping((ulong)top, make_pte(new_base, PAGE_KERNEL),
                                UVMF_INVLPG), 0,
              "mapping the table, which nobody uses, writable");
}

#ifdef __x86_64__
/* --- The User bit for a program on its kernel's base table: not by halves --- */

#define NOT_THERE   0x123450UL      /* such as a kernel has of a page in swap */

static __user ulong read_page(ulong p, ulong unused)
{
    return *(volatile uint8_t *)p;
}

static void read_by_program(void)
{
    struct trap t;

    for (unsigned i = 0; i < 4; i++) {
        if (call_user(read_page, TEST_VA, 0, NULL, &t)) {
            /* What was not there, and nothing else */
            nr_bad += t.vector != X86_PF || (t.error_code & PFEC_present);
        }
    }
}

static void take_and_give(void)
{
    while (racing) {
        mmu_update(maddr, NOT_THERE);
        for (unsigned i = 0; i < 20; i++) {
            nr_lost += *entry != NOT_THERE;
        }
        mmu_update(maddr, pte);
    }
}

static void user_bits(void)
{
    user_init();
    check_ret(mmuext_op(MMUEXT_NEW_USER_BASEPTR,
                        pte_maddr(TEST_VA, 4) >> PAGE_SHIFT, 0), 0,
              "the kernel's base table for its programs");
    nr_lost = nr_bad = 0;
    run(nothing, read_by_program, take_and_give, nothing);
    check_eq(nr_lost, 0, "entries changed that were not there");
    check_eq(nr_bad, 0, "faults on what was there");
}
#endif

void test_main(void)
{
    map_page(TEST_VA, make_pte(virt_to_mfn(page), PAGE_KERNEL));
    pte = make_pte(virt_to_mfn(page), PAGE_KERNEL);
    entry = pte_of(TEST_VA, 1);
    maddr = pte_maddr(TEST_VA, 1);
    start_races();
    preserve_ad();
    direct_writes();
    descriptors();
    base_tables();
    never_absent();
#ifdef __x86_64__
    user_bits();
#endif
}
