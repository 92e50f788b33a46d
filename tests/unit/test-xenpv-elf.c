/*
 * Unit test of what the xenpv-kvm machine understands of a kernel
 *
 * Sources needed beside this file: hw/xenpv/xenpv-kernel.c,
 * hw/xenpv/xenpv-elf.c, hw/xenpv/xenpv-elf-notes.c, hw/xenpv/xenpv-unpack.c and
 * hw/xenpv/xenpv-text.c.
 *
 * A broken reader would show as a kernel that is refused, or dies before its
 * first message, in a different way for each kernel; or as a file that crashes
 * the machine. So there are tests of what well-formed kernels say, and of files
 * that must be refused, with the reason, each built for a bound.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/xen/interface/features.h"
#include "xenpv-kernels.h"

/* ------------------------------------------------------------------------ */
/* What kernels say                                                         */

static void test_notes_64(void)
{
    TestElf t = base_elf(true);
    uint64_t l1_mfn_valid[] = { cpu_to_le64(3), cpu_to_le64(1) };
    g_autoptr(XenPVKernel) k = NULL;

    add_note_as(t.notes, "GNU", XEN_ELFNOTE_ENTRY, "not mine", 8);
    add_number_note(t.notes, XEN_ELFNOTE_ENTRY, BASE_64 + 0x101000);
    add_number_note(t.notes, XEN_ELFNOTE_HYPERCALL_PAGE, BASE_64 + 0x102000);
    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    add_number_note(t.notes, XEN_ELFNOTE_MOD_START_PFN, 1);
    add_number_note(t.notes, XEN_ELFNOTE_PADDR_OFFSET, 0);
    add_number_note(t.notes, XEN_ELFNOTE_HV_START_LOW, 0xffff800000000000);
    add_number_note(t.notes, XEN_ELFNOTE_SUSPEND_CANCEL, 1);
    add_number_note(t.notes, XEN_ELFNOTE_SUPPORTED_FEATURES,
                    1 << XENFEAT_hvm_callback_vector);
    add_text_note(t.notes, XEN_ELFNOTE_FEATURES,
                  "!writable_page_tables|pae_pgdir_above_4gb|no_such_thing");
    add_note_as(t.notes, "Xen", XEN_ELFNOTE_L1_MFN_VALID, l1_mfn_valid,
                sizeof(l1_mfn_valid));
    add_text_note(t.notes, XEN_ELFNOTE_GUEST_VERSION, "2.6\33[2J");
    add_number_note(t.notes, 0x1234, 0);
    k = load(&t);

    g_assert_true(k->is_64bit);
    g_assert_cmphex(k->virt_base, ==, BASE_64);
    g_assert_cmphex(k->paddr_offset, ==, 0);
    g_assert_cmphex(k->virt_entry, ==, BASE_64 + 0x101000);
    g_assert_cmphex(k->virt_hypercall, ==, BASE_64 + 0x102000);
    g_assert_cmphex(k->virt_kstart, ==, BASE_64 + 0x100000);
    g_assert_cmphex(k->virt_kend, ==, BASE_64 + 0x102f23);
    g_assert_cmphex(k->init_p2m, ==, 0x8000000000);
    g_assert_cmphex(k->hv_start_low, ==, 0xffff800000000000);
    g_assert_true(k->unmapped_initrd);
    g_assert_true(k->suspend_cancel);
    g_assert_false(k->bsd_symtab);
    g_assert_true(k->has_l1_mfn_valid);
    g_assert_cmphex(k->l1_mfn_mask, ==, 3);
    g_assert_cmphex(k->l1_mfn_value, ==, 1);
    g_assert_cmphex(k->features_supported, ==,
                    1 << XENFEAT_hvm_callback_vector |
                    1 << XENFEAT_writable_page_tables |
                    1 << XENFEAT_pae_pgdir_above_4gb);
    g_assert_cmphex(k->features_required, ==,
                    1 << XENFEAT_writable_page_tables);
    g_assert_cmpstr(k->guest_os, ==, "testos");
    /* It may be printed: no control characters */
    g_assert_cmpstr(k->guest_version, ==, "2.6?[2J");
    g_assert_cmpstr(k->loader, ==, "generic");
    g_assert_cmpstr(k->xen_version, ==, "xen-3.0");
    g_assert_cmpstr(k->format, ==, "64-bit ELF, ELF notes");

    g_assert_cmpuint(k->nr_segments, ==, 2);
    g_assert_cmphex(k->segments[1].paddr, ==, 0x102000);
    g_assert_cmphex(k->segments[1].memsz, ==, 0xf23);
    g_assert_cmphex(k->segments[1].filesz, ==, 0x123);
    g_assert_cmphex(k->segments[1].data[5], ==, content_of(1, 5));
}

