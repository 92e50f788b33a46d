/*
 * Direct paging: page-table updates take effect, and those that Xen refuses
 * are refused with Xen's error and change nothing.
 *
 * A PV kernel's tables are the ones that the CPU walks, and the kernel may not
 * write to them itself. What it asks for by hypercall, or by a direct write that
 * the assist allows, must be in the table afterwards and, where it asked for a
 * flush, in the TLB; a frame in use as a page table must not be mapped writable.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

static char pages[2][PAGE_SIZE] __attribute__((aligned(4096)));
#define MFN(i)  virt_to_mfn(pages[i])

static uint64_t flags_of(uint64_t pte)
{
    /* Xen adds US, and a bit of its own, to a 64-bit kernel's entries */
    return pte & (0xfff | _PAGE_NX) & ~(_PAGE_USER | _PAGE_ACCESSED |
                                        _PAGE_DIRTY);
}

static char read_va(ulong va)
{
    return *(volatile char *)va;
}

static void do_read(void *va)
{
    *(volatile char *)va;
}

static void do_write(void *va)
{
    *(volatile char *)va = 1;
}

static bool faults(void (*fn)(void *), ulong va)
{
    struct trap t;

    if (!catch_exception(&t, fn, (void *)va)) {
        return false;
    }
    check(t.vector == X86_PF, "%s instead of #PF", trap_name(t.vector));
    return true;
}

/* --- update_va_mapping --- */

static void va_mapping(void)
{
    static const struct {
        const char *name;
        ulong flags;
    } modes[] = {
        { "INVLPG, local", UVMF_INVLPG | UVMF_LOCAL },
        { "TLB_FLUSH, local", UVMF_TLB_FLUSH | UVMF_LOCAL },
        { "INVLPG, all", UVMF_INVLPG | UVMF_ALL },
        { "TLB_FLUSH, all", UVMF_TLB_FLUSH | UVMF_ALL },
    };
    static ulong vcpus = 1;
    uint64_t pte;

    map_page(TEST_VA, make_pte(MFN(0), PAGE_KERNEL));
    check_eq(read_va(TEST_VA), 'A', "what is mapped");
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(modes); i++) {
        check_ret(update_va_mapping(TEST_VA,
                                    make_pte(MFN(!(i & 1)), PAGE_KERNEL),
                                    modes[i / 2].flags), 0,
                  "update_va_mapping, %s", modes[i / 2].name);
        check_eq(read_va(TEST_VA), i & 1 ? 'A' : 'B', "what is mapped, %s",
                 modes[i / 2].name);
    }
    check_ret(update_va_mapping(TEST_VA, make_pte(MFN(1), PAGE_KERNEL),
                                (ulong)&vcpus | UVMF_INVLPG), 0,
              "update_va_mapping, INVLPG, vCPU mask");
    check_eq(read_va(TEST_VA), 'B', "what is mapped, INVLPG, vCPU mask");
    check_ret(update_va_mapping(TEST_VA, make_pte(MFN(0), PAGE_KERNEL),
                                (ulong)&vcpus | UVMF_TLB_FLUSH), 0,
              "update_va_mapping, TLB_FLUSH, vCPU mask");
    check_eq(read_va(TEST_VA), 'A', "what is mapped, TLB_FLUSH, vCPU mask");

    check_ret(update_va_mapping(TEST_VA, make_pte(MFN(1), PAGE_KERNEL),
                                UVMF_NONE), 0, "update_va_mapping, NONE");
    check_ret(mmuext_op(MMUEXT_INVLPG_LOCAL, TEST_VA, 0), 0, "INVLPG_LOCAL");
    check_eq(read_va(TEST_VA), 'B', "what is mapped after INVLPG_LOCAL");
    update_va_mapping(TEST_VA, make_pte(MFN(0), PAGE_KERNEL), UVMF_NONE);
    check_ret(mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0), 0, "TLB_FLUSH_LOCAL");
    check_eq(read_va(TEST_VA), 'A', "what is mapped after TLB_FLUSH_LOCAL");
    update_va_mapping(TEST_VA, make_pte(MFN(1), PAGE_KERNEL), UVMF_NONE);
    check_ret(mmuext_op(MMUEXT_INVLPG_ALL, TEST_VA, 0), 0, "INVLPG_ALL");
    check_eq(read_va(TEST_VA), 'B', "what is mapped after INVLPG_ALL");
    update_va_mapping(TEST_VA, make_pte(MFN(0), PAGE_KERNEL), UVMF_NONE);
    check_ret(mmuext_op(MMUEXT_TLB_FLUSH_ALL, 0, 0), 0, "TLB_FLUSH_ALL");
    check_eq(read_va(TEST_VA), 'A', "what is mapped after TLB_FLUSH_ALL");
    update_va_mapping(TEST_VA, make_pte(MFN(1), PAGE_KERNEL), UVMF_NONE);
    check_ret(mmuext_op(MMUEXT_TLB_FLUSH_MULTI, 0, (ulong)&vcpus), 0,
              "TLB_FLUSH_MULTI");
    check_eq(read_va(TEST_VA), 'B', "what is mapped after TLB_FLUSH_MULTI");
    update_va_mapping(TEST_VA, make_pte(MFN(0), PAGE_KERNEL), UVMF_NONE);
    check_ret(mmuext_op(MMUEXT_INVLPG_MULTI, TEST_VA, (ulong)&vcpus), 0,
              "INVLPG_MULTI");
    check_eq(read_va(TEST_VA), 'A', "what is mapped after INVLPG_MULTI");

    /* The table has what was asked for */
    update_va_mapping(TEST_VA, make_pte(MFN(0), PAGE_KERNEL_RO | _PAGE_NX |
                                        _PAGE_AVAIL), UVMF_INVLPG);
    pte = *pte_of(TEST_VA, 1);
    check_eq(PTE_MFN(pte), MFN(0), "the frame in the table");
    check_eq(flags_of(pte), _PAGE_PRESENT | _PAGE_NX | _PAGE_AVAIL,
             "the flags in the table");
    check(faults(do_write, TEST_VA), "a read-only page can be written");

    /* Entries that are not present may hold anything */
    check_ret(update_va_mapping(TEST_VA, 0x123456789abcdef0, UVMF_INVLPG), 0,
              "update_va_mapping, not present");
    check_eq(*pte_of(TEST_VA, 1), 0x123456789abcdef0, "the entry");
    check(faults(do_read, TEST_VA), "a page that is not there can be read");
    check_ret(update_va_mapping(TEST_VA, 0, UVMF_INVLPG), 0,
              "update_va_mapping, 0");
}

