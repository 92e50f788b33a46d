/*
 * A Xen guest's configuration: what all of its forms have in common
 *
 * The readers of all forms (parse-*.c, xl-*.c) pass on the values that they
 * read. Those are untrusted, so this checks each value, in one place for all
 * readers. It also makes sure that each message is one line.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "hw/xenpv/xenpv-monitor.h"
#include "hw/xenpv/xenpv-text.h"
#include "guest.h"

#define MIN_MEMORY_MIB  16
#define MAX_MEMORY_MIB  (512 * 1024)
#define MAX_NAME        255

const char *const guest_action_names[GUEST_ACTION__MAX] = {
    [GUEST_ACTION_DEFAULT] = "default",
    [GUEST_ACTION_DESTROY] = "destroy",
    [GUEST_ACTION_RESTART] = "restart",
    [GUEST_ACTION_PRESERVE] = "preserve",
    [GUEST_ACTION_RENAME_RESTART] = "rename-restart",
    [GUEST_ACTION_COREDUMP_DESTROY] = "coredump-destroy",
    [GUEST_ACTION_COREDUMP_RESTART] = "coredump-restart",
    [GUEST_ACTION_SOFT_RESET] = "soft-reset",
};

static void disk_free(gpointer p)
{
    GuestDisk *disk = p;

    g_free(disk->source);
    g_free(disk->params);
    g_free(disk->vdev);
    g_free(disk);
}

static void nic_free(gpointer p)
{
    GuestNic *nic = p;

    g_free(nic->mac);
    g_free(nic->bridge);
    g_free(nic->network);
    g_free(nic->ifname);
    g_free(nic->trunks);
    g_free(nic);
}

Guest *guest_new(const char *file)
{
    Guest *g = g_new0(Guest, 1);

    g->file = g_strdup(file);
    g->vcpus = g->max_vcpus = 1;
    g->disks = g_ptr_array_new_with_free_func(disk_free);
    g->nics = g_ptr_array_new_with_free_func(nic_free);
    g->notes = g_ptr_array_new_with_free_func(g_free);
    g->display.display = -1;
    return g;
}

void guest_free(Guest *g)
{
    if (!g) {
        return;
    }
    g_free(g->file);
    g_free(g->name);
    g_free(g->uuid);
    g_free(g->kernel);
    g_free(g->ramdisk);
    g_free(g->cmdline);
    g_free(g->display.listen);
    g_free(g->display.password);
    g_free(g->display.keymap);
    g_ptr_array_unref(g->disks);
    g_ptr_array_unref(g->nics);
    g_ptr_array_unref(g->notes);
    g_free(g);
}

GuestDisk *guest_add_disk(Guest *g, int line)
{
    GuestDisk *disk = g_new0(GuestDisk, 1);

    disk->line = line;
    disk->format = "raw";
    g_ptr_array_add(g->disks, disk);
    return disk;
}

GuestNic *guest_add_nic(Guest *g, int line)
{
    GuestNic *nic = g_new0(GuestNic, 1);

    nic->line = line;
    nic->fd = -1;
    g_ptr_array_add(g->nics, nic);
    return nic;
}

/* Text quoted from a file must not add lines or control the terminal */
static char *G_GNUC_PRINTF(4, 0) one_line(const char *file, int line,
                                          const char *kind, const char *fmt,
                                          va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    g_autofree char *all = g_strdup_printf("%s:%d: %s%s", file, line, kind,
                                           text);

    return xenpv_text_line(all);
}

void guest_file_error(const char *file, int line, Error **errp,
                      const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = one_line(file, line, "", fmt, ap);
    va_end(ap);
    error_setg(errp, "%s", text);
}

void guest_error(Guest *g, int line, Error **errp, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = one_line(g->file, line, "", fmt, ap);
    va_end(ap);
    error_setg(errp, "%s", text);
}

void guest_note(Guest *g, int line, const char *fmt, ...)
{
    va_list ap;

    if (g->notes->len > GUEST_MAX_NOTES) {
        return;
    }
    if (g->notes->len == GUEST_MAX_NOTES) {
        fmt = "there are more notes than these";
    }
    va_start(ap, fmt);
    g_ptr_array_add(g->notes, one_line(g->file, line, "note: ", fmt, ap));
    va_end(ap);
}

bool guest_set_name(Guest *g, int line, const char *value, Error **errp)
{
    if (!value[0] || strlen(value) > MAX_NAME || strchr(value, '/')) {
        guest_error(g, line, errp, "name: '%s' is not a name for a domain",
                    value);
        return false;
    }
    for (const char *p = value; *p; p++) {
        if (g_ascii_iscntrl(*p)) {
            guest_error(g, line, errp, "name: it has a control character");
            return false;
        }
    }
    g_free(g->name);
    g->name = g_strdup(value);
    return true;
}

