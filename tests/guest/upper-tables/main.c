/*
 * The upper part of the address space is what the table in use says, whichever of
 * many that is, at once and on every vCPU; and what is the hypervisor's in it leads
 * to nothing that a kernel could take for its own.
 *
 * A 32-bit guest has the hypervisor in the table of its last GiB, of which the CPU
 * has a copy. If that is not brought up to date, a kernel reads what another process
 * has there, or what it has taken away. And Linux follows all entries of its own
 * table when it looks for pages that can be written and executed: it dies if one of
 * them leads to a frame that it does not have. A third vCPU makes tables, uses them
 * and lets them go while the first changes and the second uses them: if the copies, or
 * the counts of who uses what, went wrong then, a CPU would walk through what is no
 * table any more.
 *
 * vCPUs: 3
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define UPPER_VA    (IS_64BIT ? (ulong)0xffffff0000000000ULL : 0xe0000000UL)
#define UPPER_LEVEL (PAGE_LEVELS - 1)       /* of the table in which it differs */
/* More than any hypervisor is likely to remember */
#define NR_SPACES   7
#define NR_VALUES   3
#define ROUNDS      3000
#define NR_LIVES    2000                    /* of the table that comes and goes */
#define LIVES_NS    1500000000ULL
#define WAIT_NS     20000000000ULL
#define POISON      99
#define FIRST_SLOT  428                     /* 32-bit: the hypervisor's */

static struct space {
    ulong top;                              /* mfn */
    volatile uint64_t *upper;               /* the entry for UPPER_VA */
    uint64_t upper_maddr;
    volatile unsigned seq, value;           /* odd: it is being changed */
} spaces[NR_SPACES];

/* A table of the level below, by which UPPER_VA is a page with the value */
static ulong chains[NR_VALUES];
static volatile unsigned started, stop, nr_looks, nr_certain;
static volatile unsigned bad_value, bad_expected, nr_bad;

static unsigned slot(ulong va, unsigned level)
{
    return va >> (12 + 9 * (level - 1)) & (!IS_64BIT && level == 3 ? 3 : 511);
}

/* Below a table of this level there is a page; returns the table's mfn */
static ulong make_chain(unsigned level, unsigned value)
{
    uint64_t *page = alloc_page();

    if (!level) {
        *(ulong *)page = value;
        return virt_to_mfn(page);
    }
    page[slot(UPPER_VA, level)] = make_pte(make_chain(level - 1, value),
                                           level == 1 ? PAGE_KERNEL : PAGE_TABLE);
    make_readonly(page);
    return virt_to_mfn(page);
}

static void make_space(struct space *s)
{
    uint64_t *top = alloc_page(), *upper = alloc_page();
    unsigned i = slot(UPPER_VA, PAGE_LEVELS), u = slot(UPPER_VA, UPPER_LEVEL);

    memcpy(top, (void *)start_info->pt_base, IS_64BIT ? PAGE_SIZE : 32);
    if (IS_64BIT) {
        memset(&top[256], 0, 16 * sizeof(*top));
    } else {
        /* All of it, as kernels do that copy one for a new process */
        memcpy(upper, (void *)((ulong)pte_of(UPPER_VA, 2) & ~4095UL), PAGE_SIZE);
    }
    upper[u] = make_pte(chains[0], PAGE_TABLE);
    make_readonly(upper);
    top[i] = make_pte(virt_to_mfn(upper), IS_64BIT ? PAGE_TABLE : _PAGE_PRESENT);
    make_readonly(top);
    s->top = virt_to_mfn(top);
    s->upper = &upper[u];
    s->upper_maddr = ((uint64_t)virt_to_mfn(upper) << PAGE_SHIFT) + u * 8;
    check_ret(mmuext_op(IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE,
                        s->top, 0), 0, "a base table is pinned");
}

static void use_space(const struct space *s)
{
    if (mmuext_op(MMUEXT_NEW_BASEPTR, s->top, 0)) {
        error("NEW_BASEPTR");
    }
}

