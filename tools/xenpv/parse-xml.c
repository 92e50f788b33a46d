/*
 * Interprets the elements of libvirt's XML for a domain of its Xen driver
 *
 * guest-read.c calls this; xml-tree.c parses the text.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "guest.h"
#include "net-disk.h"
#include "xl-devices.h"
#include "xml-tree.h"

static bool is(const char *a, const char *b)
{
    return a && !strcmp(a, b);
}

/* What to do about an element that is not carried */
typedef struct Word {
    const char *name, *advice;      /* NULL: nothing, and no note */
} Word;

#define COPY    "copy it into the new XML, where it means the same"
#define PV_NONE "a PV guest has none of it"

/*
 * Notes that @n is not carried, with the advice in @words. Stays silent if
 * @words has @n without advice. @of: what @n is a part of, or NULL.
 */
static void note_word(Guest *g, const XmlNode *n, const char *of,
                      const Word *words, int nr_words)
{
    const char *advice = NULL;

    for (int i = 0; i < nr_words; i++) {
        if (is(n->name, words[i].name)) {
            advice = words[i].advice;
            if (!advice) {
                return;
            }
            break;
        }
    }
    guest_note(g, n->line, "<%s>%s%s is not carried%s%s", n->name,
               of ? " of " : "", of ?: "", advice ? ": " : "", advice ?: "");
}

static bool read_number(Guest *g, const XmlNode *n, uint64_t *value,
                        Error **errp)
{
    if (qemu_strtou64(n->text->str, NULL, 10, value) < 0 ||
        n->text->str[0] == '-') {
        guest_error(g, n->line, errp, "<%s>: '%s' is not a number", n->name,
                    n->text->str);
        return false;
    }
    return true;
}

/* Sets *kib; KiB is also the default unit */
static bool read_memory(Guest *g, const XmlNode *n, uint64_t *kib, Error **errp)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {
        { "b", 1 }, { "bytes", 1 }, { "KB", 1000 }, { "k", 1024 },
        { "KiB", 1024 }, { "MB", 1000000 }, { "M", 1 << 20 },
        { "MiB", 1 << 20 }, { "GB", 1000000000 }, { "G", 1 << 30 },
        { "GiB", 1 << 30 }, { "TiB", 1ULL << 40 },
    };
    const char *unit = xml_attr(n, "unit") ?: "KiB";
    uint64_t value;

    if (!read_number(g, n, &value, errp)) {
        return false;
    }
    for (int i = 0; i < ARRAY_SIZE(units); i++) {
        if (!strcmp(unit, units[i].unit)) {
            if (value > UINT64_MAX / units[i].bytes) {
                value = UINT64_MAX / units[i].bytes;
            }
            *kib = value * units[i].bytes / 1024;
            return true;
        }
    }
    guest_error(g, n->line, errp, "<%s>: '%s' is not a unit", n->name, unit);
    return false;
}

