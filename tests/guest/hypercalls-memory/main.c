/*
 * Hypercalls about memory and page tables, with everything that they refuse.
 *
 * What the paging and memory tests use in passing is here asked for wrongly,
 * too: frames and domains that there are not, lists that end too soon, batches
 * of which one entry is bad. A batch has to do what comes before that entry,
 * nothing behind it, and say how many; the reservation calls answer with how
 * much they did, never with an error. A kernel that is told otherwise loses
 * count of its own memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NOBODY      77
#define NO_FRAME    ((1UL << 27) + 1)
#define PREEMPTED   0x80000000UL

static char pages[2][PAGE_SIZE] __attribute__((aligned(4096)));
static char list_pages[2 * PAGE_SIZE] __attribute__((aligned(4096)));

static ulong own_domid(void)
{
    return is_initdomain() ? 0 : 1;
}

static ulong table(void)
{
    return virt_to_mfn((void *)start_info->pt_base);
}

/* --- mmuext_op --- */

static const ulong vcpus = 1;

static void mmuext_ops(void)
{
    const ulong data = virt_to_mfn(pages[0]);
    const struct {
        const char *name;
        unsigned cmd;
        ulong arg1, arg2;
        long expected;
    } ops[] = {
        { "PIN_L1 of no frame", MMUEXT_PIN_L1_TABLE, NO_FRAME, 0, -EINVAL },
        { "PIN_L2 of no frame", MMUEXT_PIN_L2_TABLE, NO_FRAME, 0, -EINVAL },
        { "PIN_L3 of no frame", MMUEXT_PIN_L3_TABLE, NO_FRAME, 0, -EINVAL },
        /* There is no such level: nothing to do */
        { "PIN_L4 of no frame", MMUEXT_PIN_L4_TABLE, NO_FRAME, 0,
          IS_64BIT ? -EINVAL : 0 },
        { "PIN_L1 of the top level", MMUEXT_PIN_L1_TABLE, table(), 0, -EINVAL },
        { "PIN_L2 of the top level", MMUEXT_PIN_L2_TABLE, table(), 0, -EINVAL },
        { "pinning the top level again", IS_64BIT ? MMUEXT_PIN_L4_TABLE :
          MMUEXT_PIN_L3_TABLE, table(), 0, -EINVAL },
        { "UNPIN of no frame", MMUEXT_UNPIN_TABLE, NO_FRAME, 0, -EINVAL },
        { "UNPIN of data", MMUEXT_UNPIN_TABLE, data, 0, -EINVAL },
        { "NEW_BASEPTR, no frame", MMUEXT_NEW_BASEPTR, NO_FRAME, 0, -EINVAL },
        { "NEW_BASEPTR, an L1 table", MMUEXT_NEW_BASEPTR,
          pte_maddr(VIRT_BASE, 1) >> PAGE_SHIFT, 0, -EINVAL },
        { "NEW_BASEPTR, the same", MMUEXT_NEW_BASEPTR, table(), 0, 0 },
        { "NEW_USER_BASEPTR, none", MMUEXT_NEW_USER_BASEPTR, 0, 0,
          IS_64BIT ? 0 : -EINVAL },
        { "NEW_USER_BASEPTR, no frame", MMUEXT_NEW_USER_BASEPTR, NO_FRAME, 0,
          -EINVAL },
        { "TLB_FLUSH_LOCAL", MMUEXT_TLB_FLUSH_LOCAL, 0, 0, 0 },
        { "TLB_FLUSH_ALL", MMUEXT_TLB_FLUSH_ALL, 0, 0, 0 },
        { "TLB_FLUSH_MULTI", MMUEXT_TLB_FLUSH_MULTI, 0, (ulong)&vcpus, 0 },
        { "TLB_FLUSH_MULTI, bad pointer", MMUEXT_TLB_FLUSH_MULTI, 0,
          BAD_POINTER, -EINVAL },
        { "INVLPG_LOCAL", MMUEXT_INVLPG_LOCAL, TEST_VA, 0, 0 },
        { "INVLPG_LOCAL, the hypervisor's", MMUEXT_INVLPG_LOCAL, HV_POINTER, 0,
          0 },
        { "INVLPG_ALL", MMUEXT_INVLPG_ALL, TEST_VA, 0, 0 },
        { "INVLPG_ALL, the hypervisor's", MMUEXT_INVLPG_ALL, HV_POINTER, 0, 0 },
        { "TLB_FLUSH_MULTI, no pointer", MMUEXT_TLB_FLUSH_MULTI, 0, 0,
          -EINVAL },
        { "INVLPG_MULTI", MMUEXT_INVLPG_MULTI, TEST_VA, (ulong)&vcpus, 0 },
        { "INVLPG_MULTI, bad pointer", MMUEXT_INVLPG_MULTI, TEST_VA,
          BAD_POINTER, -EINVAL },
        { "INVLPG_MULTI, bad pointers", MMUEXT_INVLPG_MULTI, HV_POINTER,
          BAD_POINTER, -EINVAL },
        { "SET_LDT of 8193 entries", MMUEXT_SET_LDT, TEST_VA, 8193, -EINVAL },
        { "SET_LDT, not aligned", MMUEXT_SET_LDT, TEST_VA + 8, 1, -EINVAL },
        { "SET_LDT of none, not aligned", MMUEXT_SET_LDT, TEST_VA + 8, 0, 0 },
        { "mmuext_op 14", 14, 0, 0, -ENOSYS },
        { "CLEAR_PAGE of no frame", MMUEXT_CLEAR_PAGE, NO_FRAME, 0, -EINVAL },
        { "CLEAR_PAGE of a table", MMUEXT_CLEAR_PAGE, table(), 0, -EINVAL },
        { "COPY_PAGE to no frame", MMUEXT_COPY_PAGE, NO_FRAME, data, -EINVAL },
        { "COPY_PAGE from no frame", MMUEXT_COPY_PAGE, data, NO_FRAME,
          -EINVAL },
        { "COPY_PAGE to a table", MMUEXT_COPY_PAGE, table(), data, -EINVAL },
        { "MARK_SUPER", MMUEXT_MARK_SUPER, data, 0, -EOPNOTSUPP },
        { "UNMARK_SUPER", MMUEXT_UNMARK_SUPER, data, 0, -EOPNOTSUPP },
        { "mmuext_op 21", 21, 0, 0, -ENOSYS },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
        check_ret(mmuext_op(ops[i].cmd, ops[i].arg1, ops[i].arg2),
                  ops[i].expected, "%s", ops[i].name);
    }
    check_eq(pages[0][17], 'A', "data after these");
    /* What only a domain with devices may do */
    check_ret(mmuext_op(MMUEXT_FLUSH_CACHE, 0, 0), is_initdomain() ? 0 : -EACCES,
              "FLUSH_CACHE");
    check_ret(mmuext_op(MMUEXT_FLUSH_CACHE_GLOBAL, 0, 0),
              is_initdomain() ? 0 : -EINVAL, "FLUSH_CACHE_GLOBAL");
}

