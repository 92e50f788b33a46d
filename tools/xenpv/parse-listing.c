/*
 * Reads what Xen's tools print about their guests: "xm list --long" in
 * S-expressions, "xl list -l" and "xl -N create" in JSON
 *
 * Both become a tree of items with line numbers. The tree is then translated
 * into the settings of a configuration file, which parse-xl.c interprets. An
 * item without a counterpart there keeps its name, so that parse-xl.c notes it
 * as not carried.
 *
 * guest-read.c calls this. The numbers below bound the depth and number of
 * items.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "xl-devices.h"

#define MAX_DEPTH   32
#define MAX_ITEMS   65536

typedef struct Item Item;
struct Item {
    char *name;         /* NULL: an element of a list */
    int line;
    char *text;         /* NULL: it has none, maybe @items */
    GPtrArray *items;
};

typedef struct Reader {
    const char *file;
    const char *p;
    int line;
    unsigned depth, nr_items;
} Reader;

static void item_free(gpointer p)
{
    Item *item = p;

    if (item) {
        g_free(item->name);
        g_free(item->text);
        g_ptr_array_unref(item->items);
        g_free(item);
    }
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Item, item_free)

static Item *item_new(Reader *r, Error **errp)
{
    Item *item;

    if (r->depth > MAX_DEPTH || ++r->nr_items > MAX_ITEMS) {
        guest_file_error(r->file, r->line, errp, "there are too many items, or "
                         "they are nested too deeply");
        return NULL;
    }
    item = g_new0(Item, 1);
    item->line = r->line;
    item->items = g_ptr_array_new_with_free_func(item_free);
    return item;
}

static void skip_blanks(Reader *r)
{
    for (; *r->p && strchr(" \t\r\n", *r->p); r->p++) {
        r->line += *r->p == '\n';
    }
}

static const Item *child(const Item *item, const char *name)
{
    for (int i = 0; item && i < item->items->len; i++) {
        const Item *c = item->items->pdata[i];

        if (c->name && !strcmp(c->name, name)) {
            return c;
        }
    }
    return NULL;
}

static const char *child_text(const Item *item, const char *name)
{
    const Item *c = child(item, name);

    return c && c->text ? c->text : "";
}

/* Whether @item has a value that is not the default */
static bool is_set(const Item *item)
{
    static const char *const unset[] = {
        "", "0", "False", "None", "<default>", "default", "unknown",
        "empty",
    };

    for (int i = 0; item->text && i < ARRAY_SIZE(unset); i++) {
        if (!strcmp(item->text, unset[i])) {
            return false;
        }
    }
    if (item->text) {
        return true;
    }
    for (int i = 0; i < item->items->len; i++) {
        const Item *c = item->items->pdata[i];

        if ((c->text && c->text[0]) || is_set(c)) {
            return true;
        }
    }
    return false;
}

static bool is_in(const char *name, const char *const *list)
{
    for (; *list; list++) {
        if (!strcmp(name, *list)) {
            return true;
        }
    }
    return false;
}

/* --- S-expressions: (NAME TEXT ... (NAME ...) ...) */

static char *sxp_atom(Reader *r, Error **errp)
{
    g_autoptr(GString) out = g_string_new(NULL);
    char quote = *r->p == '\'' || *r->p == '"' ? *r->p++ : 0;
    int line = r->line;

    while (*r->p && (quote ? *r->p != quote : !strchr(" \t\r\n()", *r->p))) {
        if (*r->p == '\\' && r->p[1]) {
            r->p++;
        }
        r->line += *r->p == '\n';
        g_string_append_c(out, *r->p++);
    }
    if (quote && !*r->p++) {
        guest_file_error(r->file, line, errp, "a quote that is opened here is "
                         "never closed");
        return NULL;
    }
    return g_string_free(g_steal_pointer(&out), false);
}