static void set_value(struct space *s, unsigned value)
{
    if (mmu_update(s->upper_maddr, make_pte(chains[value], PAGE_TABLE))) {
        error("mmu_update of an upper table");
    }
    s->value = value;
}

static unsigned look(void)
{
    return *(volatile ulong *)UPPER_VA;
}

/* One vCPU, which changes tables that it uses and others */
static void one_vcpu(void)
{
    struct space *used = &spaces[0];
    unsigned n = 1;

    use_space(used);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct space *s;

        n = n * 1103515245 + 12345;
        s = &spaces[(n >> 8) % NR_SPACES];
        if (n >> 16 & 1) {
            set_value(s, (n >> 20) % NR_VALUES);
        } else {
            use_space(used = s);
        }
        if (look() != used->value) {
            failure("round %u: %u is read, not %u", i, look(), used->value);
            return;
        }
    }
}

/*
 * A table that comes and goes: the third vCPU makes it, uses it, and has its memory
 * back, into which it writes what nobody may ever find. The second uses it whenever it
 * is there, and the first has in it, now and then, a table of the level below that it
 * then uses for something else. Who does either says so before it looks whether the
 * table is there, so that only what is a race for the hypervisor is one.
 */
static struct space moving;
static uint64_t *moving_top, *moving_upper, *passing;
static uint64_t good_entry, poison_entry, poison_chain;
static volatile bool there, entering, changing, lives_end, second_ready;
static volatile unsigned nr_lives, nr_uses, nr_poisoned, nr_passes, third_stuck;

/*
 * Nobody else writes there. But the page may have been a table: what other CPUs still
 * have of a 64-bit kernel's is the kernel's to flush. A 32-bit one's is a copy, and the
 * hypervisor's: here that is not helped by a flush.
 */
static long change_page(void *page, uint64_t flags)
{
    return update_va_mapping((ulong)page, make_pte(virt_to_mfn(page), flags),
                             IS_64BIT ? UVMF_TLB_FLUSH | UVMF_ALL : UVMF_INVLPG);
}

static void note_look(void)
{
    mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    nr_poisoned += look() == POISON;
}

/* Until the number is another one, or it has taken too long */
static void wait_for_change(const volatile unsigned *n, unsigned was)
{
    uint64_t end = system_time() + 20000000;

    while (*n == was && !lives_end && system_time() < end) {
        barrier();
    }
}

static void use_it(void)
{
    second_ready = true;
    while (!lives_end) {
        bool used = false;

        entering = true;
        __sync_synchronize();
        if (there) {
            used = !mmuext_op(MMUEXT_NEW_BASEPTR, moving.top, 0);
        }
        barrier();
        entering = false;
        for (unsigned i = 0; used && (i < 8 || (there && !lives_end)); i++) {
            note_look();
            nr_uses++;
        }
        use_space(&spaces[nr_uses % NR_SPACES]);
    }
}

/* False: nobody lets it go */
static bool get_back(void *page)
{
    uint64_t end = system_time() + WAIT_NS;

    while (change_page(page, PAGE_KERNEL)) {
        if (system_time() > end) {
            return false;
        }
    }
    return true;
}

static bool live_once(void)
{
    unsigned u = slot(UPPER_VA, UPPER_LEVEL), i = slot(UPPER_VA, PAGE_LEVELS);
    unsigned uses = nr_uses, passes = nr_passes;

    moving_upper[u] = make_pte(chains[0], PAGE_TABLE);
    moving_top[i] = make_pte(virt_to_mfn(moving_upper),
                             IS_64BIT ? PAGE_TABLE : _PAGE_PRESENT);
    if (change_page(moving_upper, PAGE_KERNEL_RO) ||
        change_page(moving_top, PAGE_KERNEL_RO) ||
        mmuext_op(IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE,
                  moving.top, 0)) {
        return false;
    }
    there = true;
    use_space(&moving);
    note_look();
    wait_for_change(&nr_uses, uses);
    wait_for_change(&nr_passes, passes);
    note_look();
    use_space(&spaces[nr_lives % NR_SPACES]);
    there = false;
    __sync_synchronize();
    if (mmuext_op(MMUEXT_UNPIN_TABLE, moving.top, 0)) {
        return false;
    }
    while (entering || changing) {
        barrier();
    }
    if (!get_back(moving_top)) {
        return false;
    }
    moving_top[i] = 0;
    if (!get_back(moving_upper)) {
        return false;
    }
    moving_upper[u] = poison_chain;
    return true;
}

