/*
 * Reads xl's and xm's configuration files: what their settings mean
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "xl-language.h"

static bool want(Guest *g, const char *name, const XlValue *v, XlType type,
                 Error **errp)
{
    static const char *const kinds[] = {
        "nothing", "a number", "a string", "a list", "",
    };

    if (v->type == XL_UNKNOWN) {
        guest_error(g, v->line, errp, "%s: '%s' is Python that would have to "
                    "be run: write down what comes out of it", name, v->string);
        return false;
    }
    if (v->type != type) {
        guest_error(g, v->line, errp, "%s: %s is needed here, not %s", name,
                    kinds[type], kinds[v->type]);
        return false;
    }
    return true;
}

static const char *want_string(Guest *g, const char *name, const XlValue *v,
                               Error **errp)
{
    if (!want(g, name, v, XL_STRING, errp)) {
        return NULL;
    }
    if (strpbrk(v->string, "\n\r")) {
        guest_error(g, v->line, errp, "%s: it has a newline in it", name);
        return NULL;
    }
    return v->string;
}

/* xm took numbers in strings, too */
static bool want_number(Guest *g, const char *name, const XlValue *v,
                        uint64_t *n, Error **errp)
{
    if (v->type == XL_STRING) {
        if (qemu_strtou64(v->string, NULL, 0, n) < 0 || v->string[0] == '-') {
            guest_error(g, v->line, errp, "%s: '%s' is not a number", name,
                        v->string);
            return false;
        }
        return true;
    }
    if (!want(g, name, v, XL_NUMBER, errp)) {
        return false;
    }
    if (v->number < 0) {
        guest_error(g, v->line, errp, "%s: %" PRId64 " is less than nothing",
                    name, v->number);
        return false;
    }
    *n = v->number;
    return true;
}

/* Splits "a = b" at the first '='; NULL if there is none. Both are stripped. */
static char *split_key(char *word)
{
    char *eq = strchr(word, '=');

    if (eq) {
        *eq++ = 0;
        g_strstrip(word);
        return g_strstrip(eq);
    }
    g_strstrip(word);
    return NULL;
}

static bool parse_access(Guest *g, GuestDisk *disk, const char *value,
                         Error **errp)
{
    if (!strcmp(value, "r") || !strcmp(value, "ro")) {
        disk->readonly = true;
    } else if (strcmp(value, "w") && strcmp(value, "rw") &&
               strcmp(value, "w!") && strcmp(value, "!w")) {
        guest_error(g, disk->line, errp, "disk: '%s' is not a way of access "
                    "(r, ro, w, rw)", value);
        return false;
    }
    return true;
}

