/*
 * Unit test of the memory that the xenpv-kvm machine's domain builder makes
 *
 * Sources needed beside this file: hw/xenpv/xenpv-domain-builder.c,
 * hw/xenpv/xenpv-kernel.c, hw/xenpv/xenpv-elf.c,
 * hw/xenpv/xenpv-elf-notes.c, hw/xenpv/xenpv-unpack.c and
 * hw/xenpv/xenpv-text.c. No device, no vCPU: guest memory is a table of frames
 * that are allocated when the builder asks for them.
 *
 * A broken builder would show as a kernel that dies before its first message,
 * in a different way for each kernel. So there are tests of what well-formed
 * kernels get, by walking the page tables that were built as a CPU would; of
 * domains that must be refused; and of kernels that were mutated at random.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "xenpv-kernels.h"

/* ------------------------------------------------------------------------ */
/* The domain                                                               */

/* Guest memory: frames by mfn, dirty until the builder writes to them */
typedef struct TestRam {
    XenPVDomainConfig cfg;
    GHashTable *frames;
} TestRam;

static void *ram_frame(void *opaque, uint64_t mfn)
{
    TestRam *ram = opaque;
    void *p = g_hash_table_lookup(ram->frames, &mfn);
    uint64_t *key;

    if (!p) {
        /* It must be RAM */
        if (mfn >= ram->cfg.hole_pfn) {
            g_assert_cmphex(mfn, >=, ram->cfg.hole_pfn + ram->cfg.hole_pages);
        }
        g_assert_cmphex(mfn, <, ram->cfg.nr_pages > ram->cfg.hole_pfn
                                ? ram->cfg.nr_pages + ram->cfg.hole_pages
                                : ram->cfg.nr_pages);
        p = g_malloc(XENPV_PAGE_SIZE);
        memset(p, 0xa5, XENPV_PAGE_SIZE);
        key = g_new(uint64_t, 1);
        *key = mfn;
        g_hash_table_insert(ram->frames, key, p);
    }
    return p;
}

static TestRam *new_ram(const XenPVKernel *k, uint64_t mib)
{
    TestRam *ram = g_new0(TestRam, 1);

    ram->frames = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                        g_free);
    ram->cfg = (XenPVDomainConfig) {
        .kernel = k,
        .nr_pages = mib << 8,
        .hole_pfn = 0xfe000,
        .hole_pages = 0x2000,
        .cmdline = "console=hvc0",
        .shared_info_mfn = 0xfe090,
        .xencons_evtchn = 2,
        .xenstore_evtchn = 1,
        .flags = XENPV_SIF_VIRT_P2M_4TOOLS,
        .frame = ram_frame,
        .opaque = ram,
    };
    return ram;
}

static void free_ram(TestRam *ram)
{
    g_hash_table_unref(ram->frames);
    g_free(ram);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestRam, free_ram)

/* The page-table entry for @vaddr, as the CPU finds it; 0 if there is none */
static uint64_t walk(TestRam *ram, const XenPVDomain *d, uint64_t vaddr)
{
    bool is_64bit = ram->cfg.kernel->is_64bit;
    uint64_t mfn = d->top_table_mfn;
    uint64_t entry = 0;

    for (int level = is_64bit ? 4 : 3; level > 0; level--) {
        unsigned index = (vaddr >> (12 + (level - 1) * 9)) & 511;
        const uint8_t *table = ram_frame(ram, mfn);

        entry = ldq_le_p(table + index * 8);
        if (!(entry & 1)) {
            return 0;
        }
        if (level > 1) {
            /* PAE's four top-level entries have reserved bits */
            g_assert_cmphex(entry & 0xfff, ==,
                            level == 3 && !is_64bit ? 0x1 : 0x67);
        }
        mfn = entry >> 12;
    }
    return entry;
}

/* The bytes at @vaddr, within a page, through the page tables */
static const uint8_t *at(TestRam *ram, const XenPVDomain *d, uint64_t vaddr)
{
    uint64_t entry = walk(ram, d, vaddr);

    g_assert_cmphex(entry, !=, 0);
    return (uint8_t *)ram_frame(ram, entry >> 12) + (vaddr & 0xfff);
}

static unsigned count_entries(TestRam *ram, uint64_t mfn)
{
    const uint8_t *table = ram_frame(ram, mfn);
    unsigned n = 0;

    for (unsigned i = 0; i < 512; i++) {
        n += ldq_le_p(table + i * 8) != 0;
    }
    return n;
}

/* Is @mfn the mfn of one of these pfns? */
static bool among(TestRam *ram, uint64_t mfn, uint64_t pfn, uint64_t nr)
{
    for (uint64_t i = 0; i < nr; i++) {
        if (xenpv_pfn_to_mfn(&ram->cfg, pfn + i) == mfn) {
            return true;
        }
    }
    return false;
}