bool guest_set_uuid(Guest *g, int line, const char *value, Error **errp)
{
    g_autoptr(GString) digits = g_string_new(NULL);

    for (const char *p = value; *p; p++) {
        if (g_ascii_isxdigit(*p)) {
            g_string_append_c(digits, g_ascii_tolower(*p));
        } else if (*p != '-') {
            digits->len = 0;
            break;
        }
    }
    if (digits->len != 32) {
        guest_error(g, line, errp, "uuid: '%s' is not a UUID", value);
        return false;
    }
    for (int i = 0; i < 4; i++) {
        static const int dashes[] = { 8, 13, 18, 23 };

        g_string_insert_c(digits, dashes[i], '-');
    }
    g_free(g->uuid);
    g->uuid = g_strdup(digits->str);
    return true;
}

bool guest_set_memory(Guest *g, int line, uint64_t kib, Error **errp)
{
    uint64_t mib = kib / 1024;

    if (mib < MIN_MEMORY_MIB || mib > MAX_MEMORY_MIB) {
        guest_error(g, line, errp, "memory: a guest can have from %d MiB to "
                    "%d GiB, not %" PRIu64 " MiB", MIN_MEMORY_MIB,
                    MAX_MEMORY_MIB / 1024, mib);
        return false;
    }
    g->memory_mib = g->max_memory_mib = mib;
    g->memory_line = line;
    return true;
}

bool guest_set_max_memory(Guest *g, int line, const char *what, uint64_t mib,
                          Error **errp)
{
    if (mib > MAX_MEMORY_MIB) {
        guest_error(g, line, errp, "%s: a guest can have at most %d GiB, not %"
                    PRIu64 " MiB", what, MAX_MEMORY_MIB / 1024, mib);
        return false;
    }
    g->max_memory_mib = MAX(mib, g->memory_mib);
    return true;
}

bool guest_set_vcpus(Guest *g, int line, uint64_t n, Error **errp)
{
    if (!n || n > XENPV_MAX_VCPUS) {
        guest_error(g, line, errp, "vcpus: a guest can have from 1 to %d, not "
                    "%" PRIu64, XENPV_MAX_VCPUS, n);
        return false;
    }
    g->vcpus = g->max_vcpus = n;
    return true;
}

bool guest_set_max_vcpus(Guest *g, int line, const char *what, uint64_t n,
                         Error **errp)
{
    if (n > XENPV_MAX_VCPUS) {
        guest_error(g, line, errp, "%s: a guest can have at most %d, not "
                    "%" PRIu64, what, XENPV_MAX_VCPUS, n);
        return false;
    }
    if (n < g->vcpus) {
        guest_note(g, line, "%s: it is less than the %u that the guest has, "
                   "which are kept", what, g->vcpus);
    }
    g->max_vcpus = MAX(n, g->vcpus);
    return true;
}

bool guest_set_action(Guest *g, int line, const char *event, const char *value,
                      Error **errp)
{
    static const struct {
        const char *event;
        size_t action, line;
    } events[] = {
        { "on_poweroff", offsetof(Guest, on_poweroff),
          offsetof(Guest, on_poweroff_line) },
        { "on_reboot", offsetof(Guest, on_reboot),
          offsetof(Guest, on_reboot_line) },
        { "on_crash", offsetof(Guest, on_crash),
          offsetof(Guest, on_crash_line) },
    };

    for (int a = GUEST_ACTION_DESTROY; a < GUEST_ACTION__MAX; a++) {
        if (!strcmp(value, guest_action_names[a])) {
            for (int i = 0; i < ARRAY_SIZE(events); i++) {
                if (!strcmp(event, events[i].event)) {
                    *(GuestAction *)((char *)g + events[i].action) = a;
                    *(int *)((char *)g + events[i].line) = line;
                    return true;
                }
            }
        }
    }
    guest_error(g, line, errp, "%s: '%s' is not an action (destroy, restart, "
                "preserve, rename-restart, coredump-destroy, coredump-restart)",
                event, value);
    return false;
}