static Item *sxp_list(Reader *r, Error **errp)
{
    g_autoptr(Item) item = NULL;
    g_autoptr(GString) words = g_string_new(NULL);
    bool has_words = false;
    int line = r->line;

    r->depth++;
    item = item_new(r, errp);
    if (!item) {
        return NULL;
    }
    r->p++;
    for (;;) {
        g_autofree char *text = NULL;
        Item *inner;

        skip_blanks(r);
        if (!*r->p) {
            guest_file_error(r->file, line, errp, "the '(' that is opened here "
                             "is not closed");
            return NULL;
        }
        if (*r->p == ')') {
            r->p++;
            break;
        }
        if (*r->p == '(') {
            inner = sxp_list(r, errp);
            if (!inner) {
                return NULL;
            }
            g_ptr_array_add(item->items, inner);
            continue;
        }
        text = sxp_atom(r, errp);
        if (!text) {
            return NULL;
        }
        if (!item->name && !item->items->len) {
            item->name = g_steal_pointer(&text);
        } else {
            /* Unquoted words are one text together */
            g_string_append_printf(words, "%s%s", words->len ? " " : "", text);
            has_words = true;
        }
    }
    item->text = has_words ? g_strdup(words->str) : NULL;
    r->depth--;
    return g_steal_pointer(&item);
}

/* --- JSON */

static bool json_unicode(Reader *r, GString *out, Error **errp)
{
    unsigned high = 0, code;

    for (;;) {
        if (strspn(r->p, "0123456789abcdefABCDEF") < 4 ||
            sscanf(r->p, "%4x", &code) != 1) {
            break;
        }
        r->p += 4;
        if (high) {
            code = code >= 0xdc00 && code < 0xe000 ?
                   0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff) : 0;
        } else if (code >= 0xd800 && code < 0xdc00 &&
                   g_str_has_prefix(r->p, "\\u")) {
            high = code;
            r->p += 2;
            continue;
        }
        if (!code || !g_unichar_validate(code)) {
            break;
        }
        g_string_append_unichar(out, code);
        return true;
    }
    guest_file_error(r->file, r->line, errp, "a \\u that is no character");
    return false;
}

static char *json_string(Reader *r, Error **errp)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    g_autoptr(GString) out = g_string_new(NULL);
    int line = r->line;

    for (r->p++; *r->p && *r->p != '"' && *r->p != '\n'; ) {
        const char *escape;

        if (*r->p != '\\') {
            g_string_append_c(out, *r->p++);
            continue;
        }
        r->p++;
        if (*r->p == 'u') {
            r->p++;
            if (!json_unicode(r, out, errp)) {
                return NULL;
            }
            continue;
        }
        escape = *r->p ? strchr(from, *r->p) : NULL;
        if (*r->p) {
            g_string_append_c(out, escape ? to[escape - from] : *r->p);
            r->p++;
        }
    }
    if (*r->p != '"') {
        guest_file_error(r->file, line, errp, "a quote that is opened here is "
                         "not closed");
        return NULL;
    }
    r->p++;
    return g_string_free(g_steal_pointer(&out), false);
}

static Item *json_value(Reader *r, Error **errp);

/* Reads up to the end of an object or of a list */
static bool json_items(Reader *r, Item *into, Error **errp)
{
    char close = *r->p == '{' ? '}' : ']';
    int line = r->line;

    r->p++;
    for (bool first = true; ; first = false) {
        g_autofree char *name = NULL;
        Item *item;

        skip_blanks(r);
        if (*r->p == close) {
            r->p++;
            return true;
        }
        if (!first && *r->p == ',') {
            r->p++;
            skip_blanks(r);
        } else if (!first) {
            guest_file_error(r->file, r->line, errp, "a ',' or '%c' is missing "
                             "for what begins in line %d", close, line);
            return false;
        }
        if (close == '}') {
            if (*r->p == '"') {
                name = json_string(r, errp);
                if (!name) {
                    return false;
                }
                skip_blanks(r);
            }
            if (!name || *r->p != ':') {
                guest_file_error(r->file, r->line, errp, "a name and a ':' are "
                                 "missing");
                return false;
            }
            r->p++;
        }
        item = json_value(r, errp);
        if (!item) {
            return false;
        }
        item->name = g_steal_pointer(&name);
        g_ptr_array_add(into->items, item);
    }
}