/* --- Batches, of both kinds --- */

/*
 * A batch of count operations, at the end of the first page of list_pages; bad
 * is the one that is refused, with -ENOSYS, or none is
 */
static void *batch_at;
static unsigned nr;

static void make_batch(unsigned count, unsigned size)
{
    nr = count;
    batch_at = list_pages + PAGE_SIZE - count * size;
    memset(batch_at, 0, count * size);
}

static void batches(const char *name, unsigned hypercall_nr, unsigned size,
                    unsigned done_for_nobody)
{
    unsigned done = 99;

#define BATCH(at, count, done, dom) \
    hypercall(hypercall_nr, (ulong)(at), count, (ulong)(done), dom, 0)
    check_ret(BATCH(batch_at, nr, &done, DOMID_SELF), -ENOSYS,
              "%s, the third bad", name);
    check_eq(done, 2, "%s, done", name);
    check_ret(BATCH(batch_at, 2, &done, DOMID_SELF), 0, "%s of two", name);
    check_eq(done, 2, "%s, done of two", name);
    check_ret(BATCH(batch_at, 2, 0, DOMID_SELF), 0, "%s, not told", name);
    check_ret(BATCH(batch_at, 0, &done, DOMID_SELF), 0, "%s of none", name);
    /* The 64-bit Xen says nothing to a 32-bit guest's mmuext_op */
    check(done == 0 || (done == 2 && !IS_64BIT), "%s, done of none: %u", name,
          done);
    check_ret(BATCH(batch_at, 2, BAD_POINTER, DOMID_SELF), 0,
              "%s, told at a bad pointer", name);

    done = 99;
    check_ret(BATCH(HV_POINTER, 1, &done, DOMID_SELF), -EFAULT,
              "%s of the hypervisor's memory", name);
    check(done == 99 || (done == 0 && !IS_64BIT),
          "%s of the hypervisor's memory, done: %u", name, done);
    check_ret(BATCH(BAD_POINTER, 1, &done, DOMID_SELF), -EFAULT,
              "%s, bad pointer", name);
    check_eq(done, 0, "%s, bad pointer, done", name);
    update_va_mapping((ulong)list_pages + PAGE_SIZE, 0, UVMF_INVLPG);
    check_ret(BATCH((char *)batch_at + 3 * size, 3, &done, DOMID_SELF), -EFAULT,
              "%s of a list whose end is not there", name);
    check_eq(done, nr - 3, "%s of such a list, done", name);
    make_writable(list_pages + PAGE_SIZE);

    done = 99;
    check_ret(BATCH(batch_at, 2, &done, NOBODY), -ESRCH, "%s for nobody", name);
    check_ret(BATCH(batch_at, 2, &done, own_domid()), -ESRCH,
              "%s for itself, by number", name);
    check_eq(done, done_for_nobody, "%s for nobody, done", name);
}