static void test_notes_32(void)
{
    TestElf t = base_elf(false);
    uint32_t l1_mfn_valid[] = { cpu_to_le32(1), cpu_to_le32(1) };
    g_autoptr(XenPVKernel) k = NULL;

    /* With virtual addresses in p_paddr, and told so */
    t.segments[0].paddr += BASE_32;
    t.segments[1].paddr += BASE_32;
    add_number_note(t.notes, XEN_ELFNOTE_PADDR_OFFSET, BASE_32);
    add_note_as(t.notes, "Xen", XEN_ELFNOTE_L1_MFN_VALID, l1_mfn_valid,
                sizeof(l1_mfn_valid));
    /* Not for 32-bit kernels: ignored */
    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0x80000000);
    /* In a section, and no segment */
    t.notes_in_section = true;
    k = load(&t);

    g_assert_false(k->is_64bit);
    g_assert_cmpint(k->pae, ==, XENPV_PAE_EXTCR3);
    g_assert_cmphex(k->virt_base, ==, BASE_32);
    g_assert_cmphex(k->virt_entry, ==, BASE_32 + 0x100040);
    g_assert_cmphex(k->virt_kstart, ==, BASE_32 + 0x100000);
    g_assert_cmphex(k->virt_kend, ==, BASE_32 + 0x102f23);
    g_assert_cmphex(k->virt_hypercall, ==, XENPV_UNSET);
    g_assert_cmphex(k->init_p2m, ==, XENPV_UNSET);
    g_assert_cmphex(k->hv_start_low, ==, XENPV_UNSET);
    g_assert_false(k->unmapped_initrd);
    g_assert_true(k->has_l1_mfn_valid);
    g_assert_cmphex(k->l1_mfn_mask, ==, 1);
    g_assert_cmphex(k->segments[0].paddr, ==, 0x100000);
    g_assert_cmpstr(k->format, ==, "32-bit ELF, ELF notes");
}

/* Without a VIRT_BASE note: 0; Linux needs no LOADER */
static void test_notes_defaults(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = NULL;

    g_byte_array_set_size(t.notes, 0);
    add_text_note(t.notes, XEN_ELFNOTE_GUEST_OS, "linux-like");
    add_text_note(t.notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0.1");
    t.entry = 0x100040;
    k = load(&t);
    g_assert_cmphex(k->virt_base, ==, 0);
    g_assert_cmphex(k->paddr_offset, ==, 0);
    g_assert_cmphex(k->virt_entry, ==, 0x100040);
}

/* INIT_P2M is ignored where Xen's tools ignore it */
static void test_notes_init_p2m(void)
{
    static const struct {
        uint64_t note, result;
    } cases[] = {
        { 0x8000000000, 0x8000000000 },
        { 0x8000000010, XENPV_UNSET },              /* alignment */
        { BASE_64 + 0x40000000, XENPV_UNSET },      /* above VIRT_BASE */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        TestElf t = base_elf(true);
        g_autoptr(XenPVKernel) k = NULL;

        add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, cases[i].note);
        k = load(&t);
        g_assert_cmphex(k->init_p2m, ==, cases[i].result);
    }
}

