/*
 * Interprets the settings of xl's and xm's configuration files
 *
 * guest-read.c calls this for a file, parse-listing.c for settings that it made
 * from a listing. xl-language.c reads the file, and xl-devices.c interprets
 * devices.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "xl-devices.h"

/* Like xm, accepts a number in a string, too */
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
    if (!xl_want(g, name, v, XL_NUMBER, errp)) {
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
    if (!xl_want(g, name, v, XL_LIST, errp)) {
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

/* A setting as text, "" if it is missing; NULL with @errp set if not a text */
static const char *text_of(XlSettings *s, const char *name, Error **errp)
{
    const XlValue *v = look_up(s, name);

    return v ? xl_want_string(s->g, name, v, errp) : "";
}

/*
 * xm had settings for the kernel's network configuration, and made of them
 * "ip=IP:SERVER:GATEWAY:NETMASK:HOSTNAME:INTERFACE:DHCP" and
 * "nfsroot=SERVER:ROOT". Without NFS the server does not matter. Without ip=
 * and dhcp= xm ignored the other settings.
 */
static bool append_network(XlSettings *s, GString *out, Error **errp)
{
    static const char *const names[] = {
        "ip", "nfs_server", "gateway", "netmask", "hostname", "interface",
        "dhcp",
    };
    static const char *const defaults[] = {
        "", "127.0.255.255", "", "", "", "eth0", "off",
    };
    const char *text[ARRAY_SIZE(names)];

    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        text[i] = text_of(s, names[i], errp);
        if (!text[i]) {
            return false;
        }
    }
    if (!text[0][0] && (!text[6][0] || !strcmp(text[6], "off"))) {
        for (int i = 1; i < 6; i++) {
            /* nfs_server does have an effect together with nfs_root */
            if (text[i][0] && (i > 1 || !look_up(s, "nfs_root"))) {
                guest_note(s->g, look_up(s, names[i])->line, "'%s' is of no "
                           "effect without ip= or dhcp=", names[i]);
            }
        }
        return true;
    }
    g_string_append(out, "ip=");
    if (strchr(text[0], ':')) {
        /* The user wrote the whole of ip= by hand */
        g_string_append(out, text[0]);
        return true;
    }
    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        g_string_append_printf(out, "%s%s", i ? ":" : "",
                               text[i][0] ? text[i] : defaults[i]);
    }
    return true;
}

/* Builds the command line from root=, ip= and so on, as xm and xl do */
static bool parse_cmdline(XlSettings *s, Error **errp)
{
    static const char *const parts[] = {
        "ip", "dhcp", "root", "nfs_root", "extra",
    };
    const char *whole = text_of(s, "cmdline", errp), *root, *nfs, *server;
    g_autoptr(GString) out = g_string_new(NULL);
    const char *extra;

    if (!whole) {
        return false;
    }
    if (whole[0]) {
        g_string_append(out, whole);
        for (int i = 0; i < ARRAY_SIZE(parts); i++) {
            const XlValue *v = look_up(s, parts[i]);

            if (v) {
                guest_note(s->g, v->line, "'%s' does not count beside "
                           "'cmdline'", parts[i]);
            }
        }
    } else {
        root = text_of(s, "root", errp);
        nfs = root ? text_of(s, "nfs_root", errp) : NULL;
        server = nfs ? text_of(s, "nfs_server", errp) : NULL;
        extra = server ? text_of(s, "extra", errp) : NULL;
        if (!extra || !append_network(s, out, errp)) {
            return false;
        }
        if (nfs[0] && !server[0]) {
            guest_error(s->g, look_up(s, "nfs_root")->line, errp, "nfs_root: "
                        "there is no nfs_server");
            return false;
        }
        if (root[0]) {
            g_string_append_printf(out, "%sroot=%s", out->len ? " " : "", root);
        }
        if (nfs[0]) {
            g_string_append_printf(out, "%snfsroot=%s:%s", out->len ? " " : "",
                                   server, nfs);
        }
        if (extra[0]) {
            g_string_append_printf(out, "%s%s", out->len ? " " : "", extra);
        }
    }
    if (out->len) {
        s->g->cmdline = g_strdelimit(g_strdup(out->str), "\t", ' ');
    }
    return true;
}

