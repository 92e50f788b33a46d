/*
 * Unit test of the xenpv-kvm machine's domain builder
 *
 * Sources needed beside this file: hw/xenpv/xenpv-elf.c,
 * hw/xenpv/xenpv-text.c and hw/xenpv/xenpv-domain-builder.c, with zlib, bzip2, liblzma, lzo2, lz4 and
 * zstd. No device, no vCPU: kernels are made here, as ELF files of both widths
 * with any content, and guest memory is a table of frames that are allocated
 * when the builder asks for them.
 *
 * A broken builder would show as a kernel that dies before its first message,
 * in a different way for each kernel, or as a file that crashes the machine.
 * So there are three kinds of tests here: what well-formed kernels are told
 * and get, by walking the page tables that were built as a CPU would; what
 * compressed files unpack to; and that hostile files get an error, with
 * sanitizers preferably: built for a bound or mutated at random.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <bzlib.h>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <lzo/lzo1x.h>
#include <zlib.h>
#include <zstd.h>

#include "elf.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/xen/interface/features.h"
#include "hw/xenpv/xenpv-domain-builder.h"

#define BASE_64     0xffffffff80000000ULL
#define BASE_32     0xc0000000ULL

/* ------------------------------------------------------------------------ */
/* Making ELF files                                                         */

#define MAX_SEGMENTS 8

typedef struct TestSegment {
    uint64_t paddr, filesz, memsz;
    /* Override what goes into the header; 0: as it should be */
    uint64_t offset, header_filesz;
} TestSegment;

typedef struct TestElf {
    bool is_64bit;
    uint16_t machine;           /* 0: the width's */
    uint64_t entry;
    TestSegment segments[MAX_SEGMENTS];
    GByteArray *notes;          /* or NULL */
    bool notes_in_section;      /* not in a segment */
    const char *guest_info;     /* content of __xen_guest, or NULL */
    bool symbols;
} TestElf;

static const char symtab_content[] = "symbols symbols symbols!";
static const char strtab_content[] = "\0names\0of\0symbols";

static void pad_to(GByteArray *a, size_t size)
{
    static const uint8_t zeros[64];

    while (a->len < size) {
        g_byte_array_append(a, zeros, MIN(sizeof(zeros), size - a->len));
    }
}

static uint8_t content_of(unsigned segment, uint64_t i)
{
    return (i * 7 + (i >> 8) + segment * 31 + 1) & 0xff;
}