/* What holds for every domain: what is where */
static void check_layout(TestRam *ram, const XenPVDomain *d)
{
    const XenPVDomainConfig *cfg = &ram->cfg;
    const XenPVKernel *k = cfg->kernel;
    bool is_64bit = k->is_64bit;
    uint64_t boot_pages = (d->virt_end - d->virt_base) >> 12;
    bool p2m_apart = k->init_p2m != XENPV_UNSET;
    uint64_t nr_entries = 0;
    uint64_t pt_base;
    GHashTableIter iter;
    gpointer key;

    /* Nothing beyond what is said to be in use */
    g_assert_cmphex(d->nr_used_pages, <=, cfg->nr_pages);
    g_hash_table_iter_init(&iter, ram->frames);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        uint64_t mfn = *(uint64_t *)key;
        uint64_t pfn = mfn < cfg->hole_pfn ? mfn : mfn - cfg->hole_pages;

        g_assert_cmphex(pfn, <, d->nr_used_pages);
    }

    /* The order of things, and the padding */
    g_assert_cmphex(d->virt_base, ==, k->virt_base);
    g_assert_cmphex(d->virt_end % (4 * MiB), ==, 0);
    g_assert_cmphex(d->entry, ==, k->virt_entry);
    g_assert_cmphex(d->start_info, >=, k->virt_kend);
    pt_base = d->start_info + 3 * XENPV_PAGE_SIZE;
    g_assert_cmphex(d->virt_base + (d->pt_pfn << 12), ==, pt_base);
    g_assert_cmphex(d->stack, ==, pt_base + ((d->nr_pt_frames + 1) << 12));
    g_assert_cmphex(d->virt_end - d->stack, >=, 512 * KiB);
    g_assert_cmphex(d->top_table_mfn, ==, xenpv_pfn_to_mfn(cfg, d->pt_pfn));
    g_assert_cmphex(walk(ram, d, d->start_info) >> 12, ==, d->start_info_mfn);
    g_assert_cmphex(walk(ram, d, d->start_info + 0x1000) >> 12, ==,
                    d->xenstore_mfn);
    g_assert_cmphex(walk(ram, d, d->start_info + 0x2000) >> 12, ==,
                    d->xencons_mfn);

    /* pfn 0 and up is mapped, tables read-only, and nothing but that */
    for (uint64_t pfn = 0; pfn < boot_pages; pfn++) {
        bool table = pfn >= d->pt_pfn && pfn < d->pt_pfn + d->nr_pt_frames;

        g_assert_cmphex(walk(ram, d, d->virt_base + (pfn << 12)), ==,
                        (xenpv_pfn_to_mfn(cfg, pfn) << 12) |
                        (table ? 0x21 : 0x23));
    }
    for (uint64_t i = 0; p2m_apart && i < d->nr_p2m_frames; i++) {
        g_assert_cmphex(walk(ram, d, d->mfn_list + (i << 12)), ==,
                        (xenpv_pfn_to_mfn(cfg, d->p2m_pfn + i) << 12) | 0x23);
    }
    for (uint64_t i = 0; i < d->nr_pt_frames; i++) {
        nr_entries += count_entries(ram, xenpv_pfn_to_mfn(cfg, d->pt_pfn + i));
    }
    for (uint64_t i = 0; i < d->nr_p2m_pt_frames; i++) {
        nr_entries += count_entries(ram,
                                    xenpv_pfn_to_mfn(cfg, d->p2m_pt_pfn + i));
    }
    g_assert_cmpuint(nr_entries, ==,
                     boot_pages + (p2m_apart ? d->nr_p2m_frames : 0) +
                     d->nr_pt_frames + d->nr_p2m_pt_frames - 1);
    g_assert_true(among(ram, d->hv_table_mfn, d->pt_pfn, d->nr_pt_frames));
    if (is_64bit) {
        g_assert_cmphex(d->hv_table_mfn, ==, d->top_table_mfn);
    } else {
        const uint8_t *l3 = ram_frame(ram, d->top_table_mfn);

        g_assert_cmphex(ldq_le_p(l3 + 3 * 8) >> 12, ==, d->hv_table_mfn);
    }
}

/* And what is in it */
static void check_content(TestRam *ram, const XenPVDomain *d)
{
    const XenPVDomainConfig *cfg = &ram->cfg;
    const XenPVKernel *k = cfg->kernel;
    unsigned pfn_size = k->is_64bit ? 8 : 4;
    uint64_t image_size = k->virt_kend - k->virt_base;
    g_autofree uint8_t *image = g_malloc0(image_size);

    /* The kernel, from pfn 0 to its end, as its segments say */
    for (unsigned i = 0; i < k->nr_segments; i++) {
        const XenPVSegment *s = &k->segments[i];

        memcpy(image + s->paddr, s->data, s->filesz);
        memset(image + s->paddr + s->filesz, 0, s->memsz - s->filesz);
    }
    for (uint64_t i = 0; i < image_size; i += XENPV_PAGE_SIZE) {
        uint64_t n = MIN(XENPV_PAGE_SIZE, image_size - i);

        g_assert_cmpmem(at(ram, d, d->virt_base + i), n, image + i, n);
    }
    /* The rest up to virt_end: xenstore, stack, padding are clean */
    g_assert_true(buffer_is_zero(ram_frame(ram, d->xenstore_mfn), 4096));
    g_assert_true(buffer_is_zero(ram_frame(ram, d->xencons_mfn), 4096));
    for (uint64_t v = d->stack - 0x1000; v < d->virt_end; v += 0x1000) {
        g_assert_true(buffer_is_zero(at(ram, d, v), 4096));
    }

    /* p2m: all of RAM, and zeros */
    for (uint64_t i = 0; i < d->nr_p2m_frames * 4096 / pfn_size; i++) {
        uint64_t mfn = ldn_le_p(at(ram, d, d->mfn_list + i * pfn_size),
                                pfn_size);

        g_assert_cmphex(mfn, ==,
                        i < cfg->nr_pages ? xenpv_pfn_to_mfn(cfg, i) : 0);
    }

    /* The initrd, by pfn */
    g_assert_cmpuint(d->nr_initrd_frames, ==,
                     DIV_ROUND_UP(cfg->initrd ? cfg->initrd_len : 0, 4096));
    for (uint64_t i = 0; i < d->nr_initrd_frames; i++) {
        const uint8_t *p = ram_frame(ram, xenpv_pfn_to_mfn(cfg,
                                                           d->initrd_pfn + i));
        uint64_t n = MIN(4096, cfg->initrd_len - i * 4096);

        g_assert_cmpmem(p, n, (const uint8_t *)cfg->initrd + i * 4096, n);
        g_assert_true(n == 4096 || buffer_is_zero(p + n, 4096 - n));
    }
}

