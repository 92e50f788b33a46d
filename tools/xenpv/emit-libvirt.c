/*
 * A guest's configuration as XML for libvirt's QEMU driver
 *
 * libvirt (9.0 and later) cannot describe Xen devices. So the XML has virtio
 * disks and cards, which the machine replaces by Xen ones, see
 * hw/xenpv/xenpv-standins.c. A disk's vdev name goes into <target dev=>, or
 * into the alias if libvirt would refuse it there.
 *
 * xenpv-convert calls this with a Guest that guest_check() has passed. All text
 * from the Guest is escaped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "guest.h"
#include "net-disk.h"

#define LIBVIRT_SERIAL  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
                        "0123456789_.+- "

/* printf() that escapes its arguments, but not the format, which is markup */
static void G_GNUC_PRINTF(2, 3) line(GString *out, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_markup_vprintf_escaped(fmt, ap);
    va_end(ap);
    g_string_append(out, text);
    g_string_append_c(out, '\n');
}

static bool is_whole_xvd(const char *vdev)
{
    return g_str_has_prefix(vdev, "xvd") && strlen(vdev) == 4;
}

/* A name for libvirt that no other disk has */
static char *free_target(Guest *g, GHashTable *taken)
{
    for (int c = 'a'; c <= 'z'; c++) {
        g_autofree char *name = g_strdup_printf("xvd%c", c);

        if (!g_hash_table_contains(taken, name)) {
            return g_steal_pointer(&name);
        }
    }
    return g_strdup("xvdz");
}

/* <source> of a disk over a network */
static void add_net_source(Guest *g, GString *out, const GuestDisk *disk)
{
    const char *why;
    g_autoptr(NetDisk) d = net_disk_parse(disk->source, &why);

    if (d->name) {
        line(out, "      <source protocol='%s' name='%s'>", d->protocol,
             d->name);
    } else {
        line(out, "      <source protocol='%s'>", d->protocol);
    }
    if (d->socket) {
        line(out, "        <host transport='unix' socket='%s'/>", d->socket);
    }
    for (unsigned i = 0; i < d->nr_hosts; i++) {
        if (d->ports[i]) {
            line(out, "        <host name='%s' port='%s'/>", d->hosts[i],
                 d->ports[i]);
        } else {
            line(out, "        <host name='%s'/>", d->hosts[i]);
        }
    }
    if (d->conf) {
        line(out, "        <config file='%s'/>", d->conf);
    }
    line(out, "      </source>");
    if (d->user) {
        guest_note(g, disk->line, "Ceph's user '%s' of %s has a key, which "
                   "libvirt takes from a secret: virsh secret-define, and then "
                   "<auth username='%s'> in that disk", d->user, disk->vdev,
                   d->user);
    }
}

static void add_disk(Guest *g, GString *out, const GuestDisk *disk,
                     GHashTable *taken)
{
    char *target;

    if (!disk->source) {
        guest_note(g, disk->line, "%s is not carried to libvirt: it is a drive "
                   "without a medium", disk->vdev);
        return;
    }
    if (disk->is_cdrom) {
        guest_note(g, disk->line, "%s becomes a read-only disk: a CD drive of "
                   "libvirt's would have another name", disk->vdev);
    }
    target = is_whole_xvd(disk->vdev) ? g_strdup(disk->vdev)
                                      : free_target(g, taken);
    line(out, "    <disk type='%s' device='disk'>",
         disk->is_network ? "network" : disk->is_block ? "block" : "file");
    line(out, disk->discard ?
         "      <driver name='qemu' type='%s' discard='unmap'/>" :
         "      <driver name='qemu' type='%s'/>", disk->format);
    if (disk->is_network) {
        add_net_source(g, out, disk);
    } else {
        line(out, "      <source %s='%s'/>", disk->is_block ? "dev" : "file",
             disk->source);
    }
    line(out, "      <target dev='%s' bus='virtio'/>", target);
    /* xenpv-standins.c makes it "params"; libvirt refuses other characters */
    if (disk->params && !disk->params[strspn(disk->params, LIBVIRT_SERIAL)]) {
        line(out, "      <serial>%s</serial>", disk->params);
    }
    if (disk->readonly) {
        line(out, "      <readonly/>");
    }
    if (disk->shared) {
        line(out, "      <shareable/>");
    }
    if (strcmp(target, disk->vdev)) {
        line(out, "      <alias name='ua-%s'/>", disk->vdev);
    }
    line(out, "    </disk>");
    g_hash_table_add(taken, target);
}

