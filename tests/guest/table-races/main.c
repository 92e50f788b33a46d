/*
 * A page table that is given back while another vCPU uses it, takes it, lets it go, or
 * gives it back itself: it stays a table for as long as anybody uses it, nobody reads
 * anything else through it, and then the domain has one frame less, and can have it
 * again.
 *
 * Uses are counted without a lock. If what marks a frame as given back were written
 * beside that, a use could get lost, and a frame in use be the host's; or the frame
 * would never be let go.
 *
 * vCPUs: 2
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define ROUNDS      3000
#define LIMIT_NS    800000000ULL    /* for each race: a busy machine does less */
#define VA(slot)    (TEST_VA + ((ulong)(slot) << 21))
#define SCRATCH_VA  VA(8)
#define PIN_BASE    (IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE)
#define MARK        0x5aa5c33cUL

static uint8_t data[PAGE_SIZE] __attribute__((aligned(4096)));

static ulong table_pfn, table_mfn;
static long nr_held;
static uint64_t slots[4];               /* machine addresses of entries for it */
static volatile unsigned nr_given, nr_read, nr_faults, nr_wrong, nr_refused;

static long memory_op(unsigned cmd, void *arg)
{
    return HYPERCALL(memory_op, cmd, arg);
}

static long held(void)
{
    uint16_t self = DOMID_SELF;

    return memory_op(XENMEM_current_reservation, &self);
}

static void give_back(void)
{
    xen_pfn_t frame = table_mfn;
    struct memory_reservation r = { &frame, 1, 0, 0, DOMID_SELF };

    if (memory_op(XENMEM_decrease_reservation, &r) == 1) {
        __atomic_fetch_add(&nr_given, 1, __ATOMIC_SEQ_CST);
    }
}

static void hook(unsigned slot)
{
    nr_refused += mmu_update(slots[slot], make_pte(table_mfn, PAGE_TABLE)) != 0;
}

static void unhook(unsigned slot)
{
    nr_refused += mmu_update(slots[slot], 0) != 0;
}

/* A frame of which each entry is that of a table, or, without one, is PTE */
static void get_frame(const volatile uint64_t *like, uint64_t pte)
{
    xen_pfn_t frame = table_pfn;
    struct memory_reservation r = { &frame, 1, 0, 0, DOMID_SELF };
    volatile uint64_t *entries = (volatile uint64_t *)SCRATCH_VA;

    if (memory_op(XENMEM_populate_physmap, &r) != 1) {
        error("round %u: the frame cannot be had again", race_round);
    }
    table_mfn = frame;
    nr_given = 0;
    update_va_mapping(SCRATCH_VA, make_pte(table_mfn, PAGE_KERNEL), UVMF_INVLPG);
    for (unsigned i = 0; i < PAGE_SIZE / 8; i++) {
        entries[i] = like ? like[i] : pte;
    }
    update_va_mapping(SCRATCH_VA, 0, UVMF_INVLPG | UVMF_ALL);
    nr_held = held();
}

/* A level-1 table: all of it maps the page with the mark */
static void begin(void)
{
    get_frame(NULL, make_pte(virt_to_mfn(data), PAGE_KERNEL));
    hook(0);
}

/* A base table like the one in use, pinned: more uses of it take no lock */
static void begin_base(void)
{
    get_frame((volatile uint64_t *)start_info->pt_base, 0);
    nr_refused += mmuext_op(PIN_BASE, table_mfn, 0) != 0;
}

/* Both are done: one of them has given it back, and its last use has ended */
static void check_gone(void)
{
    check_eq(nr_given, 1, "round %u: how often it was given back", race_round);
    check_eq(held(), nr_held - 1, "round %u: frames of the domain", race_round);
    check(mmu_update(slots[0], make_pte(table_mfn, PAGE_TABLE)) != 0,
          "round %u: it is a table again", race_round);
}

static void end(void)
{
    mmu_update(slots[0], 0);
    mmu_update(slots[1], 0);
    mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0);
    check_gone();
}