static void mmuext_batches(void)
{
    struct mmuext_op *op;

    make_batch(5, sizeof(*op));
    op = batch_at;
    for (unsigned i = 0; i < nr; i++) {
        op[i].cmd = MMUEXT_TLB_FLUSH_LOCAL;
    }
    op[2].cmd = 99;
    batches("mmuext_op", __HYPERVISOR_mmuext_op, sizeof(*op), 99);
}

static void update_batches(void)
{
    struct mmu_update *u;
    unsigned done = 99;

    make_batch(5, sizeof(*u));
    u = batch_at;
    for (unsigned i = 0; i < nr; i++) {
        u[i].ptr = pte_maddr(TEST_VA, 1);
    }
    u[2].ptr |= 5;
    batches("mmu_update", __HYPERVISOR_mmu_update, sizeof(*u), 0);
    /* The domain of the tables, if it is another, is in the upper half */
    check_ret(HYPERCALL(mmu_update, u, 1, &done,
                        DOMID_SELF | (NOBODY + 1) << 16), -ESRCH,
              "mmu_update in nobody's tables");
    check_ret(HYPERCALL(mmu_update, u, 1, &done,
                        DOMID_SELF | (own_domid() + 1) << 16), 0,
              "mmu_update in its own tables, by number");
}

/* --- mmu_update --- */

