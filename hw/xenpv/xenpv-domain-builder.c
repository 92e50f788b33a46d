/*
 * Build the initial memory of a paravirtualised domain
 *
 * The second half of the domain builder (see xenpv-domain-builder.h): from a
 * struct XenPVKernel, an initrd and a command line it makes what the kernel
 * finds in memory at its entry point. The machine calls it at its init, for a
 * check alone, and at each reset; no vCPU runs then.
 *
 * The layout is that of "Start-of-day memory layout" in Xen's public xen.h, as
 * Xen's own tools make it for a domU. From virt_base on, which is pfn 0, and
 * each starting on a new page:
 *
 *   the kernel's image     at its place
 *   the initrd             unless the kernel can do without its mapping
 *   the p2m list           unless the kernel wants it elsewhere
 *   start_info, xenstore's ring, the console's ring    a page each
 *   page tables            for all of this, by level, the top level first
 *   the boot stack         a page
 *   at least 512 KiB more, up to a multiple of 4 MiB
 *
 * and behind that, not mapped here, the initrd and the p2m list (followed by
 * the page tables that map it at INIT_P2M) where they are not above.
 *
 * The number of page tables is part of the ABI: kernels take it from
 * start_info, and some (mini-os) derive from it how far memory is mapped.
 *
 * It first lays out and checks everything, and only then writes memory. It does
 * not write zeros to RAM that nobody has touched, so that these pages take no
 * memory of the host's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/xen/interface/xen.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "trace.h"

#define BOOT_ALIGN          (4 * MiB)
#define BOOT_PADDING_PAGES  (512 * KiB / XENPV_PAGE_SIZE)
#define BOOT_STACK_PAGES    1

/* Where PAE's last top-level entry starts to map, the kernel's own */
#define PAE_L2_SLOT3        0xc0000000ULL

/* Beyond this the arithmetic below might overflow: 4 PiB */
#define MAX_PAGES           (1ULL << 40)

/* Page-table entries. A table of level 0 (an L1) maps pages. */
#define LEVEL_BITS          9
#define PTE_PRESENT         0x001ULL
#define PTE_RW              0x002ULL
#define PTE_USER            0x004ULL
#define PTE_ACCESSED        0x020ULL
#define PTE_DIRTY           0x040ULL
#define PTE_PAGE            (PTE_PRESENT | PTE_RW | PTE_ACCESSED)
#define PTE_TABLE           (PTE_PAGE | PTE_DIRTY | PTE_USER)
/* The CPU takes nothing else in the four entries of a PAE L3 */
#define PTE_TABLE_PAE_L3    PTE_PRESENT

/* A run of pfns: the page tables of one level that map [from, to] */
typedef struct TableRun {
    unsigned level;
    uint64_t from, to;      /* inclusive */
    uint64_t pfn;
} TableRun;

/* Memory that is mapped, and the tables that map it */
typedef struct Mapping {
    uint64_t from, to;
    uint64_t pfn;
    TableRun runs[5];
    unsigned nr_runs;
    uint64_t nr_tables;
} Mapping;

typedef struct Build {
    const XenPVDomainConfig *cfg;
    const XenPVKernel *k;
    XenPVDomain *out;
    Error **errp;

    unsigned top_level;     /* 2: PAE, 3: 64-bit */
    uint64_t vaddr_mask;
    uint64_t pfn_alloc_end; /* the first pfn that has no purpose yet */
    uint64_t zero_from;     /* the paddr from which on all RAM is zero */
    Mapping boot;           /* from virt_base on */
    Mapping p2m;            /* at INIT_P2M; .to is 0 if there is none */
    uint64_t start_info_pfn, xenstore_pfn, console_pfn;
    uint32_t flags;
} Build;

/* ------------------------------------------------------------------------ */
/* Page tables: which ones are needed                                       */

/* log2 of what one table of this level maps */
static unsigned table_shift(unsigned level)
{
    return XENPV_PAGE_SHIFT + (level + 1) * LEVEL_BITS;
}

static uint64_t nr_tables(const TableRun *run)
{
    return ((run->to - run->from) >> table_shift(run->level)) + 1;
}

static void add_run(Mapping *map, unsigned level, uint64_t from, uint64_t to,
                    uint64_t pfn)
{
    TableRun *run = &map->runs[map->nr_runs++];

    assert(map->nr_runs <= ARRAY_SIZE(map->runs));
    *run = (TableRun) {
        .level = level, .from = from, .to = to, .pfn = pfn + map->nr_tables,
    };
    map->nr_tables += nr_tables(run);
}