/* A port of Open vSwitch's, with its VLANs */
static void add_ovs(GString *out, const GuestNic *nic)
{
    g_auto(GStrv) trunks = g_strsplit(nic->trunks ?: "", ",", 0);

    if (!nic->ovs) {
        return;
    }
    line(out, "      <virtualport type='openvswitch'/>");
    if (!nic->vlan && !trunks[0]) {
        return;
    }
    line(out, trunks[0] ? "      <vlan trunk='yes'>" : "      <vlan>");
    if (nic->vlan) {
        line(out, trunks[0] ? "        <tag id='%u' nativeMode='untagged'/>" :
             "        <tag id='%u'/>", nic->vlan);
    }
    for (int i = 0; trunks[i]; i++) {
        line(out, "        <tag id='%s'/>", trunks[i]);
    }
    line(out, "      </vlan>");
}

static void add_nic(Guest *g, GString *out, const GuestNic *nic)
{
    if (nic->bridge) {
        line(out, "    <interface type='bridge'>");
        line(out, "      <source bridge='%s'/>", nic->bridge);
        add_ovs(out, nic);
    } else if (nic->network) {
        line(out, "    <interface type='network'>");
        line(out, "      <source network='%s'/>", nic->network);
    } else {
        guest_note(g, nic->line, "no bridge is named: user networking takes "
                   "its place");
        line(out, "    <interface type='user'>");
    }
    if (nic->mac) {
        line(out, "      <mac address='%s'/>", nic->mac);
    }
    if (nic->ifname && (nic->bridge || nic->network)) {
        line(out, "      <target dev='%s'/>", nic->ifname);
    } else if (nic->ifname) {
        guest_note(g, nic->line, "the name '%s' of the host's end is not "
                   "carried", nic->ifname);
    }
    line(out, "      <model type='virtio'/>");
    line(out, "    </interface>");
}

static void add_display(Guest *g, GString *out, const GuestDisplay *d)
{
    if (d->is_sdl) {
        guest_note(g, d->line, "an SDL window becomes a VNC display");
    }
    g_string_append(out, "    <graphics type='vnc'");
    if (d->display >= 0 && !d->is_sdl) {
        g_string_append_printf(out, " port='%d' autoport='no'",
                               5900 + d->display);
    } else {
        g_string_append(out, " port='-1' autoport='yes'");
    }
    if (d->keymap) {
        g_autofree char *t = g_markup_printf_escaped(" keymap='%s'", d->keymap);

        g_string_append(out, t);
    }
    if (d->password) {
        g_autofree char *t = g_markup_printf_escaped(" passwd='%s'",
                                                     d->password);

        g_string_append(out, t);
    }
    if (d->listen && d->listen[0]) {
        line(out, ">\n      <listen type='address' address='%s'/>\n"
             "    </graphics>", d->listen);
    } else {
        g_string_append(out, "/>\n");
    }
    line(out, "    <video>\n      <model type='none'/>\n    </video>");
}

/* Writes the on_* actions that libvirt's QEMU driver has, notes the others */
static void add_actions(Guest *g, GString *out)
{
    switch (g->on_poweroff) {
    case GUEST_ACTION_DEFAULT:
        break;
    case GUEST_ACTION_DESTROY:
    case GUEST_ACTION_RESTART:
        line(out, "  <on_poweroff>%s</on_poweroff>",
             guest_action_names[g->on_poweroff]);
        break;
    default:
        guest_note(g, g->on_poweroff_line, "on_poweroff: libvirt has no '%s' "
                   "for QEMU; the guest is destroyed",
                   guest_action_names[g->on_poweroff]);
    }
    switch (g->on_reboot) {
    case GUEST_ACTION_DEFAULT:
        break;
    case GUEST_ACTION_DESTROY:
        if (g->on_poweroff == GUEST_ACTION_RESTART) {
            guest_note(g, g->on_reboot_line, "on_reboot: libvirt has no "
                       "'destroy' beside on_poweroff 'restart'");
            break;
        }
        /* fall through */
    case GUEST_ACTION_RESTART:
        line(out, "  <on_reboot>%s</on_reboot>",
             guest_action_names[g->on_reboot]);
        break;
    default:
        guest_note(g, g->on_reboot_line, "on_reboot: libvirt has no '%s' for "
                   "QEMU; the guest restarts",
                   guest_action_names[g->on_reboot]);
    }
    switch (g->on_crash) {
    case GUEST_ACTION_DEFAULT:
        break;
    case GUEST_ACTION_DESTROY:
    case GUEST_ACTION_RESTART:
    case GUEST_ACTION_PRESERVE:
    case GUEST_ACTION_COREDUMP_DESTROY:
    case GUEST_ACTION_COREDUMP_RESTART:
        line(out, "  <on_crash>%s</on_crash>", guest_action_names[g->on_crash]);
        break;
    default:
        guest_note(g, g->on_crash_line, "on_crash: libvirt has no '%s' for "
                   "QEMU; the guest is destroyed",
                   guest_action_names[g->on_crash]);
    }
}