static void check_domain(TestRam *ram, const XenPVDomain *d)
{
    check_layout(ram, d);
    check_content(ram, d);
}

#define ASSERT_START_INFO(is_64bit, p, member, value) \
    g_assert_cmphex(is_64bit \
        ? ldn_le_p((p) + offsetof(struct start_info_x86_64, member), \
                   sizeof_field(struct start_info_x86_64, member)) \
        : ldn_le_p((p) + offsetof(struct start_info_x86_32, member), \
                   sizeof_field(struct start_info_x86_32, member)), \
        ==, (value))

static void check_start_info(TestRam *ram, const XenPVDomain *d,
                             uint32_t flags, uint64_t mod_start,
                             uint64_t first_p2m_pfn, uint64_t nr_p2m_frames)
{
    const XenPVDomainConfig *cfg = &ram->cfg;
    bool is_64bit = cfg->kernel->is_64bit;
    const uint8_t *p = at(ram, d, d->start_info);
    size_t cmd_line = is_64bit ? offsetof(struct start_info_x86_64, cmd_line)
                               : offsetof(struct start_info_x86_32, cmd_line);
    size_t size = is_64bit ? sizeof(struct start_info_x86_64)
                           : sizeof(struct start_info_x86_32);

    g_assert_cmpstr((char *)p, ==,
                    is_64bit ? "xen-3.0-x86_64" : "xen-3.0-x86_32p");
    ASSERT_START_INFO(is_64bit, p, nr_pages, cfg->nr_pages);
    ASSERT_START_INFO(is_64bit, p, shared_info, cfg->shared_info_mfn << 12);
    ASSERT_START_INFO(is_64bit, p, flags, flags);
    ASSERT_START_INFO(is_64bit, p, store_mfn, d->xenstore_mfn);
    ASSERT_START_INFO(is_64bit, p, store_evtchn, cfg->xenstore_evtchn);
    ASSERT_START_INFO(is_64bit, p, console.domU.mfn, d->xencons_mfn);
    ASSERT_START_INFO(is_64bit, p, console.domU.evtchn, cfg->xencons_evtchn);
    ASSERT_START_INFO(is_64bit, p, pt_base, d->start_info + 0x3000);
    ASSERT_START_INFO(is_64bit, p, nr_pt_frames, d->nr_pt_frames);
    ASSERT_START_INFO(is_64bit, p, mfn_list, d->mfn_list);
    ASSERT_START_INFO(is_64bit, p, mod_start, mod_start);
    ASSERT_START_INFO(is_64bit, p, mod_len,
                      cfg->initrd ? cfg->initrd_len : 0);
    g_assert_cmpstr((char *)p + cmd_line, ==, cfg->cmdline ?: "");
    ASSERT_START_INFO(is_64bit, p, first_p2m_pfn, first_p2m_pfn);
    ASSERT_START_INFO(is_64bit, p, nr_p2m_frames, nr_p2m_frames);
    g_assert_true(buffer_is_zero(p + size, 4096 - size));
}

/* The public headers' offsets, from a guest's point of view */
static void test_start_info_layout(void)
{
    g_assert_cmpuint(offsetof(struct start_info_x86_32, shared_info), ==, 36);
    g_assert_cmpuint(offsetof(struct start_info_x86_32, store_mfn), ==, 44);
    g_assert_cmpuint(offsetof(struct start_info_x86_32, console), ==, 52);
    g_assert_cmpuint(offsetof(struct start_info_x86_32, pt_base), ==, 60);
    g_assert_cmpuint(offsetof(struct start_info_x86_32, mod_len), ==, 76);
    g_assert_cmpuint(offsetof(struct start_info_x86_32, cmd_line), ==, 80);
    g_assert_cmpuint(offsetof(struct start_info_x86_64, shared_info), ==, 40);
    g_assert_cmpuint(offsetof(struct start_info_x86_64, store_mfn), ==, 56);
    g_assert_cmpuint(offsetof(struct start_info_x86_64, console), ==, 72);
    g_assert_cmpuint(offsetof(struct start_info_x86_64, pt_base), ==, 88);
    g_assert_cmpuint(offsetof(struct start_info_x86_64, mod_len), ==, 120);
    g_assert_cmpuint(offsetof(struct start_info_x86_64, cmd_line), ==, 128);
}

static void build(TestRam *ram, XenPVDomain *d)
{
    g_assert_true(xenpv_domain_build(&ram->cfg, d, &error_abort));
    check_domain(ram, d);
}

static void assert_bad_build(TestRam *ram, const char *text)
{
    Error *err = NULL;
    XenPVDomain d;

    g_assert_false(xenpv_domain_build(&ram->cfg, &d, &err));
    assert_error(err, text);
    /* All checks come first */
    g_assert_cmpuint(g_hash_table_size(ram->frames), ==, 0);
}