/*
 * Plan the tables for [from, to], without those that @other, if any, has: its
 * tables are for higher addresses. The new ones are at @table_pfn.
 */
static void plan_mapping(const Build *b, Mapping *map, uint64_t from,
                         uint64_t to, uint64_t pfn, uint64_t table_pfn,
                         const Mapping *other)
{
    *map = (Mapping) {
        .from = from & b->vaddr_mask, .to = to & b->vaddr_mask, .pfn = pfn,
    };
    if (!other) {
        add_run(map, b->top_level, 0, b->vaddr_mask, table_pfn);
    }
    for (int level = b->top_level - 1; level >= 0; level--) {
        uint64_t mask = (1ULL << table_shift(level)) - 1;
        uint64_t run_from = map->from & ~mask;
        uint64_t run_to = map->to | mask;
        bool shared = false;

        for (unsigned i = 0; other && i < other->nr_runs; i++) {
            if (other->runs[i].level == level &&
                other->runs[i].from <= run_to) {
                shared = other->runs[i].from <= run_from;
                run_to = other->runs[i].from - 1;
                break;
            }
        }
        if (!shared) {
            add_run(map, level, run_from, run_to, table_pfn);
        }
        /*
         * A PAE kernel below 0xc0000000 needs an L2 for the hypervisor's slots,
         * too. Xen made just one until 4.6, and kernels that count tables
         * expect that; newer versions also fill the gap below it.
         */
        if (b->top_level == 2 && level == 1 && run_to < PAE_L2_SLOT3) {
            add_run(map, level, PAE_L2_SLOT3, b->vaddr_mask, table_pfn);
        }
    }
}

/* The pfn of the table of @level that maps @vaddr (masked) */
static uint64_t table_for(const Build *b, unsigned level, uint64_t vaddr)
{
    const Mapping *maps[] = { &b->boot, &b->p2m };

    for (unsigned m = 0; m < ARRAY_SIZE(maps); m++) {
        for (unsigned i = 0; i < maps[m]->nr_runs; i++) {
            const TableRun *run = &maps[m]->runs[i];

            if (run->level == level && run->from <= vaddr && vaddr <= run->to) {
                return run->pfn + ((vaddr - run->from) >> table_shift(level));
            }
        }
    }
    g_assert_not_reached();
}

/* ------------------------------------------------------------------------ */
/* Layout                                                                   */

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes >> XENPV_PAGE_SHIFT) + !!(bytes & (XENPV_PAGE_SIZE - 1));
}

static uint64_t ram_mib(const Build *b)
{
    return b->cfg->nr_pages >> (20 - XENPV_PAGE_SHIFT);
}

static uint64_t pfn_to_vaddr(const Build *b, uint64_t pfn)
{
    return b->k->virt_base + (pfn << XENPV_PAGE_SHIFT);
}

static bool alloc_pages(Build *b, const char *what, uint64_t pages,
                        uint64_t *pfn)
{
    if (pages > b->cfg->nr_pages - b->pfn_alloc_end) {
        error_setg(b->errp, "%s does not fit into the %" PRIu64 " MiB of RAM",
                   what, ram_mib(b));
        return false;
    }
    *pfn = b->pfn_alloc_end;
    b->pfn_alloc_end += pages;
    return true;
}

/*
 * Allocate pages that are mapped from virt_base on. They have to fit into RAM,
 * and into the address space, too.
 */
static bool alloc_mapped(Build *b, const char *what, uint64_t pages,
                         uint64_t *pfn)
{
    if (!alloc_pages(b, what, pages, pfn)) {
        return false;
    }
    if (!xenpv_virt_range_ok(b->k->is_64bit, b->k->virt_base,
                             pfn_to_vaddr(b, b->pfn_alloc_end))) {
        error_setg(b->errp, "%s does not fit into the kernel's address space "
                   "from 0x%" PRIx64 " on", what, b->k->virt_base);
        return false;
    }
    return true;
}