/* Reads a network disk's elements, and puts its source together as xl would */
static bool read_net_source(Guest *g, GuestDisk *disk, const XmlNode *n,
                            const XmlNode *source, Error **errp)
{
    const char *protocol = xml_attr(source, "protocol") ?: "";
    const XmlNode *snapshot = xml_child(source, "snapshot");
    g_autoptr(NetDisk) d = g_new0(NetDisk, 1);
    g_autofree char *text = NULL;

    if (strcmp(protocol, "rbd") && strcmp(protocol, "nbd")) {
        guest_error(g, n->line, errp, "<disk>: '%s' is not a protocol that is "
                    "known here (rbd, nbd): connect it on the host, and name "
                    "the block device that it gives", protocol);
        return false;
    }
    d->protocol = g_strdup(protocol);
    d->name = g_strdup(xml_attr(source, "name"));
    if (d->name && xml_attr(snapshot, "name")) {
        g_autofree char *image = d->name;

        d->name = g_strconcat(image, "@", xml_attr(snapshot, "name"), NULL);
    }
    d->user = g_strdup(xml_attr(xml_child(n, "auth") ?:
                                xml_child(source, "auth"), "username"));
    d->conf = g_strdup(xml_attr(xml_child(source, "config"), "file"));
    for (int i = 0; i < source->children->len; i++) {
        const XmlNode *h = source->children->pdata[i];

        if (!is(h->name, "host")) {
            continue;
        }
        if (is(xml_attr(h, "transport"), "unix")) {
            g_free(d->socket);
            d->socket = g_strdup(xml_attr(h, "socket"));
        } else if (xml_attr(h, "name")) {
            if (d->nr_hosts == NET_DISK_MAX_HOSTS) {
                guest_error(g, h->line, errp, "<source>: it has more than %d "
                            "hosts", NET_DISK_MAX_HOSTS);
                return false;
            }
            d->hosts[d->nr_hosts] = g_strdup(xml_attr(h, "name"));
            d->ports[d->nr_hosts++] = g_strdup(xml_attr(h, "port"));
        }
    }
    if (is(xml_attr(source, "tls"), "yes")) {
        guest_note(g, n->line, "tls='yes' of <source> is not carried: QEMU "
                   "needs a tls-creds-x509 object for it (libvirt: nbd_tls in "
                   "qemu.conf); until then a server that wants TLS refuses");
    }
    text = net_disk_format(d);
    return guest_set_net_disk(g, disk, text, errp);
}

/* Notes each attribute of @n that is in @words, a list that ends with NULL */
static void note_attrs(Guest *g, const XmlNode *n, const char *of,
                       const char *const *words, const char *advice)
{
    for (; n && *words; words++) {
        if (xml_attr(n, *words)) {
            guest_note(g, n->line, "%s='%s' of %s is not carried: %s", *words,
                       xml_attr(n, *words), of, advice);
        }
    }
}

static bool read_disk(Guest *g, const XmlNode *n, Error **errp)
{
    const XmlNode *source = xml_child(n, "source");
    const XmlNode *target = xml_child(n, "target");
    const XmlNode *driver = xml_child(n, "driver");
    const char *type = xml_attr(n, "type") ?: "file";
    const char *device = xml_attr(n, "device") ?: "disk";
    const char *path, *format;
    GuestDisk *disk;
    /* Xen ignores these, but QEMU's driver would do what they ask for */
    static const char *const driver_words[] = {
        "cache", "io", "error_policy", "rerror_policy", "iothread", "queues",
        "copy_on_read", "detect_zeroes", NULL,
    };
    static const char *const disk_words[] = {
        "snapshot", "rawio", "sgio", "startupPolicy", NULL,
    };
    static const Word words[] = {
        { "source" }, { "target" }, { "driver" }, { "readonly" }, { "address" },
        { "alias" }, { "backingStore" }, { "shareable" }, { "auth" },
        { "iotune", COPY }, { "blockio", COPY }, { "encryption", COPY },
        { "serial", "a Xen disk has none" },
        { "boot", "PV GRUB looks for a menu disk by disk" },
        { "backenddomain", "there are no driver domains; the disk must be the "
          "host's" },
        { "script", "what it does is to be done on the host before" },
    };

    if (strcmp(type, "file") && strcmp(type, "block") &&
        (strcmp(type, "network") || !source)) {
        guest_note(g, n->line, "a disk of type '%s' is not carried: make it a "
                   "block device or a file of the host's", type);
        return true;
    }
    if (!is(device, "disk") && !is(device, "cdrom")) {
        guest_note(g, n->line, "a %s is nothing that a PV guest has", device);
        return true;
    }
    if (xml_child(n, "auth") && !is(type, "network")) {
        guest_note(g, n->line, "<auth>: what is the host's needs none");
    }
    disk = guest_add_disk(g, n->line);
    disk->is_block = is(type, "block");
    disk->is_cdrom = is(device, "cdrom");
    path = xml_attr(source, disk->is_block ? "dev" : "file");
    if (is(type, "network")) {
        if (!read_net_source(g, disk, n, source, errp)) {
            return false;
        }
    } else if (path && path[0]) {
        disk->source = g_strdup(path);
    }
    format = xml_attr(driver, "type");
    if (!format && (is(xml_attr(driver, "name"), "qcow2") ||
                    is(xml_attr(driver, "name"), "qcow"))) {
        format = xml_attr(driver, "name");
    }
    if (format && !guest_set_disk_format(g, disk, format, errp)) {
        return false;
    }
    if (!xml_attr(target, "dev")) {
        guest_error(g, n->line, errp, "<disk>: it has no <target dev=...>");
        return false;
    }
    if (!guest_set_vdev(g, disk, xml_attr(target, "dev"), errp)) {
        return false;
    }
    disk->readonly = xml_child(n, "readonly") || disk->is_cdrom;
    disk->shared = xml_child(n, "shareable");
    disk->discard = is(xml_attr(driver, "discard"), "unmap");
    note_attrs(g, driver, disk->vdev, driver_words, COPY);
    note_attrs(g, n, disk->vdev, disk_words, COPY);
    note_attrs(g, source, disk->vdev, disk_words, COPY);
    for (int i = 0; i < n->children->len; i++) {
        note_word(g, n->children->pdata[i], disk->vdev, words,
                  ARRAY_SIZE(words));
    }
    return true;
}