/* Refuses guests that are not PV */
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
        text = xl_want_string(s->g, kinds[i].name, v, errp);
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

/* Settings for HVM guests, which xl ignores for a PV guest, too */
static bool is_of_hvm(const char *name)
{
    static const char *const words[] = {
        "pae", "acpi", "apic", "acpi_s3", "acpi_s4", "acpi_laptop_slate", "nx",
        "hpet", "hap", "oos", "boot", "hdtype", "bios", "bios_path_override",
        "altp2m", "altp2mhvm", "nestedhvm", "acpi_firmware", "smbios_firmware",
        "ms_vm_genid", "vpt_align", "mmio_hole", "xen_platform_pci", "viridian",
        "videoram", "stdvga", "vga", "nographic", "soundhw", "vkb_device",
        "usbversion", "vendor_device", "gfx_passthru", "rdm",
        "rdm_mem_boundary", "isa", "fda", "fdb", "loader", "timer_mode",
        "pvshim", "pvshim_path", "pvshim_cmdline", "pvshim_extra", "mca_caps",
        "gic_version", "vuart", "tee", "device_tree", "device_model_args_hvm",
        "guest_os_type", "s3_integrity", "suppress_spurious_page_faults",
        "memory_sharing", "xen_extended_power_mgmt", "assisted_xapic",
        "assisted_x2apic", "altp2m_count", "sve", "trap_unmapped_accesses",
    };

    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        if (!strcmp(name, words[i])) {
            return true;
        }
    }
    return g_str_has_prefix(name, "spice");
}