/* What it refuses; the entry has to stay */
static void refused(const char *what, uint64_t pte, long errno)
{
    uint64_t was = make_pte(MFN(0), PAGE_KERNEL);

    map_page(TEST_VA, was);
    was = *pte_of(TEST_VA, 1);
    check_ret(update_va_mapping(TEST_VA, pte, UVMF_INVLPG), errno,
              "update_va_mapping of %s", what);
    check_ret(mmu_update(pte_maddr(TEST_VA, 1), pte), errno,
              "mmu_update to %s", what);
    check_eq(*pte_of(TEST_VA, 1) & ~(_PAGE_ACCESSED | _PAGE_DIRTY),
             was & ~(_PAGE_ACCESSED | _PAGE_DIRTY),
             "the entry after refusing %s", what);
    check_eq(read_va(TEST_VA), 'A', "what is mapped after refusing %s", what);
}

static void refusals(void)
{
    ulong table = virt_to_mfn((void *)start_info->pt_base);

    refused("a page table, writable", make_pte(table, PAGE_KERNEL), -EBUSY);
    refused("an L1 table, writable",
            make_pte(pte_maddr(VIRT_BASE, 1) >> PAGE_SHIFT, PAGE_KERNEL),
            -EBUSY);
    /* Beyond the physical addresses of some CPUs, but not of the format */
    refused("no frame", make_pte(0xffffffff, PAGE_KERNEL), -EPERM);
    refused("no frame, read-only", make_pte((1UL << 28) - 1, PAGE_KERNEL_RO),
            -EPERM);
    check_ret(update_va_mapping(TEST_VA + (64UL << 20), 0, UVMF_INVLPG),
              -EINVAL, "update_va_mapping without an L1 table");
    /* Read-only mappings of a table are fine */
    check_ret(update_va_mapping(TEST_VA, make_pte(table, PAGE_KERNEL_RO),
                                UVMF_INVLPG), 0,
              "update_va_mapping of a page table, read-only");
    check_ret(memcmp((void *)TEST_VA, (void *)start_info->pt_base, 64), 0,
              "the table, seen there");
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
}