static void test_pae_mode(void)
{
    static const struct {
        const char *note, *guest_info;
        XenPVPAE pae;
    } cases[] = {
        { "yes", "PAE=yes[extended-cr3]", XENPV_PAE_EXTCR3 },
        { "bimodal", NULL, XENPV_PAE_BIMODAL },
        { "yes,bimodal", NULL, XENPV_PAE_BIMODAL },
        { NULL, "PAE=yes", XENPV_PAE_YES },
        { "no", "PAE=no", XENPV_PAE_NO },
        { "", "PAE=", XENPV_PAE_NO },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned legacy = 0; legacy < 2; legacy++) {
            TestElf t = base_elf(false);
            const char *mode = legacy ? cases[i].guest_info : cases[i].note;
            g_autofree char *info = NULL;
            g_autoptr(XenPVKernel) k = NULL;

            if (!mode) {
                free_elf(&t);
                continue;
            }
            g_byte_array_set_size(t.notes, 0);
            if (legacy) {
                info = g_strdup_printf("LOADER=generic,XEN_VER=xen-3.0,"
                                       "VIRT_BASE=0xc0000000,"
                                       "ELF_PADDR_OFFSET=0,%s",
                                       mode);
                t.guest_info = info;
            } else {
                add_text_note(t.notes, XEN_ELFNOTE_LOADER, "generic");
                add_text_note(t.notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
                add_number_note(t.notes, XEN_ELFNOTE_VIRT_BASE, BASE_32);
                add_text_note(t.notes, XEN_ELFNOTE_PAE_MODE, mode);
            }
            if (cases[i].pae == XENPV_PAE_NO) {
                assert_bad_elf(&t, "without PAE");
            } else {
                k = load(&t);
                g_assert_cmpint(k->pae, ==, cases[i].pae);
            }
        }
    }
}

/* The section __xen_guest of kernels that are older than notes */
static void test_xen_guest(void)
{
    TestElf t = base_elf(false);
    g_autoptr(XenPVKernel) k = NULL;
    GByteArray *notes = t.notes;

    /* Notes of others do not count */
    t.notes = g_byte_array_new();
    add_note_as(t.notes, "GNU", 3, "build-id", 8);
    t.guest_info = "GUEST_OS=linux,GUEST_VER=2.6.16,XEN_VER=xen-3.0,"
                   "VIRT_BASE=0xC0000000,VIRT_ENTRY=0xC0101000,"
                   "HYPERCALL_PAGE=0x102,PAE=yes,UNKNOWN,"
                   "FEATURES=!writable_page_tables|supervisor_mode_kernel,"
                   "LOADER=generic";
    /* Here the default of ELF_PADDR_OFFSET is VIRT_BASE */
    t.segments[0].paddr += BASE_32;
    t.segments[1].paddr += BASE_32;
    k = load(&t);

    g_assert_cmpstr(k->guest_os, ==, "linux");
    g_assert_cmpstr(k->guest_version, ==, "2.6.16");
    g_assert_cmpstr(k->loader, ==, "generic");
    g_assert_cmphex(k->paddr_offset, ==, BASE_32);
    g_assert_cmphex(k->virt_kstart, ==, BASE_32 + 0x100000);
    g_assert_cmphex(k->virt_entry, ==, BASE_32 + 0x101000);
    g_assert_cmphex(k->virt_hypercall, ==, BASE_32 + 0x102000);
    g_assert_cmphex(k->segments[0].paddr, ==, 0x100000);
    g_assert_cmphex(k->features_required, ==,
                    1 << XENFEAT_writable_page_tables);
    g_assert_cmphex(k->features_supported, ==,
                    1 << XENFEAT_writable_page_tables |
                    1 << XENFEAT_supervisor_mode_kernel);
    g_assert_cmpstr(k->format, ==, "32-bit ELF, __xen_guest");

    /* Where there are both, notes win */
    xenpv_kernel_free(k);
    t = base_elf(false);
    t.guest_info = "VIRT_BASE=nonsense";
    k = load(&t);
    g_assert_cmpstr(k->guest_os, ==, "testos");
    g_byte_array_unref(notes);
}