/* The kernel ends at page 0x103; 64 MiB need 0x20 or 0x10 pages of p2m */
static void test_domain_64(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = NULL;
    g_autoptr(TestRam) ram = NULL;
    XenPVDomain d;

    add_number_note(t.notes, XEN_ELFNOTE_HYPERCALL_PAGE, BASE_64 + 0x102000);
    k = load(&t);
    ram = new_ram(k, 64);
    build(ram, &d);
    g_assert_cmphex(d.mfn_list, ==, BASE_64 + 0x103000);
    g_assert_cmphex(d.p2m_pfn, ==, 0x103);
    g_assert_cmphex(d.nr_p2m_frames, ==, 0x20);
    g_assert_cmphex(d.start_info, ==, BASE_64 + 0x123000);
    g_assert_cmphex(d.virt_end, ==, BASE_64 + 0x400000);
    /* L4, L3, L2 and two L1 for 4 MiB */
    g_assert_cmpuint(d.nr_pt_frames, ==, 5);
    g_assert_cmpuint(d.nr_p2m_pt_frames, ==, 0);
    g_assert_cmphex(d.hypercall_page_mfn, ==, 0x102);
    g_assert_cmphex(d.nr_used_pages, ==, 0x400);
    check_start_info(ram, &d, XENPV_SIF_VIRT_P2M_4TOOLS, 0, 0, 0);
}

static void test_domain_32(void)
{
    TestElf t = base_elf(false);
    g_autoptr(XenPVKernel) k = load(&t);
    g_autoptr(TestRam) ram = new_ram(k, 64);
    XenPVDomain d;

    build(ram, &d);
    g_assert_cmphex(d.mfn_list, ==, BASE_32 + 0x103000);
    g_assert_cmphex(d.nr_p2m_frames, ==, 0x10);
    g_assert_cmphex(d.start_info, ==, BASE_32 + 0x113000);
    g_assert_cmphex(d.virt_end, ==, BASE_32 + 0x400000);
    /* L3, L2 and two L1 */
    g_assert_cmpuint(d.nr_pt_frames, ==, 4);
    g_assert_cmphex(d.hv_table_mfn, ==, d.top_table_mfn + 1);
    g_assert_cmphex(d.hypercall_page_mfn, ==, XENPV_UNSET);
    check_start_info(ram, &d, XENPV_SIF_VIRT_P2M_4TOOLS, 0, 0, 0);
}

/*
 * mini-os and GRUB run at 0: then there is an L2 for the hypervisor's slots,
 * and it is the only one that mini-os 4.5 expects (NOT_L1_FRAMES is 3)
 */
static void test_domain_32_low(void)
{
    TestElf t = base_elf(false);
    g_autoptr(XenPVKernel) k = NULL;
    g_autoptr(TestRam) ram = NULL;
    XenPVDomain d;

    add_number_note(t.notes, XEN_ELFNOTE_VIRT_BASE, 0);
    t.entry = 0x100000;
    k = load(&t);
    ram = new_ram(k, 64);
    build(ram, &d);
    /* L3, L2, L2 and two L1 */
    g_assert_cmpuint(d.nr_pt_frames, ==, 5);
    g_assert_cmphex(d.hv_table_mfn, ==, d.top_table_mfn + 2);
    g_assert_cmpuint(count_entries(ram, d.hv_table_mfn), ==, 0);
}