/* --- mmu_update --- */

static void updates(void)
{
    struct mmu_update u[4];
    unsigned done = 99;
    uint64_t pte;
    ulong mfn = MFN(0), pfn = machine_to_phys[mfn];
    long ret;

    map_page(TEST_VA, 0);
    map_page(TEST_VA + PAGE_SIZE, 0);
    u[0].ptr = pte_maddr(TEST_VA, 1) | MMU_NORMAL_PT_UPDATE;
    u[0].val = make_pte(MFN(0), PAGE_KERNEL);
    u[1].ptr = pte_maddr(TEST_VA + PAGE_SIZE, 1) | MMU_NORMAL_PT_UPDATE;
    u[1].val = make_pte(MFN(1), PAGE_KERNEL);
    check_ret(HYPERCALL(mmu_update, u, 2, &done, DOMID_SELF), 0,
              "mmu_update of 2");
    check_eq(done, 2, "what mmu_update has done");
    check(read_va(TEST_VA) == 'A' && read_va(TEST_VA + PAGE_SIZE) == 'B',
          "mmu_update of 2 does not map 2 pages");
    check_ret(HYPERCALL(mmu_update, u, 0, &done, DOMID_SELF), 0,
              "mmu_update of 0");
    check_eq(done, 0, "what mmu_update of 0 has done");

    /* It stops at the first that fails */
    u[0].val = u[2].val = 0;
    u[1].val = make_pte(virt_to_mfn((void *)start_info->pt_base),
                        PAGE_KERNEL);
    u[2].ptr = u[1].ptr;
    check_ret(HYPERCALL(mmu_update, u, 3, &done, DOMID_SELF), -EBUSY,
              "mmu_update of 3, the second bad");
    check_eq(done, 1, "what it has done");
    HYPERCALL(mmuext_op, &(struct mmuext_op) { MMUEXT_TLB_FLUSH_LOCAL }, 1, 0,
              DOMID_SELF);
    check(faults(do_read, TEST_VA), "the first was not done");
    check_eq(read_va(TEST_VA + PAGE_SIZE), 'B', "the third was done");

    /* A frame that is no table is written as it is */
    *(uint64_t *)(pages[1] + 64) = 0;
    check_ret(mmu_update(((uint64_t)MFN(1) << PAGE_SHIFT) + 64, 0x1122334455),
              0, "mmu_update of a data page");
    check_eq(*(volatile uint64_t *)(pages[1] + 64), 0x1122334455,
             "the data page");
    check_ret(mmu_update(pte_maddr(TEST_VA, 1) | 4, 0), -ENOSYS,
              "mmu_update with command 4");
    check_ret(mmu_update(pte_maddr(TEST_VA, 1) | 7, 0), -ENOSYS,
              "mmu_update with command 7");
    check_ret(mmu_update((1ULL << 40) - 4096, 0), -EINVAL,
              "mmu_update of no frame");

    /* A and D of the old entry are kept if asked for */
    map_page(TEST_VA, make_pte(MFN(0), _PAGE_PRESENT | _PAGE_RW));
    *(volatile char *)TEST_VA = 'A';
    check_ret(mmu_update(pte_maddr(TEST_VA, 1) | MMU_PT_UPDATE_PRESERVE_AD,
                         make_pte(MFN(0), _PAGE_PRESENT)), 0,
              "mmu_update, preserving A and D");
    pte = *pte_of(TEST_VA, 1);
    check_eq(pte & (_PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY),
             _PAGE_ACCESSED | _PAGE_DIRTY, "RW, A and D");

    /* The machine-to-physical table */
    check_ret(mmu_update(((uint64_t)mfn << PAGE_SHIFT) | MMU_MACHPHYS_UPDATE,
                         0x4321), 0, "machphys update");
    check_eq(*(volatile ulong *)&machine_to_phys[mfn], 0x4321, "the M2P");
    ret = mmu_update(((uint64_t)mfn << PAGE_SHIFT) | MMU_MACHPHYS_UPDATE, pfn);
    check_ret(ret, 0, "machphys update back");
    check_eq(*(volatile ulong *)&machine_to_phys[mfn], pfn, "the M2P");
    check_ret(mmu_update(((1ULL << 40) - 4096) | MMU_MACHPHYS_UPDATE, 0),
              -EINVAL, "machphys update of no frame");

    check_ret(HYPERCALL(mmu_update, VIRT_BASE - 4096, 1, 0, DOMID_SELF),
              -EFAULT, "mmu_update with a bad pointer");
    check_ret(HYPERCALL(mmu_update, u, 1, 0, 0x1234), -ESRCH,
              "mmu_update for no domain");
    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
}