static void end_base(void)
{
    check_eq(held(), nr_held, "round %u: frames while it is pinned", race_round);
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, table_mfn, 0), 0,
              "round %u: unpin", race_round);
    check_gone();
}

/* A fault is right when it is not mapped any more */
static bool page_fault(struct trap *t)
{
    if (!is_of_second(t)) {
        return false;
    }
    t->regs->ax = 0;
    t->frame->ip = t->regs->dx;
    nr_faults++;
    return true;
}

static void read_through(unsigned slot)
{
    ulong at = VA(slot) + race_round % (PAGE_SIZE / 8) * PAGE_SIZE, value, next;

#ifdef __x86_64__
    asm volatile("lea 1f(%%rip), %%rdx\nmov (%2), %%rax\n1:"
                 : "=a" (value), "=&d" (next) : "r" (at) : "memory");
#else
    asm volatile("mov $1f, %%edx\nmov (%2), %%eax\n1:"
                 : "=a" (value), "=&d" (next) : "r" (at) : "memory");
#endif
    nr_read += value == MARK;
    nr_wrong += value != MARK && value != 0;
}

static void use(void)
{
    do {
        read_through(0);
        mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    } while (racing);
}

static void take_and_leave(void)
{
    do {
        hook(1);
        read_through(1);
        unhook(1);
    } while (racing);
}

static void go_there_and_back(void)
{
    ulong base = virt_to_mfn((void *)start_info->pt_base);

    do {
        nr_refused += mmuext_op(MMUEXT_NEW_BASEPTR, table_mfn, 0) != 0;
        nr_refused += mmuext_op(MMUEXT_NEW_BASEPTR, base, 0) != 0;
    } while (racing);
}

/* While the other side is at it */
static void give_back_later(void)
{
    for (volatile unsigned i = race_round * 37 % 512; i; i--) {
    }
    give_back();
}

static void leave(void)
{
    unhook(0);
}

static void give_and_leave(void)
{
    give_back_later();
    unhook(0);
}

static void nothing(void)
{
}

/* Each vCPU has a table of its own */
static void take_page_faults(void)
{
    nr_refused += set_trap_entry(X86_PF, 0, trap_stub(X86_PF)) != 0;
}

static void run(const char *name, side_fn *before, side_fn *ours, side_fn *theirs,
                side_fn *after)
{
    unsigned i;

    nr_refused = nr_wrong = nr_read = nr_faults = 0;
    i = race(ROUNDS, LIMIT_NS, before, ours, theirs, after);
    printk("%s: %u rounds, %u read, %u faults\n", name, i, nr_read, nr_faults);
    check_eq(nr_wrong, 0, "%s: other things read through the table", name);
}

void test_main(void)
{
    if (is_initdomain()) {
        skip("domain 0 gets other frames than it gave");
        return;
    }
    *(volatile ulong *)data = MARK;
    for (unsigned i = 0; i < ARRAY_SIZE(slots); i++) {
        make_tables(VA(i), 2);
        slots[i] = pte_maddr(VA(i), 2);
    }
    map_page(SCRATCH_VA, 0);
    set_handler(X86_PF, page_fault);
    table_pfn = alloc_pfn();
    table_mfn = ((ulong *)start_info->mfn_list)[table_pfn];
    ((ulong *)start_info->mfn_list)[table_pfn] = ~0UL;
    give_back();
    check_eq(nr_given, 1, "a frame is given back");

    start_races();
    race(1, LIMIT_NS, nothing, nothing, take_page_faults, nothing);
    check_eq(nr_refused, 0, "the second vCPU's handler");
    run("given back in use", begin, give_and_leave, use, end);
    run("given back by both", begin, give_back, give_back, end);
    run("given back, let go", begin, give_back, leave, end);
    run("given back, taken elsewhere", begin, give_back_later, take_and_leave,
        end);
    nr_refused = 0;
    run("a base table", begin_base, give_back_later, go_there_and_back,
        end_base);
    check_eq(nr_refused, 0, "base tables that were refused");
}
