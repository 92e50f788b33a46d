/*
 * Kernels for unit tests: ELF files of both widths, with any content
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_XENPV_KERNELS_H
#define TESTS_UNIT_XENPV_KERNELS_H

#include "elf.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "hw/xenpv/xenpv-domain-builder.h"

#define BASE_64     0xffffffff80000000ULL
#define BASE_32     0xc0000000ULL

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

static inline void pad_to(GByteArray *a, size_t size)
{
    static const uint8_t zeros[64];

    while (a->len < size) {
        g_byte_array_append(a, zeros, MIN(sizeof(zeros), size - a->len));
    }
}

static inline uint8_t content_of(unsigned segment, uint64_t i)
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

static inline void set_phdr(bool is_64bit, uint8_t *p, uint32_t type, uint64_t offset,
                     uint64_t paddr, uint64_t filesz, uint64_t memsz)
{
    SET(p, Phdr, p_type, type);
    SET(p, Phdr, p_flags, PF_R | PF_W | PF_X);
    SET(p, Phdr, p_offset, offset);
    SET(p, Phdr, p_paddr, paddr);
    SET(p, Phdr, p_filesz, filesz);
    SET(p, Phdr, p_memsz, memsz);
}

static inline void set_shdr(bool is_64bit, uint8_t *p, uint32_t name, uint32_t type,
                     uint64_t offset, uint64_t size, uint32_t link)
{
    SET(p, Shdr, sh_name, name);
    SET(p, Shdr, sh_type, type);
    SET(p, Shdr, sh_offset, offset);
    SET(p, Shdr, sh_size, size);
    SET(p, Shdr, sh_link, link);
}

static inline GByteArray *make_elf(const TestElf *t)
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

static inline void add_note_as(GByteArray *notes, const char *name, uint32_t type,
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

static inline void add_text_note(GByteArray *notes, uint32_t type, const char *text)
{
    add_note_as(notes, "Xen", type, text, strlen(text) + 1);
}

static inline void add_number_note(GByteArray *notes, uint32_t type, uint64_t number)
{
    uint64_t le = cpu_to_le64(number);

    add_note_as(notes, "Xen", type, &le, number > UINT32_MAX ? 8 : 4);
}

/* The notes that every kernel must have */
static inline GByteArray *base_notes(bool is_64bit)
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
static inline TestElf base_elf(bool is_64bit)
{
    return (TestElf) {
        .is_64bit = is_64bit,
        .entry = (is_64bit ? BASE_64 : BASE_32) + 0x100040,
        .segments[0] = { .paddr = 0x100000, .filesz = 0x1800, .memsz = 0x1800 },
        .segments[1] = { .paddr = 0x102000, .filesz = 0x123, .memsz = 0xf23 },
        .notes = base_notes(is_64bit),
    };
}

static inline void free_elf(TestElf *t)
{
    if (t->notes) {
        g_byte_array_unref(t->notes);
    }
}

static inline XenPVKernel *parse(const TestElf *t, Error **errp)
{
    g_autoptr(GByteArray) file = make_elf(t);

    return xenpv_kernel_parse(file->data, file->len, true, errp);
}

/* The kernel, which must be fine */
static inline XenPVKernel *load(TestElf *t)
{
    XenPVKernel *k = parse(t, &error_abort);

    g_assert_nonnull(k);
    free_elf(t);
    return k;
}

static inline void assert_error(Error *err, const char *text)
{
    g_assert_nonnull(err);
    if (!strstr(error_get_pretty(err), text)) {
        g_test_message("expected \"%s\", but the error is \"%s\"", text,
                       error_get_pretty(err));
        g_test_fail();
    }
    error_free(err);
}

static inline void assert_bad_file(const void *data, size_t len, bool allow_64bit,
                            const char *text)
{
    Error *err = NULL;
    XenPVKernel *k = xenpv_kernel_parse(data, len, allow_64bit, &err);

    g_assert_null(k);
    assert_error(err, text);
}

static inline void assert_bad_elf(TestElf *t, const char *text)
{
    g_autoptr(GByteArray) file = make_elf(t);

    assert_bad_file(file->data, file->len, true, text);
    free_elf(t);
}

/* A kernel with everything that can be in one */
static inline GByteArray *rich_elf(unsigned kind)
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

#define NR_KINDS 6      /* of rich_elf() */

static inline GByteArray *buffer(size_t size)
{
    return g_byte_array_set_size(g_byte_array_new(), size);
}

/* Content that takes several blocks, and that does not compress in places */
static inline GByteArray *make_content(size_t size)
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

#endif