static bool is_format(const char *word)
{
    g_autofree char *bare = g_strchomp(g_strdup(word));

    static const char *const formats[] = {
        "raw", "qcow", "qcow2", "qed", "vhd", "vmdk", "aio",
    };

    for (int i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!strcmp(bare, formats[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Takes xm's prefixes off a source, "tap:aio:" for one, and what they say
 * about it. False with errp set if it has one that nobody knows.
 */
static bool parse_prefix(Guest *g, GuestDisk *disk, const char **source,
                         bool *had, Error **errp)
{
    static const struct {
        const char *prefix, *format;
        bool is_block;
    } prefixes[] = {
        { "phy:", "raw", true }, { "file:", "raw" },
        { "tap2:tapdisk:aio:", "raw" }, { "tap:tapdisk:aio:", "raw" },
        { "tap:tapdisk:qcow2:", "qcow2" }, { "tap:tapdisk:qcow:", "qcow" },
        { "tap:tapdisk:vhd:", "vhd" }, { "tap2:tapdisk:vhd:", "vhd" },
        { "tap:aio:", "raw" }, { "tap2:aio:", "raw" }, { "tap:sync:", "raw" },
        { "tap2:sync:", "raw" }, { "tap:raw:", "raw" }, { "tap2:raw:", "raw" },
        { "tap:qcow2:", "qcow2" }, { "tap2:qcow2:", "qcow2" },
        { "tap:qcow:", "qcow" }, { "tap2:qcow:", "qcow" },
        { "tap:vhd:", "vhd" }, { "tap2:vhd:", "vhd" },
        { "tap:vmdk:", "vmdk" }, { "tap2:vmdk:", "vmdk" },
        { "aio:", "raw" }, { "raw:", "raw" }, { "qcow2:", "qcow2" },
        { "qcow:", "qcow" }, { "vhd:", "vhd" },
    };
    const char *colon;

    for (int i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (g_str_has_prefix(*source, prefixes[i].prefix)) {
            *source += strlen(prefixes[i].prefix);
            disk->is_block = prefixes[i].is_block;
            *had = true;
            return guest_set_disk_format(g, disk, prefixes[i].format, errp);
        }
    }
    colon = strchr(*source, ':');
    if (colon && (*source)[0] != '/') {
        guest_error(g, disk->line, errp, "disk: '%.*s' is not a known kind of "
                    "source", (int)(colon + 1 - *source), *source);
        return false;
    }
    return true;
}

static bool set_source(Guest *g, GuestDisk *disk, const char *source,
                       bool *had_prefix, Error **errp)
{
    if (disk->source) {
        guest_error(g, disk->line, errp, "disk: its target is named twice");
        return false;
    }
    if (!parse_prefix(g, disk, &source, had_prefix, errp)) {
        return false;
    }
    /* xm's phy: names are relative to /dev */
    if (disk->is_block && source[0] && source[0] != '/') {
        disk->source = g_strconcat("/dev/", source, NULL);
    } else if (source[0]) {
        disk->source = g_strdup(source);
    }
    if (disk->source && g_str_has_prefix(disk->source, "/dev/")) {
        disk->is_block = true;
    }
    return true;
}

/*
 * Both syntaxes of a disk at once: xm's "SOURCE,VDEV[:cdrom],MODE" and xl's
 * "TARGET,FORMAT,VDEV,ACCESS" with "KEY=VALUE" in any place.
 */
static bool parse_disk(Guest *g, const XlValue *v, Error **errp)
{
    const char *text = want_string(g, "disk", v, errp);
    g_auto(GStrv) words = NULL;
    enum { SOURCE, FORMAT, VDEV, ACCESS, TOO_MANY } next = SOURCE;
    bool prefix = false;
    const char *here, *after = text;
    GuestDisk *disk;

    if (!text) {
        return false;
    }
    disk = guest_add_disk(g, v->line);
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        g_autofree char *key = g_strdup(*w);
        char *value = NULL;

        here = after;
        after = after ? strchr(after, ',') : NULL;
        after = after ? after + 1 : NULL;

        g_strstrip(*w);
        if (next != SOURCE || g_str_has_prefix(g_strchug(key), "target") ||
            g_str_has_prefix(key, "format") || g_str_has_prefix(key, "vdev") ||
            g_str_has_prefix(key, "access") || g_str_has_prefix(key, "dev")) {
            value = split_key(key);
        } else {
            g_strstrip(key);
        }
        if (value && !strcmp(key, "target")) {
            /* It takes all that follows, commas too */
            here = strchr(here, '=') + 1;
            if (!set_source(g, disk, here + strspn(here, " "), &prefix, errp)) {
                return false;
            }
            break;
        } else if (value && !strcmp(key, "format")) {
            if (!guest_set_disk_format(g, disk, value, errp)) {
                return false;
            }
            next = MAX(next, VDEV);
        } else if (value && !strcmp(key, "vdev")) {
            if (!guest_set_vdev(g, disk, value, errp)) {
                return false;
            }
            next = MAX(next, ACCESS);
        } else if (value && !strcmp(key, "access")) {
            if (!parse_access(g, disk, value, errp)) {
                return false;
            }
            next = TOO_MANY;
        } else if (value && !strcmp(key, "devtype")) {
            disk->is_cdrom = !strcmp(value, "cdrom");
        } else if (value && (!strcmp(key, "backendtype") ||
                             !strcmp(key, "backend") ||
                             !strcmp(key, "script"))) {
            if (strcmp(key, "backendtype")) {
                guest_note(g, v->line, "disk: '%s=%s' is not carried", key,
                           value);
            }
        } else if (value) {
            guest_error(g, v->line, errp, "disk: '%s' is not something that a "
                        "disk has", key);
            return false;
        } else if (!strcmp(key, "cdrom")) {
            disk->is_cdrom = true;
        } else if (!strcmp(key, "discard") || !strcmp(key, "no-discard")) {
            disk->discard = key[0] == 'd';
        } else if (!strcmp(key, "direct-io-safe")) {
            /* It always is */
        } else if (next == SOURCE) {
            if (!set_source(g, disk, key, &prefix, errp)) {
                return false;
            }
            if (w[1]) {
                g_strchug(w[1]);
            }
            next = prefix || (w[1] && w[1][0] && !is_format(w[1])) ? VDEV
                                                                   : FORMAT;
        } else if (next == FORMAT) {
            if (!guest_set_disk_format(g, disk, key, errp)) {
                return false;
            }
            next = VDEV;
        } else if (next == VDEV) {
            char *colon;

            if (g_str_has_prefix(key, "ioemu:")) {
                memmove(key, key + 6, strlen(key + 6) + 1);
            }
            colon = strchr(key, ':');
            if (colon && !strcmp(colon, ":cdrom")) {
                disk->is_cdrom = true;
                *colon = 0;
            } else if (colon && !strcmp(colon, ":disk")) {
                *colon = 0;
            }
            if (!guest_set_vdev(g, disk, key, errp)) {
                return false;
            }
            next = ACCESS;
        } else if (next == ACCESS) {
            if (!parse_access(g, disk, key, errp)) {
                return false;
            }
            next = TOO_MANY;
        } else {
            guest_error(g, v->line, errp, "disk: '%s' is one word too many",
                        key);
            return false;
        }
    }
    if (disk->is_cdrom) {
        disk->readonly = true;
    }
    return true;
}

static bool parse_vif(Guest *g, const XlValue *v, Error **errp)
{
    const char *text = want_string(g, "vif", v, errp);
    g_auto(GStrv) words = NULL;
    GuestNic *nic;

    if (!text) {
        return false;
    }
    nic = guest_add_nic(g, v->line);
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        char *value = split_key(*w);

        if (!**w && !value) {
            continue;
        }
        if (!value) {
            guest_error(g, v->line, errp, "vif: '%s' is not of the form "
                        "NAME=VALUE", *w);
            return false;
        }
        if (!strcmp(*w, "mac")) {
            if (!guest_set_mac(g, nic, value, errp)) {
                return false;
            }
        } else if (!strcmp(*w, "bridge")) {
            if (!value[0] || strpbrk(value, "/ \t")) {
                guest_error(g, v->line, errp, "vif: '%s' is not the name of a "
                            "bridge", value);
                return false;
            }
            g_free(nic->bridge);
            nic->bridge = g_strdup(value);
        } else if (!strcmp(*w, "vifname")) {
            g_free(nic->ifname);
            nic->ifname = g_strdup(value);
        } else if (!strcmp(*w, "script") || !strcmp(*w, "ip") ||
                   !strcmp(*w, "backend") || !strcmp(*w, "rate") ||
                   !strcmp(*w, "gatewaydev") || !strcmp(*w, "netdev") ||
                   !strcmp(*w, "gw") || !strcmp(*w, "mtu") ||
                   !strcmp(*w, "accel") || !strcmp(*w, "trusted") ||
                   !strcmp(*w, "model") || !strcmp(*w, "type")) {
            if (strcmp(*w, "type") || !strcmp(value, "ioemu")) {
                guest_note(g, v->line, "vif: '%s=%s' is not carried", *w,
                           value);
            }
        } else {
            guest_error(g, v->line, errp, "vif: '%s' is not something that a "
                        "vif has", *w);
            return false;
        }
    }
    return true;
}

static bool parse_vfb(Guest *g, const XlValue *v, Error **errp)
{
    const char *text = want_string(g, "vfb", v, errp);
    g_auto(GStrv) words = NULL;
    GuestDisplay *d = &g->display;

    if (!text) {
        return false;
    }
    if (d->present) {
        guest_note(g, v->line, "vfb: a guest has only one framebuffer here");
        return true;
    }
    d->present = true;
    d->line = v->line;
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        char *value = split_key(*w);
        uint64_t n;

        if (!**w && !value) {
            continue;
        }
        if (!value) {
            guest_error(g, v->line, errp, "vfb: '%s' is not of the form "
                        "NAME=VALUE", *w);
            return false;
        }
        if (!strcmp(*w, "type") || !strcmp(*w, "sdl") || !strcmp(*w, "vnc")) {
            if (!strcmp(*w, "type") && strcmp(value, "vnc") &&
                strcmp(value, "sdl")) {
                guest_error(g, v->line, errp, "vfb: '%s' is not a type of "
                            "display (vnc, sdl)", value);
                return false;
            }
            if (!strcmp(value, "sdl") ||
                (!strcmp(*w, "sdl") && !strcmp(value, "1"))) {
                d->is_sdl = true;
            }
        } else if (!strcmp(*w, "vncdisplay")) {
            if (qemu_strtou64(value, NULL, 10, &n) < 0 || n > 59635) {
                guest_error(g, v->line, errp, "vfb: '%s' is not the number of "
                            "a display", value);
                return false;
            }
            d->display = n;
        } else if (!strcmp(*w, "vncunused")) {
            if (!strcmp(value, "1")) {
                d->display = -1;
            }
        } else if (!strcmp(*w, "vnclisten")) {
            char *colon = strrchr(value, ':');

            if (colon && strchr(value, ':') == colon &&
                !qemu_strtou64(colon + 1, NULL, 10, &n) && n <= 59635) {
                d->display = n;
                *colon = 0;
            }
            g_free(d->listen);
            d->listen = g_strdup(value);
        } else if (!strcmp(*w, "vncpasswd")) {
            g_free(d->password);
            d->password = value[0] ? g_strdup(value) : NULL;
        } else if (!strcmp(*w, "keymap")) {
            g_free(d->keymap);
            d->keymap = g_strdup(value);
        } else if (!strcmp(*w, "display") || !strcmp(*w, "xauthority") ||
                   !strcmp(*w, "opengl") || !strcmp(*w, "videoram")) {
            guest_note(g, v->line, "vfb: '%s=%s' is not carried", *w, value);
        } else {
            guest_error(g, v->line, errp, "vfb: '%s' is not something that a "
                        "vfb has", *w);
            return false;
        }
    }
    return true;
}

static bool each(Guest *g, const char *name, const XlValue *v,
                 bool (*parse)(Guest *g, const XlValue *v, Error **errp),
                 Error **errp)
{
    if (v->type == XL_NONE) {
        return true;
    }
    if (v->type == XL_STRING && v->string[0]) {
        return parse(g, v, errp);
    }
    if (v->type == XL_STRING) {
        return true;
    }
    if (!want(g, name, v, XL_LIST, errp)) {
        return false;
    }
    for (int i = 0; i < v->list->len; i++) {
        if (!parse(g, v->list->pdata[i], errp)) {
            return false;
        }
    }
    return true;
}

static const XlValue *look_up(XlSettings *s, const char *name)
{
    const XlValue *v = g_hash_table_lookup(s->vars, name);

    if (v && (v->type == XL_NONE ||
              (v->type == XL_STRING && !v->string[0]))) {
        return NULL;
    }
    return v;
}

/* root=, ip= and so on, as xm and xl put them together */
static bool parse_cmdline(XlSettings *s, Error **errp)
{
    static const struct {
        const char *name, *prefix;
    } parts[] = {
        { "ip", "ip=" }, { "root", "root=" }, { "extra", "" },
    };
    const XlValue *whole = look_up(s, "cmdline"), *v;
    g_autoptr(GString) out = g_string_new(NULL);
    Guest *g = s->g;
    const char *text;

    if (whole) {
        text = want_string(g, "cmdline", whole, errp);
        if (!text) {
            return false;
        }
        g_string_append(out, text);
    }
    for (int i = 0; i < ARRAY_SIZE(parts); i++) {
        v = look_up(s, parts[i].name);
        if (!v) {
            continue;
        }
        if (whole) {
            guest_note(g, v->line, "'%s' does not count beside 'cmdline'",
                       parts[i].name);
            continue;
        }
        text = want_string(g, parts[i].name, v, errp);
        if (!text) {
            return false;
        }
        g_string_append_printf(out, "%s%s%s", out->len ? " " : "",
                               parts[i].prefix, text);
    }
    if (out->len) {
        g->cmdline = g_strdelimit(g_strdup(out->str), "\t", ' ');
    }
    return true;
}

/* The kind of guest: only PV ones can be had here */
static bool check_kind(XlSettings *s, Error **errp)
{
    static const struct {
        const char *name, *pv[4];
    } kinds[] = {
        { "type", { "pv", "generic", "linux" } },
        { "builder", { "pv", "generic", "linux" } },
    };

    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        const XlValue *v = look_up(s, kinds[i].name);
        const char *text;
        bool pv = false;

        if (!v) {
            continue;
        }
        text = want_string(s->g, kinds[i].name, v, errp);
        if (!text) {
            return false;
        }
        for (int j = 0; kinds[i].pv[j]; j++) {
            pv |= !strcmp(text, kinds[i].pv[j]);
        }
        if (!pv) {
            guest_error(s->g, v->line, errp, "%s: '%s' is not a PV guest; an "
                        "HVM or PVH guest needs no Xen: run it on QEMU's usual "
                        "machines", kinds[i].name, text);
            return false;
        }
    }
    return true;
}