bool guest_set_mac(Guest *g, GuestNic *nic, const char *value, Error **errp)
{
    unsigned b[6];
    char end;

    if (strlen(value) != 17 ||
        sscanf(value, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3],
               &b[4], &b[5], &end) != 6 ||
        strspn(value, "0123456789abcdefABCDEF:") != 17) {
        guest_error(g, nic->line, errp, "mac: '%s' is not an address of the "
                    "form 00:16:3e:xx:xx:xx", value);
        return false;
    }
    if (b[0] & 1) {
        guest_error(g, nic->line, errp, "mac: '%s' is a multicast address",
                    value);
        return false;
    }
    g_free(nic->mac);
    nic->mac = g_ascii_strdown(value, -1);
    return true;
}

bool guest_is_word(const char *text)
{
    while (g_ascii_isalnum(*text) || (*text && strchr("._-:/", *text))) {
        text++;
    }
    return !*text;
}

bool guest_is_vdev(const char *value)
{
    const char *p = NULL;
    int letters, digits;

    if (g_str_has_prefix(value, "xvd")) {
        p = value + 3;
    } else if (g_str_has_prefix(value, "sd") ||
               g_str_has_prefix(value, "hd")) {
        p = value + 2;
    }
    if (!p) {
        return false;
    }
    letters = strspn(p, "abcdefghijklmnopqrstuvwxyz");
    digits = strspn(p + letters, "0123456789");
    return letters >= 1 && letters <= 2 && digits <= 2 && !p[letters + digits];
}

/* The name of the @disk-th disk, or of a partition of it */
static char *vdev_name(const char *prefix, unsigned disk, unsigned partition)
{
    GString *name = g_string_new(prefix);

    if (disk >= 26) {
        g_string_append_c(name, 'a' + disk / 26 - 1);
    }
    g_string_append_c(name, 'a' + disk % 26);
    if (partition) {
        g_string_append_printf(name, "%u", partition);
    }
    return g_string_free(name, false);
}

/*
 * Returns the name of the disk that @value gives by Xen's number, such as 51712
 * or 0xca00 for xvda, or in xl's notation, such as d0p1 for xvda1; NULL if it
 * is neither. xen-vbd-interface(7) documents both.
 */
static char *vdev_from_number(const char *value)
{
    unsigned disk, partition = 0, major, minor;
    guint64 number;
    char end;

    if (value[0] == 'd' && g_ascii_isdigit(value[1])) {
        if (sscanf(value, "d%up%u%c", &disk, &partition, &end) != 2 &&
            sscanf(value, "d%u%c", &disk, &end) != 1) {
            return NULL;
        }
        return disk < 26 * 27 && partition < 100 ?
               vdev_name("xvd", disk, partition) : NULL;
    }
    if (!g_ascii_isdigit(value[0]) ||
        qemu_strtou64(value, NULL, 0, &number) || number > INT32_MAX) {
        return NULL;
    }
    if (number >> 28 == 1) {
        disk = number >> 8 & 0xfffff;
        partition = number & 0xff;
        return disk < 26 * 27 && partition < 100 ?
               vdev_name("xvd", disk, partition) : NULL;
    }
    major = number >> 8;
    minor = number & 0xff;
    switch (major) {
    case 202:
        return vdev_name("xvd", minor >> 4, minor & 15);
    case 8:
        return vdev_name("sd", minor >> 4, minor & 15);
    case 3:
        return minor >> 6 < 2 ? vdev_name("hd", minor >> 6, minor & 63) : NULL;
    case 22:
        return minor >> 6 < 2 ? vdev_name("hd", 2 + (minor >> 6), minor & 63)
                              : NULL;
    default:
        return NULL;
    }
}

bool guest_set_vdev(Guest *g, GuestDisk *disk, const char *value, Error **errp)
{
    /* xm took a name with /dev, too */
    const char *bare = value + (g_str_has_prefix(value, "/dev/") ? 5 : 0);
    char *name = guest_is_vdev(bare) ? g_strdup(bare)
                                     : vdev_from_number(value);

    if (!name) {
        guest_error(g, disk->line, errp, "disk: '%s' is not a name for a "
                    "guest's disk (xvda, xvda1, hda, sda1, ...), nor Xen's "
                    "number of one", value);
        return false;
    }
    g_free(disk->vdev);
    disk->vdev = name;
    return true;
}

bool guest_set_disk_format(Guest *g, GuestDisk *disk, const char *value,
                           Error **errp)
{
    static const struct {
        const char *xen, *qemu;
    } formats[] = {
        { "", "raw" }, { "raw", "raw" }, { "aio", "raw" }, { "sync", "raw" },
        { "qcow", "qcow" }, { "qcow2", "qcow2" }, { "qed", "qed" },
        { "vhd", "vpc" }, { "vpc", "vpc" }, { "vmdk", "vmdk" },
    };

    for (int i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!strcmp(value, formats[i].xen)) {
            disk->format = formats[i].qemu;
            return true;
        }
    }
    guest_error(g, disk->line, errp, "disk: '%s' is not a known image format",
                value);
    return false;
}