/* Documented settings without a counterpart, and what to do instead */
static const struct {
    const char *name, *advice;
} no_counterpart[] = {
    { "cpus", "bind QEMU's threads, by taskset or libvirt's <cputune>" },
    { "cpus_soft", "bind QEMU's threads, by taskset or libvirt's "
      "<cputune>" },
    { "cpu_weight", "libvirt's <cputune> has <shares>" },
    { "cap", "libvirt's <cputune> has <quota>" },
    { "pool", "put QEMU into a cgroup with these CPUs" },
    { "vnuma", "the guest has one node" },
    { "pci", "a PV guest has no PCI devices here: use the device on the "
      "host, or keep the guest on Xen" },
    { "usbctrl", "a PV guest has no USB here" },
    { "usbdev", "a PV guest has no USB here" },
    { "vtpm", "there is no TPM" },
    { "p9", "export the directory by NFS" },
    { "nomigrate", "whoever runs QEMU decides that" },
    { "e820_host", "it is for PCI devices, which there are not" },
    { "ioports", "the guest has no access to the host's devices" },
    { "iomem", "the guest has no access to the host's devices" },
    { "irqs", "the guest has no access to the host's devices" },
    { "rtc_timeoffset", "set the clock in the guest" },
    { "localtime", "Xen's clock is UTC; set the time zone in the guest" },
    { "serial", "the guest has Xen's console: console=hvc0" },
    { "usb", "a PV guest has no USB here" },
    { "usbdevice", "a PV guest has no USB here" },
    { "pci_permissive", "there are no PCI devices here" },
    { "pci_msitranslate", "there are no PCI devices here" },
    { "pci_power_mgmt", "there are no PCI devices here" },
    { "pci_seize", "there are no PCI devices here" },
    { "vcpu_avail", "switch vCPUs off in the guest, or give fewer by vcpus="
      " and the rest by maxvcpus=" },
    { "on_soft_reset", "a guest that resets itself is started anew" },
    { "pvcalls", "give the guest a network card" },
    { "vsnd", "a PV guest has no sound here" },
    { "vdispl", "vfb= is a framebuffer" },
    { "vkb", "a keyboard and a pointer come with vfb=" },
    { "channel", "give the guest another console, or a network card" },
    { "virtio", "a PV guest has Xen's devices" },
    { "seclabel", "confine QEMU by the host's means; libvirt does" },
    { "init_seclabel", "confine QEMU by the host's means; libvirt does" },
    { "max_grant_version", "there are grants of both versions; the guest "
      "chooses" },
    { "driver_domain", "QEMU is the back end of all devices" },
    { "claim_mode", "-overcommit mem-lock=on is the nearest of QEMU's" },
    { "tsc_mode", "the guest has the host's TSC, or KVM's scaled one" },
    { "cpuid", "QEMU's -cpu says what the guest sees" },
    { "cpuid_responses", "QEMU's -cpu says what the guest sees" },
    { "msr_relaxed", "an MSR that is not there is a #GP, as under Xen" },
    { "vpmu", "a PV guest has no performance counters here" },
    { "bootloader_restrict", "PV GRUB runs inside the guest" },
    { "blkdev_start", "name the disk that the boot loader shall take as "
      "the first one" },
    { "device_model", "QEMU is the only one" },
    { "device_model_user", "run QEMU, or libvirt's guests, as that user" },
    { "device_model_stubdomain_override", "QEMU is a process of the "
      "host's" },
    { "stubdomain_memory", "QEMU is a process of the host's" },
    { "restart", "on_poweroff, on_reboot and on_crash are the words" },
    { "shadow_memory", "the CPU walks the guest's own tables" },
    { "max_grant_frames", "the machine's own limit holds" },
    { "max_maptrack_frames", "QEMU has no such limit" },
    { "device_model_version", "QEMU is the only one" },
    { "device_model_override", "--emulator names another one" },
    { "device_model_args", "add them to QEMU's command line" },
    { "device_model_args_pv", "add them to QEMU's command line" },
    { "device_model_stubdomain_seclabel", "confine QEMU by the host's "
      "means; libvirt does" },
    { "stubdomain_kernel", "QEMU is a process of the host's" },
    { "stubdomain_cmdline", "QEMU is a process of the host's" },
    { "stubdomain_ramdisk", "QEMU is a process of the host's" },
    { "dm_restrict", "QEMU has -run-with and -sandbox; libvirt uses them" },
    { "passthrough", "there are no PCI devices here" },
    { "dtdev", "there are no such devices here" },
    { "max_event_channels", "the guest has as many as its ABI" },
    { "vmtrace_buf_kb", "trace QEMU or KVM on the host" },
    { "xend_suspend_evtchn_compat", "there is nothing of xend's here" },
    { "on_watchdog", "QEMU's -action watchdog= says what becomes of a "
      "guest whose watchdog has bitten" },
    { "opengl", "VNC and SDL show the framebuffer without it" },
    { "display", "set DISPLAY where QEMU is run" },
    { "xauthority", "set XAUTHORITY where QEMU is run" },
    { "vncviewer", "start one when the guest runs" },
    { "vncconsole", "start one when the guest runs" },
    { "cpu", "bind QEMU's threads, by taskset or libvirt's <cputune>" },
    { "cpu_cap", "libvirt's <cputune> has <quota>" },
    { "features", "a kernel says by itself what it needs" },
    { "vscsi", "make the device a disk" },
    { "vusb", "a PV guest has no USB here" },
    { "irq", "the guest has no access to the host's devices" },
    { "blkif", "QEMU is the back end of all devices" },
    { "netif", "QEMU is the back end of all devices" },
    { "tpmif", "QEMU is the back end of all devices" },
    { "nics", "each interface is one of vif's list" },
    { "access_control", "confine QEMU by the host's means; libvirt does" },
    { "on_xend_start", "'virsh autostart' starts it with the host" },
    { "on_xend_stop", "libvirt-guests does so" },
    { "superpages", "back QEMU's memory with large pages: "
      "-mem-path, or libvirt's <hugepages/>" },
    { "machine_address_size", "a PV guest has no DMA here" },
    { "target", "memory= is what it begins with" },
    { "monitor", "QEMU's monitor is -monitor, or Ctrl-A c" },
    { "cpuid_check", "QEMU's -cpu says what the guest sees" },
    { "description", "libvirt's XML has <description>" },
    { "llc_colors", "there is no colouring of the host's caches" },
};

