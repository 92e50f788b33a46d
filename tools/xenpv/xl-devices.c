/*
 * Interprets the devices in xl's and xm's configuration files: "disk", "vif"
 * and "vfb", as documented in xl-disk-configuration(5),
 * xl-network-configuration(5) and xl.cfg(5), and as xm had them
 *
 * Each documented keyword is carried, or else a note says what to do instead.
 * An undocumented keyword gets a note, too: Xen's tools ignored many silently.
 *
 * parse-xl.c calls this, once for each item of a list.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "net-disk.h"
#include "xl-devices.h"

/* Splits "a = b" at the '=' and strips both; returns "b", NULL without a '=' */
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
    } else if (!strcmp(value, "w!") || !strcmp(value, "!w")) {
        disk->shared = true;
    } else if (strcmp(value, "w") && strcmp(value, "rw")) {
        guest_error(g, disk->line, errp, "disk: '%s' is not a way of access "
                    "(r, ro, w, rw, w!)", value);
        return false;
    }
    return true;
}

static bool is_format(const char *word)
{
    g_autofree char *bare = g_strchomp(g_strdup(word));

    static const char *const formats[] = {
        "raw", "qcow", "qcow2", "qed", "vhd", "vmdk", "aio", "empty",
    };

    for (int i = 0; i < ARRAY_SIZE(formats); i++) {
        if (!strcmp(bare, formats[i])) {
            return true;
        }
    }
    return false;
}

/*
 * Removes xm's prefix from a source, such as "tap:aio:", and sets the format
 * that it stands for. Returns false with @errp set if the prefix is unknown.
 */
static bool parse_prefix(Guest *g, GuestDisk *disk, const char **source,
                         bool *had, Error **errp)
{
    static const struct {
        const char *prefix, *format;
        bool is_block;
        size_t keep;        /* bytes of the prefix that belong to the path */
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
        { "tap:/", "raw", .keep = 1 }, { "tap2:/", "raw", .keep = 1 },
    };
    const char *colon;

    for (int i = 0; i < ARRAY_SIZE(prefixes); i++) {
        if (g_str_has_prefix(*source, prefixes[i].prefix)) {
            *source += strlen(prefixes[i].prefix) - prefixes[i].keep;
            disk->is_block = prefixes[i].is_block;
            *had = true;
            return guest_set_disk_format(g, disk, prefixes[i].format, errp);
        }
    }
    colon = strchr(*source, ':');
    if (colon && (*source)[0] != '/') {
        guest_error(g, disk->line, errp, "disk: '%.*s' is not a known kind of "
                    "source: connect it on the host, and name the block device "
                    "that it gives", (int)(colon + 1 - *source), *source);
        return false;
    }
    return true;
}

/* Domain 0 has the back ends unless the configuration names another domain */
static bool is_domain_0(const char *domain)
{
    return !strcmp(domain, "0") || !strcmp(domain, "Domain-0") ||
           !strcmp(domain, "dom0");
}

/* @script: Xen's script for the disk, which knows any @source, or NULL */
static bool set_source(Guest *g, GuestDisk *disk, const char *source,
                       const char *script, bool *had_prefix, Error **errp)
{
    if (disk->source) {
        guest_error(g, disk->line, errp, "disk: its target is named twice");
        return false;
    }
    if (script && source[0] != '/') {
        disk->source = g_strdup(source);
        return true;
    }
    if (net_disk_is(source)) {
        return guest_set_net_disk(g, disk, source, errp);
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

/* Whether @word begins with a KEY= that may be in any place */
static bool has_key(const char *word)
{
    static const char *const keys[] = {
        "target", "format", "vdev", "dev", "access", "devtype", "backend",
        "backendtype", "script",
    };

    for (int i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *p = word + strlen(keys[i]);

        if (g_str_has_prefix(word, keys[i]) && p[strspn(p, " ")] == '=') {
            return true;
        }
    }
    return false;
}

/* Handles keys about the back end that serves the disk; false if @key is none */
static bool parse_backend_word(Guest *g, GuestDisk *disk, const char *key,
                               const char *value)
{
    if (!strcmp(key, "backendtype")) {
        if (strcmp(value, "phy") && strcmp(value, "tap") &&
            strcmp(value, "qdisk")) {
            guest_note(g, disk->line, "disk: 'backendtype=%s' is not carried: "
                       "QEMU serves the disk", value);
        }
    } else if (!strcmp(key, "backend") && is_domain_0(value)) {
        /* The default */
    } else if (!strcmp(key, "backend")) {
        guest_note(g, disk->line, "disk: 'backend=%s' is not carried: there "
                   "are no driver domains; the disk must be the host's", value);
    } else {
        return false;
    }
    return true;
}

/* The user must do what a script did to the source, as we do not know that */
static bool check_script(Guest *g, const GuestDisk *disk, const char *script,
                         Error **errp)
{
    if (!script) {
        return true;
    }
    if (!disk->source || disk->source[0] != '/') {
        guest_error(g, disk->line, errp, "disk: the script '%s' connects '%s' "
                    "under Xen: do so on the host, and name the block device "
                    "that it gives", script, disk->source ?: "");
        return false;
    }
    guest_note(g, disk->line, "disk: the script '%s' is not run: what it does "
               "for '%s' is to be done on the host before", script,
               disk->source);
    return true;
}

/* Why a key of a disk is not carried */
static const char *disk_advice(const char *key)
{
    static const struct {
        const char *key, *advice;
    } words[] = {
        { "specification", "a PV guest has Xen's own disk" },
        { "transport", "a PV guest has Xen's own disk" },
        { "grant-usage", "a PV guest's disk has grants always" },
        { "trusted", "the back end is QEMU, a process of the host's" },
        { "active-disk", "COLO is not there" },
        { "hidden-disk", "COLO is not there" },
    };

    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcmp(key, words[i].key)) {
            return words[i].advice;
        }
    }
    return g_str_has_prefix(key, "colo") ? "COLO is not there"
           : "Xen's documents do not have that word";
}