/* --- Tables, pins and base pointers --- */

/*
 * Xen counts the writable mappings of each frame and reads the level-1 tables
 * that it is given, because it must defend other domains against this one.
 * The xenpv-kvm monitor has nobody to defend: it does neither, and a kernel
 * that breaks these two rules breaks itself alone.
 */
static bool reads_level_1(void)
{
    return is_initdomain();
}

static void pins(void)
{
    uint64_t *l1 = alloc_page();
    ulong mfn = virt_to_mfn(l1), va = TEST_VA + (2UL << 20);

    make_tables(va, 2);
    if (reads_level_1()) {
        check_ret(mmuext_op(MMUEXT_PIN_L1_TABLE, mfn, 0), -EINVAL,
                  "pinning a page that is mapped writable");
    }
    l1[3] = make_pte(MFN(1), PAGE_KERNEL);
    make_readonly(l1);
    check_ret(mmuext_op(MMUEXT_PIN_L1_TABLE, mfn, 0), 0, "PIN_L1_TABLE");
    check_ret(mmuext_op(MMUEXT_PIN_L1_TABLE, mfn, 0), -EINVAL,
              "PIN_L1_TABLE again");
    check_ret(mmuext_op(MMUEXT_PIN_L2_TABLE, mfn, 0), -EINVAL,
              "PIN_L2_TABLE of an L1 table");
    check_ret(update_va_mapping((ulong)l1, make_pte(mfn, PAGE_KERNEL),
                                UVMF_INVLPG), -EBUSY,
              "mapping a pinned table writable");

    check_ret(mmu_update(pte_maddr(va, 2), make_pte(mfn, PAGE_TABLE)), 0,
              "putting the table into use");
    check_eq(read_va(va + 3 * PAGE_SIZE), 'B', "what it maps");
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, mfn, 0), 0, "UNPIN_TABLE");
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, mfn, 0), -EINVAL,
              "UNPIN_TABLE again");
    check_ret(update_va_mapping((ulong)l1, make_pte(mfn, PAGE_KERNEL),
                                UVMF_INVLPG), -EBUSY,
              "mapping a table in use writable");
    check_eq(read_va(va + 3 * PAGE_SIZE), 'B', "what it maps, unpinned");
    check_ret(mmu_update(pte_maddr(va, 2), 0), 0, "taking it out of use");
    mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    check_ret(update_va_mapping((ulong)l1, make_pte(mfn, PAGE_KERNEL),
                                UVMF_INVLPG), 0, "mapping it writable");

    if (reads_level_1()) {
        /* A table with a bad entry is none */
        l1[4] = make_pte(virt_to_mfn((void *)start_info->pt_base), PAGE_KERNEL);
        make_readonly(l1);
        check_ret(mmuext_op(MMUEXT_PIN_L1_TABLE, mfn, 0), -EBUSY,
                  "pinning a table that maps a table writable");
        check_ret(mmu_update(pte_maddr(va, 2), make_pte(mfn, PAGE_TABLE)),
                  -EBUSY, "using a table that maps a table writable");
        make_writable(l1);
        l1[4] = 0;
    }
    l1[3] = 0;

    check_ret(mmuext_op(MMUEXT_PIN_L1_TABLE, (1UL << 27), 0), -EINVAL,
              "PIN_L1_TABLE of no frame");
    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, MFN(0), 0), -EINVAL,
              "UNPIN_TABLE of a data page");
}