static Item *json_value(Reader *r, Error **errp)
{
    g_autoptr(Item) item = NULL;
    size_t len;

    skip_blanks(r);
    r->depth++;
    item = item_new(r, errp);
    if (!item) {
        return NULL;
    }
    if (*r->p == '{' || *r->p == '[') {
        if (!json_items(r, item, errp)) {
            return NULL;
        }
    } else if (*r->p == '"') {
        item->text = json_string(r, errp);
        if (!item->text) {
            return NULL;
        }
    } else {
        len = strspn(r->p, "abcdefghijklmnopqrstuvwxyz0123456789+-.E");
        if (!len) {
            guest_file_error(r->file, r->line, errp, "a value is missing");
            return NULL;
        }
        item->text = g_strndup(r->p, len);
        r->p += len;
        if (!strcmp(item->text, "null")) {
            g_clear_pointer(&item->text, g_free);
        } else if (!strcmp(item->text, "true") ||
                   !strcmp(item->text, "false")) {
            item->text[0] = g_ascii_toupper(item->text[0]);
        }
    }
    r->depth--;
    return g_steal_pointer(&item);
}

/* --- From items to settings */

/* The first item of a name counts; it is the outermost one */
static void add(XlSettings *s, const char *name, int line, const char *text)
{
    if (!g_hash_table_contains(s->vars, name)) {
        xl_settings_add(s, name, line, text);
    }
}

/* Adds an item as the setting @name, which may be its own name or another */
static void add_item(XlSettings *s, const char *name, const Item *item)
{
    if (is_set(item) || !strcmp(name, "name")) {
        add(s, name, item->line, item->text ?: "a list");
    }
}

/* Appends "NAME=TEXT" to a device */
static bool add_word(Guest *g, GString *out, const char *name,
                     const Item *item, Error **errp)
{
    const char *text = item->text ?: "a list";

    if (strchr(text, ',')) {
        guest_error(g, item->line, errp, "%s: '%s' has a comma in it", name,
                    text);
        return false;
    }
    g_string_append_printf(out, "%s%s=%s", out->len ? "," : "", name, text);
    return true;
}

typedef struct Word {
    const char *item, *word;
} Word;

static const char *word_of(const char *name, const Word *words)
{
    for (; words->item; words++) {
        if (!strcmp(name, words->item)) {
            return words->word;
        }
    }
    return name;
}

/*
 * Adds a device: first @before, then its items, renamed by @words and without
 * those in @quiet, which do not belong into a configuration. The item @target,
 * if not NULL, comes last, as "target=" takes the rest of the line.
 */
static bool add_device(XlSettings *s, const char *setting, const Item *device,
                       const char *before, const Word *words,
                       const char *const *quiet, const char *target,
                       Error **errp)
{
    g_autoptr(GString) out = g_string_new(before);
    const char *path = target ? child_text(device, target) : "";

    for (int i = 0; i < device->items->len; i++) {
        const Item *c = device->items->pdata[i];
        const char *word = c->name ? word_of(c->name, words) : NULL;

        if (!word || is_in(c->name, quiet) ||
            (target && !strcmp(c->name, target)) ||
            (!is_set(c) && strcmp(word, "vncdisplay"))) {
            continue;
        }
        if (word[0] == '+') {
            /* A flag has no value */
            g_string_append_printf(out, "%s%s", out->len ? "," : "", word + 1);
        } else if (!add_word(s->g, out, word, c, errp)) {
            return false;
        }
    }
    if (path[0]) {
        g_string_append_printf(out, "%starget=%s", out->len ? "," : "", path);
    }
    xl_settings_append(s, setting, device->line, out->str);
    return true;
}

