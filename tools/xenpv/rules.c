/*
 * Rules that tell what in a guest's files keeps it from booting here
 *
 * disk.c calls this, in the child without rights. The files are untrusted: the
 * numbers below bound how much of each is read, and how much it unpacks to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "menu.h"
#include "rules.h"

/* The largest files, in bytes: kernels, initrds, and an unpacked initrd */
#define KERNEL_MAX      (128 * 1024 * 1024)
#define INITRD_FILE_MAX (256 * 1024 * 1024)
#define INITRD_MAX      (512 * 1024 * 1024ULL)
/* Initrds of an entry; any further ones are ignored */
#define MAX_INITRDS     8
#define LZ4_LEGACY_MAGIC    0x184c2102
#define CPIO_HEADER     110     /* "newc": a magic and 13 fields of 8 digits */

/* Block front ends: of Linux, and of Xen's own Linux 2.6.18 and its heirs */
static const char *const front_ends[] = {
    "xen-blkfront.ko", "xen_blkfront.ko", "xenblk.ko", "xen-vbd.ko",
    "xen-vbd-upstream.ko", NULL,
};

static void G_GNUC_PRINTF(4, 5) finding(GuestFiles *f, const char *path,
                                        int line, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    f->finding(f, path, line, text);
}

static void G_GNUC_PRINTF(2, 3) fact(GuestFiles *f, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    f->fact(f, text);
}

/* --- The initial RAM disk ------------------------------------------------ */

static bool cpio_field(const char *p, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 8; i++) {
        int digit = g_ascii_xdigit_value(p[i]);

        if (digit < 0) {
            return false;
        }
        *value = *value << 4 | digit;
    }
    return true;
}

static bool name_matches(const char *name, size_t len,
                         const char *const *names)
{
    const char *base = memrchr(name, '/', len);

    base = base ? base + 1 : name;
    for (; *names; names++) {
        size_t n = strlen(*names);

        if (n <= len - (base - name) && !memcmp(base, *names, n)) {
            return true;
        }
    }
    return false;
}

/* Walks cpio archives from @at on; returns where there are no more of them */
static size_t walk_cpio(const char *data, size_t len, size_t at,
                        const char *const *names, bool *found)
{
    while (len - at >= CPIO_HEADER) {
        const char *p = data + at;
        uint32_t size, name_len;
        size_t name_at = at + CPIO_HEADER, next;

        if (!*p) {
            /* Padding between archives */
            at += 4 - at % 4;
            if (at > len) {
                return len;
            }
            continue;
        }
        if ((memcmp(p, "070701", 6) && memcmp(p, "070702", 6)) ||
            !cpio_field(p + 54, &size) || !cpio_field(p + 94, &name_len) ||
            !name_len || name_len > len - name_at) {
            break;
        }
        if (name_matches(data + name_at, name_len - 1, names)) {
            *found = true;
        }
        next = ROUND_UP(name_at + name_len, 4);
        if (next > len || size > len - next) {
            return len;
        }
        at = MIN(ROUND_UP(next + size, 4), len);
    }
    return at;
}

/*
 * Linux's LZ4 format is a magic and blocks, each after its length, without an
 * end mark. So the decoder must not see any padding that follows.
 */
static size_t without_padding(const uint8_t *data, size_t len)
{
    size_t at = 4;

    if (len < 8 || ldl_le_p(data) != LZ4_LEGACY_MAGIC) {
        return len;
    }
    while (len - at >= 4) {
        uint32_t size = ldl_le_p(data + at);

        if (!size || size > len - at - 4) {
            break;
        }
        at += 4 + size;
    }
    return at;
}

static uint8_t *unpack(const uint8_t *data, size_t len, size_t *out_len)
{
    const char *format = NULL;
    size_t bare = without_padding(data, len);

    bool lz4 = len >= 4 && ldl_le_p(data) == LZ4_LEGACY_MAGIC;

    return xenpv_decompress(data, bare, INITRD_MAX, !lz4, out_len, &format,
                            NULL);
}