static void base_pointers(void)
{
    ulong old = virt_to_mfn((void *)start_info->pt_base), new;
    uint64_t at = pte_maddr(TEST_VA, PAGE_LEVELS);
    uint64_t saved = *pte_of(TEST_VA, PAGE_LEVELS), *top = copy_base_table();

    update_va_mapping(TEST_VA, make_pte(MFN(0), PAGE_KERNEL), UVMF_INVLPG);
    new = virt_to_mfn(top);
    check_ret(mmuext_op(MMUEXT_NEW_BASEPTR, MFN(0), 0), -EINVAL,
              "NEW_BASEPTR to a data page");
    check_ret(mmuext_op(IS_64BIT ? MMUEXT_PIN_L4_TABLE : MMUEXT_PIN_L3_TABLE,
                        new, 0), 0, "pinning a top-level table");
    check_ret(mmuext_op(MMUEXT_NEW_BASEPTR, new, 0), 0, "NEW_BASEPTR");
    check_eq(read_va(TEST_VA), 'A', "what the new tables map");
    check_eq(start_info->nr_pages != 0, 1, "the kernel in the new tables");

    /* The old ones are no longer used: a change there is not seen */
    check_ret(mmu_update(at, 0), 0, "changing the table that is not in use");
    mmuext_op(MMUEXT_TLB_FLUSH_LOCAL, 0, 0);
    check_eq(read_va(TEST_VA), 'A', "what the new tables map");
    check_ret(mmuext_op(MMUEXT_NEW_BASEPTR, old, 0), 0, "NEW_BASEPTR, back");
    check(faults(do_read, TEST_VA), "the old tables are not in use");
    mmu_update(at, saved);
    check_eq(read_va(TEST_VA), 'A', "what the old tables map again");

    check_ret(mmuext_op(MMUEXT_UNPIN_TABLE, new, 0), 0, "UNPIN_TABLE");
    make_writable(top);
}

/* --- Writing to a table as if it were memory --- */

static volatile uint64_t *entry;

static void write_entry(void *val)
{
#ifdef __x86_64__
    *entry = *(uint64_t *)val;
#else
    /* As a 32-bit kernel sets an entry: the high half, then the low one */
    ((volatile uint32_t *)entry)[1] = *(uint64_t *)val >> 32;
    ((volatile uint32_t *)entry)[0] = *(uint64_t *)val;
#endif
}

static void cmpxchg_entry(void *val)
{
    uint64_t new = *(uint64_t *)val, old = *entry;

#ifdef __x86_64__
    asm volatile("lock cmpxchg %2, %0"
                 : "+m" (*entry), "+a" (old) : "r" (new) : "memory", "cc");
#else
    asm volatile("lock cmpxchg8b %0"
                 : "+m" (*entry), "+A" (old)
                 : "b" ((uint32_t)new), "c" ((uint32_t)(new >> 32))
                 : "memory", "cc");
#endif
}

static void xchg_entry(void *val)
{
    ulong new = *(ulong *)val;

    asm volatile("xchg %0, %1"
                 : "+r" (new), "+m" (*(volatile ulong *)entry) : : "memory");
}

static void clear_rw(void *unused)
{
    asm volatile("lock; btrl $1, %0"
                 : "+m" (*(volatile uint32_t *)entry) : : "memory", "cc");
}

static void and_entry(void *unused)
{
    asm volatile("lock; andl $~2, %0"
                 : "+m" (*(volatile uint32_t *)entry) : : "memory", "cc");
}

static void write_ok(const char *what, void (*fn)(void *), uint64_t val,
                     char expected)
{
    struct trap t;

    entry = pte_of(TEST_VA, 1);
    if (catch_exception(&t, fn, &val)) {
        failure("%s: %s, error code %x", what, trap_name(t.vector),
                t.error_code);
        return;
    }
    mmuext_op(MMUEXT_INVLPG_LOCAL, TEST_VA, 0);
    if (expected) {
        check_eq(read_va(TEST_VA), expected, "%s: what is mapped", what);
    } else {
        check(faults(do_read, TEST_VA), "%s: it is still mapped", what);
    }
}

static void write_bad(const char *what, ulong va, unsigned level, uint64_t val)
{
    struct trap t;
    uint64_t was;

    entry = pte_of(va, level);
    was = *entry;
    if (!catch_exception(&t, write_entry, &val)) {
        failure("%s: no exception", what);
    } else {
        check(t.vector == X86_PF && t.error_code == 3,
              "%s: %s, error code %x", what, trap_name(t.vector),
              t.error_code);
        check_eq(t.cr2 & ~7UL, (ulong)entry, "%s: cr2", what);
    }
    check_eq(*entry, was, "%s: the entry", what);
}

