/*
 * What in a guest's files keeps it from booting here
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "hw/xenpv/xenpv-domain-builder.h"
#include "rules.h"

/* The files that are read: text, kernels, initrds; and an initrd unpacked */
#define TEXT_MAX        (1024 * 1024)
#define KERNEL_MAX      (128 * 1024 * 1024)
#define INITRD_FILE_MAX (256 * 1024 * 1024)
#define INITRD_MAX      (512 * 1024 * 1024ULL)
/* Words of a line; the rest of it is not looked at */
#define MAX_WORDS       512
#define LZ4_LEGACY_MAGIC    0x184c2102
#define CPIO_HEADER     110     /* "newc": a magic and 13 fields of 8 digits */

/* The block front end: of Linux, of Xen's own Linux 2.6.18 and its heirs */
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

/* Walks archives from @at on; stops at what is none. Returns where. */
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
 * Linux's LZ4 format is a magic and blocks, each behind its length, and has no
 * end: so the padding that may follow has to be cut off.
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
    /* A first archive, as for microcode, may be bare, what follows is not */
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

/* --- Lines and words ----------------------------------------------------- */

typedef bool LineFn(GuestFiles *f, const char *path, int line, char **words,
                    unsigned n, void *opaque);

/*
 * Calls fn with the words of each line that is not a comment, up to a byte 0.
 * It makes the words where they are, in @text.
 */
static void each_line(GuestFiles *f, const char *path, char *text, LineFn *fn,
                      void *opaque)
{
    static const char blanks[] = " \t\r\f\v";
    char *words[MAX_WORDS + 1];

    for (int line = 1; *text; line++) {
        char *p = text, *eol = text + strcspn(text, "\n");
        unsigned n = 0;

        text = *eol ? eol + 1 : eol;
        *eol = 0;
        while (*(p += strspn(p, blanks)) && n < MAX_WORDS) {
            words[n++] = p;
            p += strcspn(p, blanks);
            if (*p) {
                *p++ = 0;
            }
        }
        words[n] = NULL;
        if (n && words[0][0] != '#' &&
            !fn(f, path, line, words, n, opaque)) {
            break;
        }
    }
}

static void too_large(GuestFiles *f, const char *path, size_t max)
{
    finding(f, path, 0, "it is larger than %zu MiB, and so is not looked into",
            max >> 20);
}

/* A file of lines, or NULL */
static char *read_text(GuestFiles *f, const char *path)
{
    size_t len;
    char *text = f->read(f, path, TEXT_MAX, &len);

    if (!text && len) {
        too_large(f, path, TEXT_MAX);
    }
    return text;
}

/* A disk of another machine's: the beginning of its name, or NULL */
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

static void check_device(GuestFiles *f, const char *path, int line,
                         const char *what, const char *dev)
{
    const char *kind = foreign_disk(dev);

    if (!kind) {
        return;
    }
    if (!strcmp(kind, "/dev/sd") || !strcmp(kind, "/dev/hd")) {
        finding(f, path, line, "%s is %s: that is no name of a Xen disk of "
                "Linux since 2.6.23; name xvd..., a label or a UUID, or for an "
                "older kernel hand the disk over by that name (vdev=%s)",
                what, dev, dev + strlen("/dev/"));
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
                     words[0]);
    }
    return true;
}

/* --- The menu ------------------------------------------------------------ */

typedef struct Menu {
    char *kernel, *initrd;
    int kernel_line;
    bool console_hvc, console_other, xen_itself;
} Menu;

/* Takes "(hd0,0)" and the like, and quotes, off a file's name */
static char *menu_path(const char *word)
{
    const char *close = word[0] == '(' ? strchr(word, ')') : NULL;
    g_autofree char *path = g_strdup(close ? close + 1 : word);

    return g_strdup(g_strstrip(g_strdelimit(path, "\"'", ' ')));
}

/* The first entry of either kind of GRUB's menus */
static bool menu_line(GuestFiles *f, const char *path, int line, char **words,
                      unsigned n, void *opaque)
{
    Menu *m = opaque;
    bool is_kernel = !strcmp(words[0], "linux") ||
                     !strcmp(words[0], "linux16") ||
                     !strcmp(words[0], "kernel") ||
                     !strcmp(words[0], "multiboot");

    if (m->kernel && (is_kernel || !strcmp(words[0], "title") ||
                      !strcmp(words[0], "menuentry"))) {
        return false;
    }
    if (is_kernel && n >= 2) {
        m->kernel = menu_path(words[1]);
        m->kernel_line = line;
        m->xen_itself = g_str_has_suffix(m->kernel, ".gz") &&
                        strstr(m->kernel, "xen");
        for (unsigned i = 2; i < n; i++) {
            if (g_str_has_prefix(words[i], "root=")) {
                check_device(f, path, line, "root=", words[i] + 5);
            }
            if (g_str_has_prefix(words[i], "console=")) {
                if (g_str_has_prefix(words[i] + 8, "hvc") ||
                    g_str_has_prefix(words[i] + 8, "xvc")) {
                    m->console_hvc = true;
                } else if (g_str_has_prefix(words[i] + 8, "ttyS")) {
                    m->console_other = true;
                }
            }
        }
    } else if (!strcmp(words[0], "initrd") && n >= 2 && !m->initrd) {
        m->initrd = menu_path(words[1]);
    }
    return true;
}

/*
 * As a menu names it: with or without /boot, which may be a partition. NULL
 * after a finding of why.
 */