/* Open vSwitch: the VLAN of frames without a tag, or those of a trunk */
static bool read_vlan(Guest *g, GuestNic *nic, const XmlNode *vlan,
                      Error **errp)
{
    bool trunk = is(xml_attr(vlan, "trunk"), "yes");
    g_autoptr(GString) trunks = g_string_new(NULL);
    uint64_t id;

    for (int i = 0; i < vlan->children->len; i++) {
        const XmlNode *tag = vlan->children->pdata[i];

        if (!is(tag->name, "tag") || !xml_attr(tag, "id")) {
            continue;
        }
        if (qemu_strtou64(xml_attr(tag, "id"), NULL, 10, &id) < 0 || !id ||
            id > 4094) {
            guest_error(g, tag->line, errp, "<tag>: '%s' is not the number of "
                        "a VLAN", xml_attr(tag, "id"));
            return false;
        }
        if (trunk && !is(xml_attr(tag, "nativeMode"), "untagged")) {
            g_string_append_printf(trunks, "%s%" PRIu64,
                                   trunks->len ? "," : "", id);
        } else {
            nic->vlan = id;
        }
    }
    if (trunks->len) {
        g_free(nic->trunks);
        nic->trunks = g_strdup(trunks->str);
    }
    return true;
}

/* Collects all addresses of an interface, separated by spaces as in xl's ip= */
static void read_addresses(const XmlNode *n, GString *addresses)
{
    for (int i = 0; i < n->children->len; i++) {
        const XmlNode *c = n->children->pdata[i];

        if (is(c->name, "ip") && xml_attr(c, "address")) {
            g_string_append_printf(addresses, "%s%s", addresses->len ? " " : "",
                                   xml_attr(c, "address"));
        }
    }
}