static void direct_writes(void)
{
    uint64_t a = make_pte(MFN(0), PAGE_KERNEL);
    uint64_t b = make_pte(MFN(1), PAGE_KERNEL);

    map_page(TEST_VA, 0);
    if (!is_initdomain()) {
        write_bad("an entry, without the assist", TEST_VA, 1, a);
    }
    check_ret(HYPERCALL(vm_assist, VMASST_CMD_enable,
                        VMASST_TYPE_writable_pagetables), 0,
              "vm_assist(writable_pagetables)");
    write_ok("writing an entry", write_entry, a, 'A');
    write_ok("clearing an entry", write_entry, 0, 0);
    write_ok("writing an entry", write_entry, b, 'B');
    write_ok("clearing an entry", write_entry, 0, 0);
    write_ok("cmpxchg of an entry", cmpxchg_entry, a, 'A');
    write_ok("cmpxchg of an entry to 0", cmpxchg_entry, 0, 0);
    if (IS_64BIT) {
        write_ok("xchg of an entry", xchg_entry, b, 'B');
        write_ok("xchg of an entry with 0", xchg_entry, 0, 0);
    }
    write_ok("writing an entry", write_entry, a, 'A');
    *(volatile char *)TEST_VA = 'A';
    write_ok("btr of RW", clear_rw, 0, 'A');
    check(faults(do_write, TEST_VA), "btr of RW leaves the page writable");
    update_va_mapping(TEST_VA, a, UVMF_INVLPG);
    write_ok("and of RW", and_entry, 0, 'A');
    check(faults(do_write, TEST_VA), "and of RW leaves the page writable");

    update_va_mapping(TEST_VA, 0, UVMF_INVLPG);
    if (IS_64BIT && reads_level_1()) {
        write_bad("writing an entry for a table, writable", TEST_VA, 1,
                  make_pte(virt_to_mfn((void *)start_info->pt_base),
                           PAGE_KERNEL));
    }
    write_bad("writing an L2 entry", TEST_VA, 2, *pte_of(TEST_VA, 2));
    write_bad("writing an entry of the top-level table", TEST_VA, PAGE_LEVELS,
              *pte_of(TEST_VA, PAGE_LEVELS));
    check_ret(HYPERCALL(vm_assist, VMASST_CMD_disable,
                        VMASST_TYPE_writable_pagetables), 0,
              "vm_assist, disable");
    if (!is_initdomain()) {
        write_bad("an entry, without the assist again", TEST_VA, 1, a);
    }
}

/* --- The other operations on frames --- */

static void clear_and_copy(void)
{
    char *c = alloc_page();

    memset(c, 'x', PAGE_SIZE);
    check_ret(mmuext_op(MMUEXT_COPY_PAGE, virt_to_mfn(c), MFN(1)), 0,
              "COPY_PAGE");
    check(memcmp(c, pages[1], PAGE_SIZE) == 0, "COPY_PAGE does not copy");
    check_ret(mmuext_op(MMUEXT_CLEAR_PAGE, virt_to_mfn(c), 0), 0,
              "CLEAR_PAGE");
    for (unsigned i = 0; i < PAGE_SIZE; i++) {
        if (c[i]) {
            failure("CLEAR_PAGE leaves byte %u", i);
            break;
        }
    }
    check_ret(mmuext_op(MMUEXT_CLEAR_PAGE,
                        virt_to_mfn((void *)start_info->pt_base), 0), -EINVAL,
              "CLEAR_PAGE of a page table");
    check_ret(mmuext_op(99, 0, 0), -ENOSYS, "mmuext_op 99");
}

/* A superpage is refused, as Xen's PV guests have none by default */
static void superpages(void)
{
    ulong va = TEST_VA + (4UL << 20);

    make_tables(va, 2);
    check_ret(mmu_update(pte_maddr(va, 2),
                         make_pte(MFN(0) & ~511UL, PAGE_KERNEL | _PAGE_PSE)),
              -EINVAL, "an L2 entry with PSE");
    check_eq(*pte_of(va, 2), 0, "the L2 entry");
}