/* The region moves on by 4 MiB for the tables, the stack or the padding */
static void test_domain_growth(void)
{
    static const struct {
        uint64_t memsz;         /* of a kernel from 0 on */
        unsigned nr_pt_frames;
        uint64_t end;
    } cases[] = {
        /*
         * 4 MiB are 0x400 pages: kernel, 4 pages of p2m (8 MiB are 0x800
         * frames of 8 bytes), 3 magic pages, 5 tables, stack, 0x80 padding
         */
        { 0x400000 - 0x8d000, 5, 0x400000 },
        { 0x400000 - 0x8d000 + 1, 7, 0x800000 },
        /* The first try, without tables, is aligned already: it moves on */
        { 0x400000 - 0x88000, 7, 0x800000 },
        { 0x400000, 7, 0x800000 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        TestElf t = base_elf(true);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;
        XenPVDomain d;

        t.segments[0] = (TestSegment) {
            .filesz = 0x100, .memsz = cases[i].memsz,
        };
        t.segments[1].memsz = 0;
        t.entry = BASE_64;
        k = load(&t);
        ram = new_ram(k, 8);
        build(ram, &d);
        g_assert_cmphex(d.virt_end, ==, BASE_64 + cases[i].end);
        g_assert_cmpuint(d.nr_pt_frames, ==, cases[i].nr_pt_frames);
    }
}

static void test_domain_initrd(void)
{
    g_autoptr(GByteArray) initrd = make_content(1 * MiB + 17);

    for (unsigned i = 0; i < 4; i++) {
        bool is_64bit = i & 1;
        bool unmapped = i & 2;
        uint64_t base = is_64bit ? BASE_64 : BASE_32;
        TestElf t = base_elf(is_64bit);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;
        XenPVDomain d;

        if (unmapped) {
            add_number_note(t.notes, XEN_ELFNOTE_MOD_START_PFN, 1);
        }
        k = load(&t);
        ram = new_ram(k, 32);
        ram->cfg.initrd = initrd->data;
        ram->cfg.initrd_len = initrd->len;
        /* Not the caller's to say */
        ram->cfg.flags = XENPV_SIF_MOD_START_PFN;
        build(ram, &d);
        if (unmapped) {
            g_assert_cmphex(d.initrd_pfn, ==, (d.virt_end - base) >> 12);
            g_assert_cmphex(d.nr_used_pages, ==, d.initrd_pfn + 0x101);
            check_start_info(ram, &d, XENPV_SIF_MOD_START_PFN, d.initrd_pfn,
                             0, 0);
        } else {
            g_assert_cmphex(d.initrd_pfn, ==, 0x103);
            g_assert_cmphex(d.p2m_pfn, ==, 0x204);
            check_start_info(ram, &d, 0, base + 0x103000, 0, 0);
        }
    }
}

static void test_domain_no_initrd(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = NULL;
    g_autoptr(TestRam) ram = NULL;
    XenPVDomain d;

    add_number_note(t.notes, XEN_ELFNOTE_MOD_START_PFN, 1);
    k = load(&t);
    ram = new_ram(k, 32);
    ram->cfg.initrd = "";
    ram->cfg.initrd_len = 0;
    ram->cfg.cmdline = "";
    build(ram, &d);
    check_start_info(ram, &d, XENPV_SIF_VIRT_P2M_4TOOLS, 0, 0, 0);
}

/* As Linux has it: both elsewhere, and the p2m list with its own tables */
static void test_domain_init_p2m(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = NULL;
    g_autoptr(TestRam) ram = NULL;
    g_autoptr(GByteArray) initrd = make_content(1 * MiB + 17);
    XenPVDomain d;

    add_number_note(t.notes, XEN_ELFNOTE_MOD_START_PFN, 1);
    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    k = load(&t);
    ram = new_ram(k, 1024);
    ram->cfg.initrd = initrd->data;
    ram->cfg.initrd_len = initrd->len;
    build(ram, &d);
    g_assert_cmphex(d.start_info, ==, BASE_64 + 0x103000);
    g_assert_cmphex(d.virt_end, ==, BASE_64 + 0x400000);
    g_assert_cmphex(d.mfn_list, ==, 0x8000000000);
    g_assert_cmpuint(d.nr_pt_frames, ==, 5);
    g_assert_cmphex(d.initrd_pfn, ==, 0x400);
    g_assert_cmphex(d.p2m_pfn, ==, 0x501);
    g_assert_cmphex(d.nr_p2m_frames, ==, 0x200);
    g_assert_cmphex(d.p2m_pt_pfn, ==, 0x701);
    /* L3, L2 and one L1 for exactly 2 MiB */
    g_assert_cmpuint(d.nr_p2m_pt_frames, ==, 3);
    g_assert_cmphex(d.nr_used_pages, ==, 0x704);
    check_start_info(ram, &d,
                     XENPV_SIF_VIRT_P2M_4TOOLS | XENPV_SIF_MOD_START_PFN,
                     0x400, 0x501, 0x203);
}

/* The list shares tables with the kernel that is above it */
static void test_domain_init_p2m_near(void)
{
    static const struct {
        uint64_t init_p2m;
        unsigned nr_tables;
    } cases[] = {
        { BASE_64 - 0x8000000000, 3 },  /* another L4 slot: L3, L2, L1 */
        { BASE_64 - 0x40000000, 2 },    /* another L3 slot: L2, L1 */
        { BASE_64 - 0x100000, 2 },      /* up to the kernel, the same */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        TestElf t = base_elf(true);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;
        XenPVDomain d;

        add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, cases[i].init_p2m);
        k = load(&t);
        ram = new_ram(k, 512);
        build(ram, &d);
        g_assert_cmphex(d.mfn_list, ==, cases[i].init_p2m);
        g_assert_cmphex(d.nr_p2m_frames, ==, 0x100);
        g_assert_cmpuint(d.nr_p2m_pt_frames, ==, cases[i].nr_tables);
    }

    /* In the middle of an L2's range: it and an L1 are shared */
    {
        TestElf t = base_elf(true);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;
        XenPVDomain d;

        add_number_note(t.notes, XEN_ELFNOTE_VIRT_BASE, BASE_64 + 0x10100000);
        add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, BASE_64 + 0x10000000);
        t.entry = BASE_64 + 0x10200000;
        k = load(&t);
        ram = new_ram(k, 512);
        build(ram, &d);
        g_assert_cmpuint(d.nr_p2m_pt_frames, ==, 0);
        g_assert_cmphex(d.mfn_list, ==, BASE_64 + 0x10000000);
    }
}

/* RAM in two pieces, and everything across the hole */
static void test_domain_hole(void)
{
    g_autoptr(GByteArray) initrd = make_content(2 * MiB);

    for (unsigned i = 0; i < 4; i++) {
        TestElf t = base_elf(i & 1);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;
        XenPVDomain d;

        if (i & 2) {
            add_number_note(t.notes, XEN_ELFNOTE_MOD_START_PFN, 1);
            add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
        }
        k = load(&t);
        ram = new_ram(k, 256);
        ram->cfg.initrd = initrd->data;
        ram->cfg.initrd_len = initrd->len;
        ram->cfg.hole_pfn = 0x101;
        ram->cfg.hole_pages = 0x12345;
        build(ram, &d);
        g_assert_cmphex(d.start_info_mfn, >, 0x12345);
    }
}

/* As after a reset: over what a guest has left, the same */
static void test_domain_again(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = load(&t);
    g_autoptr(TestRam) ram = new_ram(k, 32);
    XenPVDomain first, second;
    GHashTableIter iter;
    gpointer page;

    build(ram, &first);
    g_hash_table_iter_init(&iter, ram->frames);
    while (g_hash_table_iter_next(&iter, NULL, &page)) {
        memset(page, 0x5a, 4096);
    }
    build(ram, &second);
    g_assert_cmpmem(&first, sizeof(first), &second, sizeof(second));
}

