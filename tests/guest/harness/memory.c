/*
 * Page tables, as a direct-paging kernel sees them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "harness.h"

#define NR_HEAP_PAGES   96

ulong *machine_to_phys;
static char heap[NR_HEAP_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned nr_used;
static ulong next_pfn;

void memory_init(void)
{
    ulong virt_start = 0;

    if (HYPERCALL(xen_version, XENVER_platform_parameters, &virt_start)) {
        error("XENVER_platform_parameters fails");
    }
    machine_to_phys = (ulong *)virt_start;
    next_pfn = start_info->nr_pages;
}

ulong pfn_to_mfn(ulong pfn)
{
    return ((ulong *)start_info->mfn_list)[pfn];
}

ulong virt_to_mfn(const void *p)
{
    return pfn_to_mfn(((ulong)p - VIRT_BASE) >> PAGE_SHIFT);
}

void *mfn_to_virt(ulong mfn)
{
    return (void *)(VIRT_BASE + (machine_to_phys[mfn] << PAGE_SHIFT));
}

void *alloc_page(void)
{
    if (nr_used == NR_HEAP_PAGES) {
        error("the heap is used up");
    }
    return heap[nr_used++];
}

ulong alloc_pfn(void)
{
    return --next_pfn;
}

static unsigned table_index(ulong va, unsigned level)
{
    return (va >> (12 + 9 * (level - 1))) & 511;
}

uint64_t pte_maddr(ulong va, unsigned level)
{
    ulong mfn = virt_to_mfn((void *)start_info->pt_base);

    for (unsigned l = PAGE_LEVELS;; l--) {
        unsigned index = table_index(va, l);
        uint64_t e;

        if (!IS_64BIT && l == 3) {
            index &= 3;
        }
        if (l == level) {
            return ((uint64_t)mfn << PAGE_SHIFT) + index * 8;
        }
        e = ((volatile uint64_t *)mfn_to_virt(mfn))[index];
        if (!(e & _PAGE_PRESENT)) {
            return 0;
        }
        mfn = PTE_MFN(e);
    }
}

volatile uint64_t *pte_of(ulong va, unsigned level)
{
    uint64_t maddr = pte_maddr(va, level);

    if (!maddr) {
        return NULL;
    }
    return (volatile uint64_t *)((char *)mfn_to_virt(maddr >> PAGE_SHIFT) +
                                 (maddr & 4095));
}

void make_tables(ulong va, unsigned level)
{
    for (unsigned l = PAGE_LEVELS; l > level; l--) {
        uint64_t flags = !IS_64BIT && l == 3 ? _PAGE_PRESENT : PAGE_TABLE;
        void *page;
        long ret;

        if (*pte_of(va, l) & _PAGE_PRESENT) {
            continue;
        }
        page = alloc_page();
        make_readonly(page);
        ret = mmu_update(pte_maddr(va, l), make_pte(virt_to_mfn(page), flags));
        if (ret) {
            error("adding a level %u table for %lx returned %ld", l - 1, va,
                  ret);
        }
    }
}

void map_page(ulong va, uint64_t pte)
{
    long ret;

    make_tables(va, 1);
    ret = update_va_mapping(va, pte, UVMF_INVLPG);
    if (ret) {
        error("mapping %llx at %lx returned %ld", (unsigned long long)pte, va,
              ret);
    }
}

static void remap(void *page, uint64_t flags)
{
    long ret = update_va_mapping((ulong)page,
                                 make_pte(virt_to_mfn(page), flags),
                                 UVMF_INVLPG);

    if (ret) {
        error("remapping the page at %p returned %ld", page, ret);
    }
}

void make_readonly(void *page)
{
    remap(page, PAGE_KERNEL_RO);
}

void make_writable(void *page)
{
    remap(page, PAGE_KERNEL);
}

uint64_t *copy_base_table(void)
{
    const uint64_t *was = (const uint64_t *)start_info->pt_base;
    uint64_t *top = alloc_page();

#ifdef __x86_64__
    for (unsigned i = 0; i < 512; i++) {
        top[i] = i >= 256 && i < 272 ? 0 : was[i];
    }
#else
    uint64_t *l2 = alloc_page();

    /* All of it, the hypervisor's entries too: so does Linux */
    memcpy(l2, (void *)((ulong)pte_of(0xc0000000, 2) & ~4095UL), PAGE_SIZE);
    make_readonly(l2);
    memcpy(top, was, 3 * sizeof(*top));
    top[3] = make_pte(virt_to_mfn(l2), _PAGE_PRESENT);
#endif
    make_readonly(top);
    return top;
}