static char *read_boot_file(GuestFiles *f, const char *menu_file,
                            const Menu *m, const char *what, const char *path,
                            size_t max, size_t *len)
{
    char *data = f->read(f, path, max, len);

    if (!data && !*len) {
        g_autofree char *other = g_strconcat("/boot", path, NULL);

        data = f->read(f, other, max, len);
    }
    if (!data && *len) {
        too_large(f, path, max);
    } else if (!data) {
        finding(f, menu_file, m->kernel_line, "its first entry's %s, %s, is "
                "not there", what, path);
    }
    return data;
}

static void check_kernel(GuestFiles *f, const char *menu_file, Menu *m)
{
    size_t len = 0;
    g_autofree char *data = read_boot_file(f, menu_file, m, "kernel",
                                           m->kernel, KERNEL_MAX, &len);
    Error *err = NULL;
    XenPVKernel *k;

    if (!data) {
        return;
    }
    if (m->xen_itself) {
        finding(f, menu_file, m->kernel_line, "its first entry boots Xen "
                "itself, %s, as a host's does", m->kernel);
        return;
    }
    k = xenpv_kernel_parse(data, len, true, &err);
    if (!k) {
        finding(f, m->kernel, 0, "it cannot be booted: %s",
                error_get_pretty(err));
        error_free(err);
        return;
    }
    fact(f, "%s is a %d-bit PV kernel (%s)", m->kernel, k->is_64bit ? 64 : 32,
         k->format);
    xenpv_kernel_free(k);
}

/* Is the block front end a part of the kernel itself? */
static bool front_end_built_in(GuestFiles *f, const char *kernel)
{
    const char *version = strchr(kernel, '-');
    g_autofree char *config = NULL, *builtin = NULL;
    g_autofree char *path = NULL, *path2 = NULL;

    if (!version) {
        return false;
    }
    path = g_strdup_printf("/boot/config%s", version);
    config = read_text(f, path);
    if (config && strstr(config, "CONFIG_XEN_BLKDEV_FRONTEND=y")) {
        return true;
    }
    path2 = g_strdup_printf("/lib/modules/%s/modules.builtin", version + 1);
    builtin = read_text(f, path2);
    return builtin && strstr(builtin, "xen-blkfront.ko");
}

static void check_initrd(GuestFiles *f, const char *menu_file, Menu *m)
{
    g_autofree char *data = NULL;
    bool readable;
    size_t len = 0;

    if (!m->initrd) {
        return;
    }
    data = read_boot_file(f, menu_file, m, "initrd", m->initrd,
                          INITRD_FILE_MAX, &len);
    if (!data) {
        return;
    }
    if (rules_initrd_has(data, len, front_ends, &readable)) {
        fact(f, "%s has the front end for Xen's disks", m->initrd);
    } else if (!readable) {
        finding(f, m->initrd, 0, "it is damaged, or compressed in an unknown "
                "way");
    } else if (!front_end_built_in(f, m->kernel)) {
        finding(f, m->initrd, 0, "it has no xen-blkfront: the kernel would not "
                "find its disks; in the guest, add that module and make the "
                "initrd anew");
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
        /* busybox' inittab has the terminal as the id */
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
 * Is there a login on the guest's console? systemd starts one on the kernel's
 * console by itself, hence console=hvc0 does.
 */
static void check_gettys(GuestFiles *f, const Menu *m, const char *menu_file)
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
        if (menu_file && m->kernel && !xen && !m->console_hvc) {
            finding(f, menu_file, m->kernel_line, "its first entry has no "
                    "console=hvc0: there would be no login on the guest's "
                    "console");
        }
        return;
    }
    f->list(f, "/etc/init", upstart_job, &xen);
    if (xen) {
        return;
    }
    inittab = read_text(f, "/etc/inittab");
    if (!inittab) {
        return;
    }
    each_line(f, "/etc/inittab", inittab, inittab_line, &g);
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
    static const char *const menus[] = {
        "/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/menu.lst",
        "/boot/grub/grub.conf",
    };
    const char *menu_file = NULL;
    g_autofree char *fstab = NULL;
    Menu m = { 0 };

    for (int i = 0; i < ARRAY_SIZE(menus) && !menu_file; i++) {
        g_autofree char *text = read_text(f, menus[i]);

        if (text) {
            menu_file = menus[i];
            each_line(f, menu_file, text, menu_line, &m);
        }
    }
    if (!menu_file) {
        finding(f, NULL, 0, "there is no boot/grub/grub.cfg and no "
                "boot/grub/menu.lst: it cannot boot by itself, but may with a "
                "kernel on the host (-kernel)");
    } else if (!m.kernel) {
        finding(f, menu_file, 0, "no entry of it names a kernel");
    } else {
        fact(f, "%s boots %s", menu_file, m.kernel);
        check_kernel(f, menu_file, &m);
        check_initrd(f, menu_file, &m);
        if (m.console_other && !m.console_hvc) {
            finding(f, menu_file, m.kernel_line, "its first entry has the "
                    "kernel's console on a serial line that a PV guest does "
                    "not have: console=hvc0 is missing");
        }
    }
    if (has_root) {
        fstab = read_text(f, "/etc/fstab");
        if (fstab) {
            each_line(f, "/etc/fstab", fstab, fstab_line, NULL);
        }
        check_gettys(f, &m, menu_file);
    }
    g_free(m.kernel);
    g_free(m.initrd);
}