char *guest_to_libvirt(Guest *g, const char *emulator, const char *virt_type)
{
    g_autoptr(GHashTable) taken =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    bool qemu_args = g->display.present || (!g->kernel && g->boot_width);

    if (qemu_args) {
        line(out, "<domain type='%s' xmlns:qemu="
             "'http://libvirt.org/schemas/domain/qemu/1.0'>", virt_type);
    } else {
        line(out, "<domain type='%s'>", virt_type);
    }
    line(out, "  <name>%s</name>", g->name);
    if (g->uuid) {
        line(out, "  <uuid>%s</uuid>", g->uuid);
    }
    line(out, "  <memory unit='MiB'>%" PRIu64 "</memory>", g->max_memory_mib);
    if (g->max_memory_mib > g->memory_mib) {
        line(out, "  <currentMemory unit='MiB'>%" PRIu64 "</currentMemory>",
             g->memory_mib);
    }
    if (g->max_vcpus > g->vcpus) {
        line(out, "  <vcpu current='%u'>%u</vcpu>", g->vcpus, g->max_vcpus);
    } else {
        line(out, "  <vcpu>%u</vcpu>", g->vcpus);
    }
    line(out, "  <os>");
    line(out, "    <type arch='x86_64' machine='xenpv-kvm'>hvm</type>");
    if (g->kernel) {
        line(out, "    <kernel>%s</kernel>", g->kernel);
    }
    if (g->ramdisk) {
        line(out, "    <initrd>%s</initrd>", g->ramdisk);
    }
    if (g->cmdline) {
        line(out, "    <cmdline>%s</cmdline>", g->cmdline);
    }
    line(out, "  </os>");
    /* Without it libvirt 9.0 uses an option that QEMU no longer has */
    line(out, "  <features>\n    <acpi/>\n  </features>");
    add_actions(g, out);
    line(out, "  <devices>");
    line(out, "    <emulator>%s</emulator>", emulator);
    for (int i = 0; i < g->disks->len; i++) {
        GuestDisk *disk = g->disks->pdata[i];

        if (is_whole_xvd(disk->vdev)) {
            g_hash_table_add(taken, g_strdup(disk->vdev));
        }
    }
    for (int i = 0; i < g->disks->len; i++) {
        add_disk(g, out, g->disks->pdata[i], taken);
    }
    for (int i = 0; i < g->nics->len; i++) {
        add_nic(g, out, g->nics->pdata[i]);
    }
    line(out, "    <console type='pty'/>");
    if (g->display.present && !g->display.is_hidden) {
        add_display(g, out, &g->display);
    }
    /*
     * libvirt gives disks and cards an address only if there is a PCI bus, and
     * drops a lone pci-root from the XML that it saves: hence the bridge
     */
    line(out, "    <controller type='pci' index='0' model='pci-root'/>");
    line(out, "    <controller type='pci' index='1' model='pci-bridge'/>");
    /* Without this libvirt adds a USB controller */
    line(out, "    <controller type='usb' model='none'/>");
    line(out, "  </devices>");
    if (qemu_args) {
        line(out, "  <qemu:commandline>");
        if (g->display.present) {
            line(out, "    <qemu:arg value='-machine'/>");
            line(out, "    <qemu:arg value='vfb=on'/>");
        }
        if (!g->kernel && g->boot_width) {
            line(out, "    <qemu:arg value='-machine'/>");
            line(out, "    <qemu:arg value='boot-width=%u'/>", g->boot_width);
        }
        line(out, "  </qemu:commandline>");
    }
    line(out, "</domain>");
    return g_string_free(g_steal_pointer(&out), false);
}