#define SET(p, type, member, value) \
    (is_64bit ? stn_le_p((p) + offsetof(Elf64_##type, member), \
                         sizeof_field(Elf64_##type, member), (value)) \
              : stn_le_p((p) + offsetof(Elf32_##type, member), \
                         sizeof_field(Elf32_##type, member), (value)))
#define GET(p, type, member) \
    (is_64bit ? ldn_le_p((p) + offsetof(Elf64_##type, member), \
                         sizeof_field(Elf64_##type, member)) \
              : ldn_le_p((p) + offsetof(Elf32_##type, member), \
                         sizeof_field(Elf32_##type, member)))
#define SIZE(type) (is_64bit ? sizeof(Elf64_##type) : sizeof(Elf32_##type))

static void set_phdr(bool is_64bit, uint8_t *p, uint32_t type, uint64_t offset,
                     uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
    SET(p, Phdr, p_type, type);
    SET(p, Phdr, p_flags, PF_R | PF_W | PF_X);
    SET(p, Phdr, p_offset, offset);
    SET(p, Phdr, p_paddr, paddr);
    SET(p, Phdr, p_filesz, filesz);
    SET(p, Phdr, p_memsz, memsz);
}

static void set_shdr(bool is_64bit, uint8_t *p, uint32_t name, uint32_t type,
                     uint64_t offset, uint64_t size, uint32_t link)
{
    SET(p, Shdr, sh_name, name);
    SET(p, Shdr, sh_type, type);
    SET(p, Shdr, sh_offset, offset);
    SET(p, Shdr, sh_size, size);
    SET(p, Shdr, sh_link, link);
}

static GByteArray *make_elf(const TestElf *t)
{
    static const char names[] = "\0.shstrtab\0__xen_guest\0.symtab\0.strtab";
    const unsigned shnum = 6;
    bool is_64bit = t->is_64bit;
    GByteArray *a = g_byte_array_new();
    unsigned nr_segments = 0;
    unsigned phnum;
    uint64_t offsets[MAX_SEGMENTS];
    uint64_t notes_at, names_at, info_at, symtab_at, strtab_at, shoff;
    uint64_t info_len = t->guest_info ? strlen(t->guest_info) + 1 : 0;
    uint64_t notes_len = t->notes ? t->notes->len : 0;
    uint8_t *p;

    while (nr_segments < MAX_SEGMENTS && t->segments[nr_segments].memsz) {
        nr_segments++;
    }
    phnum = nr_segments + 1;

    pad_to(a, SIZE(Ehdr) + phnum * SIZE(Phdr));
    for (unsigned i = 0; i < nr_segments; i++) {
        offsets[i] = a->len;
        for (uint64_t n = 0; n < t->segments[i].filesz; n++) {
            uint8_t byte = content_of(i, n);

            g_byte_array_append(a, &byte, 1);
        }
    }
    pad_to(a, ROUND_UP(a->len, 4));
    notes_at = a->len;
    if (t->notes) {
        g_byte_array_append(a, t->notes->data, t->notes->len);
    }
    names_at = a->len;
    g_byte_array_append(a, (const uint8_t *)names, sizeof(names));
    info_at = a->len;
    g_byte_array_append(a, (const uint8_t *)t->guest_info, info_len);
    symtab_at = a->len;
    g_byte_array_append(a, (const uint8_t *)symtab_content,
                        sizeof(symtab_content));
    strtab_at = a->len;
    g_byte_array_append(a, (const uint8_t *)strtab_content,
                        sizeof(strtab_content));
    pad_to(a, ROUND_UP(a->len, 8));
    shoff = a->len;
    pad_to(a, shoff + shnum * SIZE(Shdr));

    p = a->data;
    memcpy(p, ELFMAG, SELFMAG);
    p[EI_CLASS] = is_64bit ? ELFCLASS64 : ELFCLASS32;
    p[EI_DATA] = ELFDATA2LSB;
    p[EI_VERSION] = EV_CURRENT;
    SET(p, Ehdr, e_type, ET_EXEC);
    SET(p, Ehdr, e_machine, t->machine ?: is_64bit ? EM_X86_64 : EM_386);
    SET(p, Ehdr, e_version, EV_CURRENT);
    SET(p, Ehdr, e_entry, t->entry);
    SET(p, Ehdr, e_ehsize, SIZE(Ehdr));
    SET(p, Ehdr, e_phoff, SIZE(Ehdr));
    SET(p, Ehdr, e_phentsize, SIZE(Phdr));
    SET(p, Ehdr, e_phnum, phnum);
    SET(p, Ehdr, e_shoff, shoff);
    SET(p, Ehdr, e_shentsize, SIZE(Shdr));
    SET(p, Ehdr, e_shnum, shnum);
    SET(p, Ehdr, e_shstrndx, 1);

    p = a->data + SIZE(Ehdr);
    for (unsigned i = 0; i < nr_segments; i++) {
        const TestSegment *s = &t->segments[i];

        set_phdr(is_64bit, p, PT_LOAD, s->offset ?: offsets[i], s->paddr,
                 s->header_filesz ?: s->filesz, s->memsz);
        p += SIZE(Phdr);
    }
    if (t->notes && !t->notes_in_section) {
        set_phdr(is_64bit, p, PT_NOTE, notes_at, 0, notes_len, notes_len);
    }

    p = a->data + shoff + SIZE(Shdr);
    set_shdr(is_64bit, p, 1, SHT_STRTAB, names_at, sizeof(names), 0);
    p += SIZE(Shdr);
    if (t->guest_info) {
        set_shdr(is_64bit, p, 11, SHT_PROGBITS, info_at, info_len, 0);
    }
    p += SIZE(Shdr);
    if (t->notes && t->notes_in_section) {
        set_shdr(is_64bit, p, 0, SHT_NOTE, notes_at, notes_len, 0);
    }
    p += SIZE(Shdr);
    if (t->symbols) {
        set_shdr(is_64bit, p, 23, SHT_SYMTAB, symtab_at,
                 sizeof(symtab_content), 5);
        p += SIZE(Shdr);
        set_shdr(is_64bit, p, 31, SHT_STRTAB, strtab_at,
                 sizeof(strtab_content), 0);
    }
    return a;
}

static void add_note_as(GByteArray *notes, const char *name, uint32_t type,
                        const void *desc, uint32_t descsz)
{
    uint32_t header[3] = {
        cpu_to_le32(strlen(name) + 1), cpu_to_le32(descsz), cpu_to_le32(type),
    };

    g_byte_array_append(notes, (uint8_t *)header, sizeof(header));
    g_byte_array_append(notes, (const uint8_t *)name, strlen(name) + 1);
    pad_to(notes, ROUND_UP(notes->len, 4));
    g_byte_array_append(notes, desc, descsz);
    pad_to(notes, ROUND_UP(notes->len, 4));
}

static void add_text_note(GByteArray *notes, uint32_t type, const char *text)
{
    add_note_as(notes, "Xen", type, text, strlen(text) + 1);
}

static void add_number_note(GByteArray *notes, uint32_t type, uint64_t number)
{
    uint64_t le = cpu_to_le64(number);

    add_note_as(notes, "Xen", type, &le, number > UINT32_MAX ? 8 : 4);
}

/* The notes that every kernel must have */
static GByteArray *base_notes(bool is_64bit)
{
    GByteArray *notes = g_byte_array_new();

    add_text_note(notes, XEN_ELFNOTE_GUEST_OS, "testos");
    add_text_note(notes, XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
    add_text_note(notes, XEN_ELFNOTE_LOADER, "generic");
    add_number_note(notes, XEN_ELFNOTE_VIRT_BASE, is_64bit ? BASE_64 : BASE_32);
    if (!is_64bit) {
        add_text_note(notes, XEN_ELFNOTE_PAE_MODE, "yes");
    }
    return notes;
}

/* A kernel at 1 MiB, 3 pages and a bit of bss, entered in its first page */
static TestElf base_elf(bool is_64bit)
{
    return (TestElf) {
        .is_64bit = is_64bit,
        .entry = (is_64bit ? BASE_64 : BASE_32) + 0x100040,
        .segments[0] = { .paddr = 0x100000, .filesz = 0x1800, .memsz = 0x1800 },
        .segments[1] = { .paddr = 0x102000, .filesz = 0x123, .memsz = 0xf23 },
        .notes = base_notes(is_64bit),
    };
}

static void free_elf(TestElf *t)
{
    if (t->notes) {
        g_byte_array_unref(t->notes);
    }
}

static XenPVKernel *parse(const TestElf *t, Error **errp)
{
    g_autoptr(GByteArray) file = make_elf(t);

    return xenpv_kernel_parse(file->data, file->len, true, errp);
}

/* The kernel, which must be fine */
static XenPVKernel *load(TestElf *t)
{
    XenPVKernel *k = parse(t, &error_abort);

    g_assert_nonnull(k);
    free_elf(t);
    return k;
}

static void assert_error(Error *err, const char *text)
{
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), text)) {
        g_test_message("expected \"%s\", but the error is \"%s\"", text,
                       error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
}

static void assert_bad_file(const void *data, size_t len, bool allow_64bit,
                            const char *text)
{
    Error *err = NULL;
    XenPVKernel *k = xenpv_kernel_parse(data, len, allow_64bit, &err);

    g_assert_null(k);
    assert_error(err, text);
}

static void assert_bad_elf(TestElf *t, const char *text)
{
    g_autoptr(GByteArray) file = make_elf(t);

    assert_bad_file(file->data, file->len, true, text);
    free_elf(t);
}

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

/* ------------------------------------------------------------------------ */
/* Compression                                                              */

typedef GByteArray *Compress(const uint8_t *in, size_t len);

static GByteArray *buffer(size_t size)
{
    return g_byte_array_set_size(g_byte_array_new(), size);
}

static GByteArray *compress_gzip(const uint8_t *in, size_t len)
{
    z_stream s = { .next_in = (uint8_t *)in, .avail_in = len };
    GByteArray *a = buffer(len + 64 * KiB);

    g_assert_cmpint(deflateInit2(&s, 6, Z_DEFLATED, MAX_WBITS + 16, 8,
                                 Z_DEFAULT_STRATEGY), ==, Z_OK);
    s.next_out = a->data;
    s.avail_out = a->len;
    g_assert_cmpint(deflate(&s, Z_FINISH), ==, Z_STREAM_END);
    g_byte_array_set_size(a, s.total_out);
    deflateEnd(&s);
    return a;
}

static GByteArray *compress_bzip2(const uint8_t *in, size_t len)
{
    GByteArray *a = buffer(len + 64 * KiB);
    unsigned n = a->len;

    g_assert_cmpint(BZ2_bzBuffToBuffCompress((char *)a->data, &n, (char *)in,
                                             len, 9, 0, 0), ==, BZ_OK);
    return g_byte_array_set_size(a, n);
}

static GByteArray *compress_xz(const uint8_t *in, size_t len)
{
    GByteArray *a = buffer(len + 64 * KiB);
    size_t n = 0;

    g_assert_cmpint(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, in, len,
                                            a->data, &n, a->len), ==, LZMA_OK);
    return g_byte_array_set_size(a, n);
}

static GByteArray *compress_lzma(const uint8_t *in, size_t len)
{
    lzma_stream s = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    GByteArray *a = buffer(len + 64 * KiB);

    g_assert_false(lzma_lzma_preset(&options, 6));
    g_assert_cmpint(lzma_alone_encoder(&s, &options), ==, LZMA_OK);
    s.next_in = in;
    s.avail_in = len;
    s.next_out = a->data;
    s.avail_out = a->len;
    g_assert_cmpint(lzma_code(&s, LZMA_FINISH), ==, LZMA_STREAM_END);
    g_byte_array_set_size(a, s.total_out);
    lzma_end(&s);
    return a;
}

static void append_be(GByteArray *a, unsigned size, uint64_t number)
{
    uint8_t bytes[8];

    stn_be_p(bytes, size, number);
    g_byte_array_append(a, bytes, size);
}

/* The file format of lzop has no library, only its blocks */
static GByteArray *compress_lzop_as(const uint8_t *in, size_t len,
                                    uint32_t flags, unsigned version)
{
    const size_t block = 256 * KiB;
    g_autofree void *work = g_malloc(LZO1X_1_MEM_COMPRESS);
    g_autofree uint8_t *out = g_malloc(block + block / 16 + 67);
    GByteArray *a = g_byte_array_new();

    g_assert_cmpint(lzo_init(), ==, LZO_E_OK);
    g_byte_array_append(a, (const uint8_t *)"\x89LZO\0\r\n\x1a\n", 9);
    append_be(a, 2, version);
    append_be(a, 2, 0x20a0);
    if (version >= 0x940) {
        append_be(a, 2, 0x940);
    }
    append_be(a, 1, 1);                     /* method */
    if (version >= 0x940) {
        append_be(a, 1, 5);
    }
    append_be(a, 4, flags);
    append_be(a, 4, 0100644);
    append_be(a, version >= 0x940 ? 8 : 4, 0);
    append_be(a, 1, 7);
    g_byte_array_append(a, (const uint8_t *)"vmlinux", 7);
    append_be(a, 4, 0);
    if (flags & 0x40) {
        append_be(a, 4, 5);
        g_byte_array_append(a, (const uint8_t *)"extra", 5);
        append_be(a, 4, 0);
    }
    for (size_t at = 0; at < len; at += block) {
        size_t n = MIN(block, len - at);
        lzo_uint out_len = 0;

        g_assert_cmpint(lzo1x_1_compress(in + at, n, out, &out_len, work), ==,
                        LZO_E_OK);
        append_be(a, 4, n);
        append_be(a, 4, MIN(out_len, n));
        if (flags & 0x1) {
            append_be(a, 4, adler32(1, in + at, n));
        }
        if (flags & 0x100) {
            append_be(a, 4, crc32(0, in + at, n));
        }
        if (out_len < n) {
            if (flags & 0x2) {
                append_be(a, 4, adler32(1, out, out_len));
            }
            g_byte_array_append(a, out, out_len);
        } else {
            g_byte_array_append(a, in + at, n);
        }
    }
    append_be(a, 4, 0);
    return a;
}

static GByteArray *compress_lzop(const uint8_t *in, size_t len)
{
    return compress_lzop_as(in, len, 0x03000001, 0x1040);
}

static GByteArray *compress_lzop_crc(const uint8_t *in, size_t len)
{
    return compress_lzop_as(in, len, 0x03000100 | 0x40 | 0x2, 0x1040);
}

static GByteArray *compress_lzop_old(const uint8_t *in, size_t len)
{
    return compress_lzop_as(in, len, 0, 0x0900);
}

static GByteArray *compress_lz4_legacy(const uint8_t *in, size_t len)
{
    const size_t block = 8 * MiB;
    GByteArray *a = g_byte_array_new();
    g_autofree char *out = g_malloc(LZ4_COMPRESSBOUND(block));
    uint32_t word = cpu_to_le32(0x184c2102);

    g_byte_array_append(a, (uint8_t *)&word, 4);
    for (size_t at = 0; at < len; at += block) {
        int n = LZ4_compress_default((const char *)in + at, out,
                                     MIN(block, len - at),
                                     LZ4_COMPRESSBOUND(block));

        g_assert_cmpint(n, >, 0);
        word = cpu_to_le32(n);
        g_byte_array_append(a, (uint8_t *)&word, 4);
        g_byte_array_append(a, (uint8_t *)out, n);
    }
    return a;
}

static GByteArray *compress_lz4_frame(const uint8_t *in, size_t len)
{
    LZ4F_preferences_t prefs = {
        .frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled,
    };
    GByteArray *a = buffer(LZ4F_compressFrameBound(len, &prefs));
    size_t n = LZ4F_compressFrame(a->data, a->len, in, len, &prefs);

    g_assert_false(LZ4F_isError(n));
    return g_byte_array_set_size(a, n);
}

static GByteArray *compress_zstd(const uint8_t *in, size_t len)
{
    GByteArray *a = buffer(ZSTD_compressBound(len));
    size_t n = ZSTD_compress(a->data, a->len, in, len, 6);

    g_assert_false(ZSTD_isError(n));
    return g_byte_array_set_size(a, n);
}

static const struct TestFormat {
    const char *test, *name;
    Compress *compress;
    bool in_bzimage;        /* Linux's build can make it */
    bool concatenated;
    bool checked;           /* a changed byte is noticed */
} formats[] = {
    { "gzip", "gzip", compress_gzip, true, true, true },
    { "bzip2", "bzip2", compress_bzip2, true, true, true },
    { "xz", "xz", compress_xz, true, true, true },
    { "lzma", "lzma", compress_lzma, true, false, false },
    { "lzo", "lzo", compress_lzop, true, false, true },
    { "lzo-crc", "lzo", compress_lzop_crc, true, false, true },
    { "lzo-old", "lzo", compress_lzop_old, true, false, false },
    { "lz4-legacy", "lz4", compress_lz4_legacy, true, false, false },
    { "lz4-frame", "lz4", compress_lz4_frame, false, true, true },
    { "zstd", "zstd", compress_zstd, true, true, false },
};

static GByteArray *make_bzimage(const uint8_t *payload, size_t len,
                                size_t out_len, bool trailer)
{
    GByteArray *a = g_byte_array_new();
    uint32_t size = cpu_to_le32(out_len);
    const unsigned setup_sects = 5;

    pad_to(a, (setup_sects + 1) * 512 + 0x77);
    g_byte_array_append(a, payload, len);
    if (trailer) {
        g_byte_array_append(a, (uint8_t *)&size, 4);
    }
    a->data[0x1f1] = setup_sects;
    stw_le_p(a->data + 0x1fe, 0xaa55);
    memcpy(a->data + 0x202, "HdrS", 4);
    stw_le_p(a->data + 0x206, 0x20f);
    stl_le_p(a->data + 0x248, 0x77);
    stl_le_p(a->data + 0x24c, len + (trailer ? 4 : 0));
    pad_to(a, a->len + 1000);
    return a;
}

/* Content that takes several blocks, and that does not compress in places */
static GByteArray *make_content(size_t size)
{
    GByteArray *a = buffer(size);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);

    memset(a->data, 0, size);
    for (size_t i = 0; i < size; i++) {
        if (i % (1 * MiB) < 300 * KiB) {
            a->data[i] = g_rand_int(rand);
        } else if (i % 64 < 9) {
            a->data[i] = i >> 6;
        }
    }
    return a;
}

static void assert_unpack_error(const uint8_t *in, size_t len, uint64_t max,
                                bool trailer, const char *text)
{
    const char *format;
    Error *err = NULL;
    size_t out_len;
    uint8_t *out = xenpv_decompress(in, len, max, trailer, &out_len, &format,
                                    &err);

    g_assert_null(out);
    g_assert_nonnull(format);
    assert_error(err, text);
}

static void test_compression(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autoptr(GByteArray) content = make_content(3 * MiB / 2 + 77);
    g_autoptr(GByteArray) packed = f->compress(content->data, content->len);
    static const size_t cuts[] = { 1, 2, 3, 5, 30, 1000, 100000, 300000 };
    static const uint8_t junk[] = "some bytes that are not the format's";
    const char *format = NULL;
    Error *err = NULL;
    size_t len = 0;
    uint8_t *out;

    /* As it is, at exactly the limit */
    out = xenpv_decompress(packed->data, packed->len, content->len, false,
                           &len, &format, &error_abort);
    g_assert_cmpmem(out, len, content->data, content->len);
    g_assert_cmpstr(format, ==, f->name);
    g_free(out);

    /* One byte above the limit, and far above it */
    assert_unpack_error(packed->data, packed->len, content->len - 1, false,
                        "more than");
    assert_unpack_error(packed->data, packed->len, 10, false, "more than");

    /* Truncated; lz4's old format is at its end at any block's end */
    for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
        assert_unpack_error(packed->data, packed->len - cuts[i], 64 * MiB,
                            false, f->name);
    }
    assert_unpack_error(packed->data, 14, 64 * MiB, false, f->name);

    /* Damaged */
    packed->data[packed->len / 2] ^= 0x10;
    out = xenpv_decompress(packed->data, packed->len, 64 * MiB, false, &len,
                           &format, &err);
    if (f->checked) {
        g_assert_null(out);
    }
    if (!out) {
        assert_error(err, f->name);
    }
    g_free(out);
    packed->data[packed->len / 2] ^= 0x10;

    /* Twice in a row, as parallel compressors do */
    if (f->concatenated) {
        g_autoptr(GByteArray) twice = g_byte_array_new();

        g_byte_array_append(twice, packed->data, packed->len);
        g_byte_array_append(twice, packed->data, packed->len);
        out = xenpv_decompress(twice->data, twice->len, 2 * content->len,
                               false, &len, &format, &error_abort);
        g_assert_cmpuint(len, ==, 2 * content->len);
        g_assert_cmpmem(out + content->len, content->len, content->data,
                        content->len);
        g_free(out);
        assert_unpack_error(twice->data, twice->len, 2 * content->len - 1,
                            false, "more than");
    }

    /* With what a bzImage has behind it */
    if (f->in_bzimage) {
        uint32_t size = cpu_to_le32(content->len);

        g_byte_array_append(packed, (uint8_t *)&size, 4);
        out = xenpv_decompress(packed->data, packed->len, content->len, true,
                               &len, &format, &error_abort);
        g_assert_cmpmem(out, len, content->data, content->len);
        g_free(out);
    }
    /* Junk behind it is nothing to most */
    if (f->compress != compress_lz4_legacy) {
        g_byte_array_append(packed, junk, sizeof(junk));
        out = xenpv_decompress(packed->data, packed->len, content->len, false,
                               &len, &format, &error_abort);
        g_assert_cmpmem(out, len, content->data, content->len);
        g_free(out);
    }
}

/* A few bytes that unpack to very many must not take much memory or time */
static void test_compression_bomb(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autofree uint8_t *zeros = g_malloc0(16 * MiB);
    g_autoptr(GByteArray) packed = f->compress(zeros, 16 * MiB);

    assert_unpack_error(packed->data, packed->len, 1 * MiB, false, "more than");
    assert_unpack_error(packed->data, packed->len, 16 * MiB - 1, false,
                        "more than");
}

/* Streams with nothing in them: a large file has many millions */
static void test_empty_streams(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autoptr(GByteArray) one = f->compress((const uint8_t *)"", 0);
    g_autoptr(GByteArray) many = g_byte_array_new();

    for (unsigned i = 0; i < 65537; i++) {
        g_byte_array_append(many, one->data, one->len);
    }
    assert_unpack_error(many->data, many->len, 1 * MiB, false,
                        "more than 65536 streams");
}

/* A stream of blocks with nothing, or next to nothing, in them */
static void test_empty_blocks(void)
{
    static const struct {
        uint8_t header[16], block[9];
        unsigned header_len, block_len;
    } streams[] = {
        /* gzip: stored, of no bytes */
        { { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 }, { 0, 0, 0, 0xff, 0xff },
          10, 5 },
        /* zstd: raw, of no bytes, not the last one */
        { { 0x28, 0xb5, 0x2f, 0xfd, 0, 0x58 }, { 0, 0, 0 }, 6, 3 },
        /* lz4 -l: one token for no bytes */
        { { 0x02, 0x21, 0x4c, 0x18 }, { 1, 0, 0, 0, 0 }, 4, 5 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(streams); i++) {
        g_autoptr(GByteArray) a = g_byte_array_sized_new(20 * MiB);

        g_byte_array_append(a, streams[i].header, streams[i].header_len);
        while (a->len < 18 * MiB) {
            g_byte_array_append(a, streams[i].block, streams[i].block_len);
        }
        assert_unpack_error(a->data, a->len, 1 * MiB, false, "mostly empty");
    }
}

/* Kernels: compressed, as a bzImage, and as a compressed bzImage */
static void test_compressed_kernel(const void *opaque)
{
    const struct TestFormat *f = opaque;
    TestElf t = base_elf(true);
    g_autoptr(GByteArray) elf = make_elf(&t);
    g_autoptr(GByteArray) packed = f->compress(elf->data, elf->len);
    g_autoptr(GByteArray) bzimage = NULL;
    g_autoptr(GByteArray) again = NULL;
    g_autofree char *format = NULL;
    XenPVKernel *k;

    k = xenpv_kernel_parse(packed->data, packed->len, true, &error_abort);
    format = g_strdup_printf("%s, 64-bit ELF, ELF notes", f->name);
    g_assert_cmpstr(k->format, ==, format);
    g_assert_cmphex(k->segments[1].data[5], ==, content_of(1, 5));
    xenpv_kernel_free(k);

    if (f->in_bzimage) {
        /* gzip has the size in its own trailer */
        bzimage = make_bzimage(packed->data, packed->len, elf->len,
                               f->compress != compress_gzip);
        k = xenpv_kernel_parse(bzimage->data, bzimage->len, true,
                               &error_abort);
        g_free(format);
        format = g_strdup_printf("bzImage, %s, 64-bit ELF, ELF notes",
                                 f->name);
        g_assert_cmpstr(k->format, ==, format);
        xenpv_kernel_free(k);

        again = f->compress(bzimage->data, bzimage->len);
        k = xenpv_kernel_parse(again->data, again->len, true, &error_abort);
        g_assert_cmphex(k->segments[1].data[5], ==, content_of(1, 5));
        xenpv_kernel_free(k);

        assert_bad_file(bzimage->data, bzimage->len / 2, true, "bzImage");
    }
    free_elf(&t);
}

static void test_bzimage(void)
{
    TestElf t = base_elf(true);
    g_autoptr(GByteArray) elf = make_elf(&t);
    g_autoptr(GByteArray) file = make_bzimage(elf->data, elf->len, 0, false);
    size_t payload = 6 * 512 + 0x77;
    XenPVKernel *k;

    /* CONFIG_KERNEL_UNCOMPRESSED */
    k = xenpv_kernel_parse(file->data, file->len, true, &error_abort);
    g_assert_cmpstr(k->format, ==, "bzImage, 64-bit ELF, ELF notes");
    xenpv_kernel_free(k);

    stw_le_p(file->data + 0x206, 0x207);
    assert_bad_file(file->data, file->len, true, "2.6.26");
    stw_le_p(file->data + 0x206, 0x208);

    stl_le_p(file->data + 0x24c, file->len - payload + 1);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    stl_le_p(file->data + 0x24c, 0);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    stl_le_p(file->data + 0x24c, 0xffffffff);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    stl_le_p(file->data + 0x24c, 100);
    stl_le_p(file->data + 0x248, 0xffffffff);
    assert_bad_file(file->data, file->len, true, "not all in the file");
    /* Something that is not a kernel */
    stl_le_p(file->data + 0x248, 0x0);
    assert_bad_file(file->data, file->len, true, "payload of the bzImage is ");

    /* The header is cut off */
    for (size_t len = 0; len < 0x250; len += 16) {
        assert_bad_file(file->data, len, true, "neither an ELF file");
    }
    free_elf(&t);
}

static void test_wrapped_too_often(void)
{
    TestElf t = base_elf(true);
    GByteArray *a = make_elf(&t);

    for (unsigned i = 0; i < 10; i++) {
        GByteArray *b = compress_gzip(a->data, a->len);

        g_byte_array_unref(a);
        a = b;
    }
    assert_bad_file(a->data, a->len, true, "too often");
    g_byte_array_unref(a);
    free_elf(&t);
}

/* ------------------------------------------------------------------------ */
/* Files                                                                    */

static void test_files(void)
{
    g_autofree char *dir = g_dir_make_tmp("xenpv-XXXXXX", NULL);
    g_autofree char *name = g_build_filename(dir, "kernel", NULL);
    g_autofree uint8_t *data = NULL;
    TestElf t = base_elf(true);
    g_autoptr(GByteArray) elf = make_elf(&t);
    g_autoptr(XenPVKernel) k = NULL;
    Error *err = NULL;
    size_t len = 0;

    g_assert_null(xenpv_kernel_load(name, true, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "-kernel: "));
    assert_error(err, name);
    err = NULL;
    g_assert_null(xenpv_kernel_load(dir, true, &err));
    assert_error(err, "directory");
    err = NULL;

    g_assert_true(g_file_set_contents(name, (char *)elf->data, elf->len, NULL));
    k = xenpv_kernel_load(name, true, &error_abort);
    g_assert_cmphex(k->virt_base, ==, BASE_64);
    g_assert_null(xenpv_kernel_load(name, false, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "-kernel '"));
    assert_error(err, "64-bit");
    err = NULL;

    data = xenpv_file_load(name, elf->len, &len, &error_abort);
    g_assert_cmpmem(data, len, elf->data, elf->len);
    g_assert_null(xenpv_file_load(name, elf->len - 1, &len, &err));
    assert_error(err, "larger than");
    err = NULL;

    /* Neither its size nor its end is known */
    g_assert_null(xenpv_file_load("/dev/zero", 10 * MiB + 17, &len, &err));
    assert_error(err, "larger than");
    g_free(data);
    data = xenpv_file_load("/dev/null", 10, &len, &error_abort);
    g_assert_cmpuint(len, ==, 0);

    unlink(name);
    rmdir(dir);
    free_elf(&t);
}

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

/* What holds for every domain, with its content */
static void check_domain(TestRam *ram, const XenPVDomain *d)
{
    const XenPVDomainConfig *cfg = &ram->cfg;
    const XenPVKernel *k = cfg->kernel;
    bool is_64bit = k->is_64bit;
    uint64_t boot_pages = (d->virt_end - d->virt_base) >> 12;
    bool p2m_apart = k->init_p2m != XENPV_UNSET;
    unsigned pfn_size = is_64bit ? 8 : 4;
    g_autofree uint8_t *image = NULL;
    uint64_t image_size = k->virt_kend - k->virt_base;
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

    /* The kernel, from pfn 0 to its end, as its segments say */
    image = g_malloc0(image_size);
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

/* A kernel with everything that can be in one */
static GByteArray *rich_elf(unsigned kind)
{
    TestElf t = base_elf(kind & 1);
    GByteArray *a;

    t.symbols = true;
    if (kind & 2) {
        g_byte_array_set_size(t.notes, 0);
        t.guest_info = kind & 1
            ? "LOADER=generic,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,"
              "ELF_PADDR_OFFSET=0,HYPERCALL_PAGE=0x101,BSD_SYMTAB"
            : "LOADER=generic,XEN_VER=xen-3.0,VIRT_BASE=0xc0000000,PAE=yes,"
              "ELF_PADDR_OFFSET=0,HYPERCALL_PAGE=0x101,BSD_SYMTAB,"
              "FEATURES=dom0|!writable_page_tables";
    } else {
        add_number_note(t.notes, XEN_ELFNOTE_HYPERCALL_PAGE,
                        (kind & 1 ? BASE_64 : BASE_32) + 0x101000);
        add_number_note(t.notes, XEN_ELFNOTE_INIT_P2M, 0x8000000000);
        add_text_note(t.notes, XEN_ELFNOTE_BSD_SYMTAB, "yes");
        add_text_note(t.notes, XEN_ELFNOTE_FEATURES,
                      "dom0|hvm_callback_vector");
        add_number_note(t.notes, XEN_ELFNOTE_SUPPORTED_FEATURES, 1);
        t.notes_in_section = kind & 4;
    }
    /* Small, so that mutations hit what matters */
    t.segments[0].filesz = 0x20;
    t.segments[1].filesz = 0x10;
    a = make_elf(&t);
    free_elf(&t);
    return a;
}

#define NR_KINDS 6

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

/* The same for what decompressors get */
static void test_mutated_compressed(const void *opaque)
{
    const struct TestFormat *f = opaque;
    g_autoptr(GByteArray) elf = rich_elf(1);
    g_autoptr(GByteArray) packed = f->compress(elf->data, elf->len);
    g_autoptr(GRand) rand = g_rand_new_with_seed(20081);
    unsigned rounds = g_test_slow() ? 3000 : 300;

    for (unsigned i = 0; i < rounds; i++) {
        g_autofree uint8_t *data = g_memdup2(packed->data, packed->len);
        size_t len = packed->len;
        const char *format;
        Error *err = NULL;
        size_t out_len = 0;
        uint8_t *out;

        for (unsigned n = g_rand_int_range(rand, 1, 4); n; n--) {
            data[g_rand_int_range(rand, 0, len)] = g_rand_int(rand);
        }
        if (g_rand_boolean(rand)) {
            len = g_rand_int_range(rand, 0, len);
        }
        out = xenpv_decompress(data, len, 8 * MiB, g_rand_boolean(rand),
                               &out_len, &format, &err);
        g_assert_true(out || err || !format);
        g_assert_false(out && err);
        g_assert_cmpuint(out_len, <=, 8 * MiB);
        g_free(out);
        error_free(err);
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
    g_test_add_func("/xenpv/elf/bad/mutated", test_mutated);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        const struct TestFormat *f = &formats[i];
        g_autofree char *name = g_strdup_printf("/xenpv/%s/data", f->test);
        g_autofree char *bomb = g_strdup_printf("/xenpv/%s/bomb", f->test);
        g_autofree char *kernel = g_strdup_printf("/xenpv/%s/kernel", f->test);
        g_autofree char *mutated = g_strdup_printf("/xenpv/%s/mutated",
                                                   f->test);

        g_test_add_data_func(name, f, test_compression);
        g_test_add_data_func(bomb, f, test_compression_bomb);
        g_test_add_data_func(kernel, f, test_compressed_kernel);
        g_test_add_data_func(mutated, f, test_mutated_compressed);
        if (f->concatenated) {
            g_autofree char *empty = g_strdup_printf("/xenpv/%s/empty-streams",
                                                     f->test);

            g_test_add_data_func(empty, f, test_empty_streams);
        }
    }
    g_test_add_func("/xenpv/empty-blocks", test_empty_blocks);
    g_test_add_func("/xenpv/bzimage", test_bzimage);
    g_test_add_func("/xenpv/wrapped-too-often", test_wrapped_too_often);
    g_test_add_func("/xenpv/files", test_files);
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
