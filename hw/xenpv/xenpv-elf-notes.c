/*
 * What a paravirtualised kernel says about itself: Xen's ELF notes
 *
 * They say how the kernel wants to be started; before there were notes, the
 * text of a section named __xen_guest did. Both are read as in Xen's libelf.
 *
 * Called by xenpv-elf.c. Nothing in the file is trusted: all reads go through a
 * checked range, and what is copied has limits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/xen/interface/features.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "hw/xenpv/xenpv-text.h"
#include "xenpv-elf.h"

/* Limits: all notes, as in libelf, and Xen's, of which there are 20 types */
#define MAX_NOTES           65536
#define MAX_XEN_NOTES       256
#define MAX_NOTE_TEXT       4096
/* The text of __xen_guest is some hundred bytes long */
#define MAX_GUEST_INFO      (64 * KiB)

/* Copy untrusted text that may end up on a terminal */
#define COPY_TEXT(array, src, len) \
    xenpv_text_copy(array, sizeof(array), src, len)

/*
 * "feature|!feature|...", with ! where the kernel requires the feature. A
 * feature without a name here is ignored unless the kernel requires it.
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
 * @descsz is the size that the note claims, @avail how much of it the file has:
 * GRUB's last note, a text, claims some bytes beyond the end of the file.
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

bool xenpv_elf_parse_notes(const Elf *elf, XenPVKernel *k, bool *legacy,
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
    *legacy = false;
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
        *legacy = true;
        return parse_guest_info(k, text, errp);
    }

    error_setg(errp, "it is not a Xen paravirtualised kernel: it has neither "
               "Xen ELF notes nor a section " XEN_GUEST_SECTION);
    return false;
}