/* State of parsing a disk, in xm's syntax and in xl's at the same time */
typedef struct DiskParse {
    Guest *g;
    GuestDisk *disk;
    enum { SOURCE, FORMAT, VDEV, ACCESS, TOO_MANY } next;
    bool had_prefix;            /* a prefix of the source tells the format */
    bool no_format;             /* no known format follows the source */
    bool empty;                 /* a drive without a medium */
    const char *script;         /* NULL: none */
} DiskParse;

static bool set_format(DiskParse *p, const char *value, Error **errp)
{
    p->empty = !strcmp(value, "empty");
    return guest_set_disk_format(p->g, p->disk, p->empty ? "" : value, errp);
}

/* Handles "KEY=VALUE", except target=, which takes the rest of the line */
static bool parse_disk_key(DiskParse *p, const char *key, const char *value,
                           Error **errp)
{
    Guest *g = p->g;
    GuestDisk *disk = p->disk;

    if (!strcmp(key, "format")) {
        p->next = MAX(p->next, VDEV);
        return set_format(p, value, errp);
    } else if (!strcmp(key, "vdev")) {
        p->next = MAX(p->next, ACCESS);
        return guest_set_vdev(g, disk, value, errp);
    } else if (!strcmp(key, "access")) {
        p->next = TOO_MANY;
        return parse_access(g, disk, value, errp);
    } else if (!strcmp(key, "devtype")) {
        disk->is_cdrom = !strcmp(value, "cdrom");
    } else if (!strcmp(key, "script")) {
        p->script = value;
    } else if (!parse_backend_word(g, disk, key, value)) {
        guest_note(g, disk->line, "disk: '%s=%s' is not carried: %s", key,
                   value, disk_advice(key));
    }
    return true;
}

/* Whether @word means the same in any place */
static bool is_flag(const char *word)
{
    static const char *const flags[] = {
        "cdrom", "discard", "no-discard", "direct-io-safe", "trusted",
        "untrusted", "colo",
    };

    for (int i = 0; i < ARRAY_SIZE(flags); i++) {
        if (!strcmp(word, flags[i])) {
            return true;
        }
    }
    return false;
}

/* Returns the next of @words that is positional, or NULL */
static const char *next_place(char **words)
{
    for (; *words; words++) {
        g_strstrip(*words);
        if (!is_flag(*words) && !has_key(*words)) {
            break;
        }
    }
    return *words;
}

static bool parse_disk_flag(DiskParse *p, const char *word)
{
    if (!is_flag(word)) {
        return false;
    }
    if (!strcmp(word, "cdrom")) {
        p->disk->is_cdrom = true;
    } else if (!strcmp(word, "discard") || !strcmp(word, "no-discard")) {
        p->disk->discard = word[0] == 'd';
    } else if (strcmp(word, "direct-io-safe")) {    /* it always is */
        guest_note(p->g, p->disk->line, "disk: '%s' is not carried: %s", word,
                   !strcmp(word, "colo") ? "COLO is not there" :
                   "the back end is QEMU, a process of the host's");
    }
    return true;
}

