/*
 * Which bits a guest may set in the entries of its page tables.
 *
 * A domain that has no devices maps its memory write-back, so the cache bits
 * are refused, and superpages with them; a kernel that sees this error goes
 * without. Bits that are the kernel's own to use are kept as they are: one that
 * changed would be a lost page of swap, or a page that is not dirty any more.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define CACHE       (1ULL << 3 | 1ULL << 4 | 1ULL << 7)     /* PWT, PCD, PAT */
#define GLOBAL      (1ULL << 8)                 /* in level 1 without effect */
#define HIGH        0x7ff0000000000000ULL       /* where the CPU ignores them */

static uint64_t refused_bits(unsigned level)
{
    /* A 32-bit hypervisor's CPU reserves these, a 64-bit one's only in level 3 */
    uint64_t high = IS_64BIT || is_initdomain() ? 0 : HIGH;

    if (level == 1) {
        /* Domain 0 has devices */
        return is_initdomain() ? 0 : CACHE | high;
    }
    if (!IS_64BIT && level == 3) {
        return CACHE | GLOBAL | HIGH | _PAGE_NX;
    }
    return CACHE | GLOBAL | high;
}

static void by_mmu_update(unsigned level)
{
    uint64_t maddr = pte_maddr(TEST_VA, level);
    volatile uint64_t *entry = pte_of(TEST_VA, level);
    uint64_t old = *entry;

    for (unsigned n = 1; n < 64; n++) {
        uint64_t bit = 1ULL << n;
        bool refused = refused_bits(level) & bit;

        if (n >= 12 && n < 52) {
            continue;
        }
        check_ret(mmu_update(maddr, old | bit), refused ? -EINVAL : 0,
                  "bit %u at level %u", n, level);
        check(refused ? !(*entry & bit) || (old & bit) : *entry & bit,
              "bit %u at level %u: %llx, before %llx", n, level,
              (unsigned long long)*entry, (unsigned long long)old);
        /* What is not present may be anything */
        if (level == 1) {
            check_ret(mmu_update(maddr, (old | bit) & ~_PAGE_PRESENT), 0,
                      "bit %u at level 1, not present", n);
        }
        check_ret(mmu_update(maddr, old), 0, "level %u without it", level);
    }
}

/*
 * The bits of an entry's upper half, one at a time and in a batch, from one that
 * is there and from one that is not, whose bits are the kernel's
 */
static void high_bits(char *page)
{
    uint64_t pte = make_pte(virt_to_mfn(page), PAGE_KERNEL);
    uint64_t maddr = pte_maddr(TEST_VA, 1);
    volatile uint64_t *entry = pte_of(TEST_VA, 1);

    for (unsigned n = 44; n < 63; n++) {
        /* To Xen, up to 51 these are of a frame that is not the domain's */
        long expected = n < 52 ? -EPERM : IS_64BIT ? 0 : -EINVAL;
        uint64_t bad = pte | 1ULL << n;
        struct mmu_update u[3] = {
            { maddr, pte }, { maddr, bad }, { maddr, 0 }
        };
        unsigned done = 99;

        check_ret(update_va_mapping(TEST_VA, bad, UVMF_INVLPG), expected,
                  "update_va_mapping of bit %u", n);
        check_eq(*entry, expected ? pte : bad, "the entry, bit %u", n);
        check_ret(HYPERCALL(mmu_update, u, 3, &done, DOMID_SELF), expected,
                  "a batch with bit %u", n);
        check_eq(done, expected ? 1 : 3, "done with bit %u", n);
        check_eq(*entry, expected ? pte : 0, "the entry, a batch, bit %u", n);
        check_ret(mmu_update(maddr | MMU_PT_UPDATE_PRESERVE_AD, bad), expected,
                  "PRESERVE_AD of bit %u", n);
        /* Not present */
        check_ret(mmu_update(maddr, 1ULL << n), 0, "not present, bit %u", n);
        check_ret(update_va_mapping(TEST_VA, 1ULL << n | 2, UVMF_INVLPG), 0,
                  "update_va_mapping, not present, bit %u", n);
        check_eq(*entry, 1ULL << n | 2, "not present, bit %u", n);
        check_ret(update_va_mapping(TEST_VA, pte | _PAGE_NX, UVMF_INVLPG), 0,
                  "NX");
        check_eq(*entry, pte | _PAGE_NX, "the entry with NX");
        check_ret(update_va_mapping(TEST_VA, pte, UVMF_INVLPG), 0,
                  "without bit %u", n);
        *(volatile char *)TEST_VA = n;
        check_eq(*page, n, "the page without bit %u", n);
    }
}