static void test_bsd_symtab(void)
{
    for (unsigned is_64bit = 0; is_64bit < 2; is_64bit++) {
        TestElf t = base_elf(is_64bit);
        g_autoptr(XenPVKernel) k = NULL;
        uint64_t base = is_64bit ? BASE_64 : BASE_32;
        uint64_t align = is_64bit ? 8 : 4;
        const XenPVSegment *seg;
        const uint8_t *elf, *shdr;
        uint64_t symtab_at, strtab_at;

        t.symbols = true;
        add_text_note(t.notes, XEN_ELFNOTE_BSD_SYMTAB, "yes");
        k = load(&t);
        g_assert_true(k->bsd_symtab);
        g_assert_cmpuint(k->nr_segments, ==, 3);
        seg = &k->segments[2];
        g_assert_cmphex(seg->paddr, ==, ROUND_UP(0x102f23, align));
        g_assert_cmphex(seg->filesz, ==, seg->memsz);
        g_assert_cmphex(k->virt_kend, ==, base + seg->paddr + seg->memsz);

        /* A size, and an ELF file of that size */
        elf = seg->data + 4;
        g_assert_cmpuint(memcmp(elf, ELFMAG, SELFMAG), ==, 0);
        g_assert_cmpuint(GET(elf, Ehdr, e_shnum), ==, 3);
        g_assert_cmpuint(GET(elf, Ehdr, e_phnum), ==, 0);
        shdr = elf + GET(elf, Ehdr, e_shoff) + GET(elf, Ehdr, e_shentsize);
        g_assert_cmpuint(GET(shdr, Shdr, sh_type), ==, SHT_SYMTAB);
        g_assert_cmpuint(GET(shdr, Shdr, sh_link), ==, 2);
        symtab_at = GET(shdr, Shdr, sh_offset);
        g_assert_cmpuint((symtab_at + 4) % align, ==, 0);
        g_assert_cmpmem(elf + symtab_at, GET(shdr, Shdr, sh_size),
                        symtab_content, sizeof(symtab_content));
        shdr += GET(elf, Ehdr, e_shentsize);
        g_assert_cmpuint(GET(shdr, Shdr, sh_type), ==, SHT_STRTAB);
        strtab_at = GET(shdr, Shdr, sh_offset);
        g_assert_cmpmem(elf + strtab_at, GET(shdr, Shdr, sh_size),
                        strtab_content, sizeof(strtab_content));
        g_assert_cmpuint(ldl_le_p(seg->data), ==,
                         strtab_at + sizeof(strtab_content));
        g_assert_cmpuint(ROUND_UP(ldl_le_p(seg->data) + 4, align), ==,
                         seg->memsz);
    }
}

/* A stripped kernel starts nevertheless */
static void test_bsd_symtab_stripped(void)
{
    TestElf t = base_elf(true);
    g_autoptr(XenPVKernel) k = NULL;

    add_text_note(t.notes, XEN_ELFNOTE_BSD_SYMTAB, "yes");
    k = load(&t);
    g_assert_false(k->bsd_symtab);
    g_assert_cmpuint(k->nr_segments, ==, 2);
    g_assert_cmphex(k->virt_kend, ==, BASE_64 + 0x102f23);
}

/* An image that ends where symbols behind it would begin at address 0 again */
static void test_bsd_symtab_wraps(void)
{
    for (unsigned left = 0; left < 16; left++) {
        TestElf t = base_elf(true);

        t.symbols = true;
        add_text_note(t.notes, XEN_ELFNOTE_BSD_SYMTAB, "yes");
        t.entry = BASE_64 + 0x40;
        t.segments[0].paddr = 0;
        t.segments[0].memsz = UINT64_MAX - left;
        t.segments[1].memsz = 0;
        assert_bad_elf(&t, "where it cannot be");
    }
    /* The same by an offset, for an image that is small */
    for (unsigned is_64bit = 0; is_64bit < 2; is_64bit++) {
        TestElf t = base_elf(is_64bit);

        t.symbols = true;
        add_text_note(t.notes, XEN_ELFNOTE_BSD_SYMTAB, "yes");
        add_number_note(t.notes, XEN_ELFNOTE_PADDR_OFFSET, 0x102f24);
        assert_bad_elf(&t, "where it cannot be");
    }
}