static bool parse_setting(XlSettings *s, const char *name, const XlValue *v,
                          Error **errp)
{
    /* Those that have their place elsewhere, or none that is missed */
    static const char *const silent[] = {
        "root", "extra", "cmdline", "ip", "type", "builder", "maxmem",
        "ramdisk", "kernel", "bootloader", "netmask", "gateway", "hostname",
        "pae", "acpi", "apic", "device_model", "boot", "vnc", "sdl", "serial",
        "nographic", "stdvga", "xen_platform_pci", "viridian", "hap",
        "usbdevice", "usb", "localtime", "vncunused", "vnclisten", "keymap",
        "vncpasswd", "vncdisplay", "vncviewer", "vncconsole", "on_watchdog",
        "maxvcpus", "vcpu_avail",
    };
    static const char *const in_words[] = {
        "netmask", "gateway", "hostname", "localtime", "serial", "vcpu_avail",
        "vnc", "sdl",
    };
    Guest *g = s->g;
    const char *text;
    uint64_t n;

    if (v->type == XL_NONE ||
        (v->type == XL_STRING && !v->string[0])) {
        return true;
    }
    if (!strcmp(name, "name") || !strcmp(name, "uuid") ||
        g_str_has_prefix(name, "on_")) {
        text = want_string(g, name, v, errp);
        if (!text) {
            return false;
        }
        if (!strcmp(name, "name")) {
            return guest_set_name(g, v->line, text, errp);
        }
        if (!strcmp(name, "uuid")) {
            return guest_set_uuid(g, v->line, text, errp);
        }
        if (!strcmp(name, "on_poweroff") || !strcmp(name, "on_reboot") ||
            !strcmp(name, "on_crash")) {
            return guest_set_action(g, v->line, name, text, errp);
        }
    }
    if (!strcmp(name, "memory")) {
        return want_number(g, name, v, &n, errp) &&
               guest_set_memory(g, v->line, MIN(n, UINT64_MAX / 1024) * 1024,
                                errp);
    }
    if (!strcmp(name, "vcpus")) {
        return want_number(g, name, v, &n, errp) &&
               guest_set_vcpus(g, v->line, n, errp);
    }
    if (!strcmp(name, "disk")) {
        g->disk_line = v->line;
        return each(g, name, v, parse_disk, errp);
    }
    if (!strcmp(name, "vif")) {
        return each(g, name, v, parse_vif, errp);
    }
    if (!strcmp(name, "vfb")) {
        return each(g, name, v, parse_vfb, errp);
    }
    for (int i = 0; i < ARRAY_SIZE(in_words); i++) {
        if (!strcmp(name, in_words[i]) &&
            !(v->type == XL_NUMBER && !v->number)) {
            guest_note(g, v->line, "'%s' is not carried", name);
            return true;
        }
    }
    for (int i = 0; i < ARRAY_SIZE(silent); i++) {
        if (!strcmp(name, silent[i])) {
            return true;
        }
    }
    if (v->type != XL_UNKNOWN) {
        guest_note(g, v->line, "'%s' is not carried", name);
    }
    return true;
}

