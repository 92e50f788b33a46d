/*
 * A paravirtualised kernel's ELF file: what xenpv-kernel.c calls, and what the
 * two files that parse it share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_XENPV_ELF_H
#define HW_XENPV_ELF_H

#include "elf.h"
#include "qemu/bswap.h"
#include "hw/xenpv/xenpv-domain-builder.h"

/*
 * xenpv_elf_parse: fill in @k from the ELF file in the @len bytes at @data.
 *
 * Segments point into @data, which has to outlive them.
 * @allow_64bit: false makes a 64-bit kernel an error.
 * @source: set to where the kernel describes itself, as a text for people.
 *
 * Returns false with @errp set if this machine cannot start the kernel.
 */
bool xenpv_elf_parse(const uint8_t *data, size_t len, bool allow_64bit,
                     XenPVKernel *k, const char **source, Error **errp);

/* An ELF file after elf_open(), which checked that it has all of its headers */
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
#define ELF_SIZE(elf, type) \
    ((elf)->is_64bit ? sizeof(Elf64_##type) : sizeof(Elf32_##type))

/* The @len bytes at @offset of the file, or NULL if they are not all there */
static inline const uint8_t *elf_range(const Elf *elf, uint64_t offset,
                                       uint64_t len)
{
    if (offset > elf->size || len > elf->size - offset) {
        return NULL;
    }
    return elf->data + offset;
}

/* The header of segment or section @i; elf_open() has checked the tables */
static inline const uint8_t *elf_phdr(const Elf *elf, unsigned i)
{
    return elf->data + elf->phoff + (size_t)i * elf->phentsize;
}

static inline const uint8_t *elf_shdr(const Elf *elf, unsigned i)
{
    return elf->data + elf->shoff + (size_t)i * elf->shentsize;
}

/* The content of a section, or NULL if it is not all in the file */
static inline const uint8_t *elf_section(const Elf *elf, const uint8_t *shdr,
                                         uint64_t *size)
{
    *size = ELF_GET(elf, shdr, Shdr, sh_size);
    return elf_range(elf, ELF_GET(elf, shdr, Shdr, sh_offset), *size);
}

/* The text by which kernels described themselves before there were ELF notes */
#define XEN_GUEST_SECTION   "__xen_guest"

/*
 * xenpv_elf_parse_notes: fill in @k with what the kernel says about itself, in
 * xenpv-elf-notes.c. @legacy: set to whether it says so in __xen_guest.
 */
bool xenpv_elf_parse_notes(const Elf *elf, XenPVKernel *k, bool *legacy,
                           Error **errp);

#endif /* HW_XENPV_ELF_H */