/* Handles xvda, xvda:cdrom and xm's ioemu:hda */
static bool parse_disk_vdev(DiskParse *p, const char *word, Error **errp)
{
    g_autofree char *vdev = g_strdup(word + (g_str_has_prefix(word, "ioemu:") ?
                                             strlen("ioemu:") : 0));
    char *colon = strchr(vdev, ':');

    if (colon && (!strcmp(colon, ":cdrom") || !strcmp(colon, ":disk"))) {
        p->disk->is_cdrom |= colon[1] == 'c';
        *colon = 0;
    }
    return guest_set_vdev(p->g, p->disk, vdev, errp);
}

/* Handles a positional word. @following: the next such word, or NULL */
static bool parse_disk_place(DiskParse *p, const char *word,
                             const char *following, Error **errp)
{
    Guest *g = p->g;
    GuestDisk *disk = p->disk;
    Error *err = NULL;

    if (!word[0] && p->next >= ACCESS) {
        return true;            /* keep the default */
    }
    switch (p->next) {
    case SOURCE:
        if (!set_source(g, disk, word, p->script, &p->had_prefix, errp)) {
            return false;
        }
        p->no_format = following && following[0] && !is_format(following);
        p->next = p->had_prefix || p->no_format ? VDEV : FORMAT;
        return true;
    case FORMAT:
        p->next = VDEV;
        return set_format(p, word, errp);
    case VDEV:
        p->next = ACCESS;
        if (parse_disk_vdev(p, word, &err)) {
            return true;
        }
        /* It may be xl's syntax with an unknown format: then report that */
        if (p->no_format && !p->had_prefix && following &&
            parse_disk_vdev(p, following, NULL)) {
            error_free(err);
            return set_format(p, word, errp);
        }
        error_propagate(errp, err);
        return false;
    case ACCESS:
        p->next = TOO_MANY;
        return parse_access(g, disk, word, errp);
    default:
        guest_error(g, disk->line, errp, "disk: '%s' is one word too many",
                    word);
        return false;
    }
}

/*
 * Parses xm's "SOURCE,VDEV[:cdrom],MODE" and xl's "TARGET,FORMAT,VDEV,ACCESS",
 * with "KEY=VALUE" in any place. An empty word stands for the default of its
 * place.
 */
bool xl_parse_disk(Guest *g, const XlValue *v, Error **errp)
{
    const char *text = xl_want_string(g, "disk", v, errp);
    g_auto(GStrv) words = NULL;
    const char *here, *after = text;
    DiskParse p = { .g = g };

    if (!text) {
        return false;
    }
    p.disk = guest_add_disk(g, v->line);
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        char *key = g_strstrip(*w), *value = NULL;

        here = after;
        after = strchr(after, ',');
        after = after ? after + 1 : NULL;

        if (p.next != SOURCE || has_key(key)) {
            value = split_key(key);
        }
        if (value && !strcmp(key, "target")) {
            /* target= takes the rest of the line, commas included */
            here = strchr(here, '=') + 1;
            if (!set_source(g, p.disk, here + strspn(here, " "), p.script,
                            &p.had_prefix, errp)) {
                return false;
            }
            break;
        } else if (value) {
            if (!parse_disk_key(&p, key, value, errp)) {
                return false;
            }
        } else if (!parse_disk_flag(&p, key) &&
                   !parse_disk_place(&p, key, next_place(w + 1), errp)) {
            return false;
        }
    }
    if (p.disk->is_cdrom) {
        p.disk->readonly = true;
    }
    if (p.empty && p.disk->source) {
        guest_error(g, v->line, errp, "disk: its format is 'empty', but it has "
                    "a target");
        return false;
    }
    return check_script(g, p.disk, p.script, errp);
}

/*
 * Parses Open vSwitch's bridges in the syntax of Xen's vif-openvswitch: ovsbr0,
 * ovsbr0.42 for a VLAN, ovsbr0:42:43 for a trunk whose frames the guest tags,
 * and ovsbr0.42:43 for both. Other bridges have no colon in their names.
 */