/* Two sections that are the whole file: symbols take twice its size */
static void test_bsd_symtab_too_large(void)
{
    TestElf t = base_elf(true);
    bool is_64bit = true;
    g_autoptr(GByteArray) file = NULL;
    uint8_t *shdr;

    t.symbols = true;
    add_text_note(t.notes, XEN_ELFNOTE_BSD_SYMTAB, "yes");
    file = make_elf(&t);
    pad_to(file, 33 * MiB);
    shdr = file->data + GET(file->data, Ehdr, e_shoff) + 4 * SIZE(Shdr);
    for (unsigned i = 0; i < 2; i++, shdr += SIZE(Shdr)) {
        SET(shdr, Shdr, sh_offset, 0);
        SET(shdr, Shdr, sh_size, file->len);
    }
    assert_bad_file(file->data, file->len, true, "symbols are too large");
    free_elf(&t);
}

/* GRUB's last note claims more than the file has; the text is there, though */
static void test_note_text_beyond_file(void)
{
    g_autoptr(GByteArray) file = g_byte_array_new();
    TestElf t = base_elf(false);
    bool is_64bit = false;
    GByteArray *elf, *notes;
    g_autoptr(XenPVKernel) k = NULL;
    uint8_t *phdr;

    /* The notes' segment moves to the end of the file, without sections */
    elf = make_elf(&t);
    notes = t.notes;
    g_byte_array_append(file, elf->data, elf->len);
    stw_le_p(file->data + offsetof(Elf32_Ehdr, e_shnum), 0);
    phdr = file->data + sizeof(Elf32_Ehdr) + 2 * sizeof(Elf32_Phdr);
    SET(phdr, Phdr, p_offset, file->len);
    g_byte_array_append(file, notes->data, notes->len);
    /* ... "yes" and its 0, of a size of 4 */
    g_assert_cmpstr((char *)file->data + file->len - 4, ==, "yes");
    stl_le_p(file->data + file->len - 4 - 4 - 8, 12);
    k = xenpv_kernel_parse(file->data, file->len, true, &error_abort);
    g_assert_cmpint(k->pae, ==, XENPV_PAE_EXTCR3);

    /* Without its 0 it is not there */
    file->data[file->len - 1] = '!';
    assert_bad_file(file->data, file->len, true, "not all in the file");
    g_byte_array_unref(elf);
    free_elf(&t);
}

/* ------------------------------------------------------------------------ */
/* Kernels that must be refused                                             */

