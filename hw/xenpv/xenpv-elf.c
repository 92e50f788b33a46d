/*
 * Parse a paravirtualised kernel's ELF file: its structure, its segments, and
 * where in memory all of it belongs
 *
 * xenpv-elf-notes.c reads what the kernel says about itself; defaults for the
 * rest are those of Xen's libelf.
 *
 * Called by xenpv-kernel.c, once the file is unpacked. Nothing in it is
 * trusted: all reads go through a checked range, and what is copied has limits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "hw/xen/interface/features.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "xenpv-elf.h"

/* Limit for the symbols that a BSD kernel gets; those of NetBSD have 2 MiB */
#define MAX_SYMBOLS         (64 * MiB)

#define ELF_SET(elf, p, type, member, value) \
    ((elf)->is_64bit \
     ? stn_le_p((p) + offsetof(Elf64_##type, member), \
                sizeof_field(Elf64_##type, member), (value)) \
     : stn_le_p((p) + offsetof(Elf32_##type, member), \
                sizeof_field(Elf32_##type, member), (value)))

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
        /* The kernel was stripped: it starts without symbols */
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
 * Is the image, [virt_kstart, virt_kend), where a guest's may be? If so,
 * neither it nor any segment in it wraps around, counted from virt_base.
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
    /* Checked before the symbols are put behind the image, and again after */
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
        /* Xen ignores the note in all other cases that are impossible */
        if (!k->is_64bit || k->init_p2m >= k->virt_base ||
            (k->init_p2m & (XENPV_PAGE_SIZE - 1))) {
            k->init_p2m = XENPV_UNSET;
        }
    }
    return true;
}

/*
 * Does the kernel have Xen's notes only because it is built for HVM or PVH
 * domains? Then the entry for PVH is the only one that it names. Linux without
 * XEN_PV has the note PADDR_OFFSET all the same, which means nothing by itself.
 */
static bool is_without_pv(const XenPVKernel *k, bool legacy)
{
    return !legacy &&
           k->virt_entry == XENPV_UNSET && k->virt_base == XENPV_UNSET &&
           (k->has_phys32_entry || k->paddr_offset != XENPV_UNSET);
}

/* Can this kernel be a domU, and can it run on this machine? */
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
    if (!xenpv_elf_parse_notes(&elf, k, &legacy, errp)) {
        return false;
    }
    *source = legacy ? XEN_GUEST_SECTION : "ELF notes";
    if (!check_metadata(k, legacy, allow_64bit, errp) ||
        !parse_addresses(&elf, k, legacy, errp)) {
        return false;
    }
    if (k->is_64bit) {
        k->pae = XENPV_PAE_NO;
    }
    return true;
}