bool guest_set_kernel(Guest *g, int line, const char *value, Error **errp)
{
    g_autofree char *base = g_path_get_basename(value);

    if (!value[0]) {
        guest_error(g, line, errp, "kernel: it is empty");
        return false;
    }
    g->kernel_line = line;
    g_clear_pointer(&g->kernel, g_free);
    if (g_str_has_prefix(base, "pv-grub") ||
        (g_str_has_prefix(base, "grub-") && strstr(base, "-xen"))) {
        g->boot_width = strstr(base, "x86_64") ? 64 :
                        strstr(base, "x86_32") || strstr(base, "i386") ? 32 :
                        g->boot_width;
        return true;
    }
    g->kernel = g_strdup(value);
    return true;
}

bool guest_set_arch(Guest *g, int line, const char *value, Error **errp)
{
    static const struct {
        const char *arch;
        unsigned width;
    } known[] = {
        { "i686", 32 }, { "i386", 32 }, { "x86_32", 32 }, { "x86_32p", 32 },
        { "x86_64", 64 }, { "amd64", 64 },
    };

    for (int i = 0; i < ARRAY_SIZE(known); i++) {
        if (!strcmp(value, known[i].arch)) {
            /* x86_64 tells nothing: such a host has guests of both widths */
            if (known[i].width == 32) {
                g->boot_width = 32;
            }
            return true;
        }
    }
    guest_error(g, line, errp, "arch: a guest for '%s' cannot be had here, "
                "only those for i686 and x86_64", value);
    return false;
}

/*
 * Xen's tools copy what pygrub has chosen to the host, name the copy in the
 * description of the running guest, and remove it once the guest has started.
 */
bool guest_is_boot_copy(const char *value)
{
    static const char *const places[] = {
        "/var/lib/xen/boot_", "/var/lib/xen/", "/var/run/xend/boot/",
        "/var/run/xen/", "/run/xen/", "/run/xend/boot/", "/var/lib/xend/",
    };

    for (int i = 0; i < ARRAY_SIZE(places); i++) {
        if (g_str_has_prefix(value, places[i]) &&
            (strstr(value, "boot_kernel") || strstr(value, "boot_ramdisk") ||
             strstr(value, "/boot/") || strstr(value, "bootloader"))) {
            return true;
        }
    }
    return false;
}

bool guest_set_bootloader(Guest *g, int line, const char *value, Error **errp)
{
    g_autofree char *base = g_path_get_basename(value);
    static const char *const known[] = {
        "pygrub", "pvgrub", "pv-grub", "pvgrub32", "pvgrub64", "domUloader.py",
        "domUloader",
    };

    for (int i = 0; i < ARRAY_SIZE(known); i++) {
        if (!strcmp(base, known[i])) {
            g->boot_width = g_str_has_suffix(base, "32") ? 32 :
                            g_str_has_suffix(base, "64") ? 64 : g->boot_width;
            return true;
        }
    }
    guest_error(g, line, errp, "bootloader: '%s' is not known here (pygrub, "
                "pvgrub and domUloader are): name a kernel on the host by "
                "kernel= and ramdisk= instead", value);
    return false;
}

/*
 * A terminal shows our output, then a shell runs it or libvirt reads it: so
 * text from files must be plain. What the user typed may be in any encoding.
 */
static bool check_text(Guest *g, int line, const char *what, const char *value,
                       Error **errp)
{
    if (value && !g->typed && !xenpv_text_is_plain(value)) {
        guest_error(g, line ?: 1, errp, "%s: '%s' has a character that is no "
                    "text", what, value);
        return false;
    }
    return true;
}

/* Other characters could make @value another option of QEMU's, or a file */
static bool check_word(Guest *g, int line, const char *what, const char *value,
                       const char *others, Error **errp)
{
    for (const char *p = value; p && *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr(others, *p)) {
            guest_error(g, line, errp, "%s: '%s' is none", what, value);
            return false;
        }
    }
    return true;
}

