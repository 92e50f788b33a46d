/*
 * Boot from disk: PV GRUB as the kernel of a machine that was given none
 *
 * The image is looked for in QEMU's data directories, where an administrator
 * may put one, and where Debian's grub-xen-host puts it. The configuration in
 * Debian's, kept in a tar file within the image, knows GRUB 2's grub.cfg
 * only, though the reader of GRUB legacy's menus is part of it: so that
 * configuration is replaced by ours, in memory. An image without such a tar
 * file is taken as it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "xenpv-grub.h"
#include "trace.h"

#define GRUB_DEBIAN_DIR     "/usr/lib/grub-xen"

/* Of a tar file: what is needed of POSIX's ustar header */
#define TAR_BLOCK           512
#define TAR_SIZE            124     /* 11 octal digits */
#define TAR_CHECKSUM        148     /* 6 octal digits, NUL, space */
#define TAR_CHECKSUM_LEN    8
#define TAR_MAGIC           257

/*
 * First another GRUB, which a guest may have installed for just that purpose;
 * then the menus. It ends at GRUB's prompt, as it would with Debian's own.
 */
const char xenpv_grub_config[] =
    "for f in /boot/xen/pvboot-$grub_cpu.elf /xen/pvboot-$grub_cpu.elf; do\n"
    "  if search -s -f $f; then multiboot $f; boot; fi\n"
    "done\n"
    "for d in /boot/grub /grub /boot/grub2 /grub2; do\n"
    "  if search -s -f $d/grub.cfg; then configfile $d/grub.cfg; fi\n"
    "done\n"
    "for d in /boot/grub /grub; do\n"
    "  for f in $d/menu.lst $d/grub.conf; do\n"
    "    if search -s -f $f; then legacy_configfile $f; fi\n"
    "  done\n"
    "done\n"
    "echo \"Nothing to boot: no disk has a boot/grub/grub.cfg or "
    "boot/grub/menu.lst that works\"\n"
    "echo \"with this GRUB ($grub_cpu). For a guest of the other width, see "
    "the machine's boot-width.\"\n";

static bool zeroes(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

/* The offset of the tar header of grub.cfg; len if there is none */
static size_t find_config(const uint8_t *image, size_t len)
{
    static const char name[] = "grub.cfg";

    for (size_t i = 0; i + TAR_BLOCK <= len; i++) {
        const uint8_t *p = memchr(image + i, name[0], len - TAR_BLOCK - i + 1);

        if (!p) {
            break;
        }
        i = p - image;
        if (!memcmp(p, name, sizeof(name)) &&
            !memcmp(p + TAR_MAGIC, "ustar", 5)) {
            return i;
        }
    }
    return len;
}

bool xenpv_grub_edit(uint8_t *image, size_t len, const char *config)
{
    size_t at = find_config(image, len), new_size = strlen(config);
    char digits[TAR_CHECKSUM_LEN + 4];
    uint8_t *header = image + at, *data = header + TAR_BLOCK;
    uint64_t old_size, room;
    unsigned sum = 0;

    if (at == len) {
        return false;
    }
    len -= at + TAR_BLOCK;
    memcpy(digits, header + TAR_SIZE, 11);
    digits[11] = 0;
    old_size = g_ascii_strtoull(digits, NULL, 8);
    if (old_size > len) {
        return false;
    }
    /* Its last block, and those at the end of the archive but for one */
    room = ROUND_UP(old_size, TAR_BLOCK);
    while (room + 2 * TAR_BLOCK <= len &&
           zeroes(data + room, 2 * TAR_BLOCK)) {
        room += TAR_BLOCK;
    }
    if (new_size > MIN(room, len)) {
        return false;
    }
    memset(data, 0, MIN(room, len));
    memcpy(data, config, new_size);
    snprintf(digits, sizeof(digits), "%011o", (unsigned)new_size);
    memcpy(header + TAR_SIZE, digits, 11);
    memset(header + TAR_CHECKSUM, ' ', TAR_CHECKSUM_LEN);
    for (int i = 0; i < TAR_BLOCK; i++) {
        sum += header[i];
    }
    snprintf(digits, sizeof(digits), "%06o", sum);
    memcpy(header + TAR_CHECKSUM, digits, 7);
    return true;
}

static char *find_grub(char *(*find)(const char *name), unsigned width)
{
    const char *name = width == 64 ? "grub-x86_64-xen.bin"
                                   : "grub-i386-xen.bin";
    char *path = find(name);

    if (!path) {
        path = g_build_filename(GRUB_DEBIAN_DIR, name, NULL);
        if (access(path, R_OK)) {
            g_clear_pointer(&path, g_free);
        }
    }
    return path;
}

XenPVKernel *xenpv_grub_load(char *(*find)(const char *name), unsigned width,
                             bool allow_64bit, Error **errp)
{
    ERRP_GUARD();
    g_autofree char *path = NULL;
    g_autofree uint8_t *image = NULL;
    XenPVKernel *kernel;
    size_t len;
    bool edited;

    if (width == 32 || allow_64bit) {
        path = find_grub(find, width);
    }
    if (!path && (width == 64 || allow_64bit)) {
        path = find_grub(find, width == 64 ? 32 : 64);
    }
    if (!path) {
        error_setg(errp, "to boot from a disk takes PV GRUB: install Debian's "
                   "grub-xen-host, or give the guest's kernel by -kernel FILE");
        return NULL;
    }
    image = xenpv_file_load(path, XENPV_KERNEL_MAX_SIZE, &len, errp);
    if (!image) {
        return NULL;
    }
    edited = xenpv_grub_edit(image, len, xenpv_grub_config);
    trace_xenpv_grub_found(path, edited);
    kernel = xenpv_kernel_parse(image, len, allow_64bit, errp);
    if (!kernel) {
        error_prepend(errp, "PV GRUB '%s': ", path);
    }
    return kernel;
}