static bool read_interface(Guest *g, const XmlNode *n, Error **errp)
{
    const char *type = xml_attr(n, "type");
    const XmlNode *source = xml_child(n, "source"), *mac = xml_child(n, "mac");
    const char *script = xml_attr(xml_child(n, "script"), "path");
    g_autoptr(GString) addresses = g_string_new(NULL);
    static const char *const source_words[] = { "portgroup", NULL };
    GuestNic *nic = guest_add_nic(g, n->line);
    static const Word words[] = {
        { "mac" }, { "source" }, { "target" }, { "model" }, { "address" },
        { "alias" }, { "script" }, { "ip" },
        { "bandwidth", COPY }, { "filterref", COPY }, { "link", COPY },
        { "mtu", "set it in the guest and on the host's end" },
        { "backenddomain", "there are no driver domains; QEMU is the back "
          "end" },
        { "vlan", "join a bridge that is on that VLAN" },
        { "virtualport", "it is of another kind of switch" },
        { "boot", PV_NONE }, { "rom", PV_NONE }, { "tune", PV_NONE },
    };

    nic->ovs = is(type, "bridge") &&
               is(xml_attr(xml_child(n, "virtualport"), "type"), "openvswitch");
    if (mac && !guest_set_mac(g, nic, xml_attr(mac, "address") ?: "", errp)) {
        return false;
    }
    if (is(type, "bridge")) {
        /* It may name no bridge, as an interface in xl's files may */
        if (xml_attr(source, "bridge") && xml_attr(source, "bridge")[0]) {
            nic->bridge = g_strdup(xml_attr(source, "bridge"));
        }
    } else if (is(type, "network")) {
        if (!xml_attr(source, "network")) {
            guest_error(g, n->line, errp, "<interface>: it has no "
                        "<source network=...>");
            return false;
        }
        nic->network = g_strdup(xml_attr(source, "network"));
    } else if (!is(type, "user")) {
        guest_note(g, n->line, "an interface of type '%s' becomes one of user "
                   "networking", type ?: "");
    }
    nic->ifname = g_strdup(xml_attr(xml_child(n, "target"), "dev"));
    if (nic->ifname && g_str_has_prefix(nic->ifname, "vif")) {
        /* Xen chose this name, and chooses a new one at each start */
        g_clear_pointer(&nic->ifname, g_free);
    }
    note_attrs(g, source, "<source>", source_words, COPY);
    read_addresses(n, addresses);
    xl_note_script(g, nic, script, addresses->len ? addresses->str : NULL);
    nic->ovs &= nic->bridge != NULL;
    if (nic->bridge && !nic->ovs && script &&
        strstr(script, "openvswitch") && !xl_parse_ovs(g, nic, errp)) {
        return false;
    }
    if (nic->ovs && (!guest_is_word(nic->bridge) ||
                     (nic->ifname && !guest_is_word(nic->ifname)))) {
        guest_error(g, n->line, errp, "<interface>: '%s' is not a name for "
                    "Open vSwitch", guest_is_word(nic->bridge) ? nic->ifname
                                                          : nic->bridge);
        return false;
    }
    for (int i = 0; i < n->children->len; i++) {
        const XmlNode *c = n->children->pdata[i];

        if (is(c->name, "vlan") && nic->ovs) {
            if (!read_vlan(g, nic, c, errp)) {
                return false;
            }
        } else if (!is(c->name, "virtualport") || !nic->ovs) {
            note_word(g, c, "an interface", words, ARRAY_SIZE(words));
        }
    }
    return true;
}

static bool read_graphics(Guest *g, const XmlNode *n, Error **errp)
{
    const char *type = xml_attr(n, "type"), *port = xml_attr(n, "port");
    const char *listen = xml_attr(n, "listen") ?:
                         xml_attr(xml_child(n, "listen"), "address");
    static const char *const words[] = {
        "socket", "websocket", "sharePolicy", "passwdValidTo", "powerControl",
        "network", NULL,
    };
    GuestDisplay *d = &g->display;
    int64_t number;

    if (!is(type, "vnc") && !is(type, "sdl")) {
        guest_note(g, n->line, "graphics of type '%s' are not carried",
                   type ?: "");
        return true;
    }
    if (d->present) {
        guest_note(g, n->line, "a guest has only one framebuffer here");
        return true;
    }
    note_attrs(g, n, "<graphics>", words, COPY);
    note_attrs(g, xml_child(n, "listen"), "<listen>", words, COPY);
    d->present = true;
    d->line = n->line;
    d->is_sdl = is(type, "sdl");
    if (port && !is(xml_attr(n, "autoport"), "yes")) {
        if (qemu_strtoi64(port, NULL, 10, &number) < 0 || number > 65535 ||
            (number >= 0 && number < 5900)) {
            guest_error(g, n->line, errp, "<graphics>: '%s' is not a port for "
                        "VNC (5900 and up, or -1)", port);
            return false;
        }
        d->display = number < 0 ? -1 : number - 5900;
    }
    d->listen = g_strdup(listen);
    d->password = g_strdup(xml_attr(n, "passwd"));
    d->keymap = g_strdup(xml_attr(n, "keymap"));
    return true;
}