static bool parse_kernel(XlSettings *s, Error **errp)
{
    const XlValue *kernel = look_up(s, "kernel");
    const XlValue *ramdisk = look_up(s, "ramdisk");
    const XlValue *loader = look_up(s, "bootloader");
    const char *text;
    Guest *g = s->g;

    if (loader) {
        text = want_string(g, "bootloader", loader, errp);
        if (!text || !guest_set_bootloader(g, loader->line, text, errp)) {
            return false;
        }
        g->kernel_line = loader->line;
        if (kernel) {
            guest_note(g, kernel->line, "'kernel' does not count beside "
                       "'bootloader'");
        }
        if (ramdisk) {
            guest_note(g, ramdisk->line, "'ramdisk' does not count beside "
                       "'bootloader'");
        }
        return true;
    }
    if (kernel) {
        text = want_string(g, "kernel", kernel, errp);
        if (!text || !guest_set_kernel(g, kernel->line, text, errp)) {
            return false;
        }
    }
    if (ramdisk) {
        text = want_string(g, "ramdisk", ramdisk, errp);
        if (!text) {
            return false;
        }
        if (kernel && !g->kernel) {
            guest_note(g, ramdisk->line, "'ramdisk' of a PV GRUB is not "
                       "carried");
        } else {
            g->ramdisk = g_strdup(text);
        }
    }
    return true;
}