static bool sxp_disk(XlSettings *s, const Item *disk, Error **errp)
{
    static const Word words[] = { { "mode", "access" }, { } };
    static const char *const quiet[] = {
        "uuid", "bootable", "driver", "VDI", "devid", "protocol", "type", "dev",
        NULL
    };
    const char *dev = child_text(disk, "dev");
    size_t len = strcspn(dev, ":,");
    g_autofree char *before = NULL;

    /* @dev is like "xvda:disk" or "hdc:cdrom" */
    before = g_strdup_printf("vdev=%.*s%s", (int)len, dev,
                             strcmp(dev + len, ":cdrom") ? "" : ",cdrom");
    return add_device(s, "disk", disk, before, words, quiet, "uname", errp);
}

static bool sxp_device(XlSettings *s, const Item *device, Error **errp)
{
    static const Word none[] = { { } };
    static const char *const vif_quiet[] = {
        "uuid", "devid", "handle", NULL
    };
    static const char *const vfb_quiet[] = {
        "uuid", "devid", "location", "xauthority", "other_config", NULL
    };
    static const char *const quiet[] = { "console", "vkbd", NULL };

    for (int i = 0; i < device->items->len; i++) {
        const Item *c = device->items->pdata[i];
        bool ok = true;

        if (!c->name || is_in(c->name, quiet)) {
            continue;
        } else if (!strcmp(c->name, "vbd") || !strcmp(c->name, "tap") ||
                   !strcmp(c->name, "tap2")) {
            ok = sxp_disk(s, c, errp);
        } else if (!strcmp(c->name, "vif")) {
            ok = add_device(s, "vif", c, NULL, none, vif_quiet, NULL, errp);
        } else if (!strcmp(c->name, "vfb")) {
            ok = add_device(s, "vfb", c, NULL, none, vfb_quiet, NULL, errp);
        } else {
            add(s, c->name, c->line, "a list");
        }
        if (!ok) {
            return false;
        }
    }
    return true;
}

/*
 * If the kernel is a copy that a boot loader took from the guest's disk for
 * this start, the configuration has a boot loader and no kernel
 */
static void add_file(XlSettings *s, const char *name, const Item *item)
{
    if (!item->text || !guest_is_boot_copy(item->text)) {
        add_item(s, name, item);
    } else {
        add(s, "bootloader", item->line, "pygrub");
    }
}

static void sxp_image(XlSettings *s, const Item *image)
{
    static const char *const quiet[] = {
        "notes", "videoram", "device_model", "vncunused", "display",
        "xauthority", "features", NULL
    };
    const Item *kind = image->items->len ? image->items->pdata[0] : NULL;
    const char *root = child_text(kind, "root");

    if (!kind || !kind->name) {
        return;
    }
    add(s, "type", kind->line, strcmp(kind->name, "linux") ? kind->name : "pv");
    for (int i = 0; i < kind->items->len; i++) {
        const Item *c = kind->items->pdata[i];
        g_autofree char *line = NULL;

        if (!c->name || is_in(c->name, quiet)) {
            continue;
        } else if (!strcmp(c->name, "kernel") || !strcmp(c->name, "ramdisk")) {
            add_file(s, c->name, c);
        } else if (!strcmp(c->name, "args")) {
            line = g_strdup_printf("%s%s%s%s", root[0] ? "root=" : "", root,
                                   root[0] ? " " : "", c->text ?: "");
            add(s, "cmdline", c->line, line);
        } else {
            add_item(s, c->name, c);
        }
    }
}