static void third(void)
{
    while (!lives_end) {
        if (!live_once()) {
            third_stuck = nr_lives + 1;
            break;
        }
        nr_lives++;
    }
    lives_end = true;
    for (;;) {
        HYPERCALL(vcpu_op, VCPUOP_down, 2, 0);
    }
}

static bool change_it(uint64_t entry)
{
    bool done = false;

    changing = true;
    __sync_synchronize();
    if (there) {
        done = !mmu_update(moving.upper_maddr, entry);
    }
    barrier();
    changing = false;
    return done;
}

/* Into the table, out of it, and it is a page like any other */
static bool pass(unsigned n)
{
    uint64_t end = system_time() + WAIT_NS;
    unsigned uses = nr_uses;
    bool passed;

    if (change_page(passing, PAGE_KERNEL_RO)) {
        return false;
    }
    passed = change_it(make_pte(virt_to_mfn(passing), PAGE_TABLE));
    if (passed) {
        wait_for_change(&nr_uses, uses);
    }
    do {
        change_it(make_pte(chains[n % NR_VALUES], PAGE_TABLE));
        if (system_time() > end) {
            return false;
        }
    } while (change_page(passing, PAGE_KERNEL));
    passing[slot(UPPER_VA, UPPER_LEVEL - 1)] = poison_entry;
    if (passed) {
        wait_for_change(&nr_uses, nr_uses);
        nr_passes++;
    }
    passing[slot(UPPER_VA, UPPER_LEVEL - 1)] = good_entry;
    return true;
}

static void three_vcpus(void)
{
    uint64_t end = system_time() + LIVES_NS, last = end + WAIT_NS;
    const uint64_t flags = UPPER_LEVEL == 2 ? PAGE_KERNEL : PAGE_TABLE;
    unsigned n = 0;

    make_space(&moving);
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, moving.top, 0), 0, "unpin");
    moving_top = mfn_to_virt(moving.top);
    moving_upper = (uint64_t *)((ulong)moving.upper & ~4095UL);
    make_writable(moving_top);
    make_writable(moving_upper);
    passing = alloc_page();
    good_entry = make_pte(make_chain(UPPER_LEVEL - 2, 0), flags);
    poison_entry = make_pte(make_chain(UPPER_LEVEL - 2, POISON), flags);
    poison_chain = make_pte(make_chain(UPPER_LEVEL - 1, POISON), PAGE_TABLE);
    passing[slot(UPPER_VA, UPPER_LEVEL - 1)] = good_entry;
    while (!second_ready) {
        barrier();
    }
    start_third(third);
    /* On a busy machine at least a few of each */
    while (!lives_end && nr_lives < NR_LIVES && system_time() < last &&
           (system_time() < end || nr_lives < 3 || nr_passes < 3)) {
        if (!pass(n++)) {
            failure("the table that was in another is not let go, pass %u", n);
            break;
        }
    }
    lives_end = true;
    printk("%u lives, %u uses, %u passes\n", nr_lives, nr_uses, nr_passes);
    check(!third_stuck, "the table that comes and goes does not, in life %u",
          third_stuck);
    check(nr_lives && nr_passes, "%u lives and %u passes are too few", nr_lives,
          nr_passes);
    check(!nr_poisoned, "what was in no table any more has been read %u times",
          nr_poisoned);
}

/* The other one looks at one after the other */
static void secondary(void)
{
    started = 1;
    while (!stop) {
        struct space *s = &spaces[nr_looks++ % NR_SPACES];

        use_space(s);
        for (unsigned i = 0; i < 3; i++) {
            unsigned seq = s->seq, expected = s->value, value = look();

            if (!(seq & 1) && s->seq == seq) {
                nr_certain++;
                if (value != expected && !nr_bad++) {
                    bad_value = value;
                    bad_expected = expected;
                }
            }
        }
    }
    stop = 2;
    use_it();
    for (;;) {
        HYPERCALL(vcpu_op, VCPUOP_down, 1, 0);
    }
}