static bool parse_settings(XlSettings *s, Error **errp)
{
    Guest *g = s->g;
    const XlValue *v;
    uint64_t n;

    if (!check_kind(s, errp) || !parse_kernel(s, errp)) {
        return false;
    }
    for (int i = 0; i < s->order->len; i++) {
        const char *name = s->order->pdata[i];

        if (!parse_setting(s, name, g_hash_table_lookup(s->vars, name),
                           errp)) {
            return false;
        }
    }
    v = look_up(s, "maxmem");
    if (v) {
        if (!want_number(g, "maxmem", v, &n, errp)) {
            return false;
        }
        if (n < g->memory_mib) {
            guest_error(g, v->line, errp, "maxmem: it is less than memory, "
                        "%" PRIu64 " MiB", g->memory_mib);
            return false;
        }
        if (n > g->memory_mib && g->memory_mib) {
            guest_note(g, v->line, "'maxmem' is not carried: the guest has "
                       "%" PRIu64 " MiB for good", g->memory_mib);
        }
    }
    v = look_up(s, "maxvcpus");
    if (v) {
        if (!want_number(g, "maxvcpus", v, &n, errp)) {
            return false;
        }
        if (n > g->vcpus) {
            guest_note(g, v->line, "'maxvcpus' is not carried: the guest has "
                       "%u vCPUs for good", g->vcpus);
        }
    }
    if (!parse_cmdline(s, errp)) {
        return false;
    }
    if (!g->kernel && g->cmdline) {
        v = look_up(s, "cmdline") ?: look_up(s, "extra") ?: look_up(s, "root");
        guest_note(g, v ? v->line : 1, "the kernel's command line is not "
                   "carried: the guest's boot loader has its own");
        g_clear_pointer(&g->cmdline, g_free);
    }
    return true;
}

Guest *guest_parse_xl(const char *file, const char *text, Error **errp)
{
    g_autoptr(Guest) g = guest_new(file);
    XlSettings s = { .g = g };
    bool ok = xl_read(&s, text, errp) && parse_settings(&s, errp) &&
              guest_check(g, errp);

    xl_settings_clear(&s);
    return ok ? g_steal_pointer(&g) : NULL;
}
