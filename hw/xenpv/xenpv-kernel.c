/*
 * Find the paravirtualised kernel in a file
 *
 * The first half of the domain builder (see xenpv-domain-builder.h): it turns
 * the file of -kernel into a struct XenPVKernel. The machine calls it once,
 * before its first reset. A kernel may be wrapped: an ELF file as the payload
 * of a bzImage, each of them compressed by one of the programs that Linux's
 * build or a user may choose. This file unwraps it with xenpv-unpack.c, and
 * xenpv-elf.c parses the ELF file. Nothing in the file is trusted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "elf.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/madvise.h"
#include "xenpv-elf.h"
#include "trace.h"

/* One more than a compressed bzImage with a compressed payload has */
#define MAX_NESTING         4

/* The header of a bzImage, from Linux's Documentation/arch/x86/boot.rst */
#define BZ_SETUP_SECTS      0x1f1
#define BZ_HEADER           0x202
#define BZ_VERSION          0x206
#define BZ_PAYLOAD_OFFSET   0x248
#define BZ_PAYLOAD_LENGTH   0x24c
#define BZ_HEADER_END       0x250

static bool is_bzimage(const uint8_t *data, size_t len)
{
    return len >= BZ_HEADER_END && memcmp(data + BZ_HEADER, "HdrS", 4) == 0;
}

static bool bzimage_payload(const uint8_t *data, size_t len, size_t *offset,
                            size_t *payload_len, Error **errp)
{
    unsigned version = lduw_le_p(data + BZ_VERSION);
    unsigned sects = data[BZ_SETUP_SECTS] ?: 4;
    /* ldl_le_p() is signed */
    uint64_t start = (sects + 1) * 512 +
                     ldn_le_p(data + BZ_PAYLOAD_OFFSET, 4);
    uint32_t length = ldl_le_p(data + BZ_PAYLOAD_LENGTH);

    if (version < 0x208) {
        error_setg(errp, "this bzImage is of before Linux 2.6.26 and cannot be "
                   "started under Xen: use the vmlinux that comes with it");
        return false;
    }
    if (length == 0 || start > len || length > len - start) {
        error_setg(errp, "the payload of the bzImage is not all in the file");
        return false;
    }
    *offset = start;
    *payload_len = length;
    return true;
}

static void append_format(char *format, size_t size, const char *s)
{
    if (format[0]) {
        pstrcat(format, size, ", ");
    }
    pstrcat(format, size, s);
}

/*
 * A machine keeps its kernel for the next reset, and a kernel may have as many
 * pages of zeroes as of others. Those need no memory of the host's: in a large
 * block of malloc(), a page that was dropped reads as zeroes again.
 */
static void drop_zero_pages(uint8_t *data, size_t len)
{
    const size_t page = qemu_real_host_page_size();
    uint8_t *end = QEMU_ALIGN_PTR_DOWN(data + len, page);
    uint8_t *from = NULL;

    for (uint8_t *p = QEMU_ALIGN_PTR_UP(data, page); p < end; p += page) {
        bool zero = buffer_is_zero(p, page);

        if (zero && !from) {
            from = p;
        } else if (!zero && from) {
            qemu_madvise(from, p - from, QEMU_MADV_DONTNEED);
            from = NULL;
        }
    }
    if (from && from < end) {
        qemu_madvise(from, end - from, QEMU_MADV_DONTNEED);
    }
}

/* Unwrap and parse @data, which was allocated by g_malloc(); takes it over */
static XenPVKernel *kernel_parse(uint8_t *data, size_t len, bool allow_64bit,
                                 Error **errp)
{
    g_autoptr(XenPVKernel) k = g_new0(XenPVKernel, 1);
    const char *source;
    size_t offset = 0;
    bool trailer = false;

    k->image = data;

    for (unsigned i = 0; ; i++) {
        const uint8_t *p = k->image + offset;
        const char *format;
        size_t out_len = 0;
        uint8_t *out;

        if (len >= SELFMAG && memcmp(p, ELFMAG, SELFMAG) == 0) {
            break;
        }
        if (i >= MAX_NESTING) {
            error_setg(errp, "it is wrapped too often");
            return NULL;
        }
        if (!trailer && is_bzimage(p, len)) {
            size_t payload;

            if (!bzimage_payload(p, len, &payload, &len, errp)) {
                return NULL;
            }
            offset += payload;
            trailer = true;
            append_format(k->format, sizeof(k->format), "bzImage");
            continue;
        }
        out = xenpv_decompress(p, len, XENPV_KERNEL_MAX_SIZE, trailer,
                               &out_len, &format, errp);
        if (!out) {
            if (!format) {
                error_setg(errp, trailer
                           ? "the payload of the bzImage is neither ELF nor "
                             "compressed in a known format"
                           : "it is neither an ELF file nor a bzImage, nor "
                             "one of them compressed in a known format");
            }
            return NULL;
        }
        g_free(k->image);
        k->image = out;
        offset = 0;
        len = out_len;
        trailer = false;
        append_format(k->format, sizeof(k->format), format);
    }

    if (!xenpv_elf_parse(k->image + offset, len, allow_64bit, k, &source,
                         errp)) {
        return NULL;
    }
    append_format(k->format, sizeof(k->format),
                  k->is_64bit ? "64-bit ELF" : "32-bit ELF");
    append_format(k->format, sizeof(k->format), source);
    drop_zero_pages(k->image, offset + len);
    trace_xenpv_kernel_found(k->format, k->guest_os, k->guest_version);
    trace_xenpv_kernel_notes(k->virt_base, k->virt_entry, k->virt_hypercall,
                             k->init_p2m, k->unmapped_initrd);
    return g_steal_pointer(&k);
}

XenPVKernel *xenpv_kernel_parse(const void *data, size_t len, bool allow_64bit,
                                Error **errp)
{
    if (len > XENPV_KERNEL_MAX_SIZE) {
        error_setg(errp, "it is too large");
        return NULL;
    }
    /* g_memdup2() gives NULL for nothing */
    return kernel_parse(len ? g_memdup2(data, len) : g_malloc(1), len,
                        allow_64bit, errp);
}

XenPVKernel *xenpv_kernel_load(const char *filename, bool allow_64bit,
                               Error **errp)
{
    ERRP_GUARD();
    XenPVKernel *k;
    uint8_t *data;
    size_t len;

    data = xenpv_file_load(filename, XENPV_KERNEL_MAX_SIZE, &len, errp);
    if (!data) {
        error_prepend(errp, "-kernel: ");
        return NULL;
    }
    k = kernel_parse(data, len, allow_64bit, errp);
    if (!k) {
        error_prepend(errp, "-kernel '%s': ", filename);
    }
    return k;
}

void xenpv_kernel_free(XenPVKernel *k)
{
    if (k) {
        g_free(k->segments);
        g_free(k->symtab);
        g_free(k->image);
        g_free(k);
    }
}