static bool layout_initrd(Build *b, bool mapped)
{
    const XenPVDomainConfig *cfg = b->cfg;
    XenPVDomain *out = b->out;

    if (!cfg->initrd || !cfg->initrd_len) {
        return true;
    }
    out->nr_initrd_frames = pages_of(cfg->initrd_len);
    return mapped ? alloc_mapped(b, "-initrd: it", out->nr_initrd_frames,
                                 &out->initrd_pfn)
                  : alloc_pages(b, "-initrd: it", out->nr_initrd_frames,
                                &out->initrd_pfn);
}

/*
 * Extend the mapping until there is room in it for the tables that it takes,
 * the boot stack and the padding.
 */
static bool layout_page_tables(Build *b)
{
    const uint64_t extra = BOOT_STACK_PAGES + BOOT_PADDING_PAGES;
    const uint64_t table_pfn = b->pfn_alloc_end;
    uint64_t pages = extra;
    uint64_t end_pfn;

    do {
        uint64_t start = pfn_to_vaddr(b, table_pfn);
        /* As in Xen's tools, an end that is aligned already moves on, too */
        uint64_t last = (start + (pages << XENPV_PAGE_SHIFT)) |
                        (BOOT_ALIGN - 1);

        if (last < start ||
            !xenpv_virt_range_ok(b->k->is_64bit, b->k->virt_base, last + 1)) {
            error_setg(b->errp, "-kernel: its initial mapping does not fit "
                       "into its address space from 0x%" PRIx64 " on",
                       b->k->virt_base);
            return false;
        }
        end_pfn = (last + 1 - b->k->virt_base) >> XENPV_PAGE_SHIFT;
        if (end_pfn > b->cfg->nr_pages) {
            error_setg(b->errp, "-m: %" PRIu64 " MiB of RAM are not enough: "
                       "this kernel's initial mapping takes %" PRIu64 " MiB",
                       ram_mib(b),
                       DIV_ROUND_UP(end_pfn << XENPV_PAGE_SHIFT, MiB));
            return false;
        }
        plan_mapping(b, &b->boot, b->k->virt_base, last, 0, table_pfn, NULL);
        pages = b->boot.nr_tables + extra;
    } while (table_pfn + pages > end_pfn);

    b->out->pt_pfn = table_pfn;
    b->out->nr_pt_frames = b->boot.nr_tables;
    b->out->stack = pfn_to_vaddr(b, table_pfn + b->boot.nr_tables +
                                    BOOT_STACK_PAGES);
    b->out->virt_end = pfn_to_vaddr(b, end_pfn);
    b->pfn_alloc_end = end_pfn;
    return true;
}

static bool layout_p2m(Build *b, bool mapped)
{
    const uint64_t size = b->cfg->nr_pages * (b->k->is_64bit ? 8 : 4);
    const char *what = "-m: the list of its frames";
    XenPVDomain *out = b->out;
    uint64_t end;

    out->nr_p2m_frames = pages_of(size);
    if (mapped) {
        if (!alloc_mapped(b, what, out->nr_p2m_frames, &out->p2m_pfn)) {
            return false;
        }
        out->mfn_list = pfn_to_vaddr(b, out->p2m_pfn);
        return true;
    }

    out->mfn_list = b->k->init_p2m;
    end = out->mfn_list + (out->nr_p2m_frames << XENPV_PAGE_SHIFT);
    if (end > b->k->virt_base ||
        !xenpv_virt_range_ok(b->k->is_64bit, out->mfn_list, end)) {
        error_setg(b->errp, "-kernel: its INIT_P2M 0x%" PRIx64 " leaves no "
                   "room for the list of %" PRIu64 " MiB of RAM",
                   b->k->init_p2m, ram_mib(b));
        return false;
    }
    if (!alloc_pages(b, what, out->nr_p2m_frames, &out->p2m_pfn)) {
        return false;
    }
    plan_mapping(b, &b->p2m, out->mfn_list, end - 1, out->p2m_pfn,
                 b->pfn_alloc_end, &b->boot);
    out->nr_p2m_pt_frames = b->p2m.nr_tables;
    return alloc_pages(b, what, out->nr_p2m_pt_frames, &out->p2m_pt_pfn);
}