/* The guest gets the first console by itself; QEMU can have others, too */
static void note_console(Guest *g, const XmlNode *n, unsigned number)
{
    if (number) {
        guest_note(g, n->line, "the console number %u is not carried: add "
                   "'-chardev pty,id=c -device xen-console,chardev=c' to "
                   "QEMU's command line", number + 1);
    } else if (xml_attr(n, "type") && !is(xml_attr(n, "type"), "pty")) {
        guest_note(g, n->line, "a console of type '%s' becomes libvirt's pty "
                   "or QEMU's terminal", xml_attr(n, "type"));
    }
}

static bool read_devices(Guest *g, const XmlNode *devices, Error **errp)
{
    /* No note for what every Xen guest has, nor for parts of a framebuffer */
    static const Word words[] = {
        { "emulator" }, { "input" }, { "video" }, { "memballoon" },
        { "serial", "the guest has Xen's console: console=hvc0" },
        { "parallel", PV_NONE },
        { "hostdev", "a PV guest has no devices of the host's here: use the "
          "device on the host, or keep the guest on Xen" },
        { "channel", "give the guest another console, or a network card" },
        { "filesystem", "export the directory by NFS" },
        { "tpm", "there is no TPM" },
        { "sound", "a PV guest has no sound here" },
        { "redirdev", "a PV guest has no USB here" },
        { "hub", "a PV guest has no USB here" },
        { "smartcard", "a PV guest has no USB here" },
        { "watchdog", "the guest has Xen's" },
        { "rng", PV_NONE }, { "vsock", PV_NONE }, { "panic", PV_NONE },
        { "memory", PV_NONE }, { "nvram", PV_NONE }, { "iommu", PV_NONE },
        { "shmem", PV_NONE },
        { "lease", "there is no lock manager" },
    };
    static const char *const frames[] = { "maxGrantFrames", NULL };
    static const char *const channels[] = { "maxEventChannels", NULL };
    unsigned consoles = 0;

    for (int i = 0; i < devices->children->len; i++) {
        const XmlNode *n = devices->children->pdata[i];

        if (is(n->name, "disk")) {
            g->disk_line = n->line;
            if (!read_disk(g, n, errp)) {
                return false;
            }
        } else if (is(n->name, "interface")) {
            if (!read_interface(g, n, errp)) {
                return false;
            }
        } else if (is(n->name, "graphics")) {
            if (!read_graphics(g, n, errp)) {
                return false;
            }
        } else if (is(n->name, "console")) {
            note_console(g, n, consoles++);
        } else if (is(n->name, "controller") &&
                   is(xml_attr(n, "type"), "usb") &&
                   !is(xml_attr(n, "model"), "none")) {
            guest_note(g, n->line, "<controller>: a PV guest has no USB here");
        } else if (is(n->name, "controller")) {
            note_attrs(g, n, "<controller>", frames, "the machine's own limit "
                       "holds");
            note_attrs(g, n, "<controller>", channels, "the guest has as many "
                       "as its ABI");
        } else if (is(n->name, "input") && is(xml_attr(n, "bus"), "usb")) {
            guest_note(g, n->line, "<input>: a PV guest has no USB here, but "
                       "Xen's keyboard and pointer");
        } else {
            note_word(g, n, NULL, words, ARRAY_SIZE(words));
        }
    }
    return true;
}