static bool check_texts(Guest *g, Error **errp)
{
    GuestDisplay *d = &g->display;

    if (!check_text(g, 1, "name", g->name, errp) ||
        !check_text(g, g->kernel_line, "kernel", g->kernel, errp) ||
        !check_text(g, g->kernel_line, "ramdisk", g->ramdisk, errp) ||
        !check_text(g, g->kernel_line, "command line", g->cmdline, errp) ||
        !check_text(g, d->line, "password", d->password, errp) ||
        !check_word(g, d->line, "address to listen on", d->listen, "._:-[]%",
                    errp) ||
        !check_word(g, d->line, "keymap", d->keymap, "_-", errp)) {
        return false;
    }
    if (d->listen && !strcmp(d->listen, "unix")) {
        /* -vnc unix:0 would be a socket "0" in QEMU's working directory */
        guest_error(g, d->line, errp, "address to listen on: '%s' is none",
                    d->listen);
        return false;
    }
    for (int i = 0; i < g->disks->len; i++) {
        GuestDisk *disk = g->disks->pdata[i];

        if (!check_text(g, disk->line, "disk", disk->source, errp)) {
            return false;
        }
    }
    for (int i = 0; i < g->nics->len; i++) {
        GuestNic *nic = g->nics->pdata[i];

        if (!check_text(g, nic->line, "bridge", nic->bridge, errp) ||
            !check_text(g, nic->line, "network", nic->network, errp) ||
            !check_text(g, nic->line, "vifname", nic->ifname, errp)) {
            return false;
        }
    }
    return true;
}

/*
 * Like xl, we take a relative path from our working directory. Whoever runs our
 * output may be in another directory, so the output has absolute paths.
 */
static void make_absolute(Guest *g, int line, const char *what, char **path)
{
    char *old = *path;

    if (old && old[0] != '/') {
        *path = g_canonicalize_filename(old, NULL);
        if (!g->typed) {
            guest_note(g, line ?: 1, "%s: '%s' is taken from the directory "
                       "that this is run in, as xl does: it is '%s'", what,
                       old, *path);
        }
        g_free(old);
    }
}

static void make_all_absolute(Guest *g)
{
    make_absolute(g, g->kernel_line, "kernel", &g->kernel);
    make_absolute(g, g->kernel_line, "ramdisk", &g->ramdisk);
    for (int i = 0; i < g->disks->len; i++) {
        GuestDisk *disk = g->disks->pdata[i];

        if (!disk->is_network) {
            /* Guests can see the path as written, see xenpv-block-params.c */
            if (!g->typed && disk->source && disk->source[0] != '/') {
                disk->params = g_strdup(disk->source);
            }
            make_absolute(g, disk->line, "disk", &disk->source);
        }
    }
}

/* libvirt needs a name, so a guest without one is named after its file */
static void make_name(Guest *g)
{
    g_autofree char *base = g_path_get_basename(g->file);
    char *dot = strrchr(base, '.');
    Error *err = NULL;

    if (dot && dot > base) {
        *dot = 0;
    }
    if (g->typed || !strcmp(g->file, "stdin") ||
        !g_utf8_validate(base, -1, NULL) || !xenpv_text_is_plain(base) ||
        !guest_set_name(g, 1, base, &err)) {
        error_free(err);
        g->name = g_strdup("xenpv");
    }
    if (!g->typed) {
        guest_note(g, 1, "it does not say what the guest's name is: '%s' is "
                   "taken", g->name);
    }
}

bool guest_check(Guest *g, Error **errp)
{
    g_autoptr(GHashTable) vdevs = g_hash_table_new(g_str_hash, g_str_equal);

    make_all_absolute(g);
    if (!check_texts(g, errp)) {
        return false;
    }
    if (!g->memory_mib) {
        guest_error(g, 1, errp, "it does not say how much memory the guest "
                    "has");
        return false;
    }
    for (int i = 0; i < g->disks->len; i++) {
        GuestDisk *disk = g->disks->pdata[i];

        if (!disk->vdev) {
            guest_error(g, disk->line, errp, "disk: it does not say what the "
                        "guest calls this disk");
            return false;
        }
        if (!disk->source && !disk->is_cdrom) {
            guest_error(g, disk->line, errp, "disk: %s has no source",
                        disk->vdev);
            return false;
        }
        if (!g_hash_table_add(vdevs, disk->vdev)) {
            guest_error(g, disk->line, errp, "disk: there are two disks %s",
                        disk->vdev);
            return false;
        }
    }
    if (!g->kernel && !g->disks->len) {
        guest_error(g, g->kernel_line ?: 1, errp, "there is neither a kernel "
                    "nor a disk to boot from");
        return false;
    }
    if (!g->kernel && g->ramdisk) {
        guest_error(g, g->kernel_line ?: 1, errp, "there is a ramdisk, but no "
                    "kernel");
        return false;
    }
    if (!g->name) {
        make_name(g);
    }
    return true;
}