static bool layout_domain(Build *b)
{
    const XenPVKernel *k = b->k;
    bool p2m_mapped = k->init_p2m == XENPV_UNSET;
    XenPVDomain *out = b->out;
    uint64_t pfn;

    /* What comes before the image's first page is left free */
    if (!alloc_mapped(b, "-kernel: it", pages_of(k->virt_kend - k->virt_base),
                      &pfn) ||
        (!k->unmapped_initrd && !layout_initrd(b, true)) ||
        (p2m_mapped && !layout_p2m(b, true)) ||
        !alloc_mapped(b, "-m: start_info", 1, &b->start_info_pfn) ||
        !alloc_mapped(b, "-m: xenstore", 1, &b->xenstore_pfn) ||
        !alloc_mapped(b, "-m: the console", 1, &b->console_pfn) ||
        !layout_page_tables(b)) {
        return false;
    }
    if (k->unmapped_initrd) {
        if (!layout_initrd(b, false)) {
            return false;
        }
        if (out->nr_initrd_frames) {
            b->flags |= XENPV_SIF_MOD_START_PFN;
        }
    }
    if (!p2m_mapped && !layout_p2m(b, false)) {
        return false;
    }

    out->virt_base = k->virt_base;
    out->nr_used_pages = b->pfn_alloc_end;
    out->entry = k->virt_entry;
    out->start_info = pfn_to_vaddr(b, b->start_info_pfn);
    out->start_info_mfn = xenpv_pfn_to_mfn(b->cfg, b->start_info_pfn);
    out->xenstore_mfn = xenpv_pfn_to_mfn(b->cfg, b->xenstore_pfn);
    out->xencons_mfn = xenpv_pfn_to_mfn(b->cfg, b->console_pfn);
    out->top_table_mfn = xenpv_pfn_to_mfn(b->cfg, out->pt_pfn);
    out->hv_table_mfn = out->top_table_mfn;
    if (!k->is_64bit) {
        pfn = table_for(b, 1, PAE_L2_SLOT3);
        out->hv_table_mfn = xenpv_pfn_to_mfn(b->cfg, pfn);
        if (out->top_table_mfn >= (4 * GiB) >> XENPV_PAGE_SHIFT) {
            error_setg(b->errp, "-kernel: its top-level page table would not "
                       "be below 4 GiB");
            return false;
        }
    }

    out->hypercall_page_mfn = XENPV_UNSET;
    if (k->virt_hypercall != XENPV_UNSET) {
        if (k->virt_hypercall < k->virt_base ||
            k->virt_hypercall >= out->virt_end) {
            error_setg(b->errp, "-kernel: its HYPERCALL_PAGE 0x%" PRIx64
                       " is outside of its initial mapping, 0x%" PRIx64
                       " to 0x%" PRIx64, k->virt_hypercall, k->virt_base,
                       out->virt_end);
            return false;
        }
        pfn = (k->virt_hypercall - k->virt_base) >> XENPV_PAGE_SHIFT;
        out->hypercall_page_mfn = xenpv_pfn_to_mfn(b->cfg, pfn);
    }
    return true;
}

/* ------------------------------------------------------------------------ */
/* Writing memory                                                           */

static void *frame(Build *b, uint64_t pfn)
{
    void *p;

    assert(pfn < b->out->nr_used_pages);
    p = b->cfg->frame(b->cfg->opaque, xenpv_pfn_to_mfn(b->cfg, pfn));
    if (!p) {
        error_setg(b->errp, "-m: guest frame 0x%" PRIx64 " has no memory", pfn);
    }
    return p;
}

/* Write @len bytes at @paddr, zeros if @data is NULL */
static bool write_bytes(Build *b, uint64_t paddr, const void *data,
                        uint64_t len)
{
    const uint8_t *src = data;
    uint64_t n;

    for (; len; paddr += n, len -= n, src = src ? src + n : NULL) {
        uint64_t offset = paddr & (XENPV_PAGE_SIZE - 1);
        uint8_t *p;

        n = MIN(len, XENPV_PAGE_SIZE - offset);
        if (paddr >= b->zero_from && (!src || buffer_is_zero(src, n))) {
            continue;
        }
        p = frame(b, paddr >> XENPV_PAGE_SHIFT);
        if (!p) {
            return false;
        }
        if (src) {
            memcpy(p + offset, src, n);
        } else {
            memset(p + offset, 0, n);
        }
        b->zero_from = MAX(b->zero_from, paddr + n);
    }
    return true;
}

static bool write_zero_pages(Build *b, uint64_t pfn, uint64_t pages)
{
    return write_bytes(b, pfn << XENPV_PAGE_SHIFT, NULL,
                       pages << XENPV_PAGE_SHIFT);
}