static void updates(void)
{
    const uint64_t ptr = pte_maddr(TEST_VA, 1);
    const uint64_t a = make_pte(virt_to_mfn(pages[0]), PAGE_KERNEL);
    const uint64_t b = make_pte(virt_to_mfn(pages[1]), PAGE_KERNEL);
    const uint64_t link = *pte_of(TEST_VA, 2);
    struct mmu_update u = { ptr | 3, a };

    check_ret(mmu_update(u.ptr, u.val), 0, "command 3, a normal update");
    check_eq(*(volatile char *)TEST_VA, 'A', "what it maps");
    for (unsigned cmd = 4; cmd < 8; cmd++) {
        check_ret(mmu_update(ptr | cmd, b), -ENOSYS, "command %u", cmd);
    }
    check_ret(mmu_update((uint64_t)NO_FRAME << PAGE_SHIFT, b), -EINVAL,
              "an update of no frame");
    check_ret(mmu_update((uint64_t)NO_FRAME << PAGE_SHIFT |
                         MMU_PT_UPDATE_PRESERVE_AD, b), -EINVAL,
              "an update of no frame, preserving A and D");
    check_ret(mmu_update((uint64_t)NO_FRAME << PAGE_SHIFT |
                         MMU_MACHPHYS_UPDATE, 0), -EINVAL,
              "a machphys update of no frame");
    check_ret(mmu_update(ptr, make_pte(table(), PAGE_KERNEL)), -EBUSY,
              "mapping a table");
    check_eq(*(volatile char *)TEST_VA, 'A', "what is mapped after these");

    /* Upper levels: no other flags than the usual ones, and no other tables */
    check_ret(mmu_update(pte_maddr(TEST_VA, 2), link | 0x08), -EINVAL,
              "an L2 entry with PWT");
    check_ret(mmu_update(pte_maddr(TEST_VA, 2), link | 0x10), -EINVAL,
              "an L2 entry with PCD");
    check_ret(mmu_update(pte_maddr(TEST_VA, 2), link | 0x80), -EINVAL,
              "an L2 entry with PSE");
    check_ret(mmu_update(pte_maddr(TEST_VA, 2), link | 0x100), -EINVAL,
              "an L2 entry with G");
    check_ret(mmu_update(pte_maddr(TEST_VA, 2), make_pte(NO_FRAME, PAGE_TABLE)),
              -EINVAL, "an L2 entry of no frame");
    check_ret(mmu_update(pte_maddr(TEST_VA, 2), make_pte(table(), PAGE_TABLE)),
              -EINVAL, "an L2 entry of the top-level table");
    check_ret(mmu_update(pte_maddr(TEST_VA, PAGE_LEVELS),
                         make_pte(pte_maddr(TEST_VA, 1) >> PAGE_SHIFT,
                                  IS_64BIT ? PAGE_TABLE : _PAGE_PRESENT)),
              -EINVAL, "a top-level entry of an L1 table");
    check_eq(*pte_of(TEST_VA, 2) & ~(_PAGE_ACCESSED | _PAGE_DIRTY),
             link & ~(_PAGE_ACCESSED | _PAGE_DIRTY), "the L2 entry after these");
    check_eq(*(volatile char *)TEST_VA, 'A', "what is mapped after these");
    if (IS_64BIT) {
        /* The hypervisor's slots */
        check_ret(mmu_update(((uint64_t)table() << PAGE_SHIFT) + 256 * 8, 0),
                  -EINVAL, "the hypervisor's first slot");
        check_ret(mmu_update(((uint64_t)table() << PAGE_SHIFT) + 271 * 8, 0),
                  -EINVAL, "the hypervisor's last slot");
    } else {
        check_ret(mmu_update(pte_maddr(0xffe00000, 2), 0), -EPERM,
                  "the hypervisor's last slot");
        check_ret(mmu_update(((uint64_t)table() << PAGE_SHIFT) +
                             (start_info->pt_base & 0xfff) + 4 * 8, a), -EINVAL,
                  "a fifth entry of the top-level table");
    }
    check_ret(mmu_update(ptr, 0), 0, "unmapping");
}

/* --- update_va_mapping --- */

static long otherdomain(uint64_t pte, ulong flags, ulong dom)
{
#ifdef __x86_64__
    return HYPERCALL(update_va_mapping_otherdomain, TEST_VA, pte, flags, dom);
#else
    return HYPERCALL(update_va_mapping_otherdomain, TEST_VA, pte, pte >> 32,
                     flags, dom);
#endif
}

static void va_mappings(void)
{
    const uint64_t a = make_pte(virt_to_mfn(pages[0]), PAGE_KERNEL);
    static const struct {
        const char *name;
        ulong va;
    } bad[] = {
        { "the hypervisor's first address", IS_64BIT ? HV_POINTER & ~0UL << 43 :
                                                       0xf5800000 },
        { "a hypervisor's address", HV_POINTER },
        { "no table", IS_64BIT ? BAD_POINTER : 0x3fe00000 },
#ifdef __x86_64__
        { "not canonical", 0x800000000000 },
#endif
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        check_ret(update_va_mapping(bad[i].va, 0, UVMF_INVLPG), -EINVAL,
                  "update_va_mapping, %s", bad[i].name);
        /* Where it should go counts more than what is wrong with it */
        check_ret(update_va_mapping(bad[i].va, make_pte(table(), PAGE_KERNEL),
                                    UVMF_INVLPG), -EINVAL,
                  "update_va_mapping of a table, %s", bad[i].name);
    }
    check_ret(update_va_mapping(TEST_VA, a, 3), 0, "flush type 3");
    check_ret(update_va_mapping(TEST_VA, a, 3 | BAD_POINTER), 0,
              "flush type 3 for vCPUs of a bad pointer");
    check_ret(update_va_mapping(TEST_VA, a, BAD_POINTER), 0,
              "no flush, for vCPUs of a bad pointer");
    check_ret(update_va_mapping(TEST_VA, a, BAD_POINTER | UVMF_INVLPG), -EFAULT,
              "INVLPG for vCPUs of a bad pointer");
    check_ret(update_va_mapping(TEST_VA, a, BAD_POINTER | UVMF_TLB_FLUSH),
              -EFAULT, "TLB_FLUSH for vCPUs of a bad pointer");
    check_eq(*(volatile char *)TEST_VA, 'A', "what is mapped");

    check_ret(otherdomain(0, UVMF_INVLPG, DOMID_SELF), 0, "otherdomain, itself");
    check_eq(*pte_of(TEST_VA, 1), 0, "the entry after that");
    check_ret(otherdomain(a, UVMF_INVLPG, own_domid()), -ESRCH,
              "otherdomain, itself by number");
    check_ret(otherdomain(a, UVMF_INVLPG, NOBODY), -ESRCH,
              "otherdomain, nobody");
    check_eq(*pte_of(TEST_VA, 1), 0, "the entry after these");
    if (!is_initdomain()) {
        check_ret(otherdomain(0, UVMF_INVLPG, 0), -EPERM,
                  "otherdomain, domain 0");
        check_ret(otherdomain(0, UVMF_INVLPG, DOMID_IO), -EPERM,
                  "otherdomain, DOMID_IO");
        check_ret(otherdomain(0, UVMF_INVLPG, DOMID_XEN), -EPERM,
                  "otherdomain, DOMID_XEN");
    }
}