static bool read_os(Guest *g, const XmlNode *os, const XmlNode *loader,
                    Error **errp)
{
    static const Word words[] = {
        { "type" }, { "kernel" }, { "initrd" }, { "cmdline" }, { "root" },
        { "boot", "PV GRUB looks for a menu disk by disk" },
        { "loader", "a PV guest has no firmware" },
        { "nvram", "a PV guest has no firmware" },
        { "bootmenu", PV_NONE }, { "smbios", PV_NONE }, { "bios", PV_NONE },
        { "acpi", PV_NONE },
    };
    const XmlNode *type = xml_child(os, "type");
    const XmlNode *kernel = xml_child(os, "kernel");
    const XmlNode *initrd = xml_child(os, "initrd");
    const XmlNode *cmdline = xml_child(os, "cmdline");
    const XmlNode *root = xml_child(os, "root");
    g_autoptr(GString) out = g_string_new(NULL);
    bool copy;

    if (type && !is(type->text->str, "linux") && !is(type->text->str, "xen")) {
        guest_error(g, type->line, errp, "<type>: '%s' is not a PV guest; an "
                    "HVM or PVH guest needs no Xen: run it on QEMU's usual "
                    "machines", type->text->str);
        return false;
    }
    if (xml_attr(type, "arch") && !guest_set_arch(g, type->line,
                                              xml_attr(type, "arch"), errp)) {
        return false;
    }
    copy = kernel && guest_is_boot_copy(kernel->text->str);
    if (copy || (loader && (loader->text->len || !kernel))) {
        /* libvirt's Xen driver passes the other elements to the boot loader */
        if (loader && loader->text->len &&
            !guest_set_bootloader(g, loader->line, loader->text->str, errp)) {
            return false;
        }
        g->kernel_line = (loader ?: kernel)->line;
        if (kernel && kernel->text->len) {
            guest_note(g, kernel->line, copy ?
                       "<kernel>, '%s', is a copy that Xen's boot loader had "
                       "made of the guest's own kernel, and goes with the "
                       "guest: PV GRUB boots that kernel from the disk" :
                       "<kernel>, '%s', does not count beside <bootloader>: "
                       "PV GRUB boots the default entry of the guest's menu",
                       kernel->text->str);
        }
        if (initrd && initrd->text->len && !copy) {
            guest_note(g, initrd->line, "<initrd> does not count beside "
                       "<bootloader>: the guest's menu names its own");
        }
        initrd = NULL;
    } else if (kernel &&
               !guest_set_kernel(g, kernel->line, kernel->text->str, errp)) {
        return false;
    }
    if (initrd && initrd->text->len) {
        if (!g->kernel && kernel) {
            guest_note(g, initrd->line, "<initrd> of a PV GRUB is not carried");
        } else {
            g->ramdisk = g_strdup(initrd->text->str);
        }
    }
    if (root && root->text->len) {
        g_string_append_printf(out, "root=%s", root->text->str);
    }
    if (cmdline && cmdline->text->len) {
        g_string_append_printf(out, "%s%s", out->len ? " " : "",
                               cmdline->text->str);
    }
    if (out->len && g->kernel) {
        g->cmdline = g_strdup(out->str);
        g_strdelimit(g->cmdline, "\r\n\t", ' ');
    } else if (out->len) {
        guest_note(g, (cmdline ?: root)->line, "the kernel's command line is "
                   "not carried: the guest's boot loader has its own");
    }
    for (int i = 0; os && i < os->children->len; i++) {
        note_word(g, os->children->pdata[i], "<os>", words, ARRAY_SIZE(words));
    }
    return true;
}

/* Reads a number from an attribute; without it, leaves *value as it is */
static bool read_count(Guest *g, const XmlNode *n, const char *name,
                       uint64_t *value, Error **errp)
{
    const char *text = xml_attr(n, name);

    if (text && (qemu_strtou64(text, NULL, 10, value) < 0 || text[0] == '-')) {
        guest_error(g, n->line, errp, "<%s>: '%s' is not a number", n->name,
                    text);
        return false;
    }
    return true;
}