static bool sxp_domain(XlSettings *s, const Item *domain, Error **errp)
{
    static const Word words[] = {
        { "cpu_cap", "cap" }, { "pool_name", "pool" }, { }
    };
    /* These belong to this start of the guest, or to xend itself */
    static const char *const quiet[] = {
        "domid", "state", "status", "store_mfn", "console_mfn", "start_time",
        "cpu_time", "up_time", "online_vcpus", "features", "shutdown_reason",
        "on_xend_stop", "target", "machine_address_size", "change_home_server",
        "bootloader_pid", "console_port", "store_port", NULL
    };
    const Item *bootloader = child(domain, "bootloader");
    uint64_t mask, vcpus, all = 0;

    if (!qemu_strtou64(child_text(domain, "vcpus"), NULL, 10, &vcpus) &&
        vcpus < 64) {
        all = (1ULL << vcpus) - 1;
    }
    if (bootloader && is_set(bootloader)) {
        add_item(s, "bootloader", bootloader);
    }
    for (int i = 0; i < domain->items->len; i++) {
        const Item *c = domain->items->pdata[i];

        if (!c->name || is_in(c->name, quiet)) {
            continue;
        } else if (!strcmp(c->name, "image")) {
            sxp_image(s, c);
        } else if (!strcmp(c->name, "device")) {
            if (!sxp_device(s, c, errp)) {
                return false;
            }
        } else if (!strcmp(c->name, "vcpu_avail") && all &&
                   !qemu_strtou64(c->text, NULL, 10, &mask) && mask == all) {
            continue;
        } else if (!strcmp(c->name, "on_xend_start") && c->text &&
                   !strcmp(c->text, "ignore")) {
            continue;
        } else {
            add_item(s, word_of(c->name, words), c);
        }
    }
    return true;
}

static bool json_disks(XlSettings *s, const Item *disks, Error **errp)
{
    static const Word words[] = {
        { "backend", "backendtype" }, { "backend_domname", "backend" },
        { "direct_io_safe", "+direct-io-safe" }, { "is_cdrom", "+cdrom" },
        { "trusted", "+trusted" }, { }
    };
    static const char *const quiet[] = {
        "removable", "readwrite", "discard_enable", "backend_domid", NULL
    };

    for (int i = 0; i < disks->items->len; i++) {
        const Item *disk = disks->items->pdata[i];
        const char *discard = child_text(disk, "discard_enable");
        g_autofree char *before = NULL;

        before = g_strdup_printf("access=%s%s",
                                 strcmp(child_text(disk, "readwrite"), "0") ?
                                 "w" : "r",
                                 !strcmp(discard, "True") ? ",discard" :
                                 !strcmp(discard, "False") ? ",no-discard" :
                                 "");
        if (!add_device(s, "disk", disk, before, words, quiet, "pdev_path",
                        errp)) {
            return false;
        }
    }
    return true;
}

static bool json_nics(XlSettings *s, const Item *nics, Error **errp)
{
    static const Word words[] = {
        { "ifname", "vifname" }, { "backend_domname", "backend" },
        { "rate_bytes_per_interval", "rate" },
        { "coloft_forwarddev", "forwarddev" }, { }
    };
    static const char *const quiet[] = {
        "devid", "nictype", "backend_domid", "rate_interval_usecs", NULL
    };

    for (int i = 0; i < nics->items->len; i++) {
        if (!add_device(s, "vif", nics->items->pdata[i], NULL, words, quiet,
                        NULL, errp)) {
            return false;
        }
    }
    return true;
}

static bool json_framebuffers(XlSettings *s, const Item *vfbs, Error **errp)
{
    static const Word words[] = {
        { "listen", "vnclisten" }, { "passwd", "vncpasswd" },
        { "display", "vncdisplay" }, { "backend_domname", "backend" }, { }
    };
    static const char *const quiet[] = {
        "enable", "findunused", "vnc", "sdl", "devid", "backend_domid", NULL
    };
    Guest *g = s->g;

    for (int i = 0; i < vfbs->items->len; i++) {
        const Item *vfb = vfbs->items->pdata[i];
        const Item *vnc = child(vfb, "vnc"), *sdl = child(vfb, "sdl");
        bool is_sdl = !strcmp(child_text(sdl, "enable"), "True") &&
                      strcmp(child_text(vnc, "enable"), "True");
        g_autoptr(GString) out = g_string_new(is_sdl ? "type=sdl" : "type=vnc");
        const Item *parts[] = { vfb, is_sdl ? sdl : vnc };

        if (!is_sdl && !strcmp(child_text(vnc, "enable"), "False")) {
            g_string_append(out, ",vnc=0");
        }
        if (!strcmp(child_text(vnc, "findunused"), "True")) {
            g_string_append(out, ",vncunused=1");
        }
        for (int j = 0; j < ARRAY_SIZE(parts); j++) {
            for (int k = 0; parts[j] && k < parts[j]->items->len; k++) {
                const Item *c = parts[j]->items->pdata[k];

                if (!c->name || is_in(c->name, quiet) ||
                    (!is_set(c) && (is_sdl || !c->text ||
                                    strcmp(c->name, "display")))) {
                    continue;
                }
                if (!add_word(g, out, is_sdl ? c->name :
                              word_of(c->name, words), c, errp)) {
                    return false;
                }
            }
        }
        xl_settings_append(s, "vfb", vfb->line, out->str);
    }
    return true;
}

