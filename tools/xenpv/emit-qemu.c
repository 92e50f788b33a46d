/*
 * A guest's configuration as a command line of QEMU's
 *
 * xenner and xenpv-convert call this with a Guest that guest_check() has
 * passed. Each value stays within its own argument, and its commas, which would
 * end an option's value, are doubled: so no value can add an option.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "guest.h"

static void G_GNUC_PRINTF(2, 3) add(GPtrArray *args, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_ptr_array_add(args, g_strdup_vprintf(fmt, ap));
    va_end(ap);
}

/* Doubles the commas, as QEMU wants them in an option's value */
static char *commas(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", 0);

    return g_strjoinv(",,", parts);
}

static void add_disk(GPtrArray *args, const GuestDisk *disk, int index)
{
    g_autofree char *file = disk->source ? commas(disk->source) : NULL;
    g_autofree char *params = disk->params ? commas(disk->params) : NULL;

    if (file) {
        add(args, "-drive");
        add(args, "if=none,id=disk%d,file=%s,format=%s%s%s", index, file,
            disk->format, disk->readonly ? ",readonly=on" : "",
            disk->discard ? ",discard=unmap" : "");
    }
    add(args, "-device");
    if (file) {
        add(args, "%s,drive=disk%d,vdev=%s%s%s%s",
            disk->is_cdrom ? "xen-cdrom" : "xen-disk", index, disk->vdev,
            disk->shared ? ",share-rw=on" : "", params ? ",params=" : "",
            params ?: "");
    } else {
        add(args, "xen-cdrom,vdev=%s", disk->vdev);
    }
}

/* QEMU's helper cannot join Open vSwitch's bridges: the user must make a tap */
static void add_ovs_tap(Guest *g, GPtrArray *args, const GuestNic *nic,
                        int index)
{
    g_autofree char *tap = nic->ifname ? g_strdup(nic->ifname) :
                                         g_strdup_printf("tap%d", index);
    g_autofree char *value = commas(tap);
    g_autofree char *tag = nic->vlan ? g_strdup_printf(" tag=%u", nic->vlan) :
                                       NULL;

    guest_note(g, nic->line, "'%s' is a bridge of Open vSwitch's: before, on "
               "the host, 'ip tuntap add %s mode tap', 'ip link set %s up' and "
               "'ovs-vsctl add-port %s %s%s%s%s'", nic->bridge, tap, tap,
               nic->bridge, tap, tag ?: "", nic->trunks ? " trunks=" : "",
               nic->trunks ?: "");
    add(args, "tap,id=net%d,ifname=%s,script=no,downscript=no", index, value);
}

static void add_nic(Guest *g, GPtrArray *args, const GuestNic *nic, int index)
{
    add(args, "-netdev");
    if (nic->fd >= 0) {
        add(args, "tap,id=net%d,fd=%d", index, nic->fd);
    } else if (nic->ovs) {
        add_ovs_tap(g, args, nic, index);
    } else if (nic->bridge) {
        g_autofree char *bridge = commas(nic->bridge);

        add(args, "bridge,id=net%d,br=%s", index, bridge);
    } else {
        add(args, "user,id=net%d", index);
    }
    add(args, "-device");
    add(args, "xen-net-device,netdev=net%d%s%s", index, nic->mac ? ",mac=" : "",
        nic->mac ?: "");
}

/* Other users can see a command line, so QEMU reads the password from a file */
static void add_secret(Guest *g, GPtrArray *args)
{
    g_autofree char *file = g_strconcat(g->name, ".vncpasswd", NULL);
    g_autofree char *value = commas(file);

    guest_note(g, g->display.line, "the password is not printed: write it, "
               "without a newline, into a file '%s' in the directory that QEMU "
               "is run in, which only its user can read", file);
    add(args, "-object");
    add(args, "secret,id=vnc-password,file=%s", value);
}

static void add_display(GPtrArray *args, const GuestDisplay *d)
{
    const char *secret = d->password ? ",password-secret=vnc-password" : "";

    if (d->is_sdl) {
        add(args, "-display");
        add(args, "sdl");
    } else {
        const char *listen = d->listen ?: "127.0.0.1";
        bool ipv6 = strchr(listen, ':');

        add(args, "-vnc");
        add(args, "%s%s%s:%d%s%s", ipv6 ? "[" : "", listen, ipv6 ? "]" : "",
            MAX(d->display, 0), d->display < 0 ? ",to=99" : "", secret);
    }
    if (d->keymap) {
        add(args, "-k");
        add(args, "%s", d->keymap);
    }
}

