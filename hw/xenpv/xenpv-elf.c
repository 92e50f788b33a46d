/*
 * Understand a paravirtualised kernel's ELF file
 *
 * It tells in Xen's ELF notes how the kernel wants to be started, or, before
 * there were notes, in the text of a section named __xen_guest. What is read
 * from them and what holds for what they leave out is as in Xen's libelf.
 *
 * Called by xenpv-kernel.c, once the file is unpacked. Nothing in it is
 * trusted: all reads go through a checked range, and what is copied has limits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "elf.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/xen/interface/features.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "hw/xenpv/xenpv-text.h"
#include "xenpv-elf.h"

/* Notes in all, as in libelf, and Xen's: there are 20 types of them */
#define MAX_NOTES           65536
#define MAX_XEN_NOTES       256
#define MAX_NOTE_TEXT       4096
/* The symbols that a BSD kernel gets; those of NetBSD have 2 MiB */
#define MAX_SYMBOLS         (64 * MiB)
/* The text of __xen_guest is some hundred bytes long */
#define MAX_GUEST_INFO      (64 * KiB)
#define XEN_GUEST_SECTION   "__xen_guest"

/* ------------------------------------------------------------------------ */
/* ELF: the file's structure                                                */

typedef struct Elf {
    const uint8_t *data;
    size_t size;
    bool is_64bit;
    const uint8_t *ehdr;
    unsigned phnum, phentsize, shnum, shentsize;
    uint64_t phoff, shoff;
    const uint8_t *shstrtab;    /* section names, or NULL */
    uint64_t shstrtab_size;
} Elf;