/* Reads how much memory the guest starts with, and up to what it may grow */
static bool read_memories(Guest *g, const XmlNode *domain, Error **errp)
{
    const XmlNode *memory = xml_child(domain, "memory");
    const XmlNode *current = xml_child(domain, "currentMemory");
    uint64_t kib = 0, max = 0;

    if (memory) {
        if (!read_memory(g, memory, &max, errp)) {
            return false;
        }
        kib = max;
    }
    if (current) {
        if (!read_memory(g, current, &kib, errp)) {
            return false;
        }
        if (memory && kib > max) {
            guest_error(g, current->line, errp, "<currentMemory>: it is more "
                        "than <memory>");
            return false;
        }
    }
    if (!memory && !current) {
        return true;
    }
    return guest_set_memory(g, (current ?: memory)->line, kib, errp) &&
           (!memory || guest_set_max_memory(g, memory->line, "<memory>",
                                            max / 1024, errp));
}

static bool read_vcpus(Guest *g, const XmlNode *n, Error **errp)
{
    uint64_t all, now;

    if (!read_number(g, n, &all, errp)) {
        return false;
    }
    now = all;
    if (!read_count(g, n, "current", &now, errp)) {
        return false;
    }
    if (now > all) {
        guest_error(g, n->line, errp, "<vcpu>: current='%s' is more than all "
                    "%s", xml_attr(n, "current"), n->text->str);
        return false;
    }
    if (xml_attr(n, "cpuset")) {
        guest_note(g, n->line, "the cpuset of <vcpu> is not carried: bind "
                   "QEMU's threads, by taskset or libvirt's <cputune>");
    }
    return guest_set_vcpus(g, n->line, now, errp) &&
           guest_set_max_vcpus(g, n->line, "<vcpu>", all, errp);
}

/* Xen gives a PV guest the time of day in UTC, and no other clock */
static void read_clock(Guest *g, const XmlNode *n)
{
    const char *offset = xml_attr(n, "offset");

    if (offset && !is(offset, "utc")) {
        guest_note(g, n->line, "<clock offset='%s'> is not carried: Xen's "
                   "clock is UTC; set the time zone in the guest", offset);
    }
    for (int i = 0; i < n->children->len; i++) {
        const XmlNode *c = n->children->pdata[i];
        const char *name = xml_attr(c, "name");

        guest_note(g, c->line, "<%s%s%s%s> of <clock> is not carried: a guest "
                   "has Xen's clock", c->name, name ? " name='" : "",
                   name ?: "", name ? "'" : "");
    }
}

/* libvirt writes features for any Xen guest; most mean nothing to a PV guest */
static void read_features(Guest *g, const XmlNode *n)
{
    static const Word words[] = {
        { "acpi" }, { "apic" }, { "pae" }, { "hap" }, { "xen" },
        { "e820_host", "it is for PCI devices, which there are not" },
        { "passthrough", "it is for PCI devices, which there are not" },
        { "viridian", PV_NONE }, { "hyperv", PV_NONE }, { "privnet", PV_NONE },
    };

    for (int i = 0; i < n->children->len; i++) {
        const XmlNode *c = n->children->pdata[i];

        note_word(g, c, "<features>", words, ARRAY_SIZE(words));
        for (int j = 0; is(c->name, "xen") && j < c->children->len; j++) {
            note_word(g, c->children->pdata[j], "<features>", words,
                      ARRAY_SIZE(words));
        }
    }
}