bool rules_initrd_has(const void *data, size_t len, const char *const *names,
                      bool *readable)
{
    bool found = false;
    size_t at = walk_cpio(data, len, 0, names, &found);

    *readable = at > 0;
    /* The first archives, as for microcode, may be uncompressed, others not */
    while (at < len && !((const char *)data)[at]) {
        at++;
    }
    if (at < len) {
        g_autofree uint8_t *out = NULL;
        size_t out_len;

        out = unpack((const uint8_t *)data + at, len - at, &out_len);
        if (out) {
            *readable = true;
            walk_cpio((char *)out, out_len, 0, names, &found);
        } else {
            *readable = false;
        }
    }
    return found;
}

/* --- Names of disks -------------------------------------------------------- */

/* Returns the prefix of a disk name that belongs to other machines, or NULL */
static const char *foreign_disk(const char *dev)
{
    static const char *const names[] = {
        "/dev/vd", "/dev/sd", "/dev/hd", "/dev/nvme",
    };

    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        size_t n = strlen(names[i]);

        if (!strncmp(dev, names[i], n) && g_ascii_isalnum(dev[n])) {
            return names[i];
        }
    }
    return NULL;
}

/*
 * How Linux names a disk that Xen presents as sda or hda. It depends on the
 * version: Xen's own Linux (2.6.18 and its heirs up to 2.6.27 and 2.6.32, in
 * RHEL 5 and SLES) does call it sda. Others call it xvda, but xvde from 2.6.36
 * to 3.0, and in RHEL 6.
 */
typedef enum DiskNames { NAMES_XVDA, NAMES_XVDE, NAMES_SDA } DiskNames;

static DiskNames disk_names(const char *kernel)
{
    g_autofree char *base = g_path_get_basename(kernel ?: "");
    const char *p = base + strcspn(base, "0123456789");
    unsigned a = 0, b = 0, c = 0;

    if (sscanf(p, "%u.%u.%u", &a, &b, &c) < 2) {
        return NAMES_XVDA;
    }
    if (a == 2 && b == 6 && c < 37 && (strstr(p, "xen") || c < 23)) {
        return NAMES_SDA;
    }
    return (a == 2 && b == 6 && c >= 36) || (a == 3 && b == 0) ||
           (a == 2 && b == 6 && c == 32 && strstr(p, ".el6")) ? NAMES_XVDE
                                                              : NAMES_XVDA;
}

/* Returns how Linux with @names calls "sda1" */
static char *name_of(const char *dev, DiskNames names)
{
    bool shifted = names == NAMES_XVDE && dev[0] == 's' && dev[2] <= 'v';

    return g_strdup_printf("xvd%c%s", dev[2] + (shifted ? 4 : 0), dev + 3);
}

static void check_device(GuestFiles *f, const char *path, int line,
                         const char *what, const char *dev, DiskNames names)
{
    const char *kind = foreign_disk(dev);
    g_autofree char *other = NULL;

    if (!kind) {
        return;
    }
    if (!strcmp(kind, "/dev/sd") || !strcmp(kind, "/dev/hd")) {
        if (names == NAMES_SDA) {
            fact(f, "%s: line %d: %s is %s: that is right with Xen's own Linux, "
                 "where the disk is handed over by that name (vdev=%s)", path,
                 line, what, dev, dev + strlen("/dev/"));
            return;
        }
        other = name_of(dev + strlen("/dev/"), names);
        finding(f, path, line, "%s is %s: that is no name of a Xen disk of "
                "Linux since 2.6.23, which has %s for vdev=%s; name that, a "
                "label or a UUID", what, dev, other, dev + strlen("/dev/"));
    } else {
        finding(f, path, line, "%s is %s, which is not a Xen disk: name "
                "xvd..., a label or a UUID", what, dev);
    }
}