static void *zeroed_frame(void *opaque, uint64_t mfn)
{
    TestRam *ram = opaque;
    bool touched = g_hash_table_contains(ram->frames, &mfn);
    void *p = ram_frame(ram, mfn);

    return touched ? p : memset(p, 0, XENPV_PAGE_SIZE);
}

/*
 * RAM that is zero becomes the same domain, and its pages without contents are
 * not touched: they would take memory of the host's. One of the kernel's segments
 * overlaps another with zeroes, which must be written then.
 */
static void zero_ram(bool is_64bit)
{
    TestElf t = base_elf(is_64bit);
    g_autoptr(XenPVKernel) k = load(&t);
    g_autoptr(TestRam) ram = new_ram(k, 32), zero = new_ram(k, 32);
    g_autofree uint8_t *initrd = g_malloc0(3 * XENPV_PAGE_SIZE);
    XenPVSegment seg = k->segments[0];
    unsigned nr_written;
    XenPVDomain d, d2;

    seg.memsz = seg.filesz = 1;
    seg.data = initrd;
    k->segments = g_renew(XenPVSegment, k->segments, k->nr_segments + 1);
    k->segments[k->nr_segments++] = seg;
    initrd[2 * XENPV_PAGE_SIZE] = 1;
    ram->cfg.initrd = zero->cfg.initrd = initrd;
    ram->cfg.initrd_len = zero->cfg.initrd_len = 3 * XENPV_PAGE_SIZE;
    zero->cfg.ram_is_zero = true;
    zero->cfg.frame = zeroed_frame;
    g_assert_true(xenpv_domain_check(&zero->cfg, &error_abort));
    g_assert_cmpuint(g_hash_table_size(zero->frames), ==, 0);

    build(ram, &d);
    g_assert_true(xenpv_domain_build(&zero->cfg, &d2, &error_abort));
    g_assert_cmpmem(&d, sizeof(d), &d2, sizeof(d2));
    nr_written = g_hash_table_size(zero->frames);
    g_assert_cmpuint(nr_written, <, d.nr_used_pages / 2);
    for (uint64_t pfn = 0; pfn < d.nr_used_pages; pfn++) {
        g_assert_cmpmem(ram_frame(ram, pfn), XENPV_PAGE_SIZE,
                        zeroed_frame(zero, pfn), XENPV_PAGE_SIZE);
    }
}

static void test_domain_zero_ram(void)
{
    zero_ram(true);
    zero_ram(false);
}

static void test_domain_large(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = NULL;
    g_autoptr(TestRam) ram = NULL;
    XenPVDomain d;

    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    k = load(&t);
    ram = new_ram(k, 8 * 1024);
    build(ram, &d);
    g_assert_cmpuint(d.nr_p2m_frames, ==, 0x1000);
    g_assert_cmpuint(d.nr_p2m_pt_frames, ==, 10);

    /* The largest 32-bit guest: its list takes 16 MiB, within the mapping */
    xenpv_kernel_free(k);
    free_ram(ram);
    t = base_elf(false);
    k = load(&t);
    ram = new_ram(k, 16 * 1024);
    build(ram, &d);
    g_assert_cmpuint(d.nr_p2m_frames, ==, 0x1000);
    g_assert_cmphex(d.virt_end, ==, BASE_32 + 0x1400000);
    g_assert_cmpuint(d.nr_pt_frames, ==, 2 + 10);
}

static void test_domain_cmdline(void)
{
    for (unsigned is_64bit = 0; is_64bit < 2; is_64bit++) {
        TestElf t = base_elf(is_64bit);
        g_autoptr(XenPVKernel) k = load(&t);
        g_autoptr(TestRam) ram = new_ram(k, 32);
        g_autofree char *text = g_strnfill(1024, 'x');
        XenPVDomain d;

        ram->cfg.cmdline = text;
        assert_bad_build(ram, "-append: the command line has 1024 characters");
        text[1023] = 0;
        build(ram, &d);
        check_start_info(ram, &d, XENPV_SIF_VIRT_P2M_4TOOLS, 0, 0, 0);
        ram->cfg.cmdline = NULL;
        build(ram, &d);
    }
}

static void test_domain_too_small(void)
{
    for (unsigned is_64bit = 0; is_64bit < 2; is_64bit++) {
        TestElf t = base_elf(is_64bit);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;
        XenPVDomain d;

        t.segments[1].memsz = 8 * MiB;
        k = load(&t);
        ram = new_ram(k, 8);
        assert_bad_build(ram, "-kernel: it does not fit into the 8 MiB");
        ram->cfg.nr_pages = 0;
        assert_bad_build(ram, "-kernel: it does not fit");
        /* 12 MiB are needed, to the page */
        ram->cfg.nr_pages = 12 * 256 - 1;
        assert_bad_build(ram, "-m: 11 MiB of RAM are not enough: this kernel's "
                         "initial mapping takes 12 MiB");
        ram->cfg.nr_pages = 12 * 256;
        build(ram, &d);
        ram->cfg.nr_pages = (9 * MiB >> 12) + 0x103 - 0x100 + 1;
        g_hash_table_remove_all(ram->frames);
        assert_bad_build(ram, "-m: ");
    }
}