static void add_actions(Guest *g, GPtrArray *args)
{
    switch (g->on_poweroff) {
    case GUEST_ACTION_DEFAULT:
    case GUEST_ACTION_DESTROY:
        break;
    case GUEST_ACTION_PRESERVE:
        add(args, "-action");
        add(args, "shutdown=pause");
        break;
    default:
        guest_note(g, g->on_poweroff_line, "on_poweroff: QEMU has no '%s'; it "
                   "ends", guest_action_names[g->on_poweroff]);
    }
    switch (g->on_reboot) {
    case GUEST_ACTION_DEFAULT:
    case GUEST_ACTION_RESTART:
        break;
    case GUEST_ACTION_DESTROY:
        add(args, "-action");
        add(args, "reboot=shutdown");
        break;
    default:
        guest_note(g, g->on_reboot_line, "on_reboot: QEMU has no '%s'; it "
                   "restarts", guest_action_names[g->on_reboot]);
    }
    switch (g->on_crash) {
    case GUEST_ACTION_DEFAULT:
    case GUEST_ACTION_DESTROY:
        break;
    case GUEST_ACTION_PRESERVE:
        add(args, "-action");
        add(args, "panic=pause");
        break;
    default:
        guest_note(g, g->on_crash_line, "on_crash: QEMU by itself has no '%s'; "
                   "it ends", guest_action_names[g->on_crash]);
    }
}

GPtrArray *guest_to_qemu(Guest *g, const char *emulator)
{
    GPtrArray *args = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name = commas(g->name);

    add(args, "%s", emulator);
    add(args, "-machine");
    add(args, "xenpv-kvm%s%s", g->display.present ? ",vfb=on" : "",
        g->kernel || !g->boot_width ? "" :
        g->boot_width == 32 ? ",boot-width=32" : ",boot-width=64");
    add(args, "-nodefaults");
    add(args, "-name");
    /* QEMU would take a name with a "=" for another option of -name */
    add(args, "%s%s", strchr(name, '=') ? "guest=" : "", name);
    if (g->uuid) {
        add(args, "-uuid");
        add(args, "%s", g->uuid);
    }
    add(args, "-m");
    if (g->max_memory_mib > g->memory_mib) {
        add(args, "%" PRIu64 ",maxmem=%" PRIu64 "M", g->memory_mib,
            g->max_memory_mib);
    } else {
        add(args, "%" PRIu64, g->memory_mib);
    }
    if (g->max_vcpus > g->vcpus) {
        add(args, "-smp");
        add(args, "%u,maxcpus=%u", g->vcpus, g->max_vcpus);
    } else if (g->vcpus > 1) {
        add(args, "-smp");
        add(args, "%u", g->vcpus);
    }
    if (g->kernel) {
        add(args, "-kernel");
        add(args, "%s", g->kernel);
    }
    if (g->ramdisk) {
        add(args, "-initrd");
        add(args, "%s", g->ramdisk);
    }
    if (g->cmdline) {
        add(args, "-append");
        add(args, "%s", g->cmdline);
    }
    for (int i = 0; i < g->disks->len; i++) {
        add_disk(args, g->disks->pdata[i], i);
    }
    for (int i = 0; i < g->nics->len; i++) {
        GuestNic *nic = g->nics->pdata[i];

        if (!nic->bridge) {
            guest_note(g, nic->line, nic->network ?
                       "the network '%s' is libvirt's: QEMU's command line has "
                       "user networking instead" :
                       "no bridge is named%s: user networking takes its place",
                       nic->network ?: "");
        }
        if (nic->ifname && !nic->ovs) {
            guest_note(g, nic->line, "the name '%s' of the host's end is not "
                       "carried", nic->ifname);
        }
        add_nic(g, args, nic, i);
    }
    if (g->display.present && !g->display.is_hidden) {
        if (g->display.password && !g->display.is_sdl) {
            add_secret(g, args);
        }
        add_display(args, &g->display);
    } else {
        add(args, "-display");
        add(args, "none");
    }
    add_actions(g, args);
    add(args, "-serial");
    add(args, "mon:stdio");
    g_ptr_array_add(args, NULL);
    return args;
}

char *guest_to_qemu_line(Guest *g, const char *emulator)
{
    g_autoptr(GPtrArray) args = guest_to_qemu(g, emulator);
    g_autoptr(GString) out = g_string_new(NULL);

    for (int i = 0; args->pdata[i]; i++) {
        const char *arg = args->pdata[i];
        bool plain = arg[0];

        for (const char *p = arg; *p; p++) {
            plain &= g_ascii_isalnum(*p) || strchr("-_./,:=+@%", *p);
        }
        if (i) {
            /* One option to a line */
            g_string_append(out, arg[0] == '-' ? " \\\n    " : " ");
        }
        if (plain) {
            g_string_append(out, arg);
        } else {
            g_autofree char *quoted = g_shell_quote(arg);

            g_string_append(out, quoted);
        }
    }
    g_string_append_c(out, '\n');
    return g_string_free(g_steal_pointer(&out), false);
}