static void note_setting(Guest *g, const char *name, const XlValue *v)
{
    if (v->type == XL_LIST && !v->list->len) {
        return;
    }
    if (is_of_hvm(name)) {
        guest_note(g, v->line, "'%s' is of no effect: a PV guest has none of "
                   "it", name);
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(no_counterpart); i++) {
        if (!strcmp(name, no_counterpart[i].name)) {
            guest_note(g, v->line, "'%s' is not carried: %s", name,
                       no_counterpart[i].advice);
            return;
        }
    }
    /* If it is used or unknown, it is probably not a setting but a variable */
    if (v->type != XL_UNKNOWN && !v->used) {
        guest_note(g, v->line, "'%s' is not carried", name);
    }
}

/* A 0 turns a setting off, so nothing is lost; but in cpus it is the CPU 0 */
static bool says_nothing(const char *name, const XlValue *v)
{
    return v->type == XL_NUMBER && !v->number && strcmp(name, "cpu") &&
           strcmp(name, "cpus") && strcmp(name, "cpus_soft");
}

static bool parse_setting(XlSettings *s, const char *name, const XlValue *v,
                          Error **errp)
{
    /* These are handled elsewhere, or nothing is lost without them */
    static const char *const silent[] = {
        "root", "extra", "cmdline", "ip", "type", "builder", "maxmem",
        "ramdisk", "kernel", "bootloader", "netmask", "gateway", "hostname",
        "vnc", "sdl", "vncunused", "vnclisten", "keymap",
        "vncpasswd", "vncdisplay",
        "maxvcpus", "bootargs", "bootloader_args", "bootentry",
        "firmware", "dhcp", "nfs_server", "nfs_root", "interface",
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
        text = xl_want_string(g, name, v, errp);
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
        return each(g, name, v, xl_parse_disk, errp);
    }
    if (!strcmp(name, "vif")) {
        return each(g, name, v, xl_parse_vif, errp);
    }
    if (!strcmp(name, "vfb")) {
        return each(g, name, v, xl_parse_vfb, errp);
    }
    for (int i = 0; i < ARRAY_SIZE(silent); i++) {
        if (!strcmp(name, silent[i])) {
            return true;
        }
    }
    if (!says_nothing(name, v)) {
        note_setting(g, name, v);
    }
    return true;
}

/* Notes a word of the boot loader's command line, as PV GRUB takes none */
static void note_loader_word(Guest *g, int line, const char *word)
{
    const char *entry = g_str_has_prefix(word, "--entry=") ? word + 8 : NULL;
    const char *colon = entry ? strchr(entry, ':') : NULL;

    if (!word[0] || !strcmp(word, "-q") || !strcmp(word, "--quiet")) {
        return;
    }
    if (colon) {
        /* domUloader's --entry=DISK:KERNEL,INITRD */
        g_auto(GStrv) files = g_strsplit(colon + 1, ",", 2);

        guest_note(g, line, "domUloader took %s%s%s from %.*s: PV GRUB boots "
                   "the default entry of that disk's menu; without a menu, "
                   "copy them to the host, for kernel= and ramdisk=",
                   files[0] ?: "", files[0] && files[1] ? " and " : "",
                   files[0] && files[1] ? files[1] : "",
                   (int)(colon - entry), entry);
    } else if (entry) {
        guest_note(g, line, "entry '%s' of the guest's menu is not chosen: "
                   "PV GRUB boots its default; make it that", entry);
    } else {
        guest_note(g, line, "the boot loader's '%s' is not carried: PV GRUB "
                   "boots the default entry of the guest's menu", word);
    }
}

static const char *const loader_words[] = {
    "bootargs", "bootloader_args", "bootentry",
};