/* c_info, b_info, and their parts for one type of guest or host */
static void json_info(XlSettings *s, const Item *info)
{
    static const Word words[] = {
        { "max_vcpus", "maxvcpus" }, { "weight", "cpu_weight" },
        { "disable_migrate", "nomigrate" }, { "pool_name", "pool" },
        { "event_channels", "max_event_channels" },
        { "cpumap", "cpus" }, { "vcpu_hard_affinity", "cpus" },
        { "vcpu_soft_affinity", "cpus_soft" }, { "vnuma_nodes", "vnuma" },
        { "ssid_label", "seclabel" }, { "exec_ssid_label", "init_seclabel" },
        { "device_model_stubdomain", "device_model_stubdomain_override" },
        { "stubdomain_memkb", "stubdomain_memory" },
        { "extra", "device_model_args" },
        { "extra_pv", "device_model_args_pv" }, { }
    };
    static const char *const parts[] = {
        "type.pv", "u.pv", "sched_params", "arch_x86", "arch_arm", NULL
    };
    static const char *const memory[] = {
        "target_memkb", "max_memkb", NULL
    };
    /* libxl derives these from others */
    static const char *const quiet[] = {
        "domid", "video_memkb", "shadow_memkb", "slack_memkb", "iommu_memkb",
        "ssidref", "exec_ssidref", "device_model_ssidref", "poolid",
        "run_hotplug_scripts", "numa_placement", "claim_mode", "nodemap",
        "oos", "sched", "device_model_version", "passthrough", NULL
    };

    for (int i = 0; info && i < info->items->len; i++) {
        const Item *c = info->items->pdata[i];
        uint64_t n;

        if (!c->name || is_in(c->name, quiet)) {
            continue;
        } else if (is_in(c->name, parts)) {
            json_info(s, c);
        } else if (!strcmp(c->name, "avail_vcpus")) {
            g_autofree char *count = g_strdup_printf("%u", c->items->len);

            if (c->items->len) {
                add(s, "vcpus", c->line, count);
            }
        } else if (is_in(c->name, memory)) {
            g_autofree char *mib = NULL;

            mib = qemu_strtou64(c->text, NULL, 10, &n) ?
                  g_strdup(c->text ?: "a list") :
                  g_strdup_printf("%" PRIu64, n / 1024);
            if (is_set(c)) {
                add(s, c->name[0] == 't' ? "memory" : "maxmem", c->line, mib);
            }
        } else if (!strcmp(c->name, "kernel") || !strcmp(c->name, "ramdisk")) {
            add_file(s, c->name, c);
        } else if (!strcmp(c->name, "bootloader_args")) {
            for (int j = 0; j < c->items->len; j++) {
                const Item *word = c->items->pdata[j];

                xl_settings_append(s, c->name, word->line, word->text ?: "");
            }
        } else {
            add_item(s, word_of(c->name, words), c);
        }
    }
}