/*
 * A store of ten bytes across two pages goes to their two frames, however much
 * of it fits into the first, and nothing behind that is touched. Programs of
 * 32 bits do such stores all the time; a CPU that puts them wrongly corrupts
 * what belongs to others.
 */
static void store_across_pages(void)
{
    static char frames[3][PAGE_SIZE] __attribute__((aligned(4096)));
    static const uint8_t pi[] = { 0x35, 0xc2, 0x68, 0x21, 0xa2, 0xda, 0x0f,
                                  0xc9, 0x00, 0x40 };
    char *second = (char *)TEST_VA + PAGE_SIZE;
    uint16_t status;

    check(virt_to_mfn(frames[1]) == virt_to_mfn(frames[0]) + 1,
          "the frames are not neighbours");
    map_page(TEST_VA, make_pte(virt_to_mfn(frames[0]), PAGE_KERNEL));
    map_page(TEST_VA + PAGE_SIZE, make_pte(virt_to_mfn(frames[2]),
                                           PAGE_KERNEL));
    HYPERCALL(fpu_taskswitch, 0);
    for (unsigned room = 1; room < sizeof(pi); room++) {
        memset(frames, 0, sizeof(frames));
        asm volatile("fninit; fldpi; fstpt (%0)"
                     : : "r" (second - room) : "memory");
        check(!memcmp(frames[0] + PAGE_SIZE - room, pi, room),
              "%u bytes of room: the first page's", room);
        check(!memcmp(frames[2], pi + room, sizeof(pi) - room),
              "%u bytes of room: the second page's", room);
        for (unsigned i = 0; i < sizeof(pi); i++) {
            check(!frames[1][i], "%u bytes of room: the next frame", room);
        }
        asm volatile("fldt (%1); fldpi; fcompp; fnstsw %0"
                     : "=a" (status) : "r" (second - room) : "memory");
        check(status & 1 << 14, "%u bytes of room: not read back", room);
    }
    map_page(TEST_VA, 0);
    map_page(TEST_VA + PAGE_SIZE, 0);
}

/*
 * A table as its own next level, by which kernels have looked at their tables: to read
 * it, and never to write. A top level of PAE has no rights in it, and cannot be one.
 */
static void linear_tables(void)
{
    map_page(TEST_VA, make_pte(MFN(0), PAGE_KERNEL));
    for (unsigned level = 2; level <= PAGE_LEVELS; level++) {
        bool can = IS_64BIT || level == 2;
        uint64_t maddr = pte_maddr(TEST_VA, level);
        ulong mfn = maddr >> PAGE_SHIFT;
        volatile uint64_t *entry = pte_of(TEST_VA, level) + 1;
        uint64_t ro = make_pte(mfn, can ? PAGE_TABLE & ~_PAGE_RW : _PAGE_PRESENT);
        uint64_t old = *entry;

        maddr += sizeof(uint64_t);
        check_ret(mmu_update(maddr, ro | _PAGE_RW), -EINVAL,
                  "level %u: a writable linear table", level);
        check_eq(*entry, old, "level %u: refused", level);
        check_ret(mmu_update(maddr, ro), can ? 0 : -EINVAL,
                  "level %u: a linear table", level);
        check_ret(mmu_update(maddr, ro | _PAGE_RW), -EINVAL,
                  "level %u: one that becomes writable", level);
        check_ret(mmu_update(maddr | MMU_PT_UPDATE_PRESERVE_AD, ro | _PAGE_RW),
                  -EINVAL, "level %u: likewise, with PRESERVE_AD", level);
        check_eq(flags_of(*entry), flags_of(can ? ro : old),
                 "level %u: the entry's bits", level);
        check_ret(mmu_update(maddr, old), 0,
                  "level %u: without it", level);
    }
    map_page(TEST_VA, 0);
}

void test_main(void)
{
    memset(pages[0], 'A', PAGE_SIZE);
    memset(pages[1], 'B', PAGE_SIZE);
    va_mapping();
    refusals();
    updates();
    pins();
    base_pointers();
    direct_writes();
    clear_and_copy();
    superpages();
    linear_tables();
    store_across_pages();
}