bool xl_parse_ovs(Guest *g, GuestNic *nic, Error **errp)
{
    g_auto(GStrv) parts = g_strsplit(nic->bridge, ":", 0);
    g_autoptr(GString) trunks = g_string_new(NULL);
    char *dot = strrchr(parts[0], '.');
    uint64_t n;

    nic->ovs = true;
    if (!guest_is_word(nic->bridge) ||
        (nic->ifname && !guest_is_word(nic->ifname))) {
        guest_error(g, nic->line, errp, "vif: '%s' is not a name for Open "
                    "vSwitch", guest_is_word(nic->bridge) ? nic->ifname
                                                    : nic->bridge);
        return false;
    }
    if (dot) {
        *dot++ = 0;
        if (qemu_strtou64(dot, NULL, 10, &n) < 0 || !n || n > 4094) {
            guest_error(g, nic->line, errp, "vif: '%s' is not the number of a "
                        "VLAN", dot);
            return false;
        }
        nic->vlan = n;
    }
    if (!parts[0][0]) {
        guest_error(g, nic->line, errp, "vif: '%s' is not the name of a "
                    "bridge", nic->bridge);
        return false;
    }
    for (int i = 1; parts[i]; i++) {
        if (qemu_strtou64(parts[i], NULL, 10, &n) < 0 || n > 4094) {
            guest_error(g, nic->line, errp, "vif: '%s' is not the number of a "
                        "VLAN", parts[i]);
            return false;
        }
        g_string_append_printf(trunks, "%s%" PRIu64, i > 1 ? "," : "", n);
    }
    if (trunks->len) {
        nic->trunks = g_strdup(trunks->str);
    }
    g_free(nic->bridge);
    nic->bridge = g_strdup(parts[0]);
    return true;
}

void xl_note_script(Guest *g, const GuestNic *nic, const char *script,
                    const char *ip)
{
    g_autofree char *base = script ? g_path_get_basename(script) : NULL;
    bool routes = base && !strcmp(base, "vif-route");

    if (routes && ip && !guest_is_word(ip)) {
        guest_note(g, nic->line, "vif: 'ip=%s' is not carried: the script '%s' "
                   "routed what it names to the guest", ip, script);
    }
    if (routes) {
        guest_note(g, nic->line, "vif: the script '%s' routes to the guest: on "
                   "the host, 'ip tuntap add TAP mode tap', 'ip route add %s "
                   "dev TAP' and 'sysctl net.ipv4.conf.TAP.proxy_arp=1'; then "
                   "name that TAP (-netdev tap,script=no,ifname=TAP)", script,
                   ip && guest_is_word(ip) ? ip : "ADDRESS");
    } else if (base && !strcmp(base, "vif-nat")) {
        guest_note(g, nic->line, "vif: the script '%s' hides the guest's "
                   "address: user networking and libvirt's network 'default' "
                   "do that, with addresses of their own by DHCP", script);
    } else if (base && strcmp(base, "vif-bridge") &&
               strcmp(base, "vif-openvswitch")) {
        guest_note(g, nic->line, "vif: the script '%s' is not run: what it "
                   "does on the host is to be done there", script);
    }
    if (ip && !routes) {
        guest_note(g, nic->line, "vif: 'ip=%s' is not carried: the guest has "
                   "its own settings; to keep it from other addresses, filter "
                   "on the host", ip);
    }
}

/* Advice for a key that is not carried; NULL if nothing is lost without it */
static const char *vif_advice(const char *key, const char *value)
{
    static const struct {
        const char *key, *advice;
    } words[] = {
        { "backend", "there are no driver domains; QEMU is the back end" },
        { "rate", "limit it on the host, by tc or libvirt's <bandwidth>" },
        { "gatewaydev", "it is the routing script's: name the device in the "
          "host's routes" },
        { "netdev", "it is the routing script's: name the device in the "
          "host's routes" },
        { "gw", "set the gateway in the guest" },
        { "mtu", "set it in the guest and on the host's end" },
        { "vlan", "join a bridge that is on that VLAN" },
        { "accel", "there is nothing to be accelerated" },
        { "trusted", "the back end is QEMU, a process of the host's" },
        { "devid", "interfaces are in the order of the list" },
        { "forwarddev", "COLO is not there" },
    };

    if (!strcmp(key, "backend") && is_domain_0(value)) {
        return NULL;
    }
    if (!strcmp(key, "type") && (!strcmp(value, "vif") ||
                                 !strcmp(value, "netfront") ||
                                 !strcmp(value, "paravirtualised"))) {
        return NULL;
    }
    if (!strcmp(key, "type") || !strcmp(key, "model")) {
        return "a PV guest has Xen's own interface";
    }
    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcmp(key, words[i].key)) {
            return words[i].advice;
        }
    }
    return "Xen's documents do not have that word";
}