/* A member of the structure @type (Ehdr, Phdr, ...) of either width at @p */
#define ELF_GET(elf, p, type, member) \
    ((elf)->is_64bit \
     ? ldn_le_p((p) + offsetof(Elf64_##type, member), \
                sizeof_field(Elf64_##type, member)) \
     : ldn_le_p((p) + offsetof(Elf32_##type, member), \
                sizeof_field(Elf32_##type, member)))
#define ELF_SET(elf, p, type, member, value) \
    ((elf)->is_64bit \
     ? stn_le_p((p) + offsetof(Elf64_##type, member), \
                sizeof_field(Elf64_##type, member), (value)) \
     : stn_le_p((p) + offsetof(Elf32_##type, member), \
                sizeof_field(Elf32_##type, member), (value)))
#define ELF_SIZE(elf, type) \
    ((elf)->is_64bit ? sizeof(Elf64_##type) : sizeof(Elf32_##type))

/* The @len bytes at @offset of the file, or NULL if they are not all there */
static const uint8_t *elf_range(const Elf *elf, uint64_t offset, uint64_t len)
{
    if (offset > elf->size || len > elf->size - offset) {
        return NULL;
    }
    return elf->data + offset;
}

/* The header of segment or section @i: the tables were checked as a whole */
static const uint8_t *elf_phdr(const Elf *elf, unsigned i)
{
    return elf->data + elf->phoff + (size_t)i * elf->phentsize;
}

static const uint8_t *elf_shdr(const Elf *elf, unsigned i)
{
    return elf->data + elf->shoff + (size_t)i * elf->shentsize;
}

/* The content of a section, or NULL if it is not all in the file */
static const uint8_t *elf_section(const Elf *elf, const uint8_t *shdr,
                                  uint64_t *size)
{
    *size = ELF_GET(elf, shdr, Shdr, sh_size);
    return elf_range(elf, ELF_GET(elf, shdr, Shdr, sh_offset), *size);
}

static bool elf_open(Elf *elf, const uint8_t *data, size_t size, Error **errp)
{
    unsigned machine, shstrndx;

    *elf = (Elf) { .data = data, .size = size, .ehdr = data };
    if (size < EI_NIDENT) {
        error_setg(errp, "the ELF file is truncated");
        return false;
    }
    if (data[EI_DATA] != ELFDATA2LSB ||
        (data[EI_CLASS] != ELFCLASS32 && data[EI_CLASS] != ELFCLASS64)) {
        error_setg(errp, "the ELF file is not one for x86");
        return false;
    }
    elf->is_64bit = data[EI_CLASS] == ELFCLASS64;
    if (size < ELF_SIZE(elf, Ehdr)) {
        error_setg(errp, "the ELF file is truncated");
        return false;
    }
    machine = ELF_GET(elf, data, Ehdr, e_machine);
    if (machine != (elf->is_64bit ? EM_X86_64 : EM_386)) {
        error_setg(errp, "the ELF file is not one for x86");
        return false;
    }

    elf->phnum = ELF_GET(elf, data, Ehdr, e_phnum);
    elf->phentsize = ELF_GET(elf, data, Ehdr, e_phentsize);
    elf->phoff = ELF_GET(elf, data, Ehdr, e_phoff);
    if (elf->phnum &&
        (elf->phentsize < ELF_SIZE(elf, Phdr) ||
         !elf_range(elf, elf->phoff, (uint64_t)elf->phnum * elf->phentsize))) {
        error_setg(errp, "the ELF file's program headers are not all in it");
        return false;
    }
    elf->shnum = ELF_GET(elf, data, Ehdr, e_shnum);
    elf->shentsize = ELF_GET(elf, data, Ehdr, e_shentsize);
    elf->shoff = ELF_GET(elf, data, Ehdr, e_shoff);
    if (elf->shnum &&
        (elf->shentsize < ELF_SIZE(elf, Shdr) ||
         !elf_range(elf, elf->shoff, (uint64_t)elf->shnum * elf->shentsize))) {
        error_setg(errp, "the ELF file's section headers are not all in it");
        return false;
    }
    shstrndx = ELF_GET(elf, data, Ehdr, e_shstrndx);
    if (shstrndx < elf->shnum) {
        elf->shstrtab = elf_section(elf, elf_shdr(elf, shstrndx),
                                    &elf->shstrtab_size);
    }
    return true;
}

/* The header of the section named @name, or NULL */
static const uint8_t *elf_shdr_by_name(const Elf *elf, const char *name)
{
    size_t len = strlen(name) + 1;

    for (unsigned i = 1; elf->shstrtab && i < elf->shnum; i++) {
        const uint8_t *shdr = elf_shdr(elf, i);
        uint64_t offset = ELF_GET(elf, shdr, Shdr, sh_name);

        if (offset < elf->shstrtab_size &&
            len <= elf->shstrtab_size - offset &&
            memcmp(elf->shstrtab + offset, name, len) == 0) {
            return shdr;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------ */
/* What the kernel says about itself                                        */

/* Copy untrusted text that may end up on a terminal */
#define COPY_TEXT(array, src, len) \
    xenpv_text_copy(array, sizeof(array), src, len)

/*
 * "feature|!feature|...", with ! where the kernel requires the feature. One
 * that has no name here can be ignored unless it is required.
 */
static bool parse_features(XenPVKernel *k, const char *text, Error **errp)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {
        { "writable_page_tables", XENFEAT_writable_page_tables },
        { "writable_descriptor_tables", XENFEAT_writable_descriptor_tables },
        { "auto_translated_physmap", XENFEAT_auto_translated_physmap },
        { "supervisor_mode_kernel", XENFEAT_supervisor_mode_kernel },
        { "pae_pgdir_above_4gb", XENFEAT_pae_pgdir_above_4gb },
        { "hvm_callback_vector", XENFEAT_hvm_callback_vector },
        { "dom0", XENFEAT_dom0 },
    };
    const char *item, *end;

    for (item = text; *item; item = end + (*end == '|')) {
        bool required = *item == '!';
        const char *name = item + required;
        size_t len = strcspn(name, "|");
        unsigned i;

        end = name + len;
        for (i = 0; i < ARRAY_SIZE(names); i++) {
            if (strlen(names[i].name) == len &&
                memcmp(name, names[i].name, len) == 0) {
                k->features_supported |= 1U << names[i].bit;
                k->features_required |= (uint32_t)required << names[i].bit;
                break;
            }
        }
        if (i == ARRAY_SIZE(names) && required) {
            char printable[32];

            COPY_TEXT(printable, name, len);
            error_setg(errp, "it requires the unknown Xen feature '%s'",
                       printable);
            return false;
        }
    }
    return true;
}

/* The kinds of content that notes have */
typedef enum NoteKind {
    NOTE_IGNORED,
    NOTE_NUMBER,
    NOTE_TEXT,
    NOTE_BYTES,
} NoteKind;

static NoteKind note_kind(uint32_t type)
{
    static const uint8_t kinds[] = {
        [XEN_ELFNOTE_ENTRY] = NOTE_NUMBER,
        [XEN_ELFNOTE_HYPERCALL_PAGE] = NOTE_NUMBER,
        [XEN_ELFNOTE_VIRT_BASE] = NOTE_NUMBER,
        [XEN_ELFNOTE_PADDR_OFFSET] = NOTE_NUMBER,
        [XEN_ELFNOTE_XEN_VERSION] = NOTE_TEXT,
        [XEN_ELFNOTE_GUEST_OS] = NOTE_TEXT,
        [XEN_ELFNOTE_GUEST_VERSION] = NOTE_TEXT,
        [XEN_ELFNOTE_LOADER] = NOTE_TEXT,
        [XEN_ELFNOTE_PAE_MODE] = NOTE_TEXT,
        [XEN_ELFNOTE_FEATURES] = NOTE_TEXT,
        [XEN_ELFNOTE_BSD_SYMTAB] = NOTE_TEXT,
        [XEN_ELFNOTE_HV_START_LOW] = NOTE_NUMBER,
        [XEN_ELFNOTE_L1_MFN_VALID] = NOTE_BYTES,
        [XEN_ELFNOTE_SUSPEND_CANCEL] = NOTE_NUMBER,
        [XEN_ELFNOTE_INIT_P2M] = NOTE_NUMBER,
        [XEN_ELFNOTE_MOD_START_PFN] = NOTE_NUMBER,
        [XEN_ELFNOTE_SUPPORTED_FEATURES] = NOTE_BYTES,
        [XEN_ELFNOTE_PHYS32_ENTRY] = NOTE_NUMBER,
    };

    return type < ARRAY_SIZE(kinds) ? kinds[type] : NOTE_IGNORED;
}

/*
 * @descsz is the note's idea of its size, @avail what the file has of it: the
 * last note of GRUB, a text, claims some bytes beyond the end of the file.
 */
static bool parse_note(XenPVKernel *k, uint32_t type, const uint8_t *desc,
                       uint32_t descsz, uint32_t avail, Error **errp)
{
    NoteKind kind = note_kind(type);
    g_autofree char *text = NULL;
    uint64_t number = 0;

    if (avail < descsz && !(kind == NOTE_TEXT &&
                            memchr(desc, 0, MIN(avail, MAX_NOTE_TEXT)))) {
        error_setg(errp, "its ELF notes are not all in the file");
        return false;
    }
    if (kind == NOTE_NUMBER) {
        if (descsz != 1 && descsz != 2 && descsz != 4 && descsz != 8) {
            error_setg(errp, "its Xen ELF note %u is a number of %u bytes",
                       type, descsz);
            return false;
        }
        number = ldn_le_p(desc, descsz);
    } else if (kind == NOTE_TEXT) {
        text = g_strndup((const char *)desc, MIN(avail, MAX_NOTE_TEXT));
    }

    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        k->virt_entry = number;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        k->virt_hypercall = number;
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        k->virt_base = number;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        k->paddr_offset = number;
        break;
    case XEN_ELFNOTE_XEN_VERSION:
        COPY_TEXT(k->xen_version, text, strlen(text));
        break;
    case XEN_ELFNOTE_GUEST_OS:
        COPY_TEXT(k->guest_os, text, strlen(text));
        break;
    case XEN_ELFNOTE_GUEST_VERSION:
        COPY_TEXT(k->guest_version, text, strlen(text));
        break;
    case XEN_ELFNOTE_LOADER:
        COPY_TEXT(k->loader, text, strlen(text));
        break;
    case XEN_ELFNOTE_PAE_MODE:
        /* "yes" in a note is what yes[extended-cr3] is in __xen_guest */
        if (strstr(text, "bimodal")) {
            k->pae = XENPV_PAE_BIMODAL;
        } else if (g_str_has_prefix(text, "yes")) {
            k->pae = XENPV_PAE_EXTCR3;
        }
        break;
    case XEN_ELFNOTE_FEATURES:
        return parse_features(k, text, errp);
    case XEN_ELFNOTE_BSD_SYMTAB:
        if (strcmp(text, "yes") == 0) {
            k->bsd_symtab = true;
        }
        break;
    case XEN_ELFNOTE_HV_START_LOW:
        k->hv_start_low = number;
        break;
    case XEN_ELFNOTE_L1_MFN_VALID:
        /* Pairs of a mask and a value; all kernels have just one */
        if (descsz >= 16) {
            k->has_l1_mfn_valid = true;
            k->l1_mfn_mask = ldq_le_p(desc);
            k->l1_mfn_value = ldq_le_p(desc + 8);
        } else if (descsz >= 8) {
            k->has_l1_mfn_valid = true;
            k->l1_mfn_mask = ldn_le_p(desc, 4);
            k->l1_mfn_value = ldn_le_p(desc + 4, 4);
        }
        break;
    case XEN_ELFNOTE_SUSPEND_CANCEL:
        k->suspend_cancel = number != 0;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        k->init_p2m = number;
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        k->unmapped_initrd = number != 0;
        break;
    case XEN_ELFNOTE_SUPPORTED_FEATURES:
        /* An array of 32-bit words, of which only the first is in use */
        if (descsz >= 4) {
            k->features_supported |= ldl_le_p(desc);
        }
        break;
    case XEN_ELFNOTE_PHYS32_ENTRY:
        k->has_phys32_entry = true;
        break;
    }
    return true;
}

/*
 * Parse the notes that start in the @size bytes at @offset. As in libelf, the
 * last one may reach beyond, but not out of the file.
 * @nr_notes counts all notes seen so far, @nr_xen_notes those of Xen.
 */
static bool parse_notes(const Elf *elf, XenPVKernel *k, uint64_t offset,
                        uint64_t size, unsigned *nr_notes,
                        unsigned *nr_xen_notes, Error **errp)
{
    const size_t header = sizeof(Elf32_Nhdr);
    uint64_t end = offset + size;

    if (!elf_range(elf, offset, size)) {
        error_setg(errp, "its ELF notes are not all in the file");
        return false;
    }
    while (offset < end) {
        const uint8_t *note = elf_range(elf, offset, header);
        uint32_t namesz, descsz, type;
        uint64_t desc_offset;
        const uint8_t *name, *desc;

        if (!note) {
            /* Padding at the end of the file */
            break;
        }
        if (++*nr_notes > MAX_NOTES) {
            error_setg(errp, "it has too many ELF notes");
            return false;
        }
        namesz = ldl_le_p(note + offsetof(Elf32_Nhdr, n_namesz));
        descsz = ldl_le_p(note + offsetof(Elf32_Nhdr, n_descsz));
        type = ldl_le_p(note + offsetof(Elf32_Nhdr, n_type));
        desc_offset = offset + header + ROUND_UP((uint64_t)namesz, 4);
        name = elf_range(elf, offset + header, namesz);
        desc = elf_range(elf, desc_offset, 0);
        if (!name || !desc) {
            error_setg(errp, "its ELF notes are not all in the file");
            return false;
        }
        if (namesz == sizeof("Xen") && memcmp(name, "Xen", namesz) == 0) {
            if (++*nr_xen_notes > MAX_XEN_NOTES) {
                error_setg(errp, "it has too many ELF notes of Xen's");
                return false;
            }
            if (!parse_note(k, type, desc, descsz,
                            MIN(descsz, elf->size - desc_offset), errp)) {
                return false;
            }
        }
        offset = desc_offset + ROUND_UP((uint64_t)descsz, 4);
    }
    return true;
}

/* A number of __xen_guest, decimal or 0x... */
static bool parse_guest_number(const char *name, const char *value,
                               uint64_t *number, Error **errp)
{
    const char *end;

    if (qemu_strtou64(value, &end, 0, number) < 0) {
        error_setg(errp, "%s in its " XEN_GUEST_SECTION
                   " section is not a number", name);
        return false;
    }
    return true;
}

/* "NAME=VALUE,NAME=VALUE,..." */
static bool parse_guest_info(XenPVKernel *k, const char *text, Error **errp)
{
    g_auto(GStrv) items = g_strsplit(text, ",", -1);

    for (char **item = items; *item; item++) {
        char *value = strchr(*item, '=');
        const char *name = *item;
        uint64_t number;
        bool ok = true;

        if (value) {
            *value++ = 0;
        } else {
            value = *item + strlen(*item);
        }

        if (strcmp(name, "LOADER") == 0) {
            COPY_TEXT(k->loader, value, strlen(value));
        } else if (strcmp(name, "GUEST_OS") == 0) {
            COPY_TEXT(k->guest_os, value, strlen(value));
        } else if (strcmp(name, "GUEST_VER") == 0) {
            COPY_TEXT(k->guest_version, value, strlen(value));
        } else if (strcmp(name, "XEN_VER") == 0) {
            COPY_TEXT(k->xen_version, value, strlen(value));
        } else if (strcmp(name, "PAE") == 0) {
            if (strcmp(value, "yes[extended-cr3]") == 0) {
                k->pae = XENPV_PAE_EXTCR3;
            } else if (g_str_has_prefix(value, "yes")) {
                k->pae = XENPV_PAE_YES;
            }
        } else if (strcmp(name, "BSD_SYMTAB") == 0) {
            k->bsd_symtab = true;
        } else if (strcmp(name, "VIRT_BASE") == 0) {
            ok = parse_guest_number(name, value, &k->virt_base, errp);
        } else if (strcmp(name, "VIRT_ENTRY") == 0) {
            ok = parse_guest_number(name, value, &k->virt_entry, errp);
        } else if (strcmp(name, "ELF_PADDR_OFFSET") == 0) {
            ok = parse_guest_number(name, value, &k->paddr_offset, errp);
        } else if (strcmp(name, "HYPERCALL_PAGE") == 0) {
            /* The number of the page, from VIRT_BASE on */
            ok = parse_guest_number(name, value, &number, errp);
            k->virt_hypercall = number << XENPV_PAGE_SHIFT;
        } else if (strcmp(name, "FEATURES") == 0) {
            ok = parse_features(k, value, errp);
        }
        if (!ok) {
            return false;
        }
    }
    if (k->virt_base != XENPV_UNSET && k->virt_hypercall != XENPV_UNSET) {
        k->virt_hypercall += k->virt_base;
    }
    return true;
}

/* Find and parse the notes or __xen_guest; @source tells which it was */
static bool parse_metadata(const Elf *elf, XenPVKernel *k, const char **source,
                           Error **errp)
{
    unsigned nr_notes = 0;
    unsigned nr_xen_notes = 0;
    const uint8_t *shdr;

    for (unsigned i = 0; i < elf->phnum; i++) {
        const uint8_t *phdr = elf_phdr(elf, i);
        uint64_t offset = ELF_GET(elf, phdr, Phdr, p_offset);

        /* Some versions of binutils left the offset of notes 0 */
        if (ELF_GET(elf, phdr, Phdr, p_type) == PT_NOTE && offset &&
            !parse_notes(elf, k, offset, ELF_GET(elf, phdr, Phdr, p_filesz),
                         &nr_notes, &nr_xen_notes, errp)) {
            return false;
        }
    }
    *source = "ELF notes";
    if (nr_xen_notes) {
        return true;
    }

    for (unsigned i = 1; i < elf->shnum; i++) {
        shdr = elf_shdr(elf, i);
        if (ELF_GET(elf, shdr, Shdr, sh_type) == SHT_NOTE &&
            !parse_notes(elf, k, ELF_GET(elf, shdr, Shdr, sh_offset),
                         ELF_GET(elf, shdr, Shdr, sh_size),
                         &nr_notes, &nr_xen_notes, errp)) {
            return false;
        }
    }
    if (nr_xen_notes) {
        return true;
    }

    shdr = elf_shdr_by_name(elf, XEN_GUEST_SECTION);
    if (shdr) {
        g_autofree char *text = NULL;
        uint64_t size;
        const uint8_t *section = elf_section(elf, shdr, &size);

        if (!section) {
            error_setg(errp, "its " XEN_GUEST_SECTION " section is not all in "
                       "the file");
            return false;
        }
        text = g_strndup((const char *)section, MIN(size, MAX_GUEST_INFO));
        *source = XEN_GUEST_SECTION;
        return parse_guest_info(k, text, errp);
    }

    error_setg(errp, "it is not a Xen paravirtualised kernel: it has neither "
               "Xen ELF notes nor a section " XEN_GUEST_SECTION);
    return false;
}

/* ------------------------------------------------------------------------ */
/* The image                                                                */

/*
 * BSD kernels want their symbols behind the kernel, from @paddr on, in the
 * form of a small ELF file that has only them: its size in 4 bytes, an ELF
 * header, the headers of the sections 0, SYMTAB and STRTAB, and the sections.
 * libelf reserves room for the larger width's structures in both.
 */
#define SYMTAB_EHDR         4
#define SYMTAB_SHDRS        (SYMTAB_EHDR + sizeof(Elf64_Ehdr))
#define SYMTAB_HEADERS_END  (SYMTAB_SHDRS + 3 * sizeof(Elf64_Shdr))

static bool build_symtab(const Elf *elf, XenPVKernel *k, uint64_t paddr,
                         XenPVSegment *segment, Error **errp)
{
    const uint8_t *symtab_shdr = NULL, *strtab_shdr = NULL;
    const uint8_t *symtab, *strtab;
    size_t align = elf->is_64bit ? 8 : 4;
    size_t shdr_size = ELF_SIZE(elf, Shdr);
    uint64_t symtab_size, strtab_size;
    size_t symtab_at, strtab_at, size;
    uint8_t *blob, *ehdr, *shdr;

    for (unsigned i = 1; i < elf->shnum && !strtab_shdr; i++) {
        uint32_t link;

        symtab_shdr = elf_shdr(elf, i);
        link = ELF_GET(elf, symtab_shdr, Shdr, sh_link);
        if (ELF_GET(elf, symtab_shdr, Shdr, sh_type) == SHT_SYMTAB &&
            link != 0 && link < elf->shnum &&
            ELF_GET(elf, elf_shdr(elf, link), Shdr, sh_type) == SHT_STRTAB) {
            strtab_shdr = elf_shdr(elf, link);
        }
    }
    if (!strtab_shdr) {
        /* A kernel that was stripped: it starts, and does without */
        k->bsd_symtab = false;
        return true;
    }
    symtab = elf_section(elf, symtab_shdr, &symtab_size);
    strtab = elf_section(elf, strtab_shdr, &strtab_size);
    if (!symtab || !strtab) {
        error_setg(errp, "its ELF symbols are not all in the file");
        return false;
    }

    /* Both are in the file, so their sum cannot overflow */
    if (symtab_size + strtab_size > MAX_SYMBOLS) {
        error_setg(errp, "its ELF symbols are too large");
        return false;
    }

    symtab_at = ROUND_UP(SYMTAB_HEADERS_END, align);
    strtab_at = ROUND_UP(symtab_at + symtab_size, align);
    size = ROUND_UP(strtab_at + strtab_size, align);
    blob = g_try_malloc0(size);
    if (!blob) {
        error_setg(errp, "not enough memory for its symbols");
        return false;
    }
    k->symtab = blob;

    stl_le_p(blob, strtab_at + strtab_size - SYMTAB_EHDR);

    ehdr = blob + SYMTAB_EHDR;
    memcpy(ehdr, elf->ehdr, ELF_SIZE(elf, Ehdr));
    ELF_SET(elf, ehdr, Ehdr, e_version, EV_CURRENT);
    ELF_SET(elf, ehdr, Ehdr, e_ehsize, ELF_SIZE(elf, Ehdr));
    ELF_SET(elf, ehdr, Ehdr, e_phoff, 0);
    ELF_SET(elf, ehdr, Ehdr, e_phentsize, 0);
    ELF_SET(elf, ehdr, Ehdr, e_phnum, 0);
    ELF_SET(elf, ehdr, Ehdr, e_shoff, SYMTAB_SHDRS - SYMTAB_EHDR);
    ELF_SET(elf, ehdr, Ehdr, e_shentsize, shdr_size);
    ELF_SET(elf, ehdr, Ehdr, e_shnum, 3);
    ELF_SET(elf, ehdr, Ehdr, e_shstrndx, 0);

    shdr = blob + SYMTAB_SHDRS + shdr_size;
    memcpy(shdr, symtab_shdr, shdr_size);
    ELF_SET(elf, shdr, Shdr, sh_offset, symtab_at - SYMTAB_EHDR);
    ELF_SET(elf, shdr, Shdr, sh_link, 2);
    shdr += shdr_size;
    memcpy(shdr, strtab_shdr, shdr_size);
    ELF_SET(elf, shdr, Shdr, sh_offset, strtab_at - SYMTAB_EHDR);

    memcpy(blob + symtab_at, symtab, symtab_size);
    memcpy(blob + strtab_at, strtab, strtab_size);

    *segment = (XenPVSegment) {
        .paddr = ROUND_UP(paddr, align),
        .memsz = size, .data = blob, .filesz = size,
    };
    return true;
}

/* Collect what has to be loaded; *pstart to *pend is the range of p_paddr */
static bool parse_segments(const Elf *elf, XenPVKernel *k, uint64_t *pstart,
                           uint64_t *pend, Error **errp)
{
    uint64_t budget;

    /* One more for the symbols */
    k->segments = g_new0(XenPVSegment, elf->phnum + 1);
    *pstart = UINT64_MAX;
    *pend = 0;
    for (unsigned i = 0; i < elf->phnum; i++) {
        const uint8_t *phdr = elf_phdr(elf, i);
        XenPVSegment *seg = &k->segments[k->nr_segments];

        if (ELF_GET(elf, phdr, Phdr, p_type) != PT_LOAD ||
            !(ELF_GET(elf, phdr, Phdr, p_flags) & (PF_R | PF_W | PF_X))) {
            continue;
        }
        seg->paddr = ELF_GET(elf, phdr, Phdr, p_paddr);
        seg->memsz = ELF_GET(elf, phdr, Phdr, p_memsz);
        seg->filesz = ELF_GET(elf, phdr, Phdr, p_filesz);
        seg->data = elf_range(elf, ELF_GET(elf, phdr, Phdr, p_offset),
                              seg->filesz);
        if (!seg->data) {
            error_setg(errp, "its ELF segments are not all in the file");
            return false;
        }
        if (seg->filesz > seg->memsz ||
            seg->memsz > UINT64_MAX - seg->paddr) {
            error_setg(errp, "its ELF segments have impossible sizes");
            return false;
        }
        *pstart = MIN(*pstart, seg->paddr);
        *pend = MAX(*pend, seg->paddr + seg->memsz);
        k->nr_segments++;
    }
    if (*pstart >= *pend) {
        error_setg(errp, "it has no ELF segments to load");
        return false;
    }

    /*
     * Xen does not mind segments that overlap a bit, so there may be kernels
     * that need it. But loading must not take more than twice the time that
     * the image's size justifies.
     */
    budget = (*pend - *pstart) > UINT64_MAX / 2 ? UINT64_MAX
                                                : (*pend - *pstart) * 2;
    for (unsigned i = 0; i < k->nr_segments; i++) {
        if (k->segments[i].memsz > budget) {
            error_setg(errp, "its ELF segments overlap");
            return false;
        }
        budget -= k->segments[i].memsz;
    }
    return true;
}

bool xenpv_virt_range_ok(bool is_64bit, uint64_t start, uint64_t end)
{
    if (start >= end) {
        return false;
    }
    if (!is_64bit) {
        return end <= XENPV_M2P_VIRT_32;
    }
    return end <= (1ULL << 47) || start >= XENPV_HV_VIRT_END_64;
}

/*
 * Is the image, [virt_kstart, virt_kend), where a guest's may be? Then it is
 * from virt_base on, without a wrap, and so is each segment within it.
 */
static bool check_image_range(const XenPVKernel *k, Error **errp)
{
    if (k->virt_kstart < k->virt_base || k->virt_kstart >= k->virt_kend ||
        !xenpv_virt_range_ok(k->is_64bit, k->virt_base, k->virt_kend)) {
        error_setg(errp, "its image is at 0x%" PRIx64 " to 0x%" PRIx64
                   ", where it cannot be (VIRT_BASE is 0x%" PRIx64 ")",
                   k->virt_kstart, k->virt_kend, k->virt_base);
        return false;
    }
    return true;
}

/* Derive and check the addresses; all of it as libelf does */
static bool parse_addresses(const Elf *elf, XenPVKernel *k, bool legacy,
                            Error **errp)
{
    uint64_t pstart, pend, virt_offset;

    if (!parse_segments(elf, k, &pstart, &pend, errp)) {
        return false;
    }
    if (k->paddr_offset != XENPV_UNSET && k->virt_base == XENPV_UNSET) {
        error_setg(errp, "it has a PADDR_OFFSET, but no VIRT_BASE");
        return false;
    }
    if (k->virt_base == XENPV_UNSET) {
        k->virt_base = 0;
    }
    if (k->paddr_offset == XENPV_UNSET) {
        /*
         * Kernels from before the notes have virtual addresses in p_paddr:
         * that was all that the hypervisors of their time looked at.
         */
        k->paddr_offset = legacy ? k->virt_base : 0;
    }
    if (k->virt_entry == XENPV_UNSET) {
        k->virt_entry = ELF_GET(elf, elf->ehdr, Ehdr, e_entry);
    }
    virt_offset = k->virt_base - k->paddr_offset;
    k->virt_kstart = pstart + virt_offset;
    k->virt_kend = pend + virt_offset;

    for (unsigned i = 0; i < k->nr_segments; i++) {
        k->segments[i].paddr -= k->paddr_offset;
    }
    if (k->virt_base & (XENPV_PAGE_SIZE - 1)) {
        error_setg(errp, "its VIRT_BASE 0x%" PRIx64 " is not page aligned",
                   k->virt_base);
        return false;
    }
    /* Before anything is derived from the image's end, and after that */
    if (!check_image_range(k, errp)) {
        return false;
    }
    if (k->bsd_symtab) {
        XenPVSegment *seg = &k->segments[k->nr_segments];

        if (!build_symtab(elf, k, pend - k->paddr_offset, seg, errp)) {
            return false;
        }
        if (k->bsd_symtab) {
            k->virt_kend = seg->paddr + seg->memsz + k->virt_base;
            k->nr_segments++;
        }
        if (!check_image_range(k, errp)) {
            return false;
        }
    }
    if (k->virt_entry < k->virt_kstart || k->virt_entry >= k->virt_kend) {
        error_setg(errp, "its entry point 0x%" PRIx64 " is outside of its "
                   "image at 0x%" PRIx64 " to 0x%" PRIx64,
                   k->virt_entry, k->virt_kstart, k->virt_kend);
        return false;
    }
    if (k->init_p2m != XENPV_UNSET) {
        if (k->init_p2m >= k->virt_kstart && k->init_p2m < k->virt_kend) {
            error_setg(errp, "its INIT_P2M 0x%" PRIx64 " is inside its image",
                       k->init_p2m);
            return false;
        }
        /* In all other cases that cannot be done Xen ignores the note */
        if (!k->is_64bit || k->init_p2m >= k->virt_base ||
            (k->init_p2m & (XENPV_PAGE_SIZE - 1))) {
            k->init_p2m = XENPV_UNSET;
        }
    }
    return true;
}

/*
 * Has the kernel Xen's notes only because it is built for HVM or PVH domains?
 * Then the entry for PVH is the only one that it tells. Linux without XEN_PV
 * has the note PADDR_OFFSET all the same, which means nothing by itself.
 */
static bool is_without_pv(const XenPVKernel *k, bool legacy)
{
    return !legacy &&
           k->virt_entry == XENPV_UNSET && k->virt_base == XENPV_UNSET &&
           (k->has_phys32_entry || k->paddr_offset != XENPV_UNSET);
}

/* Is this a kernel that can be a domU, and one for this machine? */
static bool check_metadata(const XenPVKernel *k, bool legacy, bool allow_64bit,
                           Error **errp)
{
    if (is_without_pv(k, legacy)) {
        error_setg(errp, "it is a kernel for Xen's PVH or HVM guests, built "
                   "without paravirtualisation: start it with -M pc, q35 or "
                   "microvm");
        return false;
    }
    if (!g_str_has_prefix(k->loader, "generic") &&
        !g_str_has_prefix(k->guest_os, "linux")) {
        error_setg(errp, "it is not a Xen paravirtualised kernel: it is "
                   "neither for the generic loader (LOADER is '%s') nor Linux "
                   "(GUEST_OS is '%s')", k->loader, k->guest_os);
        return false;
    }
    if (!g_str_has_prefix(k->xen_version, "xen-3.0")) {
        error_setg(errp, "it is not for xen-3.0 (its version of Xen is '%s')",
                   k->xen_version);
        return false;
    }
    if (k->is_64bit && !allow_64bit) {
        error_setg(errp, "it is a 64-bit kernel: use qemu-system-x86_64");
        return false;
    }
    if (!k->is_64bit && k->pae == XENPV_PAE_NO) {
        error_setg(errp, "it is a 32-bit kernel without PAE: only PAE kernels "
                   "are supported");
        return false;
    }
    if (k->features_required & (1U << XENFEAT_dom0)) {
        error_setg(errp, "it can only be a dom0, the control domain of Xen");
        return false;
    }
    if (k->features_required & (1U << XENFEAT_auto_translated_physmap)) {
        error_setg(errp, "it requires auto_translated_physmap, which "
                   "paravirtualised guests no longer have");
        return false;
    }
    if (k->features_required & (1U << XENFEAT_supervisor_mode_kernel)) {
        error_setg(errp, "it requires supervisor_mode_kernel, to run at ring "
                   "0, which is not supported");
        return false;
    }
    return true;
}

bool xenpv_elf_parse(const uint8_t *data, size_t len, bool allow_64bit,
                     XenPVKernel *k, const char **source, Error **errp)
{
    bool legacy;
    Elf elf;

    k->virt_base = XENPV_UNSET;
    k->virt_entry = XENPV_UNSET;
    k->virt_hypercall = XENPV_UNSET;
    k->paddr_offset = XENPV_UNSET;
    k->init_p2m = XENPV_UNSET;
    k->hv_start_low = XENPV_UNSET;
    if (!elf_open(&elf, data, len, errp)) {
        return false;
    }
    k->is_64bit = elf.is_64bit;
    if (!parse_metadata(&elf, k, source, errp)) {
        return false;
    }
    legacy = strcmp(*source, XEN_GUEST_SECTION) == 0;
    if (!check_metadata(k, legacy, allow_64bit, errp) ||
        !parse_addresses(&elf, k, legacy, errp)) {
        return false;
    }
    if (k->is_64bit) {
        k->pae = XENPV_PAE_NO;
    }
    return true;
}