static bool fstab_line(GuestFiles *f, const char *path, int line, char **words,
                       unsigned n, void *opaque)
{
    if (n >= 2) {
        g_autofree char *what = g_strdup_printf("what is mounted on %s",
                                                words[1]);

        check_device(f, path, line, !strcmp(words[1], "none") ||
                     !strcmp(words[1], "swap") ? "the swap space" : what,
                     words[0], *(DiskNames *)opaque);
    }
    return true;
}

/* --- The menu ------------------------------------------------------------ */

/* Describes the default entry, for messages */
static char *entry_name(const Menu *m)
{
    return m->is_first ? g_strdup("its first entry") :
           g_strdup_printf("its default entry, '%s',", m->chosen->title);
}

/*
 * Reads a file that a menu names, with or without /boot, which may be a file
 * system of its own. Returns NULL after a message that says why.
 */
static char *read_boot_file(GuestFiles *f, const Menu *m, const char *what,
                            const char *path, size_t max, size_t *len)
{
    const MenuEntry *e = m->chosen;
    char *data;

    if (strchr(path, '$')) {
        fact(f, "%s: line %d: the %s is named by a variable, %s: it is not "
             "looked into", e->file, e->line, what, path);
        *len = 0;
        return NULL;
    }
    data = f->read(f, path, max, len);
    if (!data && !*len) {
        g_autofree char *other = g_strconcat("/boot", path, NULL);

        data = f->read(f, other, max, len);
    }
    if (!data && *len) {
        guest_files_too_large(f, path, max);
    } else if (!data) {
        g_autofree char *name = entry_name(m);

        finding(f, e->file, e->line, m->is_first ?
                "%s's %s, %s, is not there" : "%s has a %s, %s, that is not "
                "there", name, what, path);
    }
    return data;
}

/* Checks a kernel or initrd of an entry that is not the default */
static void check_other_file(GuestFiles *f, const MenuEntry *e,
                             const char *what, const char *path)
{
    g_autofree char *with_boot = g_strconcat("/boot", path, NULL);
    const char *const paths[] = { path, with_boot };
    size_t len;

    if (strchr(path, '$')) {
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(paths); i++) {
        g_autofree char *data = f->read(f, paths[i], 0, &len);

        if (data || len) {
            return;
        }
    }
    fact(f, "%s: line %d: entry %s, '%s', would not boot: its %s, %s, is not "
         "there", e->file, e->line, e->label, e->title, what, path);
}

static void check_other_entries(GuestFiles *f, const Menu *m)
{
    for (unsigned i = 0; i < m->entries->len; i++) {
        const MenuEntry *e = m->entries->pdata[i];

        if (e == m->chosen || !e->kernel) {
            continue;
        }
        if (e->is_xen) {
            fact(f, "%s: line %d: entry %s, '%s', would not boot: %s is Xen "
                 "itself", e->file, e->line, e->label, e->title, e->kernel);
            continue;
        }
        check_other_file(f, e, "kernel", e->kernel);
        for (unsigned j = 0; j < e->initrds->len; j++) {
            check_other_file(f, e, "initrd", e->initrds->pdata[j]);
        }
    }
}

/*
 * Checks the command line. Returns whether the kernel uses Xen's console, which
 * a PV kernel does unless it is told another. *other: it is told a serial port.
 */
static bool check_args(GuestFiles *f, const MenuEntry *e, bool *other)
{
    bool hvc = false, named = false;

    *other = false;
    for (unsigned i = 0; i < e->args->len; i++) {
        const char *word = e->args->pdata[i];

        named |= g_str_has_prefix(word, "console=");
        if (g_str_has_prefix(word, "root=")) {
            check_device(f, e->file, e->line, "root=", word + 5,
                         disk_names(e->kernel));
        } else if (g_str_has_prefix(word, "console=hvc") ||
                   g_str_has_prefix(word, "console=xvc")) {
            hvc = true;
        } else if (g_str_has_prefix(word, "console=ttyS")) {
            *other = true;
        }
    }
    return hvc || !named;
}