bool xl_parse_vif(Guest *g, const XlValue *v, Error **errp)
{
    const char *text = xl_want_string(g, "vif", v, errp);
    const char *script = NULL, *ip = NULL;
    g_auto(GStrv) words = NULL;
    GuestNic *nic;

    if (!text) {
        return false;
    }
    nic = guest_add_nic(g, v->line);
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        char *value = split_key(*w);
        const char *advice;

        if (!**w && !value) {
            continue;
        }
        if (!value && (!strcmp(*w, "trusted") || !strcmp(*w, "untrusted"))) {
            guest_note(g, v->line, "vif: '%s' is not carried: %s", *w,
                       vif_advice("trusted", ""));
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
            if (!value[0] || value[0] == ':' || strpbrk(value, "/ \t")) {
                guest_error(g, v->line, errp, "vif: '%s' is not the name of a "
                            "bridge", value);
                return false;
            }
            g_free(nic->bridge);
            nic->bridge = g_strdup(value);
        } else if (!strcmp(*w, "vifname")) {
            g_free(nic->ifname);
            nic->ifname = g_strdup(value);
        } else if (!strcmp(*w, "script")) {
            script = value;
        } else if (!strcmp(*w, "ip")) {
            ip = value;
        } else {
            advice = vif_advice(*w, value);
            if (advice) {
                guest_note(g, v->line, "vif: '%s=%s' is not carried: %s", *w,
                           value, advice);
            }
        }
    }
    xl_note_script(g, nic, script, ip);
    if (nic->bridge && (strchr(nic->bridge, ':') ||
                        (script && strstr(script, "openvswitch")))) {
        return xl_parse_ovs(g, nic, errp);
    }
    return true;
}

bool xl_set_vfb_word(Guest *g, int line, const char *key, char *value,
                     Error **errp)
{
    GuestDisplay *d = &g->display;
    uint64_t n;

    if (!strcmp(key, "type") || !strcmp(key, "sdl") || !strcmp(key, "vnc")) {
        if (!strcmp(key, "type") && strcmp(value, "vnc") &&
            strcmp(value, "sdl")) {
            guest_error(g, line, errp, "vfb: '%s' is not a type of display "
                        "(vnc, sdl)", value);
            return false;
        }
        if (!strcmp(value, "sdl") ||
            (!strcmp(key, "sdl") && !strcmp(value, "1"))) {
            d->is_sdl = true;
        }
        if (!strcmp(key, "vnc")) {
            d->is_hidden = !strcmp(value, "0");
        }
    } else if (!strcmp(key, "vncdisplay")) {
        if (qemu_strtou64(value, NULL, 10, &n) < 0 || n > 59635) {
            guest_error(g, line, errp, "vfb: '%s' is not the number of a "
                        "display", value);
            return false;
        }
        d->display = n;
    } else if (!strcmp(key, "vncunused")) {
        if (!strcmp(value, "1")) {
            d->display = -1;
        }
    } else if (!strcmp(key, "vnclisten")) {
        char *end = value[0] == '[' ? strchr(value, ']') : NULL;
        char *colon = strrchr(value, ':');

        /* IPv6 addresses have colons, too, but are in brackets before a port */
        if (colon && (end ? colon == end + 1 : strchr(value, ':') == colon) &&
            !qemu_strtou64(colon + 1, NULL, 10, &n) && n <= 59635) {
            d->display = n;
            *colon = 0;
        }
        g_free(d->listen);
        d->listen = end && !end[1] ? g_strndup(value + 1, end - value - 1)
                                   : g_strdup(value);
    } else if (!strcmp(key, "vncpasswd")) {
        g_free(d->password);
        d->password = value[0] ? g_strdup(value) : NULL;
    } else if (!strcmp(key, "keymap")) {
        g_free(d->keymap);
        d->keymap = g_strdup(value);
    } else {
        guest_note(g, line, "vfb: '%s=%s' is not carried%s", key, value,
                   !strcmp(key, "opengl") ? ": it is shown without it" :
                   !strcmp(key, "display") || !strcmp(key, "xauthority") ?
                   ": set it in the environment of QEMU" : "");
    }
    return true;
}

bool xl_parse_vfb(Guest *g, const XlValue *v, Error **errp)
{
    const char *text = xl_want_string(g, "vfb", v, errp);
    g_auto(GStrv) words = NULL;

    if (!text) {
        return false;
    }
    if (g->display.present) {
        guest_note(g, v->line, "vfb: a guest has only one framebuffer here");
        return true;
    }
    g->display.present = true;
    g->display.line = v->line;
    words = g_strsplit(text, ",", 32);
    for (char **w = words; *w; w++) {
        char *value = split_key(*w);

        if (!**w && !value) {
            continue;
        }
        if (!value) {
            guest_error(g, v->line, errp, "vfb: '%s' is not of the form "
                        "NAME=VALUE", *w);
            return false;
        }
        if (!xl_set_vfb_word(g, v->line, *w, value, errp)) {
            return false;
        }
    }
    g->display.is_hidden &= !g->display.is_sdl;
    return true;
}