/*
 * An entry that is not present is the kernel's own, frame number and all. One that
 * is safe from L1TF inverts the number of a page that PROT_NONE or a migration takes
 * away for a while, or of a swap slot, so it names a frame that there is not; and
 * the cache bits and the page tables' own frames are none of Xen's business there.
 */
static void not_present(char *page)
{
    uint64_t pte = make_pte(virt_to_mfn(page), PAGE_KERNEL);
    uint64_t maddr = pte_maddr(TEST_VA, 1);
    uint64_t ad = _PAGE_ACCESSED | _PAGE_DIRTY;
    uint64_t low = (pte & 0xffe & ~ad) | GLOBAL;
    uint64_t frame = pte & 0x000ffffffffff000ULL;
    const uint64_t entries[] = {
        low | (~frame & 0x000ffffffffff000ULL),             /* PROT_NONE */
        low | (~frame & 0x000ffffffffff000ULL) | CACHE,
        low | frame,
        low | (pte_maddr(TEST_VA, 1) & ~0xfffULL),          /* a table's */
        0xfffffffffffffffeULL & ~ad,
        ~(0x1234ULL << 14) << 9 & ~(ad | 1),                /* swap */
    };
    volatile uint64_t *entry = pte_of(TEST_VA, 1);

    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
        uint64_t e = entries[i];

        check_ret(mmu_update(maddr, e), 0, "mmu_update to %llx",
                  (unsigned long long)e);
        check_eq(*entry, e, "the entry by mmu_update, %u", i);
        check_ret(mmu_update(maddr, pte), 0, "the page is back, %u", i);
        *(volatile char *)TEST_VA = i;
        check_eq(*page, i, "the page after mmu_update, %u", i);
        check_ret(update_va_mapping(TEST_VA, e, UVMF_INVLPG), 0,
                  "update_va_mapping to %llx", (unsigned long long)e);
        check_eq(*entry, e, "the entry by update_va_mapping, %u", i);
        /* From one such entry to another, and with what the CPU has set in it */
        check_ret(mmu_update(maddr, e | ad), 0, "with A and D, %u", i);
        check_ret(mmu_update(maddr | MMU_PT_UPDATE_PRESERVE_AD, e), 0,
                  "PRESERVE_AD, %u", i);
        check_eq(*entry, e | ad, "the entry by PRESERVE_AD, %u", i);
        check_ret(mmu_update(maddr | MMU_PT_UPDATE_PRESERVE_AD, pte), 0,
                  "PRESERVE_AD, back, %u", i);
        *(volatile char *)TEST_VA = i + 100;
        check_eq(*page, i + 100, "the page after PRESERVE_AD, %u", i);
    }
}

static void by_others(char *page)
{
    uint64_t pte = make_pte(virt_to_mfn(page), PAGE_KERNEL);
    uint64_t cached[4];
    long expected = is_initdomain() ? 0 : -EINVAL;
    struct mmu_update u[2];
    unsigned done = 99;

    for (unsigned i = 0; i < 3; i++) {
        cached[i] = pte | 1ULL << (i == 2 ? 7 : 3 + i);
        check_ret(update_va_mapping(TEST_VA, cached[i], UVMF_INVLPG), expected,
                  "update_va_mapping of %llx", (unsigned long long)cached[i]);
        check_ret(mmu_update(pte_maddr(TEST_VA, 1) | MMU_PT_UPDATE_PRESERVE_AD,
                             cached[i]), expected, "MMU_PT_UPDATE_PRESERVE_AD "
                  "of %llx", (unsigned long long)cached[i]);
    }
    u[0].ptr = u[1].ptr = pte_maddr(TEST_VA, 1);
    u[0].val = pte;
    u[1].val = cached[0];
    check_ret(HYPERCALL(mmu_update, u, 2, &done, DOMID_SELF), expected,
              "a batch");
    check_eq(done, expected ? 1 : 2, "done of the batch");
    /* The error about the bits comes before that about the frame */
    check_ret(update_va_mapping(TEST_VA, (cached[0] & ~0xffffffff000ULL) |
                                0xfffff000, UVMF_INVLPG),
              is_initdomain() ? 0 : -EINVAL, "no frame, and cache bits");
    check_ret(update_va_mapping(TEST_VA, pte, UVMF_INVLPG), 0, "without them");
}

void test_main(void)
{
    char *page = alloc_page();

    map_page(TEST_VA, make_pte(virt_to_mfn(page), PAGE_KERNEL));
    for (unsigned level = 1; level <= PAGE_LEVELS; level++) {
        by_mmu_update(level);
    }
    if (!is_initdomain()) {
        high_bits(page);
    }
    not_present(page);
    by_others(page);
}