static void test_domain_initrd_too_large(void)
{
    for (unsigned i = 0; i < 4; i++) {
        TestElf t = base_elf(i & 1);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;

        if (i & 2) {
            add_number_note(t.notes, XEN_ELFNOTE_MOD_START_PFN, 1);
        }
        k = load(&t);
        ram = new_ram(k, 16);
        ram->cfg.initrd = "it is not read";
        ram->cfg.initrd_len = 16 * MiB;
        assert_bad_build(ram, "-initrd: it does not fit into the 16 MiB");
        ram->cfg.initrd_len = UINT64_MAX;
        assert_bad_build(ram, "-initrd: it does not fit into the 16 MiB");
        ram->cfg.initrd_len = UINT64_MAX - 4095;
        assert_bad_build(ram, "-initrd: it does not fit into the 16 MiB");
        if (!(i & 2)) {
            /* Enough RAM, but not enough addresses */
            ram->cfg.nr_pages = 8 * GiB >> 12;
            ram->cfg.initrd_len = 3 * GiB;
            assert_bad_build(ram, "-initrd: it does not fit into the kernel's "
                             "address space");
        }
    }
}

static void test_domain_address_space(void)
{
    TestElf t;
    XenPVKernel *k;
    TestRam *ram;

    /* The image fits below the hypervisor, but its initial mapping does not */
    t = base_elf(false);
    add_number_note(t.notes, XEN_ELFNOTE_VIRT_BASE, 0xf5400000);
    t.entry = 0xf5500000;
    t.segments[1].memsz = 0x400000 - 0x102000 - 0x8000;
    k = load(&t);
    ram = new_ram(k, 16);
    assert_bad_build(ram, "-kernel: its initial mapping does not fit");
    ram->cfg.nr_pages = 1 * GiB >> 12;
    assert_bad_build(ram, "-m: the list of its frames does not fit into the "
                     "kernel's address space");
    free_ram(ram);
    xenpv_kernel_free(k);

    /* ... nor at the end of the address space */
    t = base_elf(true);
    add_number_note(t.notes, XEN_ELFNOTE_VIRT_BASE, 0xffffffffffc00000);
    t.entry = 0xffffffffffd00000;
    k = load(&t);
    ram = new_ram(k, 16);
    assert_bad_build(ram, "-kernel: its initial mapping does not fit");
    free_ram(ram);
    xenpv_kernel_free(k);

    /* INIT_P2M in front of the kernel, or of the hypervisor */
    t = base_elf(true);
    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, BASE_64 - 0x1000);
    k = load(&t);
    ram = new_ram(k, 16);
    assert_bad_build(ram, "-kernel: its INIT_P2M");
    free_ram(ram);
    xenpv_kernel_free(k);
    t = base_elf(true);
    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0x7ffffffff000);
    k = load(&t);
    ram = new_ram(k, 16);
    assert_bad_build(ram, "-kernel: its INIT_P2M");
    free_ram(ram);
    xenpv_kernel_free(k);
    t = base_elf(true);
    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0xffff800000000000);
    k = load(&t);
    ram = new_ram(k, 16);
    assert_bad_build(ram, "-kernel: its INIT_P2M");
    free_ram(ram);
    xenpv_kernel_free(k);
}

static void test_domain_limits(void)
{
    TestElf t = base_elf(false);
    XenPVKernel *k = load(&t);
    TestRam *ram = new_ram(k, 16);

    ram->cfg.nr_pages = UINT32_MAX;
    assert_bad_build(ram, "-m: 16777215 MiB of RAM are too much");
    free_ram(ram);
    xenpv_kernel_free(k);
    t = base_elf(true);
    k = load(&t);
    ram = new_ram(k, 16);
    ram->cfg.nr_pages = UINT64_MAX;
    assert_bad_build(ram, "are too much");
    free_ram(ram);
    xenpv_kernel_free(k);
}

static void test_domain_hypercall_page(void)
{
    static const struct {
        uint64_t note, mfn;
    } cases[] = {
        { BASE_64, 0 },
        { BASE_64 + 0x101800, 0x101 },
        { BASE_64 + 0x3fffff, 0x3ff },
        { BASE_64 - 1, XENPV_UNSET },
        { BASE_64 + 0x400000, XENPV_UNSET },
        { 0, XENPV_UNSET },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        TestElf t = base_elf(true);
        g_autoptr(XenPVKernel) k = NULL;
        g_autoptr(TestRam) ram = NULL;
        XenPVDomain d;

        add_number_note(t.notes, XEN_ELFNOTE_HYPERCALL_PAGE, cases[i].note);
        k = load(&t);
        ram = new_ram(k, 16);
        if (cases[i].mfn == XENPV_UNSET) {
            assert_bad_build(ram, "-kernel: its HYPERCALL_PAGE");
        } else {
            build(ram, &d);
            g_assert_cmphex(d.hypercall_page_mfn, ==, cases[i].mfn);
        }
    }
}

static void *no_frame(void *opaque, uint64_t mfn)
{
    return mfn == 0x110 ? NULL : ram_frame(opaque, mfn);
}

static void test_domain_no_frame(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = load(&t);
    g_autoptr(TestRam) ram = new_ram(k, 16);
    Error *err = NULL;
    XenPVDomain d;

    ram->cfg.frame = no_frame;
    g_assert_false(xenpv_domain_build(&ram->cfg, &d, &err));
    assert_error(err, "frame 0x110 has no memory");
}