static void test_not_pv(void)
{
    TestElf t;

    t = base_elf(true);
    g_byte_array_set_size(t.notes, 0);
    assert_bad_elf(&t, "neither Xen ELF notes nor a section __xen_guest");

    t = base_elf(true);
    g_byte_array_set_size(t.notes, 0);
    add_number_note(t.notes, XEN_ELFNOTE_PHYS32_ENTRY, 0x100000);
    assert_bad_elf(&t, "without paravirtualisation");

    /* What Linux has of them without XEN_PV, for HVM and, maybe, PVH */
    for (unsigned i = 0; i < 4; i++) {
        t = base_elf(i & 1);
        g_byte_array_set_size(t.notes, 0);
        add_text_note(t.notes, XEN_ELFNOTE_GUEST_OS, "linux");
        add_text_note(t.notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
        add_text_note(t.notes, XEN_ELFNOTE_LOADER, "generic");
        add_text_note(t.notes, XEN_ELFNOTE_PAE_MODE, i & 1 ? "yes" : "no");
        add_number_note(t.notes, XEN_ELFNOTE_HYPERCALL_PAGE, 0x101000);
        add_number_note(t.notes, XEN_ELFNOTE_PADDR_OFFSET, 0);
        if (i & 2) {
            add_number_note(t.notes, XEN_ELFNOTE_PHYS32_ENTRY, 0x100000);
        }
        assert_bad_elf(&t, "without paravirtualisation");
    }

    t = base_elf(true);
    add_text_note(t.notes, XEN_ELFNOTE_LOADER, "special");
    assert_bad_elf(&t, "LOADER is 'special'");

    t = base_elf(false);
    g_byte_array_set_size(t.notes, 0);
    add_number_note(t.notes, XEN_ELFNOTE_VIRT_BASE, BASE_32);
    add_number_note(t.notes, XEN_ELFNOTE_PADDR_OFFSET, 0);
    assert_bad_elf(&t, "LOADER is ''");

    t = base_elf(true);
    add_text_note(t.notes, XEN_ELFNOTE_XEN_VERSION, "xen-2.0");
    assert_bad_elf(&t, "not for xen-3.0");
}

static void test_wrong_machine(void)
{
    g_autoptr(GByteArray) file = NULL;
    TestElf t;

    t = base_elf(true);
    file = make_elf(&t);
    assert_bad_file(file->data, file->len, false, "64-bit kernel");
    file->data[EI_DATA] = ELFDATA2MSB;
    assert_bad_file(file->data, file->len, true, "not one for x86");
    file->data[EI_DATA] = ELFDATA2LSB;
    file->data[EI_CLASS] = 3;
    assert_bad_file(file->data, file->len, true, "not one for x86");
    t.machine = EM_386;
    assert_bad_elf(&t, "not one for x86");

    t = base_elf(false);
    t.machine = EM_X86_64;
    assert_bad_elf(&t, "not one for x86");
    t = base_elf(false);
    t.machine = EM_ARM;
    assert_bad_elf(&t, "not one for x86");
}

static void test_features_required(void)
{
    static const struct {
        const char *features, *error;
    } cases[] = {
        { "!dom0", "can only be a dom0" },
        { "!auto_translated_physmap", "auto_translated_physmap" },
        { "dom0|!supervisor_mode_kernel", "supervisor_mode_kernel" },
        { "x|!no_such_thing", "unknown Xen feature 'no_such_thing'" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        TestElf t = base_elf(true);
        g_autofree char *info = NULL;

        add_text_note(t.notes, XEN_ELFNOTE_FEATURES, cases[i].features);
        assert_bad_elf(&t, cases[i].error);

        t = base_elf(true);
        g_byte_array_set_size(t.notes, 0);
        info = g_strdup_printf("LOADER=generic,XEN_VER=xen-3.0,FEATURES=%s",
                               cases[i].features);
        t.guest_info = info;
        assert_bad_elf(&t, cases[i].error);
    }
}

static void test_bad_notes(void)
{
    TestElf t;

    t = base_elf(true);
    add_note_as(t.notes, "Xen", XEN_ELFNOTE_ENTRY, "abc", 3);
    assert_bad_elf(&t, "number of 3 bytes");

    /* A number, a name and a header beyond the end of the file */
    t = base_elf(true);
    add_number_note(t.notes, XEN_ELFNOTE_ENTRY, 0);
    stl_le_p(t.notes->data + t.notes->len - 16, 0xfffffff0);
    assert_bad_elf(&t, "not all in the file");
    t = base_elf(true);
    add_number_note(t.notes, XEN_ELFNOTE_ENTRY, 0);
    stl_le_p(t.notes->data + t.notes->len - 20, 0xfffffff0);
    assert_bad_elf(&t, "not all in the file");

    /* One after the other, each as small as can be */
    t = base_elf(true);
    pad_to(t.notes, 12 * 65537 + t.notes->len);
    assert_bad_elf(&t, "too many ELF notes");

    /* Each as large as can be, with a thousand features */
    t = base_elf(true);
    for (unsigned i = 0; i < 300; i++) {
        g_autofree char *text = g_strnfill(4000, i % 2 ? '|' : 'x');

        add_text_note(t.notes, XEN_ELFNOTE_FEATURES, text);
    }
    assert_bad_elf(&t, "too many ELF notes of Xen's");

    /* A text whose end is far away: it is not looked for beyond its limit */
    t = base_elf(true);
    add_text_note(t.notes, XEN_ELFNOTE_GUEST_VERSION, "x");
    stl_le_p(t.notes->data + t.notes->len - 4 - 4 - 8, 0xfffffff0);
    memcpy(t.notes->data + t.notes->len - 4, "xxxx", 4);
    pad_to(t.notes, t.notes->len + 3);
    memset(t.notes->data + t.notes->len - 3, 'x', 3);
    for (unsigned i = 0; i < 5000; i++) {
        g_byte_array_append(t.notes, (const uint8_t *)"x", 1);
    }
    assert_bad_elf(&t, "not all in the file");

    t = base_elf(true);
    g_byte_array_set_size(t.notes, 0);
    t.guest_info = "LOADER=generic,XEN_VER=xen-3.0,VIRT_BASE=high";
    assert_bad_elf(&t, "VIRT_BASE in its __xen_guest section is not a number");
    t = base_elf(true);
    g_byte_array_set_size(t.notes, 0);
    t.guest_info = "LOADER=generic,XEN_VER=xen-3.0,ELF_PADDR_OFFSET=0";
    assert_bad_elf(&t, "no VIRT_BASE");
}

static void test_bad_segments(void)
{
    TestElf t;

    t = base_elf(true);
    t.segments[0].memsz = 0;
    assert_bad_elf(&t, "no ELF segments");

    /* More file than memory, more than the file, memory around the end */
    t = base_elf(true);
    t.segments[0].memsz = 0x17ff;
    assert_bad_elf(&t, "impossible sizes");
    t = base_elf(true);
    t.segments[0].header_filesz = t.segments[0].memsz = 1 * MiB;
    assert_bad_elf(&t, "segments are not all in the file");
    t = base_elf(true);
    t.segments[0].offset = UINT64_MAX - 0x17;
    assert_bad_elf(&t, "segments are not all in the file");
    t = base_elf(true);
    t.segments[1].paddr = UINT64_MAX - 0xf00;
    assert_bad_elf(&t, "impossible sizes");
    t = base_elf(true);
    t.segments[1].memsz = UINT64_MAX - t.segments[1].paddr;
    assert_bad_elf(&t, "where it cannot be");

    /* Each of them as large as the image: three times the work */
    t = base_elf(true);
    for (unsigned i = 0; i < 3; i++) {
        t.segments[i] = (TestSegment) {
            .paddr = 0x100000, .filesz = 0x100, .memsz = 0x10000000,
        };
    }
    assert_bad_elf(&t, "overlap");

    /* A little is what Xen allows, too */
    t = base_elf(true);
    t.segments[1].paddr = 0x101000;
    xenpv_kernel_free(load(&t));
}

static void test_bad_addresses(void)
{
    static const struct {
        bool is_64bit;
        uint64_t base, entry, paddr;
        const char *error;
    } cases[] = {
        { true, BASE_64, BASE_64 + 0xfffff, 0x100000, "entry point" },
        { true, BASE_64, BASE_64 + 0x102f23, 0x100000, "entry point" },
        { true, BASE_64, 0, 0x100000, "entry point" },
        { true, BASE_64 + 0x800, BASE_64, 0x100000, "not page aligned" },
        /* The hypervisor's, not canonical, around the end */
        { true, 0xffff800000000000, 0, 0x100000, "where it cannot be" },
        { true, 0xffff87ffffff0000, 0, 0x100000, "where it cannot be" },
        { true, 0x00007fffffeff000, 0, 0x100000, "where it cannot be" },
        { true, 0x8000000000000000, 0, 0x100000, "where it cannot be" },
        { true, 0xffffffffffeff000, 0, 0x100000, "where it cannot be" },
        { true, 0xffffffffffff0000, 0, 0x100000, "where it cannot be" },
        { true, 0, 0, 0xfffffffffff00000, "where it cannot be" },
        { true, 0xffffffff80000000, 0, 0xffffffff80100000,
          "where it cannot be" },
        { false, 0xf5700000, 0, 0xfe000, "where it cannot be" },
        { false, 0xf5800000, 0, 0x1000, "where it cannot be" },
        { false, 0xfffff000, 0, 0x1000, "where it cannot be" },
        { false, 0xc0000000, 0, 0x40000000, "where it cannot be" },
        { false, 0xc0000000, 0xbfffffff, 0x1000, "entry point" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        TestElf t = base_elf(cases[i].is_64bit);

        add_number_note(t.notes, XEN_ELFNOTE_VIRT_BASE, cases[i].base);
        t.entry = cases[i].entry;
        t.segments[0].paddr = cases[i].paddr;
        t.segments[1].paddr = cases[i].paddr + 0x2000;
        assert_bad_elf(&t, cases[i].error);
    }
}

static void test_init_p2m_inside(void)
{
    TestElf t = base_elf(true);

    add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, BASE_64 + 0x101000);
    assert_bad_elf(&t, "inside its image");
}

static void test_not_a_kernel(void)
{
    static const char text[] = "#!/bin/sh\necho this is no kernel, and the "
                               "builder has to say so without a crash\n";

    assert_bad_file(text, sizeof(text), true, "neither an ELF file");
    assert_bad_file(NULL, 0, true, "neither an ELF file");
    assert_bad_file("\x7f" "ELF", 4, true, "truncated");
    assert_bad_file("\x7f" "ELF\2\1\1\0\0\0\0\0\0\0\0\0", 16, true,
                    "truncated");
}

static void test_truncated(void)
{
    for (unsigned kind = 0; kind < NR_KINDS; kind++) {
        g_autoptr(GByteArray) file = rich_elf(kind);
        g_autoptr(XenPVKernel) k = NULL;

        k = xenpv_kernel_parse(file->data, file->len, true, &error_abort);
        for (size_t len = 0; len < file->len; len++) {
            Error *err = NULL;

            /* The section headers are last, so it is never complete */
            g_assert_null(xenpv_kernel_parse(file->data, len, true, &err));
            g_assert_nonnull(err);
            error_free(err);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/xenpv/elf/notes/64", test_notes_64);
    g_test_add_func("/xenpv/elf/notes/32", test_notes_32);
    g_test_add_func("/xenpv/elf/notes/defaults", test_notes_defaults);
    g_test_add_func("/xenpv/elf/notes/init-p2m", test_notes_init_p2m);
    g_test_add_func("/xenpv/elf/notes/beyond-file", test_note_text_beyond_file);
    g_test_add_func("/xenpv/elf/pae-mode", test_pae_mode);
    g_test_add_func("/xenpv/elf/xen-guest", test_xen_guest);
    g_test_add_func("/xenpv/elf/bsd-symtab", test_bsd_symtab);
    g_test_add_func("/xenpv/elf/bsd-symtab/stripped", test_bsd_symtab_stripped);
    g_test_add_func("/xenpv/elf/bsd-symtab/wraps", test_bsd_symtab_wraps);
    g_test_add_func("/xenpv/elf/bsd-symtab/too-large",
                    test_bsd_symtab_too_large);
    g_test_add_func("/xenpv/elf/bad/not-pv", test_not_pv);
    g_test_add_func("/xenpv/elf/bad/machine", test_wrong_machine);
    g_test_add_func("/xenpv/elf/bad/features", test_features_required);
    g_test_add_func("/xenpv/elf/bad/notes", test_bad_notes);
    g_test_add_func("/xenpv/elf/bad/segments", test_bad_segments);
    g_test_add_func("/xenpv/elf/bad/addresses", test_bad_addresses);
    g_test_add_func("/xenpv/elf/bad/init-p2m", test_init_p2m_inside);
    g_test_add_func("/xenpv/elf/bad/not-a-kernel", test_not_a_kernel);
    g_test_add_func("/xenpv/elf/bad/truncated", test_truncated);
    return g_test_run();
}