static bool write_kernel(Build *b)
{
    for (unsigned i = 0; i < b->k->nr_segments; i++) {
        const XenPVSegment *seg = &b->k->segments[i];

        if (!write_bytes(b, seg->paddr, seg->data, seg->filesz) ||
            !write_bytes(b, seg->paddr + seg->filesz, NULL,
                         seg->memsz - seg->filesz)) {
            return false;
        }
    }
    return true;
}

static bool write_initrd(Build *b)
{
    uint64_t paddr = b->out->initrd_pfn << XENPV_PAGE_SHIFT;
    uint64_t len = b->cfg->initrd_len;

    if (!b->out->nr_initrd_frames) {
        return true;
    }
    return write_bytes(b, paddr, b->cfg->initrd, len) &&
           write_bytes(b, paddr + len, NULL,
                       (b->out->nr_initrd_frames << XENPV_PAGE_SHIFT) - len);
}

static bool write_p2m(Build *b)
{
    unsigned size = b->k->is_64bit ? 8 : 4;
    uint64_t pfn = 0;

    for (uint64_t i = 0; i < b->out->nr_p2m_frames; i++) {
        uint8_t *p = frame(b, b->out->p2m_pfn + i);

        if (!p) {
            return false;
        }
        for (uint64_t offset = 0; offset < XENPV_PAGE_SIZE; offset += size) {
            uint64_t mfn = 0;

            if (pfn < b->cfg->nr_pages) {
                mfn = xenpv_pfn_to_mfn(b->cfg, pfn++);
            }
            if (b->k->is_64bit) {
                stq_le_p(p + offset, mfn);
            } else {
                stl_le_p(p + offset, mfn);
            }
        }
    }
    return true;
}

/* Enter @pfn in the table of @level that maps @vaddr */
static bool write_entry(Build *b, unsigned level, uint64_t vaddr, uint64_t pfn,
                        uint64_t flags)
{
    unsigned shift = XENPV_PAGE_SHIFT + level * LEVEL_BITS;
    unsigned index = (vaddr >> shift) & ((1 << LEVEL_BITS) - 1);
    uint8_t *table = frame(b, table_for(b, level, vaddr));

    if (!table) {
        return false;
    }
    stq_le_p(table + index * 8,
             (xenpv_pfn_to_mfn(b->cfg, pfn) << XENPV_PAGE_SHIFT) | flags);
    return true;
}

static bool is_page_table(const Build *b, uint64_t pfn)
{
    return pfn - b->out->pt_pfn < b->out->nr_pt_frames ||
           pfn - b->out->p2m_pt_pfn < b->out->nr_p2m_pt_frames;
}

static bool write_mapping(Build *b, const Mapping *map)
{
    /* Enter the tables, but the top-level one, in those above them */
    for (unsigned i = 0; i < map->nr_runs; i++) {
        const TableRun *run = &map->runs[i];
        unsigned parent = run->level + 1;
        uint64_t flags = PTE_TABLE;

        if (run->level == b->top_level) {
            continue;
        }
        if (!b->k->is_64bit && parent == b->top_level) {
            flags = PTE_TABLE_PAE_L3;
        }
        for (uint64_t n = 0; n < nr_tables(run); n++) {
            uint64_t vaddr = run->from + (n << table_shift(run->level));

            if (!write_entry(b, parent, vaddr, run->pfn + n, flags)) {
                return false;
            }
        }
    }
    /* Enter the pages; only page tables are mapped read-only */
    for (uint64_t offset = 0; offset <= map->to - map->from;
         offset += XENPV_PAGE_SIZE) {
        uint64_t pfn = map->pfn + (offset >> XENPV_PAGE_SHIFT);

        if (!write_entry(b, 0, map->from + offset, pfn,
                         is_page_table(b, pfn) ? PTE_PAGE & ~PTE_RW
                                               : PTE_PAGE)) {
            return false;
        }
    }
    return true;
}