static void test_hypercall_page(void)
{
    static const uint8_t stub64[] = {
        0x51, 0x41, 0x53, 0xb8, 0x7f, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59,
        0xc3, 0xcc,
    };
    static const uint8_t iret64[] = {
        0x51, 0x41, 0x53, 0x50, 0xb8, 23, 0, 0, 0, 0x0f, 0x05, 0xcc,
    };
    static const uint8_t stub32[] = {
        0xb8, 0x7f, 0, 0, 0, 0xcd, 0x82, 0xc3, 0xcc,
    };
    static const uint8_t iret32[] = {
        0x50, 0xb8, 23, 0, 0, 0, 0xcd, 0x82, 0xcc,
    };
    uint8_t page[4096];

    xenpv_fill_hypercall_page(page, true);
    g_assert_cmpmem(page + 127 * 32, sizeof(stub64), stub64, sizeof(stub64));
    g_assert_cmpmem(page + 23 * 32, sizeof(iret64), iret64, sizeof(iret64));
    for (unsigned i = 0; i < 128; i++) {
        g_assert_cmpuint(ldl_le_p(page + i * 32 + (i == 23 ? 5 : 4)), ==, i);
    }
    xenpv_fill_hypercall_page(page, false);
    g_assert_cmpmem(page + 127 * 32, sizeof(stub32), stub32, sizeof(stub32));
    g_assert_cmpmem(page + 23 * 32, sizeof(iret32), iret32, sizeof(iret32));
    for (unsigned i = 0; i < 128; i++) {
        g_assert_cmpuint(ldl_le_p(page + i * 32 + (i == 23 ? 2 : 1)), ==, i);
    }
}

/* ------------------------------------------------------------------------ */
/* Files that nobody made                                                   */

/* Any outcome is fine, but if it is an error, then with its reason */
static void try_file(const uint8_t *data, size_t len)
{
    /* A copy of its own, so that sanitizers see its end */
    g_autofree uint8_t *copy = g_memdup2(data, len);
    g_autoptr(XenPVKernel) k = NULL;
    Error *err = NULL;

    k = xenpv_kernel_parse(copy, len, true, &err);
    g_assert_true(!k == !!err);
    if (k) {
        g_autoptr(TestRam) ram = new_ram(k, 16);
        XenPVDomain d;
        bool ok = xenpv_domain_build(&ram->cfg, &d, &err);

        g_assert_true(!ok == !!err);
    }
    error_free(err);
}

static void test_mutated(void)
{
    static const uint64_t values[] = {
        0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000,
        0xfffffff0, 0xffffffff, 0x100000000, INT64_MAX, UINT64_MAX,
        UINT64_MAX - 0xfff, BASE_64, BASE_32, 0x1000, 0x100000,
    };
    g_autoptr(GRand) rand = g_rand_new_with_seed(20080);
    unsigned rounds = g_test_slow() ? 40000 : 1200;

    for (unsigned kind = 0; kind < NR_KINDS; kind++) {
        g_autoptr(GByteArray) file = rich_elf(kind);

        for (unsigned i = 0; i < rounds / NR_KINDS; i++) {
            g_autofree uint8_t *data = g_memdup2(file->data, file->len);
            unsigned n = g_rand_int_range(rand, 1, 4);

            while (n--) {
                static const unsigned sizes[] = { 1, 2, 4, 8 };
                unsigned size = sizes[g_rand_int_range(rand, 0, 4)];
                size_t where = g_rand_int_range(rand, 0, file->len - 8);
                uint64_t value = g_rand_boolean(rand)
                    ? values[g_rand_int_range(rand, 0, ARRAY_SIZE(values))]
                    : ldn_le_p(data + where, size) +
                      g_rand_int_range(rand, -9, 10);

                stn_le_p(data + where, size, value);
            }
            try_file(data, file->len);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/elf/bad/mutated", test_mutated);
    g_test_add_func("/xenpv/domain/start-info", test_start_info_layout);
    g_test_add_func("/xenpv/domain/64", test_domain_64);
    g_test_add_func("/xenpv/domain/32", test_domain_32);
    g_test_add_func("/xenpv/domain/32/low", test_domain_32_low);
    g_test_add_func("/xenpv/domain/growth", test_domain_growth);
    g_test_add_func("/xenpv/domain/initrd", test_domain_initrd);
    g_test_add_func("/xenpv/domain/initrd/none", test_domain_no_initrd);
    g_test_add_func("/xenpv/domain/init-p2m", test_domain_init_p2m);
    g_test_add_func("/xenpv/domain/init-p2m/near", test_domain_init_p2m_near);
    g_test_add_func("/xenpv/domain/hole", test_domain_hole);
    g_test_add_func("/xenpv/domain/again", test_domain_again);
    g_test_add_func("/xenpv/domain/zero-ram", test_domain_zero_ram);
    g_test_add_func("/xenpv/domain/large", test_domain_large);
    g_test_add_func("/xenpv/domain/cmdline", test_domain_cmdline);
    g_test_add_func("/xenpv/domain/hypercall-page", test_domain_hypercall_page);
    g_test_add_func("/xenpv/domain/bad/ram", test_domain_too_small);
    g_test_add_func("/xenpv/domain/bad/initrd", test_domain_initrd_too_large);
    g_test_add_func("/xenpv/domain/bad/addresses", test_domain_address_space);
    g_test_add_func("/xenpv/domain/bad/limits", test_domain_limits);
    g_test_add_func("/xenpv/domain/bad/frame", test_domain_no_frame);
    g_test_add_func("/xenpv/hypercall-page", test_hypercall_page);
    return g_test_run();
}