static void two_vcpus(void)
{
    uint64_t end = system_time() + 20000000000ULL;
    unsigned n = 1;

    start_second(secondary);
    for (unsigned i = 0; system_time() < end &&
                         (i < ROUNDS || nr_certain < ROUNDS); i++) {
        struct space *s;

        n = n * 1103515245 + 12345;
        s = &spaces[(n >> 8) % NR_SPACES];
        s->seq++;
        set_value(s, (n >> 20) % NR_VALUES);
        check_ret(mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0, "TLB_FLUSH_ALL");
        s->seq++;
    }
    check(nr_certain, "the other vCPU has never looked in between");
    stop = 1;
    for (end = system_time() + 20000000000ULL; stop != 2; ) {
        if (system_time() > end) {
            error("the other vCPU does not end");
        }
    }
    check(!nr_bad, "another vCPU reads %u, not %u, and so %u times of %u", bad_value,
          bad_expected, nr_bad, nr_certain);
}

/* 32-bit: under Xen there are superpages, which nobody follows */
static void hypervisors_entries(void)
{
    uint64_t *l2 = (uint64_t *)((ulong)pte_of(UPPER_VA, 2) & ~4095UL);

    for (unsigned i = FIRST_SLOT; i < 512; i++) {
        if ((l2[i] & _PAGE_PRESENT) && !(l2[i] & _PAGE_PSE)) {
            failure("entry %u leads to frame %lx", i, PTE_MFN(l2[i]));
            return;
        }
    }
}

/*
 * 32-bit: such a table is of a kind of its own. If another one became it, with all that
 * the kernel has in the hypervisor's entries, what is there would be lost, and the
 * tables that it leads to would be in use for good.
 */
static void is_a_kind_of_its_own(void)
{
    uint64_t *top = copy_base_table(), *l2 = mfn_to_virt(PTE_MFN(top[3]));
    ulong top_mfn = virt_to_mfn(top), l2_mfn = virt_to_mfn(l2);
    uint64_t was = top[2];

    check_ret(mmuext_op(MMUEXT_PIN_L2_TABLE, l2_mfn, 0), 0, "pin the last GiB's");
    check_ret(mmuext_op(MMUEXT_PIN_L3_TABLE, top_mfn, 0), -EINVAL,
              "with what is another GiB's by now, pin the base table");
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, l2_mfn, 0), 0, "unpin the last GiB's");
    check_ret(mmuext_op(MMUEXT_PIN_L3_TABLE, top_mfn, 0), 0, "pin the base table");
    check_ret(mmuext_op(MMUEXT_PIN_L2_TABLE, l2_mfn, 0), -EINVAL,
              "pin the last GiB's, which it is now");
    check_ret(mmu_update(((uint64_t)top_mfn << PAGE_SHIFT) + 16,
                         make_pte(l2_mfn, _PAGE_PRESENT)), -EINVAL,
              "the last GiB's for another");
    check_eq(top[2], was, "the entry for that");
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, top_mfn, 0), 0, "unpin the base table");
    /* Nothing is left of it */
    make_writable(top);
    make_writable(l2);
}

void test_main(void)
{
    if (is_initdomain() && !IS_64BIT) {
        skip("with Xen a table that has the hypervisor cannot be copied");
        return;
    }
    if (!IS_64BIT) {
        hypervisors_entries();
        is_a_kind_of_its_own();
    }
    for (unsigned i = 0; i < NR_VALUES; i++) {
        chains[i] = make_chain(UPPER_LEVEL - 1, i);
    }
    for (unsigned i = 0; i < NR_SPACES; i++) {
        make_space(&spaces[i]);
    }
    if (!IS_64BIT) {
        hypervisors_entries();
    }
    one_vcpu();
    two_vcpus();
    three_vcpus();
}