static void check_kernel(GuestFiles *f, const Menu *m)
{
    const MenuEntry *e = m->chosen;
    size_t len = 0;
    g_autofree char *data = read_boot_file(f, m, "kernel", e->kernel,
                                           KERNEL_MAX, &len);
    Error *err = NULL;
    XenPVKernel *k;

    if (!data) {
        return;
    }
    if (e->is_xen) {
        g_autofree char *name = entry_name(m);

        finding(f, e->file, e->line, "%s boots Xen itself, %s, as a host's "
                "does", name, e->kernel);
        return;
    }
    k = xenpv_kernel_parse(data, len, true, &err);
    if (!k) {
        finding(f, e->kernel, 0, "it cannot be booted: %s",
                error_get_pretty(err));
        error_free(err);
        return;
    }
    fact(f, "%s is a %d-bit PV kernel (%s)", e->kernel, k->is_64bit ? 64 : 32,
         k->format);
    xenpv_kernel_free(k);
}

/* Whether the block front end is built into the kernel */
static bool front_end_built_in(GuestFiles *f, const char *kernel)
{
    const char *version = strchr(kernel, '-');
    g_autofree char *config = NULL, *builtin = NULL;
    g_autofree char *path = NULL, *path2 = NULL;

    if (!version) {
        return false;
    }
    path = g_strdup_printf("/boot/config%s", version);
    config = guest_files_read_text(f, path);
    if (config && strstr(config, "CONFIG_XEN_BLKDEV_FRONTEND=y")) {
        return true;
    }
    path2 = g_strdup_printf("/lib/modules/%s/modules.builtin", version + 1);
    builtin = guest_files_read_text(f, path2);
    return builtin && strstr(builtin, "xen-blkfront.ko");
}

/* The kernel unpacks all initrds, so the front end may be in any of them */
static void check_initrds(GuestFiles *f, const Menu *m)
{
    const MenuEntry *e = m->chosen;
    bool found = false;

    for (unsigned i = 0; i < e->initrds->len && i < MAX_INITRDS; i++) {
        const char *path = e->initrds->pdata[i];
        size_t len = 0;
        bool readable;
        g_autofree char *data = read_boot_file(f, m, "initrd", path,
                                               INITRD_FILE_MAX, &len);

        if (!data) {
            found = true;           /* already reported */
        } else if (rules_initrd_has(data, len, front_ends, &readable)) {
            fact(f, "%s has the front end for Xen's disks", path);
            found = true;
        } else if (!readable) {
            finding(f, path, 0, "it is damaged, or compressed in an unknown "
                    "way");
            found = true;
        }
    }
    if (e->initrds->len && !found && !front_end_built_in(f, e->kernel)) {
        finding(f, e->initrds->pdata[0], 0, "it has no xen-blkfront: the "
                "kernel would not find its disks; in the guest, add that "
                "module and make the initrd anew");
    }
}

/* --- Logins -------------------------------------------------------------- */

typedef struct Gettys {
    bool any, xen;
    int line;
    char *first;
} Gettys;

static bool is_xen_console(const char *word)
{
    return g_str_has_prefix(word, "hvc") || g_str_has_prefix(word, "xvc") ||
           !strcmp(word, "console") || !strcmp(word, "/dev/console");
}