static bool json_domain(XlSettings *s, const Item *config, Error **errp)
{
    static const Word devices[] = {
        { "pcidevs", "pci" }, { "rdms", "rdm" }, { "dtdevs", "dtdev" },
        { "vtpms", "vtpm" }, { "p9s", "p9" }, { "pvcallsifs", "pvcalls" },
        { "vdispls", "vdispl" }, { "vsnds", "vsnd" },
        { "channels", "channel" }, { "usbctrls", "usbctrl" },
        { "usbdevs", "usbdev" }, { "virtios", "virtio" }, { }
    };
    static const char *const quiet[] = {
        "c_info", "b_info", "vkbs", "consoles", NULL
    };
    const XlValue *v;

    json_info(s, child(config, "c_info"));
    json_info(s, child(config, "b_info"));
    for (int i = 0; i < config->items->len; i++) {
        const Item *c = config->items->pdata[i];
        bool ok = true;

        if (!c->name || is_in(c->name, quiet)) {
            continue;
        } else if (!strcmp(c->name, "disks")) {
            ok = json_disks(s, c, errp);
        } else if (!strcmp(c->name, "nics")) {
            ok = json_nics(s, c, errp);
        } else if (!strcmp(c->name, "vfbs")) {
            ok = json_framebuffers(s, c, errp);
        } else if (g_str_has_prefix(c->name, "on_") && c->text) {
            g_autofree char *action = g_strdelimit(g_strdup(c->text), "_", '-');

            add(s, c->name, c->line, action);
        } else {
            add_item(s, word_of(c->name, devices), c);
        }
        if (!ok) {
            return false;
        }
    }
    /* Without avail_vcpus, all vCPUs are online from the start */
    v = g_hash_table_lookup(s->vars, "maxvcpus");
    if (v && v->string) {
        add(s, "vcpus", v->line, v->string);
    }
    return true;
}

/* --- The guests */

/* Adds the configurations of all guests in @top, but not that of domain 0 */
static void find_guests(const Item *top, bool json, GPtrArray *guests)
{
    bool many = !json || !(child(top, "c_info") || child(top, "config"));

    for (int i = 0; i < (many ? top->items->len : 1); i++) {
        const Item *item = many ? top->items->pdata[i] : top;
        const Item *config = json ? child(item, "config") ?: item : item;
        const Item *info = json ? child(config, "c_info") : config;

        if (info && (json || (item->name && !strcmp(item->name, "domain"))) &&
            strcmp(child_text(info, "name"), "Domain-0") &&
            strcmp(child_text(item, "domid"), "0")) {
            g_ptr_array_add(guests, (gpointer)config);
        }
    }
}

static Item *read_all(Reader *r, bool json, Error **errp)
{
    g_autoptr(Item) top = json ? json_value(r, errp) : item_new(r, errp);

    if (!top) {
        return NULL;
    }
    for (skip_blanks(r); *r->p == '(' && !json; skip_blanks(r)) {
        Item *item = sxp_list(r, errp);

        if (!item) {
            return NULL;
        }
        g_ptr_array_add(top->items, item);
    }
    if (*r->p) {
        guest_file_error(r->file, r->line, errp, "there is more behind the "
                         "end of what 'xl' or 'xm' prints");
        return NULL;
    }
    return g_steal_pointer(&top);
}

Guest *guest_parse_listing(const char *file, const char *text, int line,
                           Error **errp)
{
    Reader r = { .file = file, .p = text, .line = line };
    bool json = text[0] != '(', ok;
    g_autoptr(Item) top = read_all(&r, json, errp);
    g_autoptr(GPtrArray) guests = g_ptr_array_new();
    g_autoptr(Guest) g = NULL;
    XlSettings s = { };

    if (!top) {
        return NULL;
    }
    find_guests(top, json, guests);
    if (guests->len != 1) {
        guest_file_error(file, line, errp, json && child(top, "instances") ?
                         "this is Ganeti's configuration: take the guest's "
                         "file in /etc/xen on its node, or the output of "
                         "'%s'" : guests->len ?
                         "there is more than one guest in it: take the output "
                         "of '%s'" :
                         "there is no guest of Xen's in it: take its file in "
                         "/etc/xen, or the output of '%s'",
                         json ? "xl list -l NAME" : "xm list --long NAME");
        return NULL;
    }
    g = guest_new(file);
    s.g = g;
    xl_settings_init(&s);
    ok = (json ? json_domain : sxp_domain)(&s, guests->pdata[0], errp) &&
         xl_parse_settings(&s, errp);
    xl_settings_clear(&s);
    return ok ? g_steal_pointer(&g) : NULL;
}
