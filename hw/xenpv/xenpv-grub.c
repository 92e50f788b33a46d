/*
 * Boot from disk: PV GRUB as the kernel of a machine that was given none
 *
 * The machine looks for the image once, at its init: in QEMU's data
 * directories, where an administrator may put one, and where Debian's
 * grub-xen-host puts it. The configuration in Debian's image, in a tar file,
 * only knows GRUB 2's grub.cfg, although the image can also read GRUB legacy's
 * menus. So our own configuration (xenpv-grub-menu.c) replaces it, in memory.
 * An image without such a tar file is used as it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "xenpv-grub.h"
#include "trace.h"

#define GRUB_DEBIAN_DIR     "/usr/lib/grub-xen"

/* What is needed of a tar file's header, POSIX's ustar */
#define TAR_BLOCK           512
#define TAR_SIZE            124     /* 11 octal digits */
#define TAR_CHECKSUM        148     /* 6 octal digits, NUL, space */
#define TAR_CHECKSUM_LEN    8
#define TAR_MAGIC           257

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

/* Is @p "NAME\0legacy_NAME '", from GRUB's table of GRUB legacy's words? */
static bool is_legacy_word(const uint8_t *p, const uint8_t *end,
                           const char *name)
{
    g_autofree char *format = g_strdup_printf("legacy_%s '", name);
    size_t n = strlen(name) + 1, len = strlen(format);

    return n + len <= end - p && !memcmp(p + n, format, len);
}

/*
 * Make the last letter of a command's name a capital, wherever the image has
 * the name as a string of its own: where it is registered, and where another
 * command looks for it. Returns how often that is. @words is set to how often
 * the name is a word of GRUB legacy's, which stays. Without @change, it only
 * counts.
 */
static unsigned rename_command(uint8_t *image, size_t len, const char *name,
                               unsigned *words, bool change)
{
    size_t n = strlen(name) + 2;
    g_autofree char *string = g_malloc0(n);     /* with a 0 before it, too */
    uint8_t *p = image, *end = image + len;
    unsigned found = 0;

    memcpy(string + 1, name, n - 1);
    for (; (p = memmem(p, end - p, string, n)); p += n - 1) {
        if (is_legacy_word(p + 1, end, name)) {
            (*words)++;
            continue;
        }
        found++;
        if (change) {
            p[n - 2] = g_ascii_toupper(p[n - 2]);
        }
    }
    return found;
}

/*
 * Rename the commands that our configuration replaces by functions. (Not by
 * their first letters: GRUB has one function for configfile and source, which
 * looks at that.) Renames none unless the image is as expected.
 */
static void rename_commands(uint8_t *image, size_t len)
{
    static const struct {
        const char *name;
        unsigned words;
    } commands[] = {
        { "linux", 0 }, { "initrd", 1 }, { "configfile", 1 },
        { "legacy_kernel", 0 }, { "legacy_initrd", 0 },
        { "legacy_initrd_nounzip", 0 }, { "legacy_configfile", 0 },
    };

    for (int change = 0; change < 2; change++) {
        for (int i = 0; i < ARRAY_SIZE(commands); i++) {
            unsigned words = 0;

            if (!rename_command(image, len, commands[i].name, &words, change) ||
                words != commands[i].words) {
                return;
            }
        }
    }
}

bool xenpv_grub_edit(uint8_t *image, size_t len, const char *config)
{
    size_t at = find_config(image, len), new_size = strlen(config);
    size_t image_len = len;
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
    /* The file's own blocks, and all but one of those that end the archive */
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
    rename_commands(image, image_len);
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