/* Notes an element without a counterpart, or with one that the user must pick */
static void note_element(Guest *g, const XmlNode *n)
{
    static const Word words[] = {
        { "os" }, { "memory" }, { "currentMemory" }, { "devices" },
        { "bootloader" },
        { "cputune", COPY }, { "numatune", COPY }, { "memoryBacking", COPY },
        { "blkiotune", COPY }, { "memtune", COPY }, { "resource", COPY },
        { "metadata", COPY }, { "title", COPY }, { "description", COPY },
        { "seclabel", "libvirt makes one for QEMU" },
        { "cpu", "a PV guest sees the CPU that QEMU's -cpu has" },
        { "on_lockfailure", "there is no lock manager" },
        { "bootloader_args", "PV GRUB boots the default entry of the guest's "
          "menu" },
        { "pm", "a PV guest has no ACPI" },
        { "genid", PV_NONE }, { "sysinfo", PV_NONE },
        { "maxMemory", "<memory> is what the guest may grow to" },
        { "vcpus", "the guest starts with the first ones" },
        { "iothreads", COPY }, { "idmap", PV_NONE }, { "perf", COPY },
    };

    note_word(g, n, NULL, words, ARRAY_SIZE(words));
}

static bool read_element(Guest *g, const XmlNode *n, Error **errp)
{
    if (is(n->name, "name")) {
        return guest_set_name(g, n->line, n->text->str, errp);
    } else if (is(n->name, "uuid")) {
        return guest_set_uuid(g, n->line, n->text->str, errp);
    } else if (is(n->name, "vcpu")) {
        return read_vcpus(g, n, errp);
    } else if (is(n->name, "on_poweroff") || is(n->name, "on_reboot") ||
               is(n->name, "on_crash")) {
        return guest_set_action(g, n->line, n->name, n->text->str, errp);
    } else if (is(n->name, "clock")) {
        read_clock(g, n);
    } else if (is(n->name, "features")) {
        read_features(g, n);
    } else {
        note_element(g, n);
    }
    return true;
}

static bool read_domain(Guest *g, const XmlNode *domain, Error **errp)
{
    const XmlNode *devices = xml_child(domain, "devices");

    if (!is(domain->name, "domain")) {
        guest_error(g, domain->line, errp, is(domain->name, "value") ||
                    is(domain->name, "Envelope") ?
                    "<%s>: this is an appliance's description (ova.xml, OVF): "
                    "take its disks out, and write a configuration for xl" :
                    g_str_has_prefix(domain->name, "VM") ?
                    "<%s>: this is OpenNebula's: take the file 'deployment.N' "
                    "that it has made of it on its server" :
                    "<%s> is not a domain of libvirt's", domain->name);
        return false;
    }
    if (!is(xml_attr(domain, "type"), "xen") &&
        !is(xml_attr(domain, "type"), "linux")) {
        guest_error(g, domain->line, errp, "<domain>: its type is '%s', not "
                    "'xen'", xml_attr(domain, "type") ?: "");
        return false;
    }
    if (!read_os(g, xml_child(domain, "os"), xml_child(domain, "bootloader"),
                 errp) ||
        !read_memories(g, domain, errp)) {
        return false;
    }
    for (int i = 0; i < domain->children->len; i++) {
        if (!read_element(g, domain->children->pdata[i], errp)) {
            return false;
        }
    }
    return !devices || read_devices(g, devices, errp);
}

char *guest_xml_in_utf8(const char *text, size_t *len)
{
    g_autofree char *first = g_strndup(text, strcspn(text, ">"));
    g_autofree char *lower = g_ascii_strdown(first, -1);
    gsize written;
    char *out;

    if (!strstr(lower, "encoding=") ||
        (!strstr(lower, "iso-8859-1") && !strstr(lower, "latin1"))) {
        return NULL;
    }
    out = g_convert(text, *len, "UTF-8", "ISO-8859-1", NULL, &written, NULL);
    if (out) {
        *len = written;
    }
    return out;
}

Guest *guest_parse_xml(const char *file, const char *text, size_t len,
                       Error **errp)
{
    g_autoptr(Guest) g = guest_new(file);
    g_autoptr(GError) error = NULL;
    g_autoptr(XmlNode) domain = NULL;
    int line;

    domain = xml_tree_read(text, len, &line, &error);
    if (!domain) {
        guest_error(g, line, errp, "%s", error->message);
        return NULL;
    }
    return read_domain(g, domain, errp) && guest_check(g, errp) ?
           g_steal_pointer(&g) : NULL;
}