void xenpv_start_info_connect(void *start_info, bool is_64bit,
                              const XenPVConnections *c)
{
    uint64_t shared_info = c->shared_info_mfn << XENPV_PAGE_SHIFT;

    if (is_64bit) {
        struct start_info_x86_64 *si = start_info;

        si->shared_info = cpu_to_le64(shared_info);
        si->flags = cpu_to_le32(c->flags);
        si->store_mfn = cpu_to_le64(c->xenstore_mfn);
        si->store_evtchn = cpu_to_le32(c->xenstore_evtchn);
        si->console.domU.mfn = cpu_to_le64(c->xencons_mfn);
        si->console.domU.evtchn = cpu_to_le32(c->xencons_evtchn);
    } else {
        struct start_info_x86_32 *si = start_info;

        si->shared_info = cpu_to_le32(shared_info);
        si->flags = cpu_to_le32(c->flags);
        si->store_mfn = cpu_to_le32(c->xenstore_mfn);
        si->store_evtchn = cpu_to_le32(c->xenstore_evtchn);
        si->console.domU.mfn = cpu_to_le32(c->xencons_mfn);
        si->console.domU.evtchn = cpu_to_le32(c->xencons_evtchn);
    }
}

static bool write_start_info(Build *b)
{
    const XenPVDomainConfig *cfg = b->cfg;
    const XenPVDomain *out = b->out;
    uint64_t mod_start = 0;
    uint64_t mod_len = 0;
    uint64_t first_p2m_pfn = 0;
    uint64_t nr_p2m_frames = 0;
    struct start_info_x86_64 si64 = { .magic = "xen-3.0-x86_64" };
    struct start_info_x86_32 si32 = { .magic = "xen-3.0-x86_32p" };
    uint64_t paddr = b->start_info_pfn << XENPV_PAGE_SHIFT;
    XenPVConnections conns = {
        .shared_info_mfn = cfg->shared_info_mfn,
        .flags = b->flags,
        .xenstore_mfn = out->xenstore_mfn,
        .xenstore_evtchn = cfg->xenstore_evtchn,
        .xencons_mfn = out->xencons_mfn,
        .xencons_evtchn = cfg->xencons_evtchn,
    };

    if (out->nr_initrd_frames) {
        mod_start = b->flags & XENPV_SIF_MOD_START_PFN
            ? out->initrd_pfn : pfn_to_vaddr(b, out->initrd_pfn);
        mod_len = cfg->initrd_len;
    }
    if (b->k->init_p2m != XENPV_UNSET) {
        first_p2m_pfn = out->p2m_pfn;
        nr_p2m_frames = out->nr_p2m_frames + out->nr_p2m_pt_frames;
    }

    if (b->k->is_64bit) {
        xenpv_start_info_connect(&si64, true, &conns);
        si64.nr_pages = cpu_to_le64(cfg->nr_pages);
        si64.pt_base = cpu_to_le64(pfn_to_vaddr(b, out->pt_pfn));
        si64.nr_pt_frames = cpu_to_le64(out->nr_pt_frames);
        si64.mfn_list = cpu_to_le64(out->mfn_list);
        si64.mod_start = cpu_to_le64(mod_start);
        si64.mod_len = cpu_to_le64(mod_len);
        pstrcpy(si64.cmd_line, sizeof(si64.cmd_line), cfg->cmdline ?: "");
        si64.first_p2m_pfn = cpu_to_le64(first_p2m_pfn);
        si64.nr_p2m_frames = cpu_to_le64(nr_p2m_frames);
        return write_bytes(b, paddr, &si64, sizeof(si64));
    }

    xenpv_start_info_connect(&si32, false, &conns);
    si32.nr_pages = cpu_to_le32(cfg->nr_pages);
    si32.pt_base = cpu_to_le32(pfn_to_vaddr(b, out->pt_pfn));
    si32.nr_pt_frames = cpu_to_le32(out->nr_pt_frames);
    si32.mfn_list = cpu_to_le32(out->mfn_list);
    si32.mod_start = cpu_to_le32(mod_start);
    si32.mod_len = cpu_to_le32(mod_len);
    pstrcpy(si32.cmd_line, sizeof(si32.cmd_line), cfg->cmdline ?: "");
    return write_bytes(b, paddr, &si32, sizeof(si32));
}

static bool write_domain(Build *b)
{
    const XenPVDomain *out = b->out;
    uint64_t boot_pages = (out->virt_end - out->virt_base) >> XENPV_PAGE_SHIFT;

    return write_zero_pages(b, 0, boot_pages) &&
           write_zero_pages(b, out->p2m_pt_pfn, out->nr_p2m_pt_frames) &&
           write_kernel(b) &&
           write_initrd(b) &&
           write_p2m(b) &&
           write_mapping(b, &b->boot) &&
           (!b->p2m.to || write_mapping(b, &b->p2m)) &&
           write_start_info(b);
}