/* Each of these settings is a string of words, or a list of strings */
static bool parse_loader_args(XlSettings *s, Error **errp)
{
    for (int i = 0; i < ARRAY_SIZE(loader_words); i++) {
        const XlValue *v = look_up(s, loader_words[i]);
        int n = v && v->type == XL_LIST ? v->list->len : v ? 1 : 0;

        for (int j = 0; j < n; j++) {
            const XlValue *item = v->type == XL_LIST ? v->list->pdata[j] : v;
            const char *text = xl_want_string(s->g, loader_words[i], item,
                                              errp);
            g_auto(GStrv) words = NULL;

            if (!text) {
                return false;
            }
            if (i == 2) {
                g_autofree char *word = g_strconcat("--entry=", text, NULL);

                note_loader_word(s->g, item->line, word);
                continue;
            }
            words = g_strsplit_set(text, " \t", 32);
            for (char **w = words; *w; w++) {
                note_loader_word(s->g, item->line, *w);
            }
        }
    }
    return true;
}

/*
 * Handles the setting for Xen's boot loader. With one, "kernel" and "ramdisk"
 * may name files on the guest's disk. PV GRUB ignores these, and boots what the
 * guest's menu says.
 */
static bool parse_loader(XlSettings *s, const XlValue *v, const char *loader,
                         Error **errp)
{
    static const char *const files[] = { "kernel", "ramdisk" };
    Guest *g = s->g;

    if (!guest_set_bootloader(g, v->line, loader, errp)) {
        return false;
    }
    g->kernel_line = v->line;
    for (int i = 0; i < ARRAY_SIZE(files); i++) {
        const XlValue *file = look_up(s, files[i]);
        const char *text = NULL;

        if (file) {
            text = xl_want_string(g, files[i], file, errp);
            if (!text) {
                return false;
            }
            guest_note(g, file->line, "'%s' does not count beside "
                       "'bootloader': PV GRUB boots the default entry of the "
                       "guest's menu; make that boot '%s'", files[i], text);
        }
    }
    return parse_loader_args(s, errp);
}

static bool parse_kernel(XlSettings *s, Error **errp)
{
    const XlValue *kernel = look_up(s, "kernel");
    const XlValue *ramdisk = look_up(s, "ramdisk");
    const XlValue *loader = look_up(s, "bootloader");
    const XlValue *firmware = look_up(s, "firmware");
    const char *text;
    Guest *g = s->g;

    if (firmware) {
        text = xl_want_string(g, "firmware", firmware, errp);
        if (!text) {
            return false;
        }
        if (!g_str_has_prefix(text, "pvgrub")) {
            guest_note(g, firmware->line, "'firmware=%s' is nothing that a PV "
                       "guest has", text);
        } else if (!loader) {
            return parse_loader(s, firmware, text, errp);
        } else {
            guest_note(g, firmware->line, "'firmware' does not count beside "
                       "'bootloader'");
        }
    }
    if (loader) {
        text = xl_want_string(g, "bootloader", loader, errp);
        return text && parse_loader(s, loader, text, errp);
    }
    for (int i = 0; i < ARRAY_SIZE(loader_words); i++) {
        const XlValue *v = look_up(s, loader_words[i]);

        if (v && (v->type != XL_LIST || v->list->len)) {
            guest_note(g, v->line, "'%s' is of no effect without 'bootloader'",
                       loader_words[i]);
        }
    }
    if (kernel) {
        text = xl_want_string(g, "kernel", kernel, errp);
        if (!text || !guest_set_kernel(g, kernel->line, text, errp)) {
            return false;
        }
    }
    if (ramdisk) {
        text = xl_want_string(g, "ramdisk", ramdisk, errp);
        if (!text) {
            return false;
        }
        if (kernel && !g->kernel) {
            guest_note(g, ramdisk->line, "'ramdisk' of a PV GRUB is not "
                       "carried: it held a menu; the guest's own is read "
                       "instead");
        } else {
            g->ramdisk = g_strdup(text);
        }
    }
    return true;
}