static bool inittab_line(GuestFiles *f, const char *path, int line,
                         char **words, unsigned n, void *opaque)
{
    Gettys *g = opaque;
    bool getty = false;

    for (unsigned i = 0; i < n; i++) {
        const char *word = words[i];

        getty |= strstr(word, "getty") != NULL;
        /* In busybox' inittab the id is the terminal */
        if (i == 0 && strstr(word, "getty") &&
            (g_str_has_prefix(word, "hvc") || g_str_has_prefix(word, "xvc"))) {
            g->xen = true;
        }
        if (getty && i && is_xen_console(word)) {
            g->xen = true;
        }
        if (getty && i && !g->first && g_str_has_prefix(word, "tty")) {
            g->first = g_strdup(word);
            g->line = line;
        }
    }
    g->any |= getty;
    return true;
}

static void upstart_job(void *opaque, const char *name)
{
    bool *found = opaque;

    if (strstr(name, "hvc") || strstr(name, "xvc") ||
        !strcmp(name, "serial.conf") || !strcmp(name, "console.conf")) {
        *found = true;
    }
}

static void systemd_unit(void *opaque, const char *name)
{
    bool *found = opaque;

    if (strstr(name, "getty@hvc")) {
        *found = true;
    }
}

/*
 * Checks for a login on Xen's console. systemd starts one on the kernel's
 * console by itself.
 */
static void check_gettys(GuestFiles *f, const Menu *m, bool console_hvc)
{
    static const char *const systemd[] = {
        "/lib/systemd/systemd", "/usr/lib/systemd/systemd",
    };
    g_autofree char *inittab = NULL;
    Gettys g = { 0 };
    bool xen = false;
    size_t len;

    for (int i = 0; i < ARRAY_SIZE(systemd); i++) {
        g_autofree char *nothing = f->read(f, systemd[i], 0, &len);

        if (!nothing && !len) {
            continue;
        }
        f->list(f, "/etc/systemd/system/getty.target.wants", systemd_unit,
                &xen);
        if (m && m->chosen && !xen && !console_hvc) {
            g_autofree char *name = entry_name(m);

            finding(f, m->chosen->file, m->chosen->line, "%s has no "
                    "console=hvc0: there would be no login on the guest's "
                    "console", name);
        }
        return;
    }
    f->list(f, "/etc/init", upstart_job, &xen);
    if (xen) {
        return;
    }
    inittab = guest_files_read_text(f, "/etc/inittab");
    if (!inittab) {
        return;
    }
    guest_files_each_line(f, "/etc/inittab", inittab, inittab_line, &g);
    if (g.any && !g.xen) {
        finding(f, "/etc/inittab", g.line, "there is no login on hvc0 (or xvc0 "
                "with Xen's own kernels of 2.6.18 to 2.6.27), only on %s: "
                "nobody can log in on the guest's console",
                g.first ?: "others");
    }
    g_free(g.first);
}

void rules_check(GuestFiles *f, bool has_root)
{
    g_autoptr(Menu) m = menu_read(f);
    const MenuEntry *e = m ? m->chosen : NULL;
    DiskNames names = disk_names(e ? e->kernel : NULL);
    bool hvc = false, other = false;
    g_autofree char *fstab = NULL;

    if (!m) {
        finding(f, NULL, 0, "there is no boot/grub/grub.cfg and no "
                "boot/grub/menu.lst: it cannot boot by itself, but may with a "
                "kernel on the host (-kernel)");
    } else if (!e) {
        finding(f, m->file, 0, "no entry of it names a kernel");
    } else {
        fact(f, "%s boots %s", m->file, e->kernel);
        hvc = check_args(f, e, &other);
        check_kernel(f, m);
        check_initrds(f, m);
        if (other && !hvc) {
            g_autofree char *name = entry_name(m);

            finding(f, e->file, e->line, "%s has the kernel's console on a "
                    "serial line that a PV guest does not have: console=hvc0 "
                    "is missing", name);
        }
        check_other_entries(f, m);
    }
    if (has_root) {
        fstab = guest_files_read_text(f, "/etc/fstab");
        if (fstab) {
            guest_files_each_line(f, "/etc/fstab", fstab, fstab_line, &names);
        }
        check_gettys(f, m, hvc);
    }
}