/* --- memory_op --- */

static uint16_t self = DOMID_SELF, nobody = NOBODY;
static xen_pfn_t frame, frames[2] = { NO_FRAME, NO_FRAME };
static struct memory_reservation by_nobody = { &frame, 1, 0, 0, NOBODY };
static struct memory_reservation order_19 = { &frame, 1, 19, 0, DOMID_SELF };
static struct memory_reservation below_8k = { &frame, 1, 0, 13, DOMID_SELF };
static struct memory_reservation no_frames = { frames, 2, 0, 0, DOMID_SELF };
static struct memory_reservation none = { &frame, 0, 0, 0, DOMID_SELF };
static struct memory_reservation nowhere =
    { (void *)BAD_POINTER, 1, 0, 0, DOMID_SELF };
static struct memory_reservation too_many =
    { &frame, 0x7fffffff, 0, 0, DOMID_SELF };
static uint8_t e820[20];
static struct memory_map map_of_none = { 0, e820 };

#define M(op, arg) XENMEM_##op, (ulong)(arg)
static const struct call memory_calls[] = {
#define RESERVATION(op) \
    { #op ", bad pointer", __HYPERVISOR_memory_op, 0, { M(op, BAD_POINTER) } }, \
    { #op " for nobody", __HYPERVISOR_memory_op, 0, { M(op, &by_nobody) } }, \
    { #op " of order 19", __HYPERVISOR_memory_op, 0, { M(op, &order_19) } }, \
    { #op " of none", __HYPERVISOR_memory_op, 0, { M(op, &none) } }, \
    { #op " of too many", __HYPERVISOR_memory_op, 0, { M(op, &too_many) } }
    RESERVATION(increase_reservation),
    RESERVATION(decrease_reservation),
    RESERVATION(populate_physmap),
    { "populate_physmap below 8 KiB", __HYPERVISOR_memory_op, 0,
      { M(populate_physmap, &below_8k) } },
    { "decrease_reservation of a bad list", __HYPERVISOR_memory_op, 0,
      { M(decrease_reservation, &nowhere) } },
    { "populate_physmap of a bad list", __HYPERVISOR_memory_op, 0,
      { M(populate_physmap, &nowhere) } },
    { "decrease_reservation of no frames", __HYPERVISOR_memory_op, 0,
      { M(decrease_reservation, &no_frames) } },
#define STAT(op) \
    { #op ", bad pointer", __HYPERVISOR_memory_op, -EFAULT, \
      { M(op, BAD_POINTER) } }, \
    { #op " of nobody", __HYPERVISOR_memory_op, -ESRCH, { M(op, &nobody) } }
    STAT(current_reservation),
    STAT(maximum_reservation),
    STAT(maximum_gpfn),
    { "machphys_mapping, bad pointer", __HYPERVISOR_memory_op, -EFAULT,
      { M(machphys_mapping, BAD_POINTER) } },
    { "memory_map, bad pointer", __HYPERVISOR_memory_op, -EFAULT,
      { M(memory_map, BAD_POINTER) } },
    { "memory_op 63", __HYPERVISOR_memory_op, -ENOSYS, { 63 } },
};

static long memory_op(unsigned cmd, void *arg)
{
    return HYPERCALL(memory_op, cmd, arg);
}

static void memory_ops(void)
{
    check_calls(memory_calls);
    check((ulong)memory_op(XENMEM_maximum_ram_page, NULL) >=
          virt_to_mfn(pages[0]), "maximum_ram_page");
    shared_info->arch.max_pfn = 1234;
    check_ret(memory_op(XENMEM_maximum_gpfn, &self), 1233, "maximum_gpfn");
    shared_info->arch.max_pfn = 0;
    check_ret(memory_op(XENMEM_maximum_gpfn, &self), 0,
              "maximum_gpfn that is not known");
    if (!is_initdomain()) {
        /* A domain without a map of its own has the call not at all */
        check_ret(memory_op(XENMEM_memory_map, &map_of_none), 0,
                  "memory_map of none");
    }
}

/* One range, of all that the domain has; domain 0 has its machine's */
static void memory_maps(void)
{
    struct {
        uint64_t addr, size;
        uint32_t type;
    } __attribute__((packed)) got[4] = { };
    struct memory_map map = { 4, got };

    if (is_initdomain()) {
        return;
    }
    check_ret(memory_op(XENMEM_memory_map, &map), 0, "memory_map");
    check_eq(map.nr_entries, 1, "entries of the map");
    check_eq(got[0].addr, 0, "where its range begins");
    check_eq(got[0].size, (uint64_t)start_info->nr_pages << PAGE_SHIFT,
             "the size of its range");
    check_eq(got[0].type, 1, "the type of its range");
    map.buffer = (void *)BAD_POINTER;
    check_ret(memory_op(XENMEM_memory_map, &map), -EFAULT,
              "memory_map, bad buffer");
}

/* A table that is given back stays one until its last use ends, and is gone then */
static void give_back_a_table(void)
{
    const ulong va = TEST_VA + (1UL << 22);
    xen_pfn_t frame;
    struct memory_reservation r = { &frame, 1, 0, 0, DOMID_SELF };
    long before = memory_op(XENMEM_current_reservation, &self);
    uint64_t *l1 = alloc_page();
    ulong mfn = virt_to_mfn(l1), pfn = machine_to_phys[mfn];

    make_tables(va, 2);
    l1[va / PAGE_SIZE % (PAGE_SIZE / 8)] =
        make_pte(virt_to_mfn(pages[0]), PAGE_KERNEL);
    check_ret(update_va_mapping((ulong)l1, 0, UVMF_INVLPG), 0, "unmapping it");
    check_ret(mmu_update(pte_maddr(va, 2), make_pte(mfn, PAGE_TABLE)), 0,
              "a new L1 table");
    check_eq(*(volatile char *)va, pages[0][0], "what it maps");

    frame = mfn;
    check_ret(memory_op(XENMEM_decrease_reservation, &r), 1,
              "decrease_reservation of a table in use");
    ((ulong *)start_info->mfn_list)[pfn] = ~0UL;
    check_ret(memory_op(XENMEM_current_reservation, &self), before,
              "current_reservation while it is in use");
    mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    check_eq(*(volatile char *)va, pages[0][0], "what it maps then");
    check_ret(mmu_update(pte_maddr(va, 2), 0), 0, "ending its use");
    mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    check_ret(memory_op(XENMEM_current_reservation, &self), before - 1,
              "current_reservation when it is not");
    check(mmu_update(pte_maddr(va, 2), make_pte(mfn, PAGE_TABLE)) < 0,
          "it is a table again");
    frame = mfn;
    check_ret(memory_op(XENMEM_decrease_reservation, &r), 0,
              "decrease_reservation again");
    frame = pfn;
    check_ret(memory_op(XENMEM_populate_physmap, &r), 1, "populate_physmap");
    check_ret(memory_op(XENMEM_current_reservation, &self), before,
              "current_reservation after it");
}

void test_main(void)
{
    memset(pages[0], 'A', PAGE_SIZE);
    memset(pages[1], 'B', PAGE_SIZE);
    map_page(TEST_VA, 0);
    mmuext_ops();
    mmuext_batches();
    update_batches();
    updates();
    va_mappings();
    memory_ops();
    memory_maps();
    give_back_a_table();
}