/* ------------------------------------------------------------------------ */

static bool plan_domain(Build *b, const XenPVDomainConfig *cfg,
                        XenPVDomain *out, Error **errp)
{
    const XenPVKernel *k = cfg->kernel;
    size_t cmdline_len = cfg->cmdline ? strlen(cfg->cmdline) : 0;

    *b = (Build) {
        .cfg = cfg, .k = k, .out = out, .errp = errp,
        .top_level = k->is_64bit ? 3 : 2,
        .vaddr_mask = k->is_64bit ? (1ULL << 48) - 1 : UINT32_MAX,
        .flags = cfg->flags & ~XENPV_SIF_MOD_START_PFN,
        .zero_from = cfg->ram_is_zero ? 0 : UINT64_MAX,
    };
    *out = (XenPVDomain) { 0 };
    if (cmdline_len >= XENPV_CMDLINE_SIZE) {
        error_setg(errp, "-append: the command line has %zu characters, but a "
                   "paravirtualised kernel takes at most %d", cmdline_len,
                   XENPV_CMDLINE_SIZE - 1);
        return false;
    }
    if (cfg->nr_pages > MAX_PAGES || cfg->hole_pages > MAX_PAGES ||
        (!k->is_64bit && cfg->nr_pages + cfg->hole_pages > UINT32_MAX)) {
        error_setg(errp, "-m: %" PRIu64 " MiB of RAM are too much for this "
                   "kernel", ram_mib(b));
        return false;
    }
    return layout_domain(b);
}

bool xenpv_domain_check(const XenPVDomainConfig *cfg, Error **errp)
{
    XenPVDomain dom;
    Build b;

    return plan_domain(&b, cfg, &dom, errp);
}

bool xenpv_domain_build(const XenPVDomainConfig *cfg, XenPVDomain *out,
                        Error **errp)
{
    Build b;

    if (!plan_domain(&b, cfg, out, errp)) {
        return false;
    }
    trace_xenpv_domain_layout(out->virt_base, out->virt_end, out->initrd_pfn,
                              out->p2m_pfn, out->pt_pfn, out->nr_pt_frames);
    trace_xenpv_domain_pages(out->start_info_mfn, out->xenstore_mfn,
                             out->xencons_mfn, out->top_table_mfn);
    return write_domain(&b);
}

void xenpv_fill_hypercall_page(void *page, bool is_64bit)
{
    /* push %rcx; push %r11; [push %rax;] mov $nr,%eax; syscall; */
    static const uint8_t enter64[] = { 0x51, 0x41, 0x53, 0xb8 };
    static const uint8_t enter64_iret[] = { 0x51, 0x41, 0x53, 0x50, 0xb8 };
    /* syscall; pop %r11; pop %rcx; ret */
    static const uint8_t leave64[] = { 0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3 };
    /* [push %eax;] mov $nr,%eax; int $0x82; ret */
    static const uint8_t enter32[] = { 0xb8 };
    static const uint8_t enter32_iret[] = { 0x50, 0xb8 };
    static const uint8_t leave32[] = { 0xcd, 0x82, 0xc3 };
    const unsigned size = 32;

    /* Anywhere else is int3 */
    memset(page, 0xcc, XENPV_PAGE_SIZE);
    for (unsigned nr = 0; nr < XENPV_PAGE_SIZE / size; nr++) {
        uint8_t *p = (uint8_t *)page + nr * size;
        /* HYPERVISOR_iret is jumped to, and does not return */
        bool iret = nr == __HYPERVISOR_iret;

#define EMIT(bytes, n) (memcpy(p, bytes, n), p += (n))
        if (is_64bit) {
            iret ? EMIT(enter64_iret, sizeof(enter64_iret))
                 : EMIT(enter64, sizeof(enter64));
        } else {
            iret ? EMIT(enter32_iret, sizeof(enter32_iret))
                 : EMIT(enter32, sizeof(enter32));
        }
        stl_le_p(p, nr);
        p += 4;
        if (is_64bit) {
            EMIT(leave64, iret ? 2 : sizeof(leave64));
        } else {
            EMIT(leave32, iret ? 2 : sizeof(leave32));
        }
#undef EMIT
    }
}