static bool is_on(const XlValue *v)
{
    return v && ((v->type == XL_NUMBER && v->number) ||
                 (v->type == XL_STRING && strcmp(v->string, "0")));
}

/*
 * Without "vfb", xl makes a PV guest a framebuffer from the settings for an HVM
 * guest's display, and so do we
 */
static bool parse_display(XlSettings *s, Error **errp)
{
    static const char *const words[] = {
        "vncunused", "vnclisten", "vncdisplay", "vncpasswd", "keymap",
    };
    const XlValue *vnc = look_up(s, "vnc"), *sdl = look_up(s, "sdl");
    bool vfb = s->g->display.present, wanted = is_on(vnc) || is_on(sdl);
    Guest *g = s->g;

    if (wanted && vfb) {
        guest_note(g, (is_on(vnc) ? vnc : sdl)->line, "'%s' does not count "
                   "beside 'vfb'", is_on(vnc) ? "vnc" : "sdl");
    } else if (wanted) {
        g->display.present = true;
        g->display.line = (is_on(vnc) ? vnc : sdl)->line;
        g->display.is_sdl = !is_on(vnc);
        if (is_on(vnc) && is_on(sdl)) {
            guest_note(g, sdl->line, "'sdl' does not count beside 'vnc'");
        }
    }
    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        const XlValue *v = look_up(s, words[i]);
        g_autofree char *text = NULL;
        const char *string;

        if (!v || (v->type == XL_NUMBER && !v->number && !wanted)) {
            continue;
        }
        if (vfb || !wanted) {
            guest_note(g, v->line, vfb ? "'%s' does not count beside 'vfb'" :
                       "'%s' is of no effect without vnc=1", words[i]);
            continue;
        }
        if (v->type == XL_NUMBER) {
            text = g_strdup_printf("%" PRId64, v->number);
        } else {
            string = xl_want_string(g, words[i], v, errp);
            if (!string) {
                return false;
            }
            text = g_strdup(string);
        }
        if (!xl_set_vfb_word(g, v->line, words[i], text, errp)) {
            return false;
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
    if (!parse_display(s, errp)) {
        return false;
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
        if (g->memory_mib &&
            !guest_set_max_memory(g, v->line, "maxmem", n, errp)) {
            return false;
        }
    }
    v = look_up(s, "maxvcpus");
    if (v) {
        if (!want_number(g, "maxvcpus", v, &n, errp)) {
            return false;
        }
        if (!guest_set_max_vcpus(g, v->line, "maxvcpus", n, errp)) {
            return false;
        }
    }
    if (!parse_cmdline(s, errp)) {
        return false;
    }
    /* SLES writes extra=" ", which means none */
    if (g->cmdline && !g->cmdline[strspn(g->cmdline, " ")]) {
        g_clear_pointer(&g->cmdline, g_free);
    }
    if (!g->kernel && g->cmdline) {
        v = look_up(s, "cmdline") ?: look_up(s, "extra") ?: look_up(s, "root");
        guest_note(g, v ? v->line : 1, g->cmdline[0] == '(' ?
                   "'%s' is pv-grub's menu, not a command line, and is not "
                   "carried: PV GRUB looks for the guest's menu by itself" :
                   "the command line '%s' is not carried: add what is missing "
                   "there to the entry in the guest's menu", g->cmdline);
        g_clear_pointer(&g->cmdline, g_free);
    }
    return true;
}

bool xl_parse_settings(XlSettings *s, Error **errp)
{
    return parse_settings(s, errp) && guest_check(s->g, errp);
}

Guest *guest_parse_xl(const char *file, const char *text, Error **errp)
{
    g_autoptr(Guest) g = guest_new(file);
    XlSettings s = { .g = g };
    bool ok = xl_read(&s, text, errp) && xl_parse_settings(&s, errp);

    xl_settings_clear(&s);
    return ok ? g_steal_pointer(&g) : NULL;
}
