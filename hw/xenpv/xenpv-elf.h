/*
 * A paravirtualised kernel's ELF file: what xenpv-kernel.c calls, and what the two
 * files that understand it share
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
 * Segments point into @data, which is to stay where it is.
 * @allow_64bit: false makes a 64-bit kernel an error.
 * @source: set to where the kernel says what it is, for people.
 *
 * Returns false with @errp set if it is none that can be started here.
 */
bool xenpv_elf_parse(const uint8_t *data, size_t len, bool allow_64bit,
                     XenPVKernel *k, const char **source, Error **errp);

/* The file, as xenpv-elf.c has opened it: both tables of headers are in it */
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

/* The header of segment or section @i: the tables were checked as a whole */
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

/* Before there were ELF notes: a section with text */
#define XEN_GUEST_SECTION   "__xen_guest"

/*
 * xenpv_elf_parse_notes: fill in @k with what the kernel says about itself, in
 * xenpv-elf-notes.c. @legacy: set to whether it was in __xen_guest.
 */
bool xenpv_elf_parse_notes(const Elf *elf, XenPVKernel *k, bool *legacy,
                           Error **errp);

#endif /* HW_XENPV_ELF_H */
